"""Sources read and mapped into the workspace, step by step, with what a plan has to remember of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Literal

import msgspec
from msgspec.structs import replace

from syncengine.changes import BadRow, Row, StepInfo
from syncengine.errors import NOTHING_WRITTEN, Problem, SourceError, many
from syncengine.mapping import Mapper
from syncengine.mapping.mapper import Made
from syncengine.planning import vanished
from syncengine.planning.attached import Attached
from syncengine.planning.guards import Bounds, bounds_of, least_rows
from syncengine.planning.opening import Opening
from syncengine.planning.order import Order, order_of
from syncengine.planning.plan import Input, Note, ReadWindow
from syncengine.planning.workspace import PLANNED, REFERENCE, Workspace
from syncengine.sources import Digest, Source
from syncengine.spec import mapper
from syncengine.spec.model import Environment, Spec, Step
from syncengine.spec.pinned import in_environment

BLOCK = 100
"""Records that are spilled at a time: so few are still in the processor's cache."""
MOST_PROBLEMS = 200
Wants = Callable[[BadRow, int], bool]
"""Whether a bad row matters, with the number of records of its step that came before it."""


class Reading(msgspec.Struct):
    """What was read, for the plan's header and its guards."""

    steps: list[StepInfo] = msgspec.field(default_factory=list)
    planned: set[str] = msgspec.field(default_factory=set)
    inputs: tuple[Input, ...] = ()
    counted: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    """Rows and filtered rows of each step."""
    bad_rows: dict[str, int] = msgspec.field(default_factory=dict)
    bounds: dict[str, Bounds] = msgspec.field(default_factory=dict)
    notes: list[Note] = msgspec.field(default_factory=list)
    windows: dict[str, ReadWindow] = msgspec.field(default_factory=dict)
    """What incremental sources read, by `<spec>.<source>`."""
    watched: dict[str, vanished.Watched] = msgspec.field(default_factory=dict)
    """Steps that want to know which of their records the source no longer has."""


def read_steps(
    specs: Sequence[Spec],
    references: Sequence[Spec],
    connections: Mapping[str, str],
    opening: Opening,
    environment: Environment,
    run_date: str,
    ws: Workspace,
    progress: Callable[[str, int], None],
    wants: Wants | None = None,
    enough: Mapping[str, int] | None = None,
) -> Reading:
    """Map every row of every step into the workspace; `connections` says which one each step goes through.

    `wants` says which bad rows matter, where only a part of the records is planned, and `enough` of which steps how
    many records suffice; what has vanished is not looked at then, since nobody could tell it from what was not asked
    for.

    Raises SourceError with all rows that a spec does not want skipped, SpecError for references that run in a circle.
    """
    every = (*specs, *references)
    order = order_of(every)
    of = _Steps(ws, opening, environment, run_date, progress, wants)
    reading = of.reading
    for spec in every:
        for step in spec.steps.values():
            ws.steps[step.full_name] = len(ws.step_names)
            ws.step_names.append(step.full_name)
            reading.steps.append(_info(step, connections[step.full_name], order))
    ws.know_steps(reading.steps)
    opening.begin(_due(specs, references, enough or {}), progress)
    referred = {one.step for spec in every for step in spec.steps.values() for one in step.references if one.step}
    for spec in every:
        is_planned = any(spec is one for one in specs)
        for step in spec.steps.values():
            most = (enough or {}).get(step.full_name)
            if most == 0:
                reading.counted[step.full_name] = (0, 0)
                reading.planned.add(step.full_name)
            elif is_planned:
                of.plan(spec, step, most, is_referred=step.full_name in referred)
            else:
                of.refer(spec, step, most)
    for name, number in ws.steps.items():
        if order.waves[name]:
            ws.db.execute("UPDATE record SET wave=? WHERE step=?", (order.waves[name], number))
    ws.db.execute("UPDATE record SET wave=? WHERE main NOT NULL", (max(order.waves.values(), default=0) + 1,))
    reading.notes += opening.notes
    if of.problems:
        raise SourceError(of.problems, effect=NOTHING_WRITTEN)
    read = (Input("spec", one.name, str(one.path), in_environment(one.digest, environment.vars)) for one in every)
    reading.inputs = (*read, *of.inputs.values())
    return reading


