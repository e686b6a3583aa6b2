"""What the engine decides and writes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import Engine, server

RUNS_ON, OWNS, CONTAINS = "Runs on::Runs", "Owns::Owned by", "Contains::Contained by"
TOMCAT = {"install_directory": "/opt/tomcat", "running_process_key_parameters": "-Dx=1"}


def tomcat(**values: str) -> dict[str, Any]:
    """A dependent item, identified by attributes that are no name."""
    return {"className": "cmdb_ci_app_server_tomcat", "internal_id": "app", "values": {**TOMCAT, **values}}


def on(parent: str, child: str, kind: str = RUNS_ON) -> dict[str, str]:
    """A relation by internal ids."""
    return {"parent_id": parent, "child_id": child, "type": kind}


def operations(answer: dict[str, Any]) -> list[str | None]:
    """What became of the items."""
    return [item.get("operation") for item in answer["items"]]


def codes(answer: dict[str, Any], kind: str = "items") -> list[list[str]]:
    """The error codes of each item or relation."""
    return [[fault["error"] for fault in thing.get("errors", ())] for thing in answer[kind]]


def attempts(item: dict[str, Any]) -> list[tuple[str, str]]:
    """(what was tried, result)."""
    return [(a.get("searchOnTable", a.get("info", "")), a["attemptResult"]) for a in item["identificationAttempts"]]


def test_a_new_item_has_no_id_in_the_dry_run_and_one_after_the_commit(engine: Engine) -> None:
    """Documented by the scripted example: a client tracks new items by inputIndices."""
    planned = engine([server("a")], commit=False)["items"][0]
    assert planned["operation"] == "INSERT"
    assert "sysId" not in planned
    assert "identifierEntrySysId" not in planned
    assert not engine.records("cmdb_ci")
    done = engine([server("a")])["items"][0]
    assert len(done["sysId"]) == 32
    assert done["identifierEntrySysId"] == "Unknown"


def test_a_source_key_finds_a_renamed_record(engine: Engine) -> None:
    """A match by source key ends the search, whatever the criterion values say."""
    first = engine([server("old")])["items"][0]["sysId"]
    renamed = server("new")
    renamed["sys_object_source_info"]["source_native_key"] = "host/old"
    item = engine([renamed])["items"][0]
    assert (item["operation"], item["sysId"]) == ("UPDATE", first)
    assert attempts(item) == [("sys_object_source MATCHED", "MATCHED")]
    assert [r["id"] for r in engine.records("sys_object_source")] == ["host/old"]


def test_a_source_key_leads_to_no_record_of_another_kind(engine: Engine) -> None:
    """A feed may use one key for what it makes of several classes; each is found as its own."""
    app = server("a") | {"className": "cmdb_ci_business_app", "internal_id": "app"}
    first = engine([server("a")])["items"][0]["sysId"]
    made = engine([app])["items"][0]
    assert made["operation"] == "INSERT"
    again = engine([server("a"), app])["items"]
    assert [(one["operation"], one["sysId"]) for one in again] == [("NO_CHANGE", first), ("NO_CHANGE", made["sysId"])]


def test_a_source_that_may_not_insert_is_in_no_other_ones_way(engine: Engine) -> None:
    """The rule names its data source."""
    engine.seed(records={"cmdb_ire_data_source_rule": [{"applies_to": "cmdb_ci_server", "discovery_source": "Other"}]})
    assert engine([server("a")])["items"][0]["operation"] == "INSERT"


def test_the_source_key_can_be_made_to_come_last(engine: Engine) -> None:
    """Property skip_sys_object_source_matching: entries first; the key only when no entry could run."""
    engine([server("a")])
    engine.seed(properties={"glide.identification_engine.skip_sys_object_source_matching": "true"})
    other = server("b")
    other["sys_object_source_info"]["source_native_key"] = "host/a"
    assert engine([other], commit=False)["items"][0]["operation"] == "INSERT"
    del other["values"]["name"]
    assert engine([other], commit=False)["items"][0]["operation"] == "NO_CHANGE"


def test_entries_are_tried_in_order_until_one_matches(engine: Engine) -> None:
    """Serial-number rows, serial number, name, adapters; missing values are SKIPPED."""
    engine([{"className": "cmdb_ci_linux_server", "values": {"name": "db-1"}}])
    item = engine([{"className": "cmdb_ci_linux_server", "values": {"name": "DB-1 ", "serial_number": "X1"}}])["items"][
        0
    ]
    assert attempts(item)[1:] == [
        ("cmdb_serial_number", "SKIPPED"),
        ("cmdb_ci_hardware", "NO_MATCH"),
        ("cmdb_ci_hardware", "MATCHED"),
    ]


def test_lookup_rows_identify_and_are_written_with_their_item(engine: Engine) -> None:
    """A serial-number row leads to the record it points to."""
    row = {"className": "cmdb_serial_number", "values": {"serial_number": "4C4C", "serial_number_type": "uuid"}}
    first = engine([{**server("a"), "lookup": [row]}])["items"][0]
    assert first["relatedItems"][0]["operation"] == "INSERT"
    renamed = {"className": "cmdb_ci_linux_server", "values": {"name": "b"}, "lookup": [row]}
    again = engine([renamed])["items"][0]
    assert (again["sysId"], again["operation"]) == (first["sysId"], "UPDATE")
    assert attempts(again)[-1] == ("cmdb_serial_number", "MATCHED")
    assert again["relatedItems"][0]["operation"] == "NO_CHANGE"
    assert len(engine.records("cmdb_serial_number", cmdb_ci=first["sysId"])) == 1


def test_lookup_rows_must_be_the_whole_set_where_the_entry_says_so(engine: Engine) -> None:
    """exact_count_match: the record has two numbers, the payload one of them."""
    rows = [
        {"className": "cmdb_serial_number", "values": {"serial_number": n, "serial_number_type": "system"}}
        for n in "12"
    ]
    engine([{"className": "cmdb_ci_linux_server", "values": {"name": "a"}, "lookup": rows}])
    item = engine([{"className": "cmdb_ci_linux_server", "values": {}, "lookup": rows[:1]}], commit=False)["items"][0]
    assert attempts(item)[1] == ("cmdb_serial_number", "NO_MATCH")
    assert item["operation"] == "INSERT"


def test_adapters_identify_by_mac_and_name(engine: Engine) -> None:
    """The fourth Hardware entry, in the form the engine's own output shows."""
    row = {"className": "cmdb_ci_network_adapter", "values": {"name": "eth0", "mac_address": "02:00:5e:10:00:01"}}
    first = engine([{"className": "cmdb_ci_computer", "values": {"ram": "1"}, "lookup": [row]}])["items"][0]
    again = engine([{"className": "cmdb_ci_computer", "values": {"ram": "2"}, "lookup": [row]}])["items"][0]
    assert (again["operation"], again["sysId"]) == ("UPDATE", first["sysId"])


