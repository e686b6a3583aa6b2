"""The process dies at any point of an apply; resume finishes it, and nothing is written twice."""

from __future__ import annotations

import signal
import sqlite3
from pathlib import Path

import pytest

from tests.project import Project, kill_when, written_twice
from tests.sandboxed import Shared

POINTS = (
    "lock.taken",
    "run.write",
    "run.rename",
    "run.created",
    "intent.write",
    "intent.fsync",
    "request.before",
    "answer.checked",
    "result.write",
    "result.fsync",
    "end",
)


@pytest.fixture
def project(shared: Shared, tmp_path: Path) -> Project:
    made = Project(tmp_path / "project")
    shared.lend(made.folder)
    made.fill(300)
    return made


def finish(project: Project, applied_before: bool) -> None:
    """Resume (or apply, where no run was recorded yet) until it is done; then the target is as planned."""
    if applied_before:
        project.run("resume").ends()
    else:
        project.run("apply", "p1", "--yes").ends()
    project.run("plan", "-o", "p2", "--detailed-exitcode").ends()
    with project.sandbox() as sandbox:
        assert written_twice(sandbox) == []
        inserts = sandbox.counts()["insert"]
        assert (inserts["cmdb_ci_linux_server"], inserts["cmdb_ci_disk"]) == (300, 300)


SAMPLE = ("run.created", "request.before", "answer.checked", "result.fsync")


@pytest.mark.covers("PROC-04")
@pytest.mark.parametrize(
    "point", [point if point in SAMPLE else pytest.param(point, marks=pytest.mark.long) for point in POINTS]
)
def test_a_process_killed_at_a_crash_point_is_resumed(project: Project, point: str) -> None:
    project.run("plan", "-o", "p1").ends()
    killed = project.process("apply", "p1", "--yes", env={"CRASH_AT": f"{point}:1=kill"})
    assert killed.code == -signal.SIGKILL, killed.err
    rows = project.run("status").out
    if point == "end":
        assert "done" in rows
        project.run("plan", "--detailed-exitcode").ends()
        return
    finish(project, "resume" in rows)


@pytest.mark.long
@pytest.mark.covers("PROC-04", "PROC-05")
@pytest.mark.parametrize("action", ["kill", "term", "int", "raise"])
@pytest.mark.parametrize("point", POINTS[4:-1])
def test_the_whole_sweep_every_time_a_point_is_reached(project: Project, point: str, action: str) -> None:
    project.run("plan", "-o", "p1").ends()
    command: list[str] = ["apply", "p1", "--yes"]
    for nth in range(1, 40):
        done = project.process(*command, env={"CRASH_AT": f"{point}:{nth}={action}"})
        if done.code == 0:
            break
        command = ["resume"]
    finish(project, applied_before=True) if project.newest()["exit"] != 0 else None
    with project.sandbox() as sandbox:
        assert written_twice(sandbox) == []


@pytest.mark.covers("PROC-09", "PROC-12")
@pytest.mark.parametrize(("point", "fault"), [("intent.write", "enospc"), ("result.write", "eio")])
def test_a_disk_that_refuses_a_write_stops_the_run_before_the_next_request(
    project: Project, point: str, fault: str
) -> None:
    project.run("plan", "-o", "p1").ends()
    done = project.process("apply", "p1", "--yes", env={"CRASH_AT": f"{point}:2={fault}"}).ends(11)
    assert "Traceback" not in done.err
    finish(project, applied_before=True)


@pytest.mark.covers("PROC-01", "PROC-03")
@pytest.mark.parametrize(("number", "exit_class"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_cleanly_and_resume_goes_on(project: Project, number: int, exit_class: int) -> None:
    project.run("plan", "-o", "p1").ends()
    with project.sandbox() as sandbox:
        sandbox.faults("api=ire, every=1, do=delay(0.3)")
        with project.start("apply", "p1", "--yes", "--permits", "1") as process:
            kill_when(process, lambda: sandbox.counts().get("insert"), number=number)
        assert process.returncode == exit_class
        sandbox.clear_faults()
    finish(project, applied_before=True)


@pytest.mark.covers("PROC-04", "NET-09")
def test_an_apply_of_nine_thousand_records_killed_in_the_middle(project: Project) -> None:
    """No second insert in the ledger, at most one batch per worker sent again, the next plan empty."""
    project.fill(4500)
    project.run("plan", "-o", "p1").ends()
    with project.sandbox() as sandbox:
        with project.start("apply", "p1", "--yes") as process:
            kill_when(process, lambda: sandbox.counts().get("insert", {}).get("cmdb_ci_linux_server", 0) > 1000)
        before = sandbox.counts()["insert"]["cmdb_ci_linux_server"]
        assert before < 4500
        project.run("resume").ends()
        assert written_twice(sandbox) == []
        inserts = sandbox.counts()["insert"]
        assert (inserts["cmdb_ci_linux_server"], inserts["cmdb_ci_disk"]) == (4500, 4500)
    with sqlite3.connect(project.folder / ".syncengine" / "state.db") as state:
        intents, batches = state.execute(
            "SELECT COUNT(*), COUNT(DISTINCT batch) FROM entry WHERE kind='intent'"
        ).fetchone()
    assert batches <= project.summary("p1")["batches"]
    assert intents - batches <= 4, "at most one batch per worker is sent again"
    project.run("plan", "--detailed-exitcode").ends()
