"""Progress of what may take more than two seconds: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from syncengine.cli.places import is_terminal
from syncengine.execution.events import BatchSettled, Event, RunFinished, RunStarted, Settling

PATIENCE = 2.0
"""Seconds before anything is shown."""
EVERY = 15.0
"""Seconds between plain lines."""


class Progress:
    """Counts work; says how far it is."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.total: int | None = None
        self.done: dict[str, int] = {}
        self._started = self._said = time.monotonic()
        self._terminal = is_terminal()
        self._bar: object | None = None

    def add(self, name: str, number: int) -> None:
        """Note some more work of a kind."""
        self.done[name] = self.done.get(name, 0) + number
        now = time.monotonic()
        if now - self._started < PATIENCE:
            return
        if self._terminal:
            if now - self._said >= 0.1:
                self._said = now
                click.echo(f"\r{self._line()[:78]:<78}", nl=False, err=True)
        elif now - self._said >= EVERY:
            self._said = now
            click.echo(self._line(), err=True)

    def _line(self) -> str:
        said = ", ".join(f"{number:,} {name}" for name, number in self.done.items())
        seconds = time.monotonic() - self._started
        share = ""
        if self.total:
            most = max(self.done.values(), default=0)
            filled = min(20, 20 * most // self.total)
            share = f" [{'#' * filled}{'.' * (20 - filled)}] {min(100, 100 * most // self.total)} %"
        return f"{self.what}{share} {said} ({seconds:.0f} s)"

    def end(self) -> None:
        """Leave the line to what comes next."""
        if self._terminal and self._said != self._started:
            click.echo(f"\r{'':78}\r", nl=False, err=True)


@contextmanager
def progress(what: str) -> Iterator[Progress]:
    """Progress while something runs."""
    made = Progress(what)
    try:
        yield made
    finally:
        made.end()


def follow(events: Iterator[Event], made: Progress) -> RunFinished:
    """Show a run as it goes; returns its end."""
    finished: RunFinished | None = None
    for event in events:
        if isinstance(event, RunStarted):
            made.total = event.operations
            made.add("settled", event.settled)
        elif isinstance(event, BatchSettled):
            made.add("settled", event.operations)
            if event.rejected:
                made.add("rejected", event.rejected)
        elif isinstance(event, Settling):
            made.end()
            click.echo(
                f"batch {event.batch}: {event.why}; looking at the target for up to {event.seconds:.0f} s", err=True
            )
        else:
            finished = event
    if finished is None:
        raise RuntimeError("a run ended without its last event")
    return finished
