"""Lookup and related rows of the items: found below their item, inserted or updated with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import uuid4

from syncengine.sandbox.engine.payload import Fault, Item, Options, Part
from syncengine.sandbox.keys import Kind
from syncengine.sandbox.store import Record
from syncengine.sandbox.world import World


class Way(NamedTuple):
    """How rows of one table are found for one item."""

    field: str
    kind: Kind
    pointer: Kind


def decide(world: World, items: Sequence[Item], options: Options) -> None:
    """Decide every row of items that will be committed."""
    wanted: dict[Kind, set[str]] = {}
    ways: dict[int, Way] = {}
    for item in items:
        for part in item.parts:
            way = _way(item, part)
            if way is None:
                _refuse(item, part)
                continue
            ways[id(part)] = way
            part.column = way.field
            if item.record is not None:
                wanted.setdefault(way.pointer, set()).add(item.sys_id)
    existing: dict[Kind, dict[str, list[Record]]] = {
        pointer: world.store.search(pointer, ids) for pointer, ids in wanted.items()
    }
    for item in items:
        if item.parts:
            _item(world, item, ways, existing, options)


def _way(item: Item, part: Part) -> Way | None:
    if item.rule is None:
        return None
    if part.lookup:
        entry = item.rule.lookups.get(part.cls)
        return Way(entry.field, entry.kind, entry.pointer) if entry is not None and entry.pointer is not None else None
    related = item.rule.related.get(part.cls)
    return Way(related.field, related.kind, related.pointer) if related is not None else None


def _refuse(item: Item, part: Part) -> None:
    table = item.rule.applies_to if item.rule else item.cls
    if part.lookup:
        fault = Fault(
            "IDENTIFICATION_RULE_FOR_LOOKUP_MISSING",
            f"Identity Rule for table [{table}] missing Lookup Rule for class [{part.cls}]",
        )
    else:
        fault = Fault(
            "IDENTIFICATION_RULE_FOR_RELATED_ITEM_MISSING",
            f"Identity Rule for table [{table}] missing Related Rule for class [{part.cls}]",
        )
    part.errors.append(fault)
    # inferred: the item itself fails, since the error list counts it among the errors of the item
    item.errors.append(fault)


def _item(
    world: World, item: Item, ways: dict[int, Way], existing: dict[Kind, dict[str, list[Record]]], options: Options
) -> None:
    seen: dict[tuple[str, str], Part] = {}
    for part in item.parts:
        way = ways.get(id(part))
        if way is None:
            continue
        values = _clean(world, part)
        key = way.kind.key(values)
        first = seen.setdefault((part.cls, key), part) if key is not None else part
        if first is not part:
            _repeat(item, part, first, options)
            continue
        rows = existing.get(way.pointer, {}).get(item.sys_id, ())
        matches = [r for r in rows if key is not None and way.kind.key(r.values) == key]
        match = matches[0] if matches else None
        if len(matches) > 1 and part.lookup and world.settings["identify.duplicate_lookup_rows"] == "error":
            item.errors.append(
                Fault(
                    "MULTI_MATCH",
                    f"Found duplicate records in lookup table [{part.cls}] using fields "
                    f"[{','.join(way.kind.attributes)}] and reference field [{way.field}]",
                )
            )
        part.values = values
        if match is None:
            part.operation, part.sys_id = "INSERT", uuid4().hex
            part.changes = {name: value for name, value in values.items() if value}
            continue
        part.record, part.sys_id = match, match.sys_id
        part.changes = {name: value for name, value in values.items() if value and match.values.get(name, "") != value}
        part.operation = "UPDATE" if part.changes else "NO_CHANGE"


def _repeat(item: Item, part: Part, first: Part, options: Options) -> None:
    word = "Lookup" if part.lookup else "Related"
    if options.deduplicate_payloads:
        part.hidden = first.sub
        first.changes.update({name: value for name, value in part.values.items() if value})
        part.sys_id, part.operation = first.sys_id, first.operation
        return
    item.errors.append(
        Fault(
            f"DUPLICATE_{word.upper()}_PAYLOAD",
            f"Found duplicate {word} items ({first.sub} and {part.sub}) in the payload index {item.index} "
            f"using fields {part.cls}",
        )
    )


def _clean(world: World, part: Part) -> dict[str, str]:
    table = world.tables.get(part.cls)
    if table is None:
        return part.values
    kept = {
        n: v for n, v in part.values.items() if n in table.columns and not n.startswith("sys_") and n != part.column
    }
    for name in table.booleans & kept.keys():
        kept[name] = {"1": "true", "0": "false"}.get(kept[name], kept[name].lower())
    return kept
