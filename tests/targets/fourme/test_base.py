"""The export that is kept between plans: believed only as long as it is what was taken, and young enough."""

from __future__ import annotations

import hashlib
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from tests.targets.fourme.desk import Desk, csv_of, lines
from tests.targets.fourme.test_rest import spend, was_read_over_rest


def kept(desk: Desk) -> Path:
    """The kept export of people."""
    (found,) = (desk.place / ".syncengine" / "4me").glob("*/people.db")
    return found


def rewrite(desk: Desk, *, age: timedelta = timedelta(), signed: bool = True) -> None:
    """Make the kept export say that the first person is a spy, taken so long ago; signed as if it were right."""
    path = kept(desk)
    with sqlite3.connect(path) as db:
        told = "CAST(cells AS TEXT)"
        done = db.execute(
            f"UPDATE row SET cells=CAST(replace({told}, 'Clerk', 'Spy') AS BLOB) WHERE {told} LIKE '%E0001%'"
        )
        assert done.rowcount == 1
    db.close()
    side = path.with_suffix(".json")
    said = orjson.loads(side.read_bytes())
    said["taken"] = (datetime.now(UTC) - age).isoformat()
    if signed:
        said["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    side.write_bytes(orjson.dumps(said))


def test_what_is_kept_is_believed_when_it_is_what_was_taken(desk: Desk) -> None:
    """Otherwise the tests below would prove nothing. It is readable by its owner only."""
    desk.sync(people_csv=csv_of(2))
    assert not lines(desk.plan(people_csv=csv_of(2)), "update")
    desk.sandbox.advance(600)  # what is newer than the base is asked for, and stands for what was kept
    desk.plan(people_csv=csv_of(2))
    rewrite(desk)
    assert [one.before for one in lines(desk.plan(people_csv=csv_of(2)), "update")] == [{"Job Title": "Spy"}]
    assert kept(desk).stat().st_mode & 0o777 == 0o600
    assert kept(desk).with_suffix(".json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("age", "signed"), [(timedelta(days=61), True), (timedelta(), False)])
def test_a_base_that_is_too_old_or_not_what_was_taken_is_taken_anew(desk: Desk, age: timedelta, signed: bool) -> None:
    """Nothing of it is believed."""
    desk.sync(people_csv=csv_of(2))
    desk.plan(people_csv=csv_of(2))
    rewrite(desk, age=age, signed=signed)
    plan = desk.plan(people_csv=csv_of(2))
    assert not lines(plan, "update")
    said = orjson.loads(kept(desk).with_suffix(".json").read_bytes())
    assert datetime.now(UTC) - datetime.fromisoformat(said["taken"]) < timedelta(hours=1)


def test_a_base_that_cannot_be_believed_and_not_be_taken_anew_is_not_used(desk: Desk) -> None:
    """The day's export is spent: the comparison is over REST."""
    desk.sync(people_csv=csv_of(2))
    desk.plan(people_csv=csv_of(2))
    rewrite(desk, signed=False)
    desk.sandbox.settings(fourme__big_type=0)
    plan = desk.plan(people_csv=csv_of(2))
    assert not lines(plan, "update")
    assert was_read_over_rest(desk)


def test_records_that_are_gone_are_seen_although_an_export_of_changes_never_tells(desk: Desk) -> None:
    """The account has fewer than the base: it is taken anew."""
    desk.sync(people_csv=csv_of(3))
    desk.plan(people_csv=csv_of(3))
    desk.sandbox.reset()
    desk.sync(people_csv=csv_of(1))
    assert len(lines(desk.plan(people_csv=csv_of(3)), "create")) == 2
    spend(desk)
    assert len(lines(desk.plan(people_csv=csv_of(3)), "create")) == 2
