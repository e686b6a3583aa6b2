"""`syncengine resume`: go on with a run that was interrupted."""

from __future__ import annotations

import os
from pathlib import Path

import click

from syncengine.cli import connect, places
from syncengine.cli.apply import told
from syncengine.cli.inputs import originals_of
from syncengine.cli.progress import follow, progress
from syncengine.cli.show import run_named
from syncengine.execution.locks import locked
from syncengine.pipeline import apply_plan
from syncengine.planning.plan_file import open_plan
from syncengine.planning.sealing import KEY_NAME
from syncengine.transport.clock import Clock


@click.command(name="resume")
@click.argument("run", required=False)
@places.env_file_option
@places.permits_option
@places.format_option
def command(run: str | None, env_file: Path | None, permits: int | None, form: str) -> int:
    """Go on with a run that was interrupted: RUN, or the newest one that has not ended well.

    Reads the journal: what has a result is done; what was sent without one is looked for on the target and sent again
    only if it is not there; the rest is asked about again and sent.
    """
    project = places.project()
    state, row = run_named(project, run)
    try:
        plan = open_plan(state.run_directory(row.id) / "plan")
        with locked(state, plan, row.id):
            env = connect.environment(project, plan.header.environment, env_file)
            needed = plan.header.connections
            with (
                connect.opened(project, env, [], needed, permits=permits) as connections,
                progress("Resuming") as shown,
            ):
                connect.same_system(plan, connections)
                key = os.environ.get(KEY_NAME)
                events = apply_plan(
                    state,
                    plan,
                    row.id,
                    connections,
                    Clock(),
                    places.wall,
                    plan_key=key,
                    originals=originals_of(project, plan, env.vars),
                )
                finished = follow(events, shown)
        return told(state, finished.summary, form, needs_plan=env.protect_apply_needs_plan)
    finally:
        state.close()
