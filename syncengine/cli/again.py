"""The rows that a run left behind, planned once more: for `plan --again` and `retry`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from msgspec.structs import replace

from syncengine.cli import connect, places
from syncengine.cli import waivers as allowed
from syncengine.cli.making import Inputs, asked, mention_open_runs
from syncengine.errors import Problem, SpecError, many
from syncengine.execution.account import OVER, Account, account_of
from syncengine.execution.journal import RunRow, State
from syncengine.planning.plan import ReadWindow
from syncengine.planning.plan_file import PlanFile
from syncengine.planning.selection import Pairing, Selection, Wanted, Where, completed, whole_steps
from syncengine.spec import load_specs, references
from syncengine.spec.model import Project, Spec
from syncengine.spec.pinned import in_environment

LEFT_BEHIND = (int(code) for code in OVER if code)


def refuse_with(*, paths: bool, select: bool, limit: bool, full: bool) -> None:
    """Refuse `--again` together with what says otherwise which rows are planned; raises SpecError."""
    beside = {"PATHS": paths, "--select": select, "--limit": limit, "--full": full}
    given = [name for name, is_given in beside.items() if is_given]
    if given:
        said = f"--again takes the rows of its run, so {' and '.join(given)} cannot be given, too"
        raise SpecError(Problem("again-and-more", said, "syncengine plan", fix="syncengine plan --again RUN"))


def planned(
    name: str, env_name: str | None, env_file: Path | None, allow: Sequence[str], permits: int | None, path: Path
) -> tuple[PlanFile, list[Problem]]:
    """Make a plan of what a run left behind at `path`; returns it with what its guards refuse.

    Raises SpecError for a run that is not there, not over, of another environment, or that left nothing behind.
    """
    project = places.project()
    waivers = allowed.parse(allow, "plan --again")
    state = State(connect.state_directory(project))
    try:
        row = find_run(state, name)
        refuse_open(row)
        if env_name not in (None, row.environment):
            said = f"run {row.id} was one of environment {row.environment}, not of {env_name}"
            raise SpecError(Problem("another-environment", said, "--env", fix=f"--env {row.environment}"))
        with account_of(state, row) as account:
            inputs = _inputs(project, account, env_file)
    finally:
        state.close()
    allowed.check_steps(waivers, [step.full_name for spec in inputs.specs for step in spec.steps.values()])
    mention_open_runs(project)
    return asked(replace(inputs, waivers=waivers), permits, path)


def find_run(state: State, name: str) -> RunRow:
    """A run by its name; raises SpecError, with the newest ones, where there is none."""
    rows = state.runs()
    found = next((row for row in rows if row.id == name), None)
    if found is None:
        newest = ", ".join(row.id for row in rows[:3])
        fix = f"the newest: {newest}" if newest else "there is no run yet"
        raise SpecError(Problem("no-such-run", f"there is no run {name}", str(state.path), fix=fix))
    return found


def refuse_open(row: RunRow) -> None:
    """Refuse to plan rows of a run that is not over: what they came to is not known; raises SpecError."""
    if row.exit not in OVER:
        said = f"run {row.id} is not at its end, so what it leaves behind is not known yet"
        raise SpecError(Problem("run-open", said, f"run {row.id}", fix=f"syncengine resume {row.id}"))


def newest_left(state: State) -> RunRow | None:
    """The newest run that left rows behind which no later run has planned again."""
    done: set[str] = set()
    for row in state.runs():
        if row.exit in OVER and row.exit and row.id not in done:
            return row
        if row.exit in OVER and row.summary:
            done.add(row.summary.get("again", ""))
    return None


def _inputs(project: Project, account: Account, env_file: Path | None) -> Inputs:
    """What the plan of a run's rows is made from: its specs as they are now, its sources from where it read them."""
    header = account.plan.header
    said = [one for one in header.inputs if one.kind == "spec"]
    gone = [one for one in said if not (project.root / one.path).is_file()]
    if gone:
        raise SpecError(
            [
                Problem(
                    "spec-gone",
                    f"the spec {one.name}, which run {account.row.id} was planned from, is not here",
                    one.path,
                    fix="run this in the project of the run, with its specs and sources",
                )
                for one in gone
            ]
        )
    planned_specs = {name.rpartition(".")[0] for name in account.plan.manifest.counts}
    paths = [project.root / one.path for one in said if one.name in planned_specs]
    specs = load_specs(project, paths)
    env = connect.environment(project, header.environment, env_file)
    known = {f"{spec.name}.{name}": spec for spec in specs for name in spec.sources}
    cursors = {
        source: ReadWindow(
            window.url, window.table, window.by, "", window.start, in_environment(known[source].digest, env.vars)
        )
        for source, window in header.windows.items()
        if source in known and window.start
    }
    selected = _selection(account, specs)
    return Inputs(project, env, specs, references(project, specs, paths), {}, cursors, {}, selected)


def _selection(account: Account, specs: Sequence[Spec]) -> Selection:
    """The rows that a run left behind; raises SpecError where there are none."""
    steps = {step.full_name: (spec, step) for spec in specs for step in spec.steps.values()}
    keys: dict[str, dict[str, Where | None]] = {}
    rows: dict[str, set[Where]] = {}
    pairs: dict[str, set[Pairing]] = {}
    everything: set[str] = set()
    missing: dict[str, int] = {}
    retired = total = 0
    for change, _result, _code, _message in account.left():
        total += 1
        name = account.plan.header.steps[change.step].name
        if name not in steps:
            missing[name] = missing.get(name, 0) + 1
            continue
        if change.action == "retire":
            retired += 1
            continue
        spec, step = steps[name]
        is_file = spec.sources[step.source].kind in ("file", "inline")
        where = (change.place.file, change.place.row) if change.place is not None and change.place.row else None
        where = where if is_file else None
        if change.kind == "relation" and change.parent is not None and change.child is not None:
            ends = [end.key if end.step else "" for end in change.pair]
            if step.kind == "relation":
                pairs.setdefault(name, set()).add((change.type, ends[0], ends[1]))
            else:
                own = [end.key for end in change.pair if end.step == name]
                keys.setdefault(name, {}).update(dict.fromkeys(own, where))
        elif change.key:
            keys.setdefault(name, {})[change.key] = where
        elif where is not None:
            rows.setdefault(name, set()).add(where)
        else:
            everything.add(name)
    run = account.row.id
    for name, number in missing.items():
        said = (
            f"note: {many(number, 'row')} of run {run} came from the step {name}, which is no step of its spec any more"
        )
        click.echo(said, err=True)
    if retired:
        said = f"{many(retired, 'record')} that run {run} was to retire"
        click.echo(f"note: {said} can only be planned with all rows: syncengine plan", err=True)
    wanted = {
        name: Wanted(
            name in everything, keys.get(name, {}), frozenset(pairs.get(name, ())), frozenset(rows.get(name, ()))
        )
        for name in {*keys, *pairs, *rows, *everything}
    }
    if not wanted:
        said = (
            f"run {run} left no row behind" if not total else f"nothing that run {run} left behind can be planned alone"
        )
        raise NothingLeftError(Problem("nothing-left", said, f"run {run}", fix="syncengine plan"))
    whole = whole_steps(step for _, step in steps.values())
    wanted = completed(wanted, whole)
    return Selection((f"what run {run} did not apply",), wanted, run=run, whole=frozenset(whole.keys() & wanted.keys()))


class NothingLeftError(SpecError):
    """A run that is to be planned again left nothing behind."""
