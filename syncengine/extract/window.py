"""Which rows a pass over a table reads, and where the next one begins.

A pass reads rows whose `sys_updated_on` is not before its start, in order of sys_id: a row that changes meanwhile stays
among them and keeps its place. The next pass starts where this one began, so what came behind the reader is read then.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from syncengine.sources.servicenow import Incremental, settled, stamp
from syncengine.transport.dictionary import newest
from syncengine.transport.reader import Reader

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

    Raises AuthError, RemoteError.
    """
    if rule is None:
        return Horizon("", "", newest(reader, table, query, "sys_id").total)
    seen = newest(reader, table, clause(query, rule.by, start), rule.by)
    moment = "" if seen.clock is None else stamp(seen.clock - dt.timedelta(seconds=rule.lag))
    return Horizon(max(settled(seen.value, seen.clock, rule.lag), start), moment, seen.total)


def version(row: Mapping[str, Any], by: str) -> str:
    """Which version of a row this is."""
    return f"{plain(row, by)} {plain(row, CHANGES)}"


def plain(row: Mapping[str, Any], name: str) -> str:
    """The stored value of a column, however it is answered."""
    value = row.get(name, "")
    return str(value.get("value", "") if isinstance(value, dict) else value)
