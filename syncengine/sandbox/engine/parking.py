"""Items that cannot be committed: rejected, or kept as partial or incomplete payloads for later.

Documented: which errors make an item partial; that a partial payload is kept when it has a source key or a full set of
criteria, and is merged into a later item; that a key alone never inserts. Inferred: an item of another source key
completes it when both have the same values for all criteria of an entry. Observed: INSERT_AS_INCOMPLETE for an
unregistered data source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import uuid4

import orjson

from syncengine.sandbox.engine.payload import Item, Options
from syncengine.sandbox.store import Record
from syncengine.sandbox.world import World

PARTIAL = "cmdb_ire_partial_payloads"
INCOMPLETE = "cmdb_ire_incomplete_payloads"
PARTIAL_ERRORS = frozenset(
    {"MISSING_MATCHING_ATTRIBUTES", "REQUIRED_ATTRIBUTE_EMPTY", "MISSING_DEPENDENCY", "INSERT_NOT_ALLOWED_FOR_SOURCE"}
)


def as_json(world: World, item: Item, source: str) -> str:
    """The item as messages and stored payloads show it (documented: example of a partial item)."""
    body = dict(item.raw)
    body["values"] = {"discovery_source": source, **{k: v for k, v in item.values.items() if k != "sys_class_name"}}
    body.setdefault("settings", {})
    body["sys_ire_info"] = {"ire_received_time": world.clock.now()}
    return orjson.dumps(body).decode()


def complete(world: World, items: Iterable[Item], options: Options) -> None:
    """Merge stored partial payloads into items of the same source key."""
    if not options.enhanced:
        return
    stored = list(world.store.all(PARTIAL))
    if not stored:
        return
    by_source: dict[tuple[str, str], list[Record]] = {}
    by_criteria: dict[tuple[str, str], list[Record]] = {}
    for record in stored:
        v = record.values
        by_source.setdefault((v.get("source_name", ""), v.get("source_native_key", "")), []).append(record)
        for key in _criteria(world, v.get("class_name", ""), orjson.loads(v["item"]).get("values", {})):
            by_criteria.setdefault(key, []).append(record)
    for item in items:
        if item.errors:
            continue
        found = by_source.get(item.source, []) if item.source is not None else []
        keys = _criteria(world, item.cls, item.values)
        found = [*found, *(record for key in keys for record in by_criteria.get(key, ()))]
        for record in {record.sys_id: record for record in found}.values():
            if record.values.get("class_name") == item.cls:
                for name, value in orjson.loads(record.values["item"]).get("values", {}).items():
                    if name != "discovery_source":
                        item.values.setdefault(name, value)
                item.merged_payloads.append(record.sys_id)


def _criteria(world: World, cls: str, values: Mapping[str, str]) -> list[tuple[str, str]]:
    """(entry, key) for every entry of an independent rule whose criteria are all there."""
    rule = world.rules.rule(cls)
    if rule is None or not rule.independent:
        return []
    return [
        (entry.sys_id, key)
        for entry in rule.entries
        if not entry.field and (key := entry.kind.key({**values, "sys_class_name": cls})) is not None
    ]


def park(items: Sequence[Item], options: Options) -> None:
    """Give items with errors the operation of what would be kept."""
    if not options.partial_payloads:
        return
    for item in items:
        if not item.errors or item.operation == "INSERT_AS_INCOMPLETE":
            continue
        partial = all(fault.error in PARTIAL_ERRORS for fault in item.errors) and (
            item.source is not None or item.usable
        )
        if partial:
            item.operation = "INSERT_AS_PARTIAL"
            # documented: a partial item has a warning and no error
            item.warnings, item.errors = item.errors, []
            item.partial_ids = item.partial_ids or [uuid4().hex]
        else:
            item.operation = "INSERT_AS_INCOMPLETE"
            item.incomplete_ids = item.incomplete_ids or [uuid4().hex]
