"""Records in SQLite, and the few indexes that identification needs.

A record is one row with its values as JSON. Beside it stand narrow indexes: search keys (`keys.py`), relations by their
ends, source keys, staging rows by import set, attachments by record. All writes pass through here, so the indexes
cannot go stale. The bytes of attachments stand in a table of their own, in parts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from syncengine.sandbox.keys import Kind

RELATIONS = "cmdb_rel_ci"
SOURCES = "sys_object_source"
STAGING = "sys_import_set_row"
ATTACHMENTS = "sys_attachment"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS record (
  rid INTEGER PRIMARY KEY, root TEXT NOT NULL, sys_id TEXT NOT NULL, class TEXT NOT NULL,
  name TEXT COLLATE NOCASE, body TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS record_id ON record (root, sys_id);
CREATE INDEX IF NOT EXISTS record_class ON record (class, sys_id);
CREATE INDEX IF NOT EXISTS record_name ON record (root, name) WHERE name IS NOT NULL;
CREATE TABLE IF NOT EXISTS kind (number INTEGER PRIMARY KEY, spec TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS search (
  kind INTEGER NOT NULL, key TEXT NOT NULL, rid INTEGER NOT NULL, PRIMARY KEY (kind, key, rid)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS relation (
  parent TEXT NOT NULL, type TEXT NOT NULL, child TEXT NOT NULL, rid INTEGER NOT NULL,
  PRIMARY KEY (parent, type, child, rid)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS relation_child ON relation (child, type);
CREATE TABLE IF NOT EXISTS source (
  name TEXT NOT NULL, id TEXT NOT NULL, rid INTEGER NOT NULL, target TEXT NOT NULL,
  PRIMARY KEY (name, id, rid)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS source_target ON source (target);
CREATE TABLE IF NOT EXISTS staged (
  import_set TEXT NOT NULL, number INTEGER NOT NULL, rid INTEGER NOT NULL,
  PRIMARY KEY (import_set, number, rid)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS attached (
  target TEXT NOT NULL, rid INTEGER NOT NULL, PRIMARY KEY (target, rid)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS content (
  attachment TEXT NOT NULL, position INTEGER NOT NULL, packed BLOB NOT NULL, PRIMARY KEY (attachment, position));
"""

# roots with an index of their own, and its table
_INDEXED = {RELATIONS: "relation", SOURCES: "source", STAGING: "staged", ATTACHMENTS: "attached"}


@dataclass(slots=True)
class Record:
    """One row of one table; values are strings, empty ones are left out."""

    rid: int
    root: str
    table: str
    sys_id: str
    values: dict[str, str]


KindsOf = Callable[[str], Sequence[Kind]]


