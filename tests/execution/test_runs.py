"""Runs under drift, faults and interruption: every row is accounted for, nothing is written twice."""

from __future__ import annotations

import csv
import sqlite3
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from syncengine.changes import Pair, Parcel, Record
from syncengine.errors import Exit, LockedError, StaleError, StateError
from syncengine.execution.batch import BatchRunner, Done
from syncengine.execution.journal import Journal, State
from syncengine.execution.locks import locked
from syncengine.execution.summary import Summary
from tests.bench import Bench, actions, app, disk, of_action, server, uses

pytestmark = pytest.mark.usefixtures("small_batches")


def sums_up(summary: Summary, planned: int) -> bool:
    """I1: applied, rejected, stale, not sent and unknown add up to the plan."""
    return summary.operations == planned


def only_once(bench: Bench) -> bool:
    """I2: no key was inserted twice."""
    keys = [entry["key"] for entry in bench.sandbox.ledger(kind="insert") if entry.get("key")]
    keys += [entry["key"] for entry in bench.sandbox.ledger(kind="relate") if entry.get("key")]
    return len(keys) == len(set(keys))


def test_touching_every_record_between_plan_and_apply_makes_nothing_stale(bench: Bench) -> None:
    made: list[Record | Pair] = [*(server(n, os="a") for n in range(20)), *(disk(n, "sda") for n in range(20))]
    bench.sync(*made)
    plan = bench.plan(*(server(n, os="b" if n < 3 else "a") for n in range(20)), *(disk(n, "sda") for n in range(20)))
    for change in plan.changes():
        if change.sys_id:
            bench.change(change.sys_id, last_discovered="2030-01-01 00:00:00")
    summary = bench.apply(plan)
    assert (summary.exit, summary.total("applied"), summary.total("stale")) == (Exit.OK, 3, 0)


@pytest.mark.covers("IRE-13", "PROC-29")
def test_one_planned_field_changed_by_hand_stops_exactly_that_record(bench: Bench) -> None:
    bench.sync(*(server(n, os="a") for n in range(20)))
    plan = bench.plan(*(server(n, os="b" if n < 3 else "a") for n in range(20)))
    first = of_action(plan, "update")[0]
    bench.change(first.sys_id, "cmdb_ci_linux_server", os="c")
    summary = bench.apply(plan)
    assert (summary.exit, summary.total("applied"), summary.total("stale")) == (Exit.STALE, 2, 1)
    assert sums_up(summary, 3)
    with Path(summary.rejects).open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["result"], row["key"]) == ("stale", first.key)
    assert "is 'c'" in row["message"]


def test_a_record_made_by_somebody_else_is_not_made_again_and_stops_only_its_own(bench: Bench) -> None:
    plan = bench.plan(server(1), server(2), disk(1, "sda"), app(1), uses(1, 1))
    bench.connect().writer.send("/api/now/table/cmdb_ci_linux_server", body={"name": "srv1", "serial_number": "SN1"})
    summary = bench.apply(plan)
    assert summary.exit == Exit.STALE
    assert (summary.total("stale"), summary.total("not_sent"), summary.total("applied")) == (1, 3, 2)
    assert only_once(bench)


@pytest.mark.covers("PROC-30")
def test_a_plan_is_applied_once(bench: Bench) -> None:
    plan = bench.plan(server(1))
    assert bench.apply(plan).exit == 0
    with pytest.raises(StaleError) as caught:
        bench.apply(plan)
    assert "run" in caught.value.problems[0].message


@pytest.mark.covers("PROC-32")
def test_a_plan_without_changes_sends_nothing(bench: Bench) -> None:
    bench.sync(server(1))
    before = len(bench.sandbox.ledger())
    assert bench.apply(bench.plan(server(1))).exit == Exit.OK
    assert len(bench.sandbox.ledger()) == before


@pytest.mark.covers("PROC-15")
def test_a_second_run_of_the_same_specs_is_told_who_holds_the_lock(bench: Bench) -> None:
    plan = bench.plan(server(1))
    with locked(bench.state, plan, "first"), pytest.raises(LockedError) as caught:
        bench.apply(plan)
    assert "run first" in caught.value.problems[0].message


