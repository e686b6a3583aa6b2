"""`syncengine status`: the runs of this project."""

from __future__ import annotations

from collections import Counter

import click
import orjson

from syncengine.cli import connect, places
from syncengine.errors import Exit
from syncengine.execution.journal import RunRow, State


@click.command(name="status")
@click.option("-n", "number", type=click.IntRange(1), default=10, show_default=True, help="How many, newest first.")
@click.option("--format", "form", type=click.Choice(["human", "json"]), default="human", show_default=True)
def command(number: int, form: str) -> int:
    """List the runs of this project, newest first, and how each ended."""
    state = State(connect.state_directory(places.project()))
    try:
        rows = state.runs()[:number]
    finally:
        state.close()
    if form == "json":
        for row in rows:
            click.echo(
                orjson.dumps(
                    {
                        "version": 1,
                        "run": row.id,
                        "environment": row.environment,
                        "specs": row.specs,
                        "started_at": row.started_at,
                        "ended_at": row.ended_at,
                        "exit": row.exit,
                        "plan_hash": row.plan_hash,
                        "summary": row.summary,
                    }
                ).decode()
            )
        return 0
    if not rows:
        click.echo("No runs yet.")
    for row in rows:
        click.echo(f"{row.id}  {row.environment:<10} {_ended(row):<28} {row.specs}".rstrip())
    return 0


def _ended(row: RunRow) -> str:
    if row.exit is None:
        return "open: syncengine resume"
    name = Exit(row.exit).name.lower()
    if name == "ok":
        return "done"
    counted: Counter[str] = Counter()
    for step in ((row.summary or {}).get("steps") or {}).values():
        for result, actions in step["results"].items():
            counted[result] += sum(actions.values())
    left = [f"{number:,} {result.replace('_', ' ')}" for result, number in counted.items() if result != "applied"]
    return f"{name}: {', '.join(left)}" if left else name
