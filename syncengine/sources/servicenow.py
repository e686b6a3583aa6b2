"""`servicenow`: rows of a table of an instance; described and checked, and not read yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from syncengine import sources
from syncengine.changes import Row
from syncengine.errors import Problem, SourceError


@dataclass(frozen=True, slots=True)
class Options(sources.Options):
    """A table, and which of its rows and columns."""

    table: str
    query: str = ""
    fields: tuple[str, ...] = ()
    display_value: bool = False
    connection: str | None = None
    kind: str = "servicenow"


class TableSource(sources.Source):
    """The rows of a table."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def columns(self) -> tuple[str, ...] | None:
        return self._options.fields or None

    def rows(self) -> Iterator[Row]:
        said = f"Rows of {self._options.table} cannot be read by this version"
        raise SourceError(Problem("not-yet", said, self._options.table, fix="Export the table as CSV or JSON."))

    def digest(self) -> sources.Digest:
        return sources.Digest("", 0, 0)


def open_options(options: Options, base: Path) -> TableSource:
    """The kind's door; nothing is opened."""
    del base
    return TableSource(options)
