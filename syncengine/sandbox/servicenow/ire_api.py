"""IdentifyReconcile: the four calls over HTTP.

Documented: paths, parameters, roles, statuses 200, 401, 500. Inferred: item errors travel in a 200 body.
"""

from __future__ import annotations

from starlette.responses import Response

from syncengine.sandbox.engine.calls import identify_reconcile
from syncengine.sandbox.engine.payload import BadRequest
from syncengine.sandbox.servicenow.errors import ApiError, json_response, no_resource
from syncengine.sandbox.servicenow.requests import Call

CALLS = {"": (False, True), "enhanced": (True, True), "query": (False, False), "queryEnhanced": (True, False)}
"""Last part of the path → (enhanced, commits)."""


def post(call: Call, name: str) -> Response:
    """One call of the engine."""
    call.need_role("itil", "asset")
    enhanced, commit = CALLS[name]
    if enhanced and not call.world.settings["calls.enhanced_pair"]:
        raise no_resource()
    body = call.json()
    try:
        told = identify_reconcile(
            call.world,
            body,
            call.parameters.get("sysparm_data_source"),
            call.parameters.get("options", ""),
            enhanced=enhanced,
            commit=commit,
        )
    except BadRequest as fault:
        raise ApiError(500, "Error processing the request", str(fault)) from fault
    return json_response({"result": told.result}, headers={"X-Sandbox-Hint": told.hint} if told.hint else None)
