"""Import sets from outside: inserts, states by the clock, maps, roles, the cleaner, and what faults do to them."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests

from syncengine.sandbox.process import attach
from tests.sandbox.conftest import Http
from tests.waiting import wait_for

COLUMNS = {"u_tag": "string", "u_name": ["string", "Name", 100], "u_marker": ["string", "Marker", 100]}
TAG = {"source": "u_tag", "coalesce": True}
ASSETS = {"name": "Assets", "target": "alm_asset", "fields": {"asset_tag": TAG, "display_name": "u_name"}}
Rows = list[dict[str, str]]


def staging(http: Http, *maps: dict[str, Any], keys: str = "names", **more: Any) -> None:
    """The staging table u_asset with these maps."""
    table = {"columns": COLUMNS, "maps": list(maps or (ASSETS,)), "insert_multiple": {"keys": keys, **more}}
    http.running.seed({"staging": {"u_asset": table}}, force=True)


def rows(number: int, first: int = 0) -> Rows:
    """Some rows, no two alike."""
    return [{"u_tag": f"T{n}", "u_name": f"asset {n}", "u_marker": f"m/{n}"} for n in range(first, first + number)]


def many(http: Http, given: Rows, **parameters: str) -> str:
    """Insert rows at once; the import set."""
    answer = http.post("/import/u_asset/insertMultiple", {"records": given}, **parameters)
    assert answer.status_code == 201, answer.text
    found: str = answer.json()["import_set_id"]
    return found


def staged(http: Http, import_set: str) -> list[dict[str, Any]]:
    """The rows of a set by their numbers."""
    return http.rows("u_asset", f"sys_import_set={import_set}^ORDERBYsys_import_row")


def states(http: Http, import_set: str) -> list[str]:
    """Their states."""
    return [row["sys_import_state"] for row in staged(http, import_set)]


def state(http: Http, import_set: str) -> str:
    """The state of a set."""
    found: str = http.rows("sys_import_set", f"sys_id={import_set}")[0]["state"]
    return found


def inserted(http: Http, kind: str = "stage") -> Counter[str]:
    """How often each key stands in the ledger."""
    return Counter(entry["key"] for entry in http.running.ledger(kind=kind))


def test_a_list_given_to_the_single_insert_loses_all_but_its_first_row(http: Http) -> None:
    """Observed."""
    staging(http)
    assert len(http.post("/import/u_asset", rows(3)).json()["result"]) == 1
    assert [row["u_tag"] for row in http.rows("u_asset")] == ["T0"]


def test_values_become_text_and_text_is_cut_to_its_column(http: Http) -> None:
    """Objects with = for :, unknown columns and system columns left out, no word about what was cut (observed)."""
    staging(http)
    sent = {"u_tag": 7, "u_name": {"a": 1, "b": [True, None]}, "u_marker": "x" * 120, "u_gone": "y", "sys_id": "z"}
    assert http.post("/import/u_asset", sent).json()["result"][0]["status"] == "inserted"
    row = http.rows("u_asset")[0]
    assert (row["u_tag"], row["u_name"]) == ("7", "{a=1, b=[true, null]}")
    assert row["u_marker"] == "x" * 100
    assert row["sys_id"] != "z"
    http.running.settings(staging__too_long="error")
    failed = http.post("/import/u_asset", sent).json()["result"][0]
    assert (failed["status"], failed["error_message"]) == ("error", "Data too long for column 'u_marker'")


def test_a_row_over_the_documented_size_is_an_error(http: Http) -> None:
    """8126 bytes; columns over 255 stand elsewhere."""
    columns = {f"u_{n}": ["string", f"Column {n}", 250] for n in range(40)} | {"u_long": ["string", "Long", 9000]}
    staged_map = {"name": "Wide", "target": "alm_asset", "fields": {"asset_tag": "u_0"}}
    http.running.seed({"staging": {"u_wide": {"columns": columns, "maps": [staged_map]}}}, force=True)
    fits = {f"u_{n}": "x" * 250 for n in range(32)} | {"u_long": "x" * 9000}
    assert http.post("/import/u_wide", fits).json()["result"][0]["status"] == "inserted"
    failed = http.post("/import/u_wide", fits | {"u_33": "x" * 250}).json()["result"][0]
    assert (failed["status"], failed["error_message"]) == ("error", "Row size too large (> 8126)")


def test_each_map_has_a_result_and_the_row_shows_the_last(http: Http) -> None:
    """Or the first: setting staging.row_shows. A set has a run for each map."""
    second = {"name": "Places", "target": "cmn_location", "order": 200, "fields": {"name": {**TAG, "source": "u_name"}}}
    staging(http, second, ASSETS)
    answer = http.post("/import/u_asset", rows(1)[0]).json()
    assert [(one["transform_map"], one["table"], one["status"]) for one in answer["result"]] == [
        ("Assets", "alm_asset", "inserted"),
        ("Places", "cmn_location", "inserted"),
    ]
    row = http.rows("u_asset")[0]
    assert row["sys_target_table"] == "cmn_location"
    assert http.get(f"/import/u_asset/{row['sys_id']}").json() == answer
    http.running.settings(staging__row_shows="first")
    import_set = many(http, rows(2, 1))
    http.running.run_imports()
    assert {row["sys_target_table"] for row in staged(http, import_set)} == {"alm_asset"}
    runs = http.rows("sys_import_set_run", f"set={import_set}")
    assert [(run["total"], run["inserts"], run["state"]) for run in runs] == [("2", "2", "complete")] * 2
    assert len({run["sys_transform_map"] for run in runs}) == 2


def test_a_set_goes_through_its_states_by_the_clock(http: Http) -> None:
    """Loaded with pending rows, a running run, then processed; settings say when it begins and how fast it is."""
    staging(http)
    http.running.settings(import__start_seconds=60, import__rows_per_second=10)
    import_set = many(http, rows(600))
    assert (state(http, import_set), set(states(http, import_set))) == ("loaded", {"pending"})
    assert http.rows("sys_import_set_run", f"set={import_set}") == []
    http.running.advance(90)
    half = states(http, import_set)
    assert half[:300] == ["inserted"] * 300
    assert half[400:] == ["pending"] * 200
    (run,) = http.rows("sys_import_set_run", f"set={import_set}")
    assert (run["state"], run["total"]) == ("running", "600")
    assert state(http, import_set) == "loaded"
    http.running.advance(60)
    (run,) = http.rows("sys_import_set_run", f"set={import_set}")
    assert (run["state"], run["inserts"], run["processed"]) == ("complete", "600", "600")
    assert run["run_time"] >= "1970-01-01 00:00:50"
    assert (state(http, import_set), set(states(http, import_set))) == ("processed", {"inserted"})
    shown = http.get(
        "/table/sys_import_set_run", sysparm_query=f"set={import_set}", sysparm_display_value="true"
    ).json()
    assert shown["result"][0]["state"] == "Complete"
    assert http.rows("sys_import_set", f"sys_id={import_set}")[0]["mode"] == "asynchronous"


def test_a_set_is_transformed_without_being_asked(http: Http) -> None:
    """The server does it when it has time; nobody moves the clock."""
    staging(http)
    import_set = many(http, rows(700))
    wait_for(lambda: state(http, import_set) == "processed")
    assert set(states(http, import_set)) == {"inserted"}
    assert http.running.counts() == {"insert": {"alm_asset": 700}, "stage": {"u_asset": 700}}


def test_a_set_begins_when_its_time_has_come(http: Http) -> None:
    """Also where nobody asks for anything meanwhile; and a later one does not keep an earlier one waiting."""
    staging(http)
    http.running.settings(import__start_seconds=3600)
    later = many(http, rows(1))
    http.running.settings(import__start_seconds=1)
    soon = many(http, rows(1, 1))
    wait_for(lambda: http.running.counts().get("insert"))  # the ledger's control does not make anything run
    assert [state(http, one) for one in (later, soon)] == ["loaded", "processed"]


def test_a_set_runs_after_another_one(http: Http) -> None:
    """`run_after`; without it the order of waiting sets is not promised: setting import.order."""
    staging(http)
    http.running.settings(import__start_seconds=60, import__order="newest_first")
    for after in (False, True):
        first = many(http, [{"u_tag": "one", "u_name": "first"}])
        second = many(http, [{"u_tag": "one", "u_name": "second"}], **({"run_after": first} if after else {}))
        http.running.advance(61)
        assert [state(http, one) for one in (first, second)] == ["processed"] * 2
        assert http.rows("alm_asset")[0]["display_name"] == ("second" if after else "first")


def test_a_set_that_is_cancelled_or_deleted_is_not_transformed(http: Http) -> None:
    """Over the Table API, before its turn; others are."""
    staging(http)
    http.running.settings(import__start_seconds=60)
    cancelled, deleted, left = (many(http, rows(2, n)) for n in (0, 2, 4))
    url = f"{http.running.url}/api/now/table/sys_import_set"
    assert http.session.patch(f"{url}/{cancelled}", json={"state": "cancelled"}, timeout=10).status_code == 200
    assert http.session.delete(f"{url}/{deleted}", timeout=10).status_code == 204
    http.running.advance(61)
    assert [set(states(http, one)) for one in (cancelled, deleted, left)] == [{"pending"}, {"pending"}, {"inserted"}]
    assert state(http, cancelled) == "cancelled"


def test_a_seed_says_what_cannot_be_meant(http: Http) -> None:
    """An instance does not, so imports do not either; what ships is without doubt."""
    assert http.running.seeded({"staging": {"u_asset": {"columns": COLUMNS, "maps": [ASSETS]}}}, force=True) == (
        True,
        [],
    )
    fields = {"asset_tag": {"source": "u_tga", "coalesce": True}, "colour": "u_name"}
    maps = [
        {"name": "Typo", "target": "alm_asset", "fields": fields},
        {"name": "Gone", "target": "u_gone", "fields": {}},
    ]
    _, doubts = http.running.seeded({"staging": {"u_asset": {"maps": maps}}}, force=True)
    assert doubts == [
        "map Typo of u_asset: asset_tag is filled from u_tga, which is no column of u_asset",
        "map Typo of u_asset: alm_asset has no column colour, so u_name goes nowhere",
        "map Gone of u_asset: there is no target table u_gone, so every row will fail",
    ]


def test_the_example_of_the_page_is_one_that_works(http: Http) -> None:
    """docs/sandbox.md, section Import sets: without doubts, and a row goes through."""
    page = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text("utf-8")
    example = page.split("```yaml\nstaging:")[1].split("```")[0]
    assert http.running.seeded(f"staging:{example}", force=True) == (True, [])
    http.running.seed({"records": {"sys_user": [{"sys_id": "a" * 32, "user_name": "ada"}]}}, force=True)
    row = {"u_tag": "t1", "u_name": " one ", "u_owner": "ADA", "u_date": "31.12.2026"}
    made = http.post("/import/u_asset_import/insertMultiple", {"records": [row, {**row, "u_tag": "xx"}]})
    assert made.status_code == 201
    states = [one["sys_import_state"] for one in http.rows("u_asset_import", "ORDERBYsys_import_row")]
    assert states == ["inserted", "error"]
    (computer,) = http.rows("cmdb_ci_computer")
    shown = {name: computer[name] for name in ("asset_tag", "serial_number", "assigned_to", "install_date")}
    assert shown == {"asset_tag": "t1", "serial_number": "T1-one", "assigned_to": "a" * 32,
                     "install_date": "2026-12-31 00:00:00"}  # fmt: skip


def test_sets_of_one_multi_import_set_name_it(http: Http) -> None:
    """`multi_import_set_id`."""
    staging(http)
    made = http.post("/import/u_asset/insertMultiple", {"records": rows(1)}).json()
    again = http.post(
        "/import/u_asset/insertMultiple", {"records": rows(1)}, multi_import_set_id=made["multi_import_set_id"]
    ).json()
    assert again["multi_import_set_id"] == made["multi_import_set_id"]
    query = f"multi_import_set={made['multi_import_set_id']}"
    assert {one["sys_id"] for one in http.rows("sys_import_set", query)} == {
        made["import_set_id"],
        again["import_set_id"],
    }


def test_a_table_can_be_set_to_transform_before_it_answers(http: Http) -> None:
    """Still without a result for the rows."""
    staging(http, mode="synchronous")
    http.running.settings(import__start_seconds=600, import__rows_per_second=1)
    answer = http.post("/import/u_asset/insertMultiple", {"records": rows(300)})
    assert set(answer.json()) == {"import_set_id", "multi_import_set_id"}
    assert set(states(http, answer.json()["import_set_id"])) == {"inserted"}
    assert http.rows("sys_import_set", f"sys_id={answer.json()['import_set_id']}")[0]["mode"] == "synchronous"


def test_single_inserts_share_a_set_until_midnight(http: Http) -> None:
    """Documented: it closes then."""
    staging(http)
    first, second = (http.post("/import/u_asset", row).json()["import_set"] for row in rows(2))
    assert first == second
    assert http.rows("sys_import_set", f"number={first}")[0]["state"] == "loading"
    assert [row["sys_import_row"] for row in http.rows("u_asset", "ORDERBYsys_import_row")] == ["1", "2"]
    http.running.advance(86400)
    assert http.rows("sys_import_set", f"number={first}")[0]["state"] == "processed"
    assert http.post("/import/u_asset", rows(1)[0]).json()["import_set"] != first


def test_the_cleaner_takes_sets_older_than_seven_days(http: Http) -> None:
    """With rows, runs and errors; the row is 404 then, and the target stays."""
    staging(http)
    made = http.post("/import/u_asset", rows(1)[0])
    import_set = many(http, [*rows(2, 1), {"u_tag": "", "u_name": "x"}])
    http.running.run_imports()
    http.running.advance(6 * 86400)
    assert http.session.get(made.headers["Location"], timeout=10).status_code == 200
    http.running.advance(2.5 * 86400)
    assert http.session.get(made.headers["Location"], timeout=10).status_code == 404
    assert states(http, import_set) == []
    for table in ("sys_import_set", "sys_import_set_run", "sys_import_set_row_error"):
        assert http.rows(table) == []
    assert len(http.rows("alm_asset")) == 3


def test_a_table_without_a_map_only_stores_its_rows(http: Http) -> None:
    """The answer to that was not found: settings import.no_map and import.no_map_state."""
    http.running.seed({"staging": {"u_asset": {"columns": COLUMNS, "maps": []}}}, force=True)
    assert http.post("/import/u_asset", rows(1)[0]).json()["result"] == []
    import_set = many(http, [{"Name": "x"}])
    http.running.run_imports()
    assert (state(http, import_set), states(http, import_set)) == ("processed", ["pending"])
    http.running.settings(import__no_map="error", import__no_map_state="loaded")
    assert http.post("/import/u_asset", rows(1)[0]).json()["result"][0]["error_message"] == "No transform map"
    import_set = many(http, [{"Name": "x"}])
    http.running.run_imports()
    assert state(http, import_set) == "loaded"


@pytest.mark.parametrize(("table", "text"), [("u_none", "Invalid table"), ("sys_user", "Invalid staging table")])
def test_tables_that_take_no_rows_are_refused(http: Http, table: str, text: str) -> None:
    """Observed texts; the status is a setting."""
    answer = http.post(f"/import/{table}", {"a": "b"})
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, text)


def test_some_instances_have_no_call_for_many_rows(http: Http) -> None:
    """Its plugin is missing (observed): setting import.multiple."""
    staging(http)
    http.running.settings(import__multiple="missing")
    answer = http.post("/import/u_asset/insertMultiple", {"records": rows(1)})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "Requested URI does not represent any resource"


def test_without_the_role_lists_are_empty_and_imports_work_all_the_same(http: Http) -> None:
    """Documented: rows need import_transformer or import_admin, maps the first; imports run with full rights."""
    staging(http)
    users = {name: {"password": "x", "roles": [name]} for name in ("itil", "import_admin", "import_transformer")}
    http.running.seed({"users": users}, force=True)
    admin = http.session.auth
    for name, sees_rows, sees_maps in [("itil", 0, 0), ("import_admin", 1, 0), ("import_transformer", 1, 1)]:
        http.session.auth = admin
        http.running.reset()
        staging(http)
        http.session.auth = (name, "x")
        made = http.post("/import/u_asset", rows(1)[0])
        assert made.json()["result"][0]["status"] == "inserted"
        assert http.session.get(made.headers["Location"], timeout=10).json() == made.json()
        for table in ("u_asset", "sys_import_set", "sys_import_set_row"):
            answer = http.get(f"/table/{table}")
            assert (answer.status_code, len(answer.json()["result"])) == (200, sees_rows)
        for table, query in [
            ("sys_transform_map", "source_table=u_asset"),
            ("sys_transform_entry", "source_table=u_asset"),
        ]:
            assert bool(http.rows(table, query)) == bool(sees_maps)
        made_map = http.post("/table/sys_transform_map", {"name": "Mine"})
        assert made_map.status_code == (201 if sees_maps else 403)


def test_the_access_rule_of_a_staging_table_is_what_keeps_rows_out(http: Http) -> None:
    """Documented: nothing else does, since imports run with full rights."""
    staging(http)
    rule = {"table": "u_asset", "operation": "create", "roles": ["loader"]}
    users = {name: {"password": "x", "roles": [name]} for name in ("itil", "loader")}
    http.running.seed({"users": users, "access": [rule]}, force=True)
    for name, status in [("itil", 403), ("loader", 201)]:
        http.session.auth = (name, "x")
        assert http.post("/import/u_asset", rows(1)[0]).status_code == status
        assert http.post("/import/u_asset/insertMultiple", {"records": rows(1)}).status_code == status


def test_maps_and_entries_are_read_as_an_instance_stores_them(http: Http) -> None:
    """Also of the tables that are there from the start."""
    (user,) = http.rows("sys_transform_map", "source_table=imp_user^active=true")
    shown = {name: user[name] for name in ("name", "target_table", "order", "copy_empty_fields", "run_script")}
    assert shown == {"name": "User", "target_table": "sys_user", "order": "100", "copy_empty_fields": "false",
                     "run_script": "false"}  # fmt: skip
    entries = http.rows("sys_transform_entry", f"map={user['sys_id']}")
    assert [e["source_field"] for e in entries if e["coalesce"] == "true"] == ["email"]
    assert {e["choice_action"] for e in entries} == {"create"}
    assert {e["use_source_script"] for e in entries} == {"false"}
    assert all("transformEntry" in e["source_script"] for e in entries)
    lengths = {r["element"]: r["max_length"] for r in http.rows("sys_dictionary", "name=imp_user")}
    assert (lengths["email"], lengths["title"]) == ("100", "40")


def test_a_map_that_is_made_over_the_table_api_counts(http: Http) -> None:
    """As a seeded one does."""
    http.running.seed({"staging": {"u_asset": {"columns": COLUMNS, "maps": []}}}, force=True)
    made = http.post(
        "/table/sys_transform_map", {"name": "By hand", "source_table": "u_asset", "target_table": "alm_asset"}
    )
    entry = {
        "map": made.json()["result"]["sys_id"],
        "source_field": "u_tag",
        "target_field": "asset_tag",
        "coalesce": "true",
    }
    http.post("/table/sys_transform_entry", entry)
    assert http.post("/import/u_asset", rows(1)[0]).json()["result"][0]["transform_map"] == "By hand"
    assert http.post("/import/u_asset", rows(1)[0]).json()["result"][0]["status"] == "ignored"


def test_xml_goes_in_and_comes_out(http: Http) -> None:
    """`request` with `entry` elements (documented); a document type is refused, and many rows are JSON only."""
    staging(http)
    headers = {"Content-Type": "application/xml", "Accept": "application/xml"}
    url = f"{http.running.url}/api/now/import/u_asset"
    body = "<request><entry><u_tag>A&amp;B</u_tag><u_name>x</u_name></entry></request>"
    answer = http.session.post(url, data=body, headers=headers, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (201, "application/xml;charset=UTF-8")
    assert "<staging_table>u_asset</staging_table>" in answer.text
    assert "<status>inserted</status>" in answer.text
    assert http.rows("alm_asset")[0]["asset_tag"] == "A&B"
    read = http.session.get(f"{http.running.url}/api/now/table/alm_asset", headers=headers, timeout=10)
    assert "<asset_tag>A&amp;B</asset_tag>" in read.text
    bomb = '<!DOCTYPE x [<!ENTITY a "b">]><request><entry><u_tag>&a;</u_tag></entry></request>'
    assert http.session.post(url, data=bomb, headers=headers, timeout=10).status_code == 400
    assert http.session.post(f"{url}/insertMultiple", data=body, headers=headers, timeout=10).status_code in (406, 415)


# -- faults -----------------------------------------------------------------------------------------------------


def test_rows_that_a_fault_rule_fails_are_not_written(http: Http) -> None:
    """Inside an answer of success; their siblings are, and the ledger knows which."""
    staging(http)
    http.running.faults("api=insert_multiple, seed=1, do=item_errors(0.3)", "api=import_one, at=1, do=code(BROKEN)")
    failed = http.post("/import/u_asset", rows(1)[0])
    assert (failed.status_code, failed.json()["result"][0]["status"]) == (201, "error")
    import_set = many(http, rows(50))
    http.running.run_imports()
    counted = Counter(states(http, import_set))
    assert set(counted) == {"inserted", "error"}
    assert http.running.counts()["insert"] == {"alm_asset": counted["inserted"]}
    (run,) = http.rows("sys_import_set_run", f"set={import_set}")
    assert (run["state"], run["errors"]) == ("complete_with_errors", str(counted["error"]))
    errors = http.rows("sys_import_set_row_error", f"import_set_run={run['sys_id']}")
    assert {e["import_set_row"] for e in errors} == {
        row["sys_id"] for row in staged(http, import_set) if row["sys_import_state"] == "error"
    }
    assert all("made by a fault rule" in row["sys_import_state_comment"] for row in staged(http, import_set)
               if row["sys_import_state"] == "error")  # fmt: skip


@pytest.mark.parametrize("ending", ["reset", "close", "status(500)"])
def test_an_insert_can_take_effect_although_its_answer_is_lost(http: Http, ending: str) -> None:
    """So repeating it stores the rows twice; the ledger tells."""
    staging(http)
    http.running.faults(
        f"api=import_one, at=1, do=commit_then_{ending}", f"api=insert_multiple, at=1, do=commit_then_{ending}"
    )
    for path, body in [("/import/u_asset", rows(1)[0]), ("/import/u_asset/insertMultiple", {"records": rows(3, 1)})]:
        for _ in range(2):
            try:
                http.post(path, body)
            except requests.ConnectionError:
                continue
    http.running.run_imports()
    assert sorted(inserted(http).values()) == [2, 2, 2, 2]
    assert set(inserted(http, "insert").values()) == {1}


def test_a_part_of_the_rows_can_take_effect(http: Http) -> None:
    """The first k, then the connection breaks."""
    staging(http)
    http.running.faults("api=insert_multiple, at=1, do=commit_part(37)_then_reset")
    with pytest.raises(requests.ConnectionError):
        http.post("/import/u_asset/insertMultiple", {"records": rows(100)})
    http.running.run_imports()
    assert [row["u_marker"] for row in http.rows("u_asset", "ORDERBYsys_import_row")] == [f"m/{n}" for n in range(37)]
    assert len(http.rows("alm_asset")) == 37


def test_rows_can_come_late(http: Http) -> None:
    """By the sandbox's clock, after the client has given up."""
    staging(http)
    http.running.faults("api=insert_multiple, at=1, do=commit_late(120)")
    with pytest.raises(requests.ConnectionError):
        http.post("/import/u_asset/insertMultiple", {"records": rows(5)})
    assert http.rows("u_asset") == []
    http.running.advance(121)
    wait_for(lambda: len(http.rows("u_asset")) == 5)
    http.running.run_imports()
    assert len(http.rows("alm_asset")) == 5


