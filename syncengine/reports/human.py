"""For people: at a terminal of 80 columns, without colour where there is none."""

from __future__ import annotations

import os
import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from syncengine.changes import SECOND_PASS, Change, End
from syncengine.errors import Place, many, visible
from syncengine.execution.rejects import advice
from syncengine.execution.summary import RESULTS, StepSummary, Summary
from syncengine.planning import sealing
from syncengine.planning.lines import Head
from syncengine.planning.plan_file import PlanFile
from syncengine.reports import (
    TOUCHED,
    Report,
    changes_of,
    guard_sentence,
    left_of,
    plan_sentence,
    run_sentence,
    without_values,
)

if TYPE_CHECKING:
    from syncengine.execution.account import Account

GLYPHS = {
    "create": "+",
    "update": "~",
    "reclassify": "±",
    "retire": "-",
    "relate": "→",
    "attach": "@",
    "touched": "·",
    "unchanged": "=",
    "rejected": "!",
    "unknown": "?",
}
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
VALUE_WIDTH = 44
KEY_WIDTH = 120
"""A key tells one record from another: it is cut later than a value."""
WIDTH = 80


def shown(value: str, width: int = VALUE_WIDTH) -> str:
    """A value on one line: control characters spelled out, cut at a width."""
    text = visible(sealing.shown(value))
    return text if len(text) <= width else text[: width - 1] + "…"


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
            yield from _operation(change, show=plan.header.show_values)
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
        yield from _table(heads, rows)
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
        yield from _table(heads, rows)
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
            yield from _left(change, result, code, message)
        for (number, result, code), count in sorted(limit.hidden.items()):
            why = f" ({code})" if code else ""
            yield f"  ! … {count:,} more {result.replace('_', ' ')}{why} in {steps[number].name} (--all shows them)"


def _left(change: Change, result: str, code: str, message: str) -> Iterator[str]:
    """An operation that was not applied."""
    if change.kind == "relation":
        what = f"{_named(change.parent)} {change.type.partition('::')[0]} {_named(change.child)}"
    else:
        what = _titled(change)
    yield from _headed(f"  ! {what}", change, f": {result.replace('_', ' ')}")
    if code or message:
        yield from wrapped("      ", f"{code}: {shown(message, 400)}")
    if help_ := change.fix or advice(code):
        yield from wrapped("      fix: ", shown(help_, 400))


def _titled(change: Change) -> str:
    """Class and key of a record; what is only looked for is named with its table."""
    was = f" (was {change.was_class})" if change.was_class else ""
    name = "" if change.kind == "end" and change.key.startswith(f"{change.class_name} where ") else change.class_name
    return " ".join(one for one in (f"{name}{was}", shown(change.key, KEY_WIDTH)) if one) or "no record"


def _source(change: Change) -> str:
    return f"  ({_at(change.place)})" if change.place and change.place.row else ""


def _headed(what: str, change: Change, end: str = "") -> Iterator[str]:
    """The first line of an operation, its place in the source on a line of its own where both have no room in one."""
    at = _source(change)
    if len(what) + len(at) + len(end) <= WIDTH:
        yield f"{what}{at}{end}"
        return
    yield from textwrap.wrap(
        f"{what}{end}", WIDTH, subsequent_indent="      ", break_long_words=False, break_on_hyphens=False
    )
    if at:
        yield f"      {at.strip()}"


def _operation(change: Change, *, show: bool) -> Iterator[str]:
    glyph = GLYPHS[change.action]
    if change.kind == "relation":
        parent, child = (_named(end) for end in (change.parent, change.child))
        verb, _, back = change.type.partition("::")
        forth = f"  {glyph} {parent} {verb} {child}"
        both = f"{forth}; {child} {back} {parent}{_source(change)}"
        if len(both) <= WIDTH:
            yield both
        else:
            yield from _headed(forth, change)
            yield from wrapped("      ", f"{child} {back} {parent}")
    else:
        yield from _headed(f"  {glyph} {_titled(change)}", change)
    if change.action in ("update", "reclassify", "retire"):
        yield from _updated(change, show=show)
    elif change.action == "attach":
        to, values = change.refs["to"], change.values
        yield f"      {shown(values['name'])}, {int(values['size']):,} bytes, for {shown(to.key or to.sys_id)}"
    elif change.action == "create":
        yield from _created(change, show=show)
    elif change.action == "touched" and change.kind == "end":
        yield f"      only touched as an end; its discovery source is {change.owner or 'not set'}"
    elif change.action == "touched":
        yield f"      {TOUCHED.get(change.reason, TOUCHED['adopted'])}"
    elif change.action == "unknown" and not change.code:
        yield from _unknown(change, show=show)
    elif change.action in ("rejected", "unknown"):
        yield from wrapped("      ", f"{change.code}: {shown(change.message, 400)}")
        if help_ := change.fix or advice(change.code):
            yield from wrapped("      fix: ", shown(help_, 400))
    if change.masked and change.action in ("update", "create"):
        yield f"      refused by reconciliation rules: {', '.join(change.masked)}"


