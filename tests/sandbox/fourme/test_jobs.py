"""Jobs: their states on the sandbox's clock, how they are forgotten, their logs, and what fault rules make of them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import requests

from syncengine.sandbox.process import attach
from tests.sandbox.fourme.conftest import Client, Row, written

PEOPLE: list[Row] = [
    {"Source": "HR", "Source ID": str(n), "Name": f"P {n}", "Primary Email": f"p{n}@x.com"} for n in range(1, 11)
]
FILE = written(PEOPLE)


def token(me: Client, kind: str = "people", content: str = FILE) -> str:
    """An upload's token."""
    found: str = me.upload(kind, content).json()["token"]
    return found


def state(me: Client, job: str) -> dict[str, object]:
    """A job as it stands, without doing anything for it."""
    told: dict[str, object] = me.get(f"/import/{job}").json()
    return told


def test_a_job_is_queued_then_read_line_by_line_then_done(me: Client) -> None:
    """On the sandbox's clock; the line counts the header, by setting."""
    me.running.settings(fourme__start_seconds=60, fourme__rows_per_second=1)
    job = token(me)
    assert state(me, job) == {"state": "queued"}
    me.running.advance(64)
    assert state(me, job) == {"state": "processing", "line": 5}
    me.running.settings(fourme__line="rows")
    assert state(me, job) == {"state": "processing", "line": 4}
    me.running.settings(fourme__line="absent")
    assert state(me, job) == {"state": "processing"}
    me.running.advance(10)
    told = state(me, job)
    assert told["state"] == "done"
    counters = {"created": 10, "updated": 0, "deleted": 0, "unchanged": 0, "failures": 0, "errors": 0}
    assert told["results"] == counters


@pytest.mark.covers("JOB-09")
def test_a_finished_job_is_forgotten_after_five_minutes(me: Client) -> None:
    """Its log lives on for two days; another token is the same 404."""
    told = me.load("people", FILE)
    job = token(me)
    me.job(job)
    me.running.advance(299)
    assert state(me, job)["state"] == "done"
    me.running.advance(2)
    answer = me.get(f"/import/{job}")
    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})
    assert me.get("/import/0123456789abcdef").status_code == 404
    link = told["logfile"]
    assert requests.get(link, timeout=10).status_code == 200
    me.running.advance(172_800)
    assert requests.get(link, timeout=10).status_code == 403


def test_jobs_of_one_account_run_one_after_the_other(me: Client) -> None:
    """A row of the second finds what the first has written; by setting they run side by side."""
    me.running.settings(fourme__rows_per_second=1)
    first, second = token(me), token(me)
    me.running.advance(5)
    assert state(me, first)["state"] == "processing"
    assert state(me, second) == {"state": "queued"}
    me.running.settings(fourme__jobs_at_once=2)
    me.running.advance(1)
    assert state(me, second)["state"] == "processing"


@pytest.mark.covers("JOB-03")
def test_a_stuck_job_stays_queued_and_others_pass_it(me: Client) -> None:
    """For ever."""
    me.running.faults("api=me_upload, times=1, do=job(stuck)")
    job = token(me)
    assert me.load("people", FILE)["results"]["created"] == 10
    me.running.advance(86_400)
    assert state(me, job) == {"state": "queued"}


@pytest.mark.covers("JOB-06")
def test_a_job_in_error_keeps_what_it_has_done(me: Client) -> None:
    """Counters, message, and the rows are there."""
    me.running.faults("api=me_upload, times=1, do=job(error(4))")
    told = me.load("people", FILE)
    assert (told["state"], told["message"]) == ("error", "Too many import failures")
    assert (told["results"]["created"], told["results"]["errors"]) == (4, 1)
    assert len(me.rows("people")) == 4
    me.running.faults("api=me_upload, times=1, do=job(error)")
    assert me.load("people", FILE)["results"]["unchanged"] == 4


@pytest.mark.covers("JOB-07")
def test_a_job_with_failures_says_which_lines(me: Client) -> None:
    """Done, three of ten refused, the log names them."""
    me.running.faults("api=me_upload, times=1, do=job(failures(3))")
    told = me.load("people", FILE)
    assert (told["state"], told["results"]["created"], told["results"]["failures"]) == ("done", 7, 3)
    assert [line.partition(":")[0] for line in me.log(told)] == ["line 2", "line 3", "line 4"]


@pytest.mark.covers("JOB-04", "JOB-05")
def test_states_that_go_back_and_states_nobody_knows(me: Client) -> None:
    """The job itself runs as ever."""
    me.running.faults("api=me_upload, times=1, do=job(back_to_queued)")
    job = token(me)
    me.running.run_imports()
    assert [state(me, job)["state"] for _ in range(4)] == ["processing", "queued", "processing", "done"]
    me.running.clear_faults()
    me.running.faults("api=me_upload, times=1, do=job(unknown_state(1))")
    job = token(me)
    me.running.run_imports()
    assert [state(me, job)["state"] for _ in range(2)] == ["pondering", "done"]
    me.running.clear_faults()
    me.running.faults("api=me_upload, times=1, do=job(forget)")
    job = token(me)
    me.running.run_imports()
    assert me.get(f"/import/{job}").status_code == 404
    assert len(me.rows("people")) == 10


