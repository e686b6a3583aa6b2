"""Progress of what may take more than two seconds: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from syncengine.cli.complaints import say
from syncengine.cli.places import is_terminal
from syncengine.execution.events import BatchSettled, Event, RunFinished, RunStarted, Settling, Waiting

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from syncengine.transport.answer import Answer

PATIENCE = 2.0
"""Seconds before anything is shown."""
EVERY = 15.0
"""Seconds between plain lines."""


def spell(seconds: float) -> str:
    """A time in words of two digits or three: `45 s`, `12 min`, `3.5 h`, `2.1 days`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


class Progress:
    """Counts work; says how far it is, also while nothing moves: a slow server is waited for with a sign of life.

    The bar is rich's, which is imported only when one is drawn.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.total: int | None = None
        self.done: dict[str, int] = {}
        self._started = self._said = time.monotonic()
        self._terminal = is_terminal()
        self._bar: RichProgress | None = None
        self._beside = ""
        self._before = 0
        self._lock = threading.RLock()
        self._is_over = threading.Event()

    def beat(self) -> None:
        """Show where it stands, again and again until it is over; runs beside the work."""
        if self._is_over.wait(PATIENCE):
            return
        while True:
            self.add("", 0)
            if self._is_over.wait(PATIENCE if self._terminal else EVERY / 3):
                return

    def add(self, name: str, number: int) -> None:
        """Note some more work of a kind."""
        with self._lock:
            if name:
                self.done[name] = self.done.get(name, 0) + number
            if not self._is_over.is_set():
                self._show(time.monotonic())

    def _show(self, now: float) -> None:
        if now - self._started < PATIENCE:
            return
        if self._terminal:
            bar = self._bar or self._draw()
            most = max(self.done.values(), default=0) if self.total else None
            bar.update(bar.task_ids[0], completed=most, total=self.total, said=self._said_done())
        elif now - self._said >= EVERY:
            self._said = now
            say(f"{self.what}: {self._said_done()} ({spell(now - self._started)}{self._left(now)})", err=True)

    def begin(self, total: int, settled: int) -> None:
        """Note how much there is in all, and how much of it was settled before."""
        self.total, self._before = total, settled
        self.add("settled", settled)

    def tell(self, said: str) -> None:
        """Show how far something is that the target does in its own time."""
        self._beside = said
        self.add("", 0)

    def _left(self, now: float) -> str:
        """How much longer it takes at the pace so far, where the whole is known."""
        done = max(self.done.values(), default=0) - self._before
        left = (self.total or 0) - self._before - done
        if done <= 0 or left <= 0:
            return ""
        return f", about {spell((now - self._started) * left / done)} left"

    def _said_done(self) -> str:
        done = ", ".join(f"{number:,} {name}" for name, number in self.done.items()) or "no answer yet"
        return f"{done}; {self._beside}" if self._beside else done

    def _draw(self) -> RichProgress:
        from rich.console import Console  # 60 ms that only a long run on a terminal pays
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.fields[said]}"))
        times = (TimeElapsedColumn(), TimeRemainingColumn()) if self.total else (TimeElapsedColumn(),)
        self._bar = Progress(*columns, *times, console=Console(stderr=True), transient=True)
        self._bar.add_task(self.what, total=self.total, said="")
        self._bar.start()
        return self._bar

    def end(self) -> None:
        """Leave the line to what comes next."""
        with self._lock:
            if self._bar is not None:
                self._bar.stop()
                self._bar = None

    def close(self) -> None:
        """Nothing more is shown."""
        with self._lock:
            self._is_over.set()
            self.end()


@contextmanager
def progress(what: str) -> Iterator[Progress]:
    """Progress while something runs."""
    made = Progress(what)
    threading.Thread(target=made.beat, name="progress", daemon=True).start()
    try:
        yield made
    finally:
        made.close()


class Waits:
    """Tells what a connection waits for before it goes on; once, not for each of the workers that wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0

    def __call__(self, answer: Answer, seconds: float) -> None:
        now = time.monotonic()
        with self._lock:
            if seconds < PATIENCE or now < self._until:
                return
            self._until = now + max(seconds, EVERY)
        said = answer.problem.message if answer.problem else "the server asks to wait"
        limit = answer.headers.get("x-ratelimit-limit", "")
        if limit.isascii() and limit.isdigit():
            said += f" (it allows {limit} calls in its window)"
        say(f"{said}; waiting {spell(seconds)}", err=True)


def follow(events: Iterator[Event], made: Progress) -> RunFinished:
    """Show a run as it goes; returns its end."""
    finished: RunFinished | None = None
    for event in events:
        if isinstance(event, RunStarted):
            made.begin(event.operations, event.settled)
        elif isinstance(event, BatchSettled):
            made.tell("")
            made.add("settled", event.operations)
            if event.rejected:
                made.add("rejected", event.rejected)
        elif isinstance(event, Settling):
            made.end()
            say(f"batch {event.batch}: {event.why}; looking at the target for up to {event.seconds:.0f} s", err=True)
        elif isinstance(event, Waiting):
            made.tell(event.said)
        else:
            finished = event
    if finished is None:
        raise RuntimeError("a run ended without its last event")
    return finished
