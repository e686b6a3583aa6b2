"""READ THIS FIRST: the whole flow, top to bottom.

    specs ──▶ rows ──▶ records ──▶ workspace ──▶ asked ──▶ checked ──▶ batches ──▶ plan file
    plan file ──▶ operations ──▶ batches sent, wave by wave ──▶ outcomes ──▶ summary

`make_plan` reads, maps, asks and writes a plan; it holds a Reader, which cannot write to a target. `apply_plan` does
what a plan says; it needs neither specs nor sources.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from syncengine.changes import StepInfo
from syncengine.errors import NOTHING_WRITTEN, Problem, SpecError
from syncengine.execution.rejects import Originals, nothing_known
from syncengine.planning import checks, gather, guards
from syncengine.planning.asking import Asking
from syncengine.planning.batches import Batches
from syncengine.planning.compose import Composer, count
from syncengine.planning.lines import batch_from_json, batch_to_json
from syncengine.planning.plan import Header, Identity, Manifest, Note, StepCounts
from syncengine.planning.plan_file import PlanFile, open_plan, write_plan
from syncengine.planning.rows import Reading, read_steps
from syncengine.planning.sealing import check_of, same_key, sealed, sealer
from syncengine.planning.workspace import Workspace, workspace
from syncengine.spec.model import Environment, Project, Spec
from syncengine.targets import find
from syncengine.targets.cmdb import CmdbTarget
from syncengine.transport.clock import Clock
from syncengine.transport.instance import Instance
from syncengine.transport.reader import Reader, Writer

if TYPE_CHECKING:
    from syncengine.execution.events import Event
    from syncengine.execution.journal import State


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection that is open: who is there, and how to talk to it."""

    name: str
    identity: Identity
    writer: Writer
    permits: int
    settle: float
    pin: bool
    source_info: bool
    dialect: str = "enhanced"

    @property
    def manner(self) -> dict[str, Any]:
        """How its targets are to talk to it."""
        return {"pin": self.pin, "source_info": self.source_info, "dialect": self.dialect}

    @property
    def reader(self) -> Reader:
        """The half that cannot write."""
        return self.writer


@dataclass(frozen=True, slots=True)
class Planning:
    """Everything a plan is made from."""

    project: Project
    environment: Environment
    specs: Sequence[Spec]
    references: Sequence[Spec]
    """Specs that are not planned but referred to."""
    connected: Connected
    product: str
    run_date: str
    made_at: str
    waivers: Mapping[str, int] = field(default_factory=dict)
    plan_key: str | None = None
    """What sensitive fields are encrypted with."""
    progress: Callable[[str, int], None] = lambda _what, _number: None


def make_plan(of: Planning, path: Path) -> PlanFile:
    """Make a plan and write it to `path`; a plan that a guard refuses is written, too, and says so.

    Raises SpecError, SourceError, AuthError, RemoteError; nothing was written to the target then or otherwise.
    """
    with workspace() as ws:
        reading = read_steps(of.specs, of.references, of.connected.name, of.environment, of.run_date, ws, of.progress)
        return plan_records(ws, reading, of, path)


def plan_records(ws: Workspace, reading: Reading, of: Planning, path: Path) -> PlanFile:
    """Make a plan of the records in a workspace; see `make_plan`."""
    instance = Instance(of.connected.reader)
    _refuse_doubled_keys(ws, reading)
    gather.check_classes(ws, instance, reading.steps)
    gather.resolve(ws, instance, of.connected.reader)
    gather.missing_ends(ws, instance)
    target = CmdbTarget(reading.steps, **of.connected.manner)
    _own(ws, target, of, reading.steps)
    identities = checks.Identities(instance)
    _ask(ws, target, of, reading.steps, identities)
    notes = _check(ws, instance, reading.steps, identities)
    return _write(ws, of, reading, notes, target.batch_limit, path)


def _refuse_doubled_keys(ws: Workspace, reading: Reading) -> None:
    doubled = checks.doubled_native_keys(ws, reading.steps)
    if doubled:
        problems = [
            Problem(
                "doubled-native-key",
                f'the native key "{key}" is written by {first} and by {second} under one data source',
                next(step.position for step in reading.steps if step.name == second),
                fix='tell them apart, e.g.  native_key: "disk-{{ ... }}"  in one of the steps',
            )
            for key, first, second in doubled
        ]
        raise SpecError(problems, effect=NOTHING_WRITTEN)


def _own(ws: Workspace, target: CmdbTarget, of: Planning, steps: Sequence[StepInfo]) -> None:
    """Note which records each step has written before: guards and adoption count from them."""
    for number, step in enumerate(steps):
        if step.kind == "cmdb":
            rows = ((number, owned.key, owned.sys_id) for owned in target.owned(step, of.connected.reader))
            ws.db.executemany("INSERT INTO owned VALUES(?,?,?)", rows)


