"""A run as it stands: its plan, and what its journal says became of each operation.

Read from what the run keeps; nobody is asked, and nothing is written.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from syncengine.changes import Change, Outcome
from syncengine.errors import Exit, Problem, StateError
from syncengine.execution.journal import Journal, RunRow, State
from syncengine.execution.operations import Operations
from syncengine.execution.rejects import REJECTS
from syncengine.execution.summary import StepSummary, Summary
from syncengine.planning.plan_file import PlanFile, open_plan

OVER = (Exit.OK, Exit.PARTIAL, Exit.STALE)
"""Ends of a run after which `resume` has nothing left to do."""
UNDECIDED = "it was sent, and its outcome is not recorded"


class Account(msgspec.Struct, frozen=True):
    """What a run was to do, and what became of it."""

    row: RunRow
    plan: PlanFile
    operations: Operations
    batches: int
    """How many batches were sent or decided."""

    def left(self) -> Iterator[tuple[Change, str, str, str]]:
        """What was wanted and is not on the target: operation, result, code and message, in source order."""
        for change, result, code, message in self.operations.unapplied():
            yield change, result, code or change.code, message or change.message

    @property
    def rejects(self) -> Path | None:
        """The file with the rows that were not applied, where it is there."""
        path = self.plan.path.parent / REJECTS
        return path if path.is_file() else None

    @property
    def next_step(self) -> str:
        """The command that does what is left; empty where nothing is."""
        if self.row.exit not in OVER:
            return f"syncengine resume {self.row.id}"
        return "" if self.row.exit == Exit.OK else f"syncengine retry {self.row.id} --yes"

    @property
    def ending(self) -> str:
        """How the run ended, in one word."""
        return "open" if self.row.exit is None else "done" if not self.row.exit else Exit(self.row.exit).name.lower()

    def wanted(self) -> Iterator[tuple[Change, Outcome]]:
        """All that was to be done or was refused in the plan, in source order, with what became of it."""
        yield from self.operations.wanted()

    @property
    def summary(self) -> Summary:
        """The run counted: what the journal says of operations, and what the run said of itself when it ended."""
        made = counted(self.row.id, self.plan, self.operations)
        said = self.row.summary or {}
        made.requests, made.retries = said.get("requests", 0), said.get("retries", 0)
        made.seconds, made.notes = said.get("seconds", 0.0), said.get("notes", {})
        made.rejects = said.get("rejects", "")
        if (problem := said.get("problem")) is not None:
            made.problem = Problem(**problem)
        if said:
            made.stopped = Exit(said["stopped"])
        return made


def counted(run: str, plan: PlanFile, operations: Operations) -> Summary:
    """The operations of a run, counted by step, result and action."""
    summary = Summary(run, plan.seal.plan_hash, plan.header.environment, again=plan.header.again)
    for step, action, result, number in operations.totals():
        of = summary.steps.setdefault(plan.header.steps[step].name, StepSummary())
        of.add("applied" if result == "unchanged" else result, action, number)
    summary.unchanged = operations.count("unchanged")
    summary.touched = operations.count("touched")
    return summary


@contextlib.contextmanager
def account_of(state: State, row: RunRow) -> Iterator[Account]:
    """The account of a run; raises StateError when its plan is gone or its journal damaged."""
    path = state.run_directory(row.id) / "plan"
    if not path.is_file():
        said = f"the plan of run {row.id} is not here any more, so nobody can tell what it was to do"
        fix = "plan the specs: what the target has by now is seen there"
        raise StateError(Problem("run-without-plan", said, str(path), fix=fix))
    plan = open_plan(path)
    journal = Journal(state, row.id)
    with tempfile.TemporaryDirectory(prefix="syncengine-") as place:
        operations = Operations(plan, Path(place) / "run.db")
        try:
            known = journal.read()
            for written in known.values():
                operations.settle((written.outcomes or {}).values())
                if written.intent is not None:
                    ops = written.intent.get("ops", ())
                    operations.settle(Outcome(op, "unknown", code="unclear", message=UNDECIDED) for op in ops)
            yield Account(row, plan, operations, len(known))
        finally:
            operations.close()
            journal.close()
