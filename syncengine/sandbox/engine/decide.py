"""What would become of a payload. The query calls tell this decision, the commit calls carry it out.

So the two cannot disagree: nothing is decided while writing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from uuid import uuid4

from syncengine.sandbox.engine import duplicates, parking, parts, qualifiers, relations
from syncengine.sandbox.engine.identify import Identifier
from syncengine.sandbox.engine.payload import Fault, Item, Options, Payload, Relation, shown, text
from syncengine.sandbox.engine.qualifiers import Chain
from syncengine.sandbox.engine.reclassify import reclassify
from syncengine.sandbox.engine.reconcile import Reconciliation
from syncengine.sandbox.injected import injector
from syncengine.sandbox.world import World

VOLATILE = frozenset({"discovery_source", "sys_class_name", "sys_class_path"})


def new_id() -> str:
    """A sys_id for a record that does not exist yet."""
    return uuid4().hex


def decide(world: World, payload: Payload, options: Options, source: str | None) -> None:
    """Fill the payload's items and relations with what would be done."""
    items = payload.items
    _check_source(world, items, source)
    for item in items:
        if not item.errors:
            _check_class(world, item)
    _inject(items)
    parking.complete(world, items, options)
    live = [item for item in items if not item.errors]
    relations.resolve(world, payload.relations)
    chains = qualifiers.chains(world, live, payload.relations)
    identifier = Identifier(world)
    identifier.prepare(live)
    relations.find_hosts(world, live, payload.relations, chains)
    for level in _levels(live, payload, chains):
        _fill_references(payload, level)
        _check_hosts(world, level, identifier)
        identifier.identify(level)
        qualifiers.settle(world, chains, level)
        duplicates.settle(world, level, options)
        for item in level:
            if item.merged_into is None and not item.errors:
                _outcome(world, item, source or "")
        parking.park([item for item in level if item.merged_into is None], options)
    parking.park([item for item in items if item.merged_into is None], options)
    standing = [item for item in items if item.merged_into is None]
    _reconcile(world, standing, source or "")
    _fill_part_references(payload)
    parts.decide(world, [item for item in standing if not item.failed], options)
    _abandon(standing)
    parking.park(standing, options)
    payload.removed = qualifiers.removed(
        world, (chain for chain in chains if not any(item.self.failed for item in chain.qualifiers))
    )
    relations.decide(world, payload.relations, options)
    if not options.partial_commits:
        _all_or_nothing(world, standing, payload.relations)


def _abandon(items: Sequence[Item]) -> None:
    """Items whose host has failed by its rows, after the items below it were decided."""
    for item in sorted(items, key=_depth):
        host = item.host.self if item.host is not None else None
        if host is not None and host.errors and not item.failed:
            item.errors.append(_depends(item, host))


def _depth(item: Item) -> int:
    host, depth = item.host, 0
    while host is not None and depth < 50:
        host, depth = host.self.host, depth + 1
    return depth


def _depends(item: Item, other: Item) -> Fault:
    return Fault(
        "ABANDONED",
        f"Abandoning processing payload item '{shown(item)}', since its depends on payload item '{shown(other)}' "
        "has errors",
    )


def _inject(items: Iterable[Item]) -> None:
    ask = injector.get()
    for item in items if ask is not None else ():
        code = ask() if ask is not None else ""
        if code and not item.errors:
            item.errors.append(Fault(code, f"{code}: made by a fault rule"))


def _check_source(world: World, items: Iterable[Item], source: str | None) -> None:
    known = world.sources()
    for item in items:
        for name in (source, item.source[0] if item.source else source):
            fault = None
            if not name:
                fault = (
                    "In payload no data source exist. You need to provide choice value from choice field "
                    "[discovery_source] in table [cmdb_ci]"
                )
            elif name not in known:
                fault = (
                    f"In payload invalid data source [{name}] exist. You need to provide a valid choice value from "
                    "field [discovery_source] in table [cmdb_ci]"
                )
            if fault:
                item.errors.append(Fault("INVALID_INPUT_DATA", fault))
                break


