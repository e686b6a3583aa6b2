"""What users of the real APIs tripped over, on demand: numbers as in the collection of their reports."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.sandbox.conftest import Engine, Http, server
from tests.sandbox.test_engine import codes, on, operations, tomcat


def servers(http: Http, number: int = 10) -> None:
    """Some, with names and ids in opposite order."""
    rows = [{"sys_id": f"{n:032x}", "name": f"s{number - n:02d}"} for n in range(number)]
    http.running.seed({"records": {"cmdb_ci_server": rows}}, force=True)


def page(http: Http, offset: int, query: str = "", limit: int = 5) -> list[str]:
    """The ids of one page."""
    parameters = {"sysparm_offset": offset, "sysparm_limit": limit, "sysparm_fields": "sys_id", "sysparm_query": query}
    return [row["sys_id"] for row in http.get("/table/cmdb_ci_server", **parameters).json()["result"]]


def staging_table(http: Http, **insert_multiple: str) -> None:
    """A staging table whose map finds assets by their tag, and fails the row of one of them."""
    columns = {"u_tag": ["string", "Tag", 40], "u_name": ["string", "Full name", 80]}
    fields = {"asset_tag": {"source": "u_tag", "coalesce": True}, "display_name": "u_name"}
    scripts = [{"if": "u_tag=bad", "do": "error", "message": "Target record not found"}]
    table = {"columns": columns, "maps": [{"name": "A", "target": "alm_asset", "fields": fields, "scripts": scripts}]}
    http.running.seed({"staging": {"u_asset": {**table, "insert_multiple": insert_multiple}}}, force=True)


def test_pitfall_1_a_transform_that_failed_is_answered_like_one_that_did_not(http: Http) -> None:
    """201; the failure is only in the result's status (or 200: setting import.status)."""
    staging_table(http)
    good, bad = (http.post("/import/u_asset", {"u_tag": tag}) for tag in ("good", "bad"))
    assert good.status_code == bad.status_code == 201
    assert [one.json()["result"][0]["status"] for one in (good, bad)] == ["inserted", "error"]
    assert bad.json()["result"][0]["error_message"] == "Target record not found"
    http.running.settings(import__status=200)
    assert http.post("/import/u_asset", {"u_tag": "bad"}).status_code == 200


def test_pitfall_2_many_rows_are_answered_without_a_word_about_them(http: Http) -> None:
    """They are transformed later; the set, its runs and its rows tell."""
    staging_table(http)
    http.running.settings(import__start_seconds=60)
    answer = http.post("/import/u_asset/insertMultiple", {"records": [{"Tag": "good"}, {"Tag": "bad"}, {"Tag": ""}]})
    assert (answer.status_code, set(answer.json())) == (201, {"import_set_id", "multi_import_set_id"})
    query = f"sys_import_set={answer.json()['import_set_id']}^ORDERBYsys_import_row"
    assert [row["sys_import_state"] for row in http.rows("u_asset", query)] == ["pending"] * 3
    http.running.advance(61)
    assert [row["sys_import_state"] for row in http.rows("u_asset", query)] == ["inserted", "error", "skipped"]
    (run,) = http.rows("sys_import_set_run", f"set={answer.json()['import_set_id']}")
    assert (run["inserts"], run["errors"], run["skipped"]) == ("1", "1", "1")


@pytest.mark.parametrize(
    ("keys", "row", "state"),
    [
        ("labels", {"Tag": "a", "Full name": "x"}, "inserted"),
        ("labels", {"u_tag": "a", "u_name": "x"}, "skipped"),
        ("names", {"u_tag": "a", "u_name": "x"}, "inserted"),
        ("names", {"Tag": "a", "Full name": "x"}, "skipped"),
    ],
)
def test_pitfall_3_keys_in_the_wrong_mode_leave_every_field_empty(
    http: Http, keys: str, row: dict[str, str], state: str
) -> None:
    """Labels unless the table's row of sys_rest_insert_multiple says names; nobody complains."""
    staging_table(http, keys=keys)
    answer = http.post("/import/u_asset/insertMultiple", {"records": [row]})
    assert answer.status_code == 201
    http.running.run_imports()
    (kept,) = http.rows("u_asset")
    assert kept["sys_import_state"] == state
    assert (kept["u_tag"], kept["u_name"]) == (("a", "x") if state == "inserted" else ("", ""))


def test_pitfall_4_a_dropped_call_is_answered_202_without_a_body(http: Http) -> None:
    """And had no effect. It comes by itself, too, where one session has too many calls: see test_traffic."""
    http.running.faults("api=ire, at=1, do=drop202")
    answer = http.engine("/enhanced", server("a"))
    assert (answer.status_code, answer.content, answer.headers.get("Content-Length")) == (202, b"", "0")
    assert http.running.counts() == {}


