"""`inline`: small tables of constants, written in the spec."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from syncengine import sources
from syncengine.changes import Row
from syncengine.errors import Place


@dataclass(frozen=True, slots=True)
class Options(sources.Options):
    """Rows as texts; a column that a row does not write is empty there."""

    rows: tuple[Mapping[str, str | None], ...]
    file: str
    """The spec, for messages."""
    lines: tuple[int, ...]
    """The line of each row in it."""
    kind: str = "inline"


class InlineSource(sources.Source):
    """The rows of a spec."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for row in self._options.rows for name in row))

    def rows(self) -> Iterator[Row]:
        names = self.columns()
        for number, (row, line) in enumerate(zip(self._options.rows, self._options.lines, strict=True), 1):
            yield Row({name: row.get(name) for name in names}, Place(self._options.file, number, line))

    def digest(self) -> sources.Digest:
        text = repr([sorted(row.items()) for row in self._options.rows]).encode()
        return sources.Digest(hashlib.sha256(text).hexdigest(), len(text), len(self._options.rows))


def open_options(options: Options, access: sources.Access) -> InlineSource:
    """The kind's door; nothing is opened."""
    del access
    return InlineSource(options)
