"""A workbench: records planned and applied against a real sandbox over HTTP, with no spec in between."""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from syncengine.changes import Change, Link, Outcome, Pair, Part, Record, StepInfo, StepRef
from syncengine.errors import Place
from syncengine.execution.events import RunFinished
from syncengine.execution.journal import Journal, State
from syncengine.execution.locks import locked
from syncengine.execution.run import begin
from syncengine.execution.summary import Summary
from syncengine.pipeline import Connected, Planning, apply_plan, plan_records
from syncengine.planning.guards import Bounds
from syncengine.planning.plan import Identity
from syncengine.planning.plan_file import PlanFile
from syncengine.planning.rows import Reading
from syncengine.planning.selection import Selection
from syncengine.planning.workspace import workspace
from syncengine.sandbox.process import Running
from syncengine.spec.model import Environment, Project
from syncengine.targets import Manner
from syncengine.transport.answer import Ending
from syncengine.transport.auth import BasicAuth
from syncengine.transport.client import Client, Limits
from syncengine.transport.clock import Clock
from syncengine.transport.reader import Writer
from syncengine.transport.servicenow import ServiceNow, table_rows

SOURCE = "ImportSet"
CONTAINS = "Contains::Contained by"
DEPENDS = "Depends on::Used by"
Rows = dict[str, list[Record] | list[Pair]]


def server(number: int, **values: str) -> Record:
    """A Linux server that its serial number and its name identify."""
    said = {"name": f"srv{number}", "serial_number": f"SN{number}", **values}
    return Record("s.servers", f"S{number}", "cmdb_ci_linux_server", said, (), (), (), (), Place("s.csv", number, 0))


def disk(number: int, name: str, **values: str) -> Record:
    """A disk that lives in a server."""
    link = Link(CONTAINS, "parent", StepRef("s.servers", f"S{number}"), "s.yaml:9:9")
    said = {"name": name, **values}
    key = f"S{number}|{name}"
    return Record("s.disks", key, "cmdb_ci_disk", said, (), (), (), (link,), Place("d.csv", number, 0))


def app(number: int, **values: str) -> Record:
    """A business application."""
    said = {"name": f"app{number}", **values}
    return Record("s.apps", f"A{number}", "cmdb_ci_business_app", said, (), (), (), (), Place("a.csv", number, 0))


def uses(application: int, host: int) -> Pair:
    """An application depends on a server."""
    ends = StepRef("s.apps", f"A{application}"), StepRef("s.servers", f"S{host}")
    return Pair("s.uses", DEPENDS, *ends, Place("u.csv", application, 0))


def serial(number: int) -> Part:
    """A serial number as a lookup item."""
    return Part("cmdb_serial_number", {"serial_number": f"SN{number}", "serial_number_type": "system", "valid": "true"})


