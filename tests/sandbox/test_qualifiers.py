"""Qualifiers between CIs, containment in two levels, hybrid entries, inclusion rules, references and display values."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.sandbox.conftest import Engine, server
from tests.sandbox.test_engine import RUNS_ON, attempts, codes, on, operations, tomcat

CONNECTS = "Connects to::Connected by"
PORT, PROTOCOL = "u_port_qualifier", "u_protocol_qualifier"


@pytest.fixture(autouse=True)
def qualifier_classes(engine: Engine) -> None:
    """Two kinds of qualifiers."""
    engine.seed(
        tables={
            PORT: {"label": "Port", "parent": "cmdb_ci_qualifier", "columns": {"u_port": "string"}},
            PROTOCOL: {"label": "Protocol", "parent": "cmdb_ci_qualifier"},
        }
    )


def qualifier(name: str, cls: str = PORT, **values: str) -> dict[str, Any]:
    """A qualifier; nothing in it identifies it."""
    return {"className": cls, "internal_id": name, "values": values}


def path(*names: str, kind: str = CONNECTS) -> list[dict[str, str]]:
    """Relations from one to the next."""
    return [on(one, other, kind) for one, other in pairwise(names)]


def chain(engine: Engine, *qualifiers: dict[str, Any], commit: bool = True) -> dict[str, Any]:
    """Server a is connected to server b through qualifiers."""
    names = ["server-a", *(one["internal_id"] for one in qualifiers), "server-b"]
    return engine([server("a"), server("b"), *qualifiers], path(*names), commit=commit)


def test_a_chain_sent_twice_changes_nothing(engine: Engine) -> None:
    """Its place between the two ends identifies a qualifier; what the query says is what the commit does."""
    ends = qualifier("p", u_port="443"), qualifier("q", PROTOCOL)
    assert operations(chain(engine, *ends, commit=False)) == operations(chain(engine, *ends)) == ["INSERT"] * 4
    again = chain(engine, *ends)
    assert operations(again) == ["NO_CHANGE"] * 4
    assert [relation["operation"] for relation in again["relations"]] == ["NO_CHANGE"] * 3
    changed = chain(engine, qualifier("p", u_port="8443"), qualifier("q", PROTOCOL))
    assert operations(changed) == ["NO_CHANGE", "NO_CHANGE", "UPDATE", "NO_CHANGE"]


def test_another_chain_replaces_the_stored_one(engine: Engine) -> None:
    """There is one for each relation type; the old qualifiers go with their relations, other types stay."""
    chain(engine, qualifier("p"), qualifier("q", PROTOCOL))
    other = "Depends on::Used by"
    engine([server("a"), server("b"), qualifier("x")], path("server-a", "x", "server-b", kind=other))
    dry = chain(engine, qualifier("q", PROTOCOL), commit=False)
    assert len(engine.records("cmdb_ci_qualifier")) == 3
    assert (
        operations(chain(engine, qualifier("q", PROTOCOL))) == operations(dry) == ["NO_CHANGE", "NO_CHANGE", "INSERT"]
    )
    assert sorted(r["sys_class_name"] for r in engine.records("cmdb_ci_qualifier")) == [PORT, PROTOCOL]
    assert len(engine.records("cmdb_rel_ci")) == 4
    assert engine.world.ledger.counts()["delete"] == {PORT: 1, PROTOCOL: 1, "cmdb_rel_ci": 3}


def test_a_dependent_item_may_have_a_qualifier_before_its_host(engine: Engine) -> None:
    """It is found again below that host, and nowhere else."""
    items = [server("a"), tomcat(), qualifier("p")]
    first = engine(items, path("app", "p", "server-a", kind=RUNS_ON))
    assert operations(first) == ["INSERT"] * 3
    again = engine(items, path("app", "p", "server-a", kind=RUNS_ON))
    assert operations(again) == ["NO_CHANGE"] * 3
    elsewhere = engine([server("b"), tomcat(), qualifier("p")], path("app", "p", "server-b", kind=RUNS_ON))
    assert operations(elsewhere) == ["INSERT"] * 3


@pytest.mark.parametrize(
    ("relations", "code"),
    [
        (path("server-a", "p", "q", "p") + path("q", "server-b"), "QUALIFICATION_LOOP"),
        (path("server-a", "p", "server-b") + path("server-a", "q", "server-b"), "TYPE_CONFLICT_IN_QUALIFICATION"),
        (path("server-a", "p", "server-b") + path("p", "q", "server-b"), "TYPE_CONFLICT_IN_QUALIFICATION"),
        (path("server-a", "p", "q", "server-b") + path("server-a", "server-b"), "TYPE_CONFLICT_IN_QUALIFICATION"),
        (path("server-a", "p", "q"), "RELATION_CHAIN_ENDS_AT_QUALIFIER"),
        (path("server-a", "p", "q") + path("q", "server-b", kind=RUNS_ON), "RELATION_CHAIN_ENDS_AT_QUALIFIER"),
        ([], "RELATION_CHAIN_ENDS_AT_QUALIFIER"),
    ],
)
def test_chains_that_cannot_be_are_refused(engine: Engine, relations: list[dict[str, str]], code: str) -> None:
    """The qualifiers fail, the CIs around them do not."""
    answer = engine([server("a"), server("b"), qualifier("p"), qualifier("q", PROTOCOL)], relations)
    assert operations(answer)[:2] == ["INSERT", "INSERT"]
    assert code in {code for one in codes(answer)[2:] for code in one}
    assert all(codes(answer)[2:])
    assert not engine.records("cmdb_ci_qualifier")


def test_a_qualifier_of_a_failed_end_is_abandoned(engine: Engine) -> None:
    """As any item that depends on one with errors."""
    bad = {"className": "cmdb_ci_server", "internal_id": "bad", "values": {}}
    answer = engine([server("a"), bad, qualifier("p")], path("server-a", "p", "bad"))
    assert codes(answer)[2] == ["ABANDONED"]


def test_containment_reaches_down_two_levels(engine: Engine) -> None:
    """The same names below another container are other CIs."""
    entries = [{"order": 100, "attributes": ["name"]}]
    engine.seed(
        tables={f"u_{n}": {"label": n, "parent": "cmdb_ci"} for n in ("rack", "shelf", "blade")},
        rules=[
            {"name": n, "applies_to": f"u_{n}", "independent": n == "rack", "entries": entries}
            for n in ("rack", "shelf", "blade")
        ],
    )
    kind = "Contains::Contained by"
    engine.seed(
        containment=[
            {"parent": "u_rack", "type": kind, "child": "u_shelf"},
            {"parent": "u_shelf", "type": kind, "child": "u_blade"},
        ]
    )

    def send(rack: str) -> list[str | None]:
        items = [
            {"className": "u_blade", "internal_id": "b", "values": {"name": "1"}},
            {"className": "u_shelf", "internal_id": "s", "values": {"name": "1"}},
            {"className": "u_rack", "internal_id": "r", "values": {"name": rack}},
        ]
        return operations(engine(items, path("r", "s", "b", kind=kind)))

    assert send("one") == ["INSERT"] * 3
    assert send("one") == ["NO_CHANGE"] * 3
    assert send("two") == ["INSERT"] * 3


def test_a_hybrid_entry_needs_the_rows_and_the_items_own_attributes(engine: Engine) -> None:
    """Serial number and model together."""
    entry = {
        "order": 100,
        "attributes": ["serial_number", "serial_number_type"],
        "table": "cmdb_serial_number",
        "field": "cmdb_ci",
        "own_attributes": ["os"],
    }
    engine.seed(
        rules=[
            {
                "name": "Hybrid",
                "applies_to": "cmdb_ci_computer",
                "independent": True,
                "entries": [entry, {"order": 200, "attributes": ["name"]}],
            }
        ]
    )
    row = {"className": "cmdb_serial_number", "values": {"serial_number": "1", "serial_number_type": "system"}}

    def send(name: str, **values: str) -> dict[str, Any]:
        item = {"className": "cmdb_ci_computer", "values": {"name": name, **values}, "lookup": [row]}
        found: dict[str, Any] = engine([item])["items"][0]
        return found

    first = send("a", os="Linux")
    renamed = send("b", os="Linux")
    assert renamed["sysId"] == first["sysId"]
    assert renamed["identificationAttempts"][1]["hybridEntryCiAttributes"] == ["os"]
    assert [result for _, result in attempts(renamed)][-1] == "MATCHED"
    assert send("c", os="Windows")["sysId"] != first["sysId"]
    assert send("d")["identificationAttempts"][1]["attemptResult"] == "SKIPPED"


def test_inclusion_rules_narrow_the_search(engine: Engine) -> None:
    """A record outside of them is not found, so a second one comes into being."""
    item = {"className": "cmdb_ci_server", "values": {"name": "a", "environment": "Test"}}
    engine([item])
    assert operations(engine([item])) == ["NO_CHANGE"]
    engine.seed(inclusion=[{"applies_to": "cmdb_ci_server", "condition": "environment=Production"}])
    assert operations(engine([item], commit=False)) == ["INSERT"]
    production = {"className": "cmdb_ci_server", "values": {"name": "p", "environment": "Production"}}
    engine([production])
    assert operations(engine([production])) == ["NO_CHANGE"]


def test_a_reference_to_a_failed_item_fails_its_owner(engine: Engine) -> None:
    """referenceItems are filled before identification, so the owner depends on what it refers to."""
    bad = {"className": "cmdb_ci_server", "internal_id": "bad", "values": {}}
    reference = {"referenceField": "u_twin", "referenced": "bad", "referencedBy": "server-a"}
    engine.seed(columns={"cmdb_ci_server": {"u_twin": "reference:cmdb_ci_server"}})
    answer = engine([server("a"), bad], referenceItems=[reference])
    assert codes(answer) == [["ABANDONED"], ["MISSING_MATCHING_ATTRIBUTES"]]


def test_display_values_are_ignored_unless_the_setting_says_so(engine: Engine) -> None:
    """They are documented for the scripted API only."""
    engine.seed(records={"cmn_location": [{"sys_id": "a" * 32, "name": "Paris"}]})
    item = {**server("a"), "display_values": {"location": "Paris", "os": "Linux"}}
    engine([item])
    assert "location" not in engine.records("cmdb_ci_server")[0]
    engine.seed(settings={"values.display": "honoured"})
    assert operations(engine([item])) == ["UPDATE"]
    assert engine.records("cmdb_ci_server", location="a" * 32, os="Linux")


@pytest.mark.parametrize("variant", ["mac_address,name", "ip_address,mac_address"])
def test_the_fourth_hardware_entry_has_both_variants(engine: Engine, variant: str) -> None:
    """The setting changes the record itself, so that clients read the rule in force."""
    engine.seed(settings={"rules.hardware_fourth_entry": variant})
    values = {"name": "eth0", "mac_address": "02:00", "ip_address": "10.0.0.1"}
    kept = {name: values[name] for name in variant.split(",")}
    adapter = {"className": "cmdb_ci_network_adapter", "values": kept}
    first = engine([{"className": "cmdb_ci_server", "values": {"ram": "1"}, "lookup": [adapter]}])
    again = engine([{"className": "cmdb_ci_server", "values": {"ram": "1"}, "lookup": [adapter]}])
    assert (operations(first), operations(again)) == (["INSERT"], ["NO_CHANGE"])
    assert again["items"][0]["identificationAttempts"][-1]["attributes"] == variant.split(",")
    other = [name for name in values if name not in kept]
    lacking = {"className": "cmdb_ci_network_adapter", "values": {"mac_address": "02:01", other[0]: values[other[0]]}}
    assert codes(engine([{"className": "cmdb_ci_server", "values": {"ram": "1"}, "lookup": [lacking]}])) == [
        ["MISSING_MATCHING_ATTRIBUTES"]
    ]


def test_a_partial_payload_is_completed_by_an_item_of_another_key(engine: Engine) -> None:
    """A full set of criteria keeps it, and the same set completes it."""
    engine.seed(
        records={"cmdb_ire_data_source_rule": [{"applies_to": "cmdb_ci_server", "discovery_source": "ImportSet"}]}
    )
    item = {"className": "cmdb_ci_server", "values": {"name": "a", "ram": "8"}}
    parked = engine([item], options="")["items"][0]
    assert parked["operation"] == "INSERT_AS_PARTIAL"
    other = {
        "className": "cmdb_ci_server",
        "values": {"name": "a", "os": "Linux"},
        "sys_object_source_info": {"source_name": "ServiceNow", "source_native_key": "k"},
    }
    done = engine([other], options="", source="ServiceNow")["items"][0]
    assert (done["operation"], done["mergedPayloadIds"]) == ("INSERT", parked["partialSysIds"])
    assert engine.records("cmdb_ci_server", name="a", ram="8", os="Linux")
    assert not engine.records("cmdb_ire_partial_payloads")


def test_a_row_of_a_failed_host_takes_the_items_below_it_along(engine: Engine) -> None:
    """Whatever makes the host fail."""
    host = {**server("a"), "lookup": [{"className": "cmdb_key_value", "values": {"key": "x"}}]}
    answer = engine([host, tomcat()], [on("app", "server-a")])
    assert codes(answer) == [["IDENTIFICATION_RULE_FOR_LOOKUP_MISSING"], ["ABANDONED"]]
    assert not engine.records("cmdb_ci")
    parked = engine([host, tomcat()], [on("app", "server-a")], options="")
    assert operations(parked) == ["INSERT_AS_INCOMPLETE"] * 2


def test_sources_of_relations_are_written_where_the_property_says_so(engine: Engine) -> None:
    """For relations that are no dependencies."""
    engine.seed(properties={"glide.identification_engine.populate_sys_rel_source": "true"})
    told = {**on("server-a", "server-b", CONNECTS), "sys_rel_source_info": {"source_feed": "net"}}
    engine([server("a"), server("b"), tomcat()], [told, on("app", "server-a")])
    assert [(r["name"], r["source_feed"]) for r in engine.records("sys_rel_source")] == [("ImportSet", "net")]
