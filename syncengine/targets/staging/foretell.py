"""What would become of many rows: the maps of their table, over what is on the target now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from syncengine.changes import Action, Change, Seen, StepInfo
from syncengine.targets.staging.facts import Facts, Staging, TransformMap
from syncengine.targets.staging.lookup import read_columns, records, references
from syncengine.targets.staging.transform import (
    Decision,
    Left,
    Mapped,
    Status,
    combined,
    decide,
    key_of,
    mapped,
    wanted,
)

ACTIONS: Mapping[Status, Action] = {
    "inserted": "create",
    "updated": "update",
    "ignored": "unchanged",
    "skipped": "rejected",
    "error": "rejected",
    "unknown": "unknown",
}
CODES = {"skipped": "row-skipped", "error": "row-error"}


@dataclass(slots=True)
class Rows:
    """Rows of one step as they arrive on the instance."""

    texts: dict[int, dict[str, str]] = field(default_factory=dict)
    """Values by operation and staging column, cut to what the column holds."""
    cut: dict[str, int] = field(default_factory=dict)
    """How many values are cut by each column."""
    unsure: dict[int, dict[str, str]] = field(default_factory=dict)
    """Columns of an operation whose value is not known before another one is applied, and why."""
    uncleared: dict[str, int] = field(default_factory=dict)
    """How many rows send a column empty to clear what the target has, without effect."""
    awaiting: set[int] = field(default_factory=set)
    """Operations that name a record which is not there yet, and will be when they are sent."""


def arriving(step: StepInfo, staging: Staging, changes: Sequence[Change]) -> Rows:
    """What the staging table will hold of these changes."""
    rows = Rows()
    for change in changes:
        texts = dict(change.values)
        if change.follows:
            rows.awaiting.add(change.op)
        for name, end in change.refs.items():
            if end.sys_id:
                texts[name] = end.sys_id
            else:
                rows.unsure.setdefault(change.op, {})[name] = f"{name} names {end.key}, which this plan makes"
                rows.awaiting.add(change.op)
        if marker := step.options.get("marker"):
            rows.unsure.setdefault(change.op, {})[str(marker)] = f"{marker} differs with every run"
        for name, text in texts.items():
            column = staging.columns.get(name)
            if column is not None and len(text) > column.max_length > 0:
                texts[name] = text[: column.max_length]
                rows.cut[name] = rows.cut.get(name, 0) + 1
            if staging.columns and column is None:
                texts[name] = ""  # inferred: unknown columns are ignored
        rows.texts[change.op] = texts
    return rows


def foretell(
    facts: Facts, staging: Staging, step: StepInfo, changes: Sequence[Change], rows: Rows
) -> list[tuple[Seen, tuple[tuple[str, str], ...]]]:
    """What would become of each change, and the referenced records that would be made on the way."""
    made: dict[int, list[Decision]] = {change.op: [] for change in changes}
    for one in staging.maps:
        for op, decision in _one_map(facts, one, step, rows).items():
            made[op].append(decision)
    return [_seen(change, made[change.op], rows) for change in changes]


def _one_map(facts: Facts, one: TransformMap, step: StepInfo, rows: Rows) -> dict[int, Decision]:
    found_refs = references(facts, wanted(one, rows.texts.values()))
    decided: dict[int, Decision] = {}
    values: dict[int, dict[str, Mapped]] = {}
    keys: dict[int, dict[str, str] | None] = {}
    for op, texts in rows.texts.items():
        try:
            values[op] = mapped(one, texts, found_refs, rows.unsure.get(op, {}), awaits=op in rows.awaiting)
            keys[op] = key_of(one, values[op])
        except Left as left:
            decided[op] = left.decision
    asked = {op: key for op, key in keys.items() if key is not None}
    clears = _clears(one, rows)
    columns = [*read_columns(one, values.values()), *clears.values()]
    present = records(facts, one, asked, columns) if asked else {}
    shown = _shower(one)
    for op, key in keys.items():
        found = present.get(op, [])
        if isinstance(found, Left):
            decided[op] = found.decision
            continue
        if len(found) == 1:
            for source, target in clears.items():
                if rows.texts[op].get(source, "x") == "" and found[0].get(target):
                    rows.uncleared[source] = rows.uncleared.get(source, 0) + 1
        try:
            decided[op] = decide(one, values[op], key, found, quiet=step.quiet, show=shown)
        except Left as left:
            decided[op] = left.decision
    return decided


def _clears(one: TransformMap, rows: Rows) -> dict[str, str]:
    """Staging columns that some row sends empty though the map copies no empty fields, with their target columns."""
    if one.copy_empty:
        return {}
    sent = {name for texts in rows.texts.values() for name, text in texts.items() if not text}
    return {e.source: e.target for e in one.entries if e.source in sent and e.target in one.target.columns}


def _shower(one: TransformMap) -> Any:
    """Shows a present reference by what a row would name it by."""
    by = {}
    for entry in one.entries:
        column = one.target.columns.get(entry.target)
        if column is not None and column.reference:
            by[entry.target] = entry.by or one.displays.get(column.reference, "")

    def show(name: str, row: Mapping[str, Any]) -> str:
        there = str(row.get(name) or "")
        if there and by.get(name):
            return str(row.get(f"{name}.{by[name]}") or there)
        return there

    return show


def _seen(change: Change, decisions: Sequence[Decision], rows: Rows) -> tuple[Seen, tuple[tuple[str, str], ...]]:
    status = combined(one.status for one in decisions)
    first = next((one for one in decisions if one.table and one.status == status), None)
    first = first or next((one for one in decisions if one.table), decisions[0])
    reasons = [one.reason for one in decisions if one.reason and one.status in (status, "unknown")]
    seen = Seen(
        change.op,
        status,
        ACTIONS[status],
        "unknown" if status == "unknown" else "predicted",
        first.sys_id,
        first.table or change.class_name,
    )
    if status in CODES:
        seen.code, seen.message = CODES[status], "; ".join(dict.fromkeys(reasons))
        return seen, ()
    seen.reason = "; ".join(dict.fromkeys(reasons))
    if status == "unknown" and change.op in rows.awaiting and first.sys_id:
        # It will name a record that is not there yet, so it is certain to differ.
        seen.action, seen.basis, seen.operation = "update", "implied", "updated"
    for one in decisions:
        for name, before in one.before.items():
            seen.before.setdefault(name, before)
    if status == "inserted":
        keys = [one.key for one in decisions if one.status == "inserted" and one.key]
        seen.identity = "\0\0".join(keys)
    return seen, tuple(pair for one in decisions for pair in one.makes)
