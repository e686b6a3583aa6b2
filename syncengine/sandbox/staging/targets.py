"""Target records while a transform runs: found by key, changed in memory, written in one go.

Lookups of a slice are asked for at once; what the slice itself writes is seen by its later rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import uuid4

from syncengine.sandbox.keys import Kind
from syncengine.sandbox.ledger import Entry
from syncengine.sandbox.store import Record
from syncengine.sandbox.tables import Table
from syncengine.sandbox.world import World


class Targets:
    """The records that one slice of a transform reads and writes."""

    def __init__(self, world: World, user: str) -> None:
        self._world = world
        self._user = user
        self._now = world.clock.now()
        self._known: dict[int, Record] = {}
        self._found: dict[int, dict[str, list[Record]]] = {}
        self._new: dict[int, Record] = {}
        self._changed: dict[int, tuple[Record, str, Mapping[str, str]]] = {}
        self._told: list[Entry] = []

    def learn(self, kind: Kind, keys: Iterable[str]) -> None:
        """Look up many keys at once."""
        memory = self._found.setdefault(kind.number, {})
        missing = set(keys).difference(memory)
        if missing:
            self.write()
            found = self._world.store.search(kind, missing)
            for key in missing:
                memory[key] = [self._known.setdefault(one.rid, one) for one in found.get(key, ())]

    def find(self, kind: Kind, key: str) -> list[Record]:
        """The records of one key, oldest first."""
        memory = self._found.get(kind.number)
        if memory is None or key not in memory:
            self.learn(kind, [key])
            memory = self._found[kind.number]
        return memory[key]

    def get(self, table: Table, sys_id: str) -> Record | None:
        """A record by its sys_id, of the table or one below it."""
        self.write()
        record = self._world.store.get(table.root, sys_id)
        if record is None or record.table not in table.below:
            return None
        return self._known.setdefault(record.rid, record)

    def insert(self, table: Table, values: Mapping[str, str], key: str, told: str) -> Record:
        """Add a record; `key` is its ledger key, empty for its sys_id."""
        world = self._world
        full = {
            **table.defaults,
            **{name: value for name, value in values.items() if value and name != "sys_id"},
            "sys_created_on": self._now,
            "sys_created_by": self._user,
            "sys_updated_on": self._now,
            "sys_updated_by": self._user,
            "sys_mod_count": "0",
        }
        if "sys_class_name" in table.columns:
            full["sys_class_name"] = table.name
        world.calculate(table, full)
        record = Record(world.store.new_rid(), table.root, table.name, values.get("sys_id") or uuid4().hex, full)
        self._known[record.rid] = self._new[record.rid] = record
        self._move(record, record.table, None)
        self._told.append(Entry("insert", table.name, record.sys_id, key or record.sys_id, told))
        return record

    def update(self, record: Record, changes: Mapping[str, str], key: str, told: str) -> None:
        """Change a record; an empty value clears."""
        before = dict(record.values)
        for name, value in changes.items():
            if value:
                record.values[name] = value
            else:
                record.values.pop(name, None)
        self._world.calculate(self._world.tables[record.table], record.values)
        record.values["sys_updated_on"], record.values["sys_updated_by"] = self._now, self._user
        record.values["sys_mod_count"] = str(int(before.get("sys_mod_count", "0") or 0) + 1)
        if record.rid not in self._new:
            self._changed.setdefault(record.rid, (record, record.table, before))
        self._move(record, record.table, before)
        self._told.append(Entry("update", record.table, record.sys_id, key or record.sys_id, told))

    def write(self) -> None:
        """Bring everything into the store, inside the transaction that is open."""
        if self._new or self._changed:
            store = self._world.store
            store.insert_many(list(self._new.values()))
            store.update_many(list(self._changed.values()))
            self._new.clear()
            self._changed.clear()
        if self._told:
            self._world.ledger.write(self._now, self._told)
            self._told.clear()

    def _move(self, record: Record, table: str, before: Mapping[str, str] | None) -> None:
        """Let lookups of this slice see a write."""
        for kind in self._world.store.kinds_of(table):
            memory = self._found.get(kind.number)
            if memory is None:
                continue
            old = kind.key(before) if before is not None else None
            new = kind.key(record.values)
            if old == new:
                continue
            if old is not None and old in memory:
                memory[old] = [one for one in memory[old] if one.rid != record.rid]
            if new is not None and new in memory:
                memory[new] = sorted([*memory[new], record], key=lambda one: one.rid)
