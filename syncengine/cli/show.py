"""`syncengine show`: a plan or a run, in any format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncengine.cli import connect, places
from syncengine.cli.places import DETAILS
from syncengine.errors import Problem, SpecError
from syncengine.planning.plan_file import open_plan
from syncengine.reports import ALL, find
from syncengine.spec.model import Project

if TYPE_CHECKING:
    from syncengine.execution.journal import RunRow, State


@click.command(name="show")
@click.argument("what", metavar="PLAN|RUN")
@click.option("--all", "everything", is_flag=True, help="Write out every operation, not a few of each kind.")
@places.format_option
def command(what: str, everything: bool, form: str) -> int:
    """Show a plan file, or the plan of a run.

    \b
    syncengine show today.plan --format markdown
    syncengine show 20261122-081500-3f2a
    """
    path = Path(what)
    if not path.is_file():
        path = connect.state_directory(places.project()) / "runs" / Path(what).name / "plan"
    if not path.is_file():
        raise SpecError(
            Problem(
                "no-such-plan", f"{what} is neither a plan file nor a run", what, fix="syncengine status lists the runs"
            )
        )
    plan = open_plan(path)
    for line in find(form).of_plan(plan, details=ALL if everything else DETAILS):
        click.echo(line)
    return 0


def is_open(run: RunRow) -> bool:
    """Whether something of a run is left that `resume` can do: it was interrupted, stopped, or left writes unclear."""
    from syncengine.execution.account import OVER  # a plan is shown without the journal: 150 ms

    return run.exit not in OVER


def run_named(project: Project, name: str | None) -> tuple[State, RunRow]:
    """A run of the project: by name, or the newest that can go on; raises SpecError when there is none."""
    from syncengine.execution.journal import State  # as above

    state = State(connect.state_directory(project))
    rows = state.runs()
    if name is None:
        rows = [row for row in rows if is_open(row)][:1]
        said = "no run of this project is left to go on with"
    else:
        rows = [row for row in rows if row.id == name]
        said = f"there is no run {name}"
    if not rows:
        state.close()
        raise SpecError(Problem("no-such-run", said, str(state.path), fix="syncengine status lists the runs"))
    return state, rows[0]
