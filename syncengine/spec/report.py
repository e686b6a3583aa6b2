"""What is found wrong while a file is read, collected so that reading goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from syncengine.errors import Position, Problem


class Wrong(Exception):
    """Reading a value failed; its problem is already reported."""


class Report(msgspec.Struct):
    """Collects what is wrong, so that reading goes on."""

    file: str
    problems: list[Problem] = msgspec.field(default_factory=list)
    keys: list[str] = msgspec.field(default_factory=list)
    """The keys under which is being read, outermost first."""

    @contextmanager
    def under(self, key: str) -> Iterator[None]:
        """Below one more key."""
        self.keys.append(key)
        try:
            yield
        finally:
            self.keys.pop()

    def add(self, code: str, message: str, position: Position | str, fix: str = "", found: str = "") -> None:
        """Notes a problem."""
        self.problems.append(Problem(code, message[:160], position, found[:80], fix))

    def stop(self, code: str, message: str, position: Position, fix: str = "", found: str = "") -> Wrong:
        """Notes a problem and gives the exception to raise."""
        self.add(code, message, position, fix, found)
        return Wrong()

    def warn(self, code: str, message: str, position: Position, fix: str = "") -> None:
        """Notes what is not an error."""
        self.problems.append(Problem(code, message[:160], position, "", fix, "warning"))
