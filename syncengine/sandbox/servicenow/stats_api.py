"""Aggregate API (documented: c_AggregateAPI): counts, sums, averages, groups; all numbers are text."""

from __future__ import annotations

import re
from typing import Any

from starlette.responses import Response

from syncengine.sandbox.query_sql import Compiler
from syncengine.sandbox.servicenow.errors import ApiError, json_response
from syncengine.sandbox.servicenow.requests import Call
from syncengine.sandbox.servicenow.table_api import Scope, query_of, table_of

FUNCTIONS = ("avg", "sum", "min", "max")
_HAVING = re.compile(r"(?P<name>\w+)\^(?P<field>\w+)\^(?P<op>[<>=!]+)\^(?P<value>-?\d+(\.\d+)?)")
_COMPARE = {"=": "=", "!=": "<>", ">": ">", "<": "<", ">=": ">=", "<=": "<="}


def get(call: Call, name: str) -> Response:
    """Statistics of one table."""
    table = table_of(call, name)
    scope = Scope(call, table, query_of(call, table))
    sight = call.sight("read")
    if not sight.open and not sight.table(name):
        return json_response({"result": {"stats": {}}})  # inferred: as a list, empty and not refused
    compiler = Compiler(call.world.tables, table)

    def column(field: str) -> str:
        found = compiler.expression(field)
        if found is None:
            raise ApiError(400, "Invalid field", field)
        return found[0]

    chosen: list[tuple[str, str, str]] = []
    if call.flag("sysparm_count"):
        chosen.append(("count", "", "count(*)"))
    for function in FUNCTIONS:
        for field in _list(call, f"sysparm_{function}_fields"):
            value = f"nullif({column(field)}, '')"
            # averages and sums are of numbers, smallest and largest of whatever the column holds
            number = f"CAST({value} AS REAL)" if function in ("avg", "sum") else value
            chosen.append((function, field, f"{function}({number})"))
    groups = _list(call, "sysparm_group_by")
    terms = [*(column(field) for field in groups), *(sql for _, _, sql in chosen)] or ["1"]
    sql = f"SELECT {', '.join(terms)} FROM record r WHERE {scope.sql}"
    if groups:
        sql += f" GROUP BY {', '.join(str(n + 1) for n in range(len(groups)))}{_having(call, column)}"
        sql += f" ORDER BY {', '.join(_order(call, groups, column))}"
    rows = call.world.store.db.execute(sql, scope.parameters).fetchall()
    if not groups:
        return json_response({"result": {"stats": _stats(chosen, rows[0])}})
    result = [
        {
            "stats": _stats(chosen, row[len(groups) :]),
            "groupby_fields": [
                {"field": field, "value": str(value)} for field, value in zip(groups, row, strict=False)
            ],
        }
        for row in rows
    ]
    return json_response({"result": result})


def _stats(chosen: list[tuple[str, str, str]], row: tuple[Any, ...]) -> dict[str, Any]:
    stats: dict[str, Any] = {}
    for (function, field, _), value in zip(chosen, row, strict=True):
        if function == "count":
            stats["count"] = str(value)
        else:
            stats.setdefault(function, {})[field] = _number(value)
    return stats


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    return "" if value is None else str(value)


def _having(call: Call, column: Any) -> str:
    given = call.parameters.get("sysparm_having", "")
    match = _HAVING.fullmatch(given)
    if match is None or match["op"] not in _COMPARE:
        return ""
    # observed form: count^priority^>^3; the field of a count does not matter
    term = "count(*)" if match["name"] == "count" else f"{match['name']}(CAST({column(match['field'])} AS REAL))"
    return f" HAVING {term} {_COMPARE[match['op']]} {float(match['value'])}"


def _order(call: Call, groups: list[str], column: Any) -> list[str]:
    terms = []
    for name in _list(call, "sysparm_order_by"):
        descending = name.startswith("-")
        field = name.lstrip("-")
        terms.append(("count(*)" if field.upper() == "COUNT" else column(field)) + (" DESC" if descending else ""))
    return terms + [str(n + 1) for n in range(len(groups))]


def _list(call: Call, name: str) -> list[str]:
    return [part.strip() for part in call.parameters.get(name, "").split(",") if part.strip()]