@pytest.mark.covers("JOB-01", "JOB-02", "JOB-08")
def test_an_upload_whose_answer_is_lost_is_an_import_all_the_same(me: Client) -> None:
    """The ledger has its rows; part of a file, an answer without a token, counters that do not fit."""
    me.running.faults("api=me_upload, times=1, do=commit_then_reset")
    with pytest.raises(requests.ConnectionError):
        me.upload("people", FILE)
    me.running.run_imports()
    assert len(me.running.ledger()) == 10
    me.running.clear_faults()
    more = FILE.replace("HR", "XX").replace("@x", "@y")
    me.running.faults("api=me_upload, times=1, do=commit_part(3)_then_status(502)")
    assert me.upload("people", more).status_code == 502
    me.running.run_imports()
    assert len(me.running.ledger()) == 13
    me.running.clear_faults()
    me.running.faults("api=me_upload, times=1, do=missing(token)", "api=me_poll, do=count(-2)")
    assert me.upload("people", FILE).json() == {}
    assert me.load("people", more)["results"]["created"] == 5


@pytest.mark.covers("JOB-11", "JOB-12")
def test_logs_that_are_missing_or_elsewhere(me: Client) -> None:
    """Each kind of fault; the link to another host still answers there, and a login is refused."""
    bad = FILE + "HR,11,,p11@x.com\n"
    told = me.load("people", bad)
    assert me.log(told) == ["line 12: Name can't be blank"]
    refused = me.session.get(told["logfile"], timeout=10)
    assert (refused.status_code, "Only one auth mechanism" in refused.text) == (400, True)
    assert requests.get(told["logfile"].split("?")[0], timeout=10).status_code == 403
    seen = {}
    for fault in ("404", "403", "html", "binary", "truncated"):
        me.running.faults(f"api=me_log, times=1, do=log({fault})")
        answer = requests.get(told["logfile"], timeout=10)
        seen[fault] = (answer.status_code, answer.headers["content-type"].partition(";")[0])
        me.running.clear_faults()
    assert seen == {
        "404": (404, "application/xml"),
        "403": (403, "application/xml"),
        "html": (200, "text/html"),
        "binary": (200, "application/octet-stream"),
        "truncated": (200, "text/plain"),
    }
    me.running.faults("api=me_upload, times=1, do=log(other_host)")
    elsewhere = me.load("people", bad)["logfile"]
    assert elsewhere.startswith("http://localhost:")
    assert requests.get(elsewhere, timeout=10).text.splitlines()[2:] == ["line 12: Name can't be blank"]


@pytest.mark.covers("JOB-17", "SEC-27")
def test_text_that_a_spreadsheet_or_a_csv_reader_would_take_for_more_arrives_unchanged(me: Client) -> None:
    """Formulas, quotes, delimiters, line breaks; exports put a tab before some of them."""
    odd = ['=1+1, "x"', "+1 512", "-5", "@home", "two\nlines", "tab\there", "’"]
    rows = [{**PEOPLE[n], "Location": text} for n, text in enumerate(odd)]
    assert me.results("people", rows) == {"created": len(odd)}
    shown = [row["Location"] for row in me.rows("people")]
    assert shown == [f"\t{text}" if text[0] in "=+-@" else text for text in odd]
    assert [r["location"] for r in me.get("/people", source="HR", fields="location").json()] == odd


def test_too_many_failures_end_a_job(me: Client) -> None:
    """After a number that is a setting."""
    me.running.settings(fourme__max_failures=3)
    told = me.load("people", FILE.replace("p", "").replace("@x.com", ""))
    assert told["state"] == "done"
    told = me.load("people", "\n".join(["Name", *"abcdefgh"]))
    assert (told["state"], told["message"], told["results"]["failures"]) == ("error", "Too many import failures", 4)


@pytest.mark.covers("JOB-13")
def test_two_imports_of_one_type_do_not_mix(me: Client) -> None:
    """The second begins when the first has ended."""
    one, two = token(me), token(me)
    assert me.job(one)["results"]["created"] == 10
    assert me.job(two)["results"]["unchanged"] == 10


def test_a_server_that_is_killed_goes_on_with_its_jobs(tmp_path: Path) -> None:
    """Rows that were taken are not taken again, and the counters are those of the whole file."""
    seed = tmp_path / "seed.yaml"
    seed.write_text("settings: {fourme.rows_per_second: 1}\n")
    with attach(tmp_path / "data", seeds=[seed]) as running:
        me = Client(running)
        job = token(me)
        running.advance(4)
        assert state(me, job) == {"state": "processing", "line": 5}
        os.kill(running.pid, signal.SIGKILL)
        os.waitpid(running.pid, 0)
    with attach(tmp_path / "data") as running:
        me = Client(running)
        running.advance(20)
        told = state(me, job)
        assert (told["state"], told["results"]) == (
            "done",
            {"created": 10, "updated": 0, "deleted": 0, "unchanged": 0, "failures": 0, "errors": 0},
        )
        assert len(running.ledger()) == 10
