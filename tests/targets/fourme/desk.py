"""Specs for 4me, planned and applied in this process against the shared sandbox."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from syncengine.changes import Change
from syncengine.cli import fourme
from syncengine.execution.events import Event, RunFinished
from syncengine.execution.journal import Journal, State
from syncengine.execution.locks import locked
from syncengine.execution.run import begin
from syncengine.execution.summary import Summary
from syncengine.pipeline import Connected, Planning, apply_plan, make_plan
from syncengine.planning.plan_file import PlanFile, open_plan
from syncengine.sandbox.process import Running
from syncengine.spec import load_specs
from syncengine.spec.model import Environment, Project
from syncengine.transport.clock import Clock
from tests.spec.helpers import folder

PEOPLE = """syncengine: 1
data_source: HR
source: people.csv
steps:
  people:
    4me: people
    key: id
    fields: {Primary Email: mail, Name: name, Job Title: title, Manager: {step: people, key: boss}}
"""

COUNTED = "api=me_upload, do=delay(0)"
"""A rule that every upload meets and that changes nothing."""


class Desk:
    """One project and the 4me side of a sandbox."""

    def __init__(self, sandbox: Running, place: Path) -> None:
        self.sandbox = sandbox
        self.place = place
        self.state = State(place / "state")
        self.said: list[str] = []
        """What the target told before it took long."""
        self.plans: list[PlanFile] = []
        self.import_jobs = 1
        self.rest_requests = 3600
        self._numbers = itertools.count(1)
        self._stack = contextlib.ExitStack()

    def connect(self, clock: Clock | None = None, settle: float = 0.2) -> Connected:
        """A connection of its own."""
        made = fourme.sandboxed(self.place / ".syncengine", self.sandbox, 4, clock, self._stack)
        limits = {"import_jobs": self.import_jobs, "rest_requests": self.rest_requests}
        manner = replace(made.manner, say=self.said.append, **limits)
        return Connected(made.name, made.identity, made.writer, 4, settle, manner)

    def forget(self) -> None:
        """Lose what was kept of exports."""
        shutil.rmtree(self.place / ".syncengine" / "4me", ignore_errors=True)

    def write(self, **files: str) -> None:
        """Files of the project, `_` for the dot."""
        folder(self.place, {name.replace("_", ".", 1): text for name, text in files.items()})

    def plan(self, spec: str = PEOPLE, **files: str) -> PlanFile:
        """Plan a spec with its files."""
        self.write(s_yaml=spec, **files)
        project = Project(self.place)
        number = next(self._numbers)
        of = Planning(
            project,
            Environment("sandbox", None, {}),
            load_specs(project, [self.place / "s.yaml"]),
            (),
            {"4me": self.connect()},
            "0.1.0",
            "2026-11-25",
            f"time {number}",
        )
        self.plans.append(make_plan(of, self.place / f"plan{number}"))
        return self.plans[-1]

    def apply(self, plan: PlanFile, *, clock: Clock | None = None, settle: float = 0.2) -> Summary:
        """Apply a plan as a run of its own."""
        run = f"run{next(self._numbers)}"
        with locked(self.state, plan, run):
            kept = begin(self.state, plan, run, f"{next(self._numbers):04}", "0.1.0")
        return self.resume(run, kept, clock=clock, settle=settle)

    def resume(
        self, run: str, plan: PlanFile | None = None, *, clock: Clock | None = None, settle: float = 0.2
    ) -> Summary:
        """Go on with a run."""
        kept = plan or open_plan(self.state.run_directory(run) / "plan")
        with locked(self.state, kept, run):
            ways = {"4me": self.connect(clock, settle)}
            events: Iterator[Event] = apply_plan(self.state, kept, run, ways, clock or Clock(), lambda: "then")
            last = list(events)[-1]
        assert isinstance(last, RunFinished)
        return last.summary

    def sync(self, spec: str = PEOPLE, **files: str) -> Summary:
        """Plan and apply."""
        return self.apply(self.plan(spec, **files))

    def uploads(self) -> list[dict[str, Any]]:
        """What imports wrote, oldest first."""
        return [entry for entry in self.sandbox.ledger() if entry.get("api") == "me_import"]

    def jobs(self) -> int:
        """How many import jobs wrote something."""
        return len({entry["request"] for entry in self.uploads()})

    def people(self, **where: str) -> list[dict[str, Any]]:
        """People of the account over REST."""
        fields = {"fields": "name,primary_email,job_title,disabled,manager,source,sourceID", "per_page": "100"}
        found = self.connect().reader.get("/v1/people", {**fields, "source": "HR", **where}).body
        assert isinstance(found, list)
        return found

    def count_uploads(self) -> None:
        """From now on the sandbox keeps count of uploads, whatever becomes of them."""
        self.sandbox.faults(COUNTED)

    def jobs_begun(self) -> int:
        """How many uploads were counted."""
        return sum(met["rule"] == COUNTED for met in self.sandbox.met())

    def passing(self, look: Callable[[], object] = lambda: None) -> Clock:
        """A clock on which waiting takes no time: what is slept passes for the sandbox. Before that, somebody looks."""
        slept = [0.0]

        def sleep(seconds: float) -> None:
            look()
            slept[0] += seconds
            if seconds > 0.01:
                self.sandbox.advance(seconds)

        return Clock(lambda: slept[0] + time.monotonic(), sleep)

    def started(self) -> bool:
        """Whether the journal of a run has the token of a job."""
        for row in self.state.runs():
            journal = Journal(self.state, row.id)
            try:
                if any(one.token for one in journal.read().values()):
                    return True
            finally:
                journal.close()
        return False

    def close(self) -> None:
        """Let go of everything."""
        self._stack.close()
        self.state.close()


def csv_of(rows: int, start: int = 1, **columns: Callable[[int], str]) -> str:
    """People numbered from `start`."""

    def row(number: int) -> str:
        said: Mapping[str, str] = {
            "id": f"E{number:04}",
            "mail": f"e{number:04}@x.example",
            "name": f"Person {number}",
            "title": "Clerk",
            "boss": "",
            **{name: make(number) for name, make in columns.items()},
        }
        return ",".join(said.values())

    return "\n".join(["id,mail,name,title,boss", *(row(number) for number in range(start, start + rows))]) + "\n"


def lines(plan: PlanFile, action: str) -> list[Change]:
    """The operations of a plan with an action."""
    return [change for change in plan.changes() if change.action == action]
