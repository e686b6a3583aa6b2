"""Where rows come from. The folder is the registry: `sources/inline.py` is the kind `inline`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from syncengine.changes import BadRow, Row


@dataclass(frozen=True, slots=True)
class Digest:
    """What was read in a full pass: a content hash and a size."""

    sha256: str
    size: int
    rows: int


class Source(ABC):
    """A source gives rows; opening one reads nothing."""

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


def open_source(options: Options, base: Path) -> Source:
    """The source that the options describe; relative paths start at `base`, and may not leave it."""
    if options.kind not in kinds():
        raise LookupError(options.kind)
    module = import_module(f"{__name__}.{options.kind}")
    opened: Source = module.open_options(options, base)
    return opened
