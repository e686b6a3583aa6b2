"""One page that holds everything: no network, light and dark, folded, with a filter.

Values come from data, so they are hostile: the template escapes all of them, what cannot be printed is spelled out, and
the page's own policy runs no script and takes no style but the two it was written with.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syncengine.changes import Change, Outcome
from syncengine.errors import many, visible
from syncengine.execution.rejects import advice
from syncengine.execution.summary import RESULTS, Summary
from syncengine.planning.plan_file import PlanFile
from syncengine.planning.sealing import shown
from syncengine.reports import TOUCHED, Report, changes_of, guard_sentence, plan_sentence, run_sentence, wanted_of

if TYPE_CHECKING:
    from jinja2 import Template

    from syncengine.execution.account import Account

FEWEST = 500
"""Operations of a kind that are written out at least: a page folds them, so there is room for more than on a screen."""
MOST_FIELDS = 60
WIDEST = 2_000
OPEN = 100
"""A group of at most so many operations is unfolded from the start."""
GROUPS: Mapping[str, tuple[str, str]] = {
    "reclassify": ("±", "Change class"),
    "retire": ("-", "Retire"),
    "rejected": ("!", "Rejected, will not be sent"),
    "unknown": ("?", "Not known before it is sent"),
    "update": ("~", "Update"),
    "create": ("+", "Create"),
    "relate": ("→", "Relate"),
    "attach": ("@", "Attach"),
    "touched": ("·", "Touched"),
}
"""Actions of a plan, what wants to be looked at first."""
LEFT: Mapping[str, tuple[str, str]] = {
    "unknown": ("?", "Outcome unknown"),
    "rejected": ("!", "Rejected"),
    "stale": ("~", "Changed on the target since the plan"),
    "not_sent": ("-", "Not sent"),
}
"""Results of a run that leave something to do."""


@cache
def _page() -> tuple[Template, dict[str, object]]:
    """The template, and what never changes; made when the first page is written (jinja2 takes 40 ms)."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    folder = Path(__file__).parent / "page"
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    fixed: dict[str, object] = {}
    for name, file in (("style", "page.css"), ("script", "page.js")):
        text = (folder / file).read_text(encoding="utf-8")
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        fixed |= {name: Markup(text), f"{name}_hash": f"sha256-{digest}"}  # noqa: S704  # our own two files
    return environment.get_template("page.html"), fixed


def _rendered(**values: object) -> Iterator[str]:
    """The page line by line: pieces of the template end anywhere."""
    template, fixed = _page()
    rest = ""
    for piece in template.generate(**fixed, **values):
        *lines, rest = (rest + str(piece)).split("\n")  # a piece may be Markup, which escapes what is added to it
        yield from lines
    yield rest


