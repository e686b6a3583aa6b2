"""Aggregate API: counts, sums and groups that the instance makes (documented: c_AggregateAPI; all numbers are text)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from syncengine.errors import NOTHING_WRITTEN, Problem, RemoteError
from syncengine.transport.reader import Reader
from syncengine.transport.servicenow import table_path

FUNCTIONS = ("sum", "avg", "min", "max")


def aggregate_columns(group_by: Sequence[str], functions: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The columns of the rows that `aggregates` gives: the groups, `count`, and `sum_priority` and its like."""
    made = [f"{name}_{field}" for name in FUNCTIONS for field in functions.get(name, ())]
    return (*group_by, "count", *made)


def aggregates(
    reader: Reader, table: str, query: str, group_by: Sequence[str], functions: Mapping[str, Sequence[str]]
) -> Iterator[dict[str, str]]:
    """One row per group, in the order of the answer; without groups one row. Raises RemoteError for an odd answer."""
    path = table_path(table).replace("/table/", "/stats/")
    params = {"sysparm_count": "true"}
    if query:
        params["sysparm_query"] = query
    if group_by:
        params["sysparm_group_by"] = ",".join(group_by)
    for name in FUNCTIONS:
        if functions.get(name):
            params[f"sysparm_{name}_fields"] = ",".join(functions[name])
    answer = reader.get(path, params)
    result = answer.body.get("result") if isinstance(answer.body, dict) else None
    groups = result if isinstance(result, list) else [result]
    for group in groups:
        if not isinstance(group, dict) or not isinstance(group.get("stats"), dict):
            raise RemoteError(
                Problem("unexpected-answer", "the server's answer cannot be used: no statistics", f"GET {path}"),
                effect=NOTHING_WRITTEN,
            )
        yield _row(group, group_by, functions)


def _row(group: Mapping[str, Any], group_by: Sequence[str], functions: Mapping[str, Sequence[str]]) -> dict[str, str]:
    said = {str(one.get("field")): str(one.get("value", "")) for one in group.get("groupby_fields", ())}
    row = {name: said.get(name, "") for name in group_by}
    stats = group["stats"]
    row["count"] = str(stats.get("count", ""))
    for name in FUNCTIONS:
        of = stats.get(name)
        for field in functions.get(name, ()):
            value = of.get(field, "") if isinstance(of, dict) else ""
            row[f"{name}_{field}"] = "" if value is None else str(value)
    return row
