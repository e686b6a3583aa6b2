"""Which record an item means: by sys_id, by source key, by the entries of its rule; dependents below their host.

Order of evaluation, skipped and repeated attempts: pages on identification rules and the examples of the REST and the
scripted API (documented); the search leaves out records marked duplicate_of (observed).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from syncengine.sandbox.encoded_query import matches, parse
from syncengine.sandbox.engine.payload import Fault, Item
from syncengine.sandbox.engine.qualifiers import is_qualifier
from syncengine.sandbox.keys import SEPARATOR
from syncengine.sandbox.rulebook import Entry
from syncengine.sandbox.store import Record
from syncengine.sandbox.world import World

MATCHED, NO_MATCH, MULTI_MATCH, SKIPPED = "MATCHED", "NO_MATCH", "MULTI_MATCH", "SKIPPED"


def source_attempt(result: str) -> dict[str, object]:
    """The attempt by source key, as newer answers report it first of all."""
    return {
        "info": f"sys_object_source {result}",
        "identifierName": "",
        "attemptResult": result,
        "attributes": [],
        "hybridEntryCiAttributes": [],
    }


class Identifier:
    """Identifies the items of one payload, level by level."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._store = world.store
        self._late_source = world.enabled("glide.identification_engine.skip_sys_object_source_matching")
        self._sources: dict[tuple[str, str], list[Record]] = {}
        self._ids: dict[tuple[str, str], Record] = {}

    # -- what can be looked up for all items at once ---------------------------------------------------------

    def prepare(self, items: Iterable[Item]) -> None:
        """Look up every sys_id and every source key of the payload."""
        tables = self._world.tables
        wanted: dict[str, set[str]] = {}
        pairs: dict[tuple[str, str], str] = {}
        for item in items:
            root = tables[item.cls].root
            if item.sent_id:
                wanted.setdefault(root, set()).add(item.sent_id)
            elif item.source is not None:
                pairs[item.source] = root
        for root, ids in wanted.items():
            for sys_id, record in self._store.get_many(root, ids).items():
                self._ids[root, sys_id] = record
        if not pairs:
            return
        found = self._store.sources(pairs)
        targets: dict[str, set[str]] = {}
        for pair, rows in found.items():
            targets.setdefault(pairs[pair], set()).update(target for _, target in rows)
        records = {root: self._store.get_many(root, ids) for root, ids in targets.items()}
        for pair, rows in found.items():
            hits = [records[pairs[pair]][target] for _, target in rows if target in records[pairs[pair]]]
            hits = [r for r in hits if not r.values.get("duplicate_of")]
            if hits:
                self._sources[pair] = hits

    def known(self, item: Item) -> bool:
        """Whether the source key of the item leads to a record."""
        return item.source is not None and item.source in self._sources

    # -- one level -------------------------------------------------------------------------------------------

    def identify(self, items: Sequence[Item]) -> None:
        """Find the records of items whose hosts are known."""
        left = [item for item in items if not item.errors and not self._directly(item)]
        for item in left:
            item.usable = False
        independent = [item for item in left if item.rule is not None and item.rule.independent]
        dependent = [item for item in left if item.rule is not None and not item.rule.independent and not item.errors]
        self._independent(independent)
        self._dependent(dependent)
        for item in left:
            if self._late_source and item.record is None and not item.usable and not item.errors:
                self._by_source(item)

    def _directly(self, item: Item) -> bool:
        if item.sent_id:
            record = self._ids.get((self._world.tables[item.cls].root, item.sent_id))
            if record is None or record.values.get("duplicate_of"):
                item.errors.append(
                    Fault(
                        "INVALID_INPUT_DATA",
                        f"Found invalid sys_id in payload. No record with sys_id [{item.sent_id}] exist in table "
                        f"[{item.cls}] or is a duplicate record with [duplicate_of] field set to a main CI",
                    )
                )
            item.record = record
            item.attempts.append(source_attempt(SKIPPED))
            return True
        if self._late_source:
            return False
        return self._by_source(item)

    def _by_source(self, item: Item) -> bool:
        if item.source is None:
            item.attempts.append(source_attempt(SKIPPED))
            return False
        hits = self._sources.get(item.source, ())
        # a key may have made records of several classes (a feed of servers and their disks): the nearest class counts
        record = next((r for r in hits if r.table == item.cls), None) or next(
            (r for r in hits if self._world.rules.rule(r.table) is item.rule), None
        )
        item.attempts.append(source_attempt(MATCHED if record else NO_MATCH))
        item.record = record
        return record is not None

    # -- independent items -----------------------------------------------------------------------------------

    def _independent(self, items: Sequence[Item]) -> None:
        groups: dict[str, list[Item]] = {}
        for item in items:
            assert item.rule is not None  # noqa: S101 - given by the caller
            groups.setdefault(item.rule.sys_id, []).append(item)
        for group in groups.values():
            rule = group[0].rule
            assert rule is not None  # noqa: S101 - as above
            left = group
            for entry in rule.entries:
                if not left:
                    break
                if entry.field:
                    left = self._lookup_entry(entry, left)
                else:
                    left = self._regular_entry(entry, left)

    def _regular_entry(self, entry: Entry, items: Sequence[Item]) -> list[Item]:
        keys = [entry.kind.key(_with_class(item)) for item in items]
        found = self._store.search(entry.kind, {key for key in keys if key is not None})
        conditional = entry.condition is not None and self._world.enabled(
            "glide.identification_engine.enable_identifier_optional_condition"
        )
        left = []
        for item, key in zip(items, keys, strict=True):
            if key is None:
                item.attempts.append(entry.attempt(SKIPPED))
                left.append(item)
                continue
            item.usable = True
            hits = [r for r in found.get(key, ()) if self._included(r)]
            if conditional and entry.condition is not None:
                hits = [r for r in hits if matches(entry.condition, r.values)]
            if not self._take(item, entry, hits):
                left.append(item)
        return left

    def _included(self, record: Record) -> bool:
        """Observed: records marked duplicate_of are left out; documented: inclusion rules narrow the search further."""
        if record.values.get("duplicate_of"):
            return False
        if not self._world.inclusion:
            return True
        path = self._world.tables[record.table].path
        rules = [rule for rule in self._world.inclusion if rule.get("applies_to") in path]
        return not rules or any(matches(parse(rule.get("condition", "")), record.values) for rule in rules)

    def _take(self, item: Item, entry: Entry, hits: Sequence[Record]) -> bool:
        """Settle what one entry has found; True when the item needs no further entry."""
        if not hits:
            item.attempts.append(entry.attempt(NO_MATCH))
            return False
        if len(hits) == 1:
            item.record, item.entry = hits[0], entry.sys_id
            item.attempts.append(entry.attempt(MATCHED))
            return True
        if self._may_settle(len(hits), item):
            oldest = min(hits, key=lambda r: (r.values.get("sys_created_on", ""), r.rid))
            item.record, item.entry = oldest, entry.sys_id
            item.duplicates = [r for r in hits if r is not oldest]
            item.attempts.append(entry.attempt(MATCHED))
            return True
        item.attempts.append(entry.attempt(MULTI_MATCH))
        item.clashing = list(hits)
        fields = ",".join(entry.attributes)
        if item.host is not None and item.host.self.record is not None:
            host = item.host.self.record
            name = self._world.rules.type_by_id.get(item.host_type, item.host_type)
            item.errors.append(
                Fault(
                    "MULTI_MATCH",
                    f"Duplicate dependent records found having relationship [{name}] with same CI "
                    f"(className:[{host.table}], sysId:[{host.sys_id}])",
                )
            )
        else:
            item.errors.append(
                Fault(
                    "MULTIPLE_DUPLICATE_RECORDS",
                    f"Found duplicate records in table [{entry.table}] using fields [{fields}]",
                )
            )
        return True

    def _may_settle(self, number: int, item: Item) -> bool:
        world = self._world
        if not world.enabled("glide.identification_engine.skip_duplicates"):
            return False
        if item.host is not None and not world.settings["identify.settle_dependent_duplicates"]:
            return False
        limit = int(world.properties.get("glide.identification_engine.skip_duplicates.threshold", "5") or 5)
        return number < limit or (number == limit and world.settings["identify.duplicates_at_threshold"] == "settle")

    def _lookup_entry(self, entry: Entry, items: Sequence[Item]) -> list[Item]:
        keys = [lookup_keys(item, entry) for item in items]
        wanted = {key for group in keys for key in group}
        rows = self._store.search(entry.kind, wanted) if wanted else {}
        live = {
            key: [r for r in found if entry.condition is None or matches(entry.condition, r.values)]
            for key, found in rows.items()
        }
        owners = {row.values.get(entry.field, "") for found in live.values() for row in found} - {""}
        root = self._world.tables[items[0].cls].root
        records = self._store.get_many(root, owners) if owners else {}
        sets = self._rows_of(entry, records) if entry.exact and records else {}
        left = []
        for item, group in zip(items, keys, strict=True):
            if not group:
                item.attempts.append(entry.attempt(SKIPPED))
                left.append(item)
                continue
            item.usable = True
            common: dict[str, int] = {}
            for key in group:
                for row in live.get(key, ()):
                    owner = row.values.get(entry.field, "")
                    common[owner] = common.get(owner, 0) + 1
            hits = [records[o] for o in common if o in records and self._included(records[o])]
            hits = [r for r in hits if self._world.rules.rule(r.table) is item.rule and self._owns(entry, item, r)]
            if entry.exact:
                hits = [r for r in hits if sets.get(r.sys_id, set()) == group]
            if not hits:
                item.attempts.append(entry.attempt(NO_MATCH))
                left.append(item)
                continue
            # documented: most common rows win, then the older record; several records are no error here
            item.record = min(hits, key=lambda r: (-common[r.sys_id], r.values.get("sys_created_on", ""), r.rid))
            item.entry = entry.sys_id
            item.attempts.append(entry.attempt(MATCHED))
        return left

    def _owns(self, entry: Entry, item: Item, record: Record) -> bool:
        if entry.own is None:
            return True
        key = entry.own.key(item.values)
        return key is not None and key == entry.own.key(record.values)

    def _rows_of(self, entry: Entry, records: dict[str, Record]) -> dict[str, set[str]]:
        assert entry.pointer is not None  # noqa: S101 - every lookup entry has one
        found = self._store.search(
            entry.pointer, {entry.pointer.key({entry.field: sys_id}) or "" for sys_id in records}
        )
        sets: dict[str, set[str]] = {}
        for rows in found.values():
            for row in rows:
                key = entry.kind.key(row.values)
                if key is not None and (entry.condition is None or matches(entry.condition, row.values)):
                    sets.setdefault(row.values[entry.field], set()).add(key)
        return sets

    # -- dependent items -------------------------------------------------------------------------------------

    def _dependent(self, items: Sequence[Item]) -> None:
        known: list[Item] = []
        for item in items:
            host = item.host.self if item.host is not None else None
            chain = self._world.rules.chain(item.rule) if item.rule else ()
            item.usable = any(entry.kind.key(_with_class(item)) is not None for entry in chain)
            # documented (scripted examples): below a host that is new nothing is searched
            if host is not None and host.record is not None:
                known.append(item)
        if not known:
            return
        below = self._below(known)
        indexes: dict[tuple[str, str, bool, str], dict[str, list[Record]]] = {}
        for item in known:
            assert item.host is not None and item.rule is not None  # noqa: S101, PT018 - selected above
            found = item.host.self.record
            assert found is not None  # noqa: S101 - selected above
            place = (found.sys_id, item.host_type, item.host_is_child)
            for entry in self._world.rules.chain(item.rule):
                key = entry.kind.key(_with_class(item))
                if key is None:
                    item.attempts.append(entry.attempt(SKIPPED))
                    continue
                index = indexes.get((*place, entry.sys_id))
                if index is None:
                    index = indexes[(*place, entry.sys_id)] = self._index(entry, below.get(place, ()))
                if self._take(item, entry, index.get(key, ())):
                    break

    def _index(self, entry: Entry, records: Iterable[Record]) -> dict[str, list[Record]]:
        index: dict[str, list[Record]] = {}
        for record in records:
            if self._world.tables.isa(record.table, entry.table):
                key = entry.kind.key(record.values)
                if key is not None:
                    index.setdefault(key, []).append(record)
        return index

    def _below(self, items: Sequence[Item]) -> dict[tuple[str, str, bool], list[Record]]:
        """Records related to each host, by (host, type, whether the host is the child)."""
        ends: dict[bool, set[tuple[str, str]]] = {True: set(), False: set()}
        for item in items:
            host: Any = item.host.self.record if item.host else None
            ends[item.host_is_child].add((host.sys_id, item.host_type))
        found: dict[tuple[str, str, bool], list[str]] = {}
        for (host, kind), ids in self._store.parents(ends[True]).items():
            found[host, kind, True] = ids
        for (host, kind), ids in self._store.children(ends[False]).items():
            found[host, kind, False] = ids
        root = self._world.tables[items[0].cls].root
        wanted = {sys_id for ids in found.values() for sys_id in ids}
        records = self._store.get_many(root, wanted) if wanted else {}
        self._behind_qualifiers(found, records, root)
        return {
            place: [
                records[i] for i in dict.fromkeys(ids) if i in records and not records[i].values.get("duplicate_of")
            ]
            for place, ids in found.items()
        }

    def _behind_qualifiers(
        self, found: dict[tuple[str, str, bool], list[str]], records: dict[str, Record], root: str
    ) -> None:
        """Put what stands behind a qualifier in its place, however long the chain is."""
        for (host, kind, below), ids in found.items():
            seen: set[str] = set()
            while middle := [i for i in ids if i in records and is_qualifier(self._world, records[i].table)]:
                seen.update(middle)
                ask = self._store.parents if below else self._store.children
                further = [far for many in ask([(i, kind) for i in middle]).values() for far in many]
                ids = [i for i in [*ids, *further] if i not in seen and i != host]
                records.update(self._store.get_many(root, set(further)))
            found[host, kind, below] = ids


