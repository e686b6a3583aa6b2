"""What was sent and what became of it, on disk before and after each request. Resuming is reading it.

    intent → fsync → request → answer checked → result → fsync

Where the target works in its own time, the token it gave is written (`started`) before anybody waits for it. A batch
with an intent and no result is ambiguous, whether the network or the process failed: it has to be settled by
looking at the target. Entries of a run form a chain: each carries a digest over itself and the one before it, so a
torn, changed, missing or foreign entry is seen before anything is sent. One durable commit per entry.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import orjson
import zstandard

from syncengine.changes import Outcome
from syncengine.errors import Problem, StateError
from syncengine.files import private_directory, reach

FORMAT = 1
KindOfEntry = Literal["intent", "started", "result"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS run(
  id TEXT PRIMARY KEY, format INTEGER NOT NULL, product TEXT NOT NULL, file_id TEXT NOT NULL, plan_hash TEXT NOT NULL,
  environment TEXT NOT NULL, specs TEXT NOT NULL, started_at TEXT NOT NULL, ended_at TEXT, exit INTEGER, summary TEXT,
  entries INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS entry(
  run TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, batch INTEGER NOT NULL, body BLOB NOT NULL,
  seal BLOB NOT NULL, PRIMARY KEY(run, seq));
CREATE TABLE IF NOT EXISTS missing(
  environment TEXT NOT NULL, step TEXT NOT NULL, key TEXT NOT NULL, runs INTEGER NOT NULL,
  PRIMARY KEY(environment, step, key));
"""


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
        self.path = directory / "state.db"
        try:
            self.path.touch(mode=0o600, exist_ok=True)
            self._db = self.connect()
            self._db.executescript(SCHEMA)
        except (OSError, sqlite3.DatabaseError) as error:
            raise damaged(self.path, f"it cannot be opened ({reason(error)})") from error

    def connect(self) -> sqlite3.Connection:
        """A new connection, on which a transaction that was committed is on disk."""
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The database, to read from; raises StateError where the state is damaged."""
        try:
            yield self._db
        except (sqlite3.DatabaseError, orjson.JSONDecodeError) as error:
            raise damaged(self.path, reason(error)) from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is on disk when the block ends, or nothing of it; raises StateError."""
        try:
            with transaction(self._db):
                yield self._db
        except (sqlite3.DatabaseError, OSError) as error:
            raise damaged(self.path, f"it cannot be written ({reason(error)})") from error

    def run_directory(self, run: str) -> Path:
        """Where a run keeps its plan, its rejects and its report."""
        return private_directory(self.directory / "runs" / run)

    def begin(self, row: RunRow) -> None:
        """Record a new run, durably."""
        with self.writing() as db:
            db.execute(
                "INSERT INTO run(id,format,product,file_id,plan_hash,environment,specs,started_at)"
                " VALUES(?,?,?,?,?,?,?,?)",
                (row.id, FORMAT, row.product, row.file_id, row.plan_hash, row.environment, row.specs, row.started_at),
            )

    def end(self, run: str, ended_at: str, exit_class: int, summary: dict[str, Any]) -> None:
        """Record how a run ended."""
        said = orjson.dumps(summary).decode()
        with self.writing() as db:
            db.execute("UPDATE run SET ended_at=?, exit=?, summary=? WHERE id=?", (ended_at, exit_class, said, run))

    def runs(self) -> list[RunRow]:
        """All runs, newest first: in the order in which they were begun, whatever the clock said."""
        wanted = "id, product, file_id, plan_hash, environment, specs, started_at, ended_at, exit, summary"
        with self.reading() as db:
            rows = db.execute(f"SELECT {wanted} FROM run ORDER BY rowid DESC")
            return [RunRow(*(*row[:-1], orjson.loads(row[-1]) if row[-1] else None)) for row in rows]

    def missing(self, environment: str) -> dict[str, dict[str, int]]:
        """In how many runs each key of a step was missing in its source, up to the last run."""
        found: dict[str, dict[str, int]] = {}
        with self.reading() as db:
            for step, key, runs in db.execute(
                "SELECT step, key, runs FROM missing WHERE environment=?", (environment,)
            ):
                found.setdefault(step, {})[key] = runs
        return found

    def count_missing(self, environment: str, steps: Mapping[str, Sequence[str]]) -> None:
        """Count one more run in which keys were missing; a key that is there again starts anew."""
        if not steps:
            return
        known = self.missing(environment)
        with self.writing() as db:
            for step, keys in steps.items():
                before = known.get(step, {})
                db.execute("DELETE FROM missing WHERE environment=? AND step=?", (environment, step))
                rows = [(environment, step, key, before.get(key, 0) + 1) for key in keys]
                db.executemany("INSERT INTO missing VALUES(?,?,?,?)", rows)

    def close(self) -> None:
        """Let go of the database."""
        self._db.close()


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is written in the block, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def reason(error: Exception) -> str:
    """What an error says, in one line."""
    return str(error).splitlines()[0][:120]


