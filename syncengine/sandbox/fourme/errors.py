"""Error answers in the service's form (documented: body, texts of the statuses, `errors` of 422)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

LIMITS = "https://developer.xurrent.com/v1/#rate-limiting"


class ApiError(Exception):
    """An answer that is an error."""

    def __init__(
        self, status: int, message: str = "", *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"message": message or HTTPStatus(status).phrase, **more}
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The error as an HTTP answer."""
        return json_response(self.body, self.status, self.headers)


def invalid(status: int, *errors: Sequence[str]) -> ApiError:
    """Pairs of field and text; which status a case has is a setting of it."""
    if status != 422:
        return ApiError(status, errors[0][1])
    return ApiError(status, "Validation Failed", errors=[list(pair) for pair in errors])


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON as the service labels it."""
    told = {"cache-control": "no-store", **(headers or {})}
    return Response(orjson.dumps(body), status, told, "application/json; charset=utf-8")