class HtmlReport(Report):
    """Headline, numbers, what a reviewer should know, then operations by kind."""

    def of_plan(self, plan: PlanFile, *, details: int) -> Iterator[str]:
        """The plan; groups of operations in the order in which they want to be looked at."""
        manifest, header = plan.manifest, plan.header
        names = [name for name in (*GROUPS, "unchanged") if manifest.total(name)]
        groups = _Groups(GROUPS, max(details, FEWEST))
        for change in changes_of(plan):
            if change.action in GROUPS and change.reason != "end":
                step = "" if change.kind == "end" else header.steps[change.step].name
                if groups.takes(change.action):
                    groups.put(change.action, _planned(change, step, header.show_values))
        refused = [guard_sentence(guard) for guard in manifest.guards if guard.state == "refused"]
        waived = [("waived", guard_sentence(guard), "") for guard in manifest.guards if guard.state != "refused"]
        yield from _rendered(
            title=f"Plan for {visible(header.environment)}",
            lead=plan_sentence(plan),
            banners=refused,
            facts=_facts(plan),
            heads=[("rows", ""), *((name, GROUPS.get(name, ("=", ""))[0]) for name in names)],
            rows=[
                (visible(step), [counts.rows, *(counts.actions.get(name, 0) for name in names)])
                for step, counts in manifest.counts.items()
            ],
            notes=waived + [(note.code, visible(note.message), visible(note.fix)) for note in manifest.notes],
            heading="Operations",
            groups=groups.all({name: manifest.total(name) for name in GROUPS}, ("reclassify", "retire", "rejected")),
            made_by=f"Made {visible(plan.seal.made_at)} by syncengine {visible(header.product)}. It holds data.",
        )

    def of_run(self, summary: Summary) -> Iterator[str]:
        """The numbers of a run."""
        yield from _rendered(**_run(summary), facts=[("Plan", summary.plan_hash)], heading="", groups=[], made_by="")

    def of_account(self, account: Account, *, details: int) -> Iterator[str]:
        """The run; what was not applied first, then what was, folded."""
        summary, row, plan = account.summary, account.row, account.plan
        kinds = {**LEFT, **{f"applied {name}": (glyph, f"Applied: {label}") for name, (glyph, label) in GROUPS.items()}}
        groups = _Groups(kinds, max(details, FEWEST))
        for change, outcome in wanted_of(account):
            done = outcome.result in ("applied", "unchanged")
            name = f"applied {change.action}" if done else outcome.result
            step = plan.header.steps[change.step].name
            if groups.takes(name):
                groups.put(name, _settled(change, outcome, step, plan.header.show_values))
        facts = [("Run", row.id), ("Ended", f"{account.ending}{f', {row.ended_at}' if row.ended_at else ''}")]
        facts += [("Began", row.started_at), *_facts(plan)]
        facts += [("Requests", f"{summary.requests:,}, {summary.retries:,} repeated")] if row.summary else []
        facts += [("Next", account.next_step)] if account.next_step else []
        yield from _rendered(
            **_run(summary),
            facts=facts,
            heading="Operations",
            groups=groups.all({}, tuple(LEFT)),
            made_by=_by(row.product),
        )


def _by(product: str) -> str:
    return f"Run by syncengine {visible(product)}. It holds data."


def _run(summary: Summary) -> dict[str, object]:
    used = [result for result in RESULTS if summary.total(result)]
    glyphs = {"applied": "+", **{name: glyph for name, (glyph, _) in LEFT.items()}}
    left = summary.operations - summary.total("applied")
    return {
        "title": f"Run {visible(summary.run)} on {visible(summary.environment)}",
        "lead": run_sentence(summary),
        "banners": [f"{many(left, 'operation')} not applied"] if left else [],
        "heads": [(result, glyphs[result]) for result in used],
        "rows": [(visible(name), [step.total(one) for one in used]) for name, step in summary.steps.items()],
        "notes": [("", f"{visible(note)} ({number:,})", "") for note, number in summary.notes.items()]
        + ([("stopped", visible(summary.problem.message), visible(summary.problem.fix))] if summary.problem else []),
    }


def _facts(plan: PlanFile) -> list[tuple[str, str]]:
    header = plan.header
    facts = [("Plan", plan.seal.plan_hash)]
    facts += [("Target", f"{name}: {one.url} as {one.user}") for name, one in header.connections.items()]
    facts += [("Spec", f"{one.name} ({one.path})") for one in header.inputs if one.kind == "spec"]
    if header.selection:
        facts.append(("Only", "; ".join(header.selection) + " (without what has vanished and limits in percent)"))
    for name, window in header.windows.items():
        since = f"since {window.start}" if window.start else "all rows"
        facts.append(("Read", f"{name}: {since}, up to {window.end or '(no row)'}"))
    return [(name, visible(value)) for name, value in facts]


