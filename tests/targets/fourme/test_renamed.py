"""References in kept exports follow the records that they name."""

from __future__ import annotations

from syncengine.spec.import_types import import_types
from syncengine.targets.fourme.renamed import Renamed, concerned, names_of, renewed

PEOPLE = ("Primary Email", "Name", "ID")


def seen(*changes: tuple[str, str]) -> Renamed:
    """People whose address changed."""
    found = Renamed("people", PEOPLE)
    for old, new in changes:
        found.see([old, "Ana", "1"], [new, "Ana Ruiz", "1"])
    return found


def test_only_what_others_name_a_record_by_is_a_rename() -> None:
    assert "Primary Email" in names_of("people")
    assert seen(("a@x", "b@x"), ("c@x", "c@x")).all() == {"Primary Email": {"a@x": "b@x"}}


def test_a_name_that_another_record_took_over_tells_nothing() -> None:
    """Who was meant cannot be said: a reference to b@x may be the one or the other."""
    assert seen(("a@x", "b@x"), ("b@x", "c@x")).all() == {"Primary Email": {"a@x": "b@x"}}
    assert seen(("a@x", "b@x"), ("b@x", "a@x")).all() == {}


def test_every_line_of_a_cell_is_looked_at_with_its_account() -> None:
    teams = import_types()["teams"]
    columns = ("Name", "Manager", "Members")
    renames = {"Primary Email": {"a@x": "b@x"}}
    assert "teams" in concerned("people", renames)
    cells = ["a@x", "a@x @widget", "z@x\na@x\nba@x"]
    assert renewed(teams, "people", columns, cells, renames) == ["a@x", "b@x @widget", "z@x\nb@x\nba@x"]
    assert renewed(teams, "people", columns, ["a@x", "", None], renames) is None
    assert renewed(teams, "sites", columns, cells, renames) is None
