"""Seeds whose sections are the whole: what ships besides goes, and everything else stays."""

from __future__ import annotations

from typing import Any

import pytest

from syncengine.sandbox import seeds
from syncengine.sandbox.seed_sections import SeedError
from tests.sandbox.conftest import Engine

TYPE = "0123456789abcdef0123456789abcdef"


def test_classes_that_are_not_given_go_and_columns_of_the_others(engine: Engine) -> None:
    """A class without columns keeps those that ship."""
    tables: dict[str, Any] = {
        "cmdb": {"label": "Base"},
        "cmdb_ci": {"label": "CI", "parent": "cmdb"},
        "cmdb_ci_hardware": {"label": "Hardware", "parent": "cmdb_ci", "columns": {"u_tag": "string"}},
    }
    shipped = set(engine.world.tables["cmdb_ci"].columns)
    engine.seed(whole=["tables"], tables=tables)
    assert {table.name for table in engine.world.tables if table.root == "cmdb"} == set(tables)
    assert set(engine.world.tables["cmdb_ci"].columns) == shipped
    assert set(engine.world.tables["cmdb_ci_hardware"].columns) - shipped == {"u_tag"}
    assert "cmn_location" in engine.world.tables


def test_a_class_that_has_records_stays(engine: Engine) -> None:
    """With its ancestors: nothing that is held is lost."""
    engine([{"className": "cmdb_ci_linux_server", "values": {"name": "a"}}])
    engine.seed(whole=["tables"], tables={"cmdb": {}, "cmdb_ci": {"parent": "cmdb"}})
    assert engine.records("cmdb_ci", name="a")
    assert engine.world.tables["cmdb_ci_linux_server"].root == "cmdb"
    assert "cmdb_ci_win_server" not in engine.world.tables


def test_choices_types_and_rules_are_only_those_that_are_given(engine: Engine) -> None:
    """Data sources are choices: another one is refused then."""
    entry = {"order": 1, "attributes": ["name"]}
    engine.seed(
        whole=["choices", "relation_types", "rules", "hosting", "containment"],
        choices={"cmdb_ci.discovery_source": {"Estate": "The estate"}},
        relation_types={"Runs on::Runs": TYPE},
        rules=[{"name": "A", "applies_to": "cmdb_ci", "independent": True, "entries": [entry]}],
        hosting=[{"parent": "cmdb_ci_appl", "type": "Runs on::Runs", "child": "cmdb_ci_server"}],
        containment=[],
    )  # fmt: skip
    assert set(engine.world.sources()) == {"Estate"}
    assert engine.world.rules.type_names == {"Runs on::Runs": [TYPE]}
    assert {rule.dependent for rule in engine.world.rules.dependencies} == {"cmdb_ci_appl"}
    rule = engine.world.rules.rule("cmdb_ci_linux_server")
    assert rule is not None
    assert rule.name == "A"
    told = engine([{"className": "cmdb_ci_linux_server", "values": {"name": "a"}}], source="Estate")
    assert told["items"][0]["operation"] == "INSERT"


def test_what_refers_to_a_relation_type_follows_it_to_its_sys_id(engine: Engine) -> None:
    """Also where the dependency rules are those that ship."""
    before = {(rule.dependent, rule.host) for rule in engine.world.rules.dependencies}
    engine.seed(relation_types={"Runs on::Runs": TYPE})
    assert {(rule.dependent, rule.host) for rule in engine.world.rules.dependencies} == before
    assert engine.world.rules.type_names["Runs on::Runs"] == [TYPE]
    assert TYPE in {rule.type for rule in engine.world.rules.dependencies}


def test_a_column_says_all_that_the_dictionary_has(engine: Engine) -> None:
    """And a record that is given empty is empty, whatever the default."""
    flags = {"mandatory": True, "read_only": True}
    columns = {
        "u_state": {"type": "string", "label": "State", "length": 7, "default": "new", **flags},
        "u_of": {"type": "reference:cmn_location"},
    }  # fmt: skip
    engine.seed(
        columns={"cmn_location": columns}, records={"cmn_location": [{"name": "a"}, {"name": "b", "u_state": ""}]}
    )
    column = engine.world.tables["cmn_location"].columns["u_state"]
    assert (column.label, column.max_length, column.default, column.mandatory, column.read_only) == (
        "State", 7, "new", True, True,
    )  # fmt: skip
    assert engine.world.tables["cmn_location"].columns["u_of"].reference == "cmn_location"
    assert [one.get("u_state") for one in engine.records("cmn_location")] == ["new", None]


@pytest.mark.parametrize("whole", ["tables", ["users"], [1], {"tables": True}])
def test_a_whole_that_cannot_be_is_refused(whole: object) -> None:
    """It names what there is."""
    with pytest.raises(SeedError, match="whole: a list of sections out of choices, containment"):
        seeds.read(f"whole: {whole}")


def test_a_seed_that_grew_makes_its_records_once_and_leaves_what_became_of_them(engine: Engine) -> None:
    """A record without a sys_id is known by its content; equal ones in one document are as many records."""
    first = {
        "cmdb_ci_linux_server": [{"name": "a", "os": "old"}],
        "cmn_location": [{"name": "Paris"}, {"name": "Paris"}],
    }
    engine.seed(records=first)
    engine([{"className": "cmdb_ci_linux_server", "values": {"name": "a", "os": "new"}}])
    engine.seed(records={**first, "sys_user": [{"user_name": "ann"}]})
    assert [one["os"] for one in engine.records("cmdb_ci_linux_server", name="a")] == ["new"]
    assert len(engine.records("cmn_location", name="Paris")) == 2
    assert len(engine.records("sys_user", user_name="ann")) == 1