@pytest.mark.parametrize(("action", "title"), [("hibernate", "Instance Hibernating page"), ("html200", "Log in")])
def test_pitfall_5_a_web_page_comes_with_status_200(http: Http, action: str, title: str) -> None:
    """A sleeping instance, a login page."""
    http.running.faults(f"api=*, do={action}")
    answer = http.get("/table/cmdb_ci")
    assert (answer.status_code, title in answer.text) == (200, True)
    assert answer.headers["Content-Type"].startswith("text/html")


def test_pitfall_6_a_quota_error_inside_a_200_body_or_a_list_cut_off(http: Http) -> None:
    """Complete JSON with an error beside its rows; or rows, an error object among them, and no end."""
    servers(http)
    http.running.faults("api=table_read, at=1, do=code(cancelled)", "api=table_read, at=2, do=cut(3)")
    whole = http.get("/table/cmdb_ci_server").json()
    assert len(whole["result"]) == 10
    assert whole["error"]["message"].startswith("Transaction cancelled")
    cut = http.get("/table/cmdb_ci_server")
    assert (cut.status_code, cut.content.count(b'"sys_id":')) == (200, 3)
    with pytest.raises(requests.exceptions.JSONDecodeError):
        cut.json()


def test_pitfall_7_pages_are_short_and_rows_can_be_empty_texts(http: Http) -> None:
    """Rows are hidden after the limit was applied; and an empty string stands among the rows."""
    servers(http)
    rule = {"table": "cmdb_ci_server", "roles": ["itil"], "condition": "name<s05"}
    http.running.seed({"users": {"few": {"password": "x", "roles": ["itil"]}}, "access": [rule]}, force=True)
    http.session.auth = ("few", "x")
    assert [len(page(http, offset)) for offset in (0, 5)] == [0, 4]
    http.session.auth = (http.running.user, http.running.password)
    http.running.faults("api=table_read, seed=3, do=empty_rows(0.3)")
    rows = http.get("/table/cmdb_ci_server").json()["result"]
    assert "" in rows
    assert any(isinstance(row, dict) for row in rows)


def test_pitfall_8_pages_without_a_total_order_repeat_and_miss_rows(http: Http) -> None:
    """Setting table.unordered: no order is promised, an order by something else is no total one; by sys_id it is."""
    servers(http, 40)
    http.running.seed(
        {"records": {"cmdb_ci_server": [{"sys_id": f"{n:032x}", "os": "Linux"} for n in range(40)]}}, force=True
    )
    http.running.settings(table__unordered="shuffled")
    for query in ("", "ORDERBYos"):
        seen = [sys_id for offset in range(0, 40, 5) for sys_id in page(http, offset, query)]
        assert len(seen) == 40
        assert len(set(seen)) < 40
    for query in ("ORDERBYsys_id", "ORDERBYos^ORDERBYsys_id"):
        assert len({sys_id for offset in range(0, 40, 5) for sys_id in page(http, offset, query)}) == 40


@pytest.mark.parametrize("limit", [0, -1])
def test_pitfall_9_a_limit_of_zero_or_less_is_refused(http: Http, limit: int) -> None:
    """400 with the observed text."""
    answer = http.get("/table/cmdb_ci", sysparm_limit=limit)
    assert answer.status_code == 400
    assert answer.json()["error"] == {
        "message": "Invalid value given for sysparm_limit",
        "detail": "sysparm_limit value must be a positive integer",
    }


@pytest.mark.parametrize(
    ("way", "status", "kind"),
    [("414", 414, "application/json"), ("414_html", 414, "text/html"), ("html200", 200, "text/html")],
)
def test_pitfall_10_a_very_long_url_is_refused_or_answered_with_a_web_page(
    http: Http, way: str, status: int, kind: str
) -> None:
    """The limit and the way are settings; inside a batch the same query is no longer one URL of HTTP."""
    http.running.settings(table__long_url=way, table__max_url=2000)
    answer = http.get("/table/cmdb_ci", sysparm_query="nameIN" + "x" * 2000)
    assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0]) == (status, kind)
    assert http.get("/table/cmdb_ci", sysparm_query="nameIN" + "x" * 1000).status_code == 200


def test_pitfall_11_the_table_api_writes_the_same_name_twice(http: Http) -> None:
    """No CMDB table has a uniqueness of its own; the engine has."""
    for _ in range(2):
        assert http.post("/table/cmdb_ci_server", {"name": "twin"}).status_code == 201
    assert len(http.get("/table/cmdb_ci_server", name="twin").json()["result"]) == 2
    for _ in range(2):
        http.engine("/enhanced", server("single"))
    assert len(http.get("/table/cmdb_ci_server", name="single").json()["result"]) == 1


