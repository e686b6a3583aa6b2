"""Filters of a collection (documented: operators, sets, which fields; texts of the refusals).

`name=x`, `=!x` not, `=` empty, `=!` present, `=<x` `=<=x` `=>x` `=>=x`, `=>a<b` a range, `1,2,3` a set of numbers or
enumeration ids. String filters count the case, except those of which the pages say otherwise.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from syncengine.sandbox.fourme.errors import ApiError
from syncengine.sandbox.fourme.records import Record
from syncengine.sandbox.fourme.types import Column, Type

_FOLDED = {"people": {"primary_email", "supportID"}, "product_categories": {"source", "sourceID", "reference", "name"}}
_PIECE = re.compile(r"(<=|>=|<|>)([^<>]*)")
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_SETS = frozenset({"integer", "enum", "ref", "id"})
Field = Callable[[Record, str], Any]


class Filter(NamedTuple):
    """One condition on one field."""

    name: str
    kind: str
    negative: bool
    values: tuple[str, ...]
    """Any of these; empty text: the field is blank."""
    bounds: tuple[tuple[str, str], ...]
    folded: bool

    def sql(self) -> tuple[str, list[Any]] | None:
        """The condition over the columns of the table, where it can be one."""
        if self.bounds and self.kind == "time" and self.name in _COLUMNS:
            parts = [f"{_COLUMNS[self.name]}{sign}?" for sign, _value in self.bounds]
            return " AND ".join(parts), [_seconds(value) for _sign, value in self.bounds]
        if self.bounds or self.negative or self.folded or "" in self.values:
            return None
        if self.name == "id":
            return f"id IN ({','.join('?' * len(self.values))})", [int(v) if v.isdigit() else -1 for v in self.values]
        if self.name in ("source", "sourceID"):
            return f"{_COLUMNS[self.name]}=?", [self.values[0]]
        return None

    def meets(self, record: Record, field: Field) -> bool:
        """Whether a record is one that is wanted."""
        value = field(record, self.name)
        if self.bounds:
            return value is not None and all(_compare(sign, value, bound) for sign, bound in self.bounds)
        text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        wanted = self.values
        if self.folded:
            text, wanted = text.casefold(), tuple(one.casefold() for one in wanted)
        return (text in wanted) != self.negative


_COLUMNS = {"source": "source", "sourceID": "source_id", "created_at": "created", "updated_at": "updated"}


def filters_of(kind: Type, parameters: Mapping[str, str]) -> list[Filter]:
    """The filters of a query; raises 400 for what is none."""
    columns = {column.rest: column for column in kind.columns.values()}
    allowed = kind.rest.filters if kind.rest else frozenset()
    known = {*columns, *allowed, "id", "created_at", "updated_at"}
    unknown = sorted(set(parameters) - known)
    if unknown:
        raise ApiError(400, f"Unknown fields: {', '.join(unknown)}")
    refused = sorted(set(parameters) - allowed)
    if refused:
        raise ApiError(400, f"Filtering not allowed on fields: {', '.join(refused)}")
    return [_filter(kind, name, columns.get(name), text) for name, text in parameters.items()]


def _filter(kind: Type, name: str, column: Column | None, text: str) -> Filter:
    what = "id" if name == "id" else "time" if name.endswith("_at") else column.kind if column else "string"
    folded = name in _FOLDED.get(kind.name, ())
    if text[:1] in ("<", ">"):
        bounds = tuple(_PIECE.findall(text))
        if what == "time" and any(_seconds(value) is None for _sign, value in bounds):
            raise ApiError(400, f"Invalid value for field '{name}'")
        return Filter(name, what, False, (), bounds, folded)
    negative = text.startswith("!")
    text = text.removeprefix("!")
    values: tuple[str, ...] = (text,)
    if what in _SETS:
        values = tuple(text.split(","))
    elif what == "string" and "," in text and name in ("sourceID", "name", "subject", "source"):
        raise ApiError(400, f"Cannot apply the '=' operator to a set of values for field '{name}'")  # documented
    return Filter(name, what, negative, values, (), folded)


def _compare(sign: str, value: Any, bound: str) -> bool:
    if isinstance(value, int) and bound.removeprefix("-").isdigit():
        return _SIGNS[sign](value, int(bound))
    one, other = _seconds(str(value)), _seconds(bound)
    if one is not None and other is not None:
        return _SIGNS[sign](one, other)
    return _SIGNS[sign](str(value), bound)


def _seconds(text: str) -> float | None:
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()
