"""Each error code of the engine, produced on demand, and what the answer around it looks like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.sandbox.conftest import Engine, server
from tests.sandbox.test_engine import RUNS_ON, codes, on, operations, tomcat

Case = tuple[list[dict[str, Any]], list[dict[str, Any]]]
HOSTED = "Hosted on::Hosts"


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
}


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
