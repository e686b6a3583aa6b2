"""`syncengine unlock`: let go of the lock of a run whose process is gone."""

from __future__ import annotations

import sys

import click

from syncengine.cli import again, connect, places
from syncengine.errors import Exit, LockedError, Problem, SpecError
from syncengine.execution.account import OVER
from syncengine.execution.journal import State
from syncengine.execution.locks import is_held, let_go
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
        row = again.find_run(state, run)
        plan_path = state.directory / "runs" / row.id / "plan"
        if not plan_path.is_file():
            said = f"the plan of run {row.id} is not here, and with it the name of its lock"
            raise SpecError(Problem("run-without-plan", said, str(plan_path)))
        plan = open_plan(plan_path)
        holder = is_held(state, plan)
        if holder is None:
            click.echo(f"Nobody holds the lock of run {row.id}.{_next(row.exit, row.id)}")
            return int(Exit.OK)
        if holder.run not in (row.id, "?"):
            said = f"the lock of these specs and this target is held by {holder}, not by run {row.id}"
            raise LockedError(Problem("locked", said, fix=f"syncengine unlock {holder.run}, if it is gone"))
        if holder.is_alive:
            said = f"{holder} is alive and holds the lock"
            raise LockedError(Problem("locked", said, fix="wait for it to end, or stop it: Ctrl-C ends it cleanly"))
        if not yes:
            if not sys.stdin.isatty():
                said = f"nobody can see from here whether {holder} is gone"
                raise SpecError(Problem("not-confirmed", said, "syncengine unlock", fix="look there, then add --yes"))
            click.confirm(f"{holder} cannot be seen from here. Is it gone for good?", abort=True)
        let_go(state, plan)
    finally:
        state.close()
    click.echo(f"Unlocked, although {holder} may still say otherwise.{_next(row.exit, row.id)}")
    return int(Exit.OK)


def _next(exit_class: int | None, run: str) -> str:
    return "" if exit_class in OVER else f" Go on with: syncengine resume {run}"
