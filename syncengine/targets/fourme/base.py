"""The export of one type: kept between plans and brought up to date.

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
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import filelock
import orjson

from syncengine.errors import NOTHING_WRITTEN, Problem, RemoteError
from syncengine.files import private_directory, replacing
from syncengine.spec.import_types import ID, ImportType, import_types
from syncengine.targets.fourme.compare import shown
from syncengine.targets.fourme.records import Records, Replaced, picker
from syncengine.targets.fourme.renamed import Renamed, Renames, concerned, renewed
from syncengine.transport.fourme import QuotaError, export
from syncengine.transport.reader import Reader

MOST_AGE = timedelta(days=60)
"""Documented: `from` lies at most two months back."""
MARGIN = timedelta(minutes=2)
"""Asked again of what was seen already: clocks of several machines of a service differ."""
_FORMAT = 3


def place_of(directory: Path, system: str) -> Path:
    """Where the exports of an account are kept, in a state directory."""
    of = hashlib.blake2b(system.encode(), digest_size=8).hexdigest()
    return private_directory(private_directory(directory) / of)


class Base:
    """One type of one account; shared by the threads of a plan."""

    def __init__(self, place: Path | None, name: str, kind: ImportType) -> None:
        """In a folder, see `place_of`; without one it is kept as long as this is."""
        self.name = name
        self.kind = kind
        self._lock = threading.Lock()
        self._temporary = tempfile.TemporaryDirectory(prefix="syncengine-") if place is None else None
        self._place = Path(self._temporary.name) if self._temporary else place or Path()
        self._path, self._said = self._place / f"{name}.db", self._place / f"{name}.json"
        self.records = Records(kind, self._path)

    # ── taking it ───────────────────────────────────────────────────────────────────────────────

    def refresh(self, reader: Reader) -> None:
        """Bring it up to date, in full where there is none, it is too old, or it cannot be trusted.

        Rows of owners leave no trace when they are removed, so those are always taken in full. Raises QuotaError,
        AuthError and RemoteError.
        """
        renames: Renames = {}
        with self._lock, self._alone():
            keeps = not self.kind.group and ID in self.kind.columns
            through = self._trusted() if keeps else None
            if through is not None and self._count_fits(reader):
                renames = self._add(reader, through)
            else:
                self._take(reader)
        for other in concerned(self.name, renames):
            Base(self._place, other, import_types()[other])._rename(self.name, renames)

    def _alone(self) -> filelock.BaseFileLock:
        """No other process refreshes it meanwhile."""
        return filelock.FileLock(self._path.with_suffix(".lock"), mode=0o600)

    def _rename(self, name: str, renames: Renames) -> None:
        """Let its rows name records of another type as they are called by now, where it is kept."""
        if not self._said.exists():
            return
        with self._alone():
            if self._trusted() is None:
                return  # it is taken anew before it is looked at
            said = orjson.loads(self._said.read_bytes())
            self._said.unlink()
            columns = self.records.columns
            self.records.change(lambda cells: renewed(self.kind, name, columns, cells, renames))
            self.records.close()
            self._say(datetime.fromisoformat(said["taken"]), datetime.fromisoformat(said["through"]))

    def _trusted(self) -> datetime | None:
        """Up to which moment the kept base goes; None where it has to be taken anew."""
        try:
            said = orjson.loads(self._said.read_bytes())
            taken, through = datetime.fromisoformat(said["taken"]), datetime.fromisoformat(said["through"])
            fits = said["format"] == _FORMAT and set(said["columns"]) <= set(self.kind.columns)
            if not fits or datetime.now(UTC) - taken > MOST_AGE or said["sha256"] != _sha256(self._path):
                return None
            self.records.take(said["columns"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return through

    def _count_fits(self, reader: Reader) -> bool:
        """Whether the account has at least as many records: fewer mean that some are gone, which `from` never tells."""
        rest = self.kind.rest
        if rest is None:
            return True
        answer = reader.get(rest.of_account, {"per_page": "1", "fields": "id"}, allow_missing=True)
        total = answer.headers.get("x-pagination-total-entries", "") if answer is not None else ""
        if not total.isdigit():
            return True
        return int(total) >= self.records.count()

    def _take(self, reader: Reader) -> None:
        with self._download(reader, "") as (stream, date):
            began = date - MARGIN
            self._said.unlink(missing_ok=True)
            self._insert(stream)
        self._say(began, began)

    def _add(self, reader: Reader, through: datetime) -> Renames:
        since = (through - MARGIN).strftime("%Y-%m-%dT%H:%M:%SZ")
        taken = orjson.loads(self._said.read_bytes())["taken"]
        with self._download(reader, since) as (stream, date):
            seen = Renamed(self.name, self.records.columns)
            if stream is not None:
                self._said.unlink()
                self._insert(stream, told=seen.see)
        self._say(datetime.fromisoformat(taken), date - MARGIN)
        return seen.all()

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

    def _insert(self, stream: io.TextIOWrapper | None, *, told: Replaced | None = None) -> None:
        try:
            reader = csv.reader(stream or (), strict=True)
            header = next(reader, [])
            if told is None:
                self.records.take(name for name in self.kind.columns if name in header)
            wanted = len(header)
            places = [header.index(name) if name in header else wanted for name in self.records.columns]
            if min(places, default=wanted) == wanted:
                raise self._damaged("it has none of the documented columns")
            rows = self._cells(reader, places, wanted)
            if told is None:
                self.records.clear(rows)
            else:
                self.records.add(rows, replace=True, told=told)
        except (csv.Error, UnicodeDecodeError, IndexError) as error:
            raise self._damaged(str(error)) from error

    def _cells(self, rows: Iterable[list[str]], places: Sequence[int], wanted: int) -> Iterator[tuple[str | None, ...]]:
        picked = picker(places)
        for row in rows:
            if len(row) != wanted:
                raise self._damaged(f"a row has {len(row)} cells, the header has {wanted}")
            cells = picked((*row, None))
            if "\t" in "".join(row):  # rare, and seen in a tenth of the time that every cell by itself takes
                cells = tuple(cell if cell is None else shown(cell) for cell in cells)
            yield cells

    def _damaged(self, why: str) -> RemoteError:
        return RemoteError(
            Problem("unexpected-answer", f"the export of {self.name} cannot be used: {why}"), effect=NOTHING_WRITTEN
        )

    def _say(self, taken: datetime, through: datetime) -> None:
        said = {
            "format": _FORMAT,
            "type": self.name,
            "columns": list(self.records.columns),
            "sha256": _sha256(self._path),
        }
        said |= {"taken": taken.isoformat(), "through": through.isoformat()}
        with replacing(self._said, "base") as stream:
            stream.write(orjson.dumps(said, option=orjson.OPT_INDENT_2))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


__all__ = ["Base", "QuotaError"]
