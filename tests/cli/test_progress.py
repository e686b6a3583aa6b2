"""Whoever waits is told for what: progress while nothing moves, and why a connection pauses."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from syncengine.cli import progress
from syncengine.errors import Problem
from syncengine.transport.answer import Answer, Ending
from tests.inside import Inside
from tests.waiting import wait_for


@pytest.mark.covers("NET-48")
def test_a_sign_of_life_comes_before_the_first_answer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a minute for one call is not silent; once it is over nothing more is said."""
    monkeypatch.setattr(progress, "PATIENCE", 0.02)
    monkeypatch.setattr(progress, "EVERY", 0.06)
    with progress.progress("Applying") as shown:
        wait_for(lambda: "Applying: no answer yet (" in capsys.readouterr().err)
        shown.add("settled", 1200)
        wait_for(lambda: "Applying: 1,200 settled (" in capsys.readouterr().err)
    capsys.readouterr()
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_a_wait_is_told_once_however_many_wait(capsys: pytest.CaptureFixture[str]) -> None:
    told = progress.Waits()
    answer = Answer(Ending.THROTTLED, problem=Problem("too-many-requests", "HOST: the server is asked too often"))
    told(answer, 0.5)
    for _ in range(8):
        told(answer, 60.0)
    assert capsys.readouterr().err == "HOST: the server is asked too often; waiting 60 s\n"


@pytest.mark.covers("SCALE-18")
def test_a_run_at_a_limit_says_what_the_limit_is_and_how_long_it_takes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first refusal, and with every line of progress; what was done before does not count."""
    now = [1000.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    shown = progress.Progress("Applying")
    shown.begin(12_000, 2_000)
    now[0] += 3600
    shown.add("settled", 1_000)
    assert capsys.readouterr().err == "Applying: 3,000 settled (60 min, about 9.0 h left)\n"
    told = progress.Waits()
    problem = Problem("too-many-requests", "HOST: the server is asked too often")
    told(Answer(Ending.THROTTLED, 429, headers={"x-ratelimit-limit": "100"}, problem=problem), 3000.0)
    assert capsys.readouterr().err == (
        "HOST: the server is asked too often (it allows 100 calls in its window); waiting 50 min\n"
    )
    shown.add("settled", 9_000)
    now[0] += 60
    shown.add("settled", 0)
    assert "left" not in capsys.readouterr().err


def test_a_limit_of_a_server_is_told_while_a_command_waits(inside: Inside) -> None:
    """The whole way: from its headers to the screen of whoever waits for it."""
    inside.monkeypatch.setattr(progress, "PATIENCE", 0.0)
    inside.estate(3)
    inside.sandbox.faults("api=ire_query, at=1, do=status(429), retry_after=1")
    said = inside.plan().ends()
    assert "the server is asked too often; waiting 1 s" in said.err