def _ask(ws: Workspace, target: CmdbTarget, of: Planning, steps: list[StepInfo], identities: checks.Identities) -> None:
    permits, progress = of.connected.permits, lambda number: of.progress("asked", number)
    asking = Asking(ws, target, of.connected.reader, steps, permits, progress, identities)
    for wave in range(max((step.wave for step in steps), default=0) + 1):
        asking.records(wave)
    checks.unmade_references(ws)
    checks.merged_by_the_target(ws)
    checks.one_record_two_keys(ws)
    asking.relations()


def _check(ws: Workspace, instance: Instance, steps: Sequence[StepInfo], identities: checks.Identities) -> list[Note]:
    checks.new_records_that_are_one(ws, identities)
    checks.rejected_hosts(ws)
    checks.adopt(ws, steps)
    checks.touch(ws, steps)
    return checks.unidentifiable(ws, instance, steps)


def _spill_batches(ws: Workspace, batches: Batches) -> int:
    """Make all batches before the first line is written: what they touch as ends stands in the lines before them."""
    ws.db.execute("CREATE TABLE batch(number INTEGER PRIMARY KEY, line BLOB)")
    for batch in batches.all():
        ws.db.execute("INSERT INTO batch VALUES(?,?)", (batch.number, orjson.dumps(batch_to_json(batch))))
    return batches.number


def _write(ws: Workspace, of: Planning, reading: Reading, notes: list[Note], limit: int, path: Path) -> PlanFile:
    steps = reading.steps
    batches = _spill_batches(ws, Batches(ws, steps, limit))
    errors = [bound for bounds in reading.bounds.values() if (bound := bounds.get("max_errors"))]
    manifest = Manifest(waivers=dict(sorted(of.waivers.items())), notes=[*reading.notes, *notes], batches=batches)
    manifest.max_errors = min((bound.number for bound in errors if bound.number is not None), default=None)
    manifest.max_errors_percent = min((bound.percent for bound in errors if bound.percent is not None), default=None)
    for step in steps:
        if step.name in reading.planned:
            rows, filtered = reading.counted[step.name]
            filtered += ws.skipped.get(steps.index(step), 0)
            owned = ws.one("SELECT COUNT(*) FROM owned WHERE step=?", (steps.index(step),))
            manifest.counts[step.name] = StepCounts(rows=rows, filtered=filtered, owned=owned)
    seal = sealer(of.plan_key, steps)
    header = Header(
        product=of.product,
        environment=of.environment.name,
        connections={of.connected.name: of.connected.identity},
        inputs=reading.inputs,
        steps=tuple(steps),
        show_values=of.environment.show_values,
        key_check=check_of(seal),
    )
    composer = Composer(ws, steps)
    with write_plan(path) as writer:
        writer.header(header)
        for change in composer.changes():
            count(manifest.counts, change, steps)
            writer.change(sealed(change, steps[change.step], seal) if change.kind != "end" else change)
        for (line,) in ws.rows("SELECT line FROM batch ORDER BY number"):
            writer.batch(batch_from_json(orjson.loads(line)))
        for name, counts in manifest.counts.items():
            found = guards.counted(counts, reading.bad_rows.get(name, 0), checks.foreign_ends(ws, steps, name))
            bounds = {**guards.DEFAULTS, **reading.bounds.get(name, {})}
            manifest.guards += guards.judge(name, counts, found, bounds, of.waivers)
        writer.manifest(manifest)
        writer.close(of.made_at)
    return open_plan(path)


def check_key(plan: PlanFile, plan_key: str | None) -> None:
    """Refuse to apply a plan with another key than it was made with; raises SpecError or StaleError."""
    same_key(plan.header.key_check, sealer(plan_key, plan.header.steps))


def apply_plan(
    state: State,
    plan: PlanFile,
    run: str,
    connected: Connected,
    clock: Clock,
    wall: Callable[[], str],
    *,
    stale_check: bool = True,
    plan_key: str | None = None,
    originals: Originals = nothing_known,
) -> Iterator[Event]:
    """Do what is left of a plan; events as they happen, RunFinished last. The caller holds the lock of the run."""
    from syncengine.execution import run as running  # a plan needs no journal: 130 ms

    steps = plan.header.steps
    kind = find(steps[0].kind) if steps else CmdbTarget
    target = kind(steps, **connected.manner)
    how = running.Doing(target, connected.writer, clock, connected.permits, connected.settle, stale_check=stale_check)
    how = replace(how, sealer=sealer(plan_key, steps), originals=originals)
    yield from running.execute(state, plan, run, how, wall)
