"""Batches of a wave on threads, waves in order; one place decides when to stop.

Batches that touch the same CI are never in flight together. Every outcome is in the journal before it is told.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from syncengine.changes import Batch, Outcome
from syncengine.errors import Exit, Problem, SyncError, UnsafeError, worst
from syncengine.execution.batch import BatchRunner, Done
from syncengine.execution.events import BatchSettled, Event, Settling
from syncengine.execution.operations import Operations

if TYPE_CHECKING:
    from syncengine.execution.journal import Written

LOOK_AHEAD = 64
"""How many waiting batches are looked through for one that touches nothing in flight."""


@dataclass(slots=True)
class Stop:
    """Whether and why no further batch is started."""

    exit: Exit = Exit.OK
    problem: Problem | None = None
    steps: set[int] = field(default_factory=set)
    """Steps that are stopped while the others go on."""

    def __bool__(self) -> bool:
        return self.exit is not Exit.OK

    def because(self, exit_class: Exit, problem: Problem | None) -> None:
        """Note a reason to stop; the worst one names the exit."""
        if worst((self.exit, exit_class)) is exit_class and exit_class is not self.exit:
            self.exit, self.problem = exit_class, problem


class Interrupted:
    """SIGINT and SIGTERM as a reason to stop cleanly; the second one ends at once, journal and all."""

    def __init__(self) -> None:
        self.exit: Exit | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupted:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._catch)
        return self

    def _catch(self, number: int, _frame: object) -> None:
        if self.exit is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.exit = Exit.INTERRUPTED if number == signal.SIGINT else Exit.TERMINATED

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


class LocalRunner:
    """Runs the batches of a plan on threads of this process."""

    def __init__(
        self,
        operations: Operations,
        runner: BatchRunner,
        known: dict[int, Written],
        permits: int,
        *,
        most_errors: Callable[[int], int],
        events: list[Settling],
    ) -> None:
        self.operations = operations
        self.runner = runner
        self.known = known
        self.permits = permits
        self.most_errors = most_errors
        self.stop = Stop()
        self.notes: dict[str, int] = {}
        self.requests = 0
        self._sent = 0
        self._rejected = 0
        self._settling = events

    def run(self, interrupted: Interrupted) -> Iterator[Event]:
        """Do what is left of the plan, wave after wave."""
        with ThreadPoolExecutor(max_workers=self.permits, thread_name_prefix="send") as pool:
            for wave in self.operations.waves():
                yield from self._wave(pool, self.operations.batches(wave), interrupted)
                if self.stop:
                    return

    def _wave(self, pool: ThreadPoolExecutor, batches: Iterator[Batch], interrupted: Interrupted) -> Iterator[Event]:
        waiting: list[Batch] = []
        running: dict[Future[Done], Batch] = {}
        busy: set[int] = set()
        more = True
        while True:
            if interrupted.exit is not None:
                self.stop.because(interrupted.exit, None)
            while more and len(waiting) < LOOK_AHEAD:
                batch = next(batches, None)
                if batch is None:
                    more = False
                else:
                    waiting.append(batch)
            while not self.stop and len(running) < self.permits:
                ready = next((batch for batch in waiting if busy.isdisjoint(_touched(batch))), None)
                if ready is None:
                    break
                waiting.remove(ready)
                busy.update(_touched(ready))
                running[self._start(pool, ready)] = ready
            if not running:
                return
            done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            while self._settling:
                yield self._settling.pop(0)
            for future in done:
                batch = running.pop(future)
                busy.difference_update(_touched(batch))
                yield self._settled(batch, future.result())

    def _start(self, pool: ThreadPoolExecutor, batch: Batch) -> Future[Done]:
        parcel, blocked = self.operations.parcel(batch)
        if self.stop.steps:
            ops = [change for change in (*parcel.items, *parcel.relations) if change.step in self.stop.steps]
            gone = {change.op for change in ops}
            parcel.items = [change for change in parcel.items if change.op not in gone]
            parcel.relations = [change for change in parcel.relations if change.op not in gone]
            blocked += [Outcome(op, "not_sent", code="step-stopped", message="its step was stopped") for op in gone]
        written = self.known.get(batch.number)
        ambiguous = written is not None and written.intent is not None
        return pool.submit(self.runner.run, batch.number, parcel, blocked, ambiguous=ambiguous)

    def _settled(self, batch: Batch, done: Done) -> BatchSettled:
        self.operations.settle(done.outcomes)
        self.requests += done.requests
        for note in done.notes:
            short = note.split(":", 1)[0]
            self.notes[short] = self.notes.get(short, 0) + 1
        rejected = stale = 0
        for outcome in done.outcomes:
            rejected += outcome.result == "rejected"
            stale += outcome.result == "stale"
            for warning in outcome.warnings:
                short = warning.split(":", 1)[0]
                self.notes[short] = self.notes.get(short, 0) + 1
            if "drift" in outcome.warnings:
                self._drifted(outcome)
            elif outcome.result == "rejected":
                self._refused(outcome)
        self._sent += len(done.outcomes)
        self._rejected += rejected
        if done.stop is not None:
            self._stopped(done.stop)
        limit = self.most_errors(self._sent)
        if self._rejected > limit:
            message = f"{self._rejected} of {self._sent} rows were refused by the target; the limit is {limit}"
            fix = "look at the rejected rows, correct them or the spec, and plan anew"
            self.stop.because(UnsafeError.exit, Problem("guard-max-errors", message, fix=fix))
        return BatchSettled(batch.number, len(done.outcomes), rejected, stale)

    def _drifted(self, outcome: Outcome) -> None:
        """The target did something else than planned: somebody was faster. That step goes no further."""
        change = self.operations.changes([outcome.op])[outcome.op]
        self.stop.steps.add(change.step)
        self.operations.drifted.append(outcome.op)

    def _refused(self, outcome: Outcome) -> None:
        """A step that says `on_error: stop` goes no further."""
        change = self.operations.changes([outcome.op])[outcome.op]
        if self.operations.plan.header.steps[change.step].stops:
            self.stop.steps.add(change.step)

    def _stopped(self, error: SyncError) -> None:
        self.stop.because(error.exit, error.problems[0] if error.problems else None)


def _touched(batch: Batch) -> set[int]:
    """The CIs a batch touches; two batches that share one are not sent at once."""
    return {*batch.items, *batch.ends}
