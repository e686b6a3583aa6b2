"""How far incremental sources have been applied, in the state of the project.

A cursor moves when a run of a plan is over and every row is accounted for: all of it is applied, or what is not stands
in the run (its plan and its journal). No later window reads these rows again, so they are remembered here, too, until
they are planned again (`retry`, `plan --again`) or a later plan reads from as early as that one did.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import msgspec
import sqlalchemy as sa

from syncengine.changes import Change
from syncengine.execution.journal import State, damaged, reason
from syncengine.execution.operations import Operations
from syncengine.planning.plan import Header, ReadWindow

_tables = sa.MetaData()
_cursor = sa.Table(
    "cursor",
    _tables,
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("table", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("start", sa.Text, nullable=False),
    sa.Column("end", sa.Text, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
    sa.PrimaryKeyConstraint("environment", "source"),
)
_left = sa.Table(
    "left_behind",
    _tables,
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("run", sa.Text, nullable=False),
    sa.PrimaryKeyConstraint("environment", "step", "name"),
)
_BLOCK = 500


class LeftBehind(msgspec.Struct, frozen=True):
    """What a run did not apply of a spec with incremental sources: no later window need read it again."""

    spec: str
    run: str
    number: int


def read(state: State, environment: str) -> dict[str, ReadWindow]:
    """The last window of each source that was applied to an environment, by `<spec>.<source>`."""
    try:
        _tables.create_all(state.engine)
        with state.engine.connect() as connection:
            rows = connection.execute(_cursor.select().where(_cursor.c.environment == environment))
            return {row.source: ReadWindow(row.url, row.table, row.by, row.start, row.end, row.spec) for row in rows}
    except sa.exc.DatabaseError as error:
        raise damaged(state.path, reason(error)) from error


def left_behind(state: State, environment: str) -> list[LeftBehind]:
    """What runs of an environment left behind and no later one has done, oldest run first."""
    columns = (_left.c.run, _left.c.spec)
    try:
        _tables.create_all(state.engine)
        with state.engine.connect() as connection:
            found = sa.select(*columns, sa.func.count()).where(_left.c.environment == environment)
            rows = connection.execute(found.group_by(*columns).order_by(*columns))
            return [LeftBehind(spec, run, number) for run, spec, number in rows]
    except sa.exc.DatabaseError as error:
        raise damaged(state.path, reason(error)) from error


def move(state: State, run: str, header: Header, operations: Operations) -> None:
    """Note the windows of a plan whose run is over; one that ends before the known one changes nothing.

    What was not applied is remembered by its name until a later run has done it. A plan of a part reads what others
    have read, so it moves no cursor; one that plans a run again takes over what that run has left behind.
    """
    environment, windows = header.environment, header.windows
    if not windows:
        return
    known = read(state, environment)
    specs = {source.rpartition(".")[0] for source in windows}
    numbers = {number: step.name for number, step in enumerate(header.steps) if step.name.rpartition(".")[0] in specs}
    try:
        with state.engine.begin() as connection:
            here = _left.c.environment == environment
            if header.again:
                connection.execute(_left.delete().where(here & (_left.c.run == header.again)))
            if not header.selection:
                whole = [spec for spec in specs if _is_whole(spec, windows)]
                connection.execute(_left.delete().where(here & _left.c.spec.in_(whole)))
                _move(connection, environment, windows, known)
            if connection.execute(sa.select(_left.c.run).where(here).limit(1)).first() is not None:
                done = ((numbers[step], _name(one)) for step, one in operations.done(list(numbers)))
                for block in _blocks(done):
                    connection.execute(_left.delete().where(here & sa.tuple_(_left.c.step, _left.c.name).in_(block)))
            if header.selection and not header.again:
                return
            left = ((numbers[one.step], _name(one)) for one, *_ in operations.unapplied() if one.step in numbers)
            for block in _blocks(left):
                connection.execute(_left.delete().where(here & sa.tuple_(_left.c.step, _left.c.name).in_(block)))
                whose = {"environment": environment, "run": run}
                rows = [{**whose, "spec": step.rpartition(".")[0], "step": step, "name": name} for step, name in block]
                connection.execute(_left.insert(), rows)
    except (sa.exc.DatabaseError, OSError) as error:
        raise damaged(state.path, f"it cannot be written ({reason(error)})") from error


def _is_whole(spec: str, windows: Mapping[str, ReadWindow]) -> bool:
    """Whether all rows of all incremental sources of a spec were read: then nothing is left to what came before."""
    return all(not window.start for source, window in windows.items() if source.rpartition(".")[0] == spec)


def _move(
    connection: sa.Connection,
    environment: str,
    windows: Mapping[str, ReadWindow],
    known: Mapping[str, ReadWindow],
) -> None:
    for source, window in windows.items():
        before = known.get(source)
        same = before is not None and (before.url, before.spec) == (window.url, window.spec)
        if before is not None and same and before.end > window.end:
            continue
        where = (_cursor.c.environment == environment) & (_cursor.c.source == source)
        connection.execute(_cursor.delete().where(where))
        values = {name: getattr(window, name) for name in ("url", "table", "by", "start", "end", "spec")}
        connection.execute(_cursor.insert().values(environment=environment, source=source, **values))


def _name(change: Change) -> str:
    """What an operation is called from run to run; a row without a key only by its place."""
    if change.kind == "relation":
        return " → ".join(end.key for end in change.pair)
    return change.key or str(change.place)


def _blocks(names: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Names in blocks that one statement takes, each once."""
    iterator = iter(names)
    while block := list(dict.fromkeys(islice(iterator, _BLOCK))):
        yield block
