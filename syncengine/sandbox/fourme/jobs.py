"""Background jobs: imports and exports, one after the other, on the sandbox's clock.

Documented: the states and their bodies, that a finished job is forgotten after five minutes, what an import job in
`error` has done stays, that exports end with a link of two days. Inferred or open: everything that is a setting here.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from syncengine.sandbox.fourme.csv_file import rows_in
from syncengine.sandbox.fourme.exporting import Export, Exports
from syncengine.sandbox.fourme.files import Files
from syncengine.sandbox.fourme.importing import COUNTERS, Fault, Import
from syncengine.sandbox.fourme.kinds import stamp
from syncengine.sandbox.fourme.logins import Logins
from syncengine.sandbox.fourme.records import Records
from syncengine.sandbox.fourme.references import References
from syncengine.sandbox.fourme.rows import Context
from syncengine.sandbox.fourme.types import types
from syncengine.sandbox.ledger import Caller, caller
from syncengine.sandbox.world import World

log = logging.getLogger("syncengine.sandbox")
IMPORT, EXPORT = "import", "export"
PART = 1 << 20
STEP = 200
"""Rows in one transaction."""
KEPT = 172_800
"""Documented: seconds for which a link to a log or an export is good."""
LOG_HEAD = "# import log of the syncengine sandbox: a format of its own, since that of the service is not public"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS me_job (
  number INTEGER PRIMARY KEY AUTOINCREMENT, token TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, account TEXT NOT NULL,
  state TEXT NOT NULL, queued REAL NOT NULL, ended REAL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS me_job_state ON me_job (state, number);
"""
_OPEN = ("queued", "processing")


@dataclass(slots=True)
class Job:
    """One job as it stands."""

    number: int
    token: str
    kind: str
    account: str
    state: str
    queued: float
    ended: float | None
    body: dict[str, Any]
    """type, home, fault, done, line, total, counts, message, polls, of an export: types, since, …"""

    @property
    def fault(self) -> Fault:
        """What a fault rule wants of it."""
        return Fault(*self.body.get("fault", ("", None)))


