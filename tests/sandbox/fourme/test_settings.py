"""Each open question of the 4me side has both of its answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from syncengine.sandbox.fourme_settings import FOURME
from syncengine.sandbox.process import SandboxError
from tests.sandbox.fourme.conftest import Client, Seed

HEAD = "Source,Source ID,Name,Primary Email"
ANN = {"Name": "Ann", "Primary Email": "ann@x.com", "Source": "HR", "Source ID": "1"}


def test_settings_are_listed_with_their_reason(me: Client) -> None:
    """By the command line, too."""
    told = me.running.settings()
    assert set(FOURME) <= set(told)
    assert all(told[name]["why"] for name in FOURME)


@pytest.mark.parametrize(
    ("setting", "value", "sent", "before", "after"),
    [
        ("bad_value", "ignored", f"{HEAD},Cost Per Hour\nHR,9,X,x@x.com,a lot\n", {"failures": 1}, {"created": 1}),
        ("repeated_header", "refused", f"{HEAD},Name\nHR,9,X,x@x.com,Y\n", {"created": 1}, {"errors": 1}),
        ("header_case", "folded", f"{HEAD.lower()}\nHR,9,X,x@x.com\n", {"failures": 1}, {"created": 1}),
        ("utf8_bom", "kept", "\ufeffName,Primary Email\nX,x@x.com\n", {"created": 1}, {"failures": 1}),
        ("unknown_id", "create", "ID,Name,Primary Email\n7,X,x@x.com\n", {"failures": 1}, {"created": 1}),
        ("references", "exact", f"{HEAD},Site\nHR,9,X,x@x.com,PARIS\n", {"created": 1}, {"failures": 1}),
        ("email", "exact", f"{HEAD},Manager\nHR,9,X,x@x.com,ANN@x.com\n", {"created": 1}, {"failures": 1}),
        ("disabled_targets", "accepted", f"{HEAD},Site\nHR,9,X,x@x.com,Oslo\n", {"failures": 1}, {"created": 1}),
    ],
)
def test_a_file_is_taken_one_way_or_the_other(
    me: Client, seed: Seed, setting: str, value: str, sent: str, before: dict[str, int], after: dict[str, int]
) -> None:
    """With the default, and with the other value."""
    for expected in (before, after):
        me.running.reset()
        seed(people=[ANN], sites=[{"Name": "Paris"}, {"Name": "Oslo", "Disabled": True}])
        assert me.results("people", sent) == expected
        me.running.settings(**{f"fourme__{setting}": value})


def test_names_that_references_use_may_be_taken(me: Client, seed: Seed) -> None:
    """A second site of the same name fails, or does not."""
    seed(sites=[{"Name": "Paris"}])
    assert me.results("sites", "Name\nparis\n") == {"failures": 1}
    me.running.settings(fourme__unique_names=False)
    assert me.results("sites", "Name\nparis\n") == {"created": 1}


def test_custom_fields_are_merged_or_replaced_and_must_be_defined(me: Client) -> None:
    """By the UI extension of the record, where a seed says what it defines."""
    me.running.seed(
        {
            "4me": {
                "custom_fields": {"Extra": ["rack", "unit"]},
                "records": {
                    "ui_extensions": [{"Name": "Extra", "Category": "site"}, {"Name": "Free", "Category": "site"}],
                    "sites": [{"Name": "Paris", "Source": "HR", "Source ID": "1", "UI Extension": "Extra"}],
                },
            }
        }
    )

    def put(fields: str) -> dict[str, int]:
        quoted = fields.replace('"', '""')
        return me.results("sites", f'Source,Source ID,Custom Fields\nHR,1,"{quoted}"\n')

    assert put('[{"id":"rack","value":7}]') == {"updated": 1}
    assert put('[{"id":"unit","value":"U2"}]') == {"updated": 1}
    site = me.get("/sites").json()[0]["id"]
    assert me.get(f"/sites/{site}").json()["custom_fields"] == [
        {"id": "rack", "value": 7},
        {"id": "unit", "value": "U2"},
    ]
    assert put('[{"id":"color","value":"red"}]') == {"failures": 1}
    assert put("[1]") == put("rack") == {"failures": 1}
    me.running.settings(fourme__custom_fields="replace", fourme__unknown_custom_field="ignored")
    assert put('[{"id":"color","value":"red"},{"id":"unit","value":"U3"}]') == {"updated": 1}
    assert me.rows("sites", "Custom Fields") == [{"Custom Fields": '[{"id":"unit","value":"U3"}]'}]
    assert me.results("sites", "Source,Source ID,UI Extension\nHR,1,Free\n") == {"updated": 1}
    assert put('[{"id":"color","value":"red"}]') == {"updated": 1}


def test_values_of_published_examples_may_be_refused(me: Client, seed: Seed) -> None:
    """A label that an example has and no list."""
    seed(people=[ANN])
    file = "Person,Contact Protocol,Contact Label,Contact URI\nann@x.com,telephone,skype,ann\n"
    assert me.results("people_contact_details", file) == {"created": 1}
    me.running.settings(fourme__example_values="refused")
    assert me.results("people_contact_details", file) == {"failures": 1}


def test_times_of_migrated_records_are_taken_over(me: Client) -> None:
    """Of requests by default; of people by setting."""
    stamp = "2020-02-03T04:05:06+01:00"
    me.load("requests", f"Subject,Category,Created At\nHelp,incident,{stamp}\n")
    assert me.get("/requests").json()[0]["created_at"] == "2020-02-03T03:05:06Z"
    me.running.settings(fourme__times="always")
    me.load("people", f"{HEAD},Created At\nHR,1,Ann,ann@x.com,{stamp}\n")
    assert me.rows("people", "Created At") == [{"Created At": "2020-02-03T03:05:06Z"}]


def test_exported_tabs_are_undone_by_setting(me: Client) -> None:
    """An export that is imported as it is changes the text, unless the service undoes what it did."""
    me.load("people", f"{HEAD},Location\nHR,1,Ann,ann@x.com,+1\n")
    assert me.results("people", me.exported("people"))["updated"] == 1
    me.running.settings(fourme__strip_tab=True)
    assert me.results("people", f"{HEAD},Location\nHR,1,Ann,ann@x.com,\t+1\n") == {"updated": 1}
    assert me.results("people", me.exported("people")) == {"unchanged": 2}


def test_statuses_that_no_page_gives_are_settings(me: Client) -> None:
    """Of a bad type, a missing file, another account, a log fetched with a login, a refusal without a wait, HTTP."""
    me.running.settings(
        fourme__unknown_type_status=400,
        fourme__bad_file_status=400,
        fourme__unknown_account_status=404,
        fourme__log_with_login="served",
        fourme__log_host="other",
        fourme__export_with_login="refused",
    )
    assert (me.upload("shoes", "x").status_code, me.upload("people", "").status_code) == (400, 400)
    assert me.upload("shoes", "x").json() == {"message": "Type is not included in the list"}
    assert me.upload("people", "x", headers={"X-4me-Account": "else"}).status_code == 404
    link = me.load("people", f"{HEAD}\nHR,1,Ann,ann@x.com\n")["logfile"]
    assert link.startswith("http://localhost:")
    assert me.session.get(link, timeout=10).status_code == 200
    told = me.job(me.ask_export("people").json()["token"], "export")
    assert me.session.get(told["url"], timeout=10).status_code == 400
    me.running.settings(fourme__requests_per_hour=1, fourme__retry_after="none")
    refused = me.get("/me")
    assert (refused.status_code, "retry-after" in refused.headers) == (429, False)
    me.running.settings(fourme__plain_http="rejected")
    assert me.get("/me").status_code == 403


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ({"shoes": {}}, "4me: unknown section 'shoes'"),
        ({"records": {"peeple": []}}, "4me.records: there is no type 'peeple'"),
        ({"records": {"people @else": []}}, "4me: there is no account 'else'"),
        ({"records": {"people": [{"Nom": "x"}]}}, "4me.records.people: there is no column 'Nom'"),
        ({"records": {"people": [{"Name": "x"}]}}, "4me.records.people, record 1: Primary Email can't be blank"),
        ({"generate": {"teams": 3}}, "4me.generate: 'teams' is not people"),
    ],
)
def test_bad_seeds_are_told_and_leave_nothing(me: Client, section: dict[str, Any], text: str) -> None:
    """The place, and what is wrong."""
    with pytest.raises(SandboxError, match=text.replace(".", r"\.")):
        me.running.seed({"4me": {"accounts": {"new": {}}, **section}})
    assert me.get("/account").json()["id"] == me.account


def test_generated_people_are_always_the_same(me: Client) -> None:
    """With their organizations, sites and managers; they stand in no ledger."""
    me.running.seed({"4me": {"generate": {"people": 300, "organizations": 7, "sites": 3, "source": "HR"}}})
    rows = me.rows("people")
    assert len(rows) == 300
    assert {name: rows[256][name] for name in ("Name", "Primary Email", "Source", "Source ID", "Organization")} == {
        "Name": "Person 000257",
        "Primary Email": "person000257@example.com",
        "Source": "HR",
        "Source ID": "people-000257",
        "Organization": "Organization 0006",
    }
    assert rows[256]["Manager"] == "person000058@example.com"
    assert me.running.ledger() == []


ACTIONS = ["status(503)", "html200", "reset", "hang", "gzip_bad", "truncate(5)"]
APIS = ["me_upload", "me_poll", "me_log", "me_read", "me_export", "me_file", "oauth"]


@pytest.mark.parametrize(
    ("api", "action"),
    [
        pytest.param(api, action, marks=() if (one + other) % len(ACTIONS) == 0 else pytest.mark.long)
        for one, api in enumerate(APIS)
        for other, action in enumerate(ACTIONS)
    ],
)
def test_faults_that_every_call_can_meet_are_met_here(me: Client, api: str, action: str) -> None:
    """None gives the usual answer, and each is on record."""
    told = me.load("people", f"{HEAD}\nHR,1,Ann,ann@x.com\n")
    link = me.job(me.ask_export("sites").json()["token"], "export")["url"]
    url = f"{me.running.url}/v1"
    calls: dict[str, Callable[[float], Any]] = {
        "me_upload": lambda s: (
            me.session.post(f"{url}/import", timeout=s).json()["message"] == "the Content-Type has no boundary" or None
        ),
        "me_poll": lambda s: (
            me.session.get(f"{url}/import/0123456789", timeout=s).json()["message"] == "Not Found" or None
        ),
        "me_log": lambda s: requests.get(told["logfile"], timeout=s).content.decode()[:5] == "# imp" or None,
        "me_read": lambda s: me.session.get(f"{url}/me", timeout=s).json()["id"],
        "me_export": lambda s: me.session.post(f"{url}/export", data={"type": "sites"}, timeout=s).json()["token"],
        "me_file": lambda s: requests.get(link, timeout=s).content.decode()[:9] == "ID,Source" or None,
        "oauth": lambda s: (
            requests.post(f"{me.running.url}/oauth/token", timeout=s).json()["error"] == "invalid_request" or None
        ),
    }
    assert calls[api](30)
    me.running.faults(f"api={api}, do={action}")
    usual: Any = None
    try:
        usual = calls[api](1)
    except (requests.RequestException, ValueError, KeyError):
        usual = None
    assert usual is None
    assert {(one["api"], one["action"]) for one in me.running.met()} >= {(api, action.partition("(")[0])}
