"""What somebody does before there is a spec, and what a script does that cannot answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncengine.errors import Exit
from tests.cli.here import Here


def test_an_environment_can_be_examined_before_there_is_a_spec(here: Here) -> None:
    """The way to the server and the login are what is looked at first."""
    (here.folder / "specs" / "estate.yaml").unlink()
    told = here.run("doctor", "--env", "dev").ends(Exit.OK).out
    assert "warning  specs: there are none yet" in told
    assert "ok       login" in told


def test_a_reset_that_nobody_can_confirm_is_refused(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is deleted, and the way for scripts is named."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    assert "fix: add --yes" in here.run("sandbox", "reset", "--data", str(tmp_path / "data")).ends(Exit.SPEC).err


def test_a_hash_of_a_few_digits_is_no_hash_of_a_plan(here: Here) -> None:
    """Too short is told as that."""
    here.plan()
    assert "at least twelve digits" in here.run("apply", "p", "--yes", "--plan-hash", "abc").ends(Exit.STALE).err