class Bench:
    """Holds a connection to a sandbox and a state directory."""

    def __init__(self, sandbox: Running, place: Path) -> None:
        self.sandbox = sandbox
        self.place = place
        self._numbers = itertools.count(1)
        self.state = State(place / "state")
        self._clients: list[Client] = []

    def connect(
        self, *, permits: int = 4, settle: float = 0.2, pin: bool = True, seconds: float = 300, user: str = ""
    ) -> Connected:
        """A connection of its own, as a new process would have; `seconds` is the deadline of a request."""
        running = self.sandbox
        auth = BasicAuth(user, lambda: "secret") if user else BasicAuth(running.user, lambda: running.password)
        limits = Limits(total=seconds)
        client = Client(running.url, auth, ServiceNow(), permits=permits, limits=limits)
        self._clients.append(client)
        identity = Identity("servicenow", f"sandbox:{running.identity}", running.user)
        return Connected("servicenow", identity, Writer(client), permits, settle, Manner(pin=pin))

    def plan(
        self,
        *made: Record | Pair,
        permits: int = 4,
        bounds: dict[str, Bounds] | None = None,
        waivers: dict[str, int] | None = None,
        pin: bool = True,
        stops: Collection[str] = (),
        touched: Collection[str] = (),
        quiet: tuple[str, ...] = (),
        waves: dict[str, int] | None = None,
        steps: Mapping[str, StepInfo] | None = None,
        user: str = "",
        selection: Selection | None = None,
    ) -> PlanFile:
        """Plan records; steps are made as they are met, in the order of the steps' names in the records."""
        rows: dict[str, list[Record | Pair]] = {}
        for one in made:
            rows.setdefault(one.step, []).append(one)
        with workspace() as ws:
            reading = Reading()
            for number, (name, listed) in enumerate(rows.items()):
                kind: Literal["relation", "cmdb"] = "relation" if isinstance(listed[0], Pair) else "cmdb"
                ws.steps[name] = number
                ws.step_names.append(name)
                wave = (waves or {}).get(name, 0)
                info = StepInfo(name, kind, "servicenow", SOURCE, name, wave, {}, "s.yaml:2:3", quiet=quiet)
                info = replace(info, stops=name in stops, touch=name in touched)
                reading.steps.append((steps or {}).get(name, info))
                reading.planned.add(name)
                reading.counted[name] = (len(listed), 0)
            ws.know_steps(reading.steps)
            reading.bounds = bounds or {}
            for number, listed in enumerate(rows.values()):
                for start in range(0, len(listed), 500):
                    ws.add(number, listed[start : start + 500], "s.yaml:2:3")
                ws.db.execute("UPDATE record SET wave=? WHERE step=?", (reading.steps[number].wave, number))
            of = Planning(
                Project(self.place),
                Environment("sandbox", None, {}),
                (),
                (),
                {"servicenow": self.connect(permits=permits, pin=pin, user=user)},
                "0.1.0",
                "2026-11-22",
                f"time {next(self._numbers)}",
                waivers or {},
                selection=selection,
            )
            return plan_records(ws, reading, of, self.place / f"plan{next(self._numbers)}")

    def apply(
        self,
        plan: PlanFile,
        *,
        permits: int = 4,
        settle: float = 0.2,
        stale_check: bool = True,
        seconds: float = 300,
        pin: bool = True,
        clock: Clock | None = None,
    ) -> Summary:
        """Apply a plan as a run of its own."""
        run = f"run{next(self._numbers)}"
        connected = self.connect(permits=permits, settle=settle, seconds=seconds, pin=pin)
        with locked(self.state, plan, run):
            kept = begin(self.state, plan, run, f"{next(self._numbers):04}", "0.1.0")
            return self._finish(kept, run, connected, stale_check, clock or Clock())

    def resume(self, run: str, plan: PlanFile, *, settle: float = 0.2) -> Summary:
        """Go on with a run."""
        with locked(self.state, plan, run):
            return self._finish(plan, run, self.connect(settle=settle), True, Clock())

    def passing(self) -> Clock:
        """A clock on which waiting takes no time: what a run sleeps passes for the sandbox."""
        slept = [0.0]

        def sleep(seconds: float) -> None:
            slept[0] += seconds
            self.later(seconds)

        return Clock(lambda: time.monotonic() + slept[0], sleep)

    def later(self, seconds: float) -> None:
        """Let time pass for the sandbox, and what is due by then happen."""
        self.sandbox.advance(seconds)
        time.sleep(0.02)

    def _finish(self, plan: PlanFile, run: str, connected: Connected, stale_check: bool, clock: Clock) -> Summary:
        ways = {"servicenow": connected}
        events = apply_plan(self.state, plan, run, ways, clock, lambda: "then", stale_check=stale_check)
        last = list(events)[-1]
        assert isinstance(last, RunFinished)
        return last.summary

    def sync(self, *made: Record | Pair) -> Summary:
        """Plan and apply."""
        return self.apply(self.plan(*made))

    def change(self, sys_id: str, table: str = "cmdb_ci", **values: str) -> None:
        """Change a record by hand on the target."""
        connected = self.connect()
        sent = connected.writer.send(f"/api/now/table/{table}/{sys_id}", body=values, method="PATCH")
        assert sent.outcome is Ending.DONE, sent.problem

    def outcomes(self, run: str) -> dict[int, Outcome]:
        """What the journal of a run says became of each operation."""
        journal = Journal(self.state, run)
        try:
            return {op: one for batch in journal.read().values() for op, one in (batch.outcomes or {}).items()}
        finally:
            journal.close()

    def rows(self, table: str, query: str = "", fields: Sequence[str] = ()) -> list[dict[str, str]]:
        """Rows of a table on the target."""
        return list(table_rows(self.connect().reader, table, query, fields))

    def inserts(self) -> dict[str, int]:
        """How often each table was inserted into."""
        return self.sandbox.counts().get("insert", {})

    def close(self) -> None:
        """Let go of everything."""
        self.state.close()
        for client in self._clients:
            client.close()


def actions(plan: PlanFile) -> dict[str, int]:
    """How many operations of each action a plan has."""
    found: dict[str, int] = {}
    for change in plan.changes():
        found[change.action] = found.get(change.action, 0) + 1
    return found


def of_action(plan: PlanFile, action: str) -> list[Change]:
    """The operations with an action."""
    return [change for change in plan.changes() if change.action == action]


def flat(*groups: Iterable[Record | Pair] | Record | Pair) -> Sequence[Record | Pair]:
    """Records of several groups in one sequence."""
    result: list[Record | Pair] = []
    for group in groups:
        if isinstance(group, Record | Pair):
            result.append(group)
        else:
            result.extend(group)
    return result
