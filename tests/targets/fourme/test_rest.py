"""Comparisons over REST: the day's full export is spent, and the records still are what they are."""

from __future__ import annotations

import contextlib
import time

import pytest

from syncengine.cli import fourme
from syncengine.errors import Exit
from syncengine.reports import find
from syncengine.targets.fourme.rest import OverRest
from syncengine.targets.fourme.told import rest_name
from syncengine.transport.clock import Clock
from syncengine.transport.collection import cost
from syncengine.transport.fourme import BURST
from syncengine.transport.reader import Reader
from tests.targets.fourme.desk import Desk, csv_of, lines
from tests.targets.fourme.test_jobs import told

PHONES = """syncengine: 1
data_source: HR
source: phones.csv
steps:
  phones:
    4me: people_contact_details
    fields:
      Person: mail
      Contact Protocol: {const: telephone}
      Contact Label: kind
      Contact URI: number
      Integration: {const: "1"}
"""
HEAD = "mail,kind,number\n"
SITES = """syncengine: 1
data_source: HR
source: sites.csv
steps:
  sites: {4me: sites, key: id, fields: {Name: name, Country: {const: FR}, Time Zone: zone, Remarks: text}}
"""
TEAMS = """syncengine: 1
data_source: HR
source: teams.csv
steps:
  teams: {4me: teams, key: id, fields: {Name: name, Members: {from: members, split: ";"}}}
"""


def spend(desk: Desk) -> None:
    """From now on nothing is exported in full, and nothing is known of what was."""
    desk.sandbox.settings(fourme__big_type=0)
    desk.forget()


def was_read_over_rest(desk: Desk) -> bool:
    """Whether the last plan says that it compared over REST."""
    return any(note.code == "compared-over-rest" for note in desk.plans[-1].manifest.notes)


def test_a_spent_quota_is_no_end_of_comparing(desk: Desk) -> None:
    """What is the same is unchanged, what differs shows its present value; the plan says how it was read."""
    desk.sync(people_csv=csv_of(5, boss=lambda n: "E0001" if n > 1 else ""))
    spend(desk)
    plan = desk.plan(
        people_csv=csv_of(6, title=lambda n: "Boss" if n == 2 else "Clerk", boss=lambda n: "E0001" if n > 1 else "")
    )
    assert was_read_over_rest(desk)
    assert {change.basis for change in plan.changes()} <= {"compared", "implied"}
    assert [(one.key, one.before) for one in lines(plan, "update") if one.before] == [("E0002", {"Job Title": "Clerk"})]
    assert [one.key for one in lines(plan, "create")] == ["E0006"]
    assert plan.manifest.counts["s.people"].owned == 5
    assert told(desk.apply(plan))["applied"] == 3  # the new one, its manager in a second pass, and the title
    again = desk.plan(
        people_csv=csv_of(6, title=lambda n: "Boss" if n == 2 else "Clerk", boss=lambda n: "E0001" if n > 1 else "")
    )
    assert not [one for one in again.changes() if one.is_sent]


def test_the_check_before_sending_looks_over_rest_too(desk: Desk) -> None:
    """Somebody changed one of the records since the plan: that one is stale, the others are sent."""
    desk.sync(people_csv=csv_of(3))
    plan = desk.plan(people_csv=csv_of(3, title=lambda n: "Boss"))
    spend(desk)
    changed = {"Source": "HR", "Source ID": "E0002", "Name": "Person 2", "Primary Email": "e0002@x.example"}
    desk.sandbox.seed({"4me": {"records": {"people": [{**changed, "Job Title": "Retired"}]}}}, force=True)
    assert told(desk.apply(plan)) == {"applied": 2, "stale": 1}
    assert {one["sourceID"]: one["job_title"] for one in desk.people()}["E0002"] == "Retired"