def lookup_keys(item: Item, entry: Entry) -> frozenset[str]:
    """The keys of the item's own lookup rows for one entry; rows that fail its condition do not count."""
    if entry.own is not None and entry.own.key(item.values) is None:
        return frozenset()
    keys = set()
    for part in item.parts:
        if part.lookup and part.cls == entry.table:
            key = entry.kind.key(part.values)
            if key is not None and (entry.condition is None or matches(entry.condition, _LIVE | part.values)):
                keys.add(key)
    return frozenset(keys)


# what a row has when the payload does not say (the dictionary's defaults)
_LIVE = {"valid": "true", "absent": "false"}


def _with_class(item: Item) -> dict[str, str]:
    values = item.values
    if values.get("sys_class_name") != item.cls:
        values["sys_class_name"] = item.cls
    return values


def dup_keys(item: Item, chain: Iterable[Entry]) -> list[str]:
    """By what two items of one payload are the same: record, source key, or any usable entry under one host."""
    keys = []
    if item.record is not None:
        keys.append(f"id{SEPARATOR}{item.record.sys_id}")
    place = f"{item.host.self.index}{SEPARATOR}{item.host_type}" if item.host is not None else ""
    for entry in chain:
        if entry.field:
            group = lookup_keys(item, entry)
            if group:
                keys.append(SEPARATOR.join((entry.sys_id, *sorted(group))))
        else:
            key = entry.kind.key(_with_class(item))
            if key is not None:
                keys.append(f"{entry.sys_id}{SEPARATOR}{place}{SEPARATOR}{key}")
    return keys
