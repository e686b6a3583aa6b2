"""`syncengine report`: what a run did."""

from __future__ import annotations

from pathlib import Path

import click

from syncengine.cli import again, connect, places
from syncengine.cli.inputs import originals_of
from syncengine.cli.places import DETAILS
from syncengine.errors import Exit, Problem, SpecError
from syncengine.execution.account import OVER, Account, account_of
from syncengine.execution.journal import State
from syncengine.execution.locks import holders
from syncengine.execution.rejects import REJECTS, nothing_known, write_rejects
from syncengine.reports import ALL, find
from syncengine.spec.model import Project


@click.command(name="report")
@click.argument("run", required=False)
@click.option("--all", "everything", is_flag=True, help="Write out every operation, not a few of each kind.")
@places.env_file_option
@places.format_option
def command(run: str | None, everything: bool, env_file: Path | None, form: str) -> int:
    """Tell what a run did: RUN, or the newest.

    How it ended, the numbers of each step, and every row that was not applied, with the target's message, the
    advice, and the command that goes on. Read from the journal, so a run that is open is told as far as it came. The
    file of its rows that were not applied is written anew where it is missing.

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
        busy = next((one for one in holders(state.directory).values() if one.run == row.id and one.is_alive), None)
        if busy is not None:
            click.echo(f"note: {busy} is going on at this moment; this is what it has recorded so far", err=True)
        with account_of(state, row) as account:
            _write_rejects(project, state, account, env_file)
            for line in find(form).of_account(account, details=ALL if everything else DETAILS):
                click.echo(line)
    finally:
        state.close()
    return int(Exit.OK)


def _write_rejects(project: Project, state: State, account: Account, env_file: Path | None) -> None:
    """Write the rows that a run did not apply, where the disk refused that when it ended or the file was deleted.

    With the columns of the sources as far as these are here and unchanged. Raises StateError when the disk refuses.
    """
    path = state.run_directory(account.row.id) / REJECTS
    if path.is_file() or account.row.exit not in OVER:
        return
    try:
        variables = connect.environment(project, account.row.environment, env_file).vars
        originals = originals_of(project, account.plan, variables)
    except SpecError:  # the environment is not here any more; the planned fields are
        originals = nothing_known
    write_rejects(account.operations, path, originals)