def test_a_set_can_be_stuck(http: Http) -> None:
    """It stays loaded for ever, others go on; who waits for it waits too."""
    staging(http)
    http.running.faults("api=insert_multiple, at=1, do=job(stuck)")
    one, two = many(http, rows(2)), many(http, rows(2, 2))
    three = many(http, rows(2, 4), run_after=one)
    http.running.advance(3600)
    assert [state(http, each) for each in (one, two, three)] == ["loaded", "processed", "loaded"]
    assert states(http, one) == ["pending"] * 2


def test_what_is_told_of_rows_can_be_wrong(http: Http) -> None:
    """Another word, another number, another order, another id, an empty list, an error."""
    staging(http)
    http.running.faults("api=import_one, at=1, do=op(sideways)", "api=import_one, at=2, do=count(+1)",
                        "api=import_one, at=3, do=count(-1)")  # fmt: skip
    results = [http.post("/import/u_asset", row).json()["result"] for row in rows(3)]
    assert results[0][0]["status"] == "sideways"
    assert [len(one) for one in results] == [1, 2, 0]
    import_set = many(http, rows(30, 10))
    http.running.run_imports()
    http.running.faults("api=staging_read, at=1, do=op(frozen)", "api=staging_read, at=2, do=reorder",
                        "api=staging_read, at=3, do=count(-3)", "api=staging_read, at=4, do=status(404)")  # fmt: skip
    assert set(states(http, import_set)) == {"frozen"}
    numbers = [int(row["sys_import_row"]) for row in staged(http, import_set)]
    assert numbers != sorted(numbers) == list(range(1, 31))
    assert len(staged(http, import_set)) == 27
    assert http.get(f"/table/sys_import_set/{import_set}").status_code == 404
    assert len(staged(http, import_set)) == 30


def test_a_killed_server_goes_on_with_its_sets(tmp_path: Path) -> None:
    """Every row is transformed once, whatever slice it was in."""
    with attach(tmp_path) as running:
        http = Http(running)
        staging(http)
        running.settings(import__rows_per_second=100)
        import_set = many(http, rows(900))
        running.advance(4)
        assert 300 < Counter(states(http, import_set))["inserted"] < 900
        os.kill(running.pid, signal.SIGKILL)
        http.session.close()
    with attach(tmp_path) as running:
        http = Http(running)
        running.advance(10)
        assert set(states(http, import_set)) == {"inserted"}
        assert state(http, import_set) == "processed"
        (run,) = http.rows("sys_import_set_run", f"set={import_set}")
        assert (run["state"], run["processed"], run["inserts"]) == ("complete", "900", "900")
        assert set(inserted(http, "insert").values()) == {1}
        assert len(inserted(http, "insert")) == 900
        http.session.close()
