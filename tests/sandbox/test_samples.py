"""The documented request and answer pairs, replayed: same keys, operations, attempts and indexes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.sandbox.conftest import Engine, Http, sample

SERVER, SWITCH = "2eaeea0e72fa45d059bfa7de1524c94b", "db2d80f3f4790fae95d75e0f6227fe0c"
PARKED = "fed37a6c371b78ac6ef098698cada990"


def parked(sys_id: str, values: dict[str, str]) -> dict[str, str]:
    """A partial payload stored earlier under the source key of the samples."""
    return {
        "sys_id": sys_id,
        "class_name": "cmdb_ci_computer",
        "source_name": "ServiceNow",
        "source_native_key": "ncomputer3367",
        "item": orjson.dumps({"values": values}).decode(),
    }


@pytest.mark.parametrize(("name", "commit"), [("query_1", False), ("commit_1", True)])
def test_the_plain_calls_answer_word_for_word(engine: Engine, name: str, commit: bool) -> None:
    """Both examples are of the older form: setting answer.style."""
    example = sample(name)
    engine.seed(
        settings={"answer.style": "older"},
        records={
            "cmdb_ci_linux_server": [{"sys_id": SERVER, "name": "web-par-12"}],
            "cmdb_ci_ip_switch": [{"sys_id": SWITCH, "name": "sw-par-access-3"}],
        },
    )
    request = example["request"]
    answer = engine(request["items"], request["relations"], commit=commit, enhanced=False, source="ServiceNow")
    assert answer == example["answer"]["result"]


@pytest.mark.parametrize(("name", "commit"), [("query_enhanced_1", False), ("enhanced_1", True)])
def test_a_partial_item_is_told_as_documented(engine: Engine, name: str, commit: bool) -> None:
    """These two examples lack hasError and hasWarning: setting answer.flags."""
    example = sample(name)
    engine.seed(
        settings={"answer.flags": "with_summary"},
        records={"cmdb_ire_partial_payloads": [parked(PARKED, {"ram": "8192"})]},
    )
    answer = engine(example["request"]["items"], commit=commit, options="", source="ServiceNow")
    expected = example["answer"]["result"]
    for result in (answer, expected):
        item = result["items"][0]
        # new ids, and the time and key order inside the message, differ from call to call
        item["partialSysIds"] = len(item["partialSysIds"])
        text, _, shown = item["warnings"][0]["message"].partition("'")
        document = orjson.loads(shown.removesuffix("'"))
        document["sys_ire_info"] = sorted(document["sys_ire_info"])
        item["warnings"][0]["message"] = [text, document]
    assert answer == expected
    assert len(engine.records("cmdb_ire_partial_payloads")) == (2 if commit else 1)
    assert not engine.records("cmdb_ci_computer")


def completed(engine: Engine, commit: bool) -> dict[str, Any]:
    """A payload that completes a parked one; the page prints the request of this example empty."""
    engine.seed(records={"cmdb_ire_partial_payloads": [parked("9496218481e2cccf7cec87db0bca9ff7", {"ram": "8192"})]})
    item = {
        "className": "cmdb_ci_computer",
        "values": {"cpu_core_count": "6"},
        "lookup": [
            {"className": "cmdb_ci_network_adapter", "values": {"name": "eth0", "mac_address": "02:00:5e:10:00:01"}}
        ],
        "sys_object_source_info": {"source_name": "ServiceNow", "source_native_key": "ncomputer3367"},
    }
    return engine([item], commit=commit, options="generate_summary:true", source="ServiceNow")


def test_a_completed_partial_payload_is_inserted_with_a_summary(engine: Engine) -> None:
    """The parked payload is named in mergedPayloadIds and is gone afterwards."""
    engine.seed(settings={"answer.flags": "with_summary"})
    answer, expected = completed(engine, commit=True), sample("enhanced_2")["answer"]["result"]
    assert answer["summary"] == expected["summary"]
    assert set(answer) == set(expected)
    for key in ("operation", "className", "identificationAttempts", "mergedPayloadIds", "identifierEntrySysId"):
        assert answer["items"][0][key] == expected["items"][0][key]
    assert set(answer["items"][0]) == set(expected["items"][0])
    row, documented = answer["items"][0]["relatedItems"][0], expected["items"][0]["relatedItems"][0]
    assert {**row, "sysId": ""} == {**documented, "sysId": ""}
    assert not engine.records("cmdb_ire_partial_payloads")
    assert engine.records("cmdb_ci_computer", ram="8192", cpu_core_count="6")


def test_the_dry_run_of_it_has_no_ids_yet(engine: Engine) -> None:
    """Known departure: the page repeats the commit's answer, ids included; the scripted example shows none."""
    engine.seed(settings={"answer.flags": "with_summary"})
    answer, expected = completed(engine, commit=False), sample("query_enhanced_2")["answer"]["result"]
    assert answer["summary"] == expected["summary"]
    assert set(expected["items"][0]) - set(answer["items"][0]) == {"sysId", "identifierEntrySysId"}
    assert answer["items"][0]["relatedSysIds"] == [None]
    assert answer["items"][0]["mergedPayloadIds"] == expected["items"][0]["mergedPayloadIds"]
    assert engine.records("cmdb_ire_partial_payloads")


