"""Import jobs under the faults of the catalogue: what became of each row, and no second upload without looking."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, fields

import pytest

from syncengine.cli.apply import complaint
from syncengine.errors import Exit
from syncengine.execution.summary import Summary
from syncengine.sandbox.process import Running
from syncengine.targets.fourme import FourmeTarget
from syncengine.transport.clock import Clock
from tests.processes import started
from tests.targets.fourme.desk import Desk, csv_of, lines


def told(summary: Summary) -> dict[str, int]:
    """How many rows ended how."""
    found: dict[str, int] = {}
    for step in summary.steps.values():
        for result, actions in step.results.items():
            found[result] = found.get(result, 0) + sum(actions.values())
    return found


def hurried() -> Clock:
    """A clock on which an hour of waiting takes no time."""
    at = [0.0]

    def sleep(seconds: float) -> None:
        at[0] += seconds
        time.sleep(0)

    return Clock(lambda: at[0] + time.monotonic(), sleep)


@pytest.mark.covers("JOB-01")
def test_an_upload_whose_answer_is_lost_is_looked_for_and_not_repeated(desk: Desk) -> None:
    """The rows are there, so they were imported: one job."""
    plan = desk.plan(people_csv=csv_of(6))
    desk.sandbox.faults("api=me_upload, at=1, do=commit_then_reset")
    summary = desk.apply(plan)
    assert told(summary) == {"applied": 6}
    assert desk.jobs() == 1
    assert len(desk.people()) == 6


@pytest.mark.covers("JOB-01")
def test_an_upload_that_never_arrived_is_sent_again_after_looking(desk: Desk) -> None:
    """Nothing of it is there, twice."""
    plan = desk.plan(people_csv=csv_of(6))
    desk.sandbox.faults("api=me_upload, at=1, do=reset")
    assert told(desk.apply(plan)) == {"applied": 6}
    assert desk.jobs() == 1


@pytest.mark.covers("JOB-02")
@pytest.mark.parametrize("fault", ["do=missing(token)", "do=commit_then_status(500)"])
def test_an_answer_without_a_token_is_settled_by_looking(desk: Desk, fault: str) -> None:
    """The file was taken, whatever the answer says."""
    plan = desk.plan(people_csv=csv_of(4))
    desk.sandbox.faults(f"api=me_upload, at=1, {fault}")
    assert told(desk.apply(plan)) == {"applied": 4}
    assert desk.jobs() == 1


@pytest.mark.covers("JOB-03")
def test_a_job_that_stays_queued_is_left_to_resume_after_an_hour(desk: Desk) -> None:
    """Unknown, with the token in the journal; resume asks after the same job and uploads nothing."""
    plan = desk.plan(people_csv=csv_of(3))
    desk.count_uploads()
    desk.sandbox.faults("api=me_upload, at=1, do=job(stuck)")
    summary = desk.apply(plan, clock=hurried())
    assert told(summary) == {"unknown": 3}
    assert summary.exit is Exit.UNKNOWN
    again = desk.resume(summary.run, clock=hurried())
    assert told(again) == {"unknown": 3}
    assert desk.jobs_begun() == 1
    assert not desk.uploads()


@pytest.mark.covers("JOB-04", "JOB-05")
@pytest.mark.parametrize("fault", ["back_to_queued", "unknown_state(2)"])
def test_states_that_go_back_or_that_nobody_knows_are_waited_through(desk: Desk, fault: str) -> None:
    """Polling goes on."""
    plan = desk.plan(people_csv=csv_of(3))
    desk.sandbox.faults(f"api=me_upload, at=1, do=job({fault})")
    assert told(desk.apply(plan, clock=hurried())) == {"applied": 3}


@pytest.mark.covers("JOB-06")
def test_a_job_that_stops_early_is_partly_applied(desk: Desk) -> None:
    """What was done is applied, the rest was not reached; the step stops and resume sends only the rest."""
    plan = desk.plan(people_csv=csv_of(10))
    desk.sandbox.faults("api=me_upload, at=1, do=job(error(4))")
    summary = desk.apply(plan)
    found = told(summary)
    assert found["applied"] == 4
    assert found["not_sent"] == 6
    assert summary.problem is not None
    assert summary.problem.code == "import-stopped"
    assert "Too many" in summary.problem.found
    desk.sandbox.clear_faults()
    assert told(desk.resume(summary.run)) == {"applied": 10}
    assert len(desk.people()) == 10
    assert len([entry for entry in desk.uploads() if entry["kind"] == "insert"]) == 10


def test_what_is_left_of_a_job_that_stopped_early_is_retried(desk: Desk) -> None:
    """Such a run is over, so no resume finds it by itself: the advice is what works."""
    plan = desk.plan(people_csv=csv_of(10))
    desk.sandbox.faults("api=me_upload, at=1, do=job(error(4))")
    error = complaint(desk.apply(plan))
    assert error is not None
    assert [one.code for one in error.problems] == ["import-stopped", "rejected"]
    assert "resume" not in error.effect + "".join(one.fix for one in error.problems)
    assert "syncengine retry" in error.problems[-1].fix


def test_a_job_that_stopped_after_its_last_row_left_nothing(desk: Desk) -> None:
    """Every record is as it was sent: the run is done."""
    plan = desk.plan(people_csv=csv_of(3))
    desk.sandbox.faults("api=me_upload, at=1, do=job(error(3))")
    summary = desk.apply(plan)
    assert (summary.exit, summary.problem, told(summary)) == (Exit.OK, None, {"applied": 3})


@pytest.mark.covers("JOB-07")
def test_failures_are_found_in_the_log_by_their_line(desk: Desk) -> None:
    """`done` is no success while rows were refused; each is rejected with what the log says."""
    plan = desk.plan(people_csv=csv_of(10))
    desk.sandbox.faults("api=me_upload, at=1, do=job(failures(3))")
    summary = desk.apply(plan)
    assert told(summary) == {"applied": 7, "rejected": 3}
    assert summary.exit is Exit.PARTIAL
    assert sorted(one["sourceID"] for one in desk.people()) == [f"E{n:04}" for n in range(4, 11)]
    rejects = (desk.state.run_directory(summary.run) / "rejects.csv").read_text()
    assert [line.count("E000") > 0 for line in rejects.splitlines()[1:]] == [True] * 3


def test_a_person_without_a_source_becomes_ours_by_the_e_mail(desk: Desk) -> None:
    """A new pair with a known e-mail would be refused, so the row goes by the ID; the plan shows the pair it gets."""
    desk.sync(people_csv=csv_of(1))
    desk.sandbox.seed(
        {"4me": {"records": {"people": [{"Name": "Taken", "Primary Email": "e0002@x.example"}]}}}, force=True
    )
    plan = desk.plan(people_csv=csv_of(3))
    assert [(one.key, one.action) for one in plan.changes()][:3] == [
        ("E0001", "unchanged"),
        ("E0002", "update"),
        ("E0003", "create"),
    ]
    (adopted,) = lines(plan, "update")
    assert adopted.before["Source ID"] == ""
    assert told(desk.apply(plan))["applied"] == 2
    assert len(desk.people()) == 3
    assert {one["sourceID"] for one in desk.people()} == {"E0001", "E0002", "E0003"}


@pytest.mark.covers("JOB-08")
def test_counts_that_do_not_fit_are_settled_by_looking(desk: Desk) -> None:
    """Both numbers are told; what is there was applied."""
    plan = desk.plan(people_csv=csv_of(4))
    desk.sandbox.faults("api=me_poll, every=1, do=count(-1)")
    summary = desk.apply(plan)
    assert told(summary) == {"applied": 4}


@pytest.mark.covers("JOB-09")
def test_a_job_that_is_forgotten_is_settled_by_reading_records(desk: Desk) -> None:
    """404 says nothing of what it did."""
    plan = desk.plan(people_csv=csv_of(5))
    desk.sandbox.faults("api=me_upload, at=1, do=job(forget)")
    assert told(desk.apply(plan)) == {"applied": 5}
    assert desk.jobs() == 1


@pytest.mark.covers("JOB-11")
@pytest.mark.parametrize("fault", ["404", "403", "html", "binary", "truncated", "huge"])
def test_a_log_that_cannot_be_read_leaves_the_rows_to_a_look(desk: Desk, fault: str) -> None:
    """The counts stand; which rows were refused is seen at the records."""
    plan = desk.plan(people_csv=csv_of(6))
    desk.sandbox.faults("api=me_upload, at=1, do=job(failures(2))", f"api=me_log, do=log({fault})")
    summary = desk.apply(plan)
    assert told(summary) == {"applied": 4, "rejected": 2}
    assert summary.exit is Exit.PARTIAL
    assert any("details unavailable" in note for note in summary.notes) or fault == "truncated"


@pytest.mark.covers("JOB-12")
def test_a_log_on_another_host_is_not_fetched(desk: Desk) -> None:
    """Nobody said that files of that host may be fetched."""
    plan = desk.plan(people_csv=csv_of(6))
    desk.sandbox.faults("api=me_upload, at=1, do=job(failures(2))", "api=me_upload, at=1, do=log(other_host)")
    summary = desk.apply(plan)
    assert told(summary) == {"applied": 4, "rejected": 2}
    assert any("is not one that files are fetched from" in note for note in summary.notes)


@pytest.mark.covers("JOB-15", "JOB-17")
def test_quotes_formulas_and_line_breaks_arrive_as_they_are(desk: Desk) -> None:
    """One row stays one row; nothing is escaped for spreadsheets; the tab of an export is no difference."""
    odd = ["=1+1", '"quoted, twice"', "+33 1", "- a list", "@home", "two\nlines", "a\tb", "é€𝄞"]
    rows = "\n".join(
        f'E{n:04},e{n:04}@x.example,N{n},"{text.replace(chr(34), chr(34) * 2)}",' for n, text in enumerate(odd)
    )
    desk.sync(people_csv=f"id,mail,name,title,boss\n{rows}\n")
    assert sorted(one["job_title"] for one in desk.people()) == sorted(odd)
    assert not lines(desk.plan(people_csv=f"id,mail,name,title,boss\n{rows}\n"), "update")


@pytest.mark.covers("JOB-16")
def test_a_value_that_is_left_out_stays_and_one_that_is_cleared_goes(desk: Desk) -> None:
    """Rows with other filled columns go in another file."""
    desk.sync(people_csv=csv_of(2))
    assert not lines(desk.plan(people_csv=csv_of(2, title=lambda n: "")), "update")
    spec = """syncengine: 1
