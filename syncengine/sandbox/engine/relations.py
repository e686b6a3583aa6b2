"""Relations of a payload: which make a host, which exist, which would be written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import uuid4

import orjson

from syncengine.sandbox.engine.identify import Identifier
from syncengine.sandbox.engine.payload import Fault, Item, Options, Part, Relation, shown
from syncengine.sandbox.engine.qualifiers import Chain
from syncengine.sandbox.world import World


def resolve(world: World, relations: Iterable[Relation]) -> None:
    """Look up the relation types; the name must be exact (documented)."""
    for relation in relations:
        ids = world.rules.type_names.get(relation.type_name, ())
        if relation.error is not None:
            relation.errors.append(relation.error)
        elif not ids:
            relation.errors.append(
                Fault(
                    "INVALID_INPUT_DATA",
                    f"No such relationship with name [{relation.type_name}] exist in table [cmdb_rel_type]. "
                    f"If out-of-box relationship for [{relation.type_name}] has been removed or renamed, "
                    "it should be restored",
                )
            )
        elif len(ids) > 1:
            relation.errors.append(
                Fault(
                    "DUPLICATE_RELATIONSHIP_TYPES",
                    f"Duplicate relationship type records exists with name [{relation.type_name}] in table "
                    f"[cmdb_rel_type] having sys_ids: [{', '.join(sorted(ids))}]",
                )
            )
        else:
            relation.type = ids[0]


def find_hosts(world: World, items: Sequence[Item], relations: Iterable[Relation], chains: Iterable[Chain]) -> None:
    """Give every dependent item the one host that the payload names for it, qualifiers between them or not."""
    dependent = {item.index for item in items if item.rule is not None and not item.rule.independent}
    if not dependent:
        return
    isa = world.tables.isa
    pairs = [(*relation.ends, relation.type) for relation in relations if not relation.errors]
    pairs += [(chain.start, chain.end, chain.type) for chain in chains]
    several: list[tuple[Item, Item]] = []
    for parent, child, kind in pairs:
        if not isinstance(parent, Item) or not isinstance(child, Item):
            continue
        for item, other, is_parent in ((parent, child, True), (child, parent, False)):
            if item.index not in dependent or other is item:
                continue
            if any(
                d.type == kind and d.dependent_is_parent == is_parent and isa(other.cls, d.host)
                for d in world.rules.dependencies_of(item.cls)
            ):
                _host(item, other, kind, is_parent, several)
    for item, host in several:
        item.errors.append(Fault("MULTIPLE_DEPENDENCIES", _too_many(item, host)))


def _host(item: Item, host: Item, kind: str, is_parent: bool, several: list[tuple[Item, Item]]) -> None:
    if item.host is None:
        item.host, item.host_type, item.host_is_child = host, kind, is_parent
    elif item.host is host:
        if (item.host_type, item.host_is_child) != (kind, is_parent):
            message = f"Found multiple relations between payload items: '{shown(item)}' and '{shown(host)}'"
            item.errors.append(Fault("MULTI_MATCH", message))
    else:
        # one record may stand in the payload twice; only two different hosts are too many
        same = item.host.sent_id == host.sent_id != "" or (
            item.host.source is not None and item.host.source == host.source
        )
        if not same:
            several.append((item, host))


def _too_many(item: Item, other: Item) -> str:
    host = item.host
    assert host is not None  # noqa: S101 - there are two
    for one, two in ((host, other), (other, host)):
        above, steps = one.host, 0
        while above is not None and steps < 50:
            if above is two:
                return f"Multiple paths leading to the same destination: {shown(item)} -> {shown(two)}"
            above, steps = above.host, steps + 1
    return f"Found multiple dependent relation items [{host.index}] and [{other.index}] in payload"


def demand_host(world: World, item: Item, identifier: Identifier) -> None:
    """A dependent item without a host: spared when it names its record, else an error."""
    if item.sent_id:
        return  # documented: with sys_id an update needs no relation
    if world.settings["identify.dependent_by_source_key"] == "alone" and identifier.known(item):
        return
    rules = world.rules.dependencies_of(item.cls)
    if not rules:
        item.errors.append(
            Fault("METADATA_RULE_MISSING", f"No containment or hosting rules defined for dependent class [{item.cls}].")
        )
        return
    names = []
    for rule in rules:
        parent, _, child = world.rules.type_by_id.get(rule.type, rule.type).partition("::")
        names.append(f"{item.cls} >> {parent if rule.dependent_is_parent else child} >> {rule.host}")
    # observed: each rule is printed class >> descriptor >> class
    item.usable = (
        any(e.kind.key(item.values | {"sys_class_name": item.cls}) for e in world.rules.chain(item.rule))
        if item.rule
        else False
    )
    item.errors.append(
        Fault(
            "MISSING_DEPENDENCY",
            f"In payload no relations defined for dependent class [{item.cls}] that matches any containment/hosting "
            f"rules: [{', '.join(dict.fromkeys(names))}]. Add appropriate relations in payload for "
            f"'{orjson.dumps(item.raw).decode()}'",
        )
    )


def decide(world: World, relations: Sequence[Relation], options: Options) -> None:
    """Which relations exist, which would be inserted, which cannot be."""
    open_ones: dict[tuple[str, str, str], Relation] = {}
    for relation in relations:
        if relation.errors:
            if options.partial_payloads:
                relation.operation = "INSERT_AS_INCOMPLETE"
            continue
        failed = [end for end in relation.ends if isinstance(end, Item) and end.self.failed]
        if failed:
            partial = all(end.self.operation == "INSERT_AS_PARTIAL" for end in failed)
            if options.partial_payloads and partial:
                relation.operation = "INSERT_AS_PARTIAL"
            else:
                if options.partial_payloads:
                    relation.operation = "INSERT_AS_INCOMPLETE"
                shown = orjson.dumps(failed[0].raw).decode()
                relation.errors.append(
                    Fault("ABANDONED", f"While processing relations encountered errors in payload item: {shown}")
                )
            continue
        ids = [_id(end) for end in relation.ends]
        triple = (ids[0], relation.type, ids[1])
        first = open_ones.setdefault(triple, relation)
        if first is not relation:
            # inferred: a relation named twice is one relation, told once with both indexes, as merged items are
            relation.merged = True
            first.indices.append(relation.index)
    existing = world.store.relations(open_ones) if open_ones else {}
    rows = world.store.by_rid(existing.values()) if existing else {}
    for triple, relation in open_ones.items():
        rid = existing.get(triple)
        relation.operation = "INSERT" if rid is None else "NO_CHANGE"
        relation.sys_id = uuid4().hex if rid is None else rows[rid].sys_id


def _id(end: Item | Part | None) -> str:
    if isinstance(end, Item):
        return end.self.sys_id
    return end.sys_id if end is not None else ""