def test_a_lost_upload_is_settled_over_rest(desk: Desk) -> None:
    """The rows are there: one job."""
    desk.sync(people_csv=csv_of(1))
    spend(desk)
    plan = desk.plan(people_csv=csv_of(6))
    desk.sandbox.faults("api=me_upload, at=1, do=commit_then_reset")
    assert told(desk.apply(plan)) == {"applied": 5}
    assert desk.jobs() == 2


def test_a_column_that_rest_does_not_give_is_unknown_in_words(desk: Desk) -> None:
    """The other columns are compared; a row whose other columns are the same is sent, since nobody knows."""
    desk.sync(people_csv=csv_of(2))
    spend(desk)
    desk.sandbox.faults("api=me_read, do=missing(job_title)")
    plan = desk.plan(people_csv=csv_of(2).replace("Person 2", "Renamed"))
    (same,), (renamed,) = lines(plan, "unknown"), lines(plan, "update")
    assert same.reason == "REST does not give Job Title"
    assert (renamed.before, renamed.reason) == ({"Name": "Person 2"}, "REST does not give Job Title")
    for form in ("human", "markdown"):
        told_of = " ".join(" ".join(find(form).of_plan(plan, details=50)).split())
        assert told_of.count("REST does not give Job Title") == 2
    desk.sandbox.clear_faults()
    assert told(desk.apply(plan)) == {"applied": 2}


def test_rows_of_owners_are_read_below_their_owner(desk: Desk) -> None:
    """A second look at rows of owners on one day; one changed number is one updated row, checked before it is sent."""
    desk.sync(people_csv=csv_of(3))
    rows = [f"e000{n}@x.example,{kind},+33 {n}" for n in (1, 2, 3) for kind in ("work", "mobile")]
    desk.apply(desk.plan(PHONES, phones_csv=HEAD + "\n".join(rows)))
    spend(desk)
    rows[2] = "e0002@x.example,work,+33 9"
    plan = desk.plan(PHONES, phones_csv=HEAD + "\n".join(rows))
    assert was_read_over_rest(desk)
    (update,) = lines(plan, "update")
    assert update.before == {"Contact URI": "+33 2"}
    assert len(lines(plan, "unchanged")) == 4
    assert [one.values["Contact Label"] for one in lines(plan, "touched")] == ["mobile"]  # of the same owner
    assert told(desk.apply(plan))["applied"] == 2
    again = desk.plan(PHONES, phones_csv=HEAD + "\n".join(rows))
    assert not [one for one in again.changes() if one.is_sent]


def test_a_plan_of_an_export_is_checked_over_rest_on_the_same_day(desk: Desk) -> None:
    """The usual case of many rows of owners: the plan took the day's export, and the check is the second look."""
    desk.sync(people_csv=csv_of(2))
    rows = ["e0001@x.example,work,+33 1", "e0002@x.example,work,+33 2"]
    desk.apply(desk.plan(PHONES, phones_csv=HEAD + "\n".join(rows)))
    plan = desk.plan(PHONES, phones_csv=HEAD + "\n".join([rows[0], "e0002@x.example,work,+33 9"]))
    assert not was_read_over_rest(desk)
    spend(desk)
    assert told(desk.apply(plan))["applied"] == 1
    spec = """syncengine: 1
data_source: HR
source: a.csv
steps:
  a: {4me: knowledge_articles, key: id, fields: {Subject: name, Instructions: name, Service: {const: Mail}}}
"""
    services = [{"Name": "Mail", "Provider": "Widget"}]
    desk.sandbox.seed({"4me": {"records": {"organizations": [{"Name": "Widget"}], "services": services}}}, force=True)
    desk.sandbox.settings(fourme__big_type=10_000)
    desk.sync(spec, a_csv="id,name\nk1,How to\n")
    plan = desk.plan(spec, a_csv="id,name\nk1,How not to\n")
    spend(desk)
    assert told(desk.apply(plan)) == {"applied": 1}
    assert not [one for one in desk.plan(spec, a_csv="id,name\nk1,How not to\n").changes() if one.is_sent]


