"""What an instance says about the columns of a table, and what happened to its rows.

sys_db_object names a table's parent, sys_dictionary its columns, sys_audit_delete the rows that were removed. Tables
and columns are documented; that an audited table alone is in sys_audit_delete is, too.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import msgspec

from syncengine.errors import AuthError, Problem, RemoteError
from syncengine.transport.reader import Reader
from syncengine.transport.servicenow import find_rows, table_path, table_rows, total_count

DEEPEST = 30
NOT_READABLE = ("→ 400", "→ 403", "→ 404")
"""How an instance answers for a table that is not there or not for this user (400 and 403 observed)."""


class ColumnInfo(msgspec.Struct, frozen=True):
    """One column of a table, inherited ones included."""

    name: str
    type: str
    label: str
    max_length: int
    reference: str
    """The table it refers to."""
    table: str
    """The table that defines it."""


def ancestors(reader: Reader, table: str) -> list[str]:
    """The table and those it extends, nearest first; empty where there is none or nobody may know."""
    found: list[str] = []
    rows = find_rows(reader, "sys_db_object", [("name", table)], ["name", "super_class"])
    while rows and len(found) < DEEPEST:
        found.append(rows[0]["name"])
        parent = rows[0].get("super_class", "")
        rows = find_rows(reader, "sys_db_object", [("sys_id", parent)], ["name", "super_class"]) if parent else []
    return found


def similar_tables(reader: Reader, table: str) -> list[str] | None:
    """Tables with a name like one that is not there; None where the list of tables is not for this user."""
    try:
        if ancestors(reader, table) or not ancestors(reader, "sys_user"):
            return None
        names = [row["name"] for row in table_rows(reader, "sys_db_object", f"nameSTARTSWITH{table[:3]}", ("name",))]
    except (AuthError, RemoteError) as error:
        if is_not_readable(error):
            return None
        raise
    return get_close_matches(table, names, 3, 0.6)


def columns_of(reader: Reader, table: str) -> dict[str, ColumnInfo]:
    """The columns of a table by name; empty where the dictionary is not for this user."""
    try:
        path = ancestors(reader, table)
        if not path:
            return {}
        fields = ("name", "element", "internal_type", "column_label", "max_length", "reference")
        query = f"nameIN{','.join(path)}^elementISNOTEMPTY"
        found: dict[str, ColumnInfo] = {}
        rank = {name: number for number, name in enumerate(path)}
        rows = sorted(table_rows(reader, "sys_dictionary", query, fields), key=lambda row: rank.get(row["name"], 99))
    except (AuthError, RemoteError) as error:
        if is_not_readable(error):
            return {}
        raise
    for row in rows:
        length = row.get("max_length", "")
        info = ColumnInfo(
            row["element"],
            row.get("internal_type", "") or "string",
            row.get("column_label", ""),
            int(length) if length.isascii() and length.isdigit() else 0,
            row.get("reference", ""),
            row["name"],
        )
        found.setdefault(info.name, info)
    return found


def is_not_readable(error: AuthError | RemoteError) -> bool:
    """Whether a table is closed to this user, or not there; the login itself is right."""
    return any(status in str(problem.place) for problem in error.problems for status in NOT_READABLE)


class Newest(NamedTuple):
    """How far a table is."""

    value: str
    """The greatest value of the column; empty where there is no row."""
    clock: dt.datetime | None
    """The instance's own time when it answered; None where it does not tell it."""
    total: int | None
    """How many rows there are; None where the instance does not count them."""


def newest(reader: Reader, table: str, query: str, by: str) -> Newest:
    """The greatest value of a column among the rows of a query that have one, and what the instance's clock showed.

    RemoteError for an answer that is no list of rows.
    """
    clauses = [clause for clause in (query, f"{by}ISNOTEMPTY", f"ORDERBYDESC{by}") if clause]
    params = {
        "sysparm_query": "^".join(clauses),
        "sysparm_limit": "1",
        "sysparm_fields": by,
        "sysparm_exclude_reference_link": "true",
    }
    path = table_path(table)
    answer = reader.get(path, params)
    body = answer.body
    rows = body.get("result") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise RemoteError(Problem("unexpected-answer", "no list of rows in the answer", f"GET {path}"))
    value = rows[0].get(by, "") if rows and isinstance(rows[0], dict) else ""
    if rows and not isinstance(value, str):
        raise RemoteError(Problem("unexpected-answer", f"{by} of {table} is no text", f"GET {path}"))
    return Newest(value, _clock(answer.headers), total_count(answer))


def _clock(headers: Mapping[str, str]) -> dt.datetime | None:
    try:
        return parsedate_to_datetime(headers.get("date", "")).astimezone(dt.UTC)
    except ValueError:
        return None


def deleted(reader: Reader, tables: list[str], since: str) -> Iterator[tuple[str, str]] | None:
    """The sys_id and time of rows that were removed from tables since then; None where that cannot be read."""
    if not since:
        return iter(())
    query = f"tablenameIN{','.join(tables)}^sys_created_on>={since}"
    try:
        rows = list(table_rows(reader, "sys_audit_delete", query, ("documentkey", "sys_created_on")))
    except (AuthError, RemoteError) as error:
        if is_not_readable(error):
            return None
        raise
    return ((row.get("documentkey", ""), row.get("sys_created_on", "")) for row in rows)