class _Steps:
    """Reads and maps step after step, and keeps what the plan has to know of them."""

    def __init__(
        self,
        ws: Workspace,
        opening: Opening,
        environment: Environment,
        run_date: str,
        progress: Callable[[str, int], None],
        wants: Wants | None,
    ) -> None:
        self.reading = Reading()
        self.problems: list[Problem] = []
        self.inputs: dict[tuple[str, str], Input] = {}
        """By spec and source."""
        self._ws = ws
        self._opening = opening
        self._environment = environment
        self._run_date = run_date
        self._progress = progress
        self._wants = wants

    def plan(self, spec: Spec, step: Step, most: int | None, *, is_referred: bool) -> None:
        """Rows whose records are planned; where a window leaves some out, others may refer to those all the same."""
        name, reading = step.full_name, self.reading
        source = self._opening.changed(spec, step.source)
        bounds = bounds_of(spec, step, self._environment)
        files_of = _files_of(spec, step)
        made = self._mapper(spec, step)
        stop = _stop(most, bounds)
        bad = self._spill(step, made, source.rows(), self._wants, is_planned=True, files_of=files_of, stop=stop)
        self._note(spec, step, source, made, stop)
        window = self._opening.window(spec, step.source, source)
        if window is not None:
            reading.windows[f"{spec.name}.{step.source}"] = window
            older = self._opening.older(spec, step.source) if is_referred else None
            if older is not None:
                self._spill(step, self._mapper(spec, step), older.rows(), None, is_planned=False)
        reading.planned.add(name)
        left_out = files_of.left_out if files_of is not None else 0
        reading.counted[name] = (made.counts.rows, made.counts.filtered + left_out)
        reading.bad_rows[name] = bad
        reading.bounds[name] = bounds
        _note_unmapped(made, reading)
        if self._wants is None:
            self._watch(spec, step, source)

    def refer(self, spec: Spec, step: Step, most: int | None) -> None:
        """Rows whose records others refer to: asked about, and not sent."""
        source, made = self._opening.whole(spec, step.source), self._mapper(spec, step)
        stop = _stop(most, bounds_of(spec, step, self._environment))
        self._spill(step, made, source.rows(), self._wants, is_planned=False, stop=stop)
        self._note(spec, step, source, made, stop)

    def _mapper(self, spec: Spec, step: Step) -> Mapper:
        """A fresh one: each may run once."""
        variables, opening = self._environment.vars, self._opening.whole
        return mapper(spec, step, run_date=self._run_date, variables=variables, opening=opening)

    def _spill(
        self,
        step: Step,
        made: Mapper,
        source_rows: Iterable[Row | BadRow],
        wants: Wants | None,
        *,
        is_planned: bool,
        files_of: Attached | None = None,
        stop: Stop | None = None,
    ) -> int:
        """Put what a step makes into the workspace; returns the number of rows that were skipped."""
        skipped = unmapped = before = 0
        rows: Iterator[Made] = made.records(source_rows)
        if files_of is not None:
            rows = chain.from_iterable(map(files_of.of, rows))
        number, origin = self._ws.steps[step.full_name], PLANNED if is_planned else REFERENCE
        while block := list(islice(rows, BLOCK)):
            kept: list[Made] = []
            for one in block:
                if not isinstance(one, BadRow):
                    kept.append(one)
                elif wants is not None and not wants(one, before + len(kept)):
                    continue
                elif one.level == "fail":
                    unmapped += one.problem.code == "unmapped-value"
                    if one.problem.code != "unmapped-value" and len(self.problems) < MOST_PROBLEMS and is_planned:
                        self.problems.append(_placed(one))
                elif is_planned and one.level == "skip":
                    skipped += 1
                    kept.append(one)
            before += len(kept)
            self._ws.add(number, kept, str(step.position), origin=origin)
            self._progress("rows read", len(block))
            if stop is not None and before >= stop.records and made.counts.rows >= stop.rows:
                stop.came = True
                if isinstance(source_rows, Generator):
                    source_rows.close()
                break
        if unmapped and is_planned:
            self.problems += made.unmapped_problems()
        return skipped

    def _note(self, spec: Spec, step: Step, source: Source, made: Mapper, stop: Stop | None) -> None:
        """What was read, as the plan names it."""
        path, digest = _said(spec, step.source), _digest(source, made, stop)
        kind: Literal["source", "table"] = "source" if path else "table"
        name = f"{spec.name}.{step.source}"
        self.inputs[spec.name, step.source] = Input(kind, name, path, digest.sha256, digest.rows)
        self._opening.note(spec, step.source, source)

    def _watch(self, spec: Spec, step: Step, source: Source) -> None:
        """Keep which keys the source has, where the step wants to know what has vanished."""
        of = vanished.watched(step)
        if of is None:
            return
        reading, number = self.reading, self._ws.steps[step.full_name]
        reading.watched[step.full_name] = of
        rows, _ = reading.counted[step.full_name]
        least = least_rows(reading.bounds[step.full_name])
        if reading.bad_rows[step.full_name]:
            of.unsure = f"{many(reading.bad_rows[step.full_name], 'row')} could not be read"
        elif not source.is_complete:
            of.unsure = "the source does not show every row there is"
        elif rows < least:
            of.unsure = f"{many(rows, 'row')}, min_rows is {least}"
        elif step.recipe.when is None or step.vanished.include_filtered:
            vanished.note_present(self._ws, number, of, None)
        else:
            bare = replace(step, recipe=vanished.keys_only(step.recipe))
            vanished.note_present(self._ws, number, of, self._mapper(spec, bare).records(source.rows()))


