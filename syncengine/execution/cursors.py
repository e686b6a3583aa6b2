"""How far incremental sources have been applied, in the state of the project.

A cursor moves when a run of a plan is over and every row is accounted for: all of it is applied, or what is not stands
in the run (its plan and its journal). No later window reads these rows again, so they are remembered here, too, until
they are planned again (`retry`, `plan --again`) or a later plan reads from as early as that one did.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from syncengine.execution.journal import State, damaged, reason
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
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("start", sa.Text, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.PrimaryKeyConstraint("environment", "source", "run"),
)


class LeftBehind(msgspec.Struct, frozen=True):
    """Rows of an incremental source that a run did not apply, and that no later window reads."""

    source: str
    run: str
    rows: int


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
    """What runs of an environment left behind and nobody has planned again, oldest run first."""
    try:
        _tables.create_all(state.engine)
        with state.engine.connect() as connection:
            found = _left.select().where(_left.c.environment == environment).order_by(_left.c.run, _left.c.source)
            return [LeftBehind(row.source, row.run, row.rows) for row in connection.execute(found)]
    except sa.exc.DatabaseError as error:
        raise damaged(state.path, reason(error)) from error


def move(state: State, run: str, header: Header, left: Mapping[str, int]) -> None:
    """Note the windows of a plan whose run is over; one that ends before the known one changes nothing.

    `left` says how many rows of each spec were not applied. A plan of a part reads what others have read: it moves no
    cursor, and takes over what the run that it plans again has left behind.
    """
    environment, windows = header.environment, header.windows
    if not windows:
        return
    known = read(state, environment)
    try:
        with state.engine.begin() as connection:
            if header.again:
                connection.execute(
                    _left.delete().where((_left.c.environment == environment) & (_left.c.run == header.again))
                )
            for source, window in windows.items():
                where = (_cursor.c.environment == environment) & (_cursor.c.source == source)
                of_source = (_left.c.environment == environment) & (_left.c.source == source)
                if not header.selection:
                    connection.execute(_left.delete().where(of_source & (_left.c.start >= window.start)))
                    before = known.get(source)
                    same = before is not None and (before.url, before.spec) == (window.url, window.spec)
                    if before is None or not same or before.end <= window.end:
                        connection.execute(_cursor.delete().where(where))
                        values = {
                            name: getattr(window, name) for name in ("url", "table", "by", "start", "end", "spec")
                        }
                        connection.execute(_cursor.insert().values(environment=environment, source=source, **values))
                rows = left.get(source.rpartition(".")[0], 0)
                connection.execute(_left.delete().where(of_source & (_left.c.run == run)))
                if rows and (header.again or not header.selection):
                    row = {"environment": environment, "source": source, "run": run}
                    connection.execute(_left.insert().values(**row, start=window.start, rows=rows))
    except (sa.exc.DatabaseError, OSError) as error:
        raise damaged(state.path, f"it cannot be written ({reason(error)})") from error
