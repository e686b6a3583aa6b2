"""Texts of an instance as typed columns."""

from __future__ import annotations

from decimal import Decimal

from syncengine.extract.columns import Typed, type_of
from syncengine.transport.dictionary import ColumnInfo


def test_values_become_typed_columns() -> None:
    """Limits of the types, and empty text as NULL."""
    kinds = {"n": "integer", "b": "boolean", "t": "glide_date_time", "d": "glide_date", "f": "decimal", "x": "float"}
    typed = Typed({name: type_of(ColumnInfo(name, kind, "", 0, "", "")) for name, kind in kinds.items()})
    rows = [
        {"n": "007", "b": "true", "t": "2026-02-28 23:59:59", "d": "2026-02-28", "f": "1.50", "x": "-1.5e3"},
        {"n": "9" * 30, "b": "yes", "t": "2026-02-31 00:00:00", "d": "28.2.2026", "f": "", "x": "1,5"},
        {"n": "", "b": "", "t": "", "d": "", "f": "x", "x": ""},
    ]
    found = typed.table(rows, list(kinds)).to_pydict()
    assert found["n"] == [7, None, None]
    assert found["b"] == [True, None, None]
    assert found["f"] == [Decimal("1.50"), None, None]
    assert found["x"] == [-1500.0, None, None]
    assert found["d__v_text"] == [None, "28.2.2026", None]
    assert found["t__v_text"] == [None, "2026-02-31 00:00:00", None]
    assert typed.misfits == {"n": 1, "b": 1, "t": 1, "d": 1, "x": 1, "f": 1}
