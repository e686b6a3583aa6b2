"""Keys that only case or composition tells apart: a target may take them for one, so somebody must be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncengine.changes import BadRow, Record
from tests.spec.helpers import HEAD, mapped, spec

TEXT = f"{HEAD}source: rows.csv\nsteps: {{t: {{cmdb: cmdb_ci_server, key: k, fields: {{name: n}}}}}}\n"


@pytest.mark.covers("SRC-30")
@pytest.mark.parametrize("other", ["SRV-é", "srv-E\u0301", "sRv-é  "])
def test_a_key_that_differs_in_case_or_composition_only_is_told_and_sent(tmp_path: Path, other: str) -> None:
    """A warning that names both rows; spaces at the ends are no part of a key."""
    made = spec(tmp_path, TEXT, rows_csv=f"k,n\nsrv-é,a\nb,c\n{other},d\n")
    found, worker = mapped(made)
    (warning,) = [one for one in found if isinstance(one, BadRow)]
    assert (warning.level, warning.problem.code, warning.place.row) == ("warn", "similar-key", 3)
    assert "row 1" in warning.problem.message
    assert [one.key for one in found if isinstance(one, Record)] == ["srv-é", "b", other.strip()]
    assert worker.counts.warned == 1


def test_keys_that_are_the_same_or_quite_different_are_not_told(tmp_path: Path) -> None:
    """Equal rows of one key are one record, as before."""
    made = spec(tmp_path, TEXT, rows_csv="k,n\na,x\na,x\nab,x\n")
    found, worker = mapped(made)
    assert [type(one) for one in found] == [Record, Record]
    assert (worker.counts.warned, worker.counts.collapsed) == (0, 1)
