"""The decision, carried out: one transaction, with its lines in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from syncengine.sandbox.clock import parse_stamp
from syncengine.sandbox.engine import parking
from syncengine.sandbox.engine.payload import Item, Part, Payload, Relation
from syncengine.sandbox.engine.reconcile import LAST_UPDATE, Reconciliation
from syncengine.sandbox.ledger import Entry, caller, content_hash
from syncengine.sandbox.store import RELATIONS, SOURCES, Record
from syncengine.sandbox.world import World

Update = tuple[Record, str, dict[str, str]]


class Commit:
    """Collects the writes of one payload, then makes them."""

    def __init__(self, world: World, source: str) -> None:
        self._world = world
        self._source = source
        self._now = world.clock.now()
        self._user = caller.get().user
        self._inserts: list[Record] = []
        self._updates: list[Update] = []
        self._touches: list[Record] = []
        self._ledger: list[Entry] = []

    def run(self, payload: Payload) -> None:
        """Write everything that was decided, or nothing."""
        standing = [item for item in payload.items if item.merged_into is None]
        good = [item for item in standing if not item.failed]
        self._items(good)
        self._sources(good)
        for item in good:
            for part in item.parts:
                self._part(item, part)
            self._mark_duplicates(item)
        self._remember(good)
        self._relations(payload)
        for item in standing:
            self._park(item)
            self._duplicate_task(item)
        world = self._world
        with world.store.transaction():
            world.store.insert_many(self._inserts)
            if self._updates:
                world.store.update_many(self._updates)
            world.store.touch_many(self._touches)
            for item in good:
                self._forget_partials(item)
            for record in payload.removed:
                world.store.delete(record)
                self._note("delete", record.table, record.sys_id, record.sys_id, {})
            world.ledger.write(self._now, self._ledger)

    # -- items -----------------------------------------------------------------------------------------------

    def _items(self, items: Sequence[Item]) -> None:
        tables = self._world.tables
        for item in items:
            key = "|".join(item.source) if item.source else item.sys_id
            if item.record is None:
                table = tables[item.new_class]
                values = {**table.defaults, **item.changes, **self._created()}
                values.setdefault("first_discovered", self._now)
                values.setdefault("last_discovered", self._now)
                values["discovery_source"] = self._source
                values["sys_class_name"] = item.new_class
                record = Record(self._world.store.new_rid(), table.root, item.new_class, item.sys_id, values)
                self._inserts.append(record)
                self._note("insert", item.new_class, item.sys_id, key, item.changes)
                continue
            before, old = dict(item.record.values), item.record.table
            self._touch(item.record.values, item)
            if item.operation == "NO_CHANGE":
                if item.record.values != before:
                    self._touches.append(item.record)
                self._note("touch", old, item.sys_id, key, {})
                continue
            self._change(item, before, old, key)

    def _change(self, item: Item, before: dict[str, str], old: str, key: str) -> None:
        record = item.record
        assert record is not None  # noqa: S101 - the caller has checked
        # documented: any later update of a marked record clears the mark
        record.values.pop("duplicate_of", None)
        for name, value in item.changes.items():
            if value:
                record.values[name] = value
            else:
                record.values.pop(name, None)
        if item.new_class != old:
            columns = self._world.tables[item.new_class].columns
            # documented: attributes that the new class does not have are lost
            record.values = {n: v for n, v in record.values.items() if n in columns}
            record.table = record.values["sys_class_name"] = item.new_class
        self._modified(record.values)
        self._updates.append((record, old, before))
        kind = "reclassify" if item.operation.startswith("UPDATE_WITH") else "update"
        self._note(kind, item.new_class, item.sys_id, key, item.changes)

    def _touch(self, values: dict[str, str], item: Item) -> None:
        """Documented: last_discovered and discovery_source are written on every call, whatever else differs."""
        sent = item.values.get("last_discovered", "")
        world = self._world
        if not sent and world.enabled("glide.identification_engine.skip_updating_source_last_discovered_to_now"):
            return
        wanted = sent or self._now
        older = parse_stamp(wanted), parse_stamp(values.get("last_discovered", ""))
        if world.enabled("glide.identification_engine.skip_updating_source_last_discovered_if_older") and (
            older[0] is not None and older[1] is not None and older[0] < older[1]
        ):
            item.changes.pop("last_discovered", None)
            return
        values["last_discovered"] = wanted
        values["discovery_source"] = self._source
        if world.settings["update.touch_updates_sys_updated_on"]:
            self._modified(values)

    def _mark_duplicates(self, item: Item) -> None:
        for other in item.duplicates:
            before = dict(other.values)
            other.values["duplicate_of"] = item.sys_id
            self._updates.append((other, other.table, before))
            self._note("update", other.table, other.sys_id, other.sys_id, {"duplicate_of": item.sys_id})

    def _duplicate_task(self, item: Item) -> None:
        """Documented: a task is written whether duplicates were settled or not; inferred: one for the same records."""
        found = item.clashing or ([item.record, *item.duplicates] if item.record and item.duplicates else [])
        if not found:
            return
        named = ",".join(sorted(record.sys_id for record in found))
        table = self._world.tables["reconcile_duplicate_task"]
        if any(task.values.get("duplicates") == named for task in self._world.store.all(table.name)):
            return
        values = {"duplicates": named, "sys_class_name": table.name, **table.defaults, **self._created()}
        self._inserts.append(Record(self._world.store.new_rid(), table.root, table.name, uuid4().hex, values))

    # -- source rows -----------------------------------------------------------------------------------------

    def _sources(self, items: Sequence[Item]) -> None:
        store = self._world.store
        keyed = [item for item in items if item.source is not None]
        found = store.sources({item.source for item in keyed if item.source})
        rids = {(pair, target): rid for pair, rows in found.items() for rid, target in rows}
        rows = store.by_rid(rids.values()) if rids else {}
        for item in keyed:
            pair = item.source
            assert pair is not None  # noqa: S101 - selected above
            scan = item.seen_at or self._now
            rid = rids.get((pair, item.sys_id))
            if rid is None:
                values = {
                    "name": pair[0],
                    "id": pair[1],
                    "target_table": item.new_class,
                    "target_sys_id": item.sys_id,
                    "last_scan": scan,
                    **self._created(),
                }
                if item.feed:
                    values["source_feed"] = item.feed
                self._inserts.append(Record(store.new_rid(), SOURCES, SOURCES, uuid4().hex, values))
                continue
            self._refresh_source(rows[rid], item, scan)

    def _refresh_source(self, row: Record, item: Item, scan: str) -> None:
        world = self._world
        values = dict(row.values)
        values["target_table"] = item.new_class
        if item.feed:
            values["source_feed"] = item.feed
        older = parse_stamp(scan), parse_stamp(values.get("last_scan", ""))
        stays = world.enabled("glide.identification_engine.skip_updating_last_scan_if_older") and (
            older[0] is not None and older[1] is not None and older[0] < older[1]
        )
        if not item.seen_at and world.enabled("glide.identification_engine.skip_updating_last_scan_to_now"):
            stays = True
        if not stays:
            values["last_scan"] = scan
        if values != row.values:
            row.values = values
            self._touches.append(row)

    def _remember(self, items: Sequence[Item]) -> None:
        """Who wrote which ruled attribute last; reconciliation of the next update reads it."""
        rules = Reconciliation(self._world, self._source)
        written = [pair for item in items for pair in rules.remember(item)]
        if not written:
            return
        rows = self._world.store.search(self._world.written_by, {sys_id for sys_id, _ in written})
        known = {(r.values["cmdb_ci"], r.values["attribute"]): r for found in rows.values() for r in found}
        for sys_id, name in written:
            row = known.get((sys_id, name))
            values = {"cmdb_ci": sys_id, "attribute": name, "discovery_source": self._source, "last_update": self._now}
            if row is None:
                new_rid = self._world.store.new_rid()
                self._inserts.append(
                    Record(new_rid, LAST_UPDATE, LAST_UPDATE, uuid4().hex, {**values, **self._created()})
                )
            else:
                row.values.update(values)
                self._touches.append(row)

    # -- rows, relations, parked items -----------------------------------------------------------------------

    def _part(self, item: Item, part: Part) -> None:
        if part.hidden >= 0:
            return
        key = f"{item.sys_id}|{part.cls}|{part.sys_id}"
        table = self._world.tables[part.cls]
        if part.record is None:
            values = {**table.defaults, **part.changes, part.column: item.sys_id, **self._created()}
            if "sys_class_name" in table.columns:
                values["sys_class_name"] = part.cls
            self._inserts.append(Record(self._world.store.new_rid(), table.root, part.cls, part.sys_id, values))
            self._note(
                "insert",
                part.cls,
                part.sys_id,
                f"{item.sys_id}|" + "|".join(map(str, sorted(part.changes.items()))),
                part.changes,
            )
        elif part.changes:
            before = dict(part.record.values)
            part.record.values.update(part.changes)
            self._modified(part.record.values)
            self._updates.append((part.record, part.record.table, before))
            self._note("update", part.cls, part.sys_id, key, part.changes)

    def _relations(self, payload: Payload) -> None:
        for relation in payload.relations:
            if relation.errors or relation.merged or relation.operation != "INSERT":
                continue
            ids = [end.self.sys_id if isinstance(end, Item) else end.sys_id if end else "" for end in relation.ends]
            values = {"parent": ids[0], "child": ids[1], "type": relation.type, **self._created()}
            self._inserts.append(Record(self._world.store.new_rid(), RELATIONS, RELATIONS, relation.sys_id, values))
            self._note("relate", RELATIONS, relation.sys_id, f"{ids[0]}|{ids[1]}|{relation.type_name}", values["type"])
            if self._world.enabled("glide.identification_engine.populate_sys_rel_source") and not _is_host(relation):
                # documented: for relations that are not dependencies
                told = {
                    "name": relation.source or self._source,
                    "source_feed": relation.feed,
                    "target_sys_id": relation.sys_id,
                    "last_scan": self._now,
                    **self._created(),
                }
                table = "sys_rel_source"
                self._inserts.append(Record(self._world.store.new_rid(), table, table, uuid4().hex, told))

    def _park(self, item: Item) -> None:
        for table, ids, faults in (
            (parking.PARTIAL, item.partial_ids, item.warnings),
            (parking.INCOMPLETE, item.incomplete_ids, item.errors),
        ):
            for sys_id in ids:
                values = {
                    "discovery_source": self._source,
                    "class_name": item.cls,
                    "item": parking.as_json(self._world, item, self._source),
                    "error": faults[0].error if faults else "",
                    **self._created(),
                }
                if item.source:
                    values["source_name"], values["source_native_key"] = item.source
                self._inserts.append(Record(self._world.store.new_rid(), table, table, sys_id, values))

    def _forget_partials(self, item: Item) -> None:
        for sys_id in item.merged_payloads:
            record = self._world.store.get(parking.PARTIAL, sys_id)
            if record is not None:
                self._world.store.delete(record)

    # -- common ----------------------------------------------------------------------------------------------

    def _created(self) -> dict[str, str]:
        return {
            "sys_created_on": self._now,
            "sys_created_by": self._user,
            "sys_updated_on": self._now,
            "sys_updated_by": self._user,
            "sys_mod_count": "0",
        }

    def _modified(self, values: dict[str, str]) -> None:
        values["sys_updated_on"] = self._now
        values["sys_updated_by"] = self._user
        values["sys_mod_count"] = str(int(values.get("sys_mod_count", "0")) + 1)

    def _note(self, kind: str, table: str, sys_id: str, key: str, values: object) -> None:
        self._ledger.append(Entry(kind, table, sys_id, key, content_hash(values) if values else ""))


def _is_host(relation: Relation) -> bool:
    one, other = relation.ends
    return any(
        isinstance(item, Item) and item.host is not None and item.host is host and item.host_type == relation.type
        for item, host in ((one, other), (other, one))
    )
