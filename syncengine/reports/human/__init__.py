"""For people: at a terminal of 80 columns, without colour where there is none."""

from __future__ import annotations

import os
import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from syncengine.errors import many, visible
from syncengine.execution.summary import RESULTS, StepSummary, Summary
from syncengine.planning.lines import Head
from syncengine.planning.plan_file import PlanFile
from syncengine.reports import (
    Report,
    changes_of,
    guard_sentence,
    left_of,
    plan_sentence,
    run_sentence,
    without_values,
)
from syncengine.reports.human.lines import shown, table, wrapped
from syncengine.reports.human.operations import GLYPHS, left, operation

if TYPE_CHECKING:
    from syncengine.execution.account import Account

HIDDEN = frozenset({"unchanged", "touched"})
ALIKE = frozenset({"create", "relate", "attach"})
"""Actions of which a few examples say enough; a fifth of the others' share is written out."""
TOLD = frozenset({"rejected", "unknown", "touched"})
"""Actions that are what became of a record, and nothing that is going to be done."""
_OWN = re.compile(r"""'[^']*'|"[^"]*"|[{].*[}]?|\d+""", re.DOTALL)
"""What of a message is about one record."""
NOTES = {
    "drift": "somebody was faster: the target did something else than planned",
    "settled by looking": "never answered, found on the target and counted as done",
}
"""What is counted during a run, in words."""
PARTLY = " (what has vanished and limits in percent are not looked at)"
DONE = {"unknown": "applied"}
"""What an operation is called that was done, where the plan could not say what it would be."""


