"""Rows that replace all that their owner has, made by several steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from syncengine.errors import Exit
from tests.command_line import CommandLine
from tests.sandboxed import Shared
from tests.targets.fourme.desk import Desk
from tests.targets.fourme.test_rest import spend

PHONE = """  {label}:
    4me: people_contact_details
    when: {{{label}: {{empty: false}}}}
    fields:
      Person: {{step: people, key: id}}
      Contact Protocol: {{const: telephone}}
      Contact Label: {{const: {label}}}
      Contact URI: {label}
      Integration: true
"""
PHONES = (
    "syncengine: 1\ndata_source: HR\nsource: people.csv\nsteps:\n"
    "  people: {4me: people, key: id, fields: {Primary Email: mail, Name: name}}\n"
    + PHONE.format(label="work")
    + PHONE.format(label="mobile")
)
HEAD = "id,mail,name,work,mobile\n"
ANA = "P1,ana@x.example,Ana,+33 1,+33 2\n"
BO = "P2,bo@x.example,Bo,,+33 3\n"


def phones(desk: Desk) -> list[tuple[str, str]]:
    """The telephones of people, as they are there."""
    reader = desk.connect().reader
    found: list[tuple[str, str]] = []
    for person in desk.people():
        several: Any = reader.get(f"/v1/people/{person['id']}/contacts").body
        found += [(str(person["sourceID"]), str(one["uri"])) for one in several]
    return sorted(found)


def test_rows_of_one_owner_travel_together_whichever_step_makes_them(desk: Desk) -> None:
    """In two files the second would remove what the first had added, and no plan would ever have nothing to do."""
    assert desk.sync(PHONES, people_csv=HEAD + ANA + BO).exit is Exit.OK
    assert phones(desk) == [("P1", "+33 1"), ("P1", "+33 2"), ("P2", "+33 3")]
    assert not [one for one in desk.plan(PHONES).changes() if one.is_sent]
    plan = desk.plan(PHONES, people_csv=HEAD + ANA.replace("+33 2", "+33 9") + BO)
    assert [(one.action, one.values["Contact URI"]) for one in plan.changes() if one.is_sent] == [
        ("touched", "+33 1"),
        ("update", "+33 9"),
    ]
    assert desk.apply(plan).exit is Exit.OK
    assert phones(desk) == [("P1", "+33 1"), ("P1", "+33 9"), ("P2", "+33 3")]
    assert not [one for one in desk.plan(PHONES).changes() if one.is_sent]


BY_ROW = """syncengine: 1
data_source: HR
sources: {people: people.csv, phones: phones.csv}
steps:
  people: {source: people, 4me: people, key: id, fields: {Primary Email: mail, Name: name}}
  phones:
    source: phones
    4me: people_contact_details
    fields:
      Person: {step: people, key: who}
      Contact Protocol: {const: telephone}
      Contact Label: label
      Contact URI: number
      Integration: true
"""


def test_a_row_that_is_retried_takes_the_others_of_its_owner_along(shared: Shared, tmp_path: Path) -> None:
    """Alone it would remove what the run wrote beside it."""
    project = CommandLine(tmp_path / "project")
    project.write("specs/phones.yaml", BY_ROW)
    project.write("specs/people.csv", "id,mail,name\nP1,ana@x.example,Ana\n")
    project.write("specs/phones.csv", "who,label,number\nP1,work,+33 1\nP1,mobile,+33 2\n")
    sandbox = shared.lend(project.folder)
    sandbox.faults("api=me_upload, key=telephone, times=1, do=job(failures(1))")
    project.run("sync", "--yes").ends(7)
    sandbox.clear_faults()
    project.run("retry", "--yes").ends()
    assert "nothing to do; the target is" in project.run("plan").ends().out


def test_a_row_that_is_not_right_costs_its_owner_nothing(desk: Desk) -> None:
    """Hers is there, and the import of her other one would remove it: nothing of hers is sent until it is right."""
    phones_csv = "who,label,number\nP1,work,+33 1\nP1,mobile,+33 2\nP2,work,+33 3\n"
    people = {"people_csv": "id,mail,name\nP1,ana@x.example,Ana\nP2,bo@x.example,Bo\n"}
    desk.sync(BY_ROW, phones_csv=phones_csv, **people)
    broken = phones_csv.replace("work,+33 1", "wrok,+33 1")
    assert [one.action for one in desk.plan(BY_ROW, phones_csv=broken).changes() if one.kind == "4me"].count(
        "unchanged"
    ) == 4
    plan = desk.plan(BY_ROW, phones_csv=broken.replace("+33 2", "+33 9").replace("+33 3", "+33 8"))
    assert [
        (one.values["Contact URI"], one.action, one.code) for one in plan.changes() if "Contact URI" in one.values
    ] == [
        ("+33 1", "rejected", "bad-value"),
        ("+33 9", "rejected", "owner-held"),
        ("+33 8", "update", ""),
    ]
    assert desk.apply(plan).total("applied") == 1
    assert phones(desk) == [("P1", "+33 1"), ("P1", "+33 2"), ("P2", "+33 8")]


def test_nothing_is_sent_of_an_owner_with_a_bad_row_where_nothing_can_be_compared(desk: Desk) -> None:
    """The bad row may be one that is there; the rows of others are sent, as of all whom nobody can read."""
    phones_csv = "who,label,number\nP1,work,+33 1\nP1,mobile,+33 2\nP2,work,+33 3\n"
    people = {"people_csv": "id,mail,name\nP1,ana@x.example,Ana\nP2,bo@x.example,Bo\n"}
    desk.sync(BY_ROW, phones_csv=phones_csv, **people)
    spend(desk)
    desk.rest_requests = 1
    broken = phones_csv.replace("work,+33 1", "wrok,+33 1").replace("+33 2", "+33 9").replace("+33 3", "+33 8")
    plan = desk.plan(BY_ROW, phones_csv=broken)
    assert [(one.action, one.code) for one in plan.changes() if "Contact URI" in one.values] == [
        ("rejected", "bad-value"),
        ("rejected", "owner-held"),
        ("unknown", ""),
    ]
    assert desk.apply(plan).total("applied") == 1
    assert phones(desk) == [("P1", "+33 1"), ("P1", "+33 2"), ("P2", "+33 8")]


def test_a_skipped_row_of_the_source_removes_nothing(desk: Desk) -> None:
    """Whose it was cannot be told: so no owner loses a row, as nothing counts as vanished then."""
    spec = BY_ROW.replace(
        "phones: phones.csv", "phones: {file: phones.csv, bad_rows: skip, columns: {number: {required: true}}}"
    )
    spec = spec.replace("sources:", "guards: {max_bad_rows: 9}\nsources:")
    phones_csv = "who,label,number\nP1,work,+33 1\nP1,mobile,+33 2\n"
    desk.sync(spec, people_csv="id,mail,name\nP1,ana@x.example,Ana\n", phones_csv=phones_csv)
    plan = desk.plan(spec, phones_csv=phones_csv.replace("work,+33 1", "work,").replace("+33 2", "+33 9"))
    assert desk.apply(plan).total("applied") == 0
    assert phones(desk) == [("P1", "+33 1"), ("P1", "+33 2")]
