"""What a transform map makes of one row, without any server."""

from __future__ import annotations

from typing import Any

import pytest

from syncengine.targets.staging.facts import Column, Entry, Target, TransformMap
from syncengine.targets.staging.transform import Decision, Left, combined, decide, is_match, key_of, mapped

COLUMNS = {
    "email": Column("email"),
    "name": Column("name", max_length=5),
    "active": Column("active", "boolean"),
    "ram": Column("ram", "integer"),
    "due": Column("due", "glide_date_time"),
    "day": Column("day", "glide_date"),
    "state": Column("state"),
    "place": Column("place", "reference", reference="cmn_location"),
    "must": Column("must", mandatory=True),
    "sys_created_on": Column("sys_created_on", "glide_date_time"),
    "price": Column("price", "currency"),
}
CHOICES = {"state": (("1", "Open"), ("2", "Closed"), ("3", "Closed"))}
TARGET = Target("u_thing", COLUMNS, CHOICES, ("u_thing",))
ID = "0" * 31 + "1"


def one_map(*entries: Entry, **more: Any) -> TransformMap:
    """A map onto u_thing, found by email unless it says otherwise."""
    found = entries if any(one.coalesce for one in entries) else (Entry("u_mail", "email", coalesce=True), *entries)
    return TransformMap("Map", TARGET, tuple(found), displays={"cmn_location": "name"}, **more)


def made(one: TransformMap, there: list[dict[str, str]] | None = None, refs: Any = None, **row: str) -> Decision:
    """What becomes of a row."""
    texts = {"u_mail": "a@x", **row}
    try:
        values = mapped(one, texts, refs or {}, {})
        key = key_of(one, values)
        found = [row for row in there or [] if key is not None and is_match(one, key, row)]
        return decide(one, values, key, found)
    except Left as left:
        return left.decision


def record(**values: str) -> dict[str, str]:
    """The record that the row finds."""
    return {"sys_id": ID, "email": "a@x", **values}


@pytest.mark.parametrize(
    ("entry", "text", "there", "status"),
    [
        (Entry("u", "name"), "long name", "long ", "ignored"),
        (Entry("u", "name"), "long name", "other", "updated"),
        (Entry("u", "name"), "", "kept", "ignored"),
        (Entry("u", "name"), "NULL", "gone", "updated"),
        (Entry("u", "active"), "true", "true", "ignored"),
        (Entry("u", "active"), "yes", "true", "unknown"),
        (Entry("u", "ram"), "64", "64", "ignored"),
        (Entry("u", "ram"), "064", "64", "unknown"),
        (Entry("u", "ram"), "064", "064", "ignored"),
        (Entry("u", "due", date_format="dd.MM.yyyy HH:mm:ss"), "03.02.2024 04:05:06", "2024-02-03 04:05:06", "ignored"),
        (Entry("u", "due", date_format="yyyy-MM-dd HH:mm:ss"), "2024-02-03", "", "unknown"),
        (Entry("u", "day", date_format="yyyy-MM-dd"), "2024-02-03", "2024-02-04", "updated"),
        (Entry("u", "day", date_format="dd MMM yyyy"), "03 Feb 2024", "2024-02-03", "unknown"),
        (Entry("u", "state"), "1", "1", "ignored"),
        (Entry("u", "state"), "open", "1", "ignored"),
        (Entry("u", "state"), "Closed", "1", "unknown"),
        (Entry("u", "state", choice_action="ignore"), "Paused", "1", "ignored"),
        (Entry("u", "state", choice_action="reject"), "Paused", "1", "skipped"),
        (Entry("u", "state"), "Paused", "1", "updated"),
        (Entry("u", "price"), "1.50", "1.5", "unknown"),
        (Entry("u", "sys_created_on"), "2024-01-01 00:00:00", "", "unknown"),
        (Entry("u", "nowhere"), "x", "", "ignored"),
        (Entry("u", "name", is_scripted=True), "x", "x", "unknown"),
    ],
)
def test_a_value_meets_its_column(entry: Entry, text: str, there: str, status: str) -> None:
    """What the column can hold decides whether something changes, and whether that can be said."""
    assert made(one_map(entry), [record(**{entry.target: there})], u=text).status == status


