"""`syncengine plan`: ask the target what would change, and write that down."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
from click.core import ParameterSource

from syncengine.cli import places
from syncengine.cli.making import planned
from syncengine.cli.places import DETAILS
from syncengine.errors import NOTHING_WRITTEN, Exit, UnsafeError
from syncengine.reports import ALL, find


@click.command(name="plan")
@places.paths_argument
@places.env_option
@places.env_file_option
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the plan here, for apply.")
@click.option(
    "--select",
    "texts",
    multiple=True,
    metavar="SPEC|STEP|STEP=KEY",
    help="Only a spec, a step, or one record of a step; may be given several times.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N records of each step.")
@click.option("--again", "run", metavar="RUN", help="Only what RUN did not apply: rejected, stale or not sent.")
@click.option(
    "--allow", multiple=True, metavar="STEP.GUARD=N", help="Let exactly N pass a guard, e.g. servers.creates=312."
)
@click.option("--detailed-exitcode", is_flag=True, help="Answer 2 when something would change.")
@click.option("--all", "everything", is_flag=True, help="Write out every operation, not a few of each kind.")
@click.option("--full", is_flag=True, help="Read incremental sources from the start.")
@places.permits_option
@places.format_option
@click.pass_context
def command(
    ctx: click.Context,
    paths: tuple[Path, ...],
    env_name: str,
    env_file: Path | None,
    out: Path | None,
    texts: tuple[str, ...],
    limit: int | None,
    run: str | None,
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
    syncengine plan --select servers=CZ1234AB   one record, with what it needs
    syncengine plan --limit 10                  a first trial
    syncengine plan --again RUN                 what a run left behind, after the
                                                rows were corrected

    A part of a plan never looks at what has vanished nor at limits in percent: nobody could tell them from what was
    not asked for.
    """
    if run is not None:
        from syncengine.cli import again  # only this needs the journal: 130 ms

        given = ctx.get_parameter_source("env_name") is ParameterSource.COMMANDLINE
        again.refuse_with(paths=bool(paths), select=bool(texts), limit=limit is not None, full=full)
    with tempfile.TemporaryDirectory(prefix="syncengine-") as place:
        path = out or Path(place) / "plan"
        if run is not None:
            plan, problems = again.planned(run, env_name if given else None, env_file, allow, permits, path)
        else:
            plan, problems = planned(
                paths, env_name, env_file, allow, permits, path, full=full, texts=texts, limit=limit
            )
        for line in find(form).of_plan(plan, details=ALL if everything else DETAILS):
            click.echo(line)
        if plan.manifest.is_refused:
            raise UnsafeError(problems, effect=NOTHING_WRITTEN)
        if out is not None and form == "human":
            how = f" Do it with:\n  syncengine apply {out}" if plan.manifest.changes else ""
            click.echo(f"\nWritten to {out}.{how}")
        return int(Exit.CHANGES if detailed_exitcode and plan.manifest.changes else Exit.OK)
