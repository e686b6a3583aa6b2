"""Which rows a pass over a table reads, and where the next one begins.

A pass reads rows whose `sys_updated_on` is not before its start, in order of sys_id: a row that changes meanwhile stays
among them and keeps its place. The next pass starts where this one began, so what came behind the reader is read then.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from syncengine.errors import NOTHING_WRITTEN, Problem, RemoteError
from syncengine.sources.servicenow import MOMENT, Incremental, earlier
from syncengine.transport.reader import Reader
from syncengine.transport.servicenow import table_path

CHANGES = "sys_mod_count"
"""Tells apart two changes of one second."""
RECENT_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Horizon:
    """What there is to read, seen just before it is read."""

    began: str
    """Where the next pass starts; empty: at the beginning."""
    moment: str
    """The instance's clock less the lag; empty where it does not tell the time."""
    total: int | None
    """How many rows there are in the window."""


def clause(query: str, by: str, start: str) -> str:
    """The encoded query of a window."""
    return "^".join(part for part in (query, f"{by}>={start}" if start else "") if part)


def look(reader: Reader, table: str, query: str, rule: Incremental | None, start: str) -> Horizon:
    """The horizon of a pass; without a rule (the table does not tell when rows change) only how much there is.

    What changed longer ago than the lag is settled: it can be seen by now. So the next pass starts at the newest change
    there is, or the lag before now, whichever is earlier. Without a clock it starts the lag before the newest change.
    Raises AuthError, RemoteError.
    """
    params = {"sysparm_query": query, "sysparm_limit": "1", "sysparm_fields": "sys_id"}
    if rule is not None:
        parts = (clause(query, rule.by, start), f"{rule.by}ISNOTEMPTY^ORDERBYDESC{rule.by}")
        params["sysparm_query"] = "^".join(part for part in parts if part)
        params["sysparm_fields"] = f"sys_id,{rule.by}"
    path = table_path(table)
    answer = reader.get(path, params)
    rows = answer.body.get("result") if isinstance(answer.body, dict) else None
    if not isinstance(rows, list):
        said = "the server's answer cannot be used: no list of rows in the answer"
        raise RemoteError(Problem("unexpected-answer", said, f"GET {path}"), effect=NOTHING_WRITTEN)
    counted = answer.headers.get("x-total-count", "").strip()
    total = int(counted) if counted.isascii() and counted.isdigit() and len(counted) < 12 else None
    if rule is None:
        return Horizon("", "", total)
    newest = plain(rows[0], rule.by) if rows and isinstance(rows[0], dict) else ""
    moment = _clock(answer.headers, rule.lag)
    if not newest:
        return Horizon(start, moment, total)
    began = min(newest, moment) if moment else earlier(newest, rule.lag)
    return Horizon(max(began, start), moment, total)


def _clock(headers: Mapping[str, str], lag: float) -> str:
    try:
        told = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return ""
    return (told.astimezone(dt.UTC) - dt.timedelta(seconds=lag)).strftime(MOMENT)


def stamp(row: Mapping[str, Any], by: str) -> str:
    """Which version of a row this is."""
    return f"{plain(row, by)} {plain(row, CHANGES)}"


def plain(row: Mapping[str, Any], name: str) -> str:
    """The stored value of a column, however it is answered."""
    value = row.get(name, "")
    return str(value.get("value", "") if isinstance(value, dict) else value)
