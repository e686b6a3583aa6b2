"""Plans made for the commands: what they are made from, opened, and the target asked."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
import msgspec

from syncengine import __version__
from syncengine.cli import connect, places
from syncengine.cli import waivers as allowed
from syncengine.cli.progress import progress
from syncengine.errors import Problem, many
from syncengine.pipeline import Planning, make_plan
from syncengine.planning import selection
from syncengine.planning.connections import connections_of, source_connections
from syncengine.planning.guards import refusals
from syncengine.planning.plan import ReadWindow
from syncengine.planning.plan_file import PlanFile
from syncengine.planning.sealing import KEY_NAME
from syncengine.spec import load_specs, references
from syncengine.spec.model import Environment, Project, Spec


def planned(
    paths: Sequence[Path],
    env_name: str,
    env_file: Path | None,
    allow: Sequence[str],
    permits: int | None,
    path: Path,
    *,
    full: bool = False,
    texts: Sequence[str] = (),
    limit: int | None = None,
) -> tuple[PlanFile, list[Problem]]:
    """Make a plan at `path`; returns it with what its guards refuse."""
    project = places.project()
    waivers = allowed.parse(allow, "plan")
    specs = load_specs(project, paths)
    allowed.check_steps(waivers, _positions(specs))
    selected = None
    if texts or limit is not None:
        selected = selection.select(specs, texts, limit)
        specs, others = selection.needed(specs, selected, lambda chosen: references(project, chosen, paths))
    else:
        others = references(project, specs, paths)
    env = connect.environment(project, env_name, env_file)
    mention_open_runs(project)
    cursors = {} if full or selected else _cursors(project, env.name, specs)
    of = Inputs(project, env, specs, others, waivers, cursors, missing(project, env.name, specs), selected)
    return asked(of, permits, path)


class Inputs(msgspec.Struct, frozen=True):
    """What a plan is made from, before anybody is asked."""

    project: Project
    env: Environment
    specs: Sequence[Spec]
    others: Sequence[Spec]
    waivers: Mapping[str, int]
    cursors: Mapping[str, ReadWindow]
    missing: Mapping[str, Mapping[str, int]]
    selected: selection.Selection | None


def asked(of: Inputs, permits: int | None, path: Path) -> tuple[PlanFile, list[Problem]]:
    """Open what a plan needs, and make it; returns it with what its guards refuse."""
    with planning(of, permits, "Planning") as made:
        plan = make_plan(made, path)
    return plan, refusals(plan.manifest, _positions(of.specs))


@contextlib.contextmanager
def planning(of: Inputs, permits: int | None, what: str) -> Iterator[Planning]:
    """The connections that a plan needs, open, with everything else that it is made from."""
    everything = [*of.specs, *of.others]
    seeds = places.seeds(of.project, everything)
    known = connect.services(of.env)
    needed = set(connections_of(everything, known).values()) | set(source_connections(everything, known).values())
    with connect.opened(of.project, of.env, seeds, needed, permits=permits) as connections, progress(what) as shown:
        yield Planning(
            of.project,
            of.env,
            of.specs,
            of.others,
            connections,
            __version__,
            places.today(),
            places.moment(),
            of.waivers,
            os.environ.get(KEY_NAME),
            of.cursors,
            of.missing,
            shown.add,
            of.selected,
        )


def mention_open_runs(project: Project) -> None:
    """Say which runs were interrupted: what they have left to do, this plan will hold, too."""
    state = connect.state_directory(project)
    for marker in sorted(state.glob("runs/*/open"))[-3:]:
        run = marker.parent.name
        if _is_writing(state, run):
            click.echo(f"note: run {run} is writing at this moment; this plan may be stale when it is done", err=True)
        else:
            click.echo(f"note: run {run} is not at its end; finish it with: syncengine resume {run}", err=True)


def _is_writing(state: Path, run: str) -> bool:
    """Whether the process of a run lives, as far as this machine knows; its lock is not touched."""
    from syncengine.execution.locks import holders  # as above

    return any(one.run == run and one.is_alive for one in holders(state).values())


def _cursors(project: Project, environment: str, specs: Sequence[Spec]) -> dict[str, ReadWindow]:
    """What the incremental sources read that was applied last."""
    if not any(getattr(one.options, "incremental", None) for spec in specs for one in spec.sources.values()):
        return {}
    from syncengine.execution import cursors  # as above
    from syncengine.execution.journal import State

    state = State(connect.state_directory(project))
    try:
        names = {spec.name for spec in specs}
        for one in cursors.left_behind(state, environment):
            if one.spec in names:
                said = f"run {one.run} did not apply {many(one.number, 'operation')} of {one.spec}"
                after = "what did not change since is read no more; it comes with"
                click.echo(f"note: {said}; {after}: syncengine plan --again {one.run}", err=True)
        return cursors.read(state, environment)
    finally:
        state.close()


def missing(project: Project, environment: str, specs: Sequence[Spec]) -> dict[str, dict[str, int]]:
    """In how many runs records were missing in their sources, where a step wants to know."""
    if not any(step.vanished.after > 1 for spec in specs for step in spec.steps.values()):
        return {}
    from syncengine.execution.journal import State  # only this needs the journal: 130 ms

    state = State(connect.state_directory(project))
    try:
        return state.missing(environment)
    finally:
        state.close()


def _positions(specs: Sequence[Spec]) -> dict[str, str]:
    return {step.full_name: str(step.position) for spec in specs for step in spec.steps.values()}