def damaged(path: Path, why: str) -> StateError:
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


class Journal:
    """The journal of one run; shared by the threads of that run."""

    def __init__(self, state: State, run: str) -> None:
        self.state = state
        self.run = run
        self._lock = threading.Lock()
        self._seq = 0
        self._seal = hashlib.blake2b(run.encode(), digest_size=16).digest()
        try:
            self._connection = state.connect()
        except sqlite3.DatabaseError as error:
            raise damaged(state.path, reason(error)) from error

    def read(self) -> dict[int, Written]:
        """Check the whole journal and say what it knows of each batch.

        Raises StateError at the first entry that is not as it was written; nothing may be sent then.
        """
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

    def _checked(self) -> Iterator[tuple[str, int, dict[str, Any]]]:
        query = "SELECT seq, kind, batch, body, seal FROM entry WHERE run=? ORDER BY seq"
        unpack = zstandard.ZstdDecompressor()
        try:
            for seq, kind, batch, packed, seal in self._connection.execute(query, (self.run,)):
                if seq != self._seq + 1 or seal != self._sealed(seq, kind, batch, packed):
                    raise damaged(self.state.path, f"journal of run {self.run} damaged at record {self._seq + 1}")
                self._seq, self._seal = seq, seal
                yield kind, batch, orjson.loads(unpack.decompress(packed))
            row = self._connection.execute("SELECT entries FROM run WHERE id=?", (self.run,)).fetchone()
            counted = row[0] if row else 0
            if counted != self._seq:
                raise damaged(
                    self.state.path, f"journal of run {self.run} damaged: {counted} records, {self._seq} found"
                )
        except (sqlite3.DatabaseError, zstandard.ZstdError, orjson.JSONDecodeError) as error:
            raise damaged(self.state.path, f"journal of run {self.run}: {reason(error)}") from error

    def _sealed(self, seq: int, kind: str, batch: int, packed: bytes) -> bytes:
        digest = hashlib.blake2b(self._seal, digest_size=16)
        digest.update(f"{seq}\0{kind}\0{batch}\0".encode() + packed)
        return digest.digest()

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
        packed = zstandard.ZstdCompressor(level=1).compress(msgspec.json.encode(body))
        with self._lock:
            seq = self._seq + 1
            seal = self._sealed(seq, kind, batch, packed)
            try:
                reach(f"{kind}.write")
                with transaction(self._connection):
                    row = (self.run, seq, kind, batch, packed, seal)
                    self._connection.execute("INSERT INTO entry VALUES(?,?,?,?,?,?)", row)
                    self._connection.execute("UPDATE run SET entries=? WHERE id=?", (seq, self.run))
            except (sqlite3.DatabaseError, OSError) as error:
                raise damaged(self.state.path, f"it cannot be written ({reason(error)})") from error
            self._seq, self._seal = seq, seal

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()
