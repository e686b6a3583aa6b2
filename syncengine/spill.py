"""Private SQLite files that hold what need not fit into memory, and are thrown away afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

_AT_ONCE = 100
"""Rows of one statement: a call of `execute` costs as much as a row."""


def opened(path: Path, schema: str) -> sqlite3.Connection:
    """A new file with these tables, in one transaction that nobody ever has to end; what is lost is no loss."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA page_size=16384")
    db.execute("PRAGMA journal_mode=OFF")
    db.execute("PRAGMA synchronous=OFF")
    db.execute("PRAGMA cache_size=-16000")
    db.execute("PRAGMA temp_store=FILE")
    db.executescript(schema)
    db.execute("BEGIN")
    return db


def insert(db: sqlite3.Connection, into: str, rows: Sequence[Sequence[Any]]) -> None:
    """Add rows of one width; `into` is the statement up to its VALUES, such as `INSERT INTO bad(op, code)`.

    `executemany` would take twice as long, and hand the interpreter to another thread at each row. Of bytes, booleans
    and None each costs as much as a row: the sqlite3 module looks for an adapter every time.
    """
    if not rows:
        return
    row = f"({','.join('?' * len(rows[0]))})"
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        db.execute(f"{into} VALUES {','.join([row] * len(some))}", tuple(chain.from_iterable(some)))
