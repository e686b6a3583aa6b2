"""Access rules: rows and columns that a user does not see, and APIs that he may not call. Results are filtered."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import Http, server

ROWS = [
    {"name": f"s{n}", "sys_id": f"{n:032x}", "ram": str(n), "environment": "Test" if n % 2 else "Prod"}
    for n in range(6)
]
USERS = {
    "reader": {"password": "secret", "roles": ["itil"]},
    "boss": {"password": "secret", "roles": ["itil", "chief"]},
}


def as_user(http: Http, name: str, *rules: dict[str, Any]) -> Http:
    """Six servers, the rules, and a login as that user."""
    http.running.seed(
        {"records": {"cmdb_ci_server": ROWS}, "users": USERS, "access": list(rules)},
        force=True,
    )
    http.session.auth = (name, "secret")
    return http


def names(http: Http, **parameters: Any) -> list[str]:
    """What a list of servers shows."""
    rows = http.get("/table/cmdb_ci_server", sysparm_fields="name", sysparm_query="ORDERBYname", **parameters)
    return [row["name"] for row in rows.json()["result"]]


def test_a_hidden_table_is_empty_and_not_refused(http: Http) -> None:
    """Without an error; who has the role, and admin, see everything."""
    rule = {"table": "cmdb_ci_server", "roles": ["chief"]}
    assert names(as_user(http, "reader", rule)) == []
    assert http.get("/table/cmdb_ci").json()["result"] == []
    assert http.get(f"/table/cmdb_ci_server/{1:032x}").status_code == 404
    assert http.get("/stats/cmdb_ci_server", sysparm_count="true").json() == {"result": {"stats": {}}}
    http.session.auth = ("boss", "secret")
    assert len(names(http)) == 6
    http.session.auth = (http.running.user, http.running.password)
    assert len(names(http)) == 6


def test_a_hidden_table_can_be_refused_by_setting(http: Http) -> None:
    """The other observed behaviour: 403 on the query."""
    http.running.settings(access__hidden_table="403")
    answer = as_user(http, "reader", {"table": "cmdb_ci_server", "roles": ["chief"]}).get("/table/cmdb_ci_server")
    assert (answer.status_code, answer.json()["error"]["message"]) == (403, "Insufficient rights to query records")


def test_rows_are_hidden_after_the_limit_so_that_pages_are_short(http: Http) -> None:
    """The total counts them, or does not: a setting."""
    rule = {"table": "cmdb_ci_server", "roles": ["itil"], "condition": "environment=Test"}
    as_user(http, "reader", rule)
    first = http.get("/table/cmdb_ci_server", sysparm_limit=3, sysparm_query="ORDERBYname", sysparm_fields="name")
    assert [row["name"] for row in first.json()["result"]] == ["s1"]
    assert first.headers["X-Total-Count"] == "6"
    assert 'rel="next"' in first.headers["Link"]
    assert names(http, sysparm_limit=3, sysparm_offset=3) == ["s3", "s5"]
    http.running.settings(access__total_count="visible", access__applied="before_limit")
    whole = http.get("/table/cmdb_ci_server", sysparm_limit=3, sysparm_query="ORDERBYname", sysparm_fields="name")
    assert [row["name"] for row in whole.json()["result"]] == ["s1", "s3", "s5"]
    assert whole.headers["X-Total-Count"] == "3"


def test_a_hidden_column_is_left_out_or_empty(http: Http) -> None:
    """In lists, in single records and at the end of a dot-walk."""
    as_user(http, "reader", {"table": "cmdb_ci_server", "columns": ["ram"], "roles": ["chief"]})
    path = f"/table/cmdb_ci_server/{3:032x}"
    assert "ram" not in http.get(path).json()["result"]
    assert http.get(path, sysparm_fields="name,ram").json()["result"] == {"name": "s3"}
    http.running.settings(access__hidden_column="empty")
    assert http.get(path, sysparm_fields="name,ram").json()["result"] == {"name": "s3", "ram": ""}
    http.session.auth = ("boss", "secret")
    assert http.get(path, sysparm_fields="ram").json()["result"] == {"ram": "3"}


def test_what_is_hidden_stays_hidden_behind_a_reference(http: Http) -> None:
    """A dot-walk shows neither hidden rows nor hidden columns."""
    as_user(
        http,
        "reader",
        {"table": "cmn_location", "columns": ["city"], "roles": ["chief"]},
        {"table": "cmn_location", "roles": ["itil"], "condition": "name=Paris"},
    )
    places = [
        {"sys_id": "a" * 32, "name": "Paris", "city": "Paris"},
        {"sys_id": "b" * 32, "name": "Rome", "city": "Rome"},
    ]
    where = [{"sys_id": f"{n:032x}", "location": one * 32} for n, one in ((1, "a"), (2, "b"))]
    http.running.seed({"records": {"cmn_location": places, "cmdb_ci_server": where}}, force=True)
    fields = "name,location.name,location.city"
    rows = http.get("/table/cmdb_ci_server", sysparm_fields=fields, sysparm_query="nameINs1,s2^ORDERBYname").json()[
        "result"
    ]
    assert rows == [
        {"name": "s1", "location.name": "Paris", "location.city": ""},
        {"name": "s2", "location.name": "", "location.city": ""},
    ]


def test_writes_without_the_right_are_refused_and_columns_without_it_stay(http: Http) -> None:
    """403 with the observed text; a column that may not be written is left alone without a word."""
    rules = [
        {"table": "incident", "operation": ["create", "delete"], "roles": ["chief"]},
        {"table": "cmdb_ci_server", "columns": ["ram"], "operation": "write", "roles": ["chief"]},
        {"table": "cmdb_ci_server", "operation": "write", "roles": ["itil"], "condition": "environment=Test"},
    ]
    as_user(http, "reader", *rules)
    refused = http.post("/table/incident", {"short_description": "x"})
    assert (refused.status_code, refused.json()["error"]) == (
        403,
        {"message": "Operation Failed", "detail": "ACL Exception Insert Failed due to security constraints"},
    )
    url = f"{http.running.url}/api/now/table/cmdb_ci_server"
    changed = http.session.patch(f"{url}/{1:032x}", json={"ram": "99", "os": "Linux"}, timeout=10).json()["result"]
    assert (changed["ram"], changed["os"]) == ("1", "Linux")
    assert http.session.patch(f"{url}/{2:032x}", json={"os": "Linux"}, timeout=10).status_code == 403
    assert http.running.counts() == {"update": {"cmdb_ci_server": 1}}


def test_the_nearest_rule_counts_and_one_of_several_is_enough(http: Http) -> None:
    """A rule of cmdb_ci holds for servers until they have their own."""
    as_user(http, "reader", {"table": "cmdb_ci", "roles": ["chief"]})
    assert names(http) == []
    as_user(http, "reader", {"table": "cmdb_ci_server", "roles": ["itil"], "condition": "name=s1"})
    as_user(http, "reader", {"table": "cmdb_ci_server", "roles": ["itil"], "condition": "name=s2"})
    assert names(http) == ["s1", "s2"]
    assert http.get("/table/cmdb_ci").json()["result"][0]["name"] == "s1"


def test_an_api_can_be_closed_as_a_whole(http: Http) -> None:
    """403 with the observed text, for all methods or for some."""
    as_user(
        http,
        "reader",
        {"api": "identifyreconcile", "roles": ["chief"]},
        {"api": "table/incident", "methods": ["POST"], "roles": ["chief"]},
    )
    refused = http.engine("/queryEnhanced", server("a"))
    assert (refused.status_code, refused.json()["error"]["message"]) == (403, "Failed API level ACL Validation")
    assert http.get("/table/incident").status_code == 200
    assert http.post("/table/incident", {}).status_code == 403
    http.session.auth = ("boss", "secret")
    assert http.engine("/queryEnhanced", server("a")).status_code == 200


@pytest.mark.parametrize("status", [401, 403])
def test_a_securely_scoped_client_needs_a_scope_for_api_and_method(http: Http, status: int) -> None:
    """Refused although its user has the role; both statuses were reported."""
    http.running.settings(oauth__unscoped_status=status)
    client = {"secret": "s3cret", "user": "reader", "scopes": ["table:GET", "identifyreconcile/queryEnhanced"]}
    http.running.seed({"users": USERS, "clients": {"narrow": client}}, force=True)
    form = {"grant_type": "client_credentials", "client_id": "narrow", "client_secret": "s3cret"}
    http.session.auth = None
    token = http.session.post(f"{http.running.url}/oauth_token.do", data=form, timeout=10).json()["access_token"]
    http.session.headers["Authorization"] = f"Bearer {token}"
    assert http.get("/table/incident").status_code == 200
    assert http.engine("/queryEnhanced", server("a")).status_code == 200
    for refused in (http.post("/table/incident", {}), http.engine("/enhanced", server("a"))):
        assert (refused.status_code, refused.json()["error"]["message"]) == (status, "User Not Authorized")
    assert http.running.counts() == {}


def test_a_business_rule_can_abort_a_write(http: Http) -> None:
    """403 with the observed text on the Table API."""
    rule = {"name": "No drafts", "sys_id": "c" * 32, "collection": "task", "abort_action": "true"}
    when = {"action_insert": "true", "action_update": "true", "filter_condition": "short_description=draft"}
    http.running.seed({"records": {"sys_script": [{**rule, **when}]}}, force=True)
    refused = http.post("/table/incident", {"short_description": "draft"})
    assert refused.status_code == 403
    assert refused.json()["error"]["detail"] == (
        f"Operation against file 'incident' was aborted by Business Rule 'No drafts^{'c' * 32}'. "
        f"Business Rule Stack: No drafts^{'c' * 32}"
    )
    assert http.post("/table/incident", {"short_description": "real"}).status_code == 201
