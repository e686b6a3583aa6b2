"""Incremental sources from plan to plan: what was applied is not read again, what was not applied is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.inside import Inside

SPEC = """syncengine: 1
data_source: ImportSet
sources:
  people:
    servicenow: {table: sys_user, query: emailISNOTEMPTY, fields: [user_name, title, email], incremental: {lag: 1m}}
steps:
  apps:
    source: people
    cmdb: cmdb_ci_business_app
    key: user_name
    fields: {name: user_name, short_description: title}
"""
PEOPLE = [
    {"user_name": f"u{n}", "email": f"u{n}@x.example", "title": "old", "sys_id": f"{n:032x}"} for n in range(1, 6)
]


class Here(Inside):
    """A project with one spec, of users who are applications."""

    def change(self, number: int, **values: str) -> None:
        """A user changes, an hour later."""
        self.sandbox.advance(3600)
        self.bench.change(PEOPLE[number - 1]["sys_id"], "sys_user", **values)


@pytest.fixture
def here(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """A project with one spec."""
    made = Here(bench, tmp_path / "project", monkeypatch)
    made.sandbox.seed({"records": {"sys_user": PEOPLE}}, force=True)
    made.spec(SPEC)
    return made


def test_the_window_moves_when_its_plan_is_applied_and_not_before(here: Here) -> None:
    """A plan that nobody applied is made again; the next one after an apply reads what changed."""
    here.change(1, title="first")
    assert "people: all rows" in here.plan().told
    assert "people: all rows" in here.plan().told, "nothing was applied"
    assert "Applied 5 of 5" in here.apply().told
    here.change(2, title="new")
    told = here.plan().told
    assert "people: since" in told
    assert re.search(r"apps +2 .*\n\nPlan: 1 to update\.", told)
    assert "people: all rows" in here.plan("--full").told
    here.plan()
    assert "Applied 1 of 1" in here.apply().told
    here.change(3, title="newer")
    assert re.search(r"apps +2 .*\n\nPlan: 1 to update\.", here.plan().told)


def test_another_spec_reads_all_rows_anew(here: Here) -> None:
    """A field that is new in the spec is wanted for rows that did not change, too."""
    here.plan()
    here.apply()
    here.spec(SPEC.replace("short_description: title", "short_description: title, comments: email"))
    told = here.plan().told
    assert "people: all rows" in told
    assert "5 to update" in told


def test_a_refused_row_that_is_the_newest_change_is_read_again(here: Here) -> None:
    """The next window begins with it; an older one comes back through retry (tests/cli/test_again.py)."""
    here.plan()
    here.apply()
    here.change(4, title="x")
    here.sandbox.faults("api=ire, do=item_errors(1)")
    here.plan()
    assert "rejected" in here.apply().told
    here.sandbox.clear_faults()
    here.sandbox.advance(3600)
    told = here.plan().told
    assert "people: since" in told
    here.apply()
    assert here.bench.rows("cmdb_ci_business_app", "name=u4", ("short_description",))[0]["short_description"] == "x"


def test_records_of_rows_that_did_not_change_can_be_referred_to(here: Here) -> None:
    """They are read and asked about, and not sent."""
    more = """  places:
    source: more
    cmdb: cmdb_ci_service
    key: name
    fields: {name: name}
    relations: [{type: "Depends on::Used by", child: {step: apps, key: user}}]
"""
    inline = "  more: {inline: [{name: mail, user: u5}]}\nsteps:\n"
    here.spec(SPEC.replace("steps:\n", inline) + more)
    here.change(1, title="first")
    assert "6 to create, 1 to relate" in here.plan().told
    here.apply()
    here.change(2, title="new")
    told = here.plan().told
    assert "since" in told
    assert "rejected" not in told
    assert "1 to update" in told


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (SPEC.replace("sys_user,", "sys_usr,"), "specs/estate.yaml:5:25: table sys_usr does not exist"),
        (SPEC.replace("title, email]", "titel, email]"), "specs/estate.yaml:5:79: table sys_user has no column titel"),
        (SPEC.replace("{lag: 1m}", "{by: changed}"), "specs/estate.yaml:5:112: table sys_user has no column changed"),
    ],
)
def test_what_the_instance_does_not_have_is_told_with_its_line_of_the_spec(here: Here, wrong: str, said: str) -> None:
    """What can be asked for is known to the instance alone, so validate could not tell."""
    here.spec(wrong.replace("key: user_name", "key: email").replace("title}", "email}"))
    told = here.plan().err
    place, _, message = said.partition(": ")
    assert f"]: {message}" in told
    assert f"  at {place}\n" in told
    assert told.count("error[") == 1
