"""Batches of a wave on threads, waves in order; one place decides when to stop.

Batches that touch the same CI are never in flight together. Every outcome is in the journal before it is told.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from syncengine.changes import TWICE, Batch, Outcome, Parcel
from syncengine.errors import Exit, Problem, SyncError, UnsafeError, worst
from syncengine.execution.ahead import Ahead
from syncengine.execution.batch import BatchRunner, Done
from syncengine.execution.events import BatchSettled, Event, Settling, Waiting
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
    step_problem: Problem | None = None
    """Why the first of them was stopped, where its target said so."""

    def __bool__(self) -> bool:
        return self.exit is not Exit.OK

    def because(self, exit_class: Exit, problem: Problem | None) -> None:
        """Note a reason to stop; the worst one names the exit."""
        if worst((self.exit, exit_class)) is exit_class and exit_class is not self.exit:
            self.exit, self.problem = exit_class, problem


GRACE = 30.0
"""Seconds that requests in flight are waited for after the first signal."""
LAST_WORDS = """\
error[stopped]: the run was stopped at once
  at run {0}
  fix: syncengine resume {0}
  effect: What was being sent is in the journal, without its outcome; continue with: syncengine resume {0}
"""


class Interrupted:
    """SIGINT, SIGTERM and SIGHUP as a reason to stop cleanly; the second one ends at once, journal and all.

    So does the end of the grace time. What the process was told to ignore (`nohup`, a background job) stays ignored.
    """

    def __init__(self, run: str = "") -> None:
        self.exit: Exit | None = None
        self._run = run
        self._before: dict[int, Any] = {}
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Interrupted:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._catch)
        return self

    def _catch(self, number: int, _frame: object) -> None:
        if self.exit is not None:
            with contextlib.suppress(OSError):
                os.write(2, LAST_WORDS.format(self._run).encode())
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.exit = Exit.INTERRUPTED if number == signal.SIGINT else Exit.TERMINATED
        self._timer = threading.Timer(GRACE, os.kill, (os.getpid(), number))
        self._timer.daemon = True
        self._timer.start()

    def __exit__(self, *_exception: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)


class LocalRunner:
    """Runs the batches of a plan on threads of this process."""

    def __init__(
        self,
        operations: Operations,
        runners: Mapping[int, BatchRunner],
        known: dict[int, Written],
        permits: Mapping[int, int],
        *,
        most_errors: Callable[[int], int],
        events: list[Settling | Waiting],
    ) -> None:
        self.operations = operations
        self.runners = runners
        """By step; steps that go through one target share one."""
        self.known = known
        self.permits = permits
        """How many batches of each step's target may be in flight at once."""
        self.most_errors = most_errors
        self.stop = Stop()
        self.notes: dict[str, int] = {}
        self.requests = 0
        self._sent = 0
        self._rejected = 0
        self._settling = events
        self._waits: Counter[int] = Counter()
        """How often the rest of a batch was put back because another writer held its records."""
        self._ahead: dict[int, Ahead] = {}
        """Who looks at the target for batches that are sent next, by their numbers."""

    def run(self, interrupted: Interrupted) -> Iterator[Event]:
        """Do what is left of the plan, wave after wave."""
        most = {id(runner): self.permits[step] for step, runner in self.runners.items()}
        with ThreadPoolExecutor(max_workers=sum(most.values()) or 1, thread_name_prefix="send") as pool:
            for wave in self.operations.waves():
                yield from self._wave(pool, self.operations.batches(wave), interrupted)
                if self.stop:
                    return

    def _wave(self, pool: ThreadPoolExecutor, batches: Iterator[Batch], interrupted: Interrupted) -> Iterator[Event]:
        waiting: list[Batch] = []
        held: list[Batch] = []
        running: dict[Future[Done], Batch] = {}
        flying: Counter[int] = Counter()
        busy: set[int | str] = set()
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
            if held and not waiting and not running:
                waiting.append(held.pop(0))  # alone: fewer calls at once are less in the way of whoever holds the lock
            while not self.stop:
                ready = next((batch for batch in waiting if self._may_start(batch, busy, flying)), None)
                if ready is None:
                    break
                waiting.remove(ready)
                busy.update(self._touched(ready))
                flying[id(self.runners[ready.step])] += 1
                running[self._start(pool, ready, waiting)] = ready
            if not running:
                return
            done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            while self._settling:
                yield self._settling.pop(0)
            for future in done:
                batch = running.pop(future)
                busy.difference_update(self._touched(batch))
                flying[id(self.runners[batch.step])] -= 1
                result = future.result()
                yield self._settled(batch, result)
                if result.later:
                    self._waits[batch.number] += 1
                    held.append(batch)

    def _may_start(self, batch: Batch, busy: set[int | str], flying: Mapping[int, int]) -> bool:
        full = flying[id(self.runners[batch.step])] >= self.permits[batch.step]
        return not full and busy.isdisjoint(self._touched(batch))

    def _touched(self, batch: Batch) -> set[int | str]:
        """The records a batch touches, and the name that it holds alone; batches that share one are not in flight."""
        alone = self.runners[batch.step].target.alone(self.operations.plan.header.steps[batch.step])
        return {*batch.items, *batch.ends, alone} if alone else {*batch.items, *batch.ends}

    def _start(self, pool: ThreadPoolExecutor, batch: Batch, waiting: Sequence[Batch]) -> Future[Done]:
        parcel, blocked = self.operations.parcel(batch)
        if self.stop.steps:
            ops = [change for change in (*parcel.items, *parcel.relations) if change.step in self.stop.steps]
            gone = {change.op for change in ops}
            parcel.items = [change for change in parcel.items if change.op not in gone]
            parcel.relations = [change for change in parcel.relations if change.op not in gone]
            blocked += [Outcome(op, "not_sent", code="step-stopped", message="its step was stopped") for op in gone]
        written = self.known.pop(batch.number, None)
        ambiguous = written is not None and written.intent is not None
        token = written.token if written is not None else ""
        run = self.runners[batch.step].run
        waits = self._waits[batch.number]
        ahead = self._looked_ahead(batch, parcel, waiting)
        return pool.submit(
            run, batch.number, parcel, blocked, ambiguous=ambiguous, token=token, waits=waits, ahead=ahead
        )

    def _looked_ahead(self, batch: Batch, parcel: Parcel, waiting: Sequence[Batch]) -> Ahead | None:
        """One look at the target for this batch and those of its step that wait behind it, where each is one row."""
        runner = self.runners[batch.step]
        step = self.operations.plan.header.steps[batch.step]
        if not runner.stale_check or runner.resuming or not runner.target.looks_ahead(step):
            return None
        if batch.number not in self._ahead:
            behind = [one for one in waiting if one.step == batch.step and one.number not in self._ahead]
            items = [*parcel.items, *(one for other in behind for one in self.operations.parcel(other)[0].items)]
            ahead = Ahead(runner.target, runner.writer, runner.clock, batch.data_source, items)
            self._ahead.update(dict.fromkeys((batch.number, *(one.number for one in behind)), ahead))
        return self._ahead.pop(batch.number)

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
            if TWICE in outcome.warnings:
                self.operations.doubled.append(outcome.op)
            if "drift" in outcome.warnings:
                self._drifted(outcome)
            elif outcome.result == "rejected":
                self._refused(outcome)
        self._sent += len(done.outcomes)
        self._rejected += rejected
        if done.stop is not None:
            self._stopped(done.stop)
        if done.step_stop is not None:
            self.stop.steps.update({change.step for change in self.operations.changes(batch.items).values()})
            self.stop.step_problem = self.stop.step_problem or done.step_stop
        limit = self.most_errors(self._sent)
        if self._rejected > limit:
            message = f"{self._rejected:,} of {self._sent:,} rows were refused by the target; the limit is {limit}"
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
