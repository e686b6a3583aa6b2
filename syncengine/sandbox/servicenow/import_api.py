"""Import Set API (documented: c_ImportSetAPI; the texts of failures were observed).

An answer is not wrapped: `import_set`, `staging_table` and the list `result` stand side by side. A row whose transform
fails is taken all the same, so its answer is a success with status `error` inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from syncengine.sandbox.servicenow.errors import ApiError, json_response, no_record, no_resource
from syncengine.sandbox.servicenow.requests import Call
from syncengine.sandbox.servicenow.rows import display_of
from syncengine.sandbox.staging.results import Result
from syncengine.sandbox.staging.results import results as told
from syncengine.sandbox.staging.sets import SETS, is_staging
from syncengine.sandbox.store import Record
from syncengine.sandbox.tables import Table


def post(call: Call, name: str) -> Response:
    """Insert one row and transform it at once."""
    table = _table(call, name)
    body = call.document()
    if isinstance(body, list):
        body = body[0] if body else {}  # observed: of a list only the first object is taken
    if not isinstance(body, Mapping):
        raise ApiError(400, "Exception while reading request", "The payload is not a JSON object")
    number, row, results = call.imports.insert_one(table, body, call.user)
    status = call.world.settings.number("import.status")
    headers = {"Location": f"{call.base}/api/now/import/{table.name}/{row.sys_id}"}
    return json_response(_answer(call, table, number, row, results), status, headers)


def get(call: Call, name: str, sys_id: str) -> Response:
    """What became of a row that was inserted before; 404 when the cleaner has taken it."""
    table = _table(call, name, "read")
    row = call.world.store.get(table.root, sys_id)
    if row is None or row.table != table.name:
        raise no_record()
    one = call.world.store.get(SETS, row.values.get("sys_import_set", ""))
    number = one.values.get("number", "") if one is not None else ""
    return json_response(_answer(call, table, number, row, told(call.world, row)))


def post_multiple(call: Call, name: str) -> Response:
    """Insert rows into an import set of their own; the answer says nothing about them."""
    if call.world.settings["import.multiple"] == "missing":
        raise no_resource()
    table = _table(call, name)
    body = call.json()
    records = body.get("records") if isinstance(body, Mapping) else None
    if not isinstance(records, list) or not all(isinstance(one, Mapping) for one in records):
        raise ApiError(400, "Exception while reading request", "records is missing or no list of objects")
    one, multi = call.imports.insert_many(
        table,
        records,
        call.user,
        run_after=call.parameters.get("run_after", ""),
        multi=call.parameters.get("multi_import_set_id", ""),
    )
    return json_response({"import_set_id": one, "multi_import_set_id": multi}, 201)


def _table(call: Call, name: str, operation: str = "create") -> Table:
    world = call.world
    status = world.settings.number("import.invalid_table")
    table = world.tables.get(name)
    if table is None:
        raise ApiError(status, "Invalid table", name)
    if not is_staging(world, name):
        raise ApiError(status, "Invalid staging table", name)
    # documented: an import runs with full rights, so the rules of the staging table are all there is
    if operation == "create" and not call.sight("create").table(name):
        raise ApiError(403, "Operation Failed", "ACL Exception Insert Failed due to security constraints")
    return table


def _answer(call: Call, table: Table, number: str, row: Record, results: list[Result]) -> dict[str, Any]:
    shown = [_result(call, row, one) for one in results]
    if not results and call.world.settings["import.no_map"] == "error":
        shown = [_without_target(row, Result("", "error", row.table, row.sys_id, "No transform map", False))]
    return {"import_set": number, "staging_table": table.name, "result": shown}


def _result(call: Call, row: Record, one: Result) -> dict[str, str]:
    table = call.world.tables.get(one.table)
    names_row = one.status == "ignored" and call.world.settings["import.unchanged_names"] == "row"
    record = call.world.store.get(table.root, one.sys_id) if table is not None and one.has_target else None
    if table is None or record is None or names_row:
        return _without_target(row, one)
    shown = {
        "transform_map": one.map_name,
        "table": one.table,
        "display_name": table.display,
        "display_value": display_of(call.world, record),
        "record_link": f"{call.base}/api/now/table/{one.table}/{one.sys_id}",
        "status": one.status,
        "sys_id": one.sys_id,
    }
    if one.message:
        shown["status_message"] = one.message
    return shown


def _without_target(row: Record, one: Result) -> dict[str, str]:
    """Documented: without a target, table and sys_id are those of the staging row."""
    shown = {"transform_map": one.map_name, "table": row.table, "status": one.status, "sys_id": row.sys_id}
    if one.message:
        shown["error_message" if one.status == "error" else "status_message"] = one.message
    return shown
