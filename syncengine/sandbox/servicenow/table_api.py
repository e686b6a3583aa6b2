"""Table API: records of any table in the dictionary.

Documented unless said otherwise: paths, parameters, headers, statuses, what a missing order means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import orjson
from starlette.responses import Response

from syncengine.sandbox import attachments
from syncengine.sandbox.access import Sight
from syncengine.sandbox.encoded_query import Query, parse
from syncengine.sandbox.engine.payload import text
from syncengine.sandbox.ledger import Entry, content_hash
from syncengine.sandbox.query_sql import Compiler, Where
from syncengine.sandbox.servicenow.errors import ApiError, json_response, no_record
from syncengine.sandbox.servicenow.requests import Call
from syncengine.sandbox.servicenow.rows import Rows, View
from syncengine.sandbox.store import ATTACHMENTS, RELATIONS, Record
from syncengine.sandbox.tables import Table

DEFAULT_LIMIT = 10_000
DELETED = "sys_audit_delete"
_IN_QUERY = "^=<>!*()',:@|"


def table_of(call: Call, name: str) -> Table:
    """The table, or the observed refusal."""
    table = call.world.tables.get(name)
    if table is None:
        raise ApiError(400, f"Invalid table {name}")
    return table


def view_of(call: Call) -> View:
    """How the caller wants records shown."""
    fields = tuple(f.strip() for f in call.parameters.get("sysparm_fields", "").split(",") if f.strip())
    display = call.parameters.get("sysparm_display_value", "false").lower()
    return View(
        fields,
        display if display in ("true", "all") else "false",
        not call.flag("sysparm_exclude_reference_link"),
        call.base,
    )


class Scope:
    """The rows of one table that a query lets through, as SQL."""

    def __init__(self, call: Call, table: Table, query: Query) -> None:
        world = call.world
        strict = world.enabled("glide.invalid_query.returns_no_rows")
        self.where: Where = Compiler(world.tables, table, strict).compile(query)
        self.parameters: list[str | int | float] = list(self.where.parameters)
        first = len(self.parameters) + 1
        self.parameters.append(table.root)
        scope = f"r.root=?{first}"
        if len(table.path) > 1:
            marks = ",".join(f"?{first + 1 + n}" for n in range(len(table.below)))
            # a single table is an index of its own; for several the ids' order must come from the index of the root
            scope += f" AND r.class={marks}" if len(table.below) == 1 else f" AND +r.class IN ({marks})"
            self.parameters += table.below
        self.sql = f"{scope} AND {self.where.sql}"

    def count(self, call: Call, sight: Sight | None = None) -> int:
        """How many rows there are, or of those that may be seen."""
        if sight is not None and not sight.open:
            return len(sight.rows(self.page(call, -1, 0)))
        row = call.world.store.db.execute(f"SELECT count(*) FROM record r WHERE {self.sql}", self.parameters).fetchone()
        return int(row[0])

    def page(self, call: Call, limit: int, offset: int) -> list[Record]:
        """Some of the rows, in the order that was asked for."""
        # the plus keeps SQLite from walking the ids' index only because it is in the right order
        last = "+r.sys_id" if self.where.narrow else "r.sys_id"
        if call.world.settings["table.unordered"] == "shuffled" and not self.where.total:
            # no order is promised: pages of one list may repeat and miss rows (reported by users)
            last = "random()"
        order = f"{self.where.order}, {last}" if self.where.order else last
        rows = call.world.store.db.execute(
            f"SELECT r.rid, r.root, r.class, r.sys_id, r.body FROM record r WHERE {self.sql} "
            f"ORDER BY {order} LIMIT {limit:d} OFFSET {offset:d}",
            self.parameters,
        ).fetchall()
        return [Record(row[0], row[1], row[2], row[3], orjson.loads(row[4])) for row in rows]


def query_of(call: Call, table: Table) -> Query:
    """sysparm_query and every column name used as a parameter."""
    parts = [call.parameters.get("sysparm_query", "")]
    parts += [f"{name}={value}" for name, value in call.parameters.items() if name in table.columns]
    return parse("^".join(part for part in parts if part))


def get_list(call: Call, name: str) -> Response:
    """A list of records."""
    table = table_of(call, name)
    limit, offset = call.number("sysparm_limit", DEFAULT_LIMIT), max(0, call.number("sysparm_offset", 0))
    if limit <= 0:
        raise ApiError(400, "Invalid value given for sysparm_limit", "sysparm_limit value must be a positive integer")
    scope = Scope(call, table, query_of(call, table))
    settings, sight = call.world.settings, call.sight("read")
    if not sight.table(name) and settings["access.hidden_table"] == "403":
        raise ApiError(403, "Insufficient rights to query records")
    if settings["access.applied"] == "after_limit":
        # documented: the limit comes first, so a page can be short although more rows follow
        records = sight.rows(scope.page(call, limit, offset))
    else:
        records = sight.rows(scope.page(call, -1, 0))[offset : offset + limit]
    headers: dict[str, str] = {}
    if not call.flag("sysparm_no_count"):
        total = scope.count(call, sight if settings["access.total_count"] == "visible" else None)
        headers["X-Total-Count"] = str(total)
        if not call.flag("sysparm_suppress_pagination_header"):
            link = page_links(call, limit, offset, total)
            if link:
                headers["Link"] = link
    if not records and call.version == "v1":
        raise no_record()
    return json_response({"result": Rows(call.world, table, view_of(call), sight).show(records)}, headers=headers)


def page_links(call: Call, limit: int, offset: int, total: int) -> str:
    """The Link header of a page; empty where everything is on it."""

    def link(rel: str, start: int) -> str:
        given = {**call.parameters, "sysparm_limit": str(limit), "sysparm_offset": str(start)}
        query = "&".join(f"{quote(name)}={quote(value, safe=_IN_QUERY)}" for name, value in given.items())
        return f'<{call.base}{call.path}?{query}>;rel="{rel}"'

    if total <= limit and offset == 0:
        return ""
    last = max(0, (total - 1) // limit * limit)
    links = [link("first", 0)]
    if offset > 0:
        links.append(link("prev", max(0, offset - limit)))
    if offset + limit < total:
        links.append(link("next", offset + limit))
    links.append(link("last", last))
    return ",".join(links)


def find(call: Call, table: Table, sys_id: str) -> Record:
    """One record of the table or of one that extends it; one that may not be read does not exist."""
    record = call.world.store.get(table.root, sys_id)
    if record is None or record.table not in table.below or not call.sight("read").row(record):
        raise no_record()
    return record


def _denied(what: str) -> ApiError:
    return ApiError(403, "Operation Failed", f"ACL Exception {what} Failed due to security constraints")


def _shown(call: Call, table: Table, record: Record) -> dict[str, Any]:
    return Rows(call.world, table, view_of(call), call.sight("read")).show([record])[0]


def get_one(call: Call, name: str, sys_id: str) -> Response:
    """One record."""
    table = table_of(call, name)
    return json_response({"result": _shown(call, table, find(call, table, sys_id))})


def post(call: Call, name: str) -> Response:
    """Insert a record; columns that do not exist are ignored, system columns cannot be set."""
    world = call.world
    table = table_of(call, name)
    now = world.clock.now()
    sent = _sent(call, table, "create")
    values = {
        **table.defaults,
        **{column: value for column, value in sent.items() if value},
        "sys_created_on": now,
        "sys_created_by": call.user,
        "sys_updated_on": now,
        "sys_updated_by": call.user,
        "sys_mod_count": "0",
    }
    if "sys_class_name" in table.columns:
        values["sys_class_name"] = table.name
    world.calculate(table, values)
    if not call.sight("create").row(Record(0, table.root, table.name, "", values)):
        raise _denied("Insert")
    _abort(call, table, "insert", values)
    with world.store.transaction():
        record = world.store.insert(table.root, table.name, uuid4().hex, values)
        kind, key = "insert", record.sys_id
        if table.name == RELATIONS:
            kind, key = "relate", _relation_key(call, values)
        world.ledger.write(now, [Entry(kind, table.name, record.sys_id, key, content_hash(sent))])
    headers = {"Location": f"{call.base}/api/now/table/{table.name}/{record.sys_id}"}
    return _written(call, table, record, 201, headers)


def _relation_key(call: Call, values: Mapping[str, str]) -> str:
    kind = values.get("type", "")
    return f"{values.get('parent', '')}|{values.get('child', '')}|{call.world.rules.type_by_id.get(kind, kind)}"


def patch(call: Call, name: str, sys_id: str) -> Response:
    """Change what is sent; PUT does the same."""
    world = call.world
    table = table_of(call, name)
    record = find(call, table, sys_id)
    if not call.sight("write").row(record):
        raise _denied("Update")
    sent = _sent(call, world.tables[record.table], "write")
    before = dict(record.values)
    for column, value in sent.items():
        if value:
            record.values[column] = value
        else:
            record.values.pop(column, None)
    if record.values != before:
        _abort(call, world.tables[record.table], "update", record.values)
        now = world.clock.now()
        record.values["sys_updated_on"], record.values["sys_updated_by"] = now, call.user
        record.values["sys_mod_count"] = str(int(before.get("sys_mod_count", "0") or 0) + 1)
        with world.store.transaction():
            world.store.update_many([(record, record.table, before)])
            world.ledger.write(now, [Entry("update", record.table, sys_id, sys_id, content_hash(sent))])
    return _written(call, table, record, 200, {})


def delete(call: Call, name: str, sys_id: str) -> Response:
    """Remove a record; its files, relations and source rows go with it (inferred: the references cascade)."""
    world = call.world
    table = table_of(call, name)
    record = find(call, table, sys_id)
    if not call.sight("delete").row(record):
        raise _denied("Delete")
    _abort(call, world.tables[record.table], "delete", record.values)
    if table.name == ATTACHMENTS:
        attachments.remove(world, record)
        return Response(status_code=204)
    with world.store.transaction():
        gone = [record, *(world.store.around(sys_id) if table.root == "cmdb" else ())]
        for one in gone:
            world.store.delete(one)
            _audit(call, one)
        world.ledger.write(world.clock.now(), [Entry("delete", one.table, one.sys_id, one.sys_id, "") for one in gone])
        for file in attachments.of_record(world, sys_id):
            attachments.remove(world, file)
    return Response(status_code=204)


def _audit(call: Call, record: Record) -> None:
    """Note a deleted record: its table and sys_id, and when (documented columns)."""
    world = call.world
    if world.settings["audit.delete"] == "none":
        return
    now = world.clock.now()
    shown = record.values.get(world.tables[record.table].display, "")
    values = {"tablename": record.table, "documentkey": record.sys_id, "display_value": shown, "user": call.user}
    made = {"sys_created_on": now, "sys_updated_on": now, "sys_created_by": call.user, "sys_updated_by": call.user}
    world.store.insert(DELETED, DELETED, uuid4().hex, {**values, **made, "sys_mod_count": "0"})


def _abort(call: Call, table: Table, action: str, values: Mapping[str, str]) -> None:
    refused = call.world.aborted(table, action, values)
    if refused:
        raise ApiError(403, "Operation Failed", f"{refused}. Business Rule Stack: {refused.split(chr(39))[3]}")


def _sent(call: Call, table: Table, operation: str) -> dict[str, str]:
    body = call.document()
    if isinstance(body, Sequence) and not isinstance(body, str):
        body = body[0] if body else {}  # documented: only the first object of an array is used
    if not isinstance(body, Mapping):
        raise ApiError(400, "Exception while reading request", "The payload is not a JSON object")
    values = {}
    for name, given in body.items():
        column = table.columns.get(name)
        if column is None or name.startswith("sys_") or not call.sight(operation).column(table.name, name):
            continue
        value = text(given)
        if column.reference and value and call.flag("sysparm_input_display_value"):
            value = _by_display(call, column.reference, value)
        values[name] = value
    return values


def _by_display(call: Call, name: str, value: str) -> str:
    """A reference given by what it is called; several of one name: the oldest (inferred)."""
    table = call.world.tables.get(name)
    if table is None:
        return value
    records = Scope(call, table, parse(f"{table.display}={value}")).page(call, 1, 0)
    return records[0].sys_id if records else value


def _written(call: Call, table: Table, record: Record, status: int, headers: dict[str, str]) -> Response:
    if call.headers.get("x-no-response-body", "").lower() == "true":
        return Response(status_code=status, headers=headers)
    return json_response({"result": _shown(call, table, record)}, status, headers)