class _Groups:
    """Operations by kind, at most so many of each."""

    def __init__(self, kinds: Mapping[str, tuple[str, str]], most: int) -> None:
        self._kinds = kinds
        self._most = most
        self._ops: dict[str, list[dict[str, Any]]] = {}
        self._seen: dict[str, int] = {}

    def takes(self, kind: str) -> bool:
        """Count an operation; whether there is room to write it out."""
        self._seen[kind] = self._seen.get(kind, 0) + 1
        return self._seen[kind] <= self._most

    def put(self, kind: str, op: dict[str, Any]) -> None:
        """Write an operation out."""
        self._ops.setdefault(kind, []).append(op)

    def all(self, totals: Mapping[str, int], important: Sequence[str]) -> list[dict[str, Any]]:
        """The groups that are not empty, in the order of the kinds."""
        found = []
        for kind, (glyph, label) in self._kinds.items():
            ops = self._ops.get(kind)
            if ops:
                total = max(totals.get(kind, 0), self._seen[kind])
                is_open = kind in important or total <= OPEN
                name = kind.rpartition(" ")[2]
                said = {"glyph": glyph, "label": label, "total": total}
                found.append({"name": name, **said, "open": is_open and len(ops) <= FEWEST, "ops": ops})
        return found


def _text(value: str) -> str:
    value = visible(shown(value))
    return value if len(value) <= WIDEST else value[: WIDEST - 1] + "…"


def _named(change: Change) -> tuple[str, str]:
    """What an operation is about, and what kind of thing that is."""
    if change.kind == "relation" and change.parent is not None and change.child is not None:
        verb, _, _back = change.type.partition("::")
        parent, child = (_text(end.key or end.sys_id) for end in change.pair)
        return f"{parent} {verb} {child}", visible(change.type)
    was = f", was {change.was_class}" if change.was_class else ""
    return _text(change.key) or "no record", visible(f"{change.class_name}{was}")


def _planned(change: Change, step: str, show: bool) -> dict[str, Any]:
    name, of = _named(change)
    known = {"touched": TOUCHED.get(change.reason, ""), "unknown": visible(change.reason)}
    why = visible(shown(change.message)) or known.get(change.action, "")
    if change.masked:
        why = f"{why} Refused by reconciliation rules: {', '.join(change.masked)}".strip()
    where = [step, str(change.place) if change.place is not None and change.place.row else "", change.sys_id]
    if change.owner:
        where.append(f"discovery source {change.owner}")
    return {
        "name": name,
        "of": of,
        "code": change.code,
        "why": why,
        "fix": visible(change.fix or advice(change.code)) if change.code else "",
        "fields": _fields(change, show=show),
        "where": visible(" · ".join(one for one in (*where, f"known: {change.basis}") if one)),
    }


def _settled(change: Change, outcome: Outcome, step: str, show: bool) -> dict[str, Any]:
    made = _planned(change, step, show)
    where = [step, str(change.place) if change.place is not None and change.place.row else ""]
    where += [outcome.sys_id, outcome.operation]
    done = outcome.result in ("applied", "unchanged")
    return {
        **made,
        "code": outcome.code,
        "why": visible(shown(outcome.message)) if not done else made["why"],
        "fix": "" if done else visible(change.fix or advice(outcome.code)),
        "where": visible(" · ".join(one for one in where if one)),
    }


def _fields(change: Change, *, show: bool) -> list[tuple[str, str | None, str | None]]:
    """Name, before, after; of a new record only what it would hold."""
    after = {**change.values, **change.names, **{name: end.key or end.sys_id for name, end in change.refs.items()}}
    pairs: list[tuple[str, str | None, str]]
    if change.before:
        pairs = [(name, before, after.get(name, "")) for name, before in change.before.items()]
    elif change.action in ("create", "unknown", "attach"):
        pairs = [(name, None, value) for name, value in after.items()]
    else:
        return []
    if not show:
        return [(visible(name), None, None) for name, _, _ in pairs[:MOST_FIELDS]]
    return [
        (visible(name), None if before is None else _text(before), _text(value))
        for name, before, value in pairs[:MOST_FIELDS]
    ]
