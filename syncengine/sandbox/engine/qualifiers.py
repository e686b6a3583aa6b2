"""Qualifiers: CIs that stand between the two ends of a relation and say more about it.

Documented: descendants of cmdb_ci_qualifier may stand between two CIs, also between a dependent CI and its host; one
chain for each relation type; the payload's chain replaces the stored one; the three error codes. Inferred: the
relations of one chain have one type; a qualifier needs no rule, since its place in the chain identifies it; chains of
the same classes are the same chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from syncengine.sandbox.engine.payload import Fault, Item, Relation, shown
from syncengine.sandbox.store import Record
from syncengine.sandbox.world import World

QUALIFIER = "cmdb_ci_qualifier"
_LONGEST = 20


@dataclass(slots=True)
class Chain:
    """`start` is related to `end` through qualifiers."""

    start: Item
    end: Item
    type: str
    qualifiers: list[Item]
    relations: list[Relation]
    replaced: list[Record] = field(default_factory=list)
    """Stored qualifiers that this chain takes the place of."""


def is_qualifier(world: World, cls: str) -> bool:
    """Whether a class is one of qualifiers."""
    return world.tables.isa(cls, QUALIFIER)


def chains(world: World, items: Sequence[Item], relations: Iterable[Relation]) -> list[Chain]:
    """The chains of a payload; qualifiers that are in none get an error."""
    qualifiers = {item.index: item for item in items if is_qualifier(world, item.cls)}
    if not qualifiers:
        return []
    live = {item.index for item in items}
    edges = [
        (parent, child, relation)
        for relation in relations
        if not relation.errors
        and isinstance(parent := relation.ends[0], Item)
        and isinstance(child := relation.ends[1], Item)
        and {parent.index, child.index} <= live
    ]
    out: dict[int, list[tuple[Item, Relation]]] = {}
    into: dict[int, list[Item]] = {}
    for parent, child, relation in edges:
        out.setdefault(parent.index, []).append((child, relation))
        into.setdefault(child.index, []).append(parent)
    _loops(qualifiers, out)
    for item in qualifiers.values():
        _one_way(item, out.get(item.index, []), into.get(item.index, []))
    found = []
    for parent, child, relation in edges:
        if parent.index not in qualifiers and child.index in qualifiers:
            chain = _walk(parent, child, relation, qualifiers, out)
            if chain is not None:
                found.append(chain)
    _conflicts(found, edges)
    reached = {item.index for chain in found for item in chain.qualifiers}
    for item in qualifiers.values():
        if not item.errors and item.index not in reached:
            _fail(item, "RELATION_CHAIN_ENDS_AT_QUALIFIER", f"Relation chain ends at qualifier '{shown(item)}'")
    for chain in found:
        if any(item.errors for item in chain.qualifiers):
            for item in chain.qualifiers:
                if not item.errors:
                    _fail(
                        item, "ABANDONED", f"Abandoning processing payload item '{shown(item)}', since its chain fails"
                    )
    return [chain for chain in found if not any(item.errors for item in chain.qualifiers)]


def _fail(item: Item, code: str, message: str) -> None:
    item.errors.append(Fault(code, message))


def _loops(qualifiers: dict[int, Item], out: dict[int, list[tuple[Item, Relation]]]) -> None:
    for item in qualifiers.values():
        reached: set[int] = set()
        left = list(out.get(item.index, ()))
        while left:
            child, relation = left.pop()
            if child is item:
                message = f"Qualification chain has loop that contains relation '{relation.index}'"
                _fail(item, "QUALIFICATION_LOOP", message)
                break
            if child.index in qualifiers and child.index not in reached:
                reached.add(child.index)
                left += out.get(child.index, ())


def _one_way(item: Item, after: Sequence[tuple[Item, Relation]], before: Sequence[Item]) -> None:
    if item.errors:
        return
    if len(after) > 1 or len(before) > 1:
        several = [child for child, _ in after] if len(after) > 1 else list(before)
        message = (
            "Invalid payload, qualification chain has multiple possible paths for payload items: "
            f"'{shown(several[0])}' and '{shown(several[1])}'"
        )
        _fail(item, "TYPE_CONFLICT_IN_QUALIFICATION", message)


def _walk(
    start: Item,
    first: Item,
    relation: Relation,
    qualifiers: dict[int, Item],
    out: dict[int, list[tuple[Item, Relation]]],
) -> Chain | None:
    chain = Chain(start, start, relation.type, [], [relation])
    item = first
    while item.index in qualifiers:
        if item.errors or item in chain.qualifiers:
            return None
        chain.qualifiers.append(item)
        further = [(child, one) for child, one in out.get(item.index, ()) if one.type == chain.type]
        if not further:
            return None
        item, following = further[0]
        chain.relations.append(following)
    chain.end = item
    return chain


def _conflicts(found: Sequence[Chain], edges: Iterable[tuple[Item, Item, Relation]]) -> None:
    paths: dict[tuple[int, int, str], list[Chain]] = {}
    for chain in found:
        paths.setdefault((chain.start.index, chain.end.index, chain.type), []).append(chain)
    direct = {(parent.index, child.index, relation.type) for parent, child, relation in edges}
    for place, several in paths.items():
        if len(several) == 1 and place not in direct:
            continue
        start, end = several[0].start, several[0].end
        for item in (item for chain in several for item in chain.qualifiers):
            message = (
                "Invalid payload, qualification chain has multiple possible paths for payload items: "
                f"'{shown(start)}' and '{shown(end)}'"
            )
            _fail(item, "TYPE_CONFLICT_IN_QUALIFICATION", message)


def settle(world: World, found: Iterable[Chain], level: Iterable[Item]) -> None:
    """Give the qualifiers of a level the records that stand at their place, if the stored chain is the same."""
    here = {item.index for item in level}
    for chain in found:
        if chain.qualifiers[0].index not in here:
            continue
        bad = next((end.self for end in (chain.start, chain.end) if end.self.failed), None)
        for item in chain.qualifiers:
            if bad is not None:
                _fail(
                    item,
                    "ABANDONED",
                    f"Abandoning processing payload item '{shown(item)}', since its depends on payload item "
                    f"'{shown(bad)}' has errors",
                )
            item.usable = True
        start, end = chain.start.self.record, chain.end.self.record
        if bad is not None or start is None or end is None or any(item.record for item in chain.qualifiers):
            continue
        stored = _stored(world, start, end, chain.type)
        if [record.table for record in stored] == [item.cls for item in chain.qualifiers]:
            for item, record in zip(chain.qualifiers, stored, strict=True):
                item.record = record
        else:
            chain.replaced = stored


def _stored(world: World, start: Record, end: Record, kind: str) -> list[Record]:
    """The qualifiers between two records, in order; nothing where there are none."""
    paths: list[list[Record]] = [[start]]
    for _ in range(_LONGEST):
        longer: list[list[Record]] = []
        for path in paths:
            ids = world.store.children([(path[-1].sys_id, kind)]).get((path[-1].sys_id, kind), [])
            if end.sys_id in ids and len(path) > 1:
                return path[1:]
            records = world.store.get_many(start.root, set(ids))
            longer += [[*path, records[i]] for i in ids if i in records and is_qualifier(world, records[i].table)]
        if not longer:
            break
        paths = longer
    return []


def removed(world: World, found: Iterable[Chain]) -> list[Record]:
    """What goes when the payload is committed: the replaced qualifiers with their relations and source rows."""
    gone: dict[int, Record] = {}
    for record in (record for chain in found for record in chain.replaced):
        gone.update({one.rid: one for one in (*world.store.around(record.sys_id), record)})
    return list(gone.values())