FAULTS = [
    "api=ire, at=2, do=commit_then_reset",
    "api=ire, at=2, do=commit_then_close",
    "api=ire, at=2, do=reset",
    "api=ire, at=2, do=close",
    "api=ire, at=2, do=status(500)",
    "api=ire, at=2, do=commit_then_status(500)",
    "api=ire, at=2, do=html200",
    "api=ire, at=2, do=truncate(100)",
    "api=ire, at=2, do=reorder",
    "api=ire, at=1, times=3, do=status(503), retry_after=0",
    "api=ire_query, at=2, times=2, do=status(502)",
    "api=*, every=5, do=delay(0.02)",
]


@pytest.mark.covers("NET-06", "NET-07", "NET-12", "NET-30", "NET-31", "NET-33", "NET-34", "NET-36", "IRE-12", "IRE-15")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_lost_answer_is_settled_by_looking_and_nothing_is_written_twice(bench: Bench, fault: str) -> None:
    made: list[Record | Pair] = [
        *(server(n) for n in range(90)),
        *(disk(n, "sda") for n in range(90)),
        app(1),
        uses(1, 1),
    ]
    plan = bench.plan(*made)
    bench.sandbox.faults(fault)
    summary = bench.apply(plan)
    assert bench.sandbox.met(), "the fault was never met"
    bench.sandbox.clear_faults()
    assert summary.exit == Exit.OK, summary.problem
    assert sums_up(summary, 90 * 3 + 2)
    assert only_once(bench)
    assert bench.inserts()["cmdb_ci_linux_server"] == 90
    assert bench.plan(*made).manifest.changes == 0


@pytest.mark.covers("IRE-05", "IRE-11")
def test_rows_that_the_engine_refuses_are_told_with_its_words_and_the_rest_is_applied(bench: Bench) -> None:
    made: list[Record | Pair] = [*(server(n) for n in range(50)), *(disk(n, "sda") for n in range(50))]
    plan = bench.plan(*made)
    bench.sandbox.faults("api=ire, every=1, seed=3, do=item_errors(0.1)")
    summary = bench.apply(plan)
    bench.sandbox.clear_faults()
    assert summary.exit == Exit.PARTIAL
    assert summary.total("rejected") > 0
    assert sums_up(summary, 150)
    with Path(summary.rejects).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == summary.total("rejected") + summary.total("not_sent")
    assert all(row["code"] and row["message"] for row in rows)


@pytest.mark.covers("IRE-04")
def test_an_operation_that_nobody_knows_is_never_counted_as_done(bench: Bench) -> None:
    plan = bench.plan(server(1))
    bench.sandbox.faults("api=ire, at=1, do=op(FROBNICATE)")
    summary = bench.apply(plan)
    assert summary.exit == Exit.UNKNOWN
    assert summary.total("unknown") == 1


@pytest.mark.covers("IRE-02")
def test_a_parked_item_is_rejected_and_not_success(bench: Bench) -> None:
    plan = bench.plan(server(1))
    bench.sandbox.faults("api=ire, at=1, do=op(INSERT_AS_INCOMPLETE)")
    summary = bench.apply(plan)
    assert (summary.exit, summary.total("rejected")) == (Exit.PARTIAL, 1)


@pytest.mark.covers("NET-15")
def test_a_refused_login_stops_the_run_and_resume_finishes_it(bench: Bench) -> None:
    made: list[Record | Pair] = [server(n) for n in range(120)]
    plan = bench.plan(*made)
    bench.sandbox.faults("api=ire, from=2, do=status(401)")
    summary = bench.apply(plan, permits=1)
    assert summary.exit == Exit.AUTH
    assert sums_up(summary, 120)
    assert summary.total("not_sent") > 0
    bench.sandbox.clear_faults()
    again = bench.resume(summary.run, plan)
    assert again.exit == Exit.OK
    assert again.total("applied") == 120
    assert only_once(bench)


def damage(bench: Bench, statement: str) -> None:
    """Change the journal behind its back."""
    with bench.state.engine.begin() as connection:
        assert connection.exec_driver_sql(statement).rowcount


