"""Another source as a table to look things up in: `lookup_in`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice, product
from typing import Any

from syncengine.changes import Row
from syncengine.mapping.model import LookupIn
from syncengine.mapping.operators import MAX_ITEMS, Skip, Wrong, limited, text
from syncengine.mapping.paths import split
from syncengine.mapping.values import cleaner, walk


class Table:
    """Rows of a source by some of their columns; read once, on first use."""

    def __init__(self, rule: LookupIn, rows: Callable[[], Iterable[Row]], no_value: frozenset[str]) -> None:
        self._rule = rule
        self._rows = rows
        self._clean = cleaner(no_value)
        self._index: dict[tuple[str, ...], list[str]] | None = None

    def find(self, key: tuple[str | None, ...]) -> Any:
        """The value to take, or None; raises Wrong or Skip where nothing is found and the rule says so."""
        found = None if None in key else self._found(key)
        if found is None and self._rule.if_missing != "omit":
            kind = Wrong if self._rule.if_missing == "error" else Skip
            raise kind("missing-row", f"There is no row in {self._rule.source} for this value", key)
        return found

    def find_each(self, key: tuple[Any, ...]) -> Any:
        """The values to take for a key with lists among its parts: what each element finds, in their order."""
        if not any(isinstance(one, (list, tuple)) for one in key):
            return self.find(tuple(map(text, key)))
        every = product(*(one if isinstance(one, (list, tuple)) else (one,) for one in key))
        found: list[str] = []
        for one in limited(list(islice(every, MAX_ITEMS + 1))):
            found += self.find(tuple(map(text, one))) or ()
        return list(dict.fromkeys(found)) or None

    def _found(self, key: tuple[str | None, ...]) -> Any:
        if self._index is None:
            self._index = self._read()
        found = self._index.get(key)  # type: ignore[arg-type]
        if not found:
            return None
        if self._rule.many == "list":
            return list(dict.fromkeys(found))
        if len(found) > 1 and self._rule.many == "error" and len(set(found)) > 1:
            raise Wrong(
                "many-rows",
                f"{len(found)} rows of {self._rule.source} fit, with different values",
                ", ".join(str(one) for one in key),
                "many: first  takes the first, many: list  takes all.",
            )
        return found[0]

    def _read(self) -> dict[tuple[str, ...], list[str]]:
        columns = [(name, split(name)) for name, _ in self._rule.where]
        take = split(self._rule.take)
        index: dict[tuple[str, ...], list[str]] = {}
        for row in self._rows():
            key = tuple(self._get(row, whole, parts) for whole, parts in columns)
            value = self._get(row, self._rule.take, take)
            if None not in key and value is not None:
                index.setdefault(key, []).append(value)  # type: ignore[arg-type]
        return index

    def _get(self, row: Row, whole: str, parts: tuple[str | int, ...]) -> str | None:
        return text(self._clean(walk(row.values, whole, parts)))


class Tables:
    """The tables of a step; `open_rows` gives the rows of a source by its name, `no_value` its empty texts."""

    def __init__(
        self,
        open_rows: Callable[[str], Iterable[Row]] | None = None,
        no_value: Callable[[str], frozenset[str]] | None = None,
    ) -> None:
        self._open = open_rows
        self._no_value = no_value

    def table(self, rule: LookupIn) -> Table:
        """A table for one rule."""
        opened = self._open
        if opened is None:
            raise LookupError(f"no rows for the source {rule.source}")
        empty = self._no_value(rule.source) if self._no_value else frozenset({""})
        return Table(rule, lambda: opened(rule.source), empty)