def test_a_dependent_item_is_found_below_its_host_only(engine: Engine) -> None:
    """The same Tomcat on two servers is two records."""
    first = engine([server("a"), tomcat()], [on("app", "server-a")])
    second = engine([server("b"), tomcat()], [on("app", "server-b")])
    assert operations(second) == ["INSERT", "INSERT"]
    again = engine([server("a"), tomcat(version="9")], [on("app", "server-a")])
    assert operations(again) == ["NO_CHANGE", "UPDATE"]
    assert again["items"][1]["sysId"] == first["items"][1]["sysId"]
    assert again["relations"][0]["operation"] == "NO_CHANGE"
    assert len(engine.records("cmdb_ci_app_server_tomcat")) == 2


def test_below_a_new_host_nothing_is_searched(engine: Engine) -> None:
    """Documented by the scripted examples: only source attempts."""
    answer = engine([server("a"), tomcat()], [on("app", "server-a")], commit=False)
    assert attempts(answer["items"][1]) == [("sys_object_source SKIPPED", "SKIPPED")]


def test_reversed_rules_take_the_host_as_parent(engine: Engine) -> None:
    """Hardware owns adapter: the hosting row is reversed."""
    adapter = {
        "className": "cmdb_ci_network_adapter",
        "internal_id": "nic",
        "values": {"name": "eth0", "mac_address": "m"},
    }
    answer = engine([server("a"), adapter], [on("server-a", "nic", OWNS)])
    assert operations(answer) == ["INSERT", "INSERT"]
    assert operations(engine([server("a"), adapter], [on("server-a", "nic", OWNS)])) == ["NO_CHANGE", "NO_CHANGE"]
    wrong = engine([server("a"), adapter], [on("nic", "server-a", OWNS)], commit=False)
    assert codes(wrong)[1] == ["MISSING_DEPENDENCY"]


