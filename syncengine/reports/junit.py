"""A report for a CI server: one test case for each step, guard and row that is not right.

The form that Jenkins and GitLab read (observed; there is no standard). ElementTree writes it: what comes from data is
escaped, and what XML has no character for is spelled out before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree  # only written, never parsed

from syncengine.changes import Change
from syncengine.errors import visible
from syncengine.execution.rejects import advice
from syncengine.execution.summary import RESULTS, Summary
from syncengine.planning.plan_file import PlanFile
from syncengine.planning.sealing import shown
from syncengine.reports import Report, changes_of, guard_sentence, left_of

if TYPE_CHECKING:
    from syncengine.execution.account import Account


class Failure(NamedTuple):
    """Why a case is not right."""

    code: str
    message: str
    text: str = ""


class Case(NamedTuple):
    """One test case."""

    group: str
    name: str
    failures: tuple[Failure, ...] = ()
    said: str = ""
    """What a reader may want to know; the name of a case stays the same from run to run."""


class Suite:
    """Writes a suite case by case; the numbers stand at its beginning, so the cases are held as elements."""

    def __init__(self, name: str) -> None:
        self._root = ElementTree.Element("testsuite", name=visible(name))
        self._tests = self._failed = 0

    def add(self, case: Case) -> None:
        """One more case."""
        self._tests += 1
        self._failed += bool(case.failures)
        made = ElementTree.SubElement(self._root, "testcase", classname=visible(case.group), name=visible(case.name))
        for failure in case.failures:
            said = ElementTree.SubElement(made, "failure", type=visible(failure.code), message=visible(failure.message))
            said.text = visible(failure.text, keep="\n")
        if case.said:
            ElementTree.SubElement(made, "system-out").text = visible(case.said)

    def lines(self) -> Iterator[str]:
        """The document."""
        self._root.attrib |= {"tests": str(self._tests), "failures": str(self._failed)}
        ElementTree.indent(self._root)
        yield '<?xml version="1.0" encoding="UTF-8"?>'
        yield from ElementTree.tostring(self._root, encoding="unicode").split("\n")


class JunitReport(Report):
    """Failures for what stops and for what is left out."""

    def of_plan(self, plan: PlanFile, *, details: int) -> Iterator[str]:
        """A case a step, one a guard that was broken, one a row that will not be sent."""
        suite = Suite(f"syncengine plan {plan.header.environment}")
        for name, counts in plan.manifest.counts.items():
            said = ", ".join(f"{number:,} {action}" for action, number in sorted(counts.actions.items()))
            suite.add(Case(name, "planned", said=said or "nothing"))
        for guard in plan.manifest.guards:
            failure = Failure(guard.guard, guard_sentence(guard))
            suite.add(Case(guard.step, guard.guard, (failure,) if guard.state == "refused" else ()))
        rest: Counter[int] = Counter()
        for change in changes_of(plan):
            if change.action == "rejected":
                rest[change.step] += 1
                if rest[change.step] <= details:
                    step = plan.header.steps[change.step].name
                    suite.add(_left(step, change, "rejected", change.code, change.message))
        _add_rest(suite, plan, rest, details)
        yield from suite.lines()

    def of_run(self, summary: Summary) -> Iterator[str]:
        """A case a step."""
        suite = Suite(f"syncengine run {summary.run}")
        _add_steps(suite, summary)
        yield from suite.lines()

    def of_account(self, account: Account, *, details: int) -> Iterator[str]:
        """A case a step, and one a row that was not applied."""
        suite = Suite(f"syncengine run {account.row.id}")
        _add_steps(suite, account.summary)
        rest: Counter[int] = Counter()
        for change, result, code, message in left_of(account):
            rest[change.step] += 1
            if rest[change.step] <= details:
                suite.add(_left(account.plan.header.steps[change.step].name, change, result, code, message))
        _add_rest(suite, account.plan, rest, details)
        yield from suite.lines()


def _add_steps(suite: Suite, summary: Summary) -> None:
    if (why := summary.problem) is not None:
        failure = Failure(why.code, visible(why.message), f"fix: {why.fix}" if why.fix else "")
        suite.add(Case("run", "reached its end", (failure,)))
    for name, step in summary.steps.items():
        said = [f"{step.total(result):,} {result.replace('_', ' ')}" for result in RESULTS if step.total(result)]
        left = [one for one in said if not one.endswith("applied")]
        failures = (Failure("not-applied", ", ".join(left)),) if left else ()
        suite.add(Case(name, "applied", failures, ", ".join(said) or "nothing"))


def _add_rest(suite: Suite, plan: PlanFile, rest: Counter[int], details: int) -> None:
    for number, count in sorted(rest.items()):
        if count > details:
            name = plan.header.steps[number].name
            suite.add(Case(name, f"{count - details:,} more rows", (Failure("more", "--all writes them out"),)))


def _left(step: str, change: Change, result: str, code: str, message: str) -> Case:
    ends = [end.key for end in (change.parent, change.child) if end is not None]
    what = shown(change.key) or " → ".join(ends) or "no record"
    at = f" ({change.place})" if change.place is not None and change.place.row else ""
    help_ = change.fix or advice(code)
    said = f"{result.replace('_', ' ')}: {code} {shown(message)}".strip()
    return Case(step, what + at, (Failure(code or result, said[:400], f"fix: {help_}" if help_ else ""),))
