"""`syncengine retry`: plan and apply what a run left behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from syncengine.cli import again, connect, places
from syncengine.cli.apply import applied, tells_plan_too
from syncengine.cli.complaints import complain
from syncengine.cli.making import mention_open_runs
from syncengine.cli.places import DETAILS
from syncengine.cli.sync import refuse_where_plans_are_reviewed
from syncengine.errors import NOTHING_WRITTEN, Exit, UnsafeError
from syncengine.execution.journal import State
from syncengine.reports import find


@click.command(name="retry")
@click.argument("run", required=False)
@places.env_file_option
@click.option("--yes", is_flag=True, required=True, help="Said once, since nobody will be asked.")
@click.option("--allow", multiple=True, metavar="STEP.GUARD=N", help="Let exactly N pass a guard.")
@places.permits_option
@places.format_option
def command(
    run: str | None, env_file: Path | None, yes: bool, allow: tuple[str, ...], permits: int | None, form: str
) -> int:
    """Plan and apply what a run left behind: RUN, or the newest that left something.

    Its rows that were rejected, stale or not sent are read again from their sources, as they are by now, and asked
    about; what they need is taken along. So correct the rows, or what the target did not like, and:

    \b
    syncengine report RUN           what was wrong with which row?
    syncengine retry RUN --yes      plan and apply just these

    To look before anything is written, plan --again RUN -o FILE, then apply FILE; that is also the only way where the
    environment says apply_needs_plan. A run that was interrupted has resume.
    """
    del yes
    project = places.project()
    state = State(connect.state_directory(project))
    try:
        row = again.find_run(state, run) if run is not None else again.newest_left(state)
    finally:
        state.close()
    if row is None:
        mention_open_runs(project)
        if form == "human":
            click.echo("No run has left a row behind; nothing to do.")
        return int(Exit.OK)
    again.refuse_open(row)
    env = connect.environment(project, row.environment, env_file)
    refuse_where_plans_are_reviewed(env, f"syncengine plan --again {row.id} -o FILE, then: syncengine apply FILE")
    with tempfile.TemporaryDirectory(prefix="syncengine-") as place:
        try:
            plan, problems = again.planned(row.id, None, env_file, allow, permits, Path(place) / "plan")
        except again.NothingLeftError as nothing:
            complain(nothing)
            return int(Exit.OK)
        if plan.manifest.is_refused or tells_plan_too(form):
            for line in find(form).of_plan(plan, details=DETAILS):
                click.echo(line)
        if plan.manifest.is_refused:
            raise UnsafeError(problems, effect=NOTHING_WRITTEN)
        return applied(project, plan, row.environment, env_file, permits, form, stale_check=True)
