"""`syncengine sync`: plan and apply in one go, for cron."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from syncengine.cli import connect, places
from syncengine.cli.apply import applied, tells_plan_too
from syncengine.cli.making import planned
from syncengine.cli.places import DETAILS
from syncengine.errors import NOTHING_WRITTEN, Exit, Problem, UnsafeError
from syncengine.reports import find
from syncengine.spec.model import Environment


@click.command(name="sync")
@places.paths_argument
@places.env_option
@places.env_file_option
@click.option("--yes", is_flag=True, required=True, help="Said once, since nobody will be asked.")
@places.permits_option
@places.format_option
def command(
    paths: tuple[Path, ...], env_name: str, env_file: Path | None, yes: bool, permits: int | None, form: str
) -> int:
    """Plan and apply in one go, for cron.

    The same guards as plan and apply: a plan that a guard refuses is not applied. Refused where the environment says
    apply_needs_plan.
    """
    del yes
    project = places.project()
    env = connect.environment(project, env_name, env_file)
    refuse_where_plans_are_reviewed(env, f"syncengine plan --env {env.name} -o FILE, then: syncengine apply FILE")
    with tempfile.TemporaryDirectory(prefix="syncengine-") as place:
        plan, problems = planned(paths, env_name, env_file, (), permits, Path(place) / "plan")
        manifest = plan.manifest
        is_done = not manifest.changes and not manifest.missing and not plan.header.windows
        if manifest.is_refused or is_done or tells_plan_too(form):
            for line in find(form).of_plan(plan, details=DETAILS):
                click.echo(line)
        if manifest.is_refused:
            raise UnsafeError(problems, effect=NOTHING_WRITTEN)
        if is_done:
            return int(Exit.PARTIAL if manifest.total("rejected") else Exit.OK)
        return applied(project, plan, env_name, env_file, permits, form, stale_check=True)


def refuse_where_plans_are_reviewed(env: Environment, fix: str) -> None:
    """Refuse to apply what nobody has looked at, where the environment wants that; raises UnsafeError."""
    if env.protect_apply_needs_plan:
        said = f"environment {env.name} takes only plans that were saved and reviewed"
        raise UnsafeError(Problem("apply-needs-plan", said, str(env.file or ""), fix=fix))