def test_members_are_read_below_their_team_and_people_go_by_their_address(desk: Desk) -> None:
    """Relations of several records are collections of their own."""
    desk.sync(people_csv=csv_of(3))
    teams = "id,name,members\nt1,Ops,e0001@x.example;e0002@x.example\nt2,Desk,e0003@x.example\n"
    desk.apply(desk.plan(TEAMS, teams_csv=teams))
    spend(desk)
    plan = desk.plan(TEAMS, teams_csv=teams.replace("t2,Desk,e0003", "t2,Desk,e0002"))
    assert [one.key for one in lines(plan, "unchanged")] == ["t1"]
    assert [one.before for one in lines(plan, "update")] == [{"Members": "e0003@x.example"}]


def test_keys_that_no_filter_takes_are_found_in_the_whole_list(desk: Desk) -> None:
    """A comma makes a set of a filter, and a set of texts is refused."""
    csv = 'id,name,zone,text\n"a,b",Paris,Paris,"two\nlines"\n>c,Lyon,Paris,-\n'
    desk.sync(SITES, sites_csv=csv)
    plan = desk.plan(SITES, sites_csv=csv.replace("-", "+"))
    spend(desk)
    assert told(desk.apply(plan)) == {"applied": 1}
    again = desk.plan(SITES, sites_csv=csv.replace("-", "+"))
    assert len(lines(again, "unchanged")) == 2


def test_what_has_vanished_is_known_over_rest(desk: Desk) -> None:
    """All records of the Source are read, since guards and retirements count from them."""
    spec = """syncengine: 1
data_source: HR
guards: {max_retires: 9}
source: people.csv
steps:
  people:
    4me: people
    key: id
    fields: {Primary Email: mail, Name: name}
    vanished: {do: retire, set: {Disabled: true}}
"""
    desk.sync(spec, people_csv=csv_of(3))
    spend(desk)
    plan = desk.plan(spec, people_csv=csv_of(2))
    assert [one.key for one in lines(plan, "retire")] == ["E0003"]
    desk.apply(plan)
    assert [one["sourceID"] for one in desk.people() if one["disabled"]] == ["E0003"]


def test_records_of_the_directory_account_are_not_taken_for_those_of_the_account(desk: Desk) -> None:
    """REST lists both, an export the account alone; a person of either may have the same address."""
    main = desk.sandbox.fourme.account
    accounts = {main: {"name": "Main"}, "widget": {"name": "Widget", "directory": True}}
    people = [{"Name": "Dora", "Primary Email": "e0002@x.example", "Source": "HR", "Source ID": "E0002"}]
    desk.sandbox.seed({"4me": {"accounts": accounts, "records": {"people @widget": people}}}, force=True)
    desk.sync(people_csv=csv_of(1))
    planned = [[(one.key, one.action) for one in desk.plan(people_csv=csv_of(2)).changes()]]
    spend(desk)
    planned.append([(one.key, one.action) for one in desk.plan(people_csv=csv_of(2)).changes()])
    assert was_read_over_rest(desk)
    assert planned == [[("E0001", "unchanged"), ("E0002", "create")]] * 2


def test_the_cost_is_told_before_it_is_spent(desk: Desk) -> None:
    """Requests, and what they take of an hour's."""
    desk.sandbox.seed({"4me": {"generate": {"people": 2500, "source": "HR"}}}, force=True)
    desk.plan(people_csv=csv_of(1))
    spend(desk)
    desk.plan(people_csv=csv_of(1))
    assert [said for said in desk.said if "26 requests of 3,600 an hour, 1 min at least" in said]
    assert cost(2000, 3000).endswith("4 min at least")
    assert cost(9000, 100).endswith("3 h at least")


