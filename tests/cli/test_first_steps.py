"""What somebody does before there is a spec, and what a script does that cannot answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncengine.errors import Exit
from tests.cli.here import Here


def test_an_environment_can_be_examined_before_there_is_a_spec(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    """The way to the server and the login are what is looked at first."""
    (here.folder / "specs" / "estate.yaml").unlink()
    assert here.run_main("doctor", "--env", "dev") == Exit.OK
    told = capsys.readouterr().out
    assert "warning  specs: there are none yet" in told
    assert "ok       login" in told


def test_a_reset_that_nobody_can_confirm_is_refused(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is deleted, and the way for scripts is named."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert here.run_main("sandbox", "reset", "--data", str(tmp_path / "data")) == Exit.SPEC
    assert "fix: add --yes" in capsys.readouterr().err


def test_a_hash_of_a_few_digits_is_no_hash_of_a_plan(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    """Too short is told as that."""
    here.plan()
    assert here.run_main("apply", "p", "--yes", "--plan-hash", "abc") == Exit.STALE
    assert "at least twelve digits" in capsys.readouterr().err
