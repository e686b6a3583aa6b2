"""What the engine's answers mean: the action of each operation, what differs, and what became of a write.

The engine decides; the present record is read only to say what an update would change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from syncengine.changes import Change, Outcome, Parcel, Seen, StepInfo
from syncengine.transport.reader import Reader
from syncengine.transport.servicenow import rows_by_ids

VOLATILE = frozenset({"last_discovered", "discovery_source", "first_discovered"})
"""Written by the engine on every call, so never a difference (ire, Australia: Timestamps)."""


_INDICES = re.compile(r"\(index (\d{1,6}) and (\d{1,6})\)")
"""How the engine names two items of a request (id-engine-error-messages, Australia)."""


def named_twins(seen: dict[int, Seen], ops: Sequence[int], items: Sequence[Change]) -> dict[int, Seen]:
    """Say the keys of two records that the engine takes for one, in place of where they stood in a request."""
    refused = [answer for answer in seen.values() if answer.code == "DUPLICATE_PAYLOAD_RECORDS"]
    if refused:
        keys = {change.op: change.key for change in items}
        for answer in refused:
            answer.message = _INDICES.sub(lambda found: _both(found, ops, keys), answer.message)
    return seen


def _both(found: re.Match[str], ops: Sequence[int], keys: Mapping[int, str]) -> str:
    indices = int(found[1]), int(found[2])
    names = [keys.get(ops[index], "") for index in indices if index < len(ops)]
    return f"({names[0]} and {names[1]})" if len(names) == 2 and all(names) else found[0]


def judge(parcel: Parcel, seen: dict[int, Seen], steps: Sequence[StepInfo], reader: Reader) -> None:
    """Fill in what each answer of a dry run means."""
    updated: list[tuple[Change, Seen]] = []
    for change in parcel.items:
        answer = seen[change.op]
        answer.basis = "engine"
        if answer.code:
            answer.action = "rejected"
        elif answer.operation == "INSERT":
            answer.action = "create"
            answer.sys_id = ""
        else:
            updated.append((change, answer))
    for change in parcel.relations:
        answer = seen[change.op]
        answer.basis = "engine"
        if answer.code:
            answer.action = "rejected"
        else:
            answer.action = "relate" if answer.operation == "INSERT" else "unchanged"
        answer.sys_id = ""
    _explain(updated, steps, reader)


def _explain(updated: list[tuple[Change, Seen]], steps: Sequence[StepInfo], reader: Reader) -> None:
    """Say what differs in the records that the engine would update; the rest is unchanged."""
    wanted: dict[str, list[tuple[Change, Seen]]] = {}
    moved = [answer for _, answer in updated if answer.operation.startswith("UPDATE_WITH_")]
    classes: dict[str, str] = {}
    if moved:
        ids = [answer.sys_id for answer in moved]
        rows = rows_by_ids(reader, "cmdb_ci", ids, ("sys_id", "sys_class_name"))
        classes = {row["sys_id"]: row["sys_class_name"] for row in rows}
    for change, answer in updated:
        if answer.operation == "NO_CHANGE":
            _unless_parts(answer)
            continue
        answer.was_class = classes.get(answer.sys_id, "")
        wanted.setdefault(answer.was_class or answer.class_name, []).append((change, answer))
    for table, pairs in wanted.items():
        fields = sorted({name for change, _ in pairs for name in (*change.values, *change.refs)})
        rows = rows_by_ids(reader, table, [answer.sys_id for _, answer in pairs], ("sys_id", *fields))
        present = {row["sys_id"]: row for row in rows}
        for change, answer in pairs:
            quiet = steps[change.step].quiet
            _explain_one(change, answer, present.get(answer.sys_id), VOLATILE.union(quiet) if quiet else VOLATILE)


def _unless_parts(answer: Seen) -> None:
    """A record that stays as it is while one of its lookup or related rows does not, is an update."""
    if any(part not in ("NO_CHANGE", "") for part in answer.parts):
        answer.action, answer.reason = "update", "parts"
    else:
        answer.action = "unchanged"


def _explain_one(change: Change, answer: Seen, row: dict[str, Any] | None, ignored: frozenset[str]) -> None:
    sent = {**change.values, **{name: end.sys_id for name, end in change.refs.items() if end.sys_id}}
    if row is None:
        answer.action, answer.reason = "update", "unreadable"
    else:
        found = {name: str(row.get(name) or "") for name, value in sent.items() if str(row.get(name) or "") != value}
        differs = {name: value for name, value in found.items() if name not in ignored}
        if found and not differs and answer.operation == "UPDATE":
            answer.action, answer.reason = "unchanged", "compare: false"
            return
        answer.before = {name: value for name, value in differs.items() if name not in answer.masked}
        if not answer.before and differs and answer.operation == "UPDATE":
            answer.action, answer.reason = "unchanged", "not authoritative"
            return
        answer.action = "update"
        if not answer.before:
            answer.reason = "parts" if any(part not in ("NO_CHANGE", "") for part in answer.parts) else "unexplained"
    if (answer.was_class and answer.was_class != answer.class_name) or answer.operation.startswith("UPDATE_WITH_"):
        answer.action = "reclassify"


EXPECTED = {
    "create": ("INSERT",),
    "update": ("UPDATE", "NO_CHANGE"),
    "reclassify": ("UPDATE_WITH_UPGRADE", "UPDATE_WITH_DOWNGRADE", "UPDATE_WITH_SWITCH", "UPDATE", "NO_CHANGE"),
    "touched": ("NO_CHANGE", "UPDATE"),
    "relate": ("INSERT", "NO_CHANGE"),
}


def outcome(change: Change, answer: Seen) -> Outcome:
    """What a commit's answer means for a planned operation."""
    if answer.code:
        unknown = answer.code == "unknown-operation"
        return Outcome(
            change.op,
            "unknown" if unknown else "rejected",
            answer.sys_id,
            answer.operation,
            answer.code,
            f"{answer.message} ({answer.trace})" if answer.trace else answer.message,
            warnings=answer.warnings,
        )
    warnings, masked = answer.warnings, answer.masked
    if answer.operation not in EXPECTED.get(change.action, (answer.operation,)):
        warnings += ("drift",)
    if masked:
        masked = tuple(name for name in masked if name in change.values)
    return Outcome(change.op, "applied", answer.sys_id, answer.operation, "", "", None, warnings, masked)
