"""The records of one type as an export gave them: kept between plans, brought up to date, looked up by row.

4me has no dry run, gives one full export of a big type a day, and any number of those that hold only what changed since
a moment of the last two months (documented). So the last full export is a base, and each plan and each check adds what
changed. It lies in the state directory, readable by its owner only, with its hash; what does not fit its hash is taken
anew.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import filelock
import orjson

from syncengine.errors import NOTHING_WRITTEN, Problem, RemoteError
from syncengine.files import private_directory, replacing
from syncengine.spec.import_types import ID, SOURCE, SOURCE_ID, ImportType
from syncengine.targets.fourme.compare import shown
from syncengine.transport.fourme import QuotaError, export
from syncengine.transport.reader import Reader

MOST_AGE = timedelta(days=60)
"""Documented: `from` lies at most two months back."""
MARGIN = timedelta(minutes=2)
"""Asked again of what was seen already: clocks of several machines of a service differ."""
_BLOCK = 2000
_FORMAT = 1
_SCHEMA = """
CREATE TABLE row(id TEXT, source TEXT, pair TEXT, special TEXT, name TEXT, owner TEXT, cells BLOB);
CREATE INDEX row_pair ON row(pair) WHERE pair<>'';
CREATE INDEX row_special ON row(special) WHERE special<>'';
CREATE INDEX row_id ON row(id) WHERE id<>'';
CREATE INDEX row_owner ON row(owner) WHERE owner<>'';
"""


class Held(NamedTuple):
    """A record as the export has it."""

    number: int
    """Of its row in the base; tells two rows of one owner apart."""
    id: str
    cells: dict[str, str | None]
    """By column; None where the export has no such column."""


class Base:
    """One type of one account; shared by the threads of a plan."""

    def __init__(self, directory: Path | None, system: str, name: str, kind: ImportType) -> None:
        self.name = name
        self.kind = kind
        self._names = list(kind.columns)
        self._special = kind.special
        self._has_name = kind.has_pair and not kind.special
        self._lock = threading.Lock()
        self._temporary = tempfile.TemporaryDirectory(prefix="syncengine-") if directory is None else None
        root = Path(self._temporary.name) if self._temporary else private_directory(directory or Path())
        of = hashlib.blake2b(system.encode(), digest_size=8).hexdigest()
        place = private_directory(root / of)
        self._path, self._said = place / f"{name}.db", place / f"{name}.json"
        self._db: sqlite3.Connection | None = None

    # ── taking it ───────────────────────────────────────────────────────────────────────────────

    def refresh(self, reader: Reader) -> None:
        """Bring it up to date, in full where there is none, it is too old, or it cannot be trusted.

        Rows of owners leave no trace when they are removed, so those are always taken in full. Raises QuotaError,
        AuthError and RemoteError.
        """
        with self._lock, filelock.FileLock(self._path.with_suffix(".lock"), mode=0o600):
            keeps = not self.kind.group and ID in self.kind.columns
            through = self._trusted() if keeps else None
            if through is not None and self._count_fits(reader):
                self._add(reader, through)
            else:
                self._take(reader)

    def _trusted(self) -> datetime | None:
        """Up to which moment the kept base goes; None where it has to be taken anew."""
        try:
            said = orjson.loads(self._said.read_bytes())
            taken, through = datetime.fromisoformat(said["taken"]), datetime.fromisoformat(said["through"])
            fits = said["format"] == _FORMAT and said["columns"] == self._names
            if not fits or datetime.now(UTC) - taken > MOST_AGE or said["sha256"] != _sha256(self._path):
                return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return through

    def _count_fits(self, reader: Reader) -> bool:
        """Whether the account has at least as many records: fewer mean that some are gone, which `from` never tells."""
        rest = self.kind.rest
        if rest is None:
            return True
        answer = reader.get(rest.path, {"per_page": "1", "fields": "id"}, allow_missing=True)
        total = answer.headers.get("x-pagination-total-entries", "") if answer is not None else ""
        if not total.isdigit():
            return True
        held: int = self._open().execute("SELECT COUNT(DISTINCT id) FROM row").fetchone()[0]
        return int(total) >= held

    def _take(self, reader: Reader) -> None:
        self._close()
        with self._download(reader, "") as (stream, date):
            began = date - MARGIN
            for path in (self._said, self._path):
                path.unlink(missing_ok=True)
            self._path.touch(0o600)
            db = self._open()
            db.executescript(_SCHEMA)
            self._insert(db, stream, replace=False)
        self._say(began, began)

    def _add(self, reader: Reader, through: datetime) -> None:
        since = (through - MARGIN).strftime("%Y-%m-%dT%H:%M:%SZ")
        taken = orjson.loads(self._said.read_bytes())["taken"]
        with self._download(reader, since) as (stream, date):
            if stream is not None:
                self._said.unlink()
                self._insert(self._open(), stream, replace=True)
        self._say(datetime.fromisoformat(taken), date - MARGIN)

    @contextlib.contextmanager
    def _download(self, reader: Reader, since: str) -> Iterator[tuple[io.TextIOWrapper | None, datetime]]:
        with tempfile.TemporaryFile(dir=self._path.parent) as stream:
            exported = export(reader, self.kind.export or self.name, since, stream)
            try:
                date = parsedate_to_datetime(exported.date)
            except (TypeError, ValueError):
                date = datetime.now(UTC)
            stream.seek(0)
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="", errors="strict")
            try:
                yield (None if exported.is_empty else text), date.astimezone(UTC)
            finally:
                text.detach()

    def _insert(self, db: sqlite3.Connection, stream: io.TextIOWrapper | None, *, replace: bool) -> None:
        try:
            reader = csv.reader(stream or (), strict=True)
            header = next(reader, [])
            places = [header.index(name) if name in header else None for name in self._names]
            if not any(place is not None for place in places):
                raise self._damaged("it has none of the documented columns")
            with db:
                while rows := list(islice(reader, _BLOCK)):
                    made = [self._row(row, places, header) for row in rows]
                    if replace:
                        db.executemany("DELETE FROM row WHERE id=?", {(one[0],) for one in made if one[0]})
                    db.executemany("INSERT INTO row VALUES(?,?,?,?,?,?,?)", made)
        except (csv.Error, UnicodeDecodeError, IndexError) as error:
            raise self._damaged(str(error)) from error

    def _row(self, row: list[str], places: Sequence[int | None], header: list[str]) -> tuple[str | bytes, ...]:
        if len(row) != len(header):
            raise self._damaged(f"a row has {len(row)} cells, the header has {len(header)}")
        cells = [None if place is None else shown(row[place]) for place in places]
        of = dict(zip(self._names, cells, strict=True))
        source, source_id = of.get(SOURCE) or "", of.get(SOURCE_ID) or ""
        pair = f"{source}\x1f{source_id}" if source and source_id else ""
        special = (of.get(self._special) or "").strip().casefold() if self._special else ""
        name = (of.get("Name") or "").strip() if self._has_name else ""
        return of.get(ID) or "", source, pair, special, name, owner_of(self.kind, of), orjson.dumps(cells)

    def _damaged(self, why: str) -> RemoteError:
        return RemoteError(
            Problem("unexpected-answer", f"the export of {self.name} cannot be used: {why}"), effect=NOTHING_WRITTEN
        )

    def _say(self, taken: datetime, through: datetime) -> None:
        said = {"format": _FORMAT, "type": self.name, "columns": self._names, "sha256": _sha256(self._path)}
        said |= {"taken": taken.isoformat(), "through": through.isoformat()}
        with replacing(self._said, "base") as stream:
            stream.write(orjson.dumps(said, option=orjson.OPT_INDENT_2))

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            self._path.touch(0o600)
            self._db = sqlite3.connect(self._path, check_same_thread=False)
            self._db.execute("PRAGMA synchronous=OFF")
        return self._db

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    # ── looking up ──────────────────────────────────────────────────────────────────────────────

    def by_pair(self, source: str, source_id: str) -> Held | None:
        """The record with this Source and Source ID."""
        return self._one("pair=?", f"{source}\x1f{source_id}")

    def by_pairs(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Held]:
        """The records with these pairs, in one question."""
        wanted = [f"{source}\x1f{source_id}" for source, source_id in pairs if source and source_id]
        found: dict[tuple[str, str], Held] = {}
        sql = "SELECT rowid, id, cells, pair FROM row WHERE pair IN (SELECT value FROM json_each(?)) AND pair<>''"
        with self._lock:
            rows = self._open().execute(sql, (orjson.dumps(wanted).decode(),)).fetchall()
        for number, one, cells, pair in rows:
            source, _, source_id = pair.partition("\x1f")
            held = Held(number, one, dict(zip(self._names, orjson.loads(cells), strict=True)))
            found.setdefault((source, source_id), held)
        return found

    def by_id(self, record_id: str) -> Held | None:
        """The record with this ID."""
        return self._one("id=?", record_id)

    def by_special(self, value: str) -> Held | None:
        """The record with this value of the type's special key; case does not count (inferred)."""
        return self._one("special=?", value.strip().casefold())

    def of_owner(self, owner: str) -> list[Held]:
        """All rows of an owner."""
        return self._all("owner=?", owner)

    def owned(self, source: str) -> Iterator[tuple[str, str]]:
        """Source ID and ID of every record of a source."""
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

    def _one(self, where: str, value: str) -> Held | None:
        return next(iter(self._all(where, value, 1)), None) if value else None

    def _all(self, where: str, value: str, most: int = -1) -> list[Held]:
        with self._lock:
            # The index is partial: saying that the value is not empty lets it be used.
            column = where.partition("=")[0]
            sql = f"SELECT rowid, id, cells FROM row WHERE {where} AND {column}<>'' ORDER BY rowid LIMIT {most}"
            rows = self._open().execute(sql, (value,)).fetchall()
        return [
            Held(number, one, dict(zip(self._names, orjson.loads(cells), strict=True))) for number, one, cells in rows
        ]


def owner_of(kind: ImportType, cells: Mapping[str, str | None]) -> str:
    """Who owns a row of a replace group, in one form; empty for types without one."""
    if kind.group == "CI":
        if cells.get("CI Source") and cells.get("CI Source ID"):
            return f"{cells['CI Source']}\x1f{cells['CI Source ID']}"
        return (cells.get("CI Label") or "").strip().casefold()
    return (cells.get(kind.group) or "").strip().casefold() if kind.group else ""


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


__all__ = ["Base", "Held", "QuotaError", "owner_of"]
