"""What a project tells of its runs: report, status, and the locks that a person lets go of."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree import ElementTree

import orjson
import pytest

from syncengine.cli.apply import complaint
from syncengine.errors import Exit
from syncengine.execution.locks import lock_name
from syncengine.execution.summary import StepSummary, Summary
from syncengine.planning.plan_file import open_plan
from tests.cli.here import Here
from tests.processes import started

HOLD = """\
import sys, filelock
lock = filelock.FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def refused(here: Here) -> str:
    """A run that leaves S3 and S9 behind, with what lives in S3; returns it."""
    here.source("servers", "serial,name,os", *(f"S{n},srv{n},Debian" for n in range(4)), "S9,srv3,Debian")
    here.plan()
    here.apply().ends(Exit.PARTIAL)
    return str(here.newest()["run"])


def test_a_report_tells_how_a_run_ended_and_every_row_that_was_not_applied(here: Here) -> None:
    run = refused(here)
    told = here.run("report").told
    assert told.startswith(f"Run         {run}: partial")
    for said in ("Not applied of estate.servers", "S9  (servers.csv row 5, line 6): rejected", "fix: "):
        assert said in told
    assert told.endswith(f"Next        syncengine retry {run} --yes\n")
    assert not [line for line in told.splitlines() if len(line) > 80 and " " in line.strip()]
    said, *outcomes = here.run("report", run, "--format", "json").lines
    assert (said["ending"], said["exit"], said["next"]) == ("partial", 7, f"syncengine retry {run} --yes")
    results = [one["result"] for one in outcomes]
    assert (results.count("applied"), results.count("rejected")) == (13, 4)
    assert all(one["sys_id"] and one["operation"] for one in outcomes if one["result"] == "applied")
    assert all(one["message"] for one in outcomes if one["result"] == "rejected")
    told = here.run("report", run, "--format", "markdown").told
    assert "<summary>rejected: 4</summary>" in told
    told = here.run("report", run, "--format", "html").told
    assert "4 operations not applied" in told
    assert told.index("Rejected") < told.index("Applied: Create")
    told = here.run("report", run, "--format", "github").told
    assert "::error file=specs/servers.csv,line=6,title=" in told
    suite = ElementTree.fromstring(here.run("report", run, "--format", "junit").told)
    assert suite.findall("testcase[@name='applied']/system-out")[0].text == "3 applied, 2 rejected"
    assert here.run("show", run, "--format", "junit").told.startswith("<?xml")


@pytest.mark.parametrize("form", ["markdown", "html", "github", "junit"])
def test_a_run_is_told_when_it_ends_as_its_report_tells_it(here: Here, form: str) -> None:
    """By every command that ends one; the rows that were not applied stand there, one by one."""
    here.source("servers", "serial,name,os", *(f"S{n},srv{n},Debian" for n in range(4)), "S9,srv3,Debian")
    here.plan()
    told = here.run("apply", "p", "--yes", "--format", form).out
    assert told == here.run("report", "--format", form).told
    assert "S9" in told
    told = here.run("retry", "--yes", "--format", form).out
    assert told.endswith(here.run("report", "--format", form).told)
    if form in ("html", "junit"):
        assert told.count("<!doctype" if form == "html" else "<?xml") == 1


def test_sync_tells_one_document_and_the_plan_where_nothing_was_sent(here: Here) -> None:
    """A page or a test report that holds two would be none."""
    arguments = ("--env", "dev", "--yes", "--format", "junit")
    suite = ElementTree.fromstring(here.run("sync", *arguments).out)
    assert (suite.attrib["name"], suite.attrib["failures"]) == (f"syncengine run {here.newest()['run']}", "0")
    suite = ElementTree.fromstring(here.run("sync", *arguments).out)
    assert suite.attrib["name"] == "syncengine plan dev"