@pytest.mark.covers("PROC-21")
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM entry WHERE seq=2",
        "UPDATE entry SET batch=7 WHERE seq=1",
        "UPDATE entry SET body=zeroblob(20) WHERE seq=2",
        "UPDATE entry SET kind='result' WHERE seq=1",
    ],
)
def test_a_damaged_journal_is_seen_before_anything_is_sent(bench: Bench, statement: str) -> None:
    plan = bench.plan(*(server(n) for n in range(3)))
    summary = bench.apply(plan)
    damage(bench, statement)
    before = len(bench.sandbox.ledger())
    with pytest.raises(StateError) as caught:
        bench.resume(summary.run, plan)
    assert "journal of run" in caught.value.problems[0].message
    assert len(bench.sandbox.ledger()) == before


def test_the_journal_says_what_was_written_to_it(bench: Bench) -> None:
    plan = bench.plan(server(1), app(1), uses(1, 1))
    summary = bench.apply(plan)
    journal = Journal(bench.state, summary.run)
    known = journal.read()
    journal.close()
    outcomes = [one for written in known.values() for one in (written.outcomes or {}).values()]
    assert sorted(one.op for one in outcomes) == sorted(change.op for change in plan.changes())
    assert all(one.result == "applied" for one in outcomes)
    assert actions(plan) == {"create": 2, "relate": 1}


def test_a_journal_that_grows_while_it_is_read_is_whole(bench: Bench) -> None:
    """What `status` tells of a run at work is as of one moment: each question of the reader meets one entry more."""
    summary = bench.apply(bench.plan(*(server(n) for n in range(3))))
    writer, elsewhere = Journal(bench.state, summary.run), State(bench.state.directory)
    whole = writer.read()
    reader = Journal(elsewhere, summary.run)
    numbers = count(len(whole))
    sa.event.listen(elsewhere.engine, "before_cursor_execute", lambda *_: writer.intent(next(numbers), [0]))
    known = reader.read()
    assert 0 < len(known) < next(numbers)
    assert known.items() >= whole.items()
    reader.close()
    elsewhere.close()
    writer.close()


def test_entries_that_wait_for_the_disk_share_the_next_commit(bench: Bench) -> None:
    """The first one goes alone; what seven threads bring while it is on its way is on disk after one more commit."""
    summary = bench.apply(bench.plan(server(1)))
    journal = Journal(bench.state, summary.run)
    before = journal.read()
    numbers = range(100, 108)
    under_way, all_wait, commits = threading.Event(), threading.Event(), []

    def commit(_connection: object) -> None:
        commits.append(1)
        under_way.set()
        assert all_wait.wait(60)

    def write(number: int) -> bool:
        journal.intent(number, [number])
        with sqlite3.connect(bench.state.path) as db:
            found = db.execute("SELECT 1 FROM entry WHERE run=? AND batch=?", (summary.run, number)).fetchall()
        db.close()
        return bool(found)

    sa.event.listen(bench.state.engine, "commit", commit)
    with ThreadPoolExecutor(8) as pool:
        written = [pool.submit(write, numbers[0])]
        assert under_way.wait(60)
        written += [pool.submit(write, number) for number in numbers[1:]]
        while len(journal._waiting) < len(numbers):
            time.sleep(0.001)
        all_wait.set()
        assert all(one.result() for one in written)
    assert len(commits) == 2
    journal.close()
    again = Journal(bench.state, summary.run)
    assert again.read().keys() == before.keys() | {*numbers}
    again.close()