def test_pitfall_12_the_table_api_writes_the_same_relation_twice(http: Http) -> None:
    """Parent, child and type are not unique; the engine answers NO_CHANGE for what exists."""
    items = [server("a"), server("b")]
    body = {"items": items, "relations": [on("server-a", "server-b")]}
    parameters = {"sysparm_data_source": "ImportSet"}
    http.post("/identifyreconcile", body, **parameters)
    again = http.post("/identifyreconcile", body, **parameters).json()["result"]["relations"]
    assert [relation["operation"] for relation in again] == ["NO_CHANGE"]
    row = http.get("/table/cmdb_rel_ci", sysparm_exclude_reference_link="true").json()["result"][0]
    twin = {name: row[name] for name in ("parent", "child", "type")}
    assert http.post("/table/cmdb_rel_ci", twin).status_code == 201
    assert len(http.get("/table/cmdb_rel_ci").json()["result"]) == 2
    assert (
        http.post("/identifyreconcile", body, **parameters).json()["result"]["relations"][0]["operation"] == "NO_CHANGE"
    )


def test_pitfall_13_a_record_marked_as_duplicate_is_invisible_to_the_engine(engine: Engine) -> None:
    """It inserts a second one; by its sys_id it is refused."""
    engine.seed(records={"cmdb_ci_server": [{"sys_id": "a" * 32, "name": "a", "duplicate_of": "b" * 32}]})
    assert operations(engine([{"className": "cmdb_ci_server", "values": {"name": "a"}}])) == ["INSERT"]
    pinned = {"className": "cmdb_ci_server", "values": {"sys_id": "a" * 32}}
    assert codes(engine([pinned])) == [["INVALID_INPUT_DATA"]]


def test_pitfall_14_an_unregistered_data_source_makes_every_item_fail(engine: Engine) -> None:
    """Status 200, an error for each item; with default options each is kept as incomplete."""
    answer = engine([server("a"), server("b")], source="Nobody", options="")
    assert codes(answer) == [["INVALID_INPUT_DATA"]] * 2
    assert operations(answer) == ["INSERT_AS_INCOMPLETE"] * 2
    assert answer["hasError"] is True
    assert all(len(item["incompleteSysIds"]) == 1 for item in answer["items"])
    assert len(engine.records("cmdb_ire_incomplete_payloads")) == 2


def test_pitfall_15_volatile_attributes_change_on_every_call(engine: Engine) -> None:
    """last_discovered and discovery_source are written although the answer is NO_CHANGE."""
    engine([server("a")])
    first = engine.records("cmdb_ci_server")[0]
    engine.world.advance(60)
    assert operations(engine([server("a")], source="ServiceNow")) == ["NO_CHANGE"]
    second = engine.records("cmdb_ci_server")[0]
    changed = {name for name in second if second[name] != first.get(name)}
    assert changed == {"last_discovered", "discovery_source"}


def test_pitfall_16_repeating_what_timed_out_inserts_a_second_record(http: Http) -> None:
    """The write took effect, its answer was lost; with a native key the same again is no second insert."""
    http.running.faults("api=table_write, at=1, do=commit_then_reset", "api=ire, at=1, do=commit_then_reset")
    for _ in range(2):
        try:
            http.post("/table/incident", {"short_description": "once"})
            http.engine("/enhanced", server("once"))
        except requests.ConnectionError:
            continue
    assert http.engine("/enhanced", server("once")).json()["result"]["items"][0]["operation"] == "NO_CHANGE"
    assert http.running.counts()["insert"] == {"cmdb_ci_linux_server": 1, "incident": 2}


def test_pitfall_17_good_credentials_are_refused_now_and_then(http: Http) -> None:
    """401 with the documented body; the same again succeeds."""
    http.running.faults("api=table_read, every=2, do=unauthorized")
    answers = [http.get("/table/cmdb_ci") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 401, 200, 401]
    assert answers[1].json()["error"]["message"] == "User Not Authenticated"


def test_pitfall_18_links_end_with_the_list_also_with_display_values(http: Http) -> None:
    """Who follows next sees every row once; a wrong link can be ordered."""
    servers(http)
    ask: dict[str, Any] = {"sysparm_limit": 4, "sysparm_display_value": "all", "sysparm_query": "ORDERBYname"}
    answer = http.get("/table/cmdb_ci_server", **ask)
    seen = [row["name"]["value"] for row in answer.json()["result"]]
    for _ in range(5):
        if "next" not in answer.links:
            break
        parts = urlsplit(answer.links["next"]["url"])
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        answer = http.get(parts.path.removeprefix("/api/now"), **query)
        seen += [row["name"]["value"] for row in answer.json()["result"]]
    assert seen == [f"s{n:02d}" for n in range(1, 11)]
    http.running.faults("api=table_read, do=link(http://elsewhere.invalid/)")
    assert http.get("/table/cmdb_ci_server", **ask).links["next"]["url"] == "http://elsewhere.invalid/"


