"""Batch API (documented: batch-api): several requests in one, each a transaction of its own."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response

from syncengine.sandbox.body import Download
from syncengine.sandbox.injected import seconds_each
from syncengine.sandbox.servicenow.errors import ApiError, json_response
from syncengine.sandbox.servicenow.requests import Call

Inside = Callable[[str, str, str, dict[str, str], bytes], Response]
"""(method, path, query, headers, body) → the answer the request would have had alone."""


def post(call: Call, inside: Inside) -> Response:
    """Answer every request of the batch."""
    body = call.json()
    requests = body.get("rest_requests") if isinstance(body, Mapping) else None
    if not isinstance(requests, list):
        raise ApiError(400, "Exception while reading request", "rest_requests is missing")
    settings = call.world.settings
    quota, largest = settings.number("quota.batch_seconds"), settings.number("batch.answer_bytes")
    each = seconds_each.get()
    spent, size = 0.0, 0
    served: list[dict[str, Any]] = []
    left: list[str] = []
    for request in requests:
        if not isinstance(request, Mapping):
            continue
        # documented: one quota for the whole; what it did not reach has to be sent again
        if left or (quota and spent + each > quota) or size > largest:
            left.append(str(request.get("id", "")))
            continue
        spent += each
        one = _serve(call, request, inside)
        size += len(one["body"])
        served.append(one)
    return json_response(
        {
            "batch_request_id": str(body.get("batch_request_id", "")),
            "serviced_requests": served,
            "unserviced_requests": left,
        }
    )


def _serve(call: Call, request: Mapping[str, Any], inside: Inside) -> dict[str, Any]:
    headers = {"accept": "application/json", "authorization": call.headers.get("authorization", "")}
    headers["host"] = call.headers.get("host", "")
    if "x-sn-apikey" in call.headers:
        headers["x-sn-apikey"] = call.headers["x-sn-apikey"]
    headers.update({str(h.get("name", "")).lower(): str(h.get("value", "")) for h in request.get("headers", ())})
    parts = urlsplit(str(request.get("url", "")))
    content = base64.b64decode(request.get("body") or "")
    limit = call.world.settings.number("batch.request_bytes")
    if len(content) > limit:
        # the text of this refusal was not found
        answer = ApiError(413, "Request body too large", f"Max allowed: {limit} bytes.").response()
    else:
        answer = inside(str(request.get("method", "GET")).upper(), parts.path, parts.query, headers, content)
    served: dict[str, Any] = {
        "id": str(request.get("id", "")),
        "body": base64.b64encode(_whole(answer)).decode(),
        "status_code": answer.status_code,
        "status_text": _TEXTS.get(answer.status_code, ""),
        "execution_time": 1,
        "error_message": "",
        "redirect_url": "",
        "headers": [],
    }
    if not request.get("exclude_response_headers"):
        served["headers"] = [{"name": name, "value": value} for name, value in answer.headers.items()]
    return served


def _whole(answer: Response) -> bytes:
    return b"".join(answer.parts) if isinstance(answer, Download) else bytes(answer.body)


_TEXTS = {200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}
