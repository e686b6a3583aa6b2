"""What was sent and what became of it, on disk before and after each request. Resuming is reading it.

    intent → fsync → request → answer checked → result → fsync

Where the target works in its own time, the token it gave is written (`started`) before anybody waits for it. A batch
with an intent and no result is ambiguous, whether the network or the process failed: it has to be settled by
looking at the target. Entries of a run form a chain: each carries a digest over itself and the one before it, so a
torn, changed, missing or foreign entry is seen before anything is sent. Each is on disk when its call returns; those
that come while the disk is at work share the next commit.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import orjson
import sqlalchemy as sa
import zstandard

from syncengine.changes import Outcome
from syncengine.errors import Problem, StateError
from syncengine.files import private_directory, reach, refuse_links

FORMAT = 1
KindOfEntry = Literal["intent", "started", "result"]

tables = sa.MetaData()
runs = sa.Table(
    "run",
    tables,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("format", sa.Integer, nullable=False),
    sa.Column("product", sa.Text, nullable=False),
    sa.Column("file_id", sa.Text, nullable=False),
    sa.Column("plan_hash", sa.Text, nullable=False),
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("specs", sa.Text, nullable=False),
    sa.Column("started_at", sa.Text, nullable=False),
    sa.Column("ended_at", sa.Text),
    sa.Column("exit", sa.Integer),
    sa.Column("summary", sa.Text),
    sa.Column("entries", sa.Integer, nullable=False, server_default="0"),
)
entries = sa.Table(
    "entry",
    tables,
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("batch", sa.Integer, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("seal", sa.LargeBinary, nullable=False),
    sa.PrimaryKeyConstraint("run", "seq"),
)


missing = sa.Table(
    "missing",
    tables,
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("runs", sa.Integer, nullable=False),
    sa.PrimaryKeyConstraint("environment", "step", "key"),
)

_ENTER = entries.insert()
_COUNT = runs.update().where(runs.c.id == sa.bindparam("of"))


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as the state knows it."""

    id: str
    product: str
    file_id: str
    plan_hash: str
    environment: str
    specs: str
    started_at: str
    ended_at: str | None = None
    exit: int | None = None
    summary: dict[str, Any] | None = None


class State:
    """The state of a project, in `.syncengine/state.db`: its runs and their journals."""

    def __init__(self, directory: Path) -> None:
        self.directory = private_directory(directory)
        refuse_links(directory)
        path = directory / "state.db"
        try:
            path.touch(mode=0o600, exist_ok=True)
            self.engine = sa.create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False})
            sa.event.listen(self.engine, "connect", _durable)
            tables.create_all(self.engine)
        except (OSError, sa.exc.DatabaseError) as error:
            raise damaged(path, f"it cannot be opened ({reason(error)})") from error
        self.path = path
        self._file = path.stat().st_ino

    def check_there(self) -> None:
        """Raise StateError when the file was deleted or replaced: SQLite writes on into one that nobody will find."""
        try:
            is_there = self.path.stat().st_ino == self._file
        except OSError:
            is_there = False
        if not is_there:
            raise damaged(self.path, "it was deleted or replaced while it was in use")

    def run_directory(self, run: str) -> Path:
        """Where a run keeps its plan, its rejects and its report."""
        return private_directory(self.directory / "runs" / run)

    def begin(self, row: RunRow) -> None:
        """Record a new run, durably."""
        values = {
            "id": row.id,
            "format": FORMAT,
            "product": row.product,
            "file_id": row.file_id,
            "plan_hash": row.plan_hash,
            "environment": row.environment,
            "specs": row.specs,
            "started_at": row.started_at,
        }
        self._write(runs.insert().values(**values))

    def end(self, run: str, ended_at: str, exit_class: int, summary: dict[str, Any]) -> None:
        """Record how a run ended."""
        said = orjson.dumps(summary).decode()
        update = runs.update().where(runs.c.id == run)
        self._write(update.values(ended_at=ended_at, exit=exit_class, summary=said))

    def _write(self, statement: sa.Insert | sa.Update) -> None:
        try:
            with self.engine.begin() as connection:
                connection.execute(statement)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise damaged(self.path, f"it cannot be written ({reason(error)})") from error

    def runs(self) -> list[RunRow]:
        """All runs, newest first: in the order in which they were begun, whatever the clock said."""
        try:
            with self.engine.connect() as connection:
                rows = connection.execute(runs.select().order_by(runs.c.number.desc()))
                return [
                    RunRow(
                        row.id,
                        row.product,
                        row.file_id,
                        row.plan_hash,
                        row.environment,
                        row.specs,
                        row.started_at,
                        row.ended_at,
                        row.exit,
                        orjson.loads(row.summary) if row.summary else None,
                    )
                    for row in rows
                ]
        except (sa.exc.DatabaseError, orjson.JSONDecodeError) as error:
            raise damaged(self.path, reason(error)) from error

    def missing(self, environment: str) -> dict[str, dict[str, int]]:
        """In how many runs each key of a step was missing in its source, up to the last run."""
        found: dict[str, dict[str, int]] = {}
        try:
            with self.engine.connect() as connection:
                for row in connection.execute(missing.select().where(missing.c.environment == environment)):
                    found.setdefault(row.step, {})[row.key] = row.runs
        except sa.exc.DatabaseError as error:
            raise damaged(self.path, reason(error)) from error
        return found

    def count_missing(self, environment: str, steps: Mapping[str, Sequence[str]]) -> None:
        """Count one more run in which keys were missing; a key that is there again starts anew."""
        known = self.missing(environment)
        try:
            with self.engine.begin() as connection:
                for step, keys in steps.items():
                    of_step = (missing.c.environment == environment) & (missing.c.step == step)
                    connection.execute(missing.delete().where(of_step))
                    before = known.get(step, {})
                    rows = [
                        {"environment": environment, "step": step, "key": key, "runs": before.get(key, 0) + 1}
                        for key in keys
                    ]
                    if rows:
                        connection.execute(missing.insert(), rows)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise damaged(self.path, f"it cannot be written ({reason(error)})") from error

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()


