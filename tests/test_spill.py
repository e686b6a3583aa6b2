"""Rows that are spilled come back as they were, however many there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncengine import spill


@pytest.mark.parametrize("number", [0, 1, 99, 100, 101, 250])
def test_rows_come_back_as_they_were(tmp_path: Path, number: int) -> None:
    """Also those of the last statement, which holds fewer than the others."""
    db = spill.opened(
        tmp_path / "some.db", "CREATE TABLE some(id INTEGER PRIMARY KEY, word TEXT, body BLOB, more TEXT);"
    )
    rows = [(n, f"word {n}", bytes([n % 256]), None) for n in range(number)]
    spill.insert(db, "INSERT INTO some", rows)
    assert db.execute("SELECT * FROM some ORDER BY id").fetchall() == rows


def test_columns_that_are_not_said_have_their_default_and_what_is_there_stays(tmp_path: Path) -> None:
    """The statement up to its VALUES is the caller's: some columns only, or nothing for a row that is there."""
    db = spill.opened(tmp_path / "some.db", "CREATE TABLE some(id INTEGER PRIMARY KEY, word TEXT DEFAULT 'none');")
    spill.insert(db, "INSERT INTO some(id)", [(1,)])
    spill.insert(db, "INSERT OR IGNORE INTO some", [(1, "late"), (2, "new")])
    assert db.execute("SELECT * FROM some ORDER BY id").fetchall() == [(1, "none"), (2, "new")]
