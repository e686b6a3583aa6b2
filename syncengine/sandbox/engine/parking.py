"""Items that cannot be committed: rejected, or kept as partial or incomplete payloads for later.

Documented: which errors make an item partial; that a partial payload is merged into the next item of the same source
key; that a key alone never inserts. Observed: INSERT_AS_INCOMPLETE for an unregistered data source.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import uuid4

import orjson

from syncengine.sandbox.engine.payload import Item, Options
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
    stored: dict[tuple[str, str], list[tuple[str, dict[str, str]]]] = {}
    for record in world.store.all(PARTIAL):
        v = record.values
        stored.setdefault((v.get("source_name", ""), v.get("source_native_key", "")), []).append((record.sys_id, v))
    for item in items if stored else ():
        if item.source is None or item.errors:
            continue
        for sys_id, row in stored.get(item.source, ()):
            if row.get("class_name") == item.cls:
                earlier = orjson.loads(row["item"]).get("values", {})
                for name, value in earlier.items():
                    if name != "discovery_source":
                        item.values.setdefault(name, value)
                item.merged_payloads.append(sys_id)


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