def test_dependents_of_dependents_are_found_level_by_level(engine: Engine) -> None:
    """Server, Tomcat on it, an application in the Tomcat."""
    war = {"className": "cmdb_ci_app_server_tomcat_war", "internal_id": "war", "values": {"name": "shop"}}
    payload = [war, tomcat(), server("a")]
    relations = [on("app", "war", CONTAINS), on("app", "server-a")]
    assert operations(engine(payload, relations)) == ["INSERT"] * 3
    assert operations(engine(payload, relations)) == ["NO_CHANGE"] * 3


def test_a_dependent_endpoint_with_its_id_needs_no_host(engine: Engine) -> None:
    """values.sys_id spares the relation; so do the flags that keep the class."""
    made = engine([server("a"), tomcat()], [on("app", "server-a")])["items"][1]["sysId"]
    endpoint = {"className": "cmdb_ci_app_server_tomcat", "values": {"sys_id": made}}
    assert operations(engine([endpoint])) == ["NO_CHANGE"]


def test_a_fallback_entry_goes_on_with_the_parents_rule(engine: Engine) -> None:
    """Tomcat falls back to the Application rule."""
    port = {"className": "cmdb_ci_app_server_tomcat", "internal_id": "app", "values": {"cl_port": "8080"}}
    engine([server("a"), port], [on("app", "server-a")])
    item = engine([server("a"), port], [on("app", "server-a")])["items"][1]
    assert [a["identifierName"] for a in item["identificationAttempts"]] == ["", "Tomcat", "Application Rule"]
    assert item["operation"] == "NO_CHANGE"


@pytest.mark.parametrize(
    ("old", "new", "operation"),
    [
        ("cmdb_ci_server", "cmdb_ci_linux_server", "UPDATE_WITH_UPGRADE"),
        ("cmdb_ci_linux_server", "cmdb_ci_server", "UPDATE_WITH_DOWNGRADE"),
        ("cmdb_ci_linux_server", "cmdb_ci_win_server", "UPDATE_WITH_SWITCH"),
    ],
)
def test_another_class_reclassifies_or_is_kept_or_is_refused(
    engine: Engine, old: str, new: str, operation: str
) -> None:
    """On by default; a flag of the item keeps the class; a property refuses."""
    way = operation.rsplit("_", 1)[1]
    made = engine([{"className": old, "values": {"name": "a"}}])["items"][0]["sysId"]
    item = {"className": new, "values": {"name": "a"}}
    kept = engine([{**item, "settings": {f"updateWithout{way.capitalize()}": "true"}}])["items"][0]
    assert (kept["operation"], kept["className"], kept["info"][0]["code"]) == ("NO_CHANGE", old, f"SKIPPED_CLASS_{way}")
    engine.seed(properties={f"glide.class.{way.lower()}.enabled": "false"})
    assert codes(engine([item])) == [["RECLASSIFICATION_NOT_ALLOWED"]]
    forced = engine([{**item, f"class{way.capitalize()}": True}])["items"][0]
    assert (forced["operation"], forced["className"], forced["sysId"]) == (operation, new, made)
    assert engine.records(new)[0]["sys_class_name"] == new