def test_the_single_insert_answers_as_documented(http: Http) -> None:
    """The example inserts a row without an e-mail address, so its map coalesces on the user's id: a setting."""
    http.running.settings(import__imp_user_coalesce="user_id")
    example = sample("import_single")
    made = http.post("/import/imp_user", example["request"])
    assert made.status_code == example["status"]
    answer, expected = made.json(), example["answer"]
    (result,), (documented,) = answer["result"], expected["result"]
    assert list(answer) == list(expected)
    assert list(result) == list(documented)
    row = http.rows("sys_user", f"sys_id={result['sys_id']}")[0]
    assert row["name"] == result["display_value"] == documented["display_value"]
    links = {"record_link": f"{http.running.url}/api/now/table/sys_user/{result['sys_id']}", "sys_id": result["sys_id"]}
    assert result == {**documented, **links}
    assert answer["import_set"].startswith("ISET00")
    read = http.session.get(made.headers["Location"], timeout=10)
    assert (read.status_code, read.json()) == (200, answer)
    again = http.post("/import/imp_user", example["request"]).json()["result"][0]
    assert (again["status"], again["status_message"]) == ("ignored", "No field values changed")


def test_the_multiple_insert_answers_as_documented(http: Http) -> None:
    """Two ids and nothing else; the keys are the labels of the columns."""
    columns = {"u_address": ["string", "Address", 80], "u_name": ["string", "Name", 80], "u_id": ["string", "ID", 80]}
    maps = [{"name": "Employees", "target": "sys_user", "fields": {"user_name": "u_id", "name": "u_name"}}]
    http.running.seed({"staging": {"u_employee_import": {"columns": columns, "maps": maps}}}, force=True)
    example = sample("import_multiple")
    made = http.post("/import/u_employee_import/insertMultiple", example["request"])
    assert (made.status_code, list(made.json())) == (example["status"], list(example["answer"]))
    http.running.run_imports()
    rows = http.rows("u_employee_import", f"sys_import_set={made.json()['import_set_id']}^ORDERBYsys_import_row")
    kept = [{"Address": row["u_address"], "Name": row["u_name"], "ID": row["u_id"]} for row in rows]
    assert kept == example["request"]["records"]
    assert [row["sys_import_state"] for row in rows] == ["inserted", "inserted"]


def test_the_multipart_upload_answers_as_documented(http: Http) -> None:
    """The same keys, every value a string."""
    example = sample("attachment_upload")
    target = example["answer"]["result"]["table_sys_id"]
    http.running.seed({"records": {"incident": [{"sys_id": target, "number": "INC0000001"}]}}, force=True)
    content = bytes(range(256)) * 771 + b"tail of it"
    fields = {"table_name": "incident", "table_sys_id": target}
    made = http.session.post(
        f"{http.running.url}/api/now/attachment/upload",
        data=fields,
        files={"uploadFile": ("shot.jpg", content, "image/jpeg")},
        timeout=10,
    )
    assert made.status_code == example["status"]
    result, documented = made.json()["result"], example["answer"]["result"]
    assert set(result) == set(documented)
    same = ("table_sys_id", "file_name", "compressed", "table_name", "content_type", "sys_mod_count", "image_width")
    assert {name: result[name] for name in same} == {name: documented[name] for name in same}
    assert result["size_bytes"] == str(len(content))
    assert made.headers["Location"].endswith(f"/api/now/attachment/{result['sys_id']}")
    assert http.session.get(result["download_link"], timeout=10).content == content