def test_a_run_that_stops_says_why_in_every_format(here: Here) -> None:
    """And what resume makes of it is told in the same way."""
    here.plan()
    here.sandbox.faults("api=ire, do=unauthorized")
    told = here.run("apply", "p", "--yes", "--format", "junit")
    here.sandbox.clear_faults()
    told.ends(Exit.AUTH)
    suite = ElementTree.fromstring(told.out)
    assert suite.findall("testcase[@name='reached its end']/failure[@type='login-refused']")
    told = here.run("report", "--format", "github")
    assert "title=login-refused::" in told.out
    assert "Stopped: `login-refused`" in here.run("report", "--format", "markdown").out
    suite = ElementTree.fromstring(here.run("resume", "--format", "junit").out)
    assert suite.attrib["failures"] == "0"


def test_a_report_writes_the_rows_that_were_not_applied_where_their_file_is_missing(here: Here) -> None:
    """The disk may have refused it when the run ended; the journal has all of it."""
    run = refused(here)
    path = here.folder / ".syncengine" / "runs" / run / "rejects.csv"
    before = path.read_bytes()
    path.unlink()
    told = here.run("report").told
    assert f"Rows        .syncengine/runs/{run}/rejects.csv" in told
    assert path.read_bytes() == before
    assert b"S9,srv3,Debian" in before


SHELF = """\
syncengine: 1
data_source: Other Automated
sources: {racks: {file: shelf.json, rows: racks}, boxes: {file: shelf.json, rows: boxes}}
steps:
  boxes: {source: boxes, cmdb: cmdb_ci_linux_server, key: serial, fields: {name: name, serial_number: serial}}
  racks: {source: racks, cmdb: cmdb_ci_rack, key: rack, fields: {name: rack}}
"""


def test_a_row_that_was_not_applied_is_shown_from_its_own_list_of_a_document(here: Here) -> None:
    """A file may be several sources, each with a first row."""
    boxes = [{"serial": "B1", "name": "twin"}, {"serial": "B2", "name": "twin"}]
    (here.folder / "specs" / "shelf.json").write_bytes(
        orjson.dumps({"racks": [{"rack": "R1"}, {"rack": "R2"}], "boxes": boxes})
    )
    (here.folder / "specs" / "shelf.yaml").write_text(SHELF)
    here.run("plan", "specs/shelf.yaml", "-o", "p", "--env", "dev")
    here.apply().ends(Exit.PARTIAL)
    path = here.folder / ".syncengine" / "runs" / str(here.newest()["run"]) / "rejects.csv"
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["key"], row["serial"], row["name"]) for row in rows] == [("B1", "B1", "twin"), ("B2", "B2", "twin")]


def test_a_report_of_an_open_run_tells_what_the_journal_has(here: Here) -> None:
    """Nothing of it was sent: the door was closed."""
    here.plan()
    here.sandbox.faults("api=ire, do=unauthorized")
    here.run("apply", "p", "--yes").ends(Exit.AUTH)
    here.sandbox.clear_faults()
    run = here.newest()["run"]
    told = here.run("report").told
    assert f"Run         {run}: auth" in told
    assert f"Next        syncengine resume {run}" in told
    told = here.run("status").told
    assert told.startswith(f"Open\n  {run}  dev  auth: 16 not sent:\n      syncengine resume {run}\n")


def test_status_names_what_wants_something_done_and_forgets_it_when_it_is_done(here: Here) -> None:
    assert here.run("status").told == "No runs yet.\n"
    run = refused(here)
    told = here.run("status").told
    assert f"Rows not applied\n  {run}  partial: 4 rejected:\n      syncengine retry {run} --yes\n" in told
    assert "Newest run of each environment and specs\n  dev  partial: 4 rejected" in told
    here.source("servers", "serial,name,os", *(f"S{n},srv{n},Debian" for n in range(4)))
    here.run("retry", "--yes").ends()
    assert run not in here.run("status", here.newest()["run"]).told
    told = here.run("status").told
    assert "Rows not applied" not in told
    assert "Open" not in told
    assert len(here.run("status", "-n", "1", "--format", "json").told.splitlines()) == 1


def test_reports_of_runs_that_are_not_there_are_refused(here: Here) -> None:
    assert "this project has no run yet" in here.run("report").ends(Exit.SPEC).err
    run = refused(here)
    for command in ("report", "unlock"):
        assert f"fix: the newest: {run}" in here.run(command, "20200101-000000-0000").ends(Exit.SPEC).err
    (here.folder / ".syncengine" / "runs" / run / "plan").unlink()
    assert "error[run-without-plan]" in here.run("report").ends(Exit.STATE).err


