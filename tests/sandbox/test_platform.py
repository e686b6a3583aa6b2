"""The platform around the engine: OAuth, API keys, statistics, batches, rate limits."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
import requests

from tests.sandbox.conftest import Http, server

ACCOUNTS: dict[str, Any] = {
    "users": {"reader": {"password": "secret", "roles": ["itil"]}},
    "clients": {"sync": {"secret": "s3cret", "user": "reader"}},
    "api_keys": {"k3y": "reader"},
}


@pytest.fixture
def anonymous(http: Http) -> Http:
    """A client that has not logged in; accounts are seeded."""
    http.running.seed(ACCOUNTS)
    http.session.auth = None
    return http


def token(http: Http, **form: str) -> requests.Response:
    """Ask for a token."""
    given = {"client_id": "sync", "client_secret": "s3cret", **form}
    return http.session.post(f"{http.running.url}/oauth_token.do", data=given, timeout=10)


def test_a_password_gives_a_token_that_lives_half_an_hour(anonymous: Http) -> None:
    """The same token within its life; a refresh token gives the next one."""
    anonymous.running.advance(1801)  # no token that another test was given is alive
    first = token(anonymous, grant_type="password", username="reader", password="secret").json()
    assert first["token_type"] == "Bearer"
    assert 1700 < first["expires_in"] < 1800
    again = token(anonymous, grant_type="password", username="reader", password="secret").json()
    assert again["access_token"] == first["access_token"]
    anonymous.session.headers["Authorization"] = f"Bearer {first['access_token']}"
    assert anonymous.engine("/query", server("a")).status_code == 200
    anonymous.running.advance(1801)
    assert anonymous.engine("/query", server("a")).status_code == 401
    del anonymous.session.headers["Authorization"]
    renewed = token(anonymous, grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    anonymous.session.headers["Authorization"] = f"Bearer {renewed['access_token']}"
    assert anonymous.engine("/query", server("a")).status_code == 200


def test_client_credentials_have_no_refresh_token(anonymous: Http) -> None:
    """The client acts as its user."""
    answer = token(anonymous, grant_type="client_credentials").json()
    assert "refresh_token" not in answer
    anonymous.session.headers["Authorization"] = f"Bearer {answer['access_token']}"
    made = anonymous.post("/table/incident", {}).json()["result"]
    assert made["sys_created_by"] == "reader"


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"grant_type": "password", "username": "reader", "password": "x"}, 401),
        ({"grant_type": "client_credentials", "client_secret": "x"}, 401),
        ({"grant_type": "refresh_token", "refresh_token": ""}, 401),
        ({"grant_type": "magic"}, 400),
    ],
)
def test_wrong_credentials_give_no_token(anonymous: Http, form: dict[str, str], status: int) -> None:
    """With an error as RFC 6749 has it."""
    answer = token(anonymous, **form)
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "error_description"}


def test_an_api_key_is_a_login(anonymous: Http) -> None:
    """Header x-sn-apikey."""
    anonymous.session.headers["x-sn-apikey"] = "k3y"
    assert anonymous.get("/table/cmdb_rel_type", sysparm_limit=1).status_code == 200
    del anonymous.session.headers["x-sn-apikey"]
    assert anonymous.get("/table/cmdb_rel_type", **{"x-sn-apikey": "k3y"}).status_code == 200
    anonymous.session.headers["x-sn-apikey"] = "wrong"
    assert anonymous.get("/table/cmdb_rel_type", sysparm_limit=1).status_code == 401


def test_basic_logins_can_be_restricted_to_users_for_programs(http: Http) -> None:
    """Setting login.basic; the password is still good for a token."""
    machine = {"password": "secret", "roles": ["itil"], "web_service_only": True}
    http.running.seed({**ACCOUNTS, "users": {**ACCOUNTS["users"], "machine": machine}}, force=True)
    http.running.settings(login__basic="restricted")
    for name, status in (("reader", 401), ("machine", 200)):
        http.session.auth = (name, "secret")
        assert http.get("/table/cmdb_rel_type", sysparm_limit=1).status_code == status
    assert token(http, grant_type="password", username="reader", password="secret").status_code == 200


@pytest.mark.parametrize(("accept", "status"), [("application/json", 200), ("*/*", 200), ("text/csv", 406)])
def test_only_json_is_answered(http: Http, accept: str, status: int) -> None:
    """406 for what the API cannot produce."""
    http.session.headers["Accept"] = accept
    assert http.get("/table/cmdb_rel_type", sysparm_limit=1).status_code == status


def servers(http: Http) -> None:
    """Three in two environments."""
    rows = [
        {"name": n, "environment": e, "ram": r}
        for n, e, r in (("a", "Test", "10"), ("b", "Test", "20"), ("c", "Production", "9"))
    ]
    http.running.seed({"records": {"cmdb_ci_server": rows}}, force=True)


def test_statistics_of_a_table_are_text(http: Http) -> None:
    """count, avg, sum, min, max; with a query."""
    servers(http)
    ask = {"sysparm_count": "true", "sysparm_avg_fields": "ram", "sysparm_sum_fields": "ram"}
    assert http.get("/stats/cmdb_ci_server", **ask).json() == {
        "result": {"stats": {"count": "3", "avg": {"ram": "13"}, "sum": {"ram": "39"}}}
    }
    few = http.get("/stats/cmdb_ci", sysparm_count="true", sysparm_query="environment=Test").json()
    assert few == {"result": {"stats": {"count": "2"}}}


def test_statistics_by_group(http: Http) -> None:
    """group_by, having, order_by."""
    servers(http)
    ask = {"sysparm_count": "true", "sysparm_group_by": "environment"}
    groups = http.get("/stats/cmdb_ci_server", **ask).json()["result"]
    assert groups == [
        {"stats": {"count": "1"}, "groupby_fields": [{"field": "environment", "value": "Production"}]},
        {"stats": {"count": "2"}, "groupby_fields": [{"field": "environment", "value": "Test"}]},
    ]
    many = http.get("/stats/cmdb_ci_server", **ask, sysparm_having="count^environment^>^1").json()["result"]
    assert [group["groupby_fields"][0]["value"] for group in many] == ["Test"]


def test_a_batch_answers_each_request_for_itself(http: Http) -> None:
    """One good read, one bad, one write; the others go on."""

    def request(number: int, method: str, url: str, body: Any = None) -> dict[str, Any]:
        content = base64.b64encode(orjson.dumps(body)).decode() if body is not None else ""
        headers = [
            {"name": "Content-Type", "value": "application/json"},
            {"name": "Accept", "value": "application/json"},
        ]
        return {"id": str(number), "method": method, "url": url, "headers": headers, "body": content}

    answer = http.post(
        "/v1/batch",
        {
            "batch_request_id": "7",
            "rest_requests": [
                request(1, "GET", "/api/now/table/cmdb_rel_type?sysparm_limit=1"),
                request(2, "GET", "/api/now/table/nosuch"),
                request(3, "POST", "/api/now/table/incident", {"short_description": "x"}),
                request(4, "POST", "/api/now/v1/batch", {"rest_requests": []}),
            ],
        },
    ).json()
    assert (answer["batch_request_id"], answer["unserviced_requests"]) == ("7", [])
    assert [(one["id"], one["status_code"]) for one in answer["serviced_requests"]] == [
        ("1", 200), ("2", 400), ("3", 201), ("4", 400),
    ]  # fmt: skip
    made = orjson.loads(base64.b64decode(answer["serviced_requests"][2]["body"]))["result"]
    assert made["short_description"] == "x"


def test_a_rate_limit_refuses_and_says_until_when(http: Http) -> None:
    """429 with the three headers and Retry-After; a new hour begins by the clock."""
    limit = {"name": "Table API", "resource": "table/", "limit": "3"}
    http.running.seed({"records": {"sys_rate_limit_rules": [limit]}}, force=True)
    codes = [http.get("/table/cmdb_rel_type", sysparm_limit=1).status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]
    refused = http.get("/table/cmdb_rel_type", sysparm_limit=1)
    assert refused.headers["X-RateLimit-Limit"] == "3"
    assert refused.json()["error"]["detail"] == "Rate limit of 3 requests per hour for Table API exceeded"
    assert http.engine("/query", server("a")).status_code == 200
    http.running.advance(int(refused.headers["Retry-After"]) + 1)
    assert http.get("/table/cmdb_rel_type", sysparm_limit=1).status_code == 200
