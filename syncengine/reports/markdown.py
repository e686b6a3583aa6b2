"""For a review comment: fits 65,535 characters, the biggest changes first, the rest collapsed.

Text from data stands in code spans whose fence is longer than any run of backticks in it, so nothing in it is a link,
an image or a mention.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING

from syncengine.changes import SECOND_PASS, Change
from syncengine.errors import visible
from syncengine.execution.rejects import advice
from syncengine.execution.summary import RESULTS, Summary
from syncengine.planning import sealing
from syncengine.planning.plan_file import PlanFile
from syncengine.reports import Report, changes_of, left_of

if TYPE_CHECKING:
    from syncengine.execution.account import Account

COMMENT = 65_535
ROOM = 60_000
"""Characters for operations; the rest is for headings and the sentence about what was cut."""
ORDER = ("reclassify", "retire", "rejected", "unknown", "update", "create", "relate", "attach", "touched")


def code(text: str, width: int = 60) -> str:
    """Foreign text as a code span on one line."""
    text = visible(sealing.shown(text))
    text = text if len(text) <= width else text[: width - 1] + "…"
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if text.startswith("`") or text.endswith("`") or not text else ""
    return f"{fence}{pad}{text.replace('|', chr(92) + '|')}{pad}{fence}"


class MarkdownReport(Report):
    """A table of counts, then operations under one heading per action."""

    def of_plan(self, plan: PlanFile, *, details: int) -> Iterator[str]:
        """The counts, the guards, and as many operations as fit."""
        manifest = plan.manifest
        yield f"### syncengine plan for {code(plan.header.environment)}"
        yield ""
        yield f"Plan hash {code(plan.seal.plan_hash, 64)}"
        yield ""
        if plan.header.selection:
            only = ", ".join(code(one, 120) for one in plan.header.selection)
            yield f"Only a part: {only}. What has vanished and limits in percent are not looked at."
            yield ""
        names = [action for action in ORDER if manifest.total(action)] + ["unchanged"]
        yield "| step | rows | " + " | ".join(names) + " |"
        yield "|---|--:|" + "--:|" * len(names)
        for step, counts in manifest.counts.items():
            cells = [f"{counts.actions.get(name, 0):,}" for name in names]
            yield f"| {code(step)} | {counts.rows:,} | " + " | ".join(cells) + " |"
        yield ""
        for guard in manifest.guards:
            said = "waived" if guard.state == "waived" else "**refused**"
            other = f"; {code(f'--allow {guard.given}')} names another number" if guard.given else ""
            yield f"- {said}: {code(guard.step)} {guard.guard} = {guard.count:,} (limit {guard.limit}){other}"
        for note in manifest.notes:
            yield f"- warning {code(note.code)}: {code(note.message, 200)}" + (
                f"; {code(note.fix, 200)}" if note.fix else ""
            )
        yield from self._operations(plan, details)

    def _operations(self, plan: PlanFile, details: int) -> Iterator[str]:
        kept: dict[str, list[str]] = {}
        for change in changes_of(plan):
            listed = kept.setdefault(change.action, [])
            if change.action in ORDER and len(listed) < details and change.reason != "end":
                listed.append(_operation(change, plan))
        room = ROOM
        for action in ORDER:
            listed = kept.get(action, [])
            if not listed:
                continue
            total = max(plan.manifest.total(action), len(listed))
            is_open = action in ("reclassify", "retire", "rejected")
            room = yield from _folded(action, listed, total, room, "syncengine show --all PLAN", is_open=is_open)

    def of_run(self, summary: Summary) -> Iterator[str]:
        """A table of results by step."""
        yield f"### syncengine run {code(summary.run)} on {code(summary.environment)}"
        yield ""
        yield "| step | " + " | ".join(result.replace("_", " ") for result in RESULTS) + " |"
        yield "|---|" + "--:|" * len(RESULTS)
        for name, step in summary.steps.items():
            yield f"| {code(name)} | " + " | ".join(f"{step.total(result):,}" for result in RESULTS) + " |"

    def of_account(self, account: Account, *, details: int) -> Iterator[str]:
        """The table, how the run ended, and what was not applied, as much as fits."""
        yield from self.of_run(account.summary)
        yield ""
        yield f"Ended: {account.ending}" + (f"; next: {code(account.next_step, 80)}" if account.next_step else "")
        if (stopped := account.summary.problem) is not None:
            yield ""
            yield f"Stopped: {code(stopped.code)} {code(stopped.message, 200)}"
        kept: dict[str, list[str]] = {}
        total: dict[str, int] = {}
        for change, result, why, message in left_of(account):
            total[result] = total.get(result, 0) + 1
            listed = kept.setdefault(result, [])
            if len(listed) < details:
                listed.append(_left(change, account.plan, why, message))
        room = ROOM
        for result, listed in kept.items():
            title, more = result.replace("_", " "), f"syncengine report --all {account.row.id}"
            room = yield from _folded(title, listed, total[result], room, more, is_open=True)


def _folded(
    title: str, listed: Sequence[str], total: int, room: int, more: str, *, is_open: bool
) -> Generator[str, None, int]:
    """A section that folds, with as many lines as there is room for; returns the room that is left."""
    yield ""
    yield "<details open>" if is_open else "<details>"
    yield f"<summary>{title}: {total:,}</summary>"
    yield ""
    written = 0
    for line in listed:
        if len(line) + 1 > room:
            break
        room -= len(line) + 1
        written += 1
        yield line
    if written < total:
        yield f"- … and {total - written:,} more: `{more}`"
    yield ""
    yield "</details>"
    return room


def _left(change: Change, plan: PlanFile, why: str, message: str) -> str:
    """An operation that was not applied."""
    what = f"- {_named(change)}: {code(why)} {code(message, 120)}"
    if help_ := change.fix or advice(why):
        what += f"; {code(help_, 120)}"
    return f"{what} — {code(plan.header.steps[change.step].name)}"


def _named(change: Change) -> str:
    if change.kind == "relation" and change.parent and change.child:
        what = f"{code(change.parent.key)} {code(change.type)} {code(change.child.key)}"
    else:
        is_named = change.kind == "end" and change.key.startswith(f"{change.class_name} where ")
        what = " ".join(code(one) for one in ("" if is_named else change.class_name, change.key) if one) or "no record"
    return what + (f" ({code(str(change.place), 80)})" if change.place is not None and change.place.row else "")


def _operation(change: Change, plan: PlanFile) -> str:
    step = "" if change.kind == "end" else plan.header.steps[change.step].name
    what = _named(change)
    values = {**change.values, **change.names, **{name: end.key or end.sys_id for name, end in change.refs.items()}}
    if change.before:
        fields = "; ".join(
            f"{code(name)}: {code(before, 40)} → {code(values.get(name, ''), 40)}"
            if plan.header.show_values
            else code(name)
            for name, before in change.before.items()
        )
        what += f": {fields}"
    elif values and (change.action == "create" or (change.action == "update" and change.reason == SECOND_PASS)):
        shown = (
            f"{code(name)} = {code(value, 40)}" if plan.header.show_values else code(name)
            for name, value in values.items()
        )
        what += f": {', '.join(shown)}"
    if change.action == "update" and change.basis == "compared" and change.reason not in ("", SECOND_PASS):
        what += f"; {code(change.reason, 120)}"
    if change.action == "unknown" and not change.code:
        what += f": {code(change.reason, 120)}"
    if change.kind == "end" and change.action == "touched":
        what += f": only touched as an end; its discovery source is {code(change.owner) if change.owner else 'not set'}"
    if change.code:
        what += f": {code(change.code)} {code(change.message, 120)}"
        if help_ := change.fix or advice(change.code):
            what += f"; {code(help_, 120)}"
    return f"- {what}" + (f" — {code(step)}" if step else "")