@contextmanager
def held(here: Here, run: str, *, host: str, pid: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """The lock of a run, held by a process of its own that says it is somebody."""
    place = here.folder / ".syncengine"
    name = lock_name(open_plan(place / "runs" / run / "plan"))
    (place / "locks").mkdir(exist_ok=True)
    path = place / "locks" / f"{name}.lock"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with started([sys.executable, "-c", HOLD, path], **pipes) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        path.with_suffix(".json").write_bytes(orjson.dumps({"run": run, "pid": pid or holder.pid, "host": host}))
        yield holder


def lasting(here: Here) -> str:
    """A run that is over, with a plan after it; returns the run."""
    here.plan()
    here.apply()
    run = str(here.newest()["run"])
    here.source("apps", "app", "app0", "app1", "app2")
    here.plan()
    return run


@pytest.mark.covers("PROC-17")
def test_a_lock_of_a_live_process_is_never_let_go(here: Here) -> None:
    run = lasting(here)
    with held(here, run, host=socket.gethostname()) as holder:
        told = here.run("unlock", run, "--yes").ends(Exit.LOCKED).err
        assert f"process {holder.pid} on {socket.gethostname()}) is alive" in told
        assert f"held by run {run} (process {holder.pid}" in here.run("status").told
    assert "left it, and nobody holds it" in here.run("status").told
    done = here.run("unlock", run)
    assert (done.code, done.told) == (Exit.OK, f"Nobody holds the lock of run {run}.\n")


@pytest.mark.covers("PROC-17")
@pytest.mark.parametrize("who", [("another-host", None), (socket.gethostname(), 4_000_000)])
def test_a_lock_whose_holder_cannot_be_seen_is_let_go_when_a_person_says_so(
    here: Here, who: tuple[str, int | None]
) -> None:
    """On another machine, or in another container of this one: the number says nothing there."""
    run = lasting(here)
    with held(here, run, host=who[0], pid=who[1]):
        told = here.run("apply", "p", "--yes").ends(Exit.LOCKED).err
        assert f"if you know that it is gone:\n       syncengine unlock {run}" in told
        assert "add --yes" in here.run("unlock", run).ends(Exit.SPEC).err
        here.run("unlock", run, "--yes").ends()
        here.apply().ends()


@pytest.mark.covers("PROC-17")
def test_a_lock_of_a_run_that_died_before_it_was_written_down_is_let_go_by_its_name(here: Here) -> None:
    """Between the lock and the first line of its journal it is known only by what stands beside the lock."""
    run = lasting(here)
    with held(here, run, host="another-host"):
        (said,) = (here.folder / ".syncengine" / "locks").glob("*.json")
        said.write_bytes(said.read_bytes().replace(run.encode(), b"20260101-000000-0000"))
        here.run("unlock", "20260101-000000-0000", "--yes").ends()
        here.apply().ends()


@pytest.mark.covers("PROC-17")
def test_a_lock_is_let_go_by_the_name_of_the_run_that_holds_it(here: Here) -> None:
    first = lasting(here)
    here.apply()
    second = here.newest()["run"]
    with held(here, second, host="another-host", pid=os.getpid()):
        assert f"syncengine unlock {second}" in here.run("unlock", first, "--yes").ends(Exit.LOCKED).err


@pytest.mark.parametrize(
    ("rejected", "applied", "told"),
    [
        (1, 1, ("1 operation was not applied", "1 of 2 operations was not applied; the rest is.")),
        (2, 1, ("2 operations were not applied", "2 of 3 operations were not applied; the rest is.")),
        (1, 0, ("1 operation was not applied", "1 of 1 operation was not applied.")),
    ],
)
def test_what_was_not_applied_is_told_in_the_right_number(rejected: int, applied: int, told: tuple[str, str]) -> None:
    """One is one, and no rest is told where there is none."""
    counts = {"rejected": {"create": rejected}, "applied": {"create": applied}}
    error = complaint(Summary("r", "h", "sandbox", {"s": StepSummary(counts)}))
    assert error is not None
    assert (error.problems[0].message, error.effect) == told
