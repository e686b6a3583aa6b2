"""Error answers in the service's envelope (documented; which text belongs to which case was mostly observed)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response


class ApiError(Exception):
    """An answer that is an error."""

    def __init__(
        self, status: int, message: str, detail: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.detail = detail
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The error as an HTTP answer."""
        return json_response(
            {"error": {"message": self.message, "detail": self.detail}, "status": "failure"}, self.status, self.headers
        )


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON as the service labels it."""
    return Response(orjson.dumps(body), status, dict(headers or {}), "application/json;charset=UTF-8")


def unauthenticated() -> ApiError:
    """Documented body of 401."""
    return ApiError(
        401,
        "User Not Authenticated",
        "Required to provide Auth information",
        {"WWW-Authenticate": 'BASIC realm="Service-now"'},
    )


def no_record() -> ApiError:
    """Documented body of 404 for records."""
    return ApiError(404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")


def no_resource() -> ApiError:
    """Observed body for a path that no API serves."""
    return ApiError(400, "Requested URI does not represent any resource")
