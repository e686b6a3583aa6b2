"""The records of one type as they were read: kept in SQLite, looked up by what a row of an import finds them by."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import orjson

from syncengine import spill
from syncengine.spec.import_types import ID, SOURCE, SOURCE_ID, ImportType

_BLOCK = 100
"""Rows at a time: so few are still in the processor's cache when they are written."""
_TABLE = "CREATE TABLE row(id TEXT, source TEXT, pair TEXT, natural TEXT, owner TEXT, cells BLOB)"
_INDEXES = """
CREATE INDEX row_pair ON row(pair) WHERE pair<>'';
CREATE INDEX row_natural ON row(natural) WHERE natural<>'';
CREATE INDEX row_id ON row(id) WHERE id<>'';
CREATE INDEX row_owner ON row(owner) WHERE owner<>'';
"""


Replaced = Callable[[Sequence[str | None], Sequence[str | None]], None]
"""Hears of a record that takes the place of what it was: its cells before and now."""


class Held(msgspec.Struct, gc=False):
    """A record, as an import would write it."""

    number: int
    """Of its row; tells two rows of one owner apart."""
    id: str
    columns: tuple[str, ...]
    row: list[str | None]
    """Its cells in the order of the columns; None where one could not be read."""
    made: dict[str, str | None] = {}

    @property
    def cells(self) -> dict[str, str | None]:
        """The cells by column, made when they are asked for: of most records nobody does."""
        if not self.made:
            self.made = dict(zip(self.columns, self.row, strict=True))
        return self.made


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
        absent = len(self.columns)  # see `_row`
        self._keys = picker([at.get(one, absent) for one in (ID, SOURCE, SOURCE_ID)])
        self._natural = [picker([at.get(one, absent) for one in columns]) for columns in self.kind.natural]

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
                spill.insert(db, "INSERT INTO row", made)

    def change(self, renewed: Callable[[Sequence[str | None]], Sequence[str | None] | None]) -> None:
        """Give rows the cells that `renewed` makes of theirs, where it makes any."""
        with self._lock, self._open() as db:
            made = []
            for number, cells in db.execute("SELECT rowid, cells FROM row"):
                now = renewed(orjson.loads(cells))
                if now is not None:
                    made.append((*self._row(now), number))
            db.executemany("UPDATE row SET id=?, source=?, pair=?, natural=?, owner=?, cells=? WHERE rowid=?", made)

    def _row(self, cells: Sequence[str | None]) -> tuple[str, ...]:
        padded = (*cells, None)
        record_id, source, source_id = self._keys(padded)
        pair = pair_of(source, source_id) if source and source_id else ""
        natural = _natural([key(padded) for key in self._natural]) if self._natural else ""
        owner = owner_of(self.kind, dict(zip(self.columns, cells, strict=True))) if self.kind.group else ""
        # As text: the sqlite3 module looks for an adapter of each bytes object, which takes longer than the insert.
        return record_id or "", source or "", pair, natural, owner, orjson.dumps(cells).decode()

    # ── looking up ──────────────────────────────────────────────────────────────────────────────

    def count(self) -> int:
        """How many there are; rows of one record count once."""
        with self._lock:
            found: int = self._open().execute("SELECT COUNT(DISTINCT id) FROM row").fetchone()[0]
        return found

    def by_pair(self, source: str, source_id: str) -> Held | None:
        """The record with this Source and Source ID."""
        return self._one("pair", pair_of(source, source_id))

    def by_pairs(self, pairs: Sequence[str]) -> dict[str, Held]:
        """The records with these pairs, see `pair_of`, in one question."""
        found: dict[str, Held] = {}
        sql = "SELECT rowid, id, cells, pair FROM row WHERE pair IN (SELECT value FROM json_each(?)) AND pair<>''"
        with self._lock:
            rows = self._open().execute(sql, (orjson.dumps(pairs).decode(),)).fetchall()
        for number, one, cells, pair in rows:
            found.setdefault(pair, Held(number, one, self.columns, orjson.loads(cells)))
        return found

    def picked(self, columns: Sequence[str]) -> Callable[[Sequence[Any]], tuple[Any, ...]] | None:
        """Takes the cells of these columns out of a row; None where it has not all of them."""
        at = {name: number for number, name in enumerate(self.columns)}
        return picker([at[one] for one in columns]) if at.keys() >= set(columns) else None

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
        return [Held(number, one, self.columns, orjson.loads(cells)) for number, one, cells in rows]


def picker(places: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Takes the cells at these places out of a row; `itemgetter` gives no tuple of one."""
    return itemgetter(*places) if len(places) > 1 else lambda row: tuple([row[place] for place in places])


def pair_of(source: str, source_id: str) -> str:
    """The pair by which most records are found, in one form."""
    return f"{source}\x1f{source_id}"


def natural_of(kind: ImportType, cells: Mapping[str, str | None]) -> str:
    """What a row finds its record by where it says neither ID nor pair, in one form; case does not count (inferred)."""
    return _natural([[cells.get(column) for column in columns] for columns in kind.natural])


def _natural(keys: Sequence[Sequence[str | None]]) -> str:
    """The first key that is filled, with its number: two types of key may have the same values."""
    for number, values in enumerate(keys):
        if all(values):
            return f"{number}\x1f" + "\x1f".join([value.strip().casefold() for value in values if value])
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
