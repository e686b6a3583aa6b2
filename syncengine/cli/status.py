"""`syncengine status`: what is open, what ran, who holds a lock, how far sources were read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec
import orjson

from syncengine.cli import again, connect, places
from syncengine.errors import Exit, many
from syncengine.execution import cursors, locks
from syncengine.execution.account import OVER
from syncengine.execution.cursors import LeftBehind
from syncengine.execution.journal import RunRow, State
from syncengine.execution.locks import Holder
from syncengine.planning.plan import ReadWindow


class Standing(msgspec.Struct):
    """What a project has going on."""

    runs: list[RunRow]
    """Newest first, all of them."""
    held: list[tuple[str, Holder]]
    """Locks that processes say to hold, with how that is."""
    windows: dict[str, dict[str, ReadWindow]]
    """By environment and source."""
    left: dict[str, list[LeftBehind]]
    """By environment: what no later window reads."""


@click.command(name="status")
@click.argument("run", required=False)
@click.option("-n", "number", type=click.IntRange(1), default=10, show_default=True, help="How many, newest first.")
@click.option("--format", "form", type=click.Choice(["human", "json"]), default="human", show_default=True)
def command(run: str | None, number: int, form: str) -> int:
    """Tell what goes on in this project, as far as it is written down here, or how it is with one RUN.

    Runs that are not at their end and the command for each; the newest run of each set of specs and environment; the
    last runs; locks; how far incremental sources were read, and what was left behind. Nobody is asked.
    """
    state = State(connect.state_directory(places.project()))
    try:
        standing = _standing(state, None if run is None else again.find_run(state, run))
    finally:
        state.close()
    for line in (as_json if form == "json" else as_text)(standing, number):
        click.echo(line)
    return int(Exit.OK)


def _standing(state: State, only: RunRow | None) -> Standing:
    runs = state.runs()
    held = [(_hold(path, holder), holder) for path, holder in locks.holders(state.directory).items()]
    if only is not None:
        return Standing([only], [one for one in held if one[1].run == only.id], {}, {})
    environments = list(dict.fromkeys(row.environment for row in runs))
    windows = {name: found for name in environments if (found := cursors.read(state, name))}
    left = {name: behind for name in environments if (behind := cursors.left_behind(state, name))}
    return Standing(runs, held, windows, left)


def _hold(path: Path, holder: Holder) -> str:
    """How it is with somebody who says to hold a lock: `running`, `elsewhere`, or `gone`."""
    if holder.is_alive:
        return "running"
    return "gone" if locks.is_held(path) is None else "elsewhere"


def as_json(of: Standing, number: int) -> Iterator[str]:
    """One object a line: runs first, then locks, windows, and what was left behind."""
    running = {holder.run for how, holder in of.held if how == "running"}
    for row in of.runs[:number]:
        yield _line(
            kind="run",
            run=row.id,
            environment=row.environment,
            specs=row.specs,
            started_at=row.started_at,
            ended_at=row.ended_at,
            exit=row.exit,
            plan_hash=row.plan_hash,
            open=row.exit not in OVER,
            running=row.id in running,
            summary=row.summary,
        )
    for how, holder in of.held:
        yield _line(kind="lock", run=holder.run, process=holder.pid, host=holder.host, state=how)
    for environment, windows in of.windows.items():
        for source, window in windows.items():
            said = {"table": window.table, "by": window.by, "read_up_to": window.end, "url": window.url}
            yield _line(kind="window", environment=environment, source=source, **said)
    for environment, left in of.left.items():
        for one in left:
            yield _line(kind="left_behind", environment=environment, spec=one.spec, run=one.run, operations=one.number)


def _line(**values: object) -> str:
    return orjson.dumps({"version": 1, **values}).decode()


def as_text(of: Standing, number: int) -> Iterator[str]:
    """What wants something done comes first."""
    if not of.runs:
        yield "No runs yet."
        return
    running = {holder.run for how, holder in of.held if how == "running"}
    wanting = [row for row in of.runs if row.exit not in OVER]
    taken_up = {(row.summary or {}).get("again") for row in of.runs if row.exit in OVER}
    newest: dict[tuple[str, str], RunRow] = {}
    for row in of.runs:
        newest.setdefault((row.environment, row.specs), row)
    left = [row for row in newest.values() if row.exit in OVER and row.exit and row.id not in taken_up]
    yield from _section("Open", [_open(row, running) for row in wanting])
    yield from _section(
        "Rows not applied",
        [f"{row.id}  {_ended(row)}:\n      syncengine retry {row.id} --yes" for row in left]
        + [
            f"{one.run}  {many(one.number, 'operation')} of {one.spec} that later plans do not read again:\n"
            f"      syncengine retry {one.run} --yes"
            for found in of.left.values()
            for one in found
            if all(one.run != row.id for row in left)
        ],
    )
    yield from _section("Locks", [_lock(how, holder) for how, holder in of.held])
    width = max(len(row.environment) for row in of.runs)
    yield from _section(
        "Newest run of each environment and specs",
        [f"{row.environment:<{width}}  {_ended(row):<28} {row.started_at}  {row.specs}" for row in newest.values()],
    )
    yield from _section(
        "Read up to",
        [
            f"{name:<{width}}  {source}: {window.by} {window.end or '(no row)'} of {window.table}"
            for name, windows in of.windows.items()
            for source, window in windows.items()
        ],
    )
    runs = of.runs[:number]
    title = "Runs" if len(runs) == len(of.runs) else f"The last {len(runs)} of {len(of.runs):,} runs"
    yield from _section(title, [f"{row.id}  {row.environment:<{width}}  {_ended(row):<28} {row.specs}" for row in runs])
    yield "What a run did: syncengine report RUN"


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield title
        yield from (f"  {line}".rstrip() for line in lines)
        yield ""


def _open(row: RunRow, running: set[str]) -> str:
    what = "running now" if row.id in running else f"{_ended(row)}:\n      syncengine resume {row.id}"
    return f"{row.id}  {row.environment}  {what}"


def _lock(how: str, holder: Holder) -> str:
    said = {
        "running": f"held by {holder}",
        "gone": f"{holder} left it, and nobody holds it:\n      the next run takes it",
        "elsewhere": f"held by {holder},\n      which cannot be seen from here; if it is gone:"
        f" syncengine unlock {holder.run}",
    }
    return said[how]


def _ended(row: RunRow) -> str:
    if row.exit is None:
        return "open"
    name = Exit(row.exit).name.lower()
    if name == "ok":
        return "done"
    counted: Counter[str] = Counter()
    for step in ((row.summary or {}).get("steps") or {}).values():
        for result, actions in step["results"].items():
            counted[result] += sum(actions.values())
    left = [f"{number:,} {result.replace('_', ' ')}" for result, number in counted.items() if result != "applied"]
    return f"{name}: {', '.join(left)}" if left else name