def _check_class(world: World, item: Item) -> None:
    table = world.tables.get(item.cls)
    if qualifiers.is_qualifier(world, item.cls):
        item.values = clean(world, item.cls, item.values)
        return
    item.rule = world.rules.rule(item.cls)
    if table is None or item.rule is None:
        item.errors.append(
            Fault("IDENTIFICATION_RULE_MISSING", f"Identity Rule Missing for table [{item.cls or 'null'}]")
        )
        return
    if item.rule.independent and any("sys_class_name" in entry.attributes for entry in item.rule.entries):
        item.errors.append(
            Fault(
                "NO_CLASS_NAME_FOR_INDEPENDENT_CI",
                "Cannot have 'sys_class_name' as a key field in an Independent Identity Rule on "
                f"'{item.rule.applies_to}'",
            )
        )
    elif not item.rule.independent and item.rule.lookups:
        item.errors.append(
            Fault(
                "NO_LOOKUP_RULES_FOR_DEPENDENT_CI",
                f"Cannot have Lookup Rule for a Dependent Identity Rule on '{item.rule.applies_to}'",
            )
        )
    if world.settings["values.display"] == "honoured":
        _display_values(world, item)
    item.values = clean(world, item.cls, item.values)


def _display_values(world: World, item: Item) -> None:
    """Reference columns given by what their record is called (documented for the scripted API)."""
    given = item.raw.get("display_values")
    for name, value in given.items() if isinstance(given, Mapping) else ():
        column = world.tables[item.cls].columns.get(name)
        table = world.tables.get(column.reference) if column is not None else None
        if table is None:
            item.values[name] = text(value)
            continue
        found = [r for r in world.store.all(*table.below) if r.values.get(table.display, "") == text(value)]
        if found:
            item.values[name] = found[0].sys_id


def clean(world: World, cls: str, values: dict[str, str]) -> dict[str, str]:
    """The values that the class has a column for, as they would be stored."""
    table = world.tables[cls]
    columns, booleans = table.columns, table.booleans
    store_all = world.settings["columns.unknown"] == "store"
    kept = {
        name: value
        for name, value in values.items()
        if (name in columns or store_all) and (not name.startswith("sys_") or name == "sys_class_name")
    }
    for name in booleans & kept.keys():
        kept[name] = {"1": "true", "0": "false"}.get(kept[name], kept[name].lower())
    return kept


def _levels(items: Sequence[Item], payload: Payload, chains: Sequence[Chain]) -> Iterator[list[Item]]:
    """Items after their hosts and after those they refer to."""
    needs: dict[int, list[Item]] = {item.index: [item.host] if item.host else [] for item in items}
    for reference in payload.references:
        if isinstance(reference.owner, Item) and isinstance(reference.target, Item) and reference.owner.index in needs:
            needs[reference.owner.index].append(reference.target)
    for chain in chains:
        for item in chain.qualifiers:
            needs[item.index] += [chain.start, chain.end]
    left = {item.index: item for item in items}
    while left:
        level = [item for item in left.values() if not any(need.index in left for need in needs[item.index])]
        if not level:
            for item in left.values():
                item.errors.append(
                    Fault("ABANDONED", f"Abandoning processing payload item '{item.index}', since it depends on itself")
                )
            yield list(left.values())
            return
        for item in level:
            del left[item.index]
        yield level


def _fill_references(payload: Payload, level: Sequence[Item]) -> None:
    owners = {item.index: item for item in level}
    for reference in payload.references:
        owner, target = reference.owner, reference.target
        if isinstance(owner, Item) and owner.index in owners and isinstance(target, Item):
            if target.self.failed and not owner.errors:
                owner.errors.append(_depends(owner, target.self))
            elif not target.self.failed:
                owner.values[reference.column] = target.self.sys_id


def _fill_part_references(payload: Payload) -> None:
    for reference in payload.references:
        if not isinstance(reference.owner, Item) and isinstance(reference.target, Item):
            reference.owner.values[reference.column] = reference.target.self.sys_id


