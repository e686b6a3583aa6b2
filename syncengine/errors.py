"""What can go wrong, and how it is told.

    SyncError                 one root; carries problems, an exit class and an effect
    ├── SpecError             3   command line, spec or template is wrong
    ├── SourceError           4   source data unreadable, or breaks the spec's rules
    ├── AuthError             5   the server refused the login or the permission
    ├── RemoteError           6   server unreachable, overloaded or nonsensical
    ├── StaleError            8   the plan may not be applied
    ├── LockedError           9   another run owns this spec and target
    ├── UnsafeError          10   a guard said no
    └── StateError           11   journal or state damaged, or the disk refused a write

Bad input is collected (many problems, one error); a broken world is raised (one problem).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, NamedTuple

NOTHING_SENT = "Nothing was sent."
NOTHING_WRITTEN = "Nothing was written."


class Exit(IntEnum):
    """The exit classes of the command line; the names are the contract, see docs/cli.md."""

    OK = 0
    BUG = 1
    CHANGES = 2
    SPEC = 3
    SOURCE = 4
    AUTH = 5
    REMOTE = 6
    PARTIAL = 7
    STALE = 8
    LOCKED = 9
    UNSAFE = 10
    STATE = 11
    UNKNOWN = 12
    INTERRUPTED = 130
    TERMINATED = 143


EXIT_ORDER = (
    Exit.BUG,
    Exit.STATE,
    Exit.UNKNOWN,
    Exit.STALE,
    Exit.UNSAFE,
    Exit.AUTH,
    Exit.REMOTE,
    Exit.INTERRUPTED,
    Exit.TERMINATED,
    Exit.LOCKED,
    Exit.PARTIAL,
    Exit.SOURCE,
    Exit.SPEC,
    Exit.CHANGES,
    Exit.OK,
)


def worst(exits: Iterable[Exit]) -> Exit:
    """The exit a process ends with when several apply."""
    return min(exits, key=EXIT_ORDER.index, default=Exit.OK)


def many(number: int, noun: str) -> str:
    """A number with its noun: `1 spec`, `2,000 batches`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "es" if noun.endswith("ch") else "s")


def visible(text: str, keep: str = "") -> str:
    """Foreign text with what cannot be printed spelled out (`\\n`, `\\x1b`, `\\u202e`): it stays one inert line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


class Position(NamedTuple):
    """A place in a file that a person wrote; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Place(NamedTuple):
    """A row of a source; row counts data rows from 1, line the lines of the file (0: unknown)."""

    file: str
    row: int
    line: int

    def __str__(self) -> str:
        if not self.row:  # before the first row, or of the file as a whole
            return f"{self.file} line {self.line}" if self.line else self.file
        return f"{self.file} row {self.row}" + (f", line {self.line}" if self.line else "")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: what, where, what was found, and what to do next."""

    code: str
    """A readable slug, stable across releases: `unknown-column`."""
    message: str
    """One sentence, at most 160 characters."""
    place: Position | Place | str = ""
    """Where: a position in a spec, a row of a source, or `POST /path → 403`."""
    found: str = ""
    """What was found there; cut at 80 characters when shown."""
    fix: str = ""
    """The next thing a person can do; several lines are allowed (text to paste)."""
    severity: Literal["error", "warning"] = "error"


class SyncError(Exception):
    """Something stopped the command; shown as problems and one effect line, never as a traceback."""

    exit: Exit = Exit.BUG

    def __init__(self, problems: Problem | Sequence[Problem], *, effect: str = NOTHING_SENT) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        self.effect = effect
        super().__init__("; ".join(problem.message for problem in self.problems))


class SpecError(SyncError):
    """A command line, spec or template is wrong; no server was contacted."""

    exit = Exit.SPEC


class SourceError(SyncError):
    """Source data cannot be read, or breaks the rules of the spec."""

    exit = Exit.SOURCE


class AuthError(SyncError):
    """The server refused the login or the permission."""

    exit = Exit.AUTH


class RemoteError(SyncError):
    """The server is unreachable, overloaded or nonsensical after all retries."""

    exit = Exit.REMOTE


class StaleError(SyncError):
    """The plan may not be applied: something it was made from is different now."""

    exit = Exit.STALE


class LockedError(SyncError):
    """Another run owns this spec and target."""

    exit = Exit.LOCKED


class UnsafeError(SyncError):
    """A guard said no."""

    exit = Exit.UNSAFE


class StateError(SyncError):
    """The journal or a state file is damaged, or the disk refused a write."""

    exit = Exit.STATE