class _Limit:
    """Which operations are written out: so many of each kind and step, a fifth of that where they are alike.

    Creates, relations and files are, and so are those that have the same reason but for what it says of one record.
    """

    def __init__(self, details: int) -> None:
        self._details, self._few = details, max(1, details // 5)
        self._written: Counter[tuple[int, str]] = Counter()
        self._alike: Counter[tuple[int, str, str, str]] = Counter()
        self.hidden: Counter[tuple[int, str, str]] = Counter()

    def hides(self, step: int, action: str, code: str, why: str) -> bool:
        """Count an operation; says whether it is one too many."""
        alike = (step, action, code, _OWN.sub("", why))
        few = self._few if action in ALIKE or code or (action == "unknown" and why) else self._details
        if self._written[step, action] >= self._details or self._alike[alike] >= few:
            self.hidden[step, action, code] += 1
            return True
        self._written[step, action] += 1
        self._alike[alike] += 1
        return False


class HumanReport(Report):
    """Headings, one glyph per operation, before → after."""

    def of_plan(self, plan: PlanFile, *, details: int) -> Iterator[str]:
        """Operations first, then what they add up to: the end is what stays on the screen."""
        steps = plan.header.steps
        limit = _Limit(details)
        step = -1

        def is_shown(head: Head) -> bool:
            if head.action in HIDDEN and not (head.action == "touched" and head.reason != "end"):
                return False
            message = head.message if plan.header.show_values else without_values(head.message)
            return not limit.hides(head.step, head.action, head.code, message or head.reason)

        for change in changes_of(plan, is_shown):
            if change.step != step and change.kind != "end":
                step = change.step
                yield f"{steps[step].name}"
            yield from operation(change, show=plan.header.show_values)
        for (number, action, code), count in sorted(limit.hidden.items()):
            more = action if action in TOLD else f"to {action}"
            why = f" ({code})" if code else ""
            yield f"  {GLYPHS[action]} … {count:,} more {more}{why} in {steps[number].name} (--all shows them)"
        if step != -1 or limit.hidden:
            yield ""
        yield from self._totals(plan)

    def _totals(self, plan: PlanFile) -> Iterator[str]:
        manifest, header = plan.manifest, plan.header
        where = ", ".join(one.url for one in header.connections.values())
        yield f"Environment {header.environment} ({where})"
        made_of = f"{many(len(header.inputs), 'input')}, {many(manifest.batches, 'batch')}"
        yield f"Plan        {plan.seal.plan_hash[:16]}  {made_of}"
        if header.selection:
            yield from wrapped("Only        ", f"{'; '.join(map(shown, header.selection))}{PARTLY}")
        for name, window in header.windows.items():
            since = f"since {window.start}" if window.start else "all rows"
            yield f"Read        {name}: {since}, up to {window.end or '(no row)'}"
        yield ""
        used = [action for action in GLYPHS if manifest.total(action)]
        filtered = any(counts.filtered for counts in manifest.counts.values())
        heads = [
            "rows",
            *(["left out"] if filtered else []),
            "ours",
            *(f"{GLYPHS[action]} {action}" for action in used),
        ]
        rows = {
            name: [
                counts.rows,
                *([counts.filtered] if filtered else []),
                counts.owned,
                *(counts.actions.get(action, 0) for action in used),
            ]
            for name, counts in manifest.counts.items()
        }
        yield from table(heads, rows)
        yield from _bases(plan)
        adopted = sum(counts.adopted for counts in manifest.counts.values())
        if adopted:
            yield f"  {adopted:,} of the touched are sent once so that they become ours"
        unexplained = sum(counts.unexplained for counts in manifest.counts.values())
        if unexplained:
            yield f"  {many(unexplained, 'update')} that no readable field explains"
        for note in manifest.notes:
            yield from wrapped(f"  warning[{note.code}]: ", note.message)
            if note.fix:
                yield from wrapped("    fix: ", note.fix)
        for guard in manifest.guards:
            yield from wrapped("  ", guard_sentence(guard))
        yield ""
        yield from wrapped("", plan_sentence(plan))

    def of_run(self, summary: Summary) -> Iterator[str]:
        """What became of every operation, by step; then the sentence that says it in short."""
        applied = [action for action in GLYPHS if any(_of(step, "applied", action) for step in summary.steps.values())]
        others = [result for result in RESULTS[1:] if summary.total(result)]
        heads = [
            *(f"{GLYPHS[action]} {DONE.get(action, action)}" for action in applied),
            *(name.replace("_", " ") for name in others),
        ]
        rows = {
            name: [*(_of(step, "applied", action) for action in applied), *(step.total(result) for result in others)]
            for name, step in summary.steps.items()
        }
        yield from table(heads, rows)
        for note, number in summary.notes.items():
            yield from wrapped("  note: ", f"{NOTES.get(note, note)} ({number:,})")
        if summary.steps:
            yield ""
        yield run_sentence(summary)
        if summary.unchanged:
            yield f"{many(summary.unchanged, 'record')} stayed: the target has {_them(summary.unchanged)} as wanted."
        if summary.touched:
            yield f"{many(summary.touched, 'record')} only went along, as ends of relations or hosts."

    def of_account(self, account: Account, *, details: int) -> Iterator[str]:
        """Whose run it was and how it ended, the numbers, then what was not applied, with why and what to do."""
        row, plan, summary = account.row, account.plan, account.summary
        yield f"Run         {row.id}: {account.ending}"
        where = ", ".join(one.url for one in plan.header.connections.values())
        yield from wrapped("Environment ", f"{row.environment} ({where})")
        yield from wrapped("Plan        ", f"{row.plan_hash[:16]}  {row.specs}")
        if summary.again:
            yield f"Again       what run {summary.again} did not apply"
        ended = f", ended {row.ended_at}" if row.ended_at else ""
        asked = f"; {many(summary.requests, 'request')}, {summary.retries:,} repeated" if row.summary else ""
        yield from wrapped("Began       ", f"{row.started_at}{ended}{asked}")
        yield ""
        yield from self.of_run(summary)
        yield from self._not_applied(account, details)
        if summary.problem is not None:
            yield ""
            yield from wrapped("Stopped     ", visible(summary.problem.message))
        rejects = account.rejects
        if rejects is not None:
            yield ""
            yield f"Rows        {os.path.relpath(rejects)}"
        if account.next_step:
            if rejects is None:
                yield ""
            yield f"Next        {account.next_step}"

    def _not_applied(self, account: Account, details: int) -> Iterator[str]:
        steps = account.plan.header.steps
        limit = _Limit(details)
        step = -1
        for change, result, code, message in left_of(account):
            if limit.hides(change.step, result, code, message):
                continue
            if change.step != step:
                step = change.step
                yield ""
                yield f"Not applied of {steps[step].name}"
            yield from left(change, result, code, message)
        for (number, result, code), count in sorted(limit.hidden.items()):
            why = f" ({code})" if code else ""
            yield f"  ! … {count:,} more {result.replace('_', ' ')}{why} in {steps[number].name} (--all shows them)"


def _them(number: int) -> str:
    return "it" if number == 1 else "them"


def _of(step: StepSummary, result: str, action: str) -> int:
    return step.results.get(result, {}).get(action, 0)


def _bases(plan: PlanFile) -> Iterator[str]:
    """How the steps are known whose target was not asked for all of it, or has nobody to ask."""
    said = [
        f"{name.rsplit('.', 1)[-1]} " + ", ".join(f"{basis} ({number:,})" for basis, number in counts.bases.items())
        for name, counts in plan.manifest.counts.items()
        if counts.bases.keys() - {"engine", "implied"}
    ]
    if said:
        yield from textwrap.wrap("how we know: " + "; ".join(said), 78, initial_indent="  ", subsequent_indent="    ")