def _check_hosts(world: World, level: Sequence[Item], identifier: Identifier) -> None:
    for item in level:
        host = item.host.self if item.host is not None else None
        if host is not None and host.errors:
            item.errors.append(_depends(item, host))
        elif host is not None and host.parked:
            item.operation = host.operation
            item.errors.append(Fault("MISSING_DEPENDENCY", f"The host of '{shown(item)}' is kept as {host.operation}"))
        elif item.host is None and item.rule is not None and not item.rule.independent and not item.errors:
            relations.demand_host(world, item, identifier)


def _outcome(world: World, item: Item, source: str) -> None:
    record = item.record
    if record is None:
        _insert(world, item, source)
        return
    item.sys_id = record.sys_id
    reclassify(world, item)
    if item.errors:
        return
    empty_clears = bool(world.settings["update.empty_clears"])
    current = record.values
    columns = world.tables[item.new_class].columns
    item.changes = {
        name: value
        for name, value in item.values.items()
        if current.get(name, "") != value and (value or empty_clears) and name not in VOLATILE and (name in columns)
    }


def _reconcile(world: World, items: Sequence[Item], source: str) -> None:
    """Settle what may be written, and with it whether an item is an update."""
    found = [item for item in items if item.record is not None and not item.failed]
    sent = {item.index for item in found if item.changes}
    Reconciliation(world, source).mask(found)
    for item in found:
        if not item.operation:
            # documented: an item whose only differing attribute is masked is still told as UPDATE
            item.operation = "UPDATE" if item.index in sent else "NO_CHANGE"


def _insert(world: World, item: Item, source: str) -> None:
    if not item.usable:
        place = item.rule.applies_to if item.rule else item.cls
        item.errors.append(
            Fault(
                "MISSING_MATCHING_ATTRIBUTES",
                "In payload missing minimum set of input values for criterion (matching) attributes from identify "
                f"rule for table [{place}]. Add these input values in payload "
                f"item '{parking.as_json(world, item, source)}'",
            )
        )
        return
    table = world.tables[item.cls]
    for rule in world.source_rules:
        if rule.get("discovery_source") == source and rule.get("applies_to") in table.path:
            item.errors.append(
                Fault(
                    "INSERT_NOT_ALLOWED_FOR_SOURCE",
                    f"Insert into [{item.cls}] is blocked for data source [{source}] by IRE data source rule",
                )
            )
            return
    if table.mandatory and world.enabled("glide.required.attribute.enabled"):
        for name in table.mandatory:
            if not item.values.get(name) and name not in table.defaults:
                item.errors.append(
                    Fault(
                        "REQUIRED_ATTRIBUTE_EMPTY",
                        f"Missing mandatory field [{name}] in table [{item.cls}]. "
                        "Add input value for mandatory field in payload",
                    )
                )
                return
    refused = world.aborted(table, "insert", item.values) if world.business_rules else ""
    if refused:
        # observed in a public connector
        item.errors.append(Fault("INSERT_FAILED", f"Insertion failed with error: {refused}"))
        return
    item.operation, item.sys_id, item.new_class = "INSERT", new_id(), item.cls
    item.changes = {name: value for name, value in item.values.items() if value and name not in VOLATILE}


def _all_or_nothing(world: World, items: Sequence[Item], relations_: Sequence[Relation]) -> None:
    """Documented: one item with an error rejects the payload. What the others say is a setting."""
    if not any(item.errors for item in items) and not any(relation.errors for relation in relations_):
        return
    if not world.settings["answer.plain_names"] and len(items) + len(relations_) > 1:
        for item in items:
            item.errors = [Fault("ABANDONED", "Too many other errors")]
        for relation in relations_:
            relation.errors = [Fault("ABANDONED", "Too many other errors")]
    for item in items:
        if not item.errors and world.settings["answer.collateral_errors"]:
            item.errors.append(Fault("ABANDONED", "Too many other errors"))
        item.operation = ""
    for relation in relations_:
        if not relation.errors and world.settings["answer.collateral_errors"]:
            relation.errors.append(Fault("ABANDONED", "Too many other errors"))
        relation.operation = ""


def rejected(items: Iterable[Item], relations_: Iterable[Relation], options: Options) -> bool:
    """Whether the payload as a whole is refused."""
    if options.partial_commits:
        return False
    return any(item.errors or item.operation == "" for item in items if item.merged_into is None) or any(
        relation.errors for relation in relations_
    )
