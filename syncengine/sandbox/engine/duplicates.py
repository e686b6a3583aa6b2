"""Items of one payload that mean the same record.

Documented: the plain call refuses them, deduplicate_payloads merges them and lists all their indexes. By what two new
items are the same is inferred: by whatever would let the second find the first, were it written.
"""

from __future__ import annotations

from collections.abc import Sequence

from syncengine.sandbox.engine.identify import dup_keys
from syncengine.sandbox.engine.payload import Fault, Item, Options
from syncengine.sandbox.world import World


def settle(world: World, level: Sequence[Item], options: Options) -> None:
    """Find items that mean the same record; merge or refuse them, whatever their order in the payload."""
    seen: dict[str, list[Item]] = {}
    group: dict[int, list[Item]] = {}
    for item in level:
        if item.errors or item.rule is None:
            continue
        keys = _keys(world, item)
        group[item.index] = [item]
        for key in keys:
            for other in seen.setdefault(key, []):
                if _same(other, item) and group[other.index] is not group[item.index]:
                    joined = group[other.index] + group[item.index]
                    for one in joined:
                        group[one.index] = joined
            seen[key].append(item)
    for same in {id(found): found for found in group.values() if len(found) > 1}.values():
        same.sort(key=lambda item: item.index)
        records = {item.record.sys_id for item in same if item.record is not None}
        if options.deduplicate_payloads and len(records) <= 1:
            for item in same[1:]:
                _join(same[0], item, world)
        else:
            _refuse_duplicates(world, same)


def _keys(world: World, item: Item) -> list[str]:
    if item.rule is None:
        return []
    keys = dup_keys(item, world.rules.chain(item.rule))
    if item.source is not None:
        keys.append(f"source\x1f{item.rule.sys_id}\x1f" + "\x1f".join(item.source))
    return keys


def _refuse_duplicates(world: World, same: Sequence[Item]) -> None:
    keys = {item.index: _keys(world, item) for item in same}
    for item in same:
        others = [one for one in same if one is not item]
        other = next((one for one in others if set(keys[one.index]) & set(keys[item.index])), others[0])
        first, second = sorted((other.index, item.index))
        shared = next((key for key in keys[item.index] if key in keys[other.index]), "")
        chain = world.rules.chain(item.rule) if item.rule else ()
        entry = next((one for one in chain if shared.startswith(one.sys_id)), None)
        fields = ",".join(entry.attributes) if entry else "sys_id" if shared.startswith("id") else "source_native_key"
        item.errors.append(
            Fault(
                "DUPLICATE_PAYLOAD_RECORDS",
                f"Found duplicate items in the payload (index {first} and {second}), using className "
                f"[{item.cls}] and fields [{fields}]. Remove duplicate items from payload",
            )
        )


def _same(one: Item, other: Item) -> bool:
    """Two items that mean two existing records are not the same, whatever they share."""
    return one.record is None or other.record is None or one.record.sys_id == other.record.sys_id


def _join(first: Item, item: Item, world: World) -> None:
    if first.record is None and item.record is not None:
        first.record, first.entry, first.attempts = item.record, item.entry, item.attempts
        first.duplicates = item.duplicates
    item.merged_into = first
    first.indices.append(item.index)
    keep = first.cls if world.tables.isa(first.cls, item.cls) else item.cls
    first.values.update({name: value for name, value in item.values.items() if value})
    first.cls = keep
    first.values["sys_class_name"] = keep
    for part in item.parts:
        part.sub = len(first.parts)
        first.parts.append(part)
    first.source = first.source or item.source
    first.usable = first.usable or item.usable
