"""Annotations for a workflow of GitHub: beside the row or the line of the spec that is meant.

One workflow command a line; what comes from data cannot begin a command of its own. GitHub shows ten warnings and ten
errors of a job's step, so the numbers come as a notice at the end (documented: workflow commands).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from syncengine.changes import Change
from syncengine.errors import Place, Position, Problem, visible
from syncengine.execution.rejects import advice
from syncengine.execution.summary import Summary
from syncengine.planning.plan_file import PlanFile
from syncengine.planning.sealing import shown
from syncengine.reports import Report, changes_of, guard_sentence, left_of, plan_sentence, run_sentence

if TYPE_CHECKING:
    from syncengine.execution.account import Account

Severity = Literal["error", "warning", "notice"]


def annotation(severity: Severity, place: Position | Place | str, title: str, message: str) -> str:
    """One workflow command, without its line end."""
    parts = []
    if isinstance(place, str) and place.count(":") >= 2:
        file, line, column = place.rsplit(":", 2)
        place = Position(file, int(line), int(column)) if line.isdigit() and column.isdigit() else place
    if isinstance(place, Position):
        parts += [f"file={_attribute(place.file)}", f"line={place.line}", f"col={place.column}"]
    elif isinstance(place, Place):
        parts += [f"file={_attribute(place.file)}", *([f"line={place.line}"] if place.line else [])]
    elif place:
        parts.append(f"file={_attribute(place)}")
    parts.append(f"title={_attribute(title)}")
    return f"::{severity} {','.join(parts)}::{_data(message)}"


def of_problem(problem: Problem) -> str:
    """A problem, beside the line of the spec where that is its place."""
    said = visible(problem.message) + _fix(problem.fix)
    return annotation(problem.severity, problem.place, problem.code, said)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _attribute(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


class GithubReport(Report):
    """Errors for what stops, warnings for what is left out, one notice with the numbers."""

    def of_plan(self, plan: PlanFile, *, details: int) -> Iterator[str]:
        """Guards that refuse, what a reviewer should know, rows that will not be sent."""
        positions = {step.name: step.position for step in plan.header.steps}
        for guard in plan.manifest.guards:
            severity: Severity = "error" if guard.state == "refused" else "warning"
            yield annotation(severity, positions.get(guard.step, ""), guard.guard, visible(guard_sentence(guard)))
        for note in plan.manifest.notes:
            yield annotation("warning", note.place, note.code, visible(note.message) + _fix(note.fix))
        written: Counter[int] = Counter()
        for change in changes_of(plan):
            if change.action == "rejected":
                written[change.step] += 1
                if written[change.step] <= details:
                    yield _left("warning", change, change.code, change.message)
        yield annotation("notice", "", f"syncengine plan {plan.seal.plan_hash[:16]}", plan_sentence(plan))

    def of_run(self, summary: Summary) -> Iterator[str]:
        """Why it stopped, where it did; the numbers."""
        if summary.problem is not None:
            yield of_problem(summary.problem)
        severity: Severity = "error" if summary.exit else "notice"
        yield annotation(severity, "", f"syncengine run {summary.run}", run_sentence(summary))

    def of_account(self, account: Account, *, details: int) -> Iterator[str]:
        """Rows that were not applied, then the numbers."""
        written: Counter[tuple[int, str]] = Counter()
        for change, result, code, message in left_of(account):
            written[change.step, result] += 1
            if written[change.step, result] <= details:
                yield _left("error", change, code, message)
        yield from self.of_run(account.summary)


def _left(severity: Severity, change: Change, code: str, message: str) -> str:
    """A row that is not on the target, beside it."""
    ends = [end.key for end in (change.parent, change.child) if end is not None]
    what = visible(shown(change.key)) or " → ".join(visible(one) for one in ends) or "no record"
    place: Place | str = change.place if change.place is not None and change.place.row else change.spec
    help_ = change.fix or advice(code)
    return annotation(severity, place, code or "not-applied", f"{what}: {visible(shown(message))}{_fix(help_)}")


def _fix(text: str) -> str:
    return f"\n{visible(text, keep=chr(10))}" if text else ""
