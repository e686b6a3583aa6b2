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
from syncengine.planning.guards import DEFAULTS, Bound
from syncengine.planning.opening import Opening
from syncengine.planning.order import Order, order_of
from syncengine.planning.plan import Input, Note, ReadWindow
from syncengine.planning.workspace import PLANNED, REFERENCE, Workspace
from syncengine.sources import Digest, Source
from syncengine.spec import mapper
from syncengine.spec.model import GUARDS, Environment, Limit, Spec, Step

BLOCK = 500
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
    bounds: dict[str, dict[str, Bound]] = msgspec.field(default_factory=dict)
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
    reading = Reading()
    order = order_of([*specs, *references])
    files: dict[tuple[str, str], tuple[str, Digest]] = {}
    referred = {
        one.step
        for spec in (*specs, *references)
        for step in spec.steps.values()
        for one in step.references
        if one.step
    }
    problems: list[Problem] = []
    for spec in (*specs, *references):
        for step in spec.steps.values():
            ws.steps[step.full_name] = len(ws.step_names)
            ws.step_names.append(step.full_name)
            reading.steps.append(_info(step, connections[step.full_name], order))
    ws.know_steps(reading.steps)
    for spec in (*specs, *references):
        is_planned = any(spec is one for one in specs)
        for step in spec.steps.values():
            number = ws.steps[step.full_name]
            most = (enough or {}).get(step.full_name)
            if most == 0:
                reading.counted[step.full_name] = (0, 0)
                reading.planned.add(step.full_name)
                continue
            source = opening.changed(spec, step.source) if is_planned else opening.whole(spec, step.source)
            how = _Mapping(spec, step, opening, environment, run_date)
            made = how.mapper()
            files_of = _files_of(spec, step) if is_planned else None
            bounds = _bounds(spec, step, environment)
            stop = None if most is None else Stop(most, bounds.get("min_rows", DEFAULTS["min_rows"]).number or 0)
            bad = _spill(ws, number, step, made, source.rows(), is_planned, problems, progress, files_of, wants, stop)
            files[spec.name, step.source] = (_said(spec, step.source), _digest(source, made, stop))
            opening.note(spec, step.source, source)
            window = opening.window(spec, step.source, source) if is_planned else None
            if window is not None:
                reading.windows[f"{spec.name}.{step.source}"] = window
                if step.full_name in referred:
                    _spill_older(ws, number, how, problems, progress)
            if is_planned:
                reading.planned.add(step.full_name)
                left_out = files_of.left_out if files_of is not None else 0
                reading.counted[step.full_name] = (made.counts.rows, made.counts.filtered + left_out)
                reading.bad_rows[step.full_name] = bad
                reading.bounds[step.full_name] = bounds
                _note_unmapped(made, reading)
                if wants is None:
                    _watch(ws, number, how, source, reading)
    for name, number in ws.steps.items():
        if order.waves[name]:
            ws.db.execute("UPDATE record SET wave=? WHERE step=?", (order.waves[name], number))
    ws.db.execute("UPDATE record SET wave=? WHERE main NOT NULL", (max(order.waves.values(), default=0) + 1,))
    reading.notes += opening.notes
    if problems:
        raise SourceError(problems, effect=NOTHING_WRITTEN)
    reading.inputs = tuple(
        [Input("spec", spec.name, str(spec.path), spec.digest) for spec in (*specs, *references)]
        + [
            Input("source" if path else "table", f"{spec}.{name}", path, digest.sha256, digest.rows)
            for (spec, name), (path, digest) in files.items()
        ]
    )
    return reading


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


class _Mapping(msgspec.Struct, frozen=True):
    """What the rows of a step are mapped with."""

    spec: Spec
    step: Step
    opening: Opening
    environment: Environment
    run_date: str

    def mapper(self, step: Step | None = None) -> Mapper:
        """A fresh one: each may run once."""
        variables, opening = self.environment.vars, self.opening.whole
        return mapper(self.spec, step or self.step, run_date=self.run_date, variables=variables, opening=opening)


def _spill_older(
    ws: Workspace, number: int, how: _Mapping, problems: list[Problem], progress: Callable[[str, int], None]
) -> None:
    """Records of rows that the window leaves out, which other records may refer to: asked about, and not sent."""
    older = how.opening.older(how.spec, how.step.source)
    if older is not None:
        _spill(ws, number, how.step, how.mapper(), older.rows(), False, problems, progress, None)


