"""Each error code of the engine, produced on demand, and what the answer around it looks like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from syncengine.sandbox.injected import injector
from syncengine.sandbox.world import World
from tests.sandbox.conftest import Engine, server
from tests.sandbox.test_engine import RUNS_ON, codes, on, operations, tomcat

Case = tuple[list[dict[str, Any]], list[dict[str, Any]]]
HOSTED = "Hosted on::Hosts"
WORLD = World()


def _rule_with_class(engine: Engine) -> Case:
    rule = {"name": "Bad", "applies_to": "cmdb_ci_group", "independent": True}
    engine.seed(rules=[{**rule, "entries": [{"order": 1, "attributes": ["name", "sys_class_name"]}]}])
    return [{"className": "cmdb_ci_group", "values": {"name": "a"}}], []


def _lookup_in_dependent_rule(engine: Engine) -> Case:
    entry = {"order": 1, "attributes": ["serial_number"], "table": "cmdb_serial_number", "field": "cmdb_ci"}
    engine.seed(rules=[{"name": "Bad", "applies_to": "cmdb_ci_disk", "independent": False, "entries": [entry]}])
    return [{"className": "cmdb_ci_disk", "values": {"name": "a"}}], []


def _two_types_of_one_name(engine: Engine) -> Case:
    engine.seed(records={"cmdb_rel_type": [{"name": "Connects to::Connected by"}]})
    return [server("a"), server("b")], [on("server-a", "server-b", "Connects to::Connected by")]


def _mandatory(engine: Engine) -> Case:
    engine.seed(records={"sys_dictionary": [{"name": "cmdb_ci_server", "element": "u_must", "mandatory": "true"}]})
    return [server("a")], []


def _blocked(engine: Engine) -> Case:
    engine.seed(
        records={"cmdb_ire_data_source_rule": [{"applies_to": "cmdb_ci_server", "discovery_source": "ImportSet"}]}
    )
    return [server("a")], []


def _two_below_one_host(engine: Engine) -> Case:
    first = engine([server("a"), tomcat()], [on("app", "server-a")])
    other = engine([server("b"), tomcat()], [on("app", "server-b")])
    kind = engine.records("cmdb_rel_type", name=RUNS_ON)[0]["sys_id"]
    engine.seed(
        records={
            "cmdb_rel_ci": [
                {"parent": other["items"][1]["sysId"], "child": first["items"][0]["sysId"], "type": kind},
            ]
        }
    )
    return [server("a"), tomcat()], [on("app", "server-a")]


def _aborted(engine: Engine) -> Case:
    rule = {"name": "No", "collection": "cmdb_ci_server", "abort_action": "true", "action_insert": "true"}
    engine.seed(records={"sys_script": [rule]})
    return [server("a")], []


def _doubled_row(engine: Engine) -> Case:
    values = {"serial_number": "1", "serial_number_type": "x"}
    row = {"className": "cmdb_serial_number", "values": values}
    made = engine([{**server("a"), "lookup": [row]}])["items"][0]["sysId"]
    engine.seed(
        records={"cmdb_serial_number": [{**values, "cmdb_ci": made}]},
        settings={"identify.duplicate_lookup_rows": "error"},
    )
    return [{**server("a"), "lookup": [row]}], []


def _two_by_name(engine: Engine) -> Case:
    engine.seed(
        properties={"glide.identification_engine.skip_duplicates": "false"},
        records={"cmdb_ci_server": [{"name": "twin"}, {"name": "twin"}]},
    )
    return [{"className": "cmdb_ci_server", "values": {"name": "twin"}}], []


def _kept_class(engine: Engine) -> Case:
    engine.seed(properties={"glide.class.switch.enabled": "false"}, records={"cmdb_ci_win_server": [{"name": "w"}]})
    return [{"className": "cmdb_ci_linux_server", "values": {"name": "w"}}], []


def _qualified(*ways: tuple[str, str]) -> Callable[[Engine], Case]:
    def case(engine: Engine) -> Case:
        engine.seed(tables={"u_link": {"label": "Link", "parent": "cmdb_ci_qualifier"}})
        links: list[dict[str, Any]] = [
            {"className": "u_link", "internal_id": name, "values": {}} for name in ("p", "q")
        ]
        return [server("a"), server("b"), *links], [on(*way, "Connects to::Connected by") for way in ways]

    return case


def _plain(*items: dict[str, Any]) -> Callable[[Engine], Case]:
    return lambda _engine: (list(items), [])


CASES: dict[str, Callable[[Engine], Case]] = {
    "IDENTIFICATION_RULE_MISSING": _plain({"className": "cmdb_ci_endpoint", "values": {"name": "a"}}),
    "MISSING_MATCHING_ATTRIBUTES": _plain({"className": "cmdb_ci_server", "values": {"ram": "1"}}),
    "NO_CLASS_NAME_FOR_INDEPENDENT_CI": _rule_with_class,
    "NO_LOOKUP_RULES_FOR_DEPENDENT_CI": _lookup_in_dependent_rule,
    "IDENTIFICATION_RULE_FOR_LOOKUP_MISSING": _plain({**server("a"), "lookup": [{"className": "cmdb_key_value"}]}),
    "IDENTIFICATION_RULE_FOR_RELATED_ITEM_MISSING": _plain(
        {**server("a"), "related": [{"className": "cmdb_key_value"}]}
    ),
    "INVALID_INPUT_DATA": _plain({"className": "cmdb_ci_server", "values": {"sys_id": "f" * 32}}),
    "DUPLICATE_PAYLOAD_RECORDS": _plain(server("a"), server("a")),
    "DUPLICATE_LOOKUP_PAYLOAD": _plain(
        {
            **server("a"),
            "lookup": [{"className": "cmdb_serial_number", "values": {"serial_number": "1", "serial_number_type": "x"}}]
            * 2,
        }
    ),
    "DUPLICATE_RELATED_PAYLOAD": _plain(
        {**server("a"), "related": [{"className": "cmdb_software_instance", "values": {"name": "bash"}}] * 2}
    ),
    "MULTI_MATCH": _two_below_one_host,
    "REQUIRED_ATTRIBUTE_EMPTY": _mandatory,
    "MISSING_DEPENDENCY": _plain(tomcat()),
    "METADATA_RULE_MISSING": _plain({"className": "cmdb_ci_mysql_never", "values": {"name": "a"}}),
    "MULTIPLE_DEPENDENCIES": lambda _e: (
        [server("a"), server("b"), tomcat()],
        [on("app", "server-a"), on("app", "server-b")],
    ),
    "ABANDONED": lambda _e: (
        [{"className": "cmdb_ci_linux_server", "internal_id": "x", "values": {}}, tomcat()],
        [on("app", "x")],
    ),
    "INSERT_NOT_ALLOWED_FOR_SOURCE": _blocked,
    "INSERT_FAILED": _aborted,
    "MULTIPLE_DUPLICATE_RECORDS": _two_by_name,
    "RECLASSIFICATION_NOT_ALLOWED": _kept_class,
    "QUALIFICATION_LOOP": _qualified(("p", "q"), ("q", "p")),
    "TYPE_CONFLICT_IN_QUALIFICATION": _qualified(
        ("server-a", "p"), ("server-a", "q"), ("p", "server-b"), ("q", "server-b")
    ),
    "RELATION_CHAIN_ENDS_AT_QUALIFIER": _qualified(("server-a", "p")),
}
TEXTS: dict[str, tuple[str, Callable[[Engine], Case]]] = {
    "no record of that id": ("Found invalid sys_id in payload. No record with sys_id [ff", CASES["INVALID_INPUT_DATA"]),
    "two below one host": ("Duplicate dependent records found having relationship [", _two_below_one_host),
    "two rows of one value": (
        "Found duplicate records in lookup table [cmdb_serial_number] using fields",
        _doubled_row,
    ),
    "two relations to one host": (
        "Found multiple relations between payload items: '",
        lambda engine: _with_two_ways(engine, [on("app", "server-a"), on("app", "server-a", HOSTED)]),
    ),
    "two hosts": ("Found multiple dependent relation items [", CASES["MULTIPLE_DEPENDENCIES"]),
    "a host and its host": (
        "Multiple paths leading to the same destination: ",
        lambda engine: _with_two_ways(
            engine,
            [on("inner", "app", HOSTED), on("app", "server-a"), on("inner", "server-a")],
            {**tomcat(), "internal_id": "inner"},
        ),
    ),
}


def _with_two_ways(engine: Engine, relations: list[dict[str, Any]], *more: dict[str, Any]) -> Case:
    engine.seed(
        hosting=[
            {"parent": "cmdb_ci_app_server_tomcat", "type": HOSTED, "child": cls}
            for cls in ("cmdb_ci_hardware", "cmdb_ci_app_server_tomcat")
        ]
    )
    return [server("a"), tomcat(), *more], relations


ALL_CODES = {
    "IDENTIFICATION_RULE_MISSING", "MISSING_MATCHING_ATTRIBUTES", "NO_CLASS_NAME_FOR_INDEPENDENT_CI",
    "IDENTIFICATION_RULE_FOR_LOOKUP_MISSING", "IDENTIFICATION_RULE_FOR_RELATED_ITEM_MISSING",
    "NO_LOOKUP_RULES_FOR_DEPENDENT_CI", "INVALID_INPUT_DATA", "DUPLICATE_RELATIONSHIP_TYPES",
    "DUPLICATE_PAYLOAD_RECORDS", "DUPLICATE_RELATED_PAYLOAD", "DUPLICATE_LOOKUP_PAYLOAD", "LOCK_TIMEOUT",
    "MULTIPLE_DUPLICATE_RECORDS", "MULTI_MATCH", "REQUIRED_ATTRIBUTE_EMPTY", "MISSING_DEPENDENCY",
    "METADATA_RULE_MISSING", "MULTIPLE_DEPENDENCIES", "ABANDONED", "QUALIFICATION_LOOP",
    "TYPE_CONFLICT_IN_QUALIFICATION", "RELATION_CHAIN_ENDS_AT_QUALIFIER", "RECLASSIFICATION_NOT_ALLOWED",
    "INSERT_NOT_ALLOWED_FOR_SOURCE", "INSERT_FAILED",
}  # fmt: skip
"""Every documented or observed error code of an item or a relation."""


def test_every_error_code_is_reached_by_data_except_those_of_time() -> None:
    """LOCK_TIMEOUT needs two writers for fifteen minutes: a fault rule makes it. One code stands on relations only."""
    assert ALL_CODES - set(CASES) == {"LOCK_TIMEOUT", "DUPLICATE_RELATIONSHIP_TYPES"}
    assert set(CASES) <= ALL_CODES


@pytest.mark.parametrize("code", sorted(ALL_CODES))
def test_every_error_code_can_be_ordered_by_a_fault_rule(code: str) -> None:
    """`code(NAME)`: the engine itself finds it, so the item is not written and its marker ids are there."""
    engine = Engine(WORLD)
    mark = injector.set(lambda: code)
    try:
        answer = engine([server("a")], commit=False)
    finally:
        injector.reset(mark)
    assert codes(answer) == [[code]]
    assert answer["items"][0]["sysId"] == "Unknown"


@pytest.mark.parametrize("case", TEXTS)
def test_one_code_has_several_texts(engine: Engine, case: str) -> None:
    """Each of its causes has its own."""
    text, made = TEXTS[case]
    answer = engine(*made(engine))
    messages = [fault["message"] for item in answer["items"] for fault in item.get("errors", ())]
    assert any(message.startswith(text) for message in messages), messages


@pytest.mark.parametrize("code", CASES)
def test_the_error_can_be_produced(engine: Engine, code: str) -> None:
    """The item says so, has the marker ids, is not written, and its good siblings are."""
    engine.seed(
        tables={"cmdb_ci_mysql_never": {"label": "Nowhere", "parent": "cmdb_ci"}},
        rules=[
            {
                "name": "N",
                "applies_to": "cmdb_ci_mysql_never",
                "independent": False,
                "entries": [{"order": 1, "attributes": ["name"]}],
            }
        ],
    )
    items, relations = CASES[code](engine)
    before = len(engine.records("cmdb_ci"))
    good = {"className": "cmdb_ci_service", "values": {"name": "good"}}
    answer = engine([*items, good], relations)
    bad = [item for item in answer["items"] if code in [fault["error"] for fault in item.get("errors", ())]]
    assert bad
    for item in bad:
        assert item["errorCount"] == len(item["errors"])
        assert item["sysId"] == item["identifierEntrySysId"] == "Unknown"
        assert "operation" not in item
        assert item["warnings"] == []
    assert answer["hasError"] is True
    assert answer["items"][-1]["operation"] == "INSERT"
    written = len(engine.records("cmdb_ci")) - before
    assert written == sum(item.get("operation") == "INSERT" for item in answer["items"])


def test_relation_errors_leave_the_items_alone(engine: Engine) -> None:
    """An unknown type, a bad index, a failed end."""
    relations: list[dict[str, Any]] = [
        on("server-a", "server-b", "Nothing::Nothing"),
        {"parent": 0, "child": 7, "type": RUNS_ON},
        on("server-a", "bad", "Connects to::Connected by"),
    ]
    bad = {"className": "cmdb_ci_server", "internal_id": "bad", "values": {}}
    answer = engine([server("a"), server("b"), bad], relations)
    assert codes(answer, "relations") == [["INVALID_INPUT_DATA"], ["INVALID_INPUT_DATA"], ["ABANDONED"]]
    assert operations(answer)[:2] == ["INSERT", "INSERT"]
    assert not engine.records("cmdb_rel_ci")


def test_what_lives_in_an_item_that_fails_by_its_rows_is_abandoned(engine: Engine) -> None:
    """Rows are decided when all items are; what lives in one that they fail, at any depth, is not written."""
    row = {"className": "cmdb_software_instance", "values": {"name": "bash"}}
    war = {"className": "cmdb_ci_app_server_tomcat_war", "internal_id": "war", "values": {"name": "shop"}}
    items = [war, tomcat(), {**server("a"), "related": [row, row]}, server("b")]
    answer = engine(items, [on("app", "server-a"), on("app", "war", "Contains::Contained by")])
    assert codes(answer) == [["ABANDONED"], ["ABANDONED"], ["DUPLICATE_RELATED_PAYLOAD"], []]
    assert [one["name"] for one in engine.records("cmdb_ci")] == ["b"]


def test_two_types_of_one_name_are_refused(engine: Engine) -> None:
    """DUPLICATE_RELATIONSHIP_TYPES stands on the relation."""
    items, relations = _two_types_of_one_name(engine)
    assert codes(engine(items, relations), "relations") == [["DUPLICATE_RELATIONSHIP_TYPES"]]


def test_the_plain_call_writes_all_or_nothing(engine: Engine) -> None:
    """One bad item rejects the payload; what the good ones say is a setting."""
    answer = engine([server("a"), {"className": "cmdb_ci_server", "values": {}}], enhanced=False)
    assert codes(answer) == [["ABANDONED"], ["MISSING_MATCHING_ATTRIBUTES"]]
    assert not engine.records("cmdb_ci")
    assert engine.world.ledger.counts() == {}
    engine.seed(settings={"answer.collateral_errors": False})
    assert codes(engine([server("a"), {"className": "cmdb_ci_server", "values": {}}], enhanced=False))[0] == []
    assert operations(engine([server("a")], enhanced=False)) == ["INSERT"]


@pytest.mark.parametrize("source", [None, "", "imporTSet", "Nowhere"])
def test_an_unregistered_data_source_fails_every_item(engine: Engine, source: str | None) -> None:
    """Observed: status 200 and an error per item; with default options the items are incomplete."""
    assert codes(engine([server("a"), server("b")], source=source)) == [["INVALID_INPUT_DATA"]] * 2
    parked = engine([server("a")], source=source, options="")["items"][0]
    assert parked["operation"] == "INSERT_AS_INCOMPLETE"
    assert len(parked["incompleteSysIds"]) == 1
    assert not engine.records("cmdb_ci")


def test_partial_payloads_are_kept_and_completed_later(engine: Engine) -> None:
    """The trap: what was rejected comes true behind the plan, with the next item of that key."""
    first = {
        "className": "cmdb_ci_server",
        "values": {"ram": "1"},
        "sys_object_source_info": {"source_name": "ImportSet", "source_native_key": "k"},
    }
    assert operations(engine([first], options="")) == ["INSERT_AS_PARTIAL"]
    assert operations(engine([{**first, "values": {"name": "a"}}], options="")) == ["INSERT"]
    assert engine.records("cmdb_ci_server", name="a", ram="1")


def test_a_dry_run_writes_nothing(engine: Engine) -> None:
    """Neither records nor parked payloads nor ledger lines."""
    total = engine.world.store.db.total_changes
    engine([server("a"), tomcat(), {"className": "cmdb_ci_server", "values": {"ram": "1"}}], commit=False, options="")
    assert engine.world.store.db.total_changes == total