def test_a_reference_is_found_made_left_or_turns_the_row_away() -> None:
    """By the display column or the one that the field map names; an id is taken as it is."""
    place = ("cmn_location", "name", "Paris")
    for action, status in (("create", "updated"), ("ignore", "ignored"), ("reject", "skipped")):
        one = one_map(Entry("u", "place", choice_action=action))
        assert made(one, [record(place="x")], {place: []}, u="Paris").status == status
    one = one_map(Entry("u", "place"))
    assert made(one, [record(place=ID)], {place: [ID]}, u="Paris").status == "ignored"
    assert made(one, [record(place="x")], {place: [ID, "y"]}, u="Paris").status == "unknown"
    assert made(one, [record(place="x")], {place: None}, u="Paris").status == "unknown"
    assert made(one, [record(place="x")], {("cmn_location", "sys_id", ID): [ID]}, u=ID).status == "updated"


def test_the_key_decides_between_new_and_there() -> None:
    """No coalesce always inserts; several matches are not guessed at; an empty key skips or inserts as the map says."""
    plain = TransformMap("Map", TARGET, (Entry("u_mail", "email"),))
    assert made(plain, [record()]).status == "inserted"
    one = one_map(Entry("u", "name"))
    assert made(one, [record(), record()]).status == "unknown"
    assert made(one, [], u_mail="").status == "skipped"
    assert made(one_map(Entry("u", "name"), create_on_empty=True), [], u_mail="", u="x").status == "inserted"
    strict = one_map(Entry("u_mail", "email", coalesce=True, case_sensitive=True))
    assert made(strict, [record(email="A@X")]).status == "inserted"
    assert made(one, [record(email="A@X")]).before == {"u_mail": "A@X"}
    pair = one_map(Entry("u_mail", "email", coalesce=True), Entry("u", "name", coalesce=True))
    assert made(pair, []).status == "unknown"
    loose = one_map(Entry("u_mail", "email", coalesce=True), Entry("u", "name", coalesce=True, coalesce_empty=True))
    assert made(loose, [record(name="")]).status == "ignored"


def test_copied_empty_fields_and_mandatory_ones() -> None:
    """Copy empty fields clears what is not sent; an enforced mandatory column turns the row away."""
    one = one_map(Entry("u", "name"), copy_empty=True)
    cleared = made(one, [record(name="x")])
    assert (cleared.status, cleared.before) == ("updated", {"u": "x"})
    assert made(one_map(Entry("u", "must"), mandatory="mapped"), [], u="").status == "inserted"
    assert made(one_map(Entry("u", "name"), mandatory="all"), [], u="x").status == "error"
    assert made(one_map(Entry("u", "name"), mandatory="all"), [record(must="y")], u="x").status == "updated"
    assert made(one_map(Entry("u", "must"), mandatory="mapped", copy_empty=True), [], u="").status == "error"


def test_two_field_maps_of_one_column_cannot_be_foretold() -> None:
    """Which of them wins is not documented."""
    one = one_map(Entry("u", "name"), Entry("v", "name"))
    assert made(one, [record(name="x")], u="a", v="b").status == "unknown"


def test_results_of_several_maps_are_one() -> None:
    """An error counts most, then what was written; a skip by one of them is no failure."""
    assert combined(["skipped", "inserted"]) == "inserted"
    assert combined(["ignored", "updated"]) == "updated"
    assert combined(["inserted", "error"]) == "error"
    assert combined(["skipped", "skipped"]) == "skipped"
    assert combined(["inserted", "unknown"]) == "unknown"
    assert combined(["odd"]) == combined([]) == "unknown"
