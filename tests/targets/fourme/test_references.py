"""References to records that the same run renames."""

from __future__ import annotations

import json

import pytest

from syncengine.errors import Exit
from syncengine.reports import plan_sentence
from tests.targets.fourme.desk import PEOPLE, Desk, lines

TEAMS = """syncengine: 1
data_source: HR
sources: {people: people.csv, teams: teams.csv}
steps:
  people: {source: people, 4me: people, key: id, fields: {Primary Email: mail, Name: name}}
  teams:
    source: teams
    4me: teams
    key: team
    fields:
      Name: name
      Manager: {step: people, key: lead}
      Members: {lookup_in: people, where: {team: team}, take: mail, many: list}
"""
TEAM = "team,name,lead\nT1,Network,P1\n"


def test_a_new_address_of_a_person_is_no_change_of_those_who_name_him(desk: Desk) -> None:
    """The team reads differently as soon as its people are renamed; nobody has changed it, and nobody has to."""
    desk.sync(TEAMS, teams_csv=TEAM, people_csv="id,mail,name,team\nP1,ana@x.example,Ana,T1\nP2,bo@x.example,Bo,T1\n")
    moved = "id,mail,name,team\nP1,ana.r@x.example,Ana,T1\nP2,bo@x.example,Bo,T1\n"
    for name, updates in (("Network", 1), ("Networks", 2)):
        plan = desk.plan(TEAMS, teams_csv=TEAM.replace("Network", name), people_csv=moved)
        assert plan.manifest.total("update") == updates
        summary = desk.apply(plan)
        assert (summary.exit, summary.total("applied"), summary.total("stale")) == (Exit.OK, updates, 0)
        moved = moved.replace("ana.r@", "ruiz@")
    again = desk.plan(TEAMS, teams_csv=TEAM.replace("Network", "Networks"), people_csv=moved)
    assert not [one for one in again.changes() if one.is_sent]


def test_a_team_that_somebody_gave_another_manager_is_stale(desk: Desk) -> None:
    """What differs from both the plan and the wish is somebody's change."""
    people = "id,mail,name,team\nP1,ana@x.example,Ana,T1\nP2,bo@x.example,Bo,T2\nP3,cy@x.example,Cy,T2\n"
    desk.sync(TEAMS, teams_csv=TEAM, people_csv=people)
    plan = desk.plan(TEAMS, teams_csv=TEAM.replace("P1", "P2"), people_csv=people)
    desk.sync(TEAMS, teams_csv=TEAM.replace("P1", "P3"), people_csv=people)
    summary = desk.apply(plan)
    assert (summary.exit, summary.total("stale")) == (Exit.STALE, 1)


@pytest.mark.parametrize("who", ["we", "somebody"])
def test_a_kept_export_follows_a_person_who_gets_another_address(desk: Desk, who: str) -> None:
    """Exports of what changed do not hold the team that names him: nothing of the team was changed."""
    people = "id,mail,name,team\nP1,ana@x.example,Ana,T1\nP2,bo@x.example,Bo,T1\n"
    desk.sync(TEAMS, teams_csv=TEAM, people_csv=people)
    desk.plan(TEAMS)  # takes the export
    desk.sandbox.advance(1500)
    moved = people.replace("ana@", "ana.r@")
    if who == "we":
        desk.sync(TEAMS, people_csv=moved)
    else:
        alone = "id,mail,name,title,boss\nP1,ana.r@x.example,Ana,,\n"
        Desk(desk.sandbox, desk.place / "elsewhere").sync(PEOPLE, people_csv=alone)
    desk.sandbox.advance(1500)
    again = desk.plan(TEAMS, people_csv=moved)
    assert not [one for one in again.changes() if one.is_sent]


DETAILS = """syncengine: 1
data_source: HR
sources: {people: people.json}
steps:
  people: {source: people, 4me: people, key: id, fields: {Primary Email: mail, Name: name}}
  phones:
    source: people
    4me: people_contact_details
    each: phones
    fields:
      Person: {step: people, key: parent.id}
      Contact Protocol: {const: telephone}
      Contact Label: label
      Contact URI: number
      Integration: true
  roles:
    source: people
    4me: people_roles
    fields: {Person: {step: people, key: id}, Role Account: {const: sandbox}, Specialist: specialist}
"""


def staff(mail: str = "ana@x.example", specialist: str = "1", **phones: str) -> str:
    """Ana with her phones, and Bo."""
    hers = [{"label": label, "number": number} for label, number in phones.items()]
    people = [
        {"id": "P1", "mail": mail, "name": "Ana", "specialist": specialist, "phones": hers},
        {"id": "P2", "mail": "bo@x.example", "name": "Bo", "specialist": "0", "phones": []},
    ]
    return json.dumps(people)


@pytest.mark.parametrize("how", ["export", "rest"])
def test_rows_of_a_person_who_gets_another_address_stay_rows_of_that_person(desk: Desk, how: str) -> None:
    """They were planned as new, and stale as soon as the address was written: the owner was looked for under it."""
    desk.sync(DETAILS, people_json=staff(work="+33 1", mobile="+33 2"))
    if how == "rest":
        desk.sandbox.settings(fourme__big_type=0)
        desk.forget()
    plan = desk.plan(DETAILS, people_json=staff("ana.r@x.example", work="+33 1", mobile="+33 2"))
    assert [(one.class_name, one.action) for one in plan.changes() if one.is_sent] == [("people", "update")]
    plan = desk.plan(DETAILS, people_json=staff("ana.r@x.example", specialist="0", work="+33 1", mobile="+33 9"))
    assert [(one.class_name, one.action, one.before) for one in plan.changes() if one.is_sent] == [
        ("people", "update", {"Primary Email": "ana@x.example"}),
        ("people_contact_details", "touched", {}),
        ("people_contact_details", "update", {"Contact URI": "+33 2"}),
        ("people_roles", "update", {"Specialist": "1" if how == "rest" else "true"}),
    ]
    summary = desk.apply(plan)
    assert (summary.exit, summary.total("applied"), summary.total("stale")) == (Exit.OK, 4, 0)
    again = desk.plan(DETAILS, people_json=staff("ana.r@x.example", specialist="0", work="+33 1", mobile="+33 9"))
    assert not [one for one in again.changes() if one.is_sent]


