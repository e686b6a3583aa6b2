"""One sandbox for many tests: emptied before each, and lent to projects that would start one of their own."""

from __future__ import annotations

import calendar
import contextlib
import shutil
import time
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from syncengine.sandbox.process import Running, attach

ON_TIME, TODAY = 5, 86_400
"""How many seconds the clock of a sandbox may be from this machine's; tests move it."""


@dataclass(frozen=True, slots=True)
class Watched(Running):
    """A sandbox that remembers which faults it was asked for, and which took place."""

    asked: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)

    def faults(self, *rules: str) -> list[dict[str, Any]]:
        """As of every sandbox."""
        found = Running.faults(self, *rules)
        self.asked.extend(rules)
        return found

    def reset(self) -> None:
        """As of every sandbox; it forgets what took place."""
        if self.asked:
            self.taken.extend(one["rule"] for one in self.met())
        Running.reset(self)

    def unmet(self) -> list[str]:
        """Rules by which nothing ever happened: a test of such a fault would prove nothing. Chance may spare a test."""
        if not self.asked:
            return []
        taken = {*self.taken, *(one["rule"] for one in self.met())}
        return [rule for rule in self.asked if rule not in taken and "rate=" not in rule and "every=" not in rule]


class Shared:
    """A sandbox in a process of its own, which lasts until a test needs one whose clock was not moved."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._started = 0
        self._stack = contextlib.ExitStack()
        self._running: Watched | None = None

    @property
    def folder(self) -> Path:
        """Where it keeps its data."""
        return self._place / str(self._started)

    def empty(self, off: float = TODAY) -> Watched:
        """With no records, no faults and the settings that it ships with.

        Its clock goes on, and cannot go back: where it is further from this machine's than `off`, it is another one.
        """
        if self._running is not None:
            told = time.strptime(self._running.control("GET", "identity")["time"], "%Y-%m-%d %H:%M:%S")
            if abs(calendar.timegm(told) - time.time()) > off:
                self.close()
        if self._running is None:
            self._started += 1
            made = self._stack.enter_context(attach(self.folder, seeds=[]))
            self._running = Watched(**{one.name: getattr(made, one.name) for one in fields(made)})
        sandbox = self._running
        sandbox.clear_faults()
        changed = {n: said["default"] for n, said in sandbox.settings().items() if said["value"] != said["default"]}
        if changed:
            sandbox.control("POST", "settings", changed)
        sandbox.asked.clear()
        sandbox.reset()
        sandbox.taken.clear()
        return sandbox

    def on_time(self) -> Watched:
        """An empty one that has the time of this machine."""
        return self.empty(ON_TIME)

    def lend(self, folder: Path, *, has_bursts: bool = False) -> Running:
        """Let the project of a folder use it instead of starting one; 4me counts bursts if wanted."""
        sandbox = self.on_time()
        if not has_bursts:
            sandbox.settings(fourme__burst_requests=0)
        place = folder / ".syncengine" / "sandbox"
        place.mkdir(mode=0o700, parents=True)
        shutil.copy(self.folder / "run.json", place)  # commands that find this one running attach to it
        return sandbox

    def close(self) -> None:
        """Let it end."""
        self._running = None
        self._stack.close()
