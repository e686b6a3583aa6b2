"""How far incremental sources have been applied, in the state of the project.

A cursor moves when a run of a plan is over and every row is accounted for: all of it is applied, or what is not stands
in the run (its plan and its journal). No later window reads these rows again, so they are remembered here, too, until
they are planned again (`retry`, `plan --again`) or a later plan reads from as early as that one did.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from syncengine.execution.journal import State
from syncengine.planning.plan import Header, ReadWindow

SCHEMA = """
CREATE TABLE IF NOT EXISTS cursor(
  environment TEXT NOT NULL, source TEXT NOT NULL, url TEXT NOT NULL, "table" TEXT NOT NULL, by TEXT NOT NULL,
  start TEXT NOT NULL, "end" TEXT NOT NULL, spec TEXT NOT NULL, PRIMARY KEY(environment, source));
CREATE TABLE IF NOT EXISTS left_behind(
  environment TEXT NOT NULL, source TEXT NOT NULL, run TEXT NOT NULL, start TEXT NOT NULL, rows INTEGER NOT NULL,
  PRIMARY KEY(environment, source, run));
"""


class LeftBehind(msgspec.Struct, frozen=True):
    """Rows of an incremental source that a run did not apply, and that no later window reads."""

    source: str
    run: str
    rows: int


def read(state: State, environment: str) -> dict[str, ReadWindow]:
    """The last window of each source that was applied to an environment, by `<spec>.<source>`."""
    wanted = 'SELECT source, url, "table", by, start, "end", spec FROM cursor WHERE environment=?'
    with state.reading() as db:
        db.executescript(SCHEMA)
        return {source: ReadWindow(*window) for source, *window in db.execute(wanted, (environment,))}


def left_behind(state: State, environment: str) -> list[LeftBehind]:
    """What runs of an environment left behind and nobody has planned again, oldest run first."""
    wanted = "SELECT source, run, rows FROM left_behind WHERE environment=? ORDER BY run, source"
    with state.reading() as db:
        db.executescript(SCHEMA)
        return [LeftBehind(*row) for row in db.execute(wanted, (environment,))]


def move(state: State, run: str, header: Header, left: Mapping[str, int]) -> None:
    """Note the windows of a plan whose run is over; one that ends before the known one changes nothing.

    `left` says how many rows of each spec were not applied. A plan of a part reads what others have read: it moves no
    cursor, and takes over what the run that it plans again has left behind.
    """
    environment, windows = header.environment, header.windows
    if not windows:
        return
    known = read(state, environment)
    with state.writing() as db:
        if header.again:
            db.execute("DELETE FROM left_behind WHERE environment=? AND run=?", (environment, header.again))
        for source, window in windows.items():
            of_source = (environment, source)
            if not header.selection:
                db.execute(
                    "DELETE FROM left_behind WHERE environment=? AND source=? AND start>=?", (*of_source, window.start)
                )
                before = known.get(source)
                same = before is not None and (before.url, before.spec) == (window.url, window.spec)
                if before is None or not same or before.end <= window.end:
                    row = (*of_source, window.url, window.table, window.by, window.start, window.end, window.spec)
                    db.execute("INSERT OR REPLACE INTO cursor VALUES(?,?,?,?,?,?,?,?)", row)
            rows = left.get(source.rpartition(".")[0], 0)
            db.execute("DELETE FROM left_behind WHERE environment=? AND source=? AND run=?", (*of_source, run))
            if rows and (header.again or not header.selection):
                db.execute("INSERT INTO left_behind VALUES(?,?,?,?,?)", (*of_source, run, window.start, rows))