def _unknown(change: Change, *, show: bool) -> Iterator[str]:
    """Why nobody can say what would become of it, and what is sent all the same."""
    why = change.reason.replace("_", " ") or "the target does not tell what would become of it"
    yield from textwrap.wrap(shown(why, 400), 74, initial_indent="      ", subsequent_indent="      ")
    yield from _created(change, show=show)


def _updated(change: Change, *, show: bool) -> Iterator[str]:
    """What would change in a record."""
    if change.reason == SECOND_PASS and not change.before:
        yield from _created(change, show=show)
    for name, before in change.before.items():
        end = change.refs.get(name)
        after = end.key or end.sys_id if end is not None else change.names.get(name) or change.values.get(name, "")
        if not show:
            yield f"      {name}"
            continue
        yield from wrapped(f"      {name}: ", f"{shown(before) or '(empty)'} → {shown(after) or '(empty)'}")
    if change.reason == "parts":
        yield f"      lookup and related items: {', '.join(part for part in change.parts if part)}"
    elif change.reason in ("unexplained", "unreadable") and not change.was_class:
        yield "      the target announces an update that no readable field explains"
    elif change.basis in ("predicted", "compared") and change.reason:
        yield from textwrap.wrap(change.reason, 74, initial_indent="      ", subsequent_indent="      ")


def _created(change: Change, *, show: bool) -> Iterator[str]:
    """What a new record would hold."""
    values = [(name, change.names.get(name, value)) for name, value in change.values.items()]
    values += [(name, end.key or end.sys_id) for name, end in change.refs.items()]
    yield from wrapped("      ", ", ".join(f"{name}={shown(value, 24)}" if show else name for name, value in values))
    for word, parts in (("lookup", change.lookup), ("related", change.related)):
        counted = Counter(part.class_name for part in parts)
        if counted:
            yield f"      {word}: {', '.join(f'{number} {name}' for name, number in counted.items())}"
    if change.basis == "predicted" and change.reason:
        yield from textwrap.wrap(shown(change.reason, 400), 74, initial_indent="      ", subsequent_indent="      ")


def _at(place: Place) -> str:
    """A place in short: the file's own name, the row and the line."""
    return str(place._replace(file=place.file.rpartition("/")[2]))


def wrapped(begin: str, text: str) -> Iterator[str]:
    """Text behind its beginning, in lines that fit; further ones are indented, at most by five more."""
    deep = " " * min(len(begin), len(begin) - len(begin.lstrip()) + 5)
    lines = textwrap.wrap(begin + text, WIDTH, subsequent_indent=deep, break_long_words=False, break_on_hyphens=False)
    yield from lines


def _them(number: int) -> str:
    return "it" if number == 1 else "them"


def _named(end: End | None) -> str:
    return shown(end.key or end.sys_id, KEY_WIDTH) if end is not None else "?"


def _of(step: StepSummary, result: str, action: str) -> int:
    return step.results.get(result, {}).get(action, 0)


def _table(heads: Sequence[str], rows: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """Numbers by step, steps under their spec, columns only as wide as they must be.

    Where that is too wide, the heads go on two lines, or are no more than their glyphs.
    """
    names = {name: name.rpartition(".") for name in rows}
    width = max((len(step) for _, _, step in names.values()), default=0) + 2
    sizes = [max((len(f"{row[at]:,}") for row in rows.values()), default=0) for at in range(len(heads))]
    for lines in _heads(heads):
        widths = [max(size, *map(len, head)) for size, *head in zip(sizes, *lines, strict=True)]
        if width + 2 + sum(widths) + 2 * len(widths) <= WIDTH:
            break
    *upper, titles = ["  ".join(f"{one:>{size}}" for one, size in zip(line, widths, strict=True)) for line in lines]
    for line in upper:
        yield f"  {'':<{width}}  {line}".rstrip()
    spec = ""
    for name, row in rows.items():
        above, _, step = names[name]
        if above != spec:
            titles = "" if spec else titles
            spec = above
            yield f"  {spec:<{width}}  {titles}".rstrip()
        cells = "  ".join(
            f"{number:>{size},}" if number else " " * size for number, size in zip(row, widths, strict=True)
        )
        yield f"    {step:<{width - 2}}  {cells}".rstrip()


def _heads(heads: Sequence[str]) -> Iterator[list[list[str]]]:
    """The lines of the heads of a table, ever narrower."""
    yield [list(heads)]
    parts = [head.split(" ", 1) for head in heads]
    yield [[part[0] if len(part) > 1 else "" for part in parts], [part[-1] for part in parts]]
    yield [[part[0] for part in parts]]


def _bases(plan: PlanFile) -> Iterator[str]:
    """How the steps are known whose target was not asked for all of it, or has nobody to ask."""
    said = [
        f"{name.rsplit('.', 1)[-1]} " + ", ".join(f"{basis} ({number:,})" for basis, number in counts.bases.items())
        for name, counts in plan.manifest.counts.items()
        if counts.bases.keys() - {"engine", "implied"}
    ]
    if said:
        yield from textwrap.wrap("how we know: " + "; ".join(said), 78, initial_indent="  ", subsequent_indent="    ")
