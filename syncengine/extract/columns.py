"""Rows of text as typed columns, by what the instance's dictionary says of them.

Types of sys_dictionary (documented: r_FieldTypes): times are UTC without a mark, booleans the words true and false. A
value that is not of its type is not lost: it stands in `<column>__v_text`, as dlt calls such columns, and is counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from syncengine.sources.servicenow import DISPLAY_OF
from syncengine.transport.dictionary import ColumnInfo

ASIDE = "__v_text"
_MOMENT = pa.timestamp("us", tz="UTC")
_TYPES: Mapping[str, pa.DataType] = {
    "integer": pa.int64(),
    "longint": pa.int64(),
    "long": pa.int64(),
    "auto_increment": pa.int64(),
    "boolean": pa.bool_(),
    **dict.fromkeys(("decimal", "currency", "currency2", "price", "percent_complete"), pa.decimal128(38, 9)),
    "float": pa.float64(),
    "double": pa.float64(),
    "glide_date_time": _MOMENT,
    "due_date": _MOMENT,
    "glide_date": pa.date32(),
}
_SYSTEM = {"sys_updated_on": _MOMENT, "sys_created_on": _MOMENT, "sys_mod_count": pa.int64()}
"""What is known where the dictionary may not be read."""
_FORMS = {
    pa.int64(): r"^[+-]?[0-9]{1,18}$",
    pa.decimal128(38, 9): r"^[+-]?[0-9]{1,28}(\.[0-9]{1,9})?$",
    pa.float64(): r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$",
    pa.bool_(): r"^(true|false|1|0)$",
    _MOMENT: r"^[0-9]{4}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]$",
    pa.date32(): r"^[0-9]{4}-[01][0-9]-[0-3][0-9]$",
}
_WRITTEN = {_MOMENT: "%Y-%m-%d %H:%M:%S", pa.date32(): "%Y-%m-%d"}


def type_of(info: ColumnInfo | None, name: str = "") -> pa.DataType:
    """The type of a column; text where the dictionary knows nothing better."""
    return _TYPES.get(info.type, pa.string()) if info is not None else _SYSTEM.get(name, pa.string())


def column_name(name: str) -> str:
    """What a column is called in the destination: `caller_id.name` is `caller_id__name` there."""
    return name.replace(".", "__")


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of texts; of both forms of a value the second becomes a column of its own."""
    if not any(isinstance(value, dict) for value in row.values()):
        return dict(row)
    made: dict[str, Any] = {}
    for name, value in row.items():
        if not isinstance(value, dict):
            made[name] = value
        elif "value" not in value:
            made[name] = value.get("display_value")
        else:
            made[name] = value["value"]
            if name not in ("sys_id", *_SYSTEM):
                made[f"{name}{DISPLAY_OF}"] = value.get("display_value")
    return made


class Typed:
    """Makes typed tables of rows of text; counts the values that are not of their type."""

    def __init__(self, types: Mapping[str, pa.DataType]) -> None:
        self.types = dict(types)
        self.misfits: dict[str, int] = {}

    def empty(self, columns: Sequence[str]) -> pa.Table:
        """No row, but the columns."""
        return self.table([], columns)

    def table(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pa.Table:
        """A block of rows; empty texts are NULL, `sys_id` never is."""
        made: dict[str, pa.Array] = {}
        fields: list[pa.Field] = []
        for name in columns:
            texts = pa.array([row.get(name) for row in rows], pa.string())
            texts = pc.if_else(pc.equal(texts, ""), None, texts)
            shown = column_name(name)
            typed, aside = self._typed(texts, self.types.get(name, pa.string()))
            made[shown] = typed
            fields.append(pa.field(shown, typed.type, nullable=name != "sys_id"))
            if aside is not None:
                self.misfits[name] = self.misfits.get(name, 0) + len(aside) - aside.null_count
                made[shown + ASIDE] = aside
                fields.append(pa.field(shown + ASIDE, pa.string()))
        return pa.table(list(made.values()), schema=pa.schema(fields))

    def _typed(self, texts: pa.Array, kind: pa.DataType) -> tuple[pa.Array, pa.Array | None]:
        if kind == pa.string():
            return texts, None
        fits = pc.match_substring_regex(texts, _FORMS[kind])
        good = pc.if_else(pc.fill_null(fits, False), texts, None)
        form = _WRITTEN.get(kind)
        if form is not None:
            moment = pc.strptime(good, form, "s", error_is_null=True)
            # the C library takes 31 February for 3 March
            moment = pc.if_else(pc.equal(pc.strftime(moment, form), good), moment, None)
            typed = pc.cast(pc.cast(moment, pa.timestamp("us", tz="UTC")) if kind == _MOMENT else moment, kind)
        else:
            typed = pc.cast(good, kind)
        if typed.null_count == texts.null_count:
            return typed, None
        return typed, pc.if_else(pc.is_null(typed), texts, None)
