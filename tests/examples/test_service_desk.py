"""A service desk in 4me, of CSV and JSON: the whole road on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.examples.conftest import Examples, copied
from tests.sandboxed import Shared


@pytest.mark.usefixtures("unpaced")
def test_a_service_desk_is_planned_applied_and_then_as_wanted(shared: Shared, tmp_path: Path) -> None:
    """Eleven types in order; a phone number that changes is one update; whoever is gone is disabled."""
    desk = Examples(copied(tmp_path).folder / "examples" / "service-desk-4me")
    shared.lend(desk.folder)
    desk.run("validate").ends(0)
    first = desk.plan(".", "first.plan", 2)
    assert (first.total("create"), first.total("update")) == (29, 7)
    assert {line["basis"] for line in first.of("create")} == {"compared"}
    assert {line["reason"] for line in first.of("update")} == {"second pass"}
    desk.apply("first.plan")
    second = desk.plan(".", "second.plan", 0)
    assert (second.total("unchanged"), second.total("touched")) == (36, 0)
    desk.edit("data/people.csv", lambda text: text.replace("+33 1 5550 1002", "+33 1 5550 9999"))
    third = desk.plan(".", "third.plan", 2)
    (change,) = third.of("update")
    assert change["before"] == {"Contact URI": "+33 1 5550 1002"}
    assert not third.total("create")
    desk.apply("third.plan")
    desk.edit("data/people.csv", lambda text: "\n".join(text.splitlines()[:-1]) + "\n")
    fourth = desk.plan(".", "fourth.plan", 0)
    assert not fourth.total("retire"), "she is disabled already"
    desk.edit("data/people.csv", lambda text: text.replace("1004,Ida", "1007,Ida").replace("ida.berg", "ida.b"))
    fifth = desk.plan(".", "fifth.plan", 2)
    assert [(line["key"], line["values"]) for line in fifth.of("retire")] == [("1004", {"Disabled": "true"})]
    desk.apply("fifth.plan")
    kept = sorted((desk.folder / ".syncengine" / "4me").glob("*/people.json"))
    assert len(kept) == 1
    assert kept[0].stat().st_mode & 0o777 == 0o600
    assert json.loads(kept[0].read_bytes())["type"] == "people"