def test_the_cost_of_rows_of_owners_is_told_once_from_their_number(desk: Desk) -> None:
    """Contacts and addresses of each, and who they are: a list of all where that takes fewer requests."""
    account = desk.sandbox.fourme.account
    over = OverRest("people_contact_details", desk.connect().reader, desk.said.append, account, "it is spent")
    over.coming(400)
    over.fetch([{"Person": f"e{number}@x.example"} for number in range(8)])
    (said,) = desk.said
    assert said.startswith(
        "people_contact_details: it is spent; it is compared over REST: 801 requests of 3,600 an hour"
    )
    assert over.requests == 2, "their number and their list; none of the eight is in it"


def phones(owners: int, *, changed: bool = False) -> str:
    """A number of each owner."""
    last = "9" if changed else "1"
    return HEAD + "".join(f"e{number:04}@x.example,work,+33 {number}{last}\n" for number in range(1, owners + 1))


def test_rows_of_many_owners_cost_two_requests_each_and_a_list_of_all_of_them(desk: Desk) -> None:
    """And one each before they are sent: a number is no address, and nothing else is compared then."""
    desk.sync(people_csv=csv_of(30))
    desk.apply(desk.plan(PHONES, phones_csv=phones(30)))
    spend(desk)
    plan = desk.plan(PHONES, phones_csv=phones(30, changed=True))
    assert len(lines(plan, "update")) == 30
    (note,) = [one for one in plan.manifest.notes if one.code == "compared-over-rest"]
    assert "people_contact_details (62 requests)" in note.message
    desk.said.clear()
    assert told(desk.apply(plan))["applied"] == 30
    assert [said for said in desk.said if "compared over REST: 31 requests of 3,600 an hour" in said]
    again = desk.plan(PHONES, phones_csv=phones(30, changed=True))
    assert len(lines(again, "unchanged")) == 30


def test_rows_of_more_owners_than_may_be_read_are_unknown_and_the_plan_says_what_would_be_enough(desk: Desk) -> None:
    """Nobody waits for hours who did not say so; when they are sent, there is nothing to check them against."""
    desk.sync(people_csv=csv_of(30))
    desk.apply(desk.plan(PHONES, phones_csv=phones(30)))
    spend(desk)
    desk.rest_requests = 60
    plan = desk.plan(PHONES, phones_csv=phones(30, changed=True))
    (note,) = [one for one in plan.manifest.notes if one.code == "no-export"]
    assert "to read 30 owners over REST takes 61 requests of 3,600 an hour" in note.message
    assert "rest_requests: 61 under the connection" in note.fix
    assert {one.reason for one in lines(plan, "unknown")} == {lines(plan, "unknown")[0].reason}
    assert len(lines(plan, "unknown")) == 30
    assert "rest_requests allows 60" in lines(plan, "unknown")[0].reason
    assert told(desk.apply(plan))["applied"] == 30
    desk.rest_requests = 61
    assert len(lines(desk.plan(PHONES, phones_csv=phones(30, changed=True)), "unchanged")) == 30


def test_rows_of_more_owners_than_may_be_read_are_not_sent_unchecked(desk: Desk) -> None:
    """The run stops before them, with the choice; resume goes on where more is allowed."""
    desk.sync(people_csv=csv_of(30))
    desk.apply(desk.plan(PHONES, phones_csv=phones(30)))
    plan = desk.plan(PHONES, phones_csv=phones(30, changed=True))
    spend(desk)
    desk.rest_requests, jobs = 30, desk.jobs()
    summary = desk.apply(plan)
    assert summary.exit is Exit.UNSAFE
    assert summary.problem is not None
    assert "30 owners over REST takes 31 requests" in summary.problem.message
    assert "rest_requests: 31" in summary.problem.fix
    assert (told(summary), desk.jobs()) == ({"not_sent": 30}, jobs)
    desk.rest_requests = 31
    assert told(desk.resume(summary.run)) == {"applied": 30}


