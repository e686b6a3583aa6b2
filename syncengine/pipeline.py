"""READ THIS FIRST: the whole flow, top to bottom.

    specs ──▶ rows ──▶ records ──▶ workspace ──▶ asked ──▶ checked ──▶ batches ──▶ plan file
    plan file ──▶ operations ──▶ batches sent, wave by wave ──▶ outcomes ──▶ summary

`make_plan` reads, maps, asks and writes a plan; it holds a Reader, which cannot write to a target. `apply_plan` does
what a plan says; it needs neither specs nor sources.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from syncengine.changes import BadRow, StepInfo
from syncengine.errors import NOTHING_WRITTEN, Problem, SpecError
from syncengine.execution.rejects import Originals, nothing_known
from syncengine.planning import checks, fitting, gather, guards, selection, vanished
from syncengine.planning.asking import Asking, FlatAsking, send_together
from syncengine.planning.batches import Batches, waves
from syncengine.planning.compose import Composer, count
from syncengine.planning.connections import connections_of, source_connections
from syncengine.planning.enough import enough
from syncengine.planning.lines import batch_from_line, batch_to_line
from syncengine.planning.opening import Opening, System
from syncengine.planning.plan import Header, Identity, Manifest, Note, ReadWindow, StepCounts
from syncengine.planning.plan_file import PlanFile, open_plan, write_plan
from syncengine.planning.rows import Reading, read_steps
from syncengine.planning.sealing import check_of, same_key, sealed, sealer
from syncengine.planning.tracing import Trace, trace
from syncengine.planning.vanished import Missing
from syncengine.planning.workspace import Workspace, workspace
from syncengine.spec.model import Environment, Project, Spec, Step
from syncengine.targets import FlatTarget, Manner, Target, find
from syncengine.targets.cmdb import CmdbTarget
from syncengine.transport.clock import Clock
from syncengine.transport.instance import Instance
from syncengine.transport.reader import Reader, Writer

if TYPE_CHECKING:
    from syncengine.execution.events import Event
    from syncengine.execution.journal import State


class Connected(msgspec.Struct, frozen=True):
    """A connection that is open: who is there, and how to talk to it."""

    name: str
    identity: Identity
    writer: Writer
    permits: int
    settle: float
    manner: Manner = msgspec.field(default_factory=Manner)

    @property
    def reader(self) -> Reader:
        """The half that cannot write."""
        return self.writer


class Planning(msgspec.Struct, frozen=True):
    """Everything a plan is made from."""

    project: Project
    environment: Environment
    specs: Sequence[Spec]
    references: Sequence[Spec]
    """Specs that are not planned but referred to."""
    connections: Mapping[str, Connected]
    """By name; those that the specs need."""
    product: str
    run_date: str
    made_at: str
    waivers: Mapping[str, int] = msgspec.field(default_factory=dict)
    plan_key: str | None = None
    """What sensitive fields are encrypted with."""
    cursors: Mapping[str, ReadWindow] = msgspec.field(default_factory=dict)
    """What incremental sources read last, by `<spec>.<source>`."""
    missing: Mapping[str, Mapping[str, int]] = msgspec.field(default_factory=dict)
    """In how many runs each key of a step was missing in its source already."""
    progress: Callable[[str, int], None] = lambda _what, _number: None
    selection: selection.Selection | None = None
    """What is planned, where that is not everything."""


def make_plan(of: Planning, path: Path) -> PlanFile:
    """Make a plan and write it to `path`; a plan that a guard refuses is written, too, and says so.

    Raises SpecError, SourceError, AuthError, RemoteError; nothing was written to the target then or otherwise.
    """
    with contextlib.closing(_opening(of)) as opening:
        return _plan_sources(of, opening, path)


def explain(of: Planning, spec: Spec, step: Step, key: str, path: Path) -> tuple[Trace, PlanFile | None]:
    """Follow one record from its row, and plan it alone; no plan where no row makes it.

    Of a step whose records have no key, the key is the number of the row.

    Raises as `make_plan` does; nothing was written to the target.
    """
    with contextlib.closing(_opening(of)) as opening:
        told = trace(spec, step, key, opening, of.environment, of.run_date)
        made = [one.made for one in told.found if not isinstance(one.made, BadRow)]
        if not made:
            return told, None
        rows = frozenset((one.place.file, one.place.row) for one in made)
        wanted = selection.Wanted(rows=rows) if told.is_keyless else selection.Wanted(keys={key: None})
        whole = frozenset(selection.whole_steps([step]))
        part = selection.Selection((f"{step.full_name}={key}",), {step.full_name: wanted}, whole=whole)
        return told, _plan_sources(replace(of, selection=part), opening, path)


def _opening(of: Planning) -> Opening:
    known = {name: one.identity.kind for name, one in of.connections.items()}
    systems = {name: System(one.reader, one.identity.url, one.permits) for name, one in of.connections.items()}
    tables = source_connections([*of.specs, *of.references], known)
    return Opening(of.environment, tables, systems, of.cursors)


def _plan_sources(of: Planning, opening: Opening, path: Path) -> PlanFile:
    known = {name: one.identity.kind for name, one in of.connections.items()}
    through = connections_of([*of.specs, *of.references], known)
    with workspace() as ws:
        part = of.selection
        wants = part.wants if part is not None else None
        suffice = enough(of.specs, of.references, part) if part is not None else {}
        reading = read_steps(
            of.specs, of.references, through, opening, of.environment, of.run_date, ws, of.progress, wants, suffice
        )
        return plan_records(ws, reading, of, path)


class _Asked(msgspec.Struct, frozen=True):
    """A target of the plan, with the connection it is asked through and the numbers of the steps it serves."""

    target: Target
    connected: Connected
    numbers: tuple[int, ...]


def plan_records(ws: Workspace, reading: Reading, of: Planning, path: Path) -> PlanFile:
    """Make a plan of the records in a workspace; see `make_plan`."""
    steps = reading.steps
    asked = _targets(steps, of)
    readers = {name: one.reader for name, one in of.connections.items()}
    cis = next((one for one in asked if isinstance(one.target, CmdbTarget)), None)
    flat = [(one, one.target) for one in asked if isinstance(one.target, FlatTarget)]
    instance = Instance(cis.connected.reader) if cis is not None else None
    _refuse_doubled_keys(ws, reading)
    notes = selection.narrow(ws, reading, of.selection) if of.selection is not None else []
    notes += _prepare(flat, steps)
    for one in asked:
        _own(ws, one, steps)
    missing = vanished.add_gone(ws, steps, reading.watched, readers, of.missing)
    notes += missing.notes
    if instance is not None:
        gather.check_classes(ws, instance, steps)
    gather.resolve(ws, instance, readers, steps)
    gather.missing_ends(ws, instance)
    gather.still_there(ws, [number for one, _ in flat for number in one.numbers])
    identities = checks.Identities(instance) if instance is not None else None
    notes += _ask(ws, of, reading, cis, flat, identities)
    if instance is not None:
        checks.unknown_data_sources(ws, instance, steps)
    notes += _check(ws, steps, instance, identities)
    for one, target in flat:  # now that it is known what is rejected
        send_together(ws, target, one.numbers)
    notes += [note for _, target in flat for note in _noted(target.remarks())]
    cut_by = {number: target for one, target in flat for number in one.numbers}
    return _write(ws, of, reading, notes, Batches(ws, steps, CmdbTarget.batch_limit, cut_by), missing, path)


def _targets(steps: Sequence[StepInfo], of: Planning) -> list[_Asked]:
    """One target for each kind and connection; raises SpecError where CIs would go to several instances."""
    found: dict[tuple[type[Target], str], list[int]] = {}
    for number, step in enumerate(steps):
        found.setdefault((find(step.kind), step.connection), []).append(number)
    instances = [numbers[0] for (kind, _), numbers in found.items() if kind is CmdbTarget]
    if len(instances) > 1:
        raise SpecError(
            [
                Problem(
                    "two-instances",
                    f"{steps[number].name} makes CIs on {steps[number].connection}; a plan makes CIs on one instance",
                    steps[number].position,
                    fix="plan the specs of each instance by themselves",
                )
                for number in instances[1:]
            ],
            effect=NOTHING_WRITTEN,
        )
    made = []
    for (kind, name), numbers in found.items():
        connected = of.connections[name]
        made.append(_Asked(kind(steps, connected.manner), connected, tuple(numbers)))
    return made


def _prepare(flat: Sequence[tuple[_Asked, FlatTarget]], steps: list[StepInfo]) -> list[Note]:
    """Let the targets read what they need to know; raises SpecError with everything that stops the plan."""
    said: list[Problem] = []
    for one, target in flat:
        said += target.prepare([steps[number] for number in one.numbers], one.connected.reader)
    errors = [problem for problem in said if problem.severity == "error"]
    if errors:
        raise SpecError(errors, effect=NOTHING_WRITTEN)
    for one, target in flat:
        for number in one.numbers:
            steps[number] = target.completed(steps[number], one.connected.reader)
    return _noted(said)


def _noted(said: Sequence[Problem]) -> list[Note]:
    return [Note(problem.code, problem.message, str(problem.place), fix=problem.fix) for problem in said]


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


def _own(ws: Workspace, asked: _Asked, steps: Sequence[StepInfo]) -> None:
    """Note which records each step has written before: guards and adoption count from them."""
    for number in asked.numbers:
        if steps[number].kind != "relation":
            found = asked.target.owned(steps[number], asked.connected.reader)
            ws.db.executemany("INSERT INTO owned VALUES(?,?,?)", ((number, one.key, one.sys_id) for one in found))


def _ask(
    ws: Workspace,
    of: Planning,
    reading: Reading,
    cis: _Asked | None,
    flat: Sequence[tuple[_Asked, FlatTarget]],
    identities: checks.Identities | None,
) -> list[Note]:
    steps = reading.steps

    def progress(number: int) -> None:
        of.progress("asked", number)

    asking = None
    if cis is not None and identities is not None:
        way = cis.connected
        asking = Asking(ws, cis.target, way.reader, steps, way.permits, progress, identities)
    others = [
        FlatAsking(ws, target, one.connected.reader, one.numbers, one.connected.permits, progress)
        for one, target in flat
    ]
    for wave in waves(ws):
        if asking is not None:
            asking.records(wave)
        for other in others:
            other.records(wave)
    vanished.decide(ws)
    along = selection.take_along(ws, reading) if of.selection is not None else []
    checks.unmade_references(ws)
    checks.merged_by_the_target(ws)
    checks.one_record_two_keys(ws)
    if asking is not None:
        asking.relations()
    return along


def _check(
    ws: Workspace, steps: Sequence[StepInfo], instance: Instance | None, identities: checks.Identities | None
) -> list[Note]:
    if identities is not None:
        checks.new_records_that_are_one(ws, identities)
    checks.new_rows_that_are_one(ws)
    checks.rejected_hosts(ws)
    checks.adopt(ws, steps)
    checks.touch(ws, steps)
    if instance is None:
        return []
    return checks.unidentifiable(ws, instance, steps) + fitting.unfitting(ws, instance, steps)


def _spill_batches(ws: Workspace, batches: Batches) -> int:
    """Make all batches before the first line is written: what they touch as ends stands in the lines before them."""
    ws.db.execute("CREATE TABLE batch(number INTEGER PRIMARY KEY, line BLOB)")
    for batch in batches.all():
        ws.db.execute("INSERT INTO batch VALUES(?,?)", (batch.number, batch_to_line(batch)))
    return batches.number


def _write(
    ws: Workspace, of: Planning, reading: Reading, notes: list[Note], cut: Batches, missing: Missing, path: Path
) -> PlanFile:
    steps = reading.steps
    batches = _spill_batches(ws, cut)
    errors = [bound for bounds in reading.bounds.values() for bound in bounds.get("max_errors", ())]
    manifest = Manifest(
        waivers=dict(sorted(of.waivers.items())), notes=[*reading.notes, *notes], batches=batches, missing=missing.keys
    )
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
        connections={name: of.connections[name].identity for name in sorted({step.connection for step in steps})},
        inputs=reading.inputs,
        steps=tuple(steps),
        show_values=of.environment.show_values,
        windows=dict(sorted(reading.windows.items())),
        key_check=check_of(seal),
        selection=of.selection.said if of.selection is not None else (),
        again=of.selection.run if of.selection is not None else "",
    )
    composer = Composer(ws, steps)
    with write_plan(path) as writer:
        writer.header(header)
        for change in composer.changes():
            count(manifest.counts, change, steps)
            writer.change(sealed(change, steps[change.step], seal) if change.kind != "end" else change)
        for (line,) in ws.rows("SELECT line FROM batch ORDER BY number"):
            writer.batch(batch_from_line(line))
        for name, counts in manifest.counts.items():
            found = guards.counted(counts, reading.bad_rows.get(name, 0), checks.foreign_ends(ws, steps, name))
            bounds = reading.bounds.get(name, guards.DEFAULTS)
            if of.selection is not None:  # a share is one of the whole
                bounds = {guard: tuple(one for one in held if one.percent is None) for guard, held in bounds.items()}
            manifest.guards += guards.judge(name, counts, found, bounds, of.waivers)
        manifest.notes += guards.unneeded(manifest.guards, of.waivers)
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
    connections: Mapping[str, Connected],
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
    lanes: dict[tuple[type[Target], str], list[int]] = {}
    for number, step in enumerate(steps):
        lanes.setdefault((find(step.kind), step.connection), []).append(number)
    made = []
    for (kind, name), numbers in lanes.items():
        way = connections[name]
        target = kind(steps, replace(way.manner, run=run, root=state.directory.parent))
        made.append(running.Lane(name, target, way.writer, way.permits, way.settle, frozenset(numbers)))
    how = running.Doing(made, clock, stale_check=stale_check)
    how = replace(how, sealer=sealer(plan_key, steps), originals=originals)
    yield from running.execute(state, plan, run, how, wall)
