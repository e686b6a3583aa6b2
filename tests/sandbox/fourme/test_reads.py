"""REST: collections, filters, pages, references, logins, limits, host names."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.sandbox.fourme.conftest import Client, Seed


def people(count: int) -> list[dict[str, Any]]:
    """Some people of a source."""
    return [
        {
            "Name": f"P {n:02}",
            "Primary Email": f"p{n:02}@x.com",
            "Source": "HR",
            "Source ID": f"h,{n}",
            "VIP": n % 2 == 0,
        }
        for n in range(1, count + 1)
    ]


def test_a_collection_comes_in_pages_with_a_cursor(me: Client, seed: Seed) -> None:
    """Headers in lower case, `first` and `next`, and every record once."""
    seed(people=people(45))
    answer = me.get("/people", source="HR", per_page=20)
    told = {name: value for name, value in answer.headers.items() if name.startswith("x-pagination")}
    assert told == {
        "x-pagination-per-page": "20",
        "x-pagination-current-page": "1",
        "x-pagination-total-pages": "3",
        "x-pagination-total-entries": "45",
    }
    seen = [one["name"] for one in answer.json()]
    assert set(answer.links) == {"first", "next"}
    while "next" in answer.links:
        answer = me.session.get(answer.links["next"]["url"], timeout=10)
        seen += [one["name"] for one in answer.json()]
    assert seen == [f"P {n:02}" for n in range(1, 46)]
    assert "next" not in answer.links
    backwards = [one["name"] for one in me.get("/people", source="HR", sort="-name", per_page=3).json()]
    assert backwards == ["P 45", "P 44", "P 43"]
    assert [one["name"] for one in me.get("/people", source="HR", per_page=20, page=3).json()] == seen[40:]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"per_page": "0"}, "Parameter 'per_page' cannot be less than 1"),
        ({"shoe": "5"}, "Unknown fields: shoe"),
        ({"job_title": "x"}, "Filtering not allowed on fields: job_title"),
        ({"sourceID": "1,2"}, "Cannot apply the '=' operator to a set of values for field 'sourceID'"),
        ({"sort": "location"}, "Sorting not allowed on fields: location"),
        ({"fields": "name,shoe"}, "Unknown fields: shoe"),
    ],
)
def test_bad_parameters_are_told(me: Client, parameters: dict[str, str], message: str) -> None:
    """400 with the documented text."""
    answer = me.get("/people", **parameters)
    assert (answer.status_code, answer.json()) == (400, {"message": message})


def test_filters_have_their_operators(me: Client, seed: Seed) -> None:
    """Equal, not, blank, present, sets, ranges, times; strings count the case, except where the page says otherwise."""
    seed(
        people=[
            {"Name": "Ann", "Primary Email": "ann@x.com", "Source": "HR", "Source ID": "1", "Employee ID": "E1"},
            {"Name": "Bob", "Primary Email": "bob@x.com", "Source": "hr", "Source ID": "2", "Disabled": True},
        ],
    )
    ids = {one["name"]: one["id"] for one in me.get("/people").json()}

    def names(path: str = "/people", **parameters: str) -> list[str]:
        return [one["name"] for one in me.get(path, **parameters).json() if one["name"] != "API User"]

    assert names(source="HR") == ["Ann"]
    assert names(source="!HR") == ["Bob"]
    assert names(employeeID="") == ["Bob"]
    assert names(employeeID="!") == ["Ann"]
    assert names(name="ann") == []
    assert names(primary_email="ANN@x.com") == ["Ann"]
    assert names(id=f"{ids['Ann']},{ids['Bob']}") == ["Ann", "Bob"]
    assert names(disabled="true") == names("/people/disabled") == ["Bob"]
    assert names(disabled="false") == names("/people/enabled") == ["Ann"]
    assert names(updated_at=">=2020-01-01T00:00:00Z<2020-01-02T00:00:00Z") == []
    assert names(updated_at=">2020-01-01T00:00:00Z") == ["Ann", "Bob"]
    assert me.get("/people/solved").status_code == 404
    assert me.get("/people/internal").status_code == 501


def test_records_and_their_references_are_told_as_documented(me: Client, seed: Seed) -> None:
    """Golden answers: blank is null, decimals are text, a reference has its sourceID, several are a collection."""
    me.running.settings(fourme__disabled_targets="accepted")
    seed(
        organizations=[{"Name": "Widget", "Source": "HR", "Source ID": "o1", "Disabled": True}],
        people=[
            {"Name": "Ann", "Primary Email": "ann@x.com", "Cost Per Hour": "42.5", "Organization": "Widget"},
            {"Name": "Bob", "Primary Email": "bob@x.com"},
        ],
        teams=[{"Name": "Help", "Members": ["ann@x.com", "bob@x.com"], "Coordinator": "bob@x.com"}],
        people_contact_details=[
            {"Person": "ann@x.com", "Contact Protocol": "telephone", "Contact Label": "work", "Contact URI": "+1 512"},
            {"Person": "ann@x.com", "Address Label": "home", "Address Address": "Road 1", "Address City": "Paris"},
        ],
    )
    ann = me.get("/people", name="Ann", fields="name,organization,cost_per_hour,manager").json()[0]
    organization = me.get("/organizations").json()[0]["id"]
    assert ann == {
        "id": ann["id"],
        "name": "Ann",
        "organization": {"id": organization, "name": "Widget", "sourceID": "o1", "disabled": True},
        "cost_per_hour": "42.5",
        "manager": None,
    }
    team = me.get("/teams").json()[0]
    assert "members" not in team
    assert [one["name"] for one in me.get(f"/teams/{team['id']}/members").json()] == ["Ann", "Bob"]
    assert [one["name"] for one in me.get(f"/people/{ann['id']}/teams").json()] == ["Help"]
    contact = me.get(f"/people/{ann['id']}/contacts").json()[0]
    assert {name: contact[name] for name in ("protocol", "label", "uri", "integration")} == {
        "protocol": "telephone",
        "label": "work",
        "uri": "+1 512",
        "integration": False,
    }
    assert [one["address"] for one in me.get(f"/people/{ann['id']}/addresses").json()] == ["Road 1"]
    whole = me.get(f"/people/{ann['id']}")
    assert "custom_fields" in whole.json()
    assert me.session.get(whole.url, headers={"If-None-Match": whole.headers["etag"]}, timeout=10).status_code == 304
    assert me.get("/people/1").status_code == me.get("/shoes").status_code == 404
    assert me.get("/me").json()["primary_email"] == "api.user@sandbox.example"
    assert me.get("/account").json()["id"] == me.account
    assert {"id": "in_production", "txt": "In production"} in me.get("/enums").json()["ci.status"]


def test_the_directory_account_is_read_beside_the_own(me: Client) -> None:
    """Documented for people and organizations; predefined filters split them."""
    me.running.seed(
        {
            "4me": {
                "accounts": {"wdc": {"name": "Data Center"}, "widget": {"name": "Widget", "directory": True}},
                "records": {
                    "people @widget": [{"Name": "Dora", "Primary Email": "dora@x.com"}],
                    "people": [{"Name": "Sam", "Primary Email": "sam@x.com"}],
                },
            }
        }
    )

    def names(path: str) -> set[str]:
        return {one["name"] for one in me.get(path).json()} - {"API User"}

    assert names("/people") == {"Dora", "Sam"}
    assert names("/people/directory") == {"Dora"}
    assert names("/people/support_domain") == {"Sam"}
    dora = next(one for one in me.get("/people").json() if one["name"] == "Dora")
    assert dora["account"] == {"id": "widget", "name": "Widget"}
    assert [row["Name"] for row in me.rows("people")] == ["Sam"]
    me.session.headers["X-4me-Account"] = "widget"
    assert [row["Name"] for row in me.rows("people")] == ["Dora"]


def test_oauth_gives_tokens_for_an_hour(me: Client) -> None:
    """A form body; every error is 400 in the words of RFC 6749; parameters in the query are none."""
    login, url = me.running.fourme, f"{me.running.url}/oauth/token"
    form = {"client_id": login.client, "client_secret": login.secret, "grant_type": "client_credentials"}
    granted = requests.post(url, data=form, timeout=10).json()
    assert (granted["token_type"], granted["expires_in"]) == ("Bearer", 3600)
    headers = {"Authorization": f"Bearer {granted['access_token']}"}

    def asked() -> int:
        return requests.get(f"{me.running.url}/v1/me", headers=headers, timeout=10).status_code

    assert asked() == 200
    refusals = [
        requests.post(url, data={**form, "client_secret": "no"}, timeout=10),
        requests.post(url, data={**form, "grant_type": "password"}, timeout=10),
        requests.post(url, params=form, timeout=10),
    ]
    assert [(one.status_code, one.json()["error"]) for one in refusals] == [
        (400, "invalid_client"),
        (400, "unsupported_grant_type"),
        (400, "invalid_request"),
    ]
    me.running.faults("api=me_read, times=1, do=expire_token(1)")
    assert (asked(), asked()) == (401, 401)
    granted = requests.post(url, data=form, timeout=10).json()
    headers["Authorization"] = f"Bearer {granted['access_token']}"
    assert asked() == 200
    me.running.advance(3601)
    assert asked() == 401
    basic = requests.get(f"{me.running.url}/v1/me", auth=(me.running.user, me.running.password), timeout=10)
    assert (basic.status_code, basic.json()) == (401, {"message": "Unauthorized"})
    assert requests.get(f"{me.running.url}/v1", timeout=10).json() == {}


@pytest.mark.covers("JOB-14")
def test_limits_are_counted_by_token_on_the_rolling_hour(me: Client) -> None:
    """Headers of every answer; a burst and the hour give 429 with the wait; asking for limits costs nothing."""
    me.running.settings(fourme__burst_requests=5, fourme__requests_per_hour=8)
    me.running.advance(7200)
    answers = [me.get("/me") for _ in range(6)]
    assert [one.status_code for one in answers] == [200] * 5 + [429]
    assert answers[4].headers["x-ratelimit-remaining"] == "3"
    assert answers[5].json()["message"] == "Too Many Requests"
    assert "documentation_url" in answers[5].json()
    assert int(answers[5].headers["retry-after"]) in (1, 2)
    me.running.advance(2)
    assert [me.get("/me").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert me.get("/rate_limit").json()["resources"]["core"]["remaining"] == 0
    assert me.get("/rate_limit").status_code == 429
    me.running.advance(3600)
    assert me.get("/me").status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("api.4me.com", 200),
        ("api.us.xurrent.com", 200),
        ("api.au.4me.qa", 200),
        ("API.xurrent-demo.com", 200),
        ("api.localhost:8080", 200),
        ("evil.example", 421),
        ("api.4me.com.evil.example", 421),
    ],
)
def test_every_name_of_the_service_is_answered_and_no_other(me: Client, host: str, status: int) -> None:
    """Both spellings, all environments and regions; a token is had at /token of the OAuth host."""
    assert me.session.get(f"{me.running.url}/v1/me", headers={"Host": host}, timeout=10).status_code == status
    if status == 200:
        form = {
            "client_id": me.running.fourme.client,
            "client_secret": me.running.fourme.secret,
            "grant_type": "client_credentials",
        }
        oauth = {"Host": host.lower().replace("api.", "oauth.", 1)}
        answer = requests.post(f"{me.running.url}/token", data=form, headers=oauth, timeout=10)
        assert answer.json()["token_type"] == "Bearer"
        other = me.session.get(f"{me.running.url}/api/now/table/cmdb_ci", headers={"Host": host}, timeout=10)
        assert other.status_code == 404
