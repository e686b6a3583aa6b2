"""One sandbox for many tests: emptied before each, and lent to projects that would start one of their own."""

from __future__ import annotations

import calendar
import contextlib
import shutil
import time
from pathlib import Path

from syncengine.sandbox.process import Running, attach

SECONDS_OFF = 5
"""How far the clock of a sandbox may be from this machine's before it counts as moved by a test."""


class Shared:
    """A sandbox in a process of its own, which lasts until a test needs one whose clock was not moved."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._started = 0
        self._stack = contextlib.ExitStack()
        self._running: Running | None = None

    @property
    def folder(self) -> Path:
        """Where it keeps its data."""
        return self._place / str(self._started)

    def empty(self) -> Running:
        """With no records, no faults and the settings that it ships with; its clock goes on."""
        if self._running is None:
            self._started += 1
            self._running = self._stack.enter_context(attach(self.folder, seeds=[]))
        sandbox = self._running
        sandbox.clear_faults()
        changed = {n: said["default"] for n, said in sandbox.settings().items() if said["value"] != said["default"]}
        if changed:
            sandbox.control("POST", "settings", changed)
        sandbox.reset()
        return sandbox

    def on_time(self) -> Running:
        """An empty one that has the time of this machine: a clock cannot go back, so it may be another one."""
        if self._running is not None:
            told = time.strptime(self._running.control("GET", "identity")["time"], "%Y-%m-%d %H:%M:%S")
            if abs(calendar.timegm(told) - time.time()) > SECONDS_OFF:
                self.close()
        return self.empty()

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
