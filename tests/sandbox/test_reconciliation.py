"""Which source may change what."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import Engine, server


def rules(engine: Engine, *given: dict[str, Any], **more: Any) -> None:
    """Two sources and some reconciliation rules for servers."""
    engine.seed(
        choices={"cmdb_ci.discovery_source": ["Other"]},
        records={
            "cmdb_reconciliation_definition": [{"applies_to": "cmdb_ci_server", **rule} for rule in given],
            **more,
        },
    )


def put(engine: Engine, source: str, **values: str) -> dict[str, Any]:
    """Send one server by name."""
    item: dict[str, Any] = {"className": "cmdb_ci_linux_server", "values": {"name": "a", **values}}
    planned = engine([item], source=source, commit=False)["items"][0]
    done: dict[str, Any] = engine([item], source=source)["items"][0]
    assert (planned["operation"], planned.get("maskedAttributes")) == (
        done["operation"],
        done.get("maskedAttributes"),
    ) or (planned["operation"] == "INSERT")
    return done


def held(engine: Engine, name: str) -> str:
    """What the server has now."""
    return engine.records("cmdb_ci_server")[0].get(name, "")


def test_a_source_without_a_rule_is_masked_where_a_rule_exists(engine: Engine) -> None:
    """Told as UPDATE with maskedAttributes; the attribute is not written, others are."""
    rules(engine, {"discovery_source": "Other", "attributes": "ram", "priority": "10"})
    put(engine, "ImportSet", ram="1")
    item = put(engine, "ImportSet", ram="2", os="Linux")
    assert (item["operation"], item["maskedAttributes"]) == ("UPDATE", ["ram"])
    assert (held(engine, "ram"), held(engine, "os")) == ("1", "Linux")
    assert "maskedAttributes" not in put(engine, "Other", ram="3")
    assert held(engine, "ram") == "3"


def test_the_lower_number_wins_until_its_source_is_stale(engine: Engine) -> None:
    """A data refresh rule ends the right of a source that was silent."""
    rules(
        engine,
        {"discovery_source": "Other", "priority": "10"},
        {"discovery_source": "ImportSet", "priority": "20"},
        cmdb_datasource_staleness=[
            {"applies_to": "cmdb_ci_server", "discovery_source": "Other", "effective_duration": "3600"}
        ],
    )
    put(engine, "Other", ram="1")
    assert put(engine, "ImportSet", ram="2")["maskedAttributes"] == ["ram"]
    engine.world.clock.advance(3601)
    assert "maskedAttributes" not in put(engine, "ImportSet", ram="2")
    assert held(engine, "ram") == "2"


def test_an_attribute_rule_beats_one_for_all_attributes(engine: Engine) -> None:
    """And the nearer class the farther one."""
    rules(
        engine,
        {"discovery_source": "Other", "priority": "10"},
        {"discovery_source": "ImportSet", "priority": "20"},
        {"discovery_source": "ImportSet", "priority": "1", "attributes": "ram"},
    )
    put(engine, "Other", ram="1", os="x")
    item = put(engine, "ImportSet", ram="2", os="y")
    assert item["maskedAttributes"] == ["os"]
    assert held(engine, "ram") == "2"


@pytest.mark.parametrize(("override", "masked"), [("true", None), ("false", ["ram"])])
def test_an_empty_attribute_may_be_filled_by_anyone(engine: Engine, override: str, masked: list[str] | None) -> None:
    """glide.reconciliation.override.null, true by default."""
    rules(engine, {"discovery_source": "Other", "priority": "10"})
    engine.seed(properties={"glide.reconciliation.override.null": override})
    put(engine, "Other")
    assert put(engine, "ImportSet", ram="2").get("maskedAttributes") == masked


def test_inserts_are_never_masked(engine: Engine) -> None:
    """Reconciliation is for updates only."""
    rules(engine, {"discovery_source": "Other", "priority": "10"})
    engine([server("a", ram="1")])
    assert held(engine, "ram") == "1"