class Jobs:
    """Every job of one sandbox."""

    def __init__(self, world: World, records: Records, logins: Logins, files: Files, exports: Exports) -> None:
        self._world = world
        self._records = records
        self._logins = logins
        self.files = files
        self._exports = exports
        self._db = world.store.db
        self._db.executescript(_SCHEMA)
        self._running: dict[int, Import | Export] = {}

    def clear(self) -> None:
        """Forget every job."""
        self._db.execute("DELETE FROM me_job")
        self._running.clear()

    # -- new jobs --------------------------------------------------------------------------------------------

    def add_import(self, kind: str, account: str, home: str, content: bytes, fault: Fault, log_fault: str) -> str:
        """Queue a file; returns the token."""
        body = {
            "type": kind,
            "home": home,
            "fault": list(fault),
            "log_fault": log_fault,
            "counts": dict.fromkeys(COUNTERS, 0),
            "total": rows_in(content) if fault.word == "error" and fault.number is None else 0,
        }
        return self._add(IMPORT, account, body, content)

    def add_export(self, account: str, body: dict[str, Any], fault: Fault) -> str:
        """Queue an export; returns the token."""
        return self._add(EXPORT, account, {**body, "fault": list(fault)}, b"")

    def _add(self, kind: str, account: str, body: dict[str, Any], content: bytes) -> str:
        token = secrets.token_hex(20)
        start = {"done": 0, "line": 0, "polls": 0, "message": "", "request": caller.get().request, **body}
        with self._world.store.transaction():
            self._db.execute(
                "INSERT INTO me_job (token, kind, account, state, queued, body) VALUES (?,?,?,?,?,?)",
                (token, kind, account, "queued", self._world.clock.time(), orjson.dumps(start).decode()),
            )
            # not in the row of the job, which is written anew with every step
            for at in range(0, len(content), PART):
                self.files.append(f"upload:{token}", content[at : at + PART])
        return token

    # -- progress --------------------------------------------------------------------------------------------

    def due(self) -> float | None:
        """When there is something to do; None: never."""
        return min((self._when(job) for job in self._turns()), default=None)

    def step(self) -> bool:
        """Take one job a little further; False when none is due."""
        now = self._world.clock.time()
        job = next((one for one in self._turns() if self._when(one) <= now), None)
        if job is None:
            return False
        mark = caller.set(Caller(f"me_{job.kind}", job.token, job.account))
        try:
            with self._world.store.transaction():
                if job.kind == IMPORT:
                    self._import(job, now)
                else:
                    self._export(job, now)
        except Exception as fault:
            # what is in memory is ahead of what was kept, and a job that fails like this would fail for ever
            self._running.pop(job.number, None)
            log.exception("job %s of %s failed", job.token, job.body.get("type", job.body.get("types")))
            with self._world.store.transaction():
                job.state, job.ended = "error" if job.kind == IMPORT else "failed", now
                job.body["message"] = f"{type(fault).__name__}: {fault}"
                self._keep(job)
        finally:
            caller.reset(mark)
        return True

    def run(self) -> None:
        """Do everything that is due."""
        while self.step():
            pass

    def _turns(self) -> list[Job]:
        """Jobs that may go on: of each account only so many imports at once, in the order of their upload."""
        rows = self._db.execute(
            f"SELECT number, token, kind, account, state, queued, ended, body FROM me_job WHERE state IN {_OPEN} "
            "ORDER BY number"
        ).fetchall()
        at_once = max(1, self._world.settings.number("fourme.jobs_at_once"))
        taken: dict[tuple[str, str], int] = {}
        found = []
        for job in map(_job, rows):
            lane = (job.kind, job.account)
            taken[lane] = taken.get(lane, 0) + 1
            if job.kind == EXPORT or taken[lane] <= at_once:
                if job.fault.word == "stuck":
                    taken[lane] -= 1  # it stays queued, others pass it
                else:
                    found.append(job)
        return found

    def _when(self, job: Job) -> float:
        settings = self._world.settings
        start = job.queued + settings.number("fourme.start_seconds")
        rate = settings.number("fourme.rows_per_second")
        return start + (job.body["done"] + 1) / rate if rate and job.body.get("started") else start

    def _import(self, job: Job, now: float) -> None:
        running = self._running.get(job.number)
        if running is None:
            content = b"".join(self.files.parts(f"upload:{job.token}"))
            running = Import(self._context(job), content, self._stop_at(job), job.body["done"], job.body["counts"])
            self._running[job.number] = running
        assert isinstance(running, Import)  # noqa: S101 - each number is of one kind
        rate = self._world.settings.number("fourme.rows_per_second")
        job.body.setdefault("started", now)
        job.state = "processing"
        limit = STEP
        if rate:
            start = job.queued + self._world.settings.number("fourme.start_seconds")
            limit = min(STEP, int((now - start) * rate + 1e-6) - running.done)
        more = True if limit <= 0 else running.step(limit)
        job.body.update(done=running.done, line=running.line, counts=running.counts)
        self.files.append(f"log:{job.token}", "".join(f"{line}\n" for line in running.log))
        running.log.clear()
        if not more:
            job.state = "error" if running.message else "done"
            job.body["message"] = running.message
            self._end(job, now)
        self._keep(job)

    def _stop_at(self, job: Job) -> Fault:
        fault = job.fault
        if fault.word == "error" and fault.number is None:
            return Fault("error", max(1, job.body["total"] // 2))
        return fault

    def _export(self, job: Job, now: float) -> None:
        running = self._running.get(job.number)
        if running is None:
            self.files.remove(f"export:{job.token}")
            running = self._exports.open(job.account, job.token, job.body)
            self._running[job.number] = running
        assert isinstance(running, Export)  # noqa: S101 - each number is of one kind
        job.body.setdefault("started", now)
        job.state = "processing"
        fault = job.fault
        refused = running.refused or (fault.word == "error" and "error")
        if refused:
            job.state = "failed"
            job.body["message"] = running.refused
            self._end(job, now)
        elif not running.step():
            job.state = "done"
            job.body.update(name=running.file_name, content_type=running.content_type)
            self._end(job, now)
        job.body.update(line=running.line, now=running.now)
        self._keep(job)

    def _end(self, job: Job, now: float) -> None:
        job.ended = now
        self.files.remove(f"upload:{job.token}")
        self._running.pop(job.number, None)

    def _context(self, job: Job) -> Context:
        accounts = frozenset(self._logins.accounts)
        references = References(self._records, self._world.settings, job.account, accounts)
        kind = types()[job.body["type"]]
        definitions = orjson.loads(self._world.store.meta("me:custom_fields") or "{}")
        return Context(self._world, self._records, references, kind, job.account, job.body["home"], definitions)

    def _keep(self, job: Job) -> None:
        self._db.execute(
            "UPDATE me_job SET state=?, ended=?, body=? WHERE number=?",
            (job.state, job.ended, orjson.dumps(job.body).decode(), job.number),
        )

    # -- questions -------------------------------------------------------------------------------------------

    def get(self, kind: str, token: str) -> Job | None:
        """A job that is not forgotten yet; asking counts as a poll."""
        row = self._db.execute(
            "SELECT number, token, kind, account, state, queued, ended, body FROM me_job WHERE token=? AND kind=?",
            (token, kind),
        ).fetchone()
        job = None if row is None else _job(row)
        if job is None or (job.ended is not None and self._forgotten(job, job.ended)):
            return None
        job.body["polls"] += 1
        self._keep(job)
        return job

    def _forgotten(self, job: Job, ended: float) -> bool:
        after = 0 if job.fault.word == "forget" else self._world.settings.number("fourme.forget_seconds")
        return self._world.clock.time() - ended >= after

    def by_number(self, number: int) -> Job | None:
        """A job by its number, forgotten or not: links outlive their job."""
        row = self._db.execute(
            "SELECT number, token, kind, account, state, queued, ended, body FROM me_job WHERE number=?", (number,)
        ).fetchone()
        return None if row is None else _job(row)

    def told(self, job: Job, link: str) -> dict[str, Any]:
        """A job as the service tells it."""
        state = self._as_told(job)
        if state == "processing":
            return self._processing(job)
        if state not in ("done", "error", "failed"):
            return {"state": state}
        if job.kind == IMPORT:
            told: dict[str, Any] = {"state": state}
            if job.body["message"]:
                told["message"] = job.body["message"]
            return {**told, "results": job.body["counts"], "logfile": link}
        if state == "failed":
            quota = job.body["message"]
            return {"state": state, **({"rate_limit_exceeded": quota} if quota else {})}
        return {"state": state, "url": link, "expires_at": stamp((job.ended or 0) + KEPT)}

    def _processing(self, job: Job) -> dict[str, Any]:
        way = self._world.settings["fourme.line"]
        told: dict[str, Any] = {"state": "processing"}
        if job.kind == EXPORT:
            told["type"] = job.body.get("now", "")
        if way != "absent":
            told["line"] = job.body["line"] - (way == "rows" and job.body["line"] > 0)
        return told

    def _as_told(self, job: Job) -> str:
        fault, polls = job.fault, job.body["polls"]
        if fault.word == "back_to_queued" and polls <= 3:
            return ("processing", "queued", "processing")[polls - 1]
        if fault.word == "unknown_state" and (fault.number is None or polls <= fault.number):
            return "pondering"
        return job.state


def _job(row: Sequence[Any]) -> Job:
    number, token, kind, account, state, queued, ended, body = row
    return Job(number, token, kind, account, state, queued, ended, orjson.loads(body))
