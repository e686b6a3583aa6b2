"""A run: one plan being applied, from its lock to its last word."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import msgspec

from syncengine.errors import Exit, Problem, StaleError, StateError, worst
from syncengine.execution import cursors
from syncengine.execution.account import OVER, counted
from syncengine.execution.batch import BatchRunner
from syncengine.execution.events import Event, RunFinished, RunStarted, Settling, Waiting
from syncengine.execution.journal import Journal, RunRow, State, Written
from syncengine.execution.local import Interrupted, LocalRunner
from syncengine.execution.operations import Operations
from syncengine.execution.rejects import REJECTS, Originals, nothing_known, write_rejects
from syncengine.execution.summary import Summary
from syncengine.files import reach, replacing
from syncengine.planning.plan_file import PlanFile, read_seal, refuse
from syncengine.planning.sealing import Sealer
from syncengine.targets import Target
from syncengine.transport.clock import Clock
from syncengine.transport.reader import Writer

OPEN = "open"
"""A file beside the plan of a run that is not at its end: seen without opening the state, which takes time."""
REBUILD = "syncengine report"


class Lane(msgspec.Struct, frozen=True):
    """A target and the connection it writes through, for some steps of a plan."""

    connection: str
    target: Target
    writer: Writer
    permits: int
    settle: float
    """Seconds after which a request without answer has ended on the server."""
    steps: frozenset[int]


class Doing(msgspec.Struct, frozen=True):
    """How a plan is to be applied."""

    lanes: Sequence[Lane]
    clock: Clock
    stale_check: bool = True
    sealer: Sealer | None = None
    """Opens the sensitive values of the plan."""
    originals: Originals = nothing_known
    """Rows of the sources, for the file of rows that were not applied."""


def begin(state: State, plan: PlanFile, run: str, started_at: str, product: str) -> PlanFile:
    """Record a new run and keep its plan; raises StaleError when this plan was applied before."""
    for earlier in state.runs():
        if earlier.file_id == plan.seal.file_id and earlier.plan_hash == plan.seal.plan_hash:
            doing = "was applied" if earlier.exit in OVER else "was begun"
            fix = f"syncengine resume {earlier.id}"
            if earlier.exit in OVER:
                fix = "make a new plan" if earlier.exit == Exit.OK else f"syncengine plan --again {earlier.id}"
            raise StaleError(
                Problem("applied-before", f"this plan {doing} by run {earlier.id}", place=str(plan.path), fix=fix)
            )
    kept = state.run_directory(run) / "plan"
    (kept.parent / OPEN).touch(mode=0o600)
    with replacing(kept, "run") as stream, plan.path.open("rb") as source:
        shutil.copyfileobj(source, stream, 1 << 20)
    specs = ", ".join(one.name for one in plan.header.inputs if one.kind == "spec")
    header = plan.header
    state.begin(RunRow(run, product, plan.seal.file_id, plan.seal.plan_hash, header.environment, specs, started_at))
    reach("run.created")
    if read_seal(kept) != plan.seal:
        raise refuse(plan.path, "it was changed while the run began")
    return replace(plan, path=kept)


def execute(state: State, plan: PlanFile, run: str, doing: Doing, wall: Callable[[], str]) -> Iterator[Event]:
    """Apply what the journal of a run has not settled; the last event is RunFinished.

    The run's lock must be held. Raises StateError when the journal is damaged; nothing is sent then.
    """
    journal = Journal(state, run)
    started = doing.clock.now()
    try:
        known = journal.read()
        with tempfile.TemporaryDirectory(prefix="syncengine-") as place, Interrupted(run) as interrupted:
            operations = Operations(plan, Path(place) / "run.db", doing.sealer)
            settled = _restore(operations, known)
            yield RunStarted(run, operations.count_sent(), settled)
            told: list[Settling | Waiting] = []
            runners: dict[int, BatchRunner] = {}
            permits: dict[int, int] = {}
            for lane in doing.lanes:
                runner = BatchRunner(
                    lane.target,
                    lane.writer,
                    journal,
                    doing.clock,
                    lane.settle,
                    stale_check=doing.stale_check,
                    resuming=bool(known),
                    settling=lambda batch, why, seconds: told.append(Settling(batch, why, seconds)),
                    waiting=lambda batch, said: told.append(Waiting(batch, said)),
                    is_over=lambda: interrupted.exit is not None,
                )
                runners.update(dict.fromkeys(lane.steps, runner))
                permits.update(dict.fromkeys(lane.steps, lane.permits))
            local = LocalRunner(
                operations, runners, known, permits, most_errors=plan.manifest.errors_allowed, events=told
            )
            yield from local.run(interrupted)
            summary = _summary(run, plan, operations, local)
            summary.retries = sum({id(lane.writer): lane.writer.retries for lane in doing.lanes}.values())
            summary.seconds = round(doing.clock.now() - started, 2)
            rejects = state.run_directory(run) / REJECTS
            try:
                if write_rejects(operations, rejects, doing.originals):
                    summary.rejects = str(rejects)
            except StateError as error:  # what was done is done, and in the journal; only its file is missing
                lost = replace(error.problems[0], code="no-rejects-file", fix=f"free space, then: {REBUILD} {run}")
                summary.problem = summary.problem or lost
            if summary.exit in (Exit.OK, Exit.PARTIAL):
                cursors.move(state, run, plan.header, operations)
            operations.close()
        if summary.exit in (Exit.OK, Exit.PARTIAL):
            state.count_missing(plan.header.environment, plan.manifest.missing)
        if summary.exit in OVER:
            (state.run_directory(run) / OPEN).unlink(missing_ok=True)
        state.end(run, wall(), int(summary.exit), _plain(summary))
        reach("end")
        yield RunFinished(run, summary.exit, summary)
    finally:
        journal.close()


def _restore(operations: Operations, known: dict[int, Written]) -> int:
    """Take over what an earlier part of the run settled; what was unclear or not sent is open again."""
    settled = 0
    for written in known.values():
        outcomes = list((written.outcomes or {}).values())
        final = [outcome for outcome in outcomes if outcome.result not in ("unknown", "not_sent")]
        if any(outcome.result == "unknown" for outcome in outcomes):
            written.intent = written.intent or {}
        operations.settle(final)
        settled += len(final)
    return settled


def _summary(run: str, plan: PlanFile, operations: Operations, local: LocalRunner) -> Summary:
    summary = counted(run, plan, operations)
    summary.requests = local.requests
    summary.notes = dict(sorted(local.notes.items()))
    if operations.masked():
        summary.notes["fields refused by reconciliation rules"] = operations.masked()
    summary.stopped = local.stop.exit
    summary.problem = local.stop.problem or local.stop.step_problem
    if local.stop.step_problem is not None:
        summary.stopped = worst((summary.stopped, Exit.PARTIAL))
    if operations.doubled:
        summary.stopped = worst((summary.stopped, Exit.PARTIAL))
        summary.problem = summary.problem or _doubled(operations)
    if operations.drifted:
        summary.stopped = worst((summary.stopped, Exit.STALE))
        summary.problem = summary.problem or Problem(
            "drift",
            f"{len(operations.drifted)} writes did something else than planned: somebody was faster; the step stopped",
            fix=f"look at these records, then: syncengine plan --again {run}",
        )
    return summary


def _doubled(operations: Operations) -> Problem:
    """What a box on the way delivered twice; taking one of two records away is a person's decision."""
    keys = [change.key for change in operations.changes(operations.doubled[:20]).values()]
    many = len(operations.doubled)
    return Problem(
        "delivered-twice",
        f"{many} {'write is' if many == 1 else 'writes are'} there twice: something between here and the target repeats"
        " requests",
        found=", ".join(keys),
        fix="look at these records, delete one of each pair, and have the proxy or gateway corrected",
    )


def _plain(summary: Summary) -> dict[str, object]:
    plain = asdict(summary)
    plain["stopped"] = int(summary.stopped)
    plain["exit"] = int(summary.exit)
    if summary.problem is not None:
        plain["problem"]["place"] = str(summary.problem.place)
    return plain
