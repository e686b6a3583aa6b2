"""Which path is which API, and what a fault rule calls it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from starlette.responses import Response

from syncengine.sandbox.servicenow import attachment_api, batch_api, import_api, ire_api, meta_api, stats_api, table_api
from syncengine.sandbox.servicenow.errors import ApiError
from syncengine.sandbox.servicenow.requests import Call

Handler = Callable[..., Response]


class Route(NamedTuple):
    """One API call."""

    method: str
    path: re.Pattern[str]
    api: str
    """Its name in fault rules and in the ledger."""
    writes: bool
    handler: Handler
    xml: bool = False
    """It has answers as XML, too."""


def _route(methods: str, path: str, api: str, writes: bool, handler: Handler, *, xml: bool = False) -> list[Route]:
    pattern = re.compile(rf"/api/now(?:/(?P<version>v\d))?{path}")
    return [Route(method, pattern, api, writes, handler, xml) for method in methods.split()]


def _ire(name: str) -> Handler:
    return lambda call: ire_api.post(call, name)


def _batch(call: Call) -> Response:
    if call.inside is None:
        raise ApiError(400, "Exception while reading request", "a batch cannot hold a batch")
    return batch_api.post(call, call.inside)


_ID = r"(?P<sys_id>[0-9a-zA-Z]{1,32})"
_TABLE = r"/table/(?P<name>\w+)"
_STAGING = r"/import/(?P<name>\w+)"
_FILE = "/attachment"

ROUTES: list[Route] = [
    *_route("POST", "/identifyreconcile", "ire", True, _ire("")),
    *_route("POST", "/identifyreconcile/enhanced", "ire", True, _ire("enhanced")),
    *_route("POST", "/identifyreconcile/query", "ire_query", False, _ire("query")),
    *_route("POST", "/identifyreconcile/queryEnhanced", "ire_query", False, _ire("queryEnhanced")),
    *_route("GET HEAD", _TABLE, "table_read", False, table_api.get_list, xml=True),
    *_route("GET HEAD", f"{_TABLE}/{_ID}", "table_read", False, table_api.get_one, xml=True),
    *_route("POST", _TABLE, "table_write", True, table_api.post, xml=True),
    *_route("PATCH PUT", f"{_TABLE}/{_ID}", "table_write", True, table_api.patch, xml=True),
    *_route("DELETE", f"{_TABLE}/{_ID}", "table_write", True, table_api.delete),
    *_route("POST", _STAGING, "import_one", True, import_api.post, xml=True),
    *_route("POST", f"{_STAGING}/insertMultiple", "insert_multiple", True, import_api.post_multiple),
    *_route("GET", f"{_STAGING}/{_ID}", "staging_read", False, import_api.get, xml=True),
    *_route("POST", f"{_FILE}/file", "attach_upload", True, attachment_api.post_file, xml=True),
    *_route("POST", f"{_FILE}/upload", "attach_upload", True, attachment_api.post_upload, xml=True),
    *_route("GET", _FILE, "attach_list", False, attachment_api.get_list, xml=True),
    *_route("GET", f"{_FILE}/{_ID}", "attach_list", False, attachment_api.get_one, xml=True),
    *_route("GET", f"{_FILE}/{_ID}/file", "attach_file", False, attachment_api.get_file),
    *_route("PATCH", f"{_FILE}/{_ID}", "attach_write", True, attachment_api.patch),
    *_route("DELETE", f"{_FILE}/{_ID}", "attach_write", True, attachment_api.delete),
    *_route("GET", r"/stats/(?P<name>\w+)", "stats", False, stats_api.get),
    *_route("POST", "/batch", "batch", True, _batch),
    *_route("GET", r"/cmdb/meta/(?P<name>\w+)", "meta", False, meta_api.get),
]


class Found(NamedTuple):
    """A route that fits, with what the path says."""

    route: Route
    version: str
    arguments: dict[str, str]


def find(method: str, path: str) -> Found | None:
    """The API call behind a method and a path."""
    for route in ROUTES:
        if route.method == method and (match := route.path.fullmatch(path)):
            given = match.groupdict()
            return Found(route, given.pop("version") or "", given)
    return None


def methods(path: str) -> list[str]:
    """What else a path can do, for a refused method."""
    return sorted({route.method for route in ROUTES if route.path.fullmatch(path)})
