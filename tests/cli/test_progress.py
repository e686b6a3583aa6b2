"""Whoever waits is told for what: progress while nothing moves, and why a connection pauses."""

from __future__ import annotations

import time

import pytest

from syncengine.cli import progress
from syncengine.errors import Problem
from syncengine.transport.answer import Answer, Ending


@pytest.mark.covers("NET-48")
def test_a_sign_of_life_comes_before_the_first_answer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a minute for one call is not silent; once it is over nothing more is said."""
    monkeypatch.setattr(progress, "PATIENCE", 0.02)
    monkeypatch.setattr(progress, "EVERY", 0.06)
    with progress.progress("Applying") as shown:
        time.sleep(0.2)
        said = capsys.readouterr().err
        assert said.startswith("Applying: no answer yet (")
        shown.add("settled", 1200)
        time.sleep(0.15)
    said = capsys.readouterr().err
    assert "Applying: 1,200 settled (" in said
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_a_wait_is_told_once_however_many_wait(capsys: pytest.CaptureFixture[str]) -> None:
    told = progress.Waits()
    answer = Answer(Ending.THROTTLED, problem=Problem("too-many-requests", "HOST: the server is asked too often"))
    told(answer, 0.5)
    for _ in range(8):
        told(answer, 60.0)
    assert capsys.readouterr().err == "HOST: the server is asked too often; waiting 60 s\n"