def _watch(ws: Workspace, number: int, how: _Mapping, source: Source, reading: Reading) -> None:
    """Keep which keys the source has, where the step wants to know what has vanished."""
    step = how.step
    of = vanished.watched(step)
    if of is None:
        return
    reading.watched[step.full_name] = of
    rows, _ = reading.counted[step.full_name]
    least = reading.bounds[step.full_name].get("min_rows", DEFAULTS["min_rows"]).number
    if reading.bad_rows[step.full_name]:
        of.unsure = f"{many(reading.bad_rows[step.full_name], 'row')} could not be read"
    elif not source.is_complete:
        of.unsure = "the source does not show every row there is"
    elif least is not None and rows < least:
        of.unsure = f"{many(rows, 'row')}, min_rows is {least}"
    elif step.recipe.when is None or step.vanished.include_filtered:
        vanished.note_present(ws, number, of, None)
    else:
        bare = replace(step, recipe=vanished.keys_only(step.recipe))
        vanished.note_present(ws, number, of, how.mapper(bare).records(source.rows()))


def _spill(
    ws: Workspace,
    number: int,
    step: Step,
    made: Mapper,
    source_rows: Iterable[Row | BadRow],
    is_planned: bool,
    problems: list[Problem],
    progress: Callable[[str, int], None],
    files_of: Attached | None,
    wants: Wants | None = None,
    stop: Stop | None = None,
) -> int:
    """Put what a step makes into the workspace; returns the number of rows that were skipped."""
    skipped = unmapped = before = 0
    rows: Iterator[Made] = made.records(source_rows)
    if files_of is not None:
        rows = chain.from_iterable(map(files_of.of, rows))
    while block := list(islice(rows, BLOCK)):
        kept: list[Made] = []
        for one in block:
            if not isinstance(one, BadRow):
                kept.append(one)
            elif wants is not None and not wants(one, before + len(kept)):
                continue
            elif one.level == "fail":
                unmapped += one.problem.code == "unmapped-value"
                if one.problem.code != "unmapped-value" and len(problems) < MOST_PROBLEMS and is_planned:
                    problems.append(_placed(one))
            elif is_planned and one.level == "skip":
                skipped += 1
                kept.append(one)
        before += len(kept)
        ws.add(number, kept, str(step.position), origin=PLANNED if is_planned else REFERENCE)
        progress("rows read", len(block))
        if stop is not None and before >= stop.records and made.counts.rows >= stop.rows:
            stop.came = True
            if isinstance(source_rows, Generator):
                source_rows.close()
            break
    if unmapped and is_planned:
        problems += made.unmapped_problems()
    return skipped


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
        said = ", ".join(f"{value} ({count} rows)" for value, (count, _) in list(entry.values.items())[:10])
        note = Note("unmapped-value", f"values of {entry.field} are not in the map: {said}", str(entry.position))
        reading.notes.append(note)


def _bounds(spec: Spec, step: Step, environment: Environment) -> dict[str, Bound]:
    """The limits of a step: the spec's before the project's, and never looser than the environment's."""
    bounds: dict[str, Bound] = {}
    own = spec.guards.over(spec.project.guards)
    for guard in GUARDS:
        name = step.source if guard == "min_rows" else step.name
        for limit in (own.limit(guard, name), environment.guards.limit(guard, name)):
            if limit is not None:
                bounds[guard] = _tighter(bounds.get(guard), _bound(guard, limit))
    if spec.sources[step.source].bad_rows == "skip" and "max_bad_rows" not in bounds:
        bounds["max_bad_rows"] = Bound(percent=10, said="10%", of_rows=True)
    return bounds


def _bound(guard: str, limit: Limit) -> Bound:
    said, position = str(limit), str(limit.position)
    if limit.percent:
        floor = DEFAULTS[guard].floor if guard in DEFAULTS else 0
        return Bound(None, limit.value, floor, said, position, of_rows=guard == "max_bad_rows")
    return Bound(int(limit.value), None, 0, said, position)


def _tighter(first: Bound | None, second: Bound) -> Bound:
    if first is None or first.percent is None or second.percent is None:
        if first is not None and first.number is not None and second.number is not None:
            return first if first.number <= second.number else second
        return second
    return first if first.percent <= second.percent else second


def _said(spec: Spec, name: str) -> str:
    """The path of a source as written, or the spec for a source that stands in it; empty for a table."""
    if spec.sources[name].kind == "servicenow":
        return ""
    file = getattr(spec.sources[name].options, "file", "")
    return str(spec.path.parent / file) if file else str(spec.path)
