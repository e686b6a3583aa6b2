"""Types that are no simple list of records with a Source: several rows a record, other keys, IDs, inferred headers."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from syncengine.errors import SpecError
from tests.targets.fourme.desk import Desk, csv_of, lines
from tests.targets.fourme.test_jobs import told
from tests.targets.fourme.test_rest import spend

HOURS = """syncengine: 1
data_source: HR
source: hours.csv
steps:
  hours:
    4me: calendars
    key: [calendar, day, from]
    fields: {Source ID: calendar, Name: "{{ calendar }} hours", Weekday: day, From: from, Until: until}
"""
WEEK = ["w,mon,08:00,12:00", "w,mon,13:00,17:00", "w,tue,08:00,17:00", "n,sat,00:00,24:00"]


def hours(rows: list[str]) -> str:
    """A file of intervals."""
    return "\n".join(["calendar,day,from,until", *rows]) + "\n"


def test_a_calendar_is_as_many_rows_as_it_has_intervals(desk: Desk) -> None:
    """One more interval sends all rows of its calendar, since an import may replace what it does not say."""
    desk.sync(HOURS, hours_csv=hours(WEEK))
    assert len(lines(desk.plan(HOURS, hours_csv=hours(WEEK)), "unchanged")) == 4
    plan = desk.plan(HOURS, hours_csv=hours([*WEEK, "w,wed,08:00,12:00"]))
    (more,) = lines(plan, "update")
    assert more.key == "w|wed|08:00"
    assert len(lines(plan, "touched")) == 3
    assert len(lines(plan, "unchanged")) == 1
    assert told(desk.apply(plan))["applied"] == 4
    assert len(lines(desk.plan(HOURS, hours_csv=hours([*WEEK, "w,wed,08:00,12:00"])), "unchanged")) == 5


def test_an_interval_that_the_source_no_longer_has_goes_with_the_next_import(desk: Desk) -> None:
    """The other rows of the calendar are sent, so that it is gone; a changed one shows what it was."""
    desk.sync(HOURS, hours_csv=hours(WEEK))
    plan = desk.plan(HOURS, hours_csv=hours(["w,mon,08:00,12:00", "w,tue,09:00,17:00", WEEK[3]]))
    assert [one.before for one in lines(plan, "update")] == [{"From": "08:00"}]
    desk.apply(plan)
    again = desk.plan(HOURS, hours_csv=hours(["w,mon,08:00,12:00", "w,tue,09:00,17:00", WEEK[3]]))
    assert not [one for one in again.changes() if one.is_sent]


def test_rows_that_are_found_by_two_columns_are_compared(desk: Desk) -> None:
    """Roles of a person in an account: neither ID nor pair, and still no second row of them."""
    desk.sync(people_csv=csv_of(2))
    spec = """syncengine: 1
data_source: HR
source: roles.csv
steps:
  roles:
    4me: people_roles
    fields: {Person: mail, Role Account: {const: sandbox}, Specialist: specialist, Auditor: auditor}
"""
    csv = "mail,specialist,auditor\ne0001@x.example,yes,no\ne0002@x.example,yes,yes\n"
    desk.sync(spec, roles_csv=csv)
    assert len(lines(desk.plan(spec, roles_csv=csv), "unchanged")) == 2
    plan = desk.plan(spec, roles_csv=csv.replace("yes,no", "no,no"))
    assert len(lines(plan, "update")) == 1
    assert told(desk.apply(plan)) == {"applied": 1}


REQUESTS = """syncengine: 1
data_source: HR
sources: {a: a.csv, b: b.csv}
steps:
  groups:
    4me: requests
    source: a
    key: id
    fields: {Subject: name, Category: {const: incident}}
  requests:
    4me: requests
    source: b
    key: id
    fields: {Subject: name, Category: {const: incident}, Grouped Into: {step: groups, key: parent}}
  notes:
    4me: notes
    source: b
    fields: {Record Type: {const: Request}, Record ID: {step: requests, key: id}, Text: note}
