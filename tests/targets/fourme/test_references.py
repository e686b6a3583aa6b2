"""References to records that the same run renames."""

from __future__ import annotations

import pytest

from syncengine.errors import Exit
from tests.targets.fourme.desk import PEOPLE, Desk

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


def test_a_new_address_of_a_person_reaches_those_who_name_him_in_one_run(desk: Desk) -> None:
    """The team reads differently as soon as its people are renamed; nobody else has changed it."""
    desk.sync(TEAMS, teams_csv=TEAM, people_csv="id,mail,name,team\nP1,ana@x.example,Ana,T1\nP2,bo@x.example,Bo,T1\n")
    moved = "id,mail,name,team\nP1,ana.r@x.example,Ana,T1\nP2,bo@x.example,Bo,T1\n"
    for name in ("Network", "Networks"):
        plan = desk.plan(TEAMS, teams_csv=TEAM.replace("Network", name), people_csv=moved)
        assert plan.manifest.total("update") == 2
        summary = desk.apply(plan)
        assert (summary.exit, summary.total("applied"), summary.total("stale")) == (Exit.OK, 2, 0)
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
