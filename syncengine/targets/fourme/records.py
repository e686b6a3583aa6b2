"""The records of one type as they were read: kept in SQLite, looked up by what a row of an import finds them by."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import orjson

from syncengine.spec.import_types import ID, SOURCE, SOURCE_ID, ImportType

_BLOCK = 2000
_TABLE = "CREATE TABLE row(id TEXT, source TEXT, pair TEXT, natural TEXT, owner TEXT, cells BLOB)"
_INDEXES = """
CREATE INDEX row_pair ON row(pair) WHERE pair<>'';
CREATE INDEX row_natural ON row(natural) WHERE natural<>'';
CREATE INDEX row_id ON row(id) WHERE id<>'';
CREATE INDEX row_owner ON row(owner) WHERE owner<>'';
"""


Replaced = Callable[[Sequence[str | None], Sequence[str | None]], None]
"""Hears of a record that takes the place of what it was: its cells before and now."""


class Held(NamedTuple):
    """A record, as an import would write it."""

    number: int
    """Of its row; tells two rows of one owner apart."""
    id: str
    cells: dict[str, str | None]
    """By column; None where it could not be read."""


class Records:
    """Records of one type; shared by the threads of a plan."""

    def __init__(self, kind: ImportType, path: Path | None = None) -> None:
        """Of a file, or in memory only."""
        self.kind = kind
        self.take(kind.columns)
        self._path = path
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None

    def take(self, columns: Iterable[str]) -> None:
        """Which columns its rows have, in their order; others are those that could not be read."""
        self.columns = tuple(columns)
        at = {name: number for number, name in enumerate(self.columns)}
        self._places = [at.get(one) for one in (ID, SOURCE, SOURCE_ID)]
        self._natural = [[at.get(one, -1) for one in columns] for columns in self.kind.natural]

    def clear(self, rows: Iterable[Sequence[str | None]] = ()) -> None:
        """Begin anew, with these rows; in a file, a new one that only its owner reads.

        The indexes are made when all rows are there: kept up to date row by row they take twice as long.
        """
        self.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self._open().execute(_TABLE)
        self.add(rows)
        with self._lock, self._open() as db:
            db.executescript(_INDEXES)

    def close(self) -> None:
        """Let go of the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            if self._path is not None:
                self._path.touch(0o600)
            self._db = sqlite3.connect(self._path or ":memory:", check_same_thread=False)
            self._db.executescript("PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY; PRAGMA cache_size=-8000")
        return self._db

    # ── filling ─────────────────────────────────────────────────────────────────────────────────

    def add(self, rows: Iterable[Sequence[str | None]], *, replace: bool = False, told: Replaced | None = None) -> None:
        """Cells in the order of `columns`; with `replace` they stand for those of their ID; `told` hears of both."""
        given = iter(rows)
        with self._lock, self._open() as db:
            while some := list(islice(given, _BLOCK)):
                made = [self._row(cells) for cells in some]
                if replace:
                    new = {str(one[0]): cells for one, cells in zip(made, some, strict=True) if one[0]}
                    if told is not None:
                        sql = "SELECT id, cells FROM row WHERE id IN (SELECT value FROM json_each(?)) AND id<>''"
                        for record_id, cells in db.execute(sql, (orjson.dumps(list(new)).decode(),)).fetchall():
                            told(orjson.loads(cells), new[record_id])
                    db.executemany("DELETE FROM row WHERE id=?", [(one,) for one in new])
                db.executemany("INSERT INTO row VALUES(?,?,?,?,?,?)", made)

    def change(self, renewed: Callable[[Sequence[str | None]], Sequence[str | None] | None]) -> None:
        """Give rows the cells that `renewed` makes of theirs, where it makes any."""
        with self._lock, self._open() as db:
            made = []
            for number, cells in db.execute("SELECT rowid, cells FROM row"):
                now = renewed(orjson.loads(cells))
                if now is not None:
                    made.append((*self._row(now), number))
            db.executemany("UPDATE row SET id=?, source=?, pair=?, natural=?, owner=?, cells=? WHERE rowid=?", made)

    def _row(self, cells: Sequence[str | None]) -> tuple[str | bytes, ...]:
        record_id, source, source_id = [(cells[at] or "") if at is not None else "" for at in self._places]
        pair = f"{source}\x1f{source_id}" if source and source_id else ""
        natural = ""
        if self._natural:
            natural = _natural([[cells[at] if at >= 0 else None for at in places] for places in self._natural])
        owner = owner_of(self.kind, dict(zip(self.columns, cells, strict=True))) if self.kind.group else ""
        return record_id, source, pair, natural, owner, orjson.dumps(cells)

    # ── looking up ──────────────────────────────────────────────────────────────────────────────

    def count(self) -> int:
        """How many there are; rows of one record count once."""
        with self._lock:
            found: int = self._open().execute("SELECT COUNT(DISTINCT id) FROM row").fetchone()[0]
        return found

    def by_pair(self, source: str, source_id: str) -> Held | None:
        """The record with this Source and Source ID."""
        return self._one("pair", f"{source}\x1f{source_id}")

    def by_pairs(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Held]:
        """The records with these pairs, in one question."""
        wanted = [f"{source}\x1f{source_id}" for source, source_id in pairs if source and source_id]
        found: dict[tuple[str, str], Held] = {}
        sql = "SELECT rowid, id, cells, pair FROM row WHERE pair IN (SELECT value FROM json_each(?)) AND pair<>''"
        with self._lock:
            rows = self._open().execute(sql, (orjson.dumps(wanted).decode(),)).fetchall()
        for number, one, cells, pair in rows:
            source, _, source_id = pair.partition("\x1f")
            held = Held(number, one, dict(zip(self.columns, orjson.loads(cells), strict=True)))
            found.setdefault((source, source_id), held)
        return found

    def by_id(self, record_id: str) -> Held | None:
        """The record with this ID."""
        return self._one("id", record_id)

    def by_natural(self, natural: str) -> Held | None:
        """The record with this natural key, see `natural_of`."""
        return self._one("natural", natural)

    def of_owner(self, owner: str) -> list[Held]:
        """All rows of an owner."""
        return self._all("owner", owner)

    def owned(self, source: str) -> Iterator[tuple[str, str]]:
        """Source ID and ID of every row of a source."""
        after = 0
        while True:
            with self._lock:
                sql = (
                    "SELECT rowid, pair, id FROM row WHERE source=? AND pair<>'' AND rowid>? ORDER BY rowid LIMIT 5000"
                )
                found = self._open().execute(sql, (source, after)).fetchall()
            for after, pair, record_id in found:  # noqa: B007
                yield pair.partition("\x1f")[2], record_id
            if not found:
                return

    def _one(self, column: str, value: str) -> Held | None:
        return next(iter(self._all(column, value, 1)), None) if value else None

    def _all(self, column: str, value: str, most: int = -1) -> list[Held]:
        with self._lock:
            # The index is partial: saying that the value is not empty lets it be used.
            sql = f"SELECT rowid, id, cells FROM row WHERE {column}=? AND {column}<>'' ORDER BY rowid LIMIT {most}"
            rows = self._open().execute(sql, (value,)).fetchall()
        return [
            Held(number, one, dict(zip(self.columns, orjson.loads(cells), strict=True))) for number, one, cells in rows
        ]


def natural_of(kind: ImportType, cells: Mapping[str, str | None]) -> str:
    """What a row finds its record by where it says neither ID nor pair, in one form; case does not count (inferred)."""
    return _natural([[cells.get(column) for column in columns] for columns in kind.natural])


def _natural(keys: Sequence[Sequence[str | None]]) -> str:
    """The first key that is filled, with its number: two types of key may have the same values."""
    for number, values in enumerate(keys):
        if all(values):
            return "\x1f".join((str(number), *((value or "").strip().casefold() for value in values)))
    return ""


def owner_of(kind: ImportType, cells: Mapping[str, str | None]) -> str:
    """Who owns a row of a replace group, in one form; empty for types without one."""
    if kind.group == "CI":
        if cells.get("CI Source") and cells.get("CI Source ID"):
            return f"{cells['CI Source']}\x1f{cells['CI Source ID']}"
        return (cells.get("CI Label") or "").strip().casefold()
    if kind.group == SOURCE_ID:
        return f"{cells.get(SOURCE)}\x1f{cells[SOURCE_ID]}" if cells.get(SOURCE_ID) else ""
    return (cells.get(kind.group) or "").strip().casefold() if kind.group else ""
