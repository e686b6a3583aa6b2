"""Run a command as a child and say what it took: wall time, CPU, peak memory.

The figures come from wait4, so they are the child's own and those of processes that it waited for; a server that
was started before is not among them. This process stays small on purpose: on Linux a child starts with the peak of
its parent.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAIN = (sys.executable, "-m", "syncengine")


@dataclass(frozen=True)
class Took:
    """What a command took."""

    code: int
    wall: float
    """Seconds on the clock."""
    cpu: float
    """Seconds of user and system time."""
    peak: float
    """MiB of resident memory at most."""
    said: str
    """The end of what it printed."""

    def must(self, *codes: int) -> Took:
        """Itself, if the exit code is one of these; a benchmark of a failure would be worth nothing."""
        if self.code not in (codes or (0,)):
            raise SystemExit(f"a measured command ended with {self.code}:\n{self.said}")
        return self


def run(command: Sequence[str | Path], cwd: Path, env: Mapping[str, str] | None = None) -> Took:
    """Run a command to its end."""
    with tempfile.TemporaryFile() as printed:
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env={**_installed(), "PYTHONPATH": str(ROOT), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(max(0, printed.tell() - 4000))
        said = printed.read().decode(errors="replace")
    return Took(process.returncode, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said)


def _installed() -> dict[str, str]:
    """Our environment, but modules are compiled once, as `pip install` does, and not for every child."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def cpu_of(work: Callable[[], object], at_least: float = 1.0) -> float:
    """CPU seconds of one call of `work`: the best of repeated calls over about a second."""
    best = float("inf")
    until = time.process_time() + at_least
    while True:
        began = time.process_time()
        work()
        now = time.process_time()
        best = min(best, now - began)
        if now >= until:
            return best


def median(values: Sequence[float]) -> float:
    """The middle value."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    value: str
    target: str = ""
    met: bool | None = None
    """None: no target, or it cannot be judged here."""


def table(rows: Sequence[Row]) -> str:
    """The lines as text."""
    widths = [max(len(getattr(row, name)) for row in rows) for name in ("what", "value", "target")]
    mark = {True: "met", False: "NOT MET", None: ""}
    return "\n".join(
        f"{row.what:<{widths[0]}}  {row.value:>{widths[1]}}  {row.target:<{widths[2]}}  {mark[row.met]}".rstrip()
        for row in rows
    )
