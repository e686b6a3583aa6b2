"""`syncengine plan`: ask the target what would change, and write that down."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from syncengine import __version__
from syncengine.cli import connect, places
from syncengine.cli.inputs import CHANGED
from syncengine.cli.progress import progress
from syncengine.errors import NOTHING_WRITTEN, Exit, Problem, SpecError, UnsafeError
from syncengine.pipeline import Planning, make_plan
from syncengine.planning.connections import connections_of, source_connections
from syncengine.planning.guards import WAIVABLE, refusals
from syncengine.planning.plan import ReadWindow
from syncengine.planning.plan_file import PlanFile
from syncengine.planning.sealing import KEY_NAME
from syncengine.reports import ALL, find
from syncengine.spec import load_specs, references
from syncengine.spec.model import Project, Spec

DETAILS = 20


@click.command(name="plan")
@places.paths_argument
@places.env_option
@places.env_file_option
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the plan here, for apply.")
@click.option(
    "--allow", multiple=True, metavar="STEP.GUARD=N", help="Let exactly N pass a guard, e.g. servers.creates=312."
)
@click.option("--detailed-exitcode", is_flag=True, help="Answer 2 when something would change.")
@click.option("--all", "everything", is_flag=True, help="Write out every operation, not a few of each kind.")
@click.option("--full", is_flag=True, help="Read incremental sources from the start.")
@places.permits_option
@places.format_option
def command(
    paths: tuple[Path, ...],
    env_name: str,
    env_file: Path | None,
    out: Path | None,
    allow: tuple[str, ...],
    detailed_exitcode: bool,
    everything: bool,
    full: bool,
    permits: int | None,
    form: str,
) -> int:
    """Ask the target what would change, and write that down.

    Reads the sources, asks the target's own rules about every record (nothing is written there), and shows what
    apply would do. PATHS are spec files or folders; without any, all specs of the project.

    \b
    syncengine plan                             against the sandbox
    syncengine plan specs/cmdb --env dev -o p1  save it, for: syncengine apply p1
    syncengine plan --format markdown           for a review comment
    """
    with tempfile.TemporaryDirectory(prefix="syncengine-") as place:
        path = out or Path(place) / "plan"
        plan, problems = planned(paths, env_name, env_file, allow, permits, path, full=full)
        for line in find(form).of_plan(plan, details=ALL if everything else DETAILS):
            click.echo(line)
        if plan.manifest.is_refused:
            raise UnsafeError(problems, effect=NOTHING_WRITTEN)
        if out is not None and form == "human":
            how = f" Do it with:\n  syncengine apply {out}" if plan.manifest.changes else ""
            click.echo(f"\nWritten to {out}.{how}")
        return int(Exit.CHANGES if detailed_exitcode and plan.manifest.changes else Exit.OK)


def planned(
    paths: Sequence[Path],
    env_name: str,
    env_file: Path | None,
    allow: Sequence[str],
    permits: int | None,
    path: Path,
    *,
    full: bool = False,
) -> tuple[PlanFile, list[Problem]]:
    """Make a plan at `path`; returns it with what its guards refuse."""
    project = places.project()
    waivers = parse_waivers(allow)
    specs = load_specs(project, paths)
    others = references(project, specs, paths)
    env = connect.environment(project, env_name, env_file)
    seeds = places.seeds(project, [*specs, *others])
    _mention_open_runs(project)
    known = connect.services(env)
    needed = set(connections_of([*specs, *others], known).values())
    needed |= set(source_connections([*specs, *others], known).values())
    with connect.opened(project, env, seeds, needed, permits=permits) as connections, progress("Planning") as shown:
        of = Planning(
            project,
            env,
            specs,
            others,
            connections,
            __version__,
            places.today(),
            places.moment(),
            waivers,
            os.environ.get(KEY_NAME),
            {} if full else _cursors(project, env.name, specs),
            _missing(project, env.name, specs),
            shown.add,
        )
        plan = make_plan(of, path)
    return plan, refusals(plan.manifest, _positions(specs))


def _mention_open_runs(project: Project) -> None:
    """Say which runs were interrupted: what they have left to do, this plan will hold, too."""
    for marker in sorted(connect.state_directory(project).glob("runs/*/open"))[-3:]:
        run = marker.parent.name
        click.echo(f"note: run {run} is not at its end; finish it with: syncengine resume {run}", err=True)


def _cursors(project: Project, environment: str, specs: Sequence[Spec]) -> dict[str, ReadWindow]:
    """What the incremental sources read that was applied last."""
    if not any(getattr(one.options, "incremental", None) for spec in specs for one in spec.sources.values()):
        return {}
    from syncengine.execution import cursors  # as above
    from syncengine.execution.journal import State

    state = State(connect.state_directory(project))
    try:
        return cursors.read(state, environment)
    finally:
        state.close()


def _missing(project: Project, environment: str, specs: Sequence[Spec]) -> dict[str, dict[str, int]]:
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


def parse_waivers(allow: Sequence[str]) -> dict[str, int]:
    """`STEP.GUARD=N` as a mapping; raises SpecError for what is no waiver."""
    waivers: dict[str, int] = {}
    for text in allow:
        if text == CHANGED:
            continue
        name, _, number = text.partition("=")
        guard = name.rpartition(".")[2]
        if guard not in WAIVABLE or not number.isdigit() or "." not in name:
            raise SpecError(
                Problem(
                    "waiver",
                    f"--allow {text} is not STEP.GUARD=N",
                    "syncengine plan",
                    fix=f"guards that can be waived: {', '.join(WAIVABLE)}; N is the number that the plan shows",
                )
            )
        waivers[name] = int(number)
    return waivers