class Store:
    """All records of one sandbox.

    Joins are written CROSS JOIN where the payload must be the outer loop: SQLite keeps that order, and otherwise it
    may scan the whole index instead of looking up 500 keys.
    """

    def __init__(self, path: Path | None) -> None:
        self.db = sqlite3.connect(
            ":memory:" if path is None else str(path), isolation_level=None, check_same_thread=False
        )
        self.db.execute("PRAGMA journal_mode=WAL")
        # NORMAL survives the end of the process at any point; only a power cut may lose the last transactions
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.execute("PRAGMA cache_size=-65536")
        # a payload of 500 items touches pages all over the file: copying them back after each would cost more than it
        self.db.execute("PRAGMA wal_autocheckpoint=20000")
        self.db.executescript(_SCHEMA)
        self.kinds_of: KindsOf = lambda _table: ()
        self.changed: set[str] = set()
        """Roots written since someone last looked; who derives something from records clears it."""
        self._next = self._max_rid() + 1

    def _max_rid(self) -> int:
        return int(self.db.execute("SELECT coalesce(max(rid), 0) FROM record").fetchone()[0])

    def close(self) -> None:
        """Close the database; nothing is lost without it."""
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; a transaction inside another one is part of it."""
        if self.db.in_transaction:
            yield
            return
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            self._next = self._max_rid() + 1
            raise
        self.db.execute("COMMIT")

    # -- facts about the store itself ------------------------------------------------------------------------

    def meta(self, name: str) -> str | None:
        """A value kept beside the records: identity, clock, seeds applied."""
        row = self.db.execute("SELECT value FROM meta WHERE name=?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, name: str, value: str) -> None:
        """Keep a value beside the records."""
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    # -- reading ---------------------------------------------------------------------------------------------

    def get(self, root: str, sys_id: str) -> Record | None:
        """One record by its id."""
        row = self.db.execute(
            "SELECT rid, root, class, sys_id, body FROM record WHERE root=? AND sys_id=?", (root, sys_id)
        ).fetchone()
        return None if row is None else _record(row)

    def get_many(self, root: str, sys_ids: Iterable[str]) -> dict[str, Record]:
        """Records by their ids; those that do not exist are left out."""
        rows = self.db.execute(
            "SELECT r.rid, r.root, r.class, r.sys_id, r.body FROM json_each(?) j "
            "CROSS JOIN record r ON r.root=? AND r.sys_id=j.value",
            (_json(list(sys_ids)), root),
        )
        return {row[3]: _record(row) for row in rows}

    def all(self, *classes: str) -> Iterator[Record]:
        """Every record of exactly these tables, in the order of creation."""
        marks = ",".join("?" * len(classes))
        rows = self.db.execute(
            f"SELECT rid, root, class, sys_id, body FROM record WHERE class IN ({marks}) ORDER BY rid",
            classes,
        )
        for row in rows.fetchall():
            yield _record(row)

    def count(self, *classes: str) -> int:
        """How many records these tables hold."""
        marks = ",".join("?" * len(classes))
        return int(self.db.execute(f"SELECT count(*) FROM record WHERE class IN ({marks})", classes).fetchone()[0])

    def search(self, kind: Kind, keys: Iterable[str]) -> dict[str, list[Record]]:
        """Records by search key, oldest first."""
        found: dict[str, list[Record]] = {}
        rows = self.db.execute(
            "SELECT r.rid, r.root, r.class, r.sys_id, r.body, s.key FROM json_each(?) j "
            "CROSS JOIN search s ON s.kind=? AND s.key=j.value CROSS JOIN record r ON r.rid=s.rid ORDER BY r.rid",
            (_json(list(keys)), kind.number),
        )
        for row in rows:
            found.setdefault(row[5], []).append(_record(row))
        return found

    def sources(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[tuple[int, str]]]:
        """By source name and native key: (row of the source table, id of the record it made)."""
        found: dict[tuple[str, str], list[tuple[int, str]]] = {}
        rows = self.db.execute(
            "SELECT s.name, s.id, s.rid, s.target FROM json_each(?) j "
            "CROSS JOIN source s ON s.name=json_extract(j.value, '$[0]') AND s.id=json_extract(j.value, '$[1]')",
            (_json([list(pair) for pair in pairs]),),
        )
        for name, key, rid, target in rows:
            found.setdefault((name, key), []).append((rid, target))
        return found

    def relations(self, triples: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str, str], int]:
        """Which of these (parent, type, child) exist."""
        rows = self.db.execute(
            "SELECT r.parent, r.type, r.child, r.rid FROM json_each(?) j "
            "CROSS JOIN relation r ON r.parent=json_extract(j.value, '$[0]') AND r.type=json_extract(j.value, '$[1]') "
            "AND r.child=json_extract(j.value, '$[2]') ORDER BY r.rid DESC",
            (_json([list(triple) for triple in triples]),),
        )
        return {(parent, kind, child): rid for parent, kind, child, rid in rows}

    def children(self, ends: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
        """By (parent, type): the children."""
        return self._ends(ends, "parent", "child")

    def parents(self, ends: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
        """By (child, type): the parents."""
        return self._ends(ends, "child", "parent")

    def _ends(self, ends: Iterable[tuple[str, str]], near: str, far: str) -> dict[tuple[str, str], list[str]]:
        found: dict[tuple[str, str], list[str]] = {}
        rows = self.db.execute(
            f"SELECT r.{near}, r.type, r.{far} FROM json_each(?) j "
            f"CROSS JOIN relation r ON r.{near}=json_extract(j.value, '$[0]') AND r.type=json_extract(j.value, '$[1]')",
            (_json([list(end) for end in ends]),),
        )
        for one, kind, other in rows:
            found.setdefault((one, kind), []).append(other)
        return found

    def around(self, sys_id: str) -> list[Record]:
        """The relations and source rows of one record."""
        rows = self.db.execute(
            "SELECT rid FROM relation WHERE parent=?1 OR child=?1 UNION SELECT rid FROM source WHERE target=?1",
            (sys_id,),
        ).fetchall()
        return list(self.by_rid(row[0] for row in rows).values())

    def by_rid(self, rids: Iterable[int]) -> dict[int, Record]:
        """Records by row number."""
        rows = self.db.execute(
            "SELECT r.rid, r.root, r.class, r.sys_id, r.body FROM json_each(?) j CROSS JOIN record r ON r.rid=j.value",
            (_json(list(rids)),),
        )
        return {row[0]: _record(row) for row in rows}

    # -- writing ---------------------------------------------------------------------------------------------

    def insert(self, root: str, table: str, sys_id: str, values: dict[str, str]) -> Record:
        """Add one record."""
        record = Record(self.new_rid(), root, table, sys_id, values)
        self.insert_many([record])
        return record

    def new_rid(self) -> int:
        """The row number of the next record."""
        rid = self._next
        self._next += 1
        return rid

    def insert_many(self, records: Sequence[Record]) -> None:
        """Add records with their index rows."""
        if not records:
            return
        rows, keys = [], []
        for record in records:
            rows.append(_row(record))
            for kind in self.kinds_of(record.table):
                key = kind.key(record.values)
                if key is not None:
                    keys.append((kind.number, key, record.rid))
            self.changed.add(record.root)
        self.db.executemany("INSERT INTO record (rid, root, sys_id, class, name, body) VALUES (?,?,?,?,?,?)", rows)
        if keys:
            self.db.executemany("INSERT OR IGNORE INTO search VALUES (?,?,?)", keys)
        self._index([record for record in records if record.root in _INDEXED])

    def update_many(self, changes: Sequence[tuple[Record, str, Mapping[str, str]]]) -> None:
        """Records with the class and the values they had before; the record itself is already new."""
        rows, gone, keys, special = [], [], [], []
        for record, table, before in changes:
            row = _row(record)
            rows.append((row[3], row[4], row[5], record.rid))
            old = {(k.number, key) for k in self.kinds_of(table) if (key := k.key(before)) is not None}
            new = {(k.number, key) for k in self.kinds_of(record.table) if (key := k.key(record.values)) is not None}
            gone += [(*pair, record.rid) for pair in old - new]
            keys += [(*pair, record.rid) for pair in new - old]
            self.changed.add(record.root)
            if record.root in _INDEXED:
                special.append(record)
        self.db.executemany("UPDATE record SET class=?, name=?, body=? WHERE rid=?", rows)
        if gone:
            self.db.executemany("DELETE FROM search WHERE kind=? AND key=? AND rid=?", gone)
        if keys:
            self.db.executemany("INSERT OR IGNORE INTO search VALUES (?,?,?)", keys)
        self._unindex(special)
        self._index(special)

    def touch_many(self, records: Sequence[Record]) -> None:
        """Write records whose search keys cannot have changed."""
        self.db.executemany("UPDATE record SET body=? WHERE rid=?", [(_body(record), record.rid) for record in records])
        self.changed.update(record.root for record in records)

    def delete(self, record: Record) -> None:
        """Remove one record and its index rows."""
        keys = [
            (k.number, key, record.rid)
            for k in self.kinds_of(record.table)
            if (key := k.key(record.values)) is not None
        ]
        self.db.executemany("DELETE FROM search WHERE kind=? AND key=? AND rid=?", keys)
        self._unindex([record])
        self.db.execute("DELETE FROM record WHERE rid=?", (record.rid,))
        self.changed.add(record.root)

    def _index(self, records: Sequence[Record]) -> None:
        relations = [
            (r.values.get("parent", ""), r.values.get("type", ""), r.values.get("child", ""), r.rid)
            for r in records
            if r.root == RELATIONS
        ]
        sources = [
            (r.values.get("name", ""), r.values.get("id", ""), r.rid, r.values.get("target_sys_id", ""))
            for r in records
            if r.root == SOURCES
        ]
        staged = [
            (r.values.get("sys_import_set", ""), int(r.values.get("sys_import_row", "0") or 0), r.rid)
            for r in records
            if r.root == STAGING
        ]
        attached = [(r.values.get("table_sys_id", ""), r.rid) for r in records if r.root == ATTACHMENTS]
        if relations:
            self.db.executemany("INSERT INTO relation VALUES (?,?,?,?)", relations)
        if sources:
            self.db.executemany("INSERT INTO source VALUES (?,?,?,?)", sources)
        if staged:
            self.db.executemany("INSERT INTO staged VALUES (?,?,?)", staged)
        if attached:
            self.db.executemany("INSERT INTO attached VALUES (?,?)", attached)

    def _unindex(self, records: Sequence[Record]) -> None:
        # most are found by their record's row number; writes to them are rare enough for a scan of the narrow index
        for record in records:
            if record.root == STAGING:
                where = (record.values.get("sys_import_set", ""), record.rid)
                self.db.execute("DELETE FROM staged WHERE import_set=? AND rid=?", where)
            elif record.root in _INDEXED:
                self.db.execute(f"DELETE FROM {_INDEXED[record.root]} WHERE rid=?", (record.rid,))

    # -- staging rows and contents ---------------------------------------------------------------------------

    def staged(self, import_set: str, after: int = 0, limit: int = -1) -> list[Record]:
        """Rows of an import set with a higher number, in the order of their numbers."""
        rows = self.db.execute(
            "SELECT r.rid, r.root, r.class, r.sys_id, r.body FROM staged s CROSS JOIN record r ON r.rid=s.rid "
            "WHERE s.import_set=? AND s.number>? ORDER BY s.number, s.rid LIMIT ?",
            (import_set, after, limit),
        )
        return [_record(row) for row in rows.fetchall()]

    def last_staged(self, import_set: str) -> int:
        """The highest row number of an import set."""
        sql = "SELECT coalesce(max(number), 0) FROM staged WHERE import_set=?"
        return int(self.db.execute(sql, (import_set,)).fetchone()[0])

    def add_content(self, attachment: str, position: int, packed: bytes) -> None:
        """Store a part of an attachment's bytes."""
        self.db.execute("INSERT INTO content VALUES (?,?,?)", (attachment, position, packed))

    def content(self, attachment: str) -> Iterator[bytes]:
        """The parts of an attachment's bytes; one is read at a time, so a write in between does no harm."""
        position = 0
        while True:
            row = self.db.execute(
                "SELECT packed FROM content WHERE attachment=? AND position=?", (attachment, position)
            ).fetchone()
            if row is None:
                return
            yield row[0]
            position += 1

    def drop_content(self, attachment: str) -> None:
        """Remove an attachment's bytes."""
        self.db.execute("DELETE FROM content WHERE attachment=?", (attachment,))


def _row(record: Record) -> tuple[int, str, str, str, str | None, str]:
    return (record.rid, record.root, record.sys_id, record.table, record.values.get("name"), _body(record))


def _body(record: Record) -> str:
    return orjson.dumps(record.values).decode()


def _record(row: tuple[int, str, str, str, str]) -> Record:
    return Record(row[0], row[1], row[2], row[3], orjson.loads(row[4]))


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
