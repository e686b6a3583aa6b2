"""How far incremental sources have been applied, in the state of the project.

A cursor moves when a run of a plan has done all of it, never before: what was read and not applied is read again. A run
that left rows behind does not move it, so these rows come again with the next plan.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from syncengine.execution.journal import State, damaged, reason
from syncengine.planning.plan import ReadWindow

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


def read(state: State, environment: str) -> dict[str, ReadWindow]:
    """The last window of each source that was applied to an environment, by `<spec>.<source>`."""
    try:
        _tables.create_all(state.engine)
        with state.engine.connect() as connection:
            rows = connection.execute(_cursor.select().where(_cursor.c.environment == environment))
            return {row.source: ReadWindow(row.url, row.table, row.by, row.start, row.end, row.spec) for row in rows}
    except sa.exc.DatabaseError as error:
        raise damaged(state.path, reason(error)) from error


def move(state: State, environment: str, windows: Mapping[str, ReadWindow]) -> None:
    """Note the windows of a plan that is applied; one that ends before the known one changes nothing."""
    if not windows:
        return
    known = read(state, environment)
    try:
        with state.engine.begin() as connection:
            for source, window in windows.items():
                before = known.get(source)
                same = before is not None and (before.url, before.spec) == (window.url, window.spec)
                if before is not None and same and before.end > window.end:
                    continue
                where = (_cursor.c.environment == environment) & (_cursor.c.source == source)
                connection.execute(_cursor.delete().where(where))
                values = {name: getattr(window, name) for name in ("url", "table", "by", "start", "end", "spec")}
                connection.execute(_cursor.insert().values(environment=environment, source=source, **values))
    except (sa.exc.DatabaseError, OSError) as error:
        raise damaged(state.path, f"it cannot be written ({reason(error)})") from error