def test_few_rows_of_many_records_are_looked_for_one_by_one(desk: Desk) -> None:
    """The check before sending reads what is sent, not all that is owned."""
    desk.sandbox.seed({"4me": {"generate": {"people": 300, "source": "HR"}}}, force=True)
    spend(desk)
    over = OverRest("people", desk.connect().reader, desk.said.append, desk.sandbox.fourme.account, "it is spent")
    mail = desk.people()[0]
    over.fetch([{"Source": "HR", "Source ID": mail["sourceID"], "Primary Email": mail["primary_email"]}])
    held = over.records.by_pair("HR", mail["sourceID"])
    assert held is not None
    assert held.cells["Name"] == mail["name"]
    assert over.records.count() == 1
    assert over.requests <= 4
    over.fetch([{"Source": "HR", "Source ID": mail["sourceID"]}])
    assert over.requests <= 4


def test_a_type_that_rest_does_not_read_is_unknown_and_says_so(desk: Desk) -> None:
    """There is no collection of e-mail templates; the row is sent, and its job tells what became of it."""
    spec = """syncengine: 1
data_source: HR
source: a.csv
steps:
  a: {4me: email_templates, fields: {Trigger: id, Subject: name, Body: name, Email Design: name}}
"""
    csv = "id,name\nrequest_registered,Plain\n"
    desk.sync(spec, a_csv=csv)
    assert [(one.action, one.message) for one in desk.plan(spec, a_csv=csv).changes()] == [("unchanged", "")]
    spend(desk)
    (change,) = desk.plan(spec, a_csv=csv).changes()
    assert (change.action, change.basis) == ("unknown", "unknown")
    assert change.reason == "4me gave today's full export of this type, and REST has no collection of email_templates"
    assert told(desk.apply(desk.plans[-1])) == {"applied": 1}


def test_reading_over_rest_keeps_to_the_limit_of_a_burst(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty requests in two seconds are refused; nothing is."""
    monkeypatch.setattr("syncengine.cli.fourme.BURST", BURST)
    desk.sandbox.seed({"4me": {"generate": {"people": 2500, "source": "HR"}}}, force=True)
    desk.sandbox.settings(fourme__burst_requests=20)
    desk.sandbox.advance(10)
    reader = desk.connect().reader
    over = OverRest("people", reader, desk.said.append, desk.sandbox.fourme.account, "it is spent")
    over.read_all_of({"HR"})
    assert over.records.count() == 2500 + 1  # and the API user
    assert reader.retries == 0


def test_a_comparison_that_needs_more_than_an_hour_allows_waits_for_the_next_one(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says so, once; no request is refused for it."""
    desk.sandbox.seed({"4me": {"generate": {"people": 2500, "source": "HR"}}}, force=True)
    desk.sandbox.settings(fourme__requests_per_hour=12)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        desk.sandbox.advance(seconds)

    clock = Clock(lambda: sum(slept) + time.monotonic(), sleep)
    with contextlib.ExitStack() as stack:
        reader = Reader(fourme.to_sandbox(desk.sandbox, 4, clock, stack))
        over = OverRest("people", reader, desk.said.append, desk.sandbox.fourme.account, "it is spent")
        over.read_all_of({"HR"})
    assert over.records.count() == 2500 + 1
    assert reader.retries == 0
    assert [said for said in desk.said if said.endswith("requests so far")]
    told = capsys.readouterr().err.splitlines()
    assert told == ["4me: the requests of this hour are spent; going on in 60 min"] * len(told)
    assert len(told) == len([seconds for seconds in slept if seconds > 60]) == 2


def test_names_of_columns_in_rest() -> None:
    """The plain translation, and what the pages call otherwise."""
    assert [rest_name(one) for one in ("Primary Email", "Source ID", "ID", "Parent Organization", "Multi-day")] == [
        "primary_email",
        "sourceID",
        "id",
        "parent",
        "multi_day",
    ]
