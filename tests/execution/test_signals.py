"""Signals, streams that nobody reads, sleep: a run stops cleanly or goes on, and its journal is whole."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from syncengine.errors import Exit
from syncengine.execution import local
from tests.inside import Inside
from tests.waiting import wait_for

SLOW = "api=ire, every=1, do=delay(0.4)"


def asked(inside: Inside) -> bool:
    """Whether a write is being made."""
    return bool(inside.sandbox.met())


@pytest.mark.covers("PROC-02")
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_the_second_signal_ends_at_once_and_loses_nothing(inside: Inside, number: int) -> None:
    """Although a request is still on its way; the shell sees 130 or 143, and a person what to do."""
    inside.estate(900)
    inside.plan()
    inside.sandbox.faults("api=ire, at=1, do=hang")
    with inside.start("apply", "p", "--yes", "--permits", "1") as running:
        wait_for(lambda: asked(inside))
        running.send_signal(number)
        time.sleep(0.3)
        assert running.poll() is None, "the first signal waits for what is on its way"
        running.send_signal(number)
        _, err = running.communicate(timeout=local.GRACE / 2)
    assert running.returncode == -number
    assert "Traceback" not in err
    assert err.count("  effect: ") == 1
    run = inside.newest()["run"]
    assert f"continue with: syncengine resume {run}" in err
    inside.sandbox.clear_faults()
    inside.run("resume").ends()
    inside.settled(900)


@pytest.mark.covers("PROC-02", "PROC-03")
def test_what_is_never_answered_ends_with_the_grace_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a second signal would; a request may hang for minutes."""
    monkeypatch.setattr(local, "GRACE", 0.05)
    ended: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", ended.append)
    with local.Interrupted("r1") as interrupted:
        os.kill(os.getpid(), signal.SIGTERM)
        wait_for(lambda: ended)
    assert (interrupted.exit, ended) == (Exit.TERMINATED, [signal.SIGTERM])


@pytest.mark.covers("PROC-06")
def test_a_terminal_that_hangs_up_stops_the_run_cleanly(inside: Inside) -> None:
    inside.estate(900)
    inside.plan()
    inside.sandbox.faults(SLOW)
    with inside.start("apply", "p", "--yes", "--permits", "1") as running:
        wait_for(lambda: asked(inside))
        running.send_signal(signal.SIGHUP)
        _, err = running.communicate(timeout=60)
    assert (running.returncode, err.count("  effect: ")) == (Exit.TERMINATED, 1)
    inside.sandbox.clear_faults()
    inside.run("resume").ends()
    inside.settled(900)


@pytest.mark.covers("PROC-06")
@pytest.mark.parametrize("way", ["closed", "nobody reads", "full", "ignored"])
def test_a_run_goes_on_whatever_becomes_of_its_streams(inside: Inside, way: str) -> None:
    """`>&-`, `| head`, a full disk behind `>`, and a hang-up under `nohup`."""
    inside.estate(600)
    inside.plan()
    how: dict[str, Any] = {}
    read, write = os.pipe()
    os.close(read)
    full = os.open("/dev/full", os.O_WRONLY)
    if way == "closed":
        how = {"preexec_fn": lambda: os.closerange(0, 3), "stdout": None, "stderr": None}
    elif way == "nobody reads":
        how = {"stdout": write, "stderr": write}
    elif way == "full":
        how = {"stdout": full, "stderr": full}
    else:
        inside.sandbox.faults(SLOW)
        how = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    with inside.start("apply", "p", "--yes", **how) as running:
        if way == "ignored":
            wait_for(lambda: asked(inside))
            running.send_signal(signal.SIGHUP)
        running.communicate(timeout=60)
    os.close(write)
    os.close(full)
    assert running.returncode == Exit.OK
    inside.sandbox.clear_faults()
    inside.settled(600)


TOKENS = """\
syncengine: 1
kind: environment
connections:
  servicenow:
    kind: servicenow
    url: {url}
    settle: 1s
    auth: {{client_id: sync, client_secret: {{env: INSIDE_SECRET}}}}
"""


@pytest.mark.covers("PROC-07", "NET-16")
def test_a_machine_that_sleeps_in_the_middle_goes_on_with_a_new_login(inside: Inside) -> None:
    """Stopped while a request is on its way; meanwhile every token that was given out expires."""
    client = {"sync": {"secret": "s3cret", "user": inside.sandbox.user}}
    inside.sandbox.seed({"clients": client}, force=True)
    inside.write("environments/dev.yaml", TOKENS.format(url=inside.sandbox.url))
    inside.monkeypatch.setenv("INSIDE_SECRET", "s3cret")
    inside.estate(1100)
    inside.plan().ends()
    inside.sandbox.faults(SLOW)
    with inside.start("apply", "p", "--yes", "--permits", "1") as running:
        wait_for(lambda: asked(inside))
        running.send_signal(signal.SIGSTOP)
        inside.sandbox.advance(7200)
        time.sleep(0.6)
        running.send_signal(signal.SIGCONT)
        _, err = running.communicate(timeout=60)
    assert running.returncode == Exit.OK, err
    inside.sandbox.clear_faults()
    inside.settled(1100)


@pytest.mark.covers("PROC-17")
def test_a_lock_goes_with_the_process_that_held_it(inside: Inside) -> None:
    """What it left behind names a process that is none, or by now another one: only the lock itself counts."""
    inside.estate(3)
    inside.plan()
    inside.process("apply", "p", "--yes", env={"CRASH_AT": "lock.taken=kill"}).ends(-signal.SIGKILL)
    (left,) = (inside.state / "locks").glob("*.json")
    left.write_text(f'{{"run": "other", "pid": {os.getppid()}, "host": "here"}}')
    inside.apply().ends()
    assert not left.exists()