def test_pitfall_19_text_in_json_meets_the_limit_of_the_body(http: Http) -> None:
    """10,485,760 bytes, the limit of glide.rest.max_content_length; a setting."""
    http.running.settings(limits__body_bytes=100_000)
    content = base64.b64encode(b"x" * 90_000).decode()
    refused = http.post("/table/incident", {"description": content})
    assert refused.status_code == 400
    assert "Rejected large REST payload" in refused.json()["error"]["detail"]
    assert http.post("/table/incident", {"description": content[:90_000]}).status_code == 201


def test_pitfall_20_there_are_two_kinds_of_429(http: Http) -> None:
    """With headers that say until when, and without a word; 503 with Retry-After and without."""
    http.running.faults(
        "api=table_read, do=rate_limit(1/60)",
        "api=meta, at=1, do=status(429)",
        "api=meta, at=2, do=status(503), retry_after=9",
        "api=meta, at=3, do=status(503)",
    )
    told = [http.get("/table/cmdb_ci") for _ in range(2)][1]
    assert told.status_code == 429
    assert 0 < int(told.headers["Retry-After"]) <= 60
    assert told.headers["X-RateLimit-Limit"] == "1"
    silent = [http.get("/cmdb/meta/cmdb_ci") for _ in range(3)]
    assert [(one.status_code, one.headers.get("Retry-After")) for one in silent] == [
        (429, None),
        (503, "9"),
        (503, None),
    ]
    http.running.advance(61)
    assert http.get("/table/cmdb_ci").status_code == 200


def test_pitfall_21_results_are_filtered_and_not_refused(http: Http) -> None:
    """Status 200 and nothing in it; a single record does not exist."""
    servers(http)
    http.running.seed(
        {
            "users": {"none": {"password": "x", "roles": ["itil"]}},
            "access": [{"table": "cmdb_ci", "roles": ["cmdb_read"]}],
        },
        force=True,
    )
    http.session.auth = ("none", "x")
    answer = http.get("/table/cmdb_ci_server")
    assert (answer.status_code, answer.json()) == (200, {"result": []})
    assert http.get(f"/table/cmdb_ci_server/{1:032x}").status_code == 404


def test_pitfall_22_a_parked_item_comes_true_behind_the_plan(engine: Engine) -> None:
    """With default options it is kept, and any later item of that key completes it; with the other options not."""
    bad = {**server("k"), "values": {"ram": "1"}}
    assert operations(engine([bad], options="")) == ["INSERT_AS_PARTIAL"]
    assert len(engine.records("cmdb_ire_partial_payloads")) == 1
    done = engine([server("k")])
    assert operations(done) == ["INSERT"]
    assert len(done["items"][0]["mergedPayloadIds"]) == 1
    assert engine.records("cmdb_ci_server", ram="1")
    assert codes(engine([{**server("m"), "values": {"ram": "1"}}])) == [["MISSING_MATCHING_ATTRIBUTES"]]
    assert not engine.records("cmdb_ire_partial_payloads")


def test_pitfall_23_an_endpoint_of_a_broader_class_downgrades_the_record(engine: Engine) -> None:
    """Reclassification is on by default; the flags of the item prevent it."""
    engine([server("a")])
    broad = {"className": "cmdb_ci_server", "values": {"name": "a"}}
    careful = {**broad, "settings": {"updateWithoutDowngrade": "true"}}
    assert operations(engine([careful], commit=False)) == ["NO_CHANGE"]
    assert operations(engine([broad])) == ["UPDATE_WITH_DOWNGRADE"]
    assert engine.records("cmdb_ci_server")[0]["sys_class_name"] == "cmdb_ci_server"


def test_pitfall_24_a_dependent_endpoint_without_its_host_is_refused(engine: Engine) -> None:
    """Unless its sys_id is sent."""
    made = engine([server("a"), tomcat()], [on("app", "server-a")])["items"][1]["sysId"]
    other = {"className": "cmdb_ci_service", "internal_id": "svc", "values": {"name": "svc"}}
    relation = on("svc", "app", "Depends on::Used by")
    assert codes(engine([tomcat(), other], [relation]))[0] == ["MISSING_DEPENDENCY"]
    pinned = {**tomcat(), "values": {"sys_id": made}}
    answer = engine([pinned, other], [relation])
    assert (codes(answer), answer["relations"][0]["operation"]) == ([[], []], "INSERT")


def test_pitfall_25_a_sent_last_discovered_counts_as_a_change(engine: Engine) -> None:
    """Without it the same payload answers NO_CHANGE."""
    engine([server("a")])
    assert operations(engine([server("a")])) == ["NO_CHANGE"]
    assert operations(engine([server("a", last_discovered="2099-01-01 00:00:00")])) == ["UPDATE"]
