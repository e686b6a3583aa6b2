"""Records of all accounts in SQLite, with the keys that find them.

A record is one row with its values as JSON; references are ids. All writes pass through here: the keys and the ledger
are written in the transaction of the record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from syncengine.sandbox.fourme.types import EMAIL, SOURCE, SOURCE_ID, Type, types
from syncengine.sandbox.ledger import Entry, content_hash
from syncengine.sandbox.world import World

_SCHEMA = """
CREATE TABLE IF NOT EXISTS me_record (
  id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, type TEXT NOT NULL, source TEXT, source_id TEXT,
  created REAL NOT NULL, updated REAL NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS me_record_type ON me_record (type, account, id);
CREATE INDEX IF NOT EXISTS me_record_source ON me_record (type, account, source, id);
CREATE INDEX IF NOT EXISTS me_record_updated ON me_record (type, account, updated);
CREATE TABLE IF NOT EXISTS me_key (
  type TEXT NOT NULL, field TEXT NOT NULL, folded TEXT NOT NULL, account TEXT NOT NULL, id INTEGER NOT NULL,
  exact TEXT NOT NULL, PRIMARY KEY (type, field, folded, account, id)) WITHOUT ROWID;
"""
_FIRST = 1000
_COLUMNS = "id, account, type, created, updated, body"


@dataclass(slots=True)
class Record:
    """One record of one type in one account."""

    id: int
    account: str
    type: str
    created: float
    updated: float
    values: dict[str, Any]
    """By column; what is blank is left out. References are ids, several references pairs of id and suffix."""


class Records:
    """All records."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.db = world.store.db
        self.db.executescript(_SCHEMA)
        self._next = 0
        self.quiet = False
        """Writes are seeds, which stand in no ledger."""

    def clear(self) -> None:
        """Remove every record."""
        self.db.execute("DELETE FROM me_record")
        self.db.execute("DELETE FROM me_key")
        self.db.execute("DELETE FROM sqlite_sequence WHERE name='me_record'")
        self._next = 0

    def new_id(self) -> int:
        """The id of the next record; ids of removed ones do not come back."""
        if not self._next:
            row = self.db.execute("SELECT seq FROM sqlite_sequence WHERE name='me_record'").fetchone()
            self._next = (int(row[0]) if row else _FIRST) + 1
        self._next += 1
        return self._next - 1

    # -- reading ---------------------------------------------------------------------------------------------

    def get(self, record_id: int) -> Record | None:
        """One record."""
        row = self.db.execute(f"SELECT {_COLUMNS} FROM me_record WHERE id=?", (record_id,)).fetchone()
        return None if row is None else _record(row)

    def get_many(self, ids: Iterable[int]) -> dict[int, Record]:
        """Records by id; those that do not exist are left out."""
        columns = ", ".join(f"r.{name}" for name in _COLUMNS.split(", "))
        rows = self.db.execute(
            f"SELECT {columns} FROM json_each(?) j CROSS JOIN me_record r ON r.id=j.value",
            (orjson.dumps(sorted(set(ids))).decode(),),
        )
        return {row[0]: _record(row) for row in rows}

    def find(self, kind: Type, account: str, key: Sequence[str], values: Sequence[Any], *, exact: bool) -> list[int]:
        """The ids of records with these values in the columns of a key, oldest first."""
        text = _text(values)
        rows = self.db.execute(
            "SELECT id FROM me_key WHERE type=? AND field=? AND folded=? AND account=?"
            + (" AND exact=?" if exact else ""),
            (kind.name, "|".join(key), text.casefold(), account, *([text] if exact else [])),
        )
        return sorted(row[0] for row in rows)

    def all(self, kind: str, account: str, since: float | None = None, after: int = 0, limit: int = -1) -> list[Record]:
        """Records of a type in an account in the order of their ids."""
        where, more = ("", ()) if since is None else (" AND updated>=?", (since,))
        rows = self.db.execute(
            f"SELECT {_COLUMNS} FROM me_record WHERE type=? AND account=? AND id>?{where} ORDER BY id LIMIT ?",
            (kind, account, after, *more, limit),
        )
        return [_record(row) for row in rows.fetchall()]

    def count(self, kind: str, account: str, since: float | None = None) -> int:
        """How many records of a type an account has."""
        where, more = ("", ()) if since is None else (" AND updated>=?", (since,))
        row = self.db.execute(
            f"SELECT count(*) FROM me_record WHERE type=? AND account=?{where}", (kind, account, *more)
        )
        return int(row.fetchone()[0])

    def select(self, where: str, values: Sequence[Any]) -> Iterator[Record]:
        """Records by a condition of ours over the columns of the table."""
        for row in self.db.execute(f"SELECT {_COLUMNS} FROM me_record WHERE {where}", values).fetchall():
            yield _record(row)

    def number(self, where: str, values: Sequence[Any]) -> int:
        """How many records meet such a condition."""
        return int(self.db.execute(f"SELECT count(*) FROM me_record WHERE {where}", values).fetchone()[0])

    # -- writing ---------------------------------------------------------------------------------------------

    def insert(self, records: Sequence[Record]) -> None:
        """Add records, in a transaction."""
        rows: list[tuple[Any, ...]] = []
        keys: list[tuple[Any, ...]] = []
        for record in records:
            rows.append((record.id, *_row(record)))
            keys += _keys(record)
        self.db.executemany(
            "INSERT INTO me_record (id, account, type, source, source_id, created, updated, body) "
            "VALUES (?,?,?,?,?,?,?,?)",
            rows,
        )
        self.db.executemany("INSERT INTO me_key VALUES (?,?,?,?,?,?)", keys)
        self._tell("insert", records)

    def update(self, record: Record, before: Mapping[str, Any]) -> None:
        """Write a record anew, with the values it had before, in a transaction."""
        old, new = set(_keys(record, before)), set(_keys(record))
        self._forget_keys(old - new)
        self.db.execute(
            "UPDATE me_record SET account=?, type=?, source=?, source_id=?, created=?, updated=?, body=? WHERE id=?",
            (*_row(record), record.id),
        )
        self.db.executemany("INSERT INTO me_key VALUES (?,?,?,?,?,?)", new - old)
        self._tell("update", [record])

    def delete(self, records: Sequence[Record]) -> None:
        """Remove records, in a transaction."""
        self.db.executemany("DELETE FROM me_record WHERE id=?", [(record.id,) for record in records])
        for record in records:
            self._forget_keys(_keys(record))
        self._tell("delete", records)

    def _forget_keys(self, keys: Iterable[tuple[Any, ...]]) -> None:
        self.db.executemany(
            "DELETE FROM me_key WHERE type=? AND field=? AND folded=? AND account=? AND id=?", (key[:5] for key in keys)
        )

    def _tell(self, what: str, records: Sequence[Record]) -> None:
        if self.quiet:
            return
        entries = (
            Entry(what, record.type, str(record.id), ledger_key(record), content_hash(record.values))
            for record in records
        )
        self._world.ledger.write(self._world.clock.now(), entries)


def ledger_key(record: Record) -> str:
    """What must not be made twice: the account and what identifies the record in it."""
    v = record.values
    kind = types()[record.type]
    if v.get(SOURCE) and v.get(SOURCE_ID):
        key = f"{v[SOURCE]}|{v[SOURCE_ID]}"
    elif v.get(EMAIL):
        key = str(v[EMAIL])
    elif kind.group or not kind.identify:
        key = content_hash(v)
    else:
        key = next(
            ("|".join(str(v[c]) for c in columns) for columns in kind.identify if all(v.get(c) for c in columns)),
            content_hash(v),
        )
    return f"{record.account}|{key}"


def _record(row: Sequence[Any]) -> Record:
    return Record(row[0], row[1], row[2], row[3], row[4], orjson.loads(row[5]))


def _row(record: Record) -> tuple[Any, ...]:
    v = record.values
    pair = (v.get(SOURCE), v.get(SOURCE_ID))
    return (record.account, record.type, *pair, record.created, record.updated, orjson.dumps(v).decode())


def _keys(record: Record, values: Mapping[str, Any] | None = None) -> Iterator[tuple[Any, ...]]:
    v = record.values if values is None else values
    for field, columns in types()[record.type].fields:
        given = [v.get(column) for column in columns]
        if None not in given and "" not in given:
            text = _text(given)
            yield record.type, field, text.casefold(), record.account, record.id, text


def _text(values: Sequence[Any]) -> str:
    return str(values[0]) if len(values) == 1 else orjson.dumps([str(value) for value in values]).decode()
