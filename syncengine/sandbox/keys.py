"""Search keys: the attribute sets by which the engine looks for records, as rows of an index.

A kind is a table and its attributes; every record of the table (and of the classes below it) that has the attributes
gets one row per kind. So a payload of 500 items costs one query per kind, not one per item.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from syncengine.sandbox.encoded_query import fold

SEPARATOR = "\x1f"


class Kind(NamedTuple):
    """One searchable set of attributes."""

    number: int
    table: str
    attributes: tuple[str, ...]
    allow_null: bool
    exact: bool
    """Compare as written, instead of trimmed and without regard to case."""
    query: bool = False
    """Compare as the operator = of a query does: blanks count, the case of letters only where `exact`."""

    def spec(self) -> str:
        """What the number stands for; the same in every start."""
        flags = ("n" if self.allow_null else "") + ("x" if self.exact else "") + ("q" if self.query else "")
        return f"{self.table}:{','.join(self.attributes)}:{flags}"

    def key(self, values: Mapping[str, str]) -> str | None:
        """The record's key of this kind, or None where it lacks what the key needs."""
        if self.query:
            given = [values.get(attribute, "") for attribute in self.attributes]
            if not self.allow_null and not all(given):
                return None
            return SEPARATOR.join(given if self.exact else map(fold, given))
        if len(self.attributes) == 1:
            value = values.get(self.attributes[0], "")
            if not self.exact:
                value = value.strip().casefold()
            return value or None
        parts = []
        filled = 0
        for attribute in self.attributes:
            value = values.get(attribute, "")
            if not self.exact:
                value = value.strip().casefold()
            if value:
                # documented: of two criteria, it is the one beside sys_class_name that must be filled
                filled += attribute != "sys_class_name"
            elif not self.allow_null:
                return None
            parts.append(value)
        return SEPARATOR.join(parts) if filled else None
