"""`syncengine unlock`: let go of the lock of a run whose process is gone."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from syncengine.cli import again, connect, places
from syncengine.errors import Exit, LockedError, Problem, SpecError
from syncengine.execution.account import OVER
from syncengine.execution.journal import RunRow, State
from syncengine.execution.locks import holders, is_held, let_go, lock_of
from syncengine.planning.plan_file import open_plan


@click.command(name="unlock")
@click.argument("run")
@click.option("--yes", is_flag=True, help="Do not ask; for a holder that cannot be seen from here.")
def command(run: str, yes: bool) -> int:
    """Let go of the lock of RUN, whose process is gone.

    A lock goes with its process, so this is seldom needed: where the project lies on a file system of a network, and
    the machine that held the lock is gone. A holder that is alive on this machine is never unlocked; one of another
    machine only when you say that it is gone, since two runs would write at once otherwise.
    """
    project = places.project()
    state = State(connect.state_directory(project))
    try:
        path = next((path for path, one in holders(state.directory).items() if one.run == run), None)
        known = path is None or any(row.id == run for row in state.runs())
        row = again.find_run(state, run) if known else None
        holder = is_held(path or _lock_of(state, run))
        if holder is None:
            click.echo(f"Nobody holds the lock of run {run}.{_next(row)}")
            return int(Exit.OK)
        if holder.run not in (run, "?"):
            said = f"the lock of these specs and this target is held by {holder}, not by run {run}"
            raise LockedError(Problem("locked", said, fix=f"syncengine unlock {holder.run}, if it is gone"))
        if holder.is_alive:
            said = f"{holder} is alive and holds the lock"
            raise LockedError(Problem("locked", said, fix="wait for it to end, or stop it: Ctrl-C ends it cleanly"))
        if not yes:
            if not sys.stdin.isatty():
                said = f"nobody can see from here whether {holder} is gone"
                raise SpecError(Problem("not-confirmed", said, "syncengine unlock", fix="look there, then add --yes"))
            click.confirm(f"{holder} cannot be seen from here. Is it gone for good?", abort=True)
        let_go(path or _lock_of(state, run))
    finally:
        state.close()
    click.echo(f"Unlocked, although {holder} may still say otherwise.{_next(row)}")
    return int(Exit.OK)


def _lock_of(state: State, run: str) -> Path:
    """The lock that a run took, by its plan; raises SpecError where that is gone."""
    path = state.directory / "runs" / run / "plan"
    if not path.is_file():
        said = f"the plan of run {run} is not here, and with it the name of its lock"
        raise SpecError(Problem("run-without-plan", said, str(path)))
    return lock_of(state.directory, open_plan(path))


def _next(row: RunRow | None) -> str:
    return "" if row is None or row.exit in OVER else f" Go on with: syncengine resume {row.id}"
