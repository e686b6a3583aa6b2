"""Operations and batches as the lines of a plan, and back.

A line holds only what is said: empty parts are left out, ids not known yet are written `{"$later": [step, key]}`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from syncengine.changes import Batch, Change, End, Part
from syncengine.errors import Place

_PLAIN = (
    "key",
    "class_name",
    "sys_id",
    "native_key",
    "reason",
    "code",
    "message",
    "owner",
    "seen_at",
    "was_class",
    "type",
    "values",
    "before",
    "parts",
    "masked",
    "spec",
)


def end_to_json(end: End) -> dict[str, Any]:
    """An end as it stands in a plan."""
    if end.sys_id:
        return {"op": end.op, "key": end.key, "step": end.step, "sys_id": end.sys_id, "class": end.class_name}
    return {"op": end.op, "class": end.class_name, "$later": [end.step, end.key]}


def end_from_json(data: dict[str, Any]) -> End:
    """An end of a plan's line."""
    later = data.get("$later")
    if later is not None:
        return End(data["op"], later[0], later[1], "", data["class"])
    return End(data["op"], data["step"], data["key"], data["sys_id"], data["class"])


def _parts_to_json(parts: Iterable[Part]) -> list[list[Any]]:
    return [[part.class_name, part.values] for part in parts]


def _parts_from_json(parts: Iterable[list[Any]]) -> tuple[Part, ...]:
    return tuple(Part(class_name, values) for class_name, values in parts)


def change_to_json(change: Change) -> dict[str, Any]:
    """One operation as a line of the plan; keys in a fixed order, so equal plans have equal bytes."""
    line: dict[str, Any] = {
        "op": change.op,
        "kind": change.kind,
        "step": change.step,
        "action": change.action,
        "basis": change.basis,
    }
    for name in _PLAIN:
        value = getattr(change, name)
        if value:
            line[name] = value
    if change.refs:
        line["refs"] = {name: end_to_json(end) for name, end in change.refs.items()}
    for name in ("lookup", "related"):
        if parts := getattr(change, name):
            line[name] = _parts_to_json(parts)
    if change.host is not None:
        line["host"] = change.host
    if change.follows:
        line["follows"] = change.follows
    for name in ("parent", "child"):
        if end := getattr(change, name):
            line[name] = end_to_json(end)
    if change.in_unit:
        line["in_unit"] = True
    if change.place is not None:
        line["at"] = list(change.place)
    return line


def change_from_json(line: dict[str, Any]) -> Change:
    """One operation of a plan; raises KeyError or TypeError when the line is not one."""
    get = line.get
    change = Change(line["op"], line["kind"], line["step"], line["action"], line["basis"])
    for name in _PLAIN:
        if name in line:
            value = line[name]
            setattr(change, name, tuple(value) if isinstance(value, list) else value)
    if "refs" in line:
        change.refs = {name: end_from_json(end) for name, end in line["refs"].items()}
    change.lookup = _parts_from_json(get("lookup", ()))
    change.related = _parts_from_json(get("related", ()))
    change.host = get("host")
    change.follows = tuple(get("follows", ()))
    if "parent" in line:
        change.parent = end_from_json(line["parent"])
    if "child" in line:
        change.child = end_from_json(line["child"])
    change.in_unit = get("in_unit", False)
    if "at" in line:
        change.place = Place(*line["at"])
    return change


def batch_to_json(batch: Batch) -> dict[str, Any]:
    """A batch as a line of the plan."""
    return {
        "batch": batch.number,
        "wave": batch.wave,
        "data_source": batch.data_source,
        "items": batch.items,
        "ends": batch.ends,
        "relations": batch.relations,
        "context": batch.context,
        "step": batch.step,
    }


def batch_from_json(line: dict[str, Any]) -> Batch:
    """A batch of a plan; raises KeyError when the line is not one."""
    return Batch(
        line["batch"],
        line["wave"],
        line["data_source"],
        tuple(line["items"]),
        tuple(line["ends"]),
        tuple(line["relations"]),
        tuple(line["context"]),
        line["step"],
    )
