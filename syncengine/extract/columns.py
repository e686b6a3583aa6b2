"""Rows of text as typed columns, by what the instance's dictionary says of them.

Types of sys_dictionary (documented: r_FieldTypes): times are UTC without a mark, booleans the words true and false. A
value that is not of its type is not lost: it stands in `<column>__v_text`, as dlt calls such columns, and is counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from syncengine.transport.dictionary import ColumnInfo

ASIDE = "__v_text"
_MOMENT = pa.timestamp("us", tz="UTC")
_TYPES: Mapping[str, pa.DataType] = {
    "integer": pa.int64(),
    "longint": pa.int64(),
    "long": pa.int64(),
    "auto_increment": pa.int64(),
    "boolean": pa.bool_(),
    "float": pa.float64(),
    "double": pa.float64(),
    "glide_date_time": _MOMENT,
    "due_date": _MOMENT,
    "glide_date": pa.date32(),
}
_FORMS = {
    pa.int64(): r"^[+-]?[0-9]{1,18}$",
    pa.float64(): r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$",
    pa.bool_(): r"^(true|false|1|0)$",
    _MOMENT: r"^[0-9]{4}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]$",
    pa.date32(): r"^[0-9]{4}-[01][0-9]-[0-3][0-9]$",
}
_WRITTEN = {_MOMENT: "%Y-%m-%d %H:%M:%S", pa.date32(): "%Y-%m-%d"}


def type_of(info: ColumnInfo | None) -> pa.DataType:
    """The type of a column; text where the dictionary knows nothing better."""
    return _TYPES.get(info.type, pa.string()) if info is not None else pa.string()


def column_name(name: str) -> str:
    """What a column is called in the destination: `caller_id.name` is `caller_id__name` there."""
    return name.replace(".", "__")


class Typed:
    """Makes typed tables of rows of text; counts the values that are not of their type."""

    def __init__(self, types: Mapping[str, pa.DataType]) -> None:
        self.types = dict(types)
        self.misfits: dict[str, int] = {}

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