def test_who_gives_up_an_address_and_who_takes_it_are_told_apart(desk: Desk) -> None:
    """Two people exchange addresses: the phones of each go on being those of the same person."""
    desk.sync(DETAILS, people_json=staff(work="+33 1"))
    moved = staff("bo@x.example", work="+33 1").replace(
        '"mail": "bo@x.example", "name": "Bo"', '"mail": "ana@x.example", "name": "Bo"'
    )
    plan = desk.plan(DETAILS, people_json=moved)
    assert [(one.class_name, one.action) for one in plan.changes() if one.is_sent] == [("people", "update")] * 2


def test_a_renamed_record_and_another_change_of_who_names_it_are_one_plan(desk: Desk) -> None:
    """The present members are told as they will be called, so the change of the team alone is seen, and written."""
    people = "id,mail,name,team\nP1,ana@x.example,Ana,T1\nP2,bo@x.example,Bo,\n"
    desk.sync(TEAMS, teams_csv=TEAM, people_csv=people)
    plan = desk.plan(TEAMS, people_csv=people.replace("ana@", "ruiz@").replace("Bo,", "Bo,T1"))
    (_, team) = lines(plan, "update")
    assert team.before == {"Members": "ruiz@x.example"}
    summary = desk.apply(plan)
    assert (summary.exit, summary.total("applied"), summary.total("stale")) == (Exit.OK, 2, 0)


def test_rows_that_go_with_those_that_replace_them_are_told_before(desk: Desk) -> None:
    """Nothing new is written, and a row is removed all the same: the plan says which one, and counts as a change."""
    desk.sync(DETAILS, people_json=staff(work="+33 1", mobile="+33 2"))
    plan = desk.plan(DETAILS, people_json=staff(work="+33 1"))
    (along,) = [one for one in plan.changes() if one.is_sent]
    assert (along.action, along.reason, plan.manifest.changes) == ("touched", "along", 1)
    (note,) = [one for one in plan.manifest.notes if one.code == "rows-go"]
    assert "1 row of owners" in note.message
    assert "ana@x.example telephone mobile" in note.message
    assert "1 to send along" in plan_sentence(plan)
    desk.apply(plan)
    again = desk.plan(DETAILS)
    assert not [one for one in again.changes() if one.is_sent]
    assert not again.manifest.notes


CHAIN = """syncengine: 1
data_source: HR
sources: {people: people.csv, services: services.csv}
steps:
  orgs: {source: services, 4me: organizations, distinct: org, key: org, fields: {Name: org}}
  people: {source: people, 4me: people, key: id, fields: {Primary Email: mail, Name: name}}
  teams:
    source: services
    4me: teams
    distinct: team
    key: team
    fields: {Name: team, Manager: {step: people, key: lead}}
  services:
    source: services
    4me: services
    key: service
    fields: {Name: service, Provider: {step: orgs, key: org}, Support Team: {step: teams, key: team}}
  instances:
    source: services
    4me: service_instances
    key: service
    fields: {Name: service, Status: {const: in_production}, Service: {step: services, key: service}}
"""
SERVICES = "service,team,lead,org\nMail,Desk,P1,Widget\n"


def test_what_needs_a_record_that_cannot_be_made_is_rejected_however_far_it_is(desk: Desk) -> None:
    """A person without a name, who leads a team, which supports a service, which has an instance."""
    plan = desk.plan(CHAIN, people_csv="id,mail,name\nP1,ana@x.example,\n", services_csv=SERVICES)
    assert [(one.class_name, one.action, one.code) for one in plan.changes()] == [
        ("organizations", "create", ""),
        ("people", "rejected", "missing-required"),
        ("teams", "rejected", "end-rejected"),
        ("services", "rejected", "end-rejected"),
        ("service_instances", "rejected", "end-rejected"),
    ]


def test_a_refused_row_of_a_record_that_is_there_takes_no_others_along(desk: Desk) -> None:
    """Who leads the team has left the source, so its row is refused; services go on naming the team, new ones too."""
    people = "id,mail,name\nP1,ana@x.example,Ana\nP2,bo@x.example,Bo\n"
    assert desk.sync(CHAIN, people_csv=people, services_csv=SERVICES).exit == Exit.OK
    plan = desk.plan(
        CHAIN, people_csv=people.replace("P1,ana@x.example,Ana\n", ""), services_csv=SERVICES + "Web,Desk,P1,Widget\n"
    )
    assert [(one.class_name, one.key, one.action) for one in plan.changes()] == [
        ("organizations", "Widget", "unchanged"),
        ("people", "P2", "unchanged"),
        ("teams", "Desk", "rejected"),
        ("services", "Mail", "unchanged"),
        ("services", "Web", "create"),
        ("service_instances", "Mail", "unchanged"),
        ("service_instances", "Web", "create"),
    ]
    assert desk.apply(plan).total("applied") == 2
