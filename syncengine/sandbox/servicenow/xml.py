"""Requests and answers as XML, where the service has both forms.

Documented: `request` with `entry` elements; an answer has the same names as in JSON. Not shown by the documentation, so
inferred: the outermost element, and that a list repeats its element.
"""

from __future__ import annotations

from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate
from xml.sax.saxutils import escape

import orjson
from starlette.responses import Response

from syncengine.sandbox.servicenow.errors import ApiError


def wants_xml(accept: str) -> bool:
    """Whether a client asks for XML rather than JSON."""
    return "xml" in accept and "json" not in accept


def as_xml(response: Response, root: str) -> Response:
    """An answer in JSON as XML."""
    if not response.headers.get("content-type", "").startswith("application/json"):
        return response
    body = f'<?xml version="1.0" encoding="UTF-8"?>{_element(root, orjson.loads(response.body))}'
    headers = {k: v for k, v in response.headers.items() if k not in ("content-type", "content-length")}
    return Response(body, response.status_code, headers, "application/xml;charset=UTF-8")


def _element(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "".join(_element(name, one) for one in value)
    if isinstance(value, dict):
        inside = "".join(_element(key, one) for key, one in value.items())
    else:
        inside = "" if value is None else escape(str(value))
    return f"<{name}>{inside}</{name}>" if inside else f"<{name}/>"


def entries(body: bytes) -> list[dict[str, str]]:
    """The `entry` elements of a request; raises ApiError for what is no such document."""
    found: list[dict[str, str]] = []
    path: list[str] = []
    text: list[str] = []

    def start(name: str, _attributes: dict[str, str]) -> None:
        path.append(name)
        text.clear()
        if len(path) == 2 and name == "entry":
            found.append({})

    def end(name: str) -> None:
        if len(path) == 3 and found:
            found[-1][name] = "".join(text)
        path.pop()
        text.clear()

    def refuse(*_arguments: Any) -> None:
        raise ApiError(400, "Exception while reading request", "a document type is not allowed")

    parser = ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text.append
    parser.StartDoctypeDeclHandler = refuse  # entities could grow without end
    try:
        parser.Parse(body, True)
    except ExpatError as fault:
        raise ApiError(400, "Exception while reading request", str(fault)) from fault
    return found