def test_requests_that_touch_one_record_are_never_in_flight_together(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relations of many applications to one server go one after the other, those to different ones side by side."""
    made: list[Record | Pair] = [*(server(n) for n in range(120)), *(app(n) for n in range(120))]
    bench.sync(*made)
    flying: Counter[int] = Counter()
    together: list[int] = []
    most = [0]
    send = BatchRunner.run

    def watched(self: BatchRunner, number: int, parcel: Parcel, *more: Any, **how: Any) -> Done:
        ends = {end.op for end in parcel.ends}
        together.extend(op for op in ends if flying[op])
        flying.update(ends)
        flying[-1] += 1
        most[0] = max(most[0], flying[-1])
        time.sleep(0.05)
        done = send(self, number, parcel, *more, **how)
        flying.subtract([*ends, -1])
        return done

    monkeypatch.setattr(BatchRunner, "run", watched)
    bench.sync(*made, *(uses(n, 1) for n in range(120)))
    assert (together, most) == ([], [1])
    bench.sync(*made, *(uses(n, n) for n in range(120)))
    assert together == []
    assert most[0] > 1


@pytest.mark.covers("NET-08", "NET-09", "NET-10", "NET-13")
@pytest.mark.parametrize(
    "fault",
    [
        "api=ire, at=2, do=hang",
        "api=ire, at=2, do=commit_then_hang",
        "api=ire, at=2, do=commit_late(120)",
    ],
)
def test_a_write_that_is_never_answered_is_settled_after_its_time(bench: Bench, fault: str) -> None:
    made = [server(n) for n in range(120)]
    plan = bench.plan(*made)
    bench.sandbox.faults(fault)
    summary = bench.apply(plan, seconds=2.5, settle=330, permits=2, clock=bench.passing())
    bench.later(330)
    assert bench.sandbox.met()
    bench.sandbox.clear_faults()
    assert summary.exit == Exit.OK, summary.problem
    assert only_once(bench)
    assert bench.inserts()["cmdb_ci_linux_server"] == 120
    assert bench.plan(*made).manifest.changes == 0


@pytest.mark.covers("NET-24")
def test_a_request_that_is_too_large_is_halved_until_it_is_taken(bench: Bench) -> None:
    made: list[Record | Pair] = [*(server(n) for n in range(40)), *(disk(n, "sda") for n in range(40))]
    plan = bench.plan(*made)
    bench.sandbox.faults("api=ire, from=1, times=3, do=status(413)")
    summary = bench.apply(plan)
    assert summary.exit == Exit.OK, summary.problem
    assert sums_up(summary, 120)
    assert bench.plan(*made).manifest.changes == 0


@pytest.mark.covers("IRE-06")
def test_a_step_that_stops_on_an_error_goes_no_further_and_the_others_do(bench: Bench) -> None:
    made = [*(server(n) for n in range(150)), *(app(n) for n in range(3))]
    plan = bench.plan(*made, stops=("s.servers",))
    bench.sandbox.faults("api=ire, at=1, do=item_errors(0.01), seed=2")
    summary = bench.apply(plan, permits=1)
    servers = summary.steps["s.servers"]
    assert servers.total("rejected") > 0
    assert servers.total("not_sent") >= 50
    assert sums_up(summary, 153)


@pytest.mark.covers("IMP-15")
def test_a_run_stops_when_the_target_refuses_too_much(bench: Bench) -> None:
    plan = bench.plan(*(server(n) for n in range(200)))
    bench.sandbox.faults("api=ire, every=1, do=item_errors(1.0)")
    summary = bench.apply(plan, permits=1)
    assert summary.exit == Exit.UNSAFE
    assert summary.total("not_sent") >= 100
    assert sums_up(summary, 200)


@pytest.mark.covers("IMP-15")
@pytest.mark.usefixtures("small_batches")
def test_a_run_that_is_large_may_meet_more_refusals(bench: Bench) -> None:
    """A tenth of what was sent so far, where that is more than twenty."""
    plan = bench.plan(*(server(n) for n in range(400)))
    bench.sandbox.faults("api=ire, every=1, seed=1, do=item_errors(0.07)")
    summary = bench.apply(plan, permits=1)
    assert summary.exit == Exit.PARTIAL
    assert 20 < summary.total("rejected") <= 40
    assert sums_up(summary, 400)


@pytest.mark.covers("PROC-20", "PROC-25")
@pytest.mark.parametrize("cut", range(7))
def test_a_journal_cut_after_any_entry_is_resumed_to_the_same_state(bench: Bench, cut: int) -> None:
    made: list[Record | Pair] = [*(server(n) for n in range(110)), *(app(n) for n in range(5)), uses(1, 1)]
    plan = bench.plan(*made)
    summary = bench.apply(plan, permits=1)
    before = bench.inserts()
    damage(bench, f"DELETE FROM entry WHERE seq>{cut}")
    damage(bench, f"UPDATE run SET entries={cut}, exit=NULL")
    again = bench.resume(summary.run, plan)
    assert again.exit == (Exit.OK if cut else Exit.STALE)
    assert only_once(bench)
    assert bench.inserts() == before
    assert bench.plan(*made).manifest.changes == 0
