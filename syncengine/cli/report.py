"""`syncengine report`: what a run did."""

from __future__ import annotations

import click

from syncengine.cli import again, connect, places
from syncengine.cli.places import DETAILS
from syncengine.errors import Exit, Problem, SpecError
from syncengine.execution.account import account_of
from syncengine.execution.journal import State
from syncengine.reports import ALL, find


@click.command(name="report")
@click.argument("run", required=False)
@click.option("--all", "everything", is_flag=True, help="Write out every operation, not a few of each kind.")
@places.report_format_option
def command(run: str | None, everything: bool, form: str) -> int:
    """Tell what a run did: RUN, or the newest.

    How it ended, the numbers of each step, and every row that was not applied, with the target's message, the
    advice, and the command that goes on. Read from the journal, so a run that is open is told as far as it came.

    \b
    syncengine report                       the newest run
    syncengine report RUN --format html     a page to pass on
    syncengine report RUN --format json     every operation with what became of it
    """
    project = places.project()
    state = State(connect.state_directory(project))
    try:
        rows = state.runs()
        if run is None and not rows:
            fix = "syncengine plan -o FILE, then: syncengine apply FILE"
            raise SpecError(Problem("no-such-run", "this project has no run yet", str(state.path), fix=fix))
        row = rows[0] if run is None else again.find_run(state, run)
        with account_of(state, row) as account:
            for line in find(form).of_account(account, details=ALL if everything else DETAILS):
                click.echo(line)
    finally:
        state.close()
    return int(Exit.OK)