data_source: HR
source: people.csv
steps:
  people: {4me: people, key: id, if_empty: clear, fields: {Primary Email: mail, Name: name, Job Title: title}}
"""
    plan = desk.plan(spec, people_csv=csv_of(2, title=lambda n: "" if n == 1 else "Clerk"))
    (change,) = lines(plan, "update")
    assert (change.key, change.before) == ("E0001", {"Job Title": "Clerk"})
    desk.apply(plan)
    assert sorted(str(one["job_title"] or "") for one in desk.people()) == ["", "Clerk"]


@pytest.mark.covers("JOB-09", "JOB-10")
@pytest.mark.parametrize("later", [60, 3600])
def test_a_run_that_is_killed_while_it_waits_goes_on_with_the_same_job(desk: Desk, later: int) -> None:
    """The token was in the journal before the first poll; an hour later nobody knows the job, and records tell."""
    plan = desk.plan(people_csv=csv_of(5))
    desk.sandbox.faults("api=me_upload, at=1, do=delay(3)")
    script = (
        "import sys, json; from pathlib import Path; from syncengine.sandbox.process import FourmeLogin, Running;"
        "from tests.targets.fourme.desk import Desk; from syncengine.planning.plan_file import open_plan;"
        "said = json.loads(sys.argv[2]); login = FourmeLogin(**said.pop('fourme'));"
        "desk = Desk(Running(**said, fourme=login), Path(sys.argv[1]));"
        "desk.apply(open_plan(Path(sys.argv[3])))"
    )
    said = {one.name: getattr(desk.sandbox, one.name) for one in fields(Running)}
    said |= {"ca": None, "fourme": asdict(desk.sandbox.fourme)}
    where = [str(desk.place), json.dumps(said), str(plan.path)]
    until = time.monotonic() + 120
    with started([sys.executable, "-c", script, *where]):
        while not desk.sandbox.met() and time.monotonic() < until:
            time.sleep(0.05)
        desk.sandbox.settings(fourme__start_seconds=40)  # for this upload; the export that it compares with is over
        while not desk.started() and time.monotonic() < until:
            time.sleep(0.05)
        assert desk.started()
    (run,) = [row.id for row in desk.state.runs()]
    desk.sandbox.settings(fourme__start_seconds=0)
    desk.sandbox.advance(later)
    assert told(desk.resume(run)) == {"applied": 5}
    assert desk.jobs() == 1


@pytest.mark.covers("JOB-14")
def test_polls_that_are_too_many_wait_and_the_job_is_still_seen_to_its_end(desk: Desk) -> None:
    """A refused question after a job says nothing of the job."""
    plan = desk.plan(people_csv=csv_of(4))
    desk.sandbox.faults(*(f"api=me_poll, at={at}, do=status(429), retry_after=1" for at in (1, 2, 4)))
    slept: list[float] = []
    clock = Clock(lambda: sum(slept) + time.monotonic(), lambda seconds: slept.append(seconds))
    assert told(desk.apply(plan, clock=clock)) == {"applied": 4}
    assert len([one for one in slept if one > 0.5]) >= 2
    assert desk.jobs() == 1


@pytest.mark.covers("JOB-13")
def test_two_files_of_one_type_never_wait_side_by_side(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many jobs the account may have: the second block of an owner would remove what the first one brought."""
    monkeypatch.setattr(FourmeTarget, "batch_limit", 2)
    plan = desk.plan(people_csv=csv_of(6))
    desk.import_jobs = 4
    desk.sandbox.settings(fourme__start_seconds=60, fourme__jobs_at_once=4)
    desk.count_uploads()
    waiting: list[int] = []
    clock = desk.passing(lambda: waiting.append(desk.jobs_begun() - desk.jobs()))
    assert told(desk.apply(plan, clock=clock)) == {"applied": 6}
    assert desk.jobs_begun() == 3
    assert max(waiting) == 1


@pytest.mark.covers("SCALE-12", "JOB-09")
@pytest.mark.parametrize("size", [20, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
def test_many_jobs_are_all_seen_to_their_end_within_five_minutes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """By the sandbox's clock, which goes on while somebody sleeps: it forgets a job five minutes after its end.

    A limit of ten calls a minute makes polls and uploads wait for each other all the time.
    """
    monkeypatch.setattr(FourmeTarget, "batch_limit", 1)
    plan = desk.plan(people_csv=csv_of(size))
    assert plan.manifest.batches == size
    desk.sandbox.faults("api=*, do=rate_limit(10/60)")
    clock = desk.passing()
    began = clock.now()
    summary = desk.apply(plan, clock=clock)
    desk.sandbox.clear_faults()
    assert told(summary) == {"applied": size}
    assert desk.jobs() == size
    assert clock.now() - began > 6 * size, "the limit was never met"