def test_classes_of_different_rules_do_not_change_into_each_other(engine: Engine) -> None:
    """An ESX server has a rule of its own."""
    made = engine([{"className": "cmdb_ci_server", "values": {"name": "a"}}])["items"][0]["sysId"]
    answer = engine([{"className": "cmdb_ci_esx_server", "values": {"sys_id": made, "name": "a"}}])
    assert codes(answer) == [["RECLASSIFICATION_NOT_ALLOWED"]]


def test_few_duplicates_are_settled_and_marked(engine: Engine) -> None:
    """The oldest is updated, the others become duplicate_of it and are never found again."""
    engine.seed(records={"cmdb_ci_server": [{"sys_id": f"{n}" * 32, "name": "twin"} for n in range(3)]})
    item = engine([{"className": "cmdb_ci_server", "values": {"name": "twin", "ram": "1"}}])["items"][0]
    assert (item["operation"], item["sysId"]) == ("UPDATE", "0" * 32)
    assert [r.get("duplicate_of") for r in engine.records("cmdb_ci_server")] == [None, "0" * 32, "0" * 32]
    task = engine.records("reconcile_duplicate_task")[0]
    assert task["duplicates"] == ",".join(f"{n}" * 32 for n in range(3))
    assert operations(engine([{"className": "cmdb_ci_server", "values": {"name": "twin"}}])) == ["NO_CHANGE"]
    marked = engine([{"className": "cmdb_ci_server", "values": {"sys_id": "1" * 32}}])
    assert codes(marked) == [["INVALID_INPUT_DATA"]]


def test_many_duplicates_are_an_error(engine: Engine) -> None:
    """Five is open in the documentation; an error is assumed."""
    engine.seed(records={"cmdb_ci_server": [{"name": "twin"} for _ in range(5)]})
    payload = [{"className": "cmdb_ci_server", "values": {"name": "twin"}}]
    answer = engine(payload)
    assert codes(answer) == [["MULTIPLE_DUPLICATE_RECORDS"]]
    assert attempts(answer["items"][0])[-1] == ("cmdb_ci_hardware", "MULTI_MATCH")
    engine(payload)
    assert len(engine.records("reconcile_duplicate_task")) == 1
    engine.seed(settings={"identify.duplicates_at_threshold": "settle"})
    assert operations(engine(payload)) == ["NO_CHANGE"]


def test_items_that_are_one_record_are_refused_by_the_criteria_that_they_share(engine: Engine) -> None:
    """Two hosts of one name are one CI to the hardware rule, whatever their serial numbers are."""
    payload = [server("a", serial_number="S1"), server("b", serial_number="S2"), server("a", serial_number="S3")]
    told = engine(payload)["items"]
    assert ["and fields [name]" in str(item.get("errors")) for item in told] == [True, False, True]


def test_the_same_item_twice_is_refused_or_merged(engine: Engine) -> None:
    """deduplicate_payloads decides; the plain call refuses everything."""
    payload = [
        server("a", ram="1"),
        {"className": "cmdb_ci_linux_server", "values": {"name": "a", "os": "Linux"}},
        server("b"),
    ]
    assert codes(engine(payload)) == [["DUPLICATE_PAYLOAD_RECORDS"], ["DUPLICATE_PAYLOAD_RECORDS"], []]
    engine.world.reset()
    plain = engine(payload, enhanced=False)
    assert codes(plain)[:2] == [["DUPLICATE_PAYLOAD_RECORDS"]] * 2
    assert not engine.records("cmdb_ci")
    merged = engine(payload, options="partial_payloads:false,partial_commits:true,deduplicate_payloads:true")
    assert [item["inputIndices"] for item in merged["items"]] == [[0, 1], [2]]
    assert engine.records("cmdb_ci", name="a", ram="1", os="Linux")