def _due(
    specs: Sequence[Spec], references: Sequence[Spec], enough: Mapping[str, int]
) -> Iterator[tuple[Spec, str, bool]]:
    """The sources that are read to their end, and whether only what changed in them is due."""
    for spec in (*specs, *references):
        for step in spec.steps.values():
            if step.full_name not in enough:
                yield spec, step.source, any(spec is one for one in specs)


def _info(step: Step, connection: str, order: Order) -> StepInfo:
    allowed = step.reclassify
    settings = {
        "updateWithoutUpgrade": not allowed.upgrade,
        "updateWithoutDowngrade": not allowed.downgrade,
        "updateWithoutSwitch": not allowed.switch,
    }
    return StepInfo(
        step.full_name,
        step.kind,
        connection,
        step.data_source,
        step.feed,
        order.waves[step.full_name],
        {name: True for name, forbidden in settings.items() if forbidden},
        str(step.position),
        {one.name: str(one.position) for one in (*step.class_said, *step.fields)},
        tuple(sorted(step.compare_false)),
        tuple(sorted(step.sensitive)),
        step.touch,
        step.on_error == "stop",
        tuple(sorted(order.deferred.get(step.full_name, ()))),
        step.options,
    )


def _files_of(spec: Spec, step: Step) -> Attached | None:
    """What finds the files of a step that attaches some."""
    if step.kind != "attach":
        return None
    root = spec.project.root
    level: Literal["fail", "skip"] = "skip" if spec.sources[step.source].bad_rows == "skip" else "fail"
    return Attached(step, (root / spec.path).parent, root, level)


class Stop(msgspec.Struct):
    """When reading may end, and whether it did."""

    records: int
    rows: int
    """As many as a guard wants to see."""
    came: bool = False


def _stop(most: int | None, bounds: Bounds) -> Stop | None:
    return None if most is None else Stop(most, least_rows(bounds))


def _digest(source: Source, made: Mapper, stop: Stop | None) -> Digest:
    """What was read; of files that were not read to their end the bytes are hashed, and not a row is made of them."""
    if stop is not None and stop.came:
        return Digest(source.sha256(), 0, made.counts.rows)
    return source.digest()


def _placed(bad: BadRow) -> Problem:
    """A bad row as a problem: found in the row, caused by a line of the spec."""
    problem = bad.problem
    fix = problem.fix + (f"\nsaid at {problem.place}" if problem.place and problem.fix else "")
    return Problem(problem.code, problem.message, bad.place, problem.found, fix)


def _note_unmapped(made: Mapper, reading: Reading) -> None:
    for entry in made.counts.unmapped.values():
        said = ", ".join(f"{value} ({many(count, 'row')})" for value, (count, _) in list(entry.values.items())[:10])
        note = Note("unmapped-value", f"values of {entry.field} are not in the map: {said}", str(entry.position))
        reading.notes.append(note)


def _said(spec: Spec, name: str) -> str:
    """The path of a source as written, or the spec for a source that stands in it; empty for a table."""
    if spec.sources[name].kind == "servicenow":
        return ""
    file = getattr(spec.sources[name].options, "file", "")
    return str(spec.path.parent / file) if file else str(spec.path)
