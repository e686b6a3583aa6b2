"""Where rows come from. The folder is the registry: `sources/inline.py` is the kind `inline`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

import msgspec

from syncengine.changes import BadRow, Row

if TYPE_CHECKING:
    from syncengine.transport.reader import Reader


class Digest(msgspec.Struct, frozen=True):
    """What was read in a full pass: a content hash and a size."""

    sha256: str
    size: int
    rows: int


class Window(msgspec.Struct, frozen=True):
    """The part of a table that an incremental source read, in the words of its column."""

    table: str
    by: str
    start: str
    """The least value that was read; empty for all rows."""
    end: str
    """Where the next window starts: up to there, all changes were to be seen."""


class Remark(msgspec.Struct, frozen=True):
    """Something about what was read that a person should know."""

    code: str
    message: str
    count: int
    fix: str = ""


class Access(msgspec.Struct, frozen=True):
    """What a source needs besides its options."""

    base: Path
    """Relative paths start here, and may not leave it."""
    reader: Reader | None = None
    """The way to the system whose rows they are; None offline."""
    cursor: str = ""
    """Where the window of an incremental source ended that was applied last; empty: read all."""
    before_cursor: bool = False
    """Read the rows that are older than that instead."""


class Source(ABC):
    """A source gives rows; opening one reads nothing."""

    is_complete = True
    """False after a pass that did not see every row there is: nothing can be taken to have vanished."""

    def window(self) -> Window | None:
        """What the last pass read, where a source reads only what changed."""
        return None

    def remarks(self) -> list[Remark]:
        """What there is to say about the last pass."""
        return []

    @abstractmethod
    def columns(self) -> tuple[str, ...] | None:
        """The columns, as far as they can be known without reading all rows; None where they cannot."""

    @abstractmethod
    def rows(self) -> Iterator[Row | BadRow]:
        """All rows in order, in bounded memory; a row that cannot be read comes as a `BadRow` without step.

        Raises `SourceError`.
        """

    @abstractmethod
    def digest(self) -> Digest:
        """Of the bytes that the last full pass really read; reads all if there was none."""

    def sha256(self) -> str:
        """The content hash alone, as `digest` gives it; sources that can tell it without reading rows do."""
        return self.digest().sha256


class Options(ABC):
    """What a spec may say about a source of a kind; each kind has its own, frozen and typed."""

    kind: str


def kinds() -> tuple[str, ...]:
    """The kinds of source there are, by the modules of this folder."""
    return tuple(sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_")))


def open_source(options: Options, access: Access | Path) -> Source:
    """The source that the options describe; a path is access to files alone; LookupError for an unknown kind."""
    if options.kind not in kinds():
        raise LookupError(options.kind)
    module = import_module(f"{__name__}.{options.kind}")
    opened: Source = module.open_options(options, Access(access) if isinstance(access, Path) else access)
    return opened