def test_a_touch_is_written_although_nothing_changed(engine: Engine) -> None:
    """last_discovered and discovery_source are written on every call; sys_updated_on is not."""
    engine([server("a")])
    before = engine.records("cmdb_ci")[0]
    engine.world.clock.advance(3600)
    engine.seed(choices={"cmdb_ci.discovery_source": ["Other"]})
    assert operations(engine([server("a")], source="Other")) == ["NO_CHANGE"]
    after = engine.records("cmdb_ci")[0]
    assert after["discovery_source"] == "Other"
    assert after["last_discovered"] > before["last_discovered"]
    assert after["sys_updated_on"] == before["sys_updated_on"]
    assert engine.world.ledger.counts()["touch"] == {"cmdb_ci_linux_server": 1}


def test_last_discovered_never_goes_back_and_a_newer_one_is_a_change(engine: Engine) -> None:
    """A sent last_discovered that differs counts; an older one leaves both columns alone."""
    engine([server("a", last_discovered="2030-01-01 00:00:00")])
    assert operations(engine([server("a", last_discovered="2031-01-01 00:00:00")])) == ["UPDATE"]
    engine([server("a", last_discovered="2020-01-01 00:00:00")])
    assert engine.records("cmdb_ci")[0]["last_discovered"] == "2031-01-01 00:00:00"


def test_empty_values_clear_nothing_unless_the_setting_says_so(engine: Engine) -> None:
    """No public example shows an empty value clearing an attribute."""
    engine([server("a", ram="1")])
    assert operations(engine([server("a", ram="")])) == ["NO_CHANGE"]
    engine.seed(settings={"update.empty_clears": True})
    assert operations(engine([server("a", ram="")])) == ["UPDATE"]
    assert "ram" not in engine.records("cmdb_ci")[0]


def test_columns_that_the_class_lacks_are_left_out(engine: Engine) -> None:
    """Unknown columns and system columns of the payload are ignored, until they are seeded."""
    item = server("a", u_team="blue", sys_updated_by="me", install_directory="/x")
    engine([item])
    record = engine.records("cmdb_ci")[0]
    assert "u_team" not in record
    assert "install_directory" not in record
    assert record["sys_updated_by"] == "system"
    engine.seed(columns={"cmdb_ci_server": {"u_team": "string"}})
    assert operations(engine([item])) == ["UPDATE"]
    assert engine.records("cmdb_ci", u_team="blue")


def test_relations_are_unique(engine: Engine) -> None:
    """A relation sent again, also twice in one payload, is the same row."""
    pair = [server("a"), server("b")]
    connect = on("server-a", "server-b", "Connects to::Connected by")
    first = engine(pair, [connect, connect])
    assert [r["inputIndices"] for r in first["relations"]] == [[0, 1]]
    again = engine(pair, [connect])["relations"][0]
    assert (again["operation"], again["sysId"]) == ("NO_CHANGE", first["relations"][0]["sysId"])
    assert len(engine.records("cmdb_rel_ci")) == 1


def test_reference_items_are_filled_before_the_answer(engine: Engine) -> None:
    """A column takes the id of another item of the payload."""
    service = {"className": "cmdb_ci_service", "internal_id": "svc", "values": {"name": "shop"}}
    engine.seed(columns={"cmdb_ci_server": {"u_service": "reference:cmdb_ci_service"}})
    refer = [{"referenceField": "u_service", "referenced": "svc", "referencedBy": "server-a"}]
    answer = engine([server("a"), service], referenceItems=refer)
    assert engine.records("cmdb_ci_server")[0]["u_service"] == answer["items"][1]["sysId"]
    assert operations(engine([server("a"), service], referenceItems=refer)) == ["NO_CHANGE", "NO_CHANGE"]


def test_related_rows_are_matched_below_their_item(engine: Engine) -> None:
    """Installed software of a server, by name."""
    item = {**server("a"), "related": [{"className": "cmdb_software_instance", "values": {"name": "bash"}}]}
    assert engine([item])["items"][0]["relatedItems"][0]["operation"] == "INSERT"
    assert engine([item])["items"][0]["relatedItems"][0]["operation"] == "NO_CHANGE"
    assert len(engine.records("cmdb_software_instance")) == 1
