"""Somebody else writes, too: locks, conflicts, duplicates and rules of priority on the target."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from syncengine.changes import Change, End, Outcome, Pair, Parcel, Record
from syncengine.errors import Exit, Place
from syncengine.execution.batch import HELD
from syncengine.execution.summary import Summary
from syncengine.targets.cmdb import _held
from tests.bench import Bench, app, disk, of_action, server, uses


def rejects(summary: Summary) -> list[dict[str, str]]:
    """The file of rows that were not applied."""
    with Path(summary.rejects).open(newline="") as stream:
        return list(csv.DictReader(stream))


pytestmark = pytest.mark.usefixtures("small_batches")


@pytest.mark.covers("IRE-09")
def test_what_another_writer_holds_is_sent_again_after_the_rest_and_only_that(bench: Bench) -> None:
    made: list[Record | Pair] = [*(server(n) for n in range(90)), disk(1, "sda"), app(1), uses(1, 1)]
    plan = bench.plan(*made)
    bench.sandbox.faults("api=ire, at=1, key=SN1, do=code(LOCK_TIMEOUT)")
    summary = bench.apply(plan, settle=0.1, permits=2)
    assert bench.sandbox.met()
    assert (summary.exit, summary.total("applied")) == (Exit.OK, len(made) + 1)
    written = [entry for entry in bench.sandbox.ledger(kind="insert") if entry["table"] == "cmdb_ci_linux_server"]
    assert len(written) == 90
    held = {entry["request"] for entry in written if entry["key"] == "ImportSet|S1"}
    assert written[-1]["request"] in held, "the batch that was held was not the last one"
    assert bench.plan(*made).manifest.changes == 0


@pytest.mark.covers("IRE-09")
def test_what_is_given_up_because_its_host_is_held_is_sent_again_with_it() -> None:
    """At any depth, with the relations between them; what was given up for another reason is not."""
    first, second, third = End(1, "s", "a"), End(2, "s", "b"), End(3, "s", "c")
    items = [
        Change(1, "cmdb", 0, "create"),
        Change(2, "cmdb", 0, "create", host=1),
        Change(3, "cmdb", 0, "create", host=2),
        Change(4, "cmdb", 0, "create", host=9),
    ]
    relations = [
        Change(5, "relation", 1, "relate", parent=second, child=third),
        Change(6, "relation", 1, "relate", parent=End(8, "s", "d"), child=End(9, "s", "e")),
        Change(7, "relation", 1, "relate", parent=first, child=End(9, "s", "e")),
    ]
    codes = {1: "LOCK_TIMEOUT", 2: "ABANDONED", 3: "ABANDONED", 4: "ABANDONED", 5: "ABANDONED", 6: "ABANDONED"}
    outcomes = [Outcome(op, "rejected", code=code) for op, code in codes.items()] + [Outcome(7, "applied")]
    assert _held(Parcel("DS", items, [], relations), outcomes) == {1, 2, 3, 5}
    assert _held(Parcel("DS", items, [], relations), outcomes[1:]) == frozenset()


@pytest.mark.covers("IRE-09")
def test_a_lock_that_lasts_is_told_after_a_bounded_number_of_tries(bench: Bench) -> None:
    plan = bench.plan(server(1), disk(1, "sda"), app(1), uses(1, 1))
    bench.sandbox.faults("api=ire, every=1, key=SN1, do=code(LOCK_TIMEOUT)")
    summary = bench.apply(plan, settle=0.05)
    assert len(bench.sandbox.met()) == 1 + len(HELD)
    assert (summary.exit, summary.total("applied"), summary.total("unknown")) == (Exit.PARTIAL, 0, 0)
    told = {row["key"]: row["code"] for row in rejects(summary)}
    assert set(told) == {"S1", "S1|sda", "S1 → S1|sda", "A1", "A1 → S1"}
    assert told["S1"] == told["S1|sda"] == "LOCK_TIMEOUT"


@pytest.mark.covers("NET-23")
def test_a_conflict_is_looked_at_once_and_the_write_sent_again(bench: Bench) -> None:
    """What somebody made in the meantime is seen by that look, and is not made again."""
    plan = bench.plan(server(1), server(2), app(1), uses(1, 1))
    bench.sandbox.faults("api=ire, at=1, do=status(409)")
    summary = bench.apply(plan, stale_check=False)
    assert (summary.exit, summary.total("applied")) == (Exit.OK, 4)
    assert bench.inserts()["cmdb_ci_linux_server"] == 2


@pytest.mark.covers("NET-23")
def test_a_conflict_that_somebody_else_has_won_is_seen_and_not_written_over(bench: Bench) -> None:
    plan = bench.plan(server(1), server(2))
    bench.connect().writer.send("/api/now/table/cmdb_ci_linux_server", body={"name": "srv1", "serial_number": "SN1"})
    bench.sandbox.faults("api=ire, at=1, do=status(409)")
    summary = bench.apply(plan, stale_check=False)
    assert (summary.exit, summary.total("stale"), summary.total("applied")) == (Exit.STALE, 1, 1)
    assert bench.inserts()["cmdb_ci_linux_server"] == 2


@pytest.mark.covers("NET-23")
def test_a_conflict_that_lasts_rejects_the_row_that_has_it_and_no_other(bench: Bench) -> None:
    made = [server(n) for n in range(8)]
    plan = bench.plan(*made)
    bench.sandbox.faults("api=ire, every=1, key=SN3, do=status(409)")
    summary = bench.apply(plan)
    assert (summary.exit, summary.total("applied"), summary.total("rejected")) == (Exit.PARTIAL, 7, 1)
    (row,) = rejects(summary)
    assert (row["key"], row["code"]) == ("S3", "conflict")
    assert bench.inserts()["cmdb_ci_linux_server"] == 7


@pytest.mark.covers("IRE-08")
def test_duplicates_of_the_cmdb_are_told_with_class_and_fields_and_none_is_guessed(bench: Bench) -> None:
    """Five records of one name: the engine refuses to choose, so do we; the plan names what makes them equal."""
    bench.sandbox.seed({"records": {"cmdb_ci_linux_server": [{"name": "srv1"} for _ in range(5)]}})
    said = {"name": "srv1", "os": "x"}
    twin = Record("s.servers", "S1", "cmdb_ci_linux_server", said, (), (), (), (), Place("s.csv", 1, 0))
    plan = bench.plan(twin, server(2))
    (refused,) = of_action(plan, "rejected")
    assert refused.code == "MULTIPLE_DUPLICATE_RECORDS"
    assert (refused.class_name, refused.values["name"]) == ("cmdb_ci_linux_server", "srv1")
    assert "name" in refused.message
    before = {row["sys_id"]: row for row in bench.rows("cmdb_ci_linux_server", "name=srv1", ("sys_id", "os"))}
    summary = bench.apply(plan)
    assert (summary.exit, summary.total("applied"), summary.total("rejected")) == (Exit.PARTIAL, 1, 1)
    (row,) = rejects(summary)
    assert (row["code"], row["name"]) == ("MULTIPLE_DUPLICATE_RECORDS", "srv1")
    assert "cmdb_ci" in row["message"]
    assert "merged" in row["advice"]
    assert {row["sys_id"]: row for row in bench.rows("cmdb_ci_linux_server", "name=srv1", ("sys_id", "os"))} == before


@pytest.mark.covers("IRE-16")
def test_no_child_is_written_before_its_parent_whatever_comes_first_in_the_source(bench: Bench) -> None:
    """Disks are read first and would fill the first requests; one server has more of them than a request carries."""
    disks: list[Record] = [disk(n % 5, f"sd{n}") for n in range(70)] + [disk(9, f"sd{n}") for n in range(60)]
    made: list[Record | Pair] = [uses(1, 9), *disks, app(1), *(server(n) for n in range(10))]
    summary = bench.apply(bench.plan(*made))
    assert summary.exit is Exit.OK, summary.problem
    entries = bench.sandbox.ledger()
    written = {entry["key"]: entry["seq"] for entry in entries if entry["kind"] == "insert"}
    for record in disks:
        assert written[f"ImportSet|{record.key}"] > written[f"ImportSet|{record.key.split('|')[0]}"]
    related = [entry["seq"] for entry in entries if entry["kind"] == "relate" and "Depends" in entry["key"]]
    assert min(related, default=0) > max(written.values())
    assert bench.plan(*made).manifest.changes == 0


@pytest.mark.covers("IRE-17")
def test_a_field_that_another_source_owns_is_told_and_not_planned_again_and_again(bench: Bench) -> None:
    bench.sandbox.seed(
        {
            "choices": {"cmdb_ci.discovery_source": ["Other"]},
            "records": {
                "cmdb_reconciliation_definition": [
                    {"applies_to": "cmdb_ci_server", "discovery_source": "Other", "attributes": "ram", "priority": "10"}
                ]
            },
        }
    )
    bench.sync(server(1, ram="1"), server(2, ram="1"))
    made = [server(1, ram="2"), server(2, ram="2", os="x")]
    plan = bench.plan(*made)
    (kept,) = of_action(plan, "unchanged")
    assert (kept.key, kept.reason) == ("S1", "not authoritative")
    (updated,) = of_action(plan, "update")
    assert set(updated.before) == {"os"}
    summary = bench.apply(plan)
    assert summary.exit is Exit.OK
    assert summary.notes["fields refused by reconciliation rules"] == 1
    again = bench.plan(*made)
    assert again.manifest.changes == 0
    assert {change.reason for change in of_action(again, "unchanged")} == {"not authoritative"}
