"""The Table API and the CMDB Meta API, over HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.sandbox.conftest import Http, server


def fill(http: Http, number: int = 7) -> list[dict[str, str]]:
    """Some servers in Paris."""
    paris = "1" * 32
    http.running.seed(
        {
            "records": {
                "cmn_location": [{"sys_id": paris, "name": "Paris"}],
                "cmdb_ci_linux_server": [
                    {"sys_id": f"{n:032x}", "name": f"web-{n}", "location": paris, "ram": str(n)} for n in range(number)
                ],
            }
        },
        force=True,
    )
    rows: list[dict[str, str]] = http.get("/table/cmdb_ci_server").json()["result"]
    return rows


def test_a_list_of_a_parent_holds_its_descendants(http: Http) -> None:
    """With the columns of the table that was asked, everything text, empty columns as empty text."""
    rows = fill(http)
    assert len(rows) == 7
    assert rows[0]["sys_class_name"] == "cmdb_ci_linux_server"
    assert rows[0]["serial_number"] == ""
    assert set(rows[0]) >= {"sys_id", "name", "sys_updated_on", "ram", "host_name"}


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, lambda url: {"link": f"{url}/api/now/table/cmn_location/{'1' * 32}", "value": "1" * 32}),
        ({"sysparm_exclude_reference_link": "true"}, lambda _url: "1" * 32),
        (
            {"sysparm_display_value": "true"},
            lambda url: {"display_value": "Paris", "link": f"{url}/api/now/table/cmn_location/{'1' * 32}"},
        ),
        (
            {"sysparm_display_value": "all", "sysparm_exclude_reference_link": "true"},
            lambda _url: {"display_value": "Paris", "value": "1" * 32},
        ),
    ],
)
def test_references_are_shown_in_four_ways(http: Http, parameters: dict[str, str], expected: Any) -> None:
    """Link and value, or display value, or both, with or without the link."""
    fill(http)
    row = http.get("/table/cmdb_ci_server", sysparm_fields="location", sysparm_limit=1, **parameters).json()["result"][
        0
    ]
    assert row == {"location": expected(http.running.url)}


def test_fields_are_walked_and_unknown_ones_ignored(http: Http) -> None:
    """location.name; a choice shows its label."""
    fill(http)
    fields = "name,location.name,nosuch,install_status"
    row = http.get("/table/cmdb_ci_server", sysparm_fields=fields, sysparm_query="name=web-3").json()["result"][0]
    assert row == {"name": "web-3", "location.name": "Paris", "install_status": "1"}
    shown = http.get(
        "/table/cmdb_ci_server", sysparm_fields="install_status", sysparm_display_value="true", name="web-3"
    )
    assert shown.json()["result"] == [{"install_status": "Installed"}]


def test_pages_by_offset_and_by_key_cover_the_list(http: Http) -> None:
    """X-Total-Count, Link, and a keyset on sys_id."""
    fill(http)
    first = http.get("/table/cmdb_ci_server", sysparm_limit=3, sysparm_query="ORDERBYname", sysparm_fields="name")
    assert first.headers["X-Total-Count"] == "7"
    names = [row["name"] for row in first.json()["result"]]
    response = first
    while "next" in response.links:
        parts = urlsplit(response.links["next"]["url"])
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        response = http.get(parts.path.removeprefix("/api/now"), **query)
        names += [row["name"] for row in response.json()["result"]]
    assert names == [f"web-{n}" for n in range(7)]
    assert set(response.links) == {"first", "prev", "last"}
    seen, last = [], ""
    while True:
        query = {"sysparm_query": f"sys_id>{last}^ORDERBYsys_id", "sysparm_limit": "2", "sysparm_fields": "sys_id"}
        page = http.get("/table/cmdb_ci_server", sysparm_no_count="true", **query)
        assert "X-Total-Count" not in page.headers
        if not page.json()["result"]:
            break
        seen += [row["sys_id"] for row in page.json()["result"]]
        last = seen[-1]
    assert seen == [f"{n:032x}" for n in range(7)]


def test_records_are_made_changed_and_deleted(http: Http) -> None:
    """201 with Location; PATCH and PUT change what is sent; 204; the ledger has every write."""
    made = http.post("/table/incident", {"short_description": "a", "sys_id": "x", "nosuch": "y"})
    assert made.status_code == 201
    record = made.json()["result"]
    assert made.headers["Location"].endswith(f"/api/now/table/incident/{record['sys_id']}")
    assert len(record["sys_id"]) == 32
    url = made.headers["Location"]
    changed = http.session.patch(url, json={"urgency": 2}, timeout=10).json()["result"]
    assert (changed["short_description"], changed["urgency"], changed["sys_mod_count"]) == ("a", "2", "1")
    assert http.session.put(url, json={"urgency": "2"}, timeout=10).json()["result"]["sys_mod_count"] == "1"
    assert http.session.delete(url, timeout=10).status_code == 204
    gone = http.session.get(url, timeout=10)
    assert (gone.status_code, gone.json()["error"]["message"]) == (404, "No Record found")
    assert [entry["kind"] for entry in http.running.ledger()] == ["insert", "update", "delete"]


def test_a_method_may_be_given_in_a_header_and_a_body_kept_back(http: Http) -> None:
    """X-http-method-override and X-no-response-body."""
    made = http.session.post(
        f"{http.running.url}/api/now/table/incident", json={}, headers={"X-no-response-body": "true"}, timeout=10
    )
    assert (made.status_code, made.content) == (201, b"")
    url = made.headers["Location"]
    changed = http.session.post(url, json={"urgency": "1"}, headers={"X-http-method-override": "PATCH"}, timeout=10)
    assert changed.json()["result"]["urgency"] == "1"


def test_references_may_be_given_by_name(http: Http) -> None:
    """sysparm_input_display_value: a relation by the name of its type."""
    body = {"parent": "1" * 32, "child": "2" * 32, "type": "Runs on::Runs"}
    made = http.post(
        "/table/cmdb_rel_ci", body, sysparm_input_display_value="true", sysparm_exclude_reference_link="true"
    )
    assert made.json()["result"]["type"] == "60bc4e22c0a8010e01f074cbe6bd73c3"
    twin = http.post("/table/cmdb_rel_ci", body, sysparm_input_display_value="true")
    assert twin.status_code == 201
    assert len({entry["key"] for entry in http.running.ledger(kind="relate")}) == 1


def test_relations_of_a_deleted_record_go_with_it(http: Http) -> None:
    """The reference columns cascade."""
    fill(http)
    http.post("/table/cmdb_rel_ci", {"parent": f"{1:032x}", "child": f"{2:032x}", "type": "t"})
    http.session.delete(f"{http.running.url}/api/now/table/cmdb_ci/{1:032x}", timeout=10)
    assert http.get("/table/cmdb_rel_ci").json()["result"] == []


def test_a_deleted_record_is_made_anew_under_its_key(http: Http) -> None:
    """Its source row went with it, so one key never leads to two records."""
    first = http.engine("/enhanced", server("a")).json()["result"]["items"][0]["sysId"]
    http.session.delete(f"{http.running.url}/api/now/table/cmdb_ci/{first}", timeout=10)
    again = http.engine("/enhanced", server("a")).json()["result"]["items"][0]
    assert again["operation"] == "INSERT"
    rows = http.get("/table/sys_object_source", sysparm_fields="target_sys_id").json()["result"]
    assert rows == [{"target_sys_id": again["sysId"]}]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/table/nosuch", 400, "Invalid table nosuch"),
        ("/table/cmdb_ci?sysparm_limit=0", 400, "Invalid value given for sysparm_limit"),
        ("/nosuch", 400, "Requested URI does not represent any resource"),
        ("/table/cmdb_ci/" + "f" * 32, 404, "No Record found"),
        ("/v1/table/cmdb_ci", 404, "No Record found"),
        ("/identifyreconcile", 405, "Method not supported"),
        ("/cmdb/meta/nosuch", 404, "No Record found"),
        ("/table/cmdb_ci?x=" + "y" * 9000, 414, "URI Too Long"),
    ],
)
def test_refusals_have_the_services_envelope(http: Http, path: str, status: int, message: str) -> None:
    """Status, message, and `failure`."""
    answer = http.get(path)
    assert (answer.status_code, answer.json()["error"]["message"], answer.json()["status"]) == (
        status,
        message,
        "failure",
    )


def test_v2_answers_an_empty_list_where_v1_answers_404(http: Http) -> None:
    """Documented difference of the versions."""
    assert http.get("/v2/table/cmdb_ci").json() == {"result": []}


def test_only_who_logs_in_is_answered(http: Http) -> None:
    """401 with the documented body; a wrong password and no password alike."""
    for auth in (None, (http.running.user, "wrong"), ("nobody", http.running.password)):
        http.session.auth = auth
        answer = http.get("/table/cmdb_ci")
        assert answer.status_code == 401
        detail = "Required to provide Auth information"
        assert answer.json() == {"error": {"message": "User Not Authenticated", "detail": detail}, "status": "failure"}


def test_the_engine_needs_a_role(http: Http) -> None:
    """itil or asset."""
    http.running.seed({"users": {"reader": {"password": "secret", "roles": []}}})
    http.session.auth = ("reader", "secret")
    assert http.engine("/query", server("a")).status_code == 403
    assert http.get("/table/cmdb_ci").status_code == 200


def test_a_body_over_ten_megabytes_is_refused(http: Http) -> None:
    """glide.rest.max_content_length, with the observed text."""
    answer = http.post("/table/incident", {"description": "x" * 10_485_760})
    assert answer.status_code == 400
    assert "Max allowed: 10485760 bytes." in answer.json()["error"]["detail"]


def test_the_rules_can_be_read_as_an_instance_shows_them(http: Http) -> None:
    """cmdb/meta: attributes, relationship rules, identifiers."""
    meta = http.get("/cmdb/meta/cmdb_ci_linux_server").json()["result"]
    assert (meta["parent"], meta["label"]) == ("cmdb_ci_server", "Linux Server")
    identifiers = meta["identification_rules"]["identifiers"]
    assert [(i["attributes"], i["table"], i["order"]) for i in identifiers] == [
        ("serial_number,serial_number_type", "cmdb_serial_number", 100),
        ("serial_number", None, 200),
        ("name", None, 300),
        ("mac_address,name", "cmdb_ci_network_adapter", 400),
    ]
    assert {
        "parent": "cmdb_ci_appl",
        "relation_type": "60bc4e22c0a8010e01f074cbe6bd73c3",
        "child": "cmdb_ci_hardware",
    } in meta["relationship_rules"]
    name = next(a for a in meta["attributes"] if a["element"] == "name")
    assert (name["is_inherited"], name["max_length"], name["is_display"]) == ("true", "255", "true")


@pytest.mark.parametrize(
    "table",
    [
        "cmdb", "cmdb_ci", "cmdb_rel_ci", "cmdb_rel_type", "sys_object_source", "sys_choice", "sys_dictionary",
        "sys_db_object", "cmdb_identifier", "cmdb_identifier_entry", "cmdb_related_entry", "cmdb_metadata_hosting",
        "cmdb_metadata_containment",
        "cmdb_reconciliation_definition", "sys_properties", "sys_user", "cmn_location", "core_company", "incident",
    ],
)  # fmt: skip
def test_the_tables_that_clients_read_exist(http: Http, table: str) -> None:
    """Each answers a list and says its columns in the dictionary."""
    assert http.get(f"/table/{table}", sysparm_limit=1).status_code == 200
    assert http.get("/table/sys_db_object", name=table).json()["result"]


def test_what_is_written_by_the_engine_is_read_by_lists(http: Http) -> None:
    """Also after the rules were changed through the Table API."""
    rule = http.post(
        "/table/cmdb_identifier", {"name": "Endpoint", "applies_to": "cmdb_ci_endpoint", "independent": "true"}
    )
    entry = {
        "identifier": rule.json()["result"]["sys_id"],
        "attributes": "name",
        "table": "cmdb_ci_endpoint",
        "order": "100",
    }
    http.post("/table/cmdb_identifier_entry", {**entry, "active": "true"})
    item = {"className": "cmdb_ci_endpoint", "values": {"name": "e"}}
    made = http.engine("/enhanced", item).json()["result"]["items"][0]
    assert made["operation"] == "INSERT"
    assert http.engine("/enhanced", item).json()["result"]["items"][0]["operation"] == "NO_CHANGE"
    assert http.get(f"/table/cmdb_ci/{made['sysId']}").json()["result"]["name"] == "e"


GONE = [{"name": f"Place {n}", "sys_id": f"{n:032x}"} for n in (1, 2)]


def test_deleted_records_stand_in_the_audit(http: Http) -> None:
    """With their table and sys_id; a setting leaves them out."""
    http.running.seed({"records": {"cmn_location": GONE}}, force=True)
    url = f"{http.running.url}/api/now/table/cmn_location"
    http.session.delete(f"{url}/{GONE[0]['sys_id']}", timeout=10)
    (row,) = http.rows("sys_audit_delete")
    assert (row["tablename"], row["documentkey"]) == ("cmn_location", GONE[0]["sys_id"])
    assert row["display_value"] == "Place 1"
    http.running.settings(audit__delete="none")
    http.session.delete(f"{url}/{GONE[1]['sys_id']}", timeout=10)
    assert len(http.rows("sys_audit_delete")) == 1