def _durable(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def reason(error: Exception) -> str:
    """What the disk or SQLite said, on one line."""
    return str(getattr(error, "orig", None) or error).splitlines()[0][:120]


def damaged(path: Path, why: str) -> StateError:
    """The error to raise where a state file cannot be used."""
    return StateError(
        Problem(
            "journal-damaged",
            f"the state of this project cannot be used: {why}",
            place=str(path),
            fix="free space or restore the file; what was applied is on the target, so a new plan shows what is left",
        )
    )


@dataclass(slots=True)
class Written:
    """What the journal says of one batch."""

    intent: dict[str, Any] | None = None
    """The latest intent; None once a result followed it."""
    token: str = ""
    """What the work is asked about by that this intent started; empty where it did not come so far."""
    outcomes: dict[int, Outcome] | None = None


def _sealed(before: bytes, seq: int, kind: str, batch: int, packed: bytes) -> bytes:
    """What an entry carries so that it follows only the one that carries `before`."""
    digest = hashlib.blake2b(before, digest_size=16)
    digest.update(f"{seq}\0{kind}\0{batch}\0".encode() + packed)
    return digest.digest()


class _Entry(msgspec.Struct):
    """What is to be written."""

    kind: KindOfEntry
    batch: int
    body: bytes
    is_written: bool = False


class Journal:
    """The journal of one run; shared by the threads of that run."""

    def __init__(self, state: State, run: str) -> None:
        self.state = state
        self.run = run
        self._lock = threading.Lock()
        self._seq = 0
        self._waiting: deque[_Entry] = deque()
        """What is not on disk yet; only whoever holds the lock takes from it."""
        self._refused: StateError | None = None
        self._seal = hashlib.blake2b(run.encode(), digest_size=16).digest()
        try:
            self._connection = state.engine.connect()
        except sa.exc.DatabaseError as error:
            raise damaged(state.path, reason(error)) from error

    def read(self) -> dict[int, Written]:
        """Check the whole journal and say what it knows of each batch.

        Raises StateError at the first entry that is not as it was written; nothing may be sent then.
        """
        self._check_format()
        known: dict[int, Written] = {}
        for kind, batch, body in self._checked():
            of = known.setdefault(batch, Written())
            if kind == "intent":
                of.intent, of.token = body, ""
            elif kind == "started":
                of.token = body["token"]
            else:
                of.intent, of.token = None, ""
                outcomes = of.outcomes = of.outcomes or {}
                outcomes.update((outcome.op, outcome) for outcome in msgspec.convert(body["outcomes"], list[Outcome]))
        return known

    def _check_format(self) -> None:
        said_by = sa.select(runs.c.format, runs.c.product).where(runs.c.id == self.run)
        try:
            row = self._connection.execute(said_by).first()
            self._connection.rollback()
        except sa.exc.DatabaseError as error:
            raise damaged(self.state.path, reason(error)) from error
        if row is not None and row.format > FORMAT:
            said = f"the journal of run {self.run} was written by syncengine {row.product}, in a newer format"
            fix = f"resume it with syncengine {row.product} or newer"
            raise StateError(Problem("newer-journal", said, str(self.state.path), fix=fix))

    def _checked(self) -> Iterator[tuple[str, int, dict[str, Any]]]:
        columns = (entries.c.seq, entries.c.kind, entries.c.batch, entries.c.body, entries.c.seal)
        query = sa.select(*columns).where(entries.c.run == self.run).order_by(entries.c.seq)
        unpack = zstandard.ZstdDecompressor()
        try:
            self._connection.exec_driver_sql("BEGIN")  # what is read is of one moment: the run may be at work
            for seq, kind, batch, packed, seal in self._connection.execute(query):
                if seq != self._seq + 1 or seal != _sealed(self._seal, seq, kind, batch, packed):
                    raise damaged(self.state.path, f"journal of run {self.run} damaged at record {self._seq + 1}")
                self._seq, self._seal = seq, seal
                yield kind, batch, orjson.loads(unpack.decompress(packed))
            counted = self._connection.execute(sa.select(runs.c.entries).where(runs.c.id == self.run)).scalar() or 0
            if counted != self._seq:
                raise damaged(
                    self.state.path, f"journal of run {self.run} damaged: {counted} records, {self._seq} found"
                )
            self._connection.rollback()
        except (sa.exc.DatabaseError, zstandard.ZstdError, orjson.JSONDecodeError) as error:
            raise damaged(self.state.path, f"journal of run {self.run}: {reason(error)}") from error

    def intent(self, batch: int, ops: Sequence[int]) -> None:
        """Before a request: what it will carry. On disk when this returns."""
        self._append("intent", batch, {"ops": list(ops)})
        reach("intent.fsync")

    def started(self, batch: int, token: str) -> None:
        """After a request that the target does in its own time: how to ask about it. On disk when this returns."""
        self._append("started", batch, {"token": token})
        reach("started.fsync")

    def result(self, batch: int, outcomes: Sequence[Outcome]) -> None:
        """After a request, or instead of one: what became of operations. On disk when this returns."""
        self._append("result", batch, {"outcomes": outcomes})
        reach("result.fsync")

    def _append(self, kind: KindOfEntry, batch: int, body: dict[str, Any]) -> None:
        mine = _Entry(kind, batch, zstandard.ZstdCompressor(level=1).compress(msgspec.json.encode(body)))
        self._waiting.append(mine)
        with self._lock:
            if not mine.is_written:
                self._write_waiting()

    def _write_waiting(self) -> None:
        """Write all that waits, in one commit; what comes while the disk is at work waits for the next."""
        if self._refused is not None:
            raise self._refused  # what could not be written is a hole; nothing may follow it
        self.state.check_there()
        some = [self._waiting[place] for place in range(len(self._waiting))]
        seq, seal = self._seq, self._seal
        rows: list[dict[str, Any]] = []
        for one in some:
            seq += 1
            seal = _sealed(seal, seq, one.kind, one.batch, one.body)
            entry = {"run": self.run, "seq": seq, "kind": one.kind, "batch": one.batch, "body": one.body, "seal": seal}
            rows.append(entry)
        try:
            for one in some:
                reach(f"{one.kind}.write")
            self._connection.execute(_ENTER, rows)
            self._connection.execute(_COUNT, {"of": self.run, "entries": seq})
            self._connection.commit()
        except (sa.exc.SQLAlchemyError, OSError) as error:
            self._refused = damaged(self.state.path, f"it cannot be written ({reason(error)})")
            with contextlib.suppress(sa.exc.SQLAlchemyError):
                self._connection.rollback()
            raise self._refused from error
        self._seq, self._seal = seq, seal
        for one in some:
            self._waiting.popleft()
            one.is_written = True

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()