"""


def test_records_that_are_named_by_id_are_found_by_it(desk: Desk) -> None:
    """The ID is known when the record is there: it is read after its import, and at once by the next plan."""
    a, b = (
        "id,name\ng1,All mail is down\n",
        "id,name,parent,note\nr1,No mail,g1,Please hurry\nr2,No mail here,g1,Me too\n",
    )
    plan = desk.plan(REQUESTS, a_csv=a, b_csv=b)
    assert told(desk.apply(plan))["applied"] == 5 + len([one for one in plan.changes() if one.reason == "second pass"])
    found = desk.connect().reader.get("/v1/requests", {"per_page": "100"}).body
    by_key = {one["sourceID"]: one for one in found}
    assert {one["grouped_into"]["id"] for key, one in by_key.items() if key != "g1"} == {by_key["g1"]["id"]}
    again = desk.plan(REQUESTS.partition("  notes:")[0], a_csv=a, b_csv=b.replace("No mail here", "None at all"))
    assert [(one.key, one.before) for one in again.changes() if one.is_sent] == [("r2", {"Subject": "No mail here"})]
    spend(desk)
    over = desk.plan(REQUESTS.partition("  notes:")[0], a_csv=a, b_csv=b)
    assert not [one for one in over.changes() if one.is_sent]


@pytest.mark.parametrize("accepted", [True, False])
def test_a_type_whose_header_is_inferred_goes_end_to_end_when_that_is_accepted(desk: Desk, accepted: bool) -> None:
    """Nobody publishes the columns of surveys; who has compared them with an export may say so."""
    spec = f"""syncengine: 1
data_source: HR
source: s.csv
steps:
  surveys:
    4me: surveys
    key: id
    accept_inferred: {str(accepted).lower()}
    fields: {{Name: name, Introduction: text}}
"""
    csv = "id,name,text\ns1,Happy?,Tell us\ns2,Quick?,Say it\n"
    if not accepted:
        with pytest.raises(SpecError) as refused:
            desk.plan(spec, s_csv=csv)
        assert refused.value.problems[0].code == "inferred-header"
        return
    assert told(desk.sync(spec, s_csv=csv)) == {"applied": 2}
    plan = desk.plan(spec, s_csv=csv.replace("Say it", "Say more"))
    assert [(one.key, one.before) for one in lines(plan, "update")] == [("s2", {"Introduction": "Say it"})]


PLACES = """syncengine: 1
data_source: HR
sources: {a: a.csv, b: b.csv}
steps:
  organizations: {4me: organizations, source: a, key: id, fields: {Name: name}}
  sites: {4me: sites, source: a, key: id, fields: {Name: name, Country: {const: FR}, Time Zone: {const: Paris}}}
  people: {4me: people, source: b, key: id, fields: {Name: name, Primary Email: mail, Organization: org}}
"""
NAMES = {"a_csv": "id,name\n1,One\n2,Two\n", "b_csv": "id,name,mail,org\n3,Ana,ana@x.example,One\n"}


def test_a_type_waits_for_those_that_its_columns_name(desk: Desk) -> None:
    """Also where a value is plain text; types that name nothing of each other wait for nothing."""
    plan = desk.plan(PLACES, **NAMES)
    assert [(step.name, step.wave) for step in plan.header.steps] == [
        ("s.organizations", 0),
        ("s.sites", 0),
        ("s.people", 1),
    ]


@pytest.mark.parametrize("jobs", [1, 2])
def test_independent_types_are_imported_side_by_side_only_where_that_is_raised(desk: Desk, jobs: int) -> None:
    """With two jobs the second is uploaded while the first waits; people wait for both."""
    plan = desk.plan(PLACES, **NAMES)
    desk.import_jobs = jobs
    desk.count_uploads()
    desk.sandbox.settings(fourme__start_seconds=30, fourme__jobs_at_once=2)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(desk.apply, plan)
        until = time.monotonic() + 120
        while desk.jobs_begun() < jobs and time.monotonic() < until:
            time.sleep(0.7)
            if not desk.jobs_begun():
                desk.sandbox.advance(31)  # what it compares with is exported first
        time.sleep(1.0)
        begun = desk.jobs_begun()
        while not running.done() and time.monotonic() < until:
            desk.sandbox.advance(31)
            time.sleep(0.7)
        assert told(running.result()) == {"applied": 5}
    assert begun == jobs
    assert len({entry["request"] for entry in desk.uploads()}) == 3
    assert [entry["table"] for entry in desk.uploads()][-1] == "people"


def test_times_that_the_service_keeps_itself_are_no_change(desk: Desk) -> None:
    """An import may ignore them, and then every plan would write them again."""
    spec = """syncengine: 1
data_source: HR
source: s.csv
steps:
  s: {4me: people, key: id, fields: {Name: name, Primary Email: "{{ id }}@x.example", Created At: since}}
"""
    csv = "id,name,since\n1,Ana,2020-01-01T00:00:00Z\n"
    desk.sync(spec, s_csv=csv)
    assert len(lines(desk.plan(spec, s_csv=csv), "unchanged")) == 1
    assert [set(one.before) for one in lines(desk.plan(spec, s_csv=csv.replace("Ana", "Bo")), "update")] == [
        {"Name", "Created At"}
    ]
