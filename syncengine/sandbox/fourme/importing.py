"""One import: a file, row by row, as far as it has come."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from syncengine.sandbox.fourme import groups
from syncengine.sandbox.fourme.csv_file import Broken, Line, Sheet, places
from syncengine.sandbox.fourme.rows import CREATED, DELETED, FAILURE, UNCHANGED, UPDATED, Context, Outcome, Refused

COUNTERS = (CREATED, UPDATED, DELETED, UNCHANGED, FAILURE, "errors")
TOO_MANY = "Too many import failures"
MADE = "refused by a fault rule"


class Fault(NamedTuple):
    """What a fault rule wants of a job: `error(5)`, `failures(3)`, `stuck`, …"""

    word: str = ""
    number: int | None = None

    @classmethod
    def parse(cls, text: str) -> Fault:
        """A fault as rules write it; raises ValueError."""
        match = re.fullmatch(r"(\w*)(?:\((\d+)\))?", text.strip())
        if match is None or match[1] not in FAULTS:
            raise ValueError(f"job({text}): there are {', '.join(sorted(FAULTS - {''}))}")
        return cls(match[1], int(match[2]) if match[2] else None)


FAULTS = frozenset({"", "stuck", "error", "failures", "forget", "back_to_queued", "unknown_state", "cut"})


class Import:
    """A file that is being imported; `step` takes it further, in a transaction of the caller."""

    def __init__(self, context: Context, content: bytes, fault: Fault, done: int, counts: dict[str, int]) -> None:
        self.context = context
        self.counts = counts
        self.done = done
        """Rows taken so far."""
        self.line = 1
        self.message = ""
        """Why it stopped before its end."""
        self.log: list[str] = []
        """Lines of the log that nobody has taken yet."""
        self._fault = fault
        self._writer = groups.writer(context)
        self._block: set[str] = set()
        self._lines: list[int] = []
        self._back: Line | None = None
        self._places: dict[str, int] = {}
        self._rows: Iterator[Line] = iter(())
        try:
            self._open(content)
        except Broken as fault_found:
            self._stop(str(fault_found))

    def _open(self, content: bytes) -> None:
        settings, kind = self.context.settings, self.context.kind
        sheet = Sheet(content, keep_mark=settings["fourme.utf8_bom"] == "kept")
        known = {name: name for name in kind.columns}
        if settings["fourme.header_case"] == "folded":
            known = {name.casefold(): name for name in kind.columns}
        for header, place in places(sheet.header, str(settings["fourme.repeated_header"])).items():
            name = known.get(header.casefold() if settings["fourme.header_case"] == "folded" else header)
            if name is not None:
                self._places[name] = place
            elif settings["fourme.unknown_header"] == "refused":
                raise Broken(f"Unknown column {header!r}")
            elif not self.done:
                self.log.append(f"line 1: column {header!r} is unknown and was ignored")
        self._rows = iter(sheet)
        for _number in range(self.done):
            next(self._rows, None)

    def step(self, limit: int) -> bool:
        """Take up to this many rows; False when there are none left, or the job has stopped.

        A step ends between the rows of two owners, so that a server that dies can go on from there.
        """
        taken = 0
        while not self.message:
            row = self._read()
            if row is None:
                self._close()
                return False
            cells = {name: row.cells[at] if at < len(row.cells) else "" for name, at in self._places.items()}
            if self._writer.begins(cells):
                if taken >= limit:
                    self._back = row
                    self._close()
                    return True
                self._close()
            self._take(row, cells)
            taken += 1
        return False

    def _read(self) -> Line | None:
        if self._fault.word == "cut" and self.done >= (self._fault.number or 0):
            return None
        row, self._back = self._back, None
        try:
            return row or next(self._rows, None)
        except Broken as fault:
            self._close()
            self._stop(str(fault))
            return None

    def _take(self, row: Line, cells: dict[str, str]) -> None:
        self._lines.append(row.number)
        self.line = row.number
        self.done += 1
        if self._fault.word == "failures" and self.done <= (self._fault.number or 1):
            self._fail(row.number, MADE)
        else:
            try:
                self._count(self._writer.take(cells))
            except Refused as refused:
                self._fail(row.number, str(refused))
        highest = self.context.settings.number("fourme.max_failures")
        stopped = self._fault.word == "error" and self.done >= (self._fault.number or 1)
        if stopped or (highest and self.counts[FAILURE] > highest):
            self._stop(TOO_MANY)

    def _close(self) -> None:
        """The rows of an owner have ended."""
        try:
            self._count(self._writer.end())
        except Refused as refused:
            for number in self._lines:
                self._fail(number, str(refused))
        self._block.clear()
        self._lines.clear()

    def _count(self, outcomes: list[Outcome]) -> None:
        owners = self.context.settings["fourme.counters"] == "owners"
        for outcome in outcomes:
            if owners and (self.context.kind.group or self.context.kind.name == "calendars"):
                if outcome.word in self._block:
                    continue
                self._block.add(outcome.word)
            self.counts[outcome.word] += 1

    def _fail(self, number: int, text: str) -> None:
        self.counts[FAILURE] += 1
        self.log.append(f"line {number}: {text}")

    def _stop(self, message: str) -> None:
        self.message = message
        self.counts["errors"] += 1
        self.log.append(f"stopped: {message}")
