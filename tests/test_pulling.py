"""A sandbox filled from an instance answers as the instance does; here, one sandbox from another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from syncengine.errors import Exit
from syncengine.pulling import Pulled, pull
from syncengine.sandbox.process import Running, attach
from syncengine.transport.auth import BasicAuth
from syncengine.transport.client import Client
from syncengine.transport.reader import Reader
from syncengine.transport.servicenow import ServiceNow
from tests.bench import Bench
from tests.examples.conftest import CommandLine

OWN = {
    "tables": {
        "u_cmdb_ci_rig": {
            "label": "Test rig",
            "parent": "cmdb_ci_hardware",
            "columns": {"u_bay": ["string", "Bay", 60], "u_owner": "reference:sys_user", "u_power": "integer"},
        }
    },
    "rules": [
        {"name": "Rig", "applies_to": "u_cmdb_ci_rig", "independent": True,
         "entries": [{"order": 50, "attributes": ["u_bay", "name"]}]}
    ],
    "choices": {"cmdb_ci.discovery_source": {"Rigs": "Rigs"}, "u_cmdb_ci_rig.u_bay": {"b1": "Bay 1"}},
    "relation_types": ["Powers::Powered by"],
    "containment": [{"parent": "cmdb_ci_rack", "type": "Powers::Powered by", "child": "u_cmdb_ci_rig"}],
    "staging": {
        "u_rigs": {
            "label": "Rigs",
            "columns": {"u_bay": "string", "u_name": "string", "u_odd": "string"},
            "maps": [
                {"name": "Rigs", "target": "u_cmdb_ci_rig",
                 "fields": {"u_bay": {"source": "u_bay", "coalesce": True}, "name": "u_name",
                            "asset_tag": {"script": "{u_odd|upper}"}},
                 "scripts": [{"when": "onBefore", "if": "u_bay=bad", "do": "ignore"}]}
            ],
        }
    },
    "records": {
        "cmdb_reconciliation_definition": [
            {"applies_to": "u_cmdb_ci_rig", "discovery_source": "Rigs", "attributes": "u_power", "active": "true"}
        ],
        "u_cmdb_ci_rig": [{"name": f"rig{n}", "u_bay": f"b{n}", "u_power": str(n)} for n in range(5)],
    },
    "users": {"reader": {"password": "secret", "roles": ["itil"]}},
}  # fmt: skip
TABLES = ("u_cmdb_ci_rig", "u_rigs", "cmn_location")
SPEC = """syncengine: 1
data_source: Rigs
source: {inline: [{bay: b1, name: rig1, power: "7"}, {bay: b9, name: rig9, power: "9"}]}
steps:
  rigs: {cmdb: u_cmdb_ci_rig, key: bay, fields: {name: name, u_bay: bay, u_power: power}}
"""


def pulled(running: Running, records: int, user: str = "") -> Pulled:
    """What is read of a sandbox."""
    auth = BasicAuth(user or running.user, lambda: "secret" if user else running.password)
    client = Client(running.url, auth, ServiceNow())
    try:
        return pull(Reader(client), TABLES, records, lambda _what, _number: None)
    finally:
        client.close()


@pytest.fixture
def instance(bench: Bench) -> Bench:
    """An instance with a class, rules, maps and records of its own."""
    bench.sandbox.seed(OWN, force=True)
    return bench


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Running]:
    """Another sandbox, as it ships."""
    with attach(tmp_path / "twin") as running:
        yield running


def test_what_is_pulled_from_the_twin_is_what_was_pulled_from_the_instance(instance: Bench, twin: Running) -> None:
    """Nothing gets lost or comes about on the way: classes, columns, rules, choices, maps, records."""
    first = pulled(instance.sandbox, 3)
    assert first.seed["tables"]["u_cmdb_ci_rig"]["columns"]["u_bay"] == ["string", "Bay", 60]
    assert first.seed["staging"]["u_rigs"]["maps"][0]["fields"]["u_bay"]["coalesce"] is True
    assert len(first.seed["records"]["u_cmdb_ci_rig"]) == 3
    assert any("asset_tag is made by a script" in note for note in first.notes)
    twin.seed(first.seed, force=True)
    second = pulled(twin, 3)
    for section, value in first.seed.items():
        assert second.seed[section] == value, section


def test_what_this_user_may_not_read_is_told(instance: Bench) -> None:
    """The rest is pulled all the same."""
    found = pulled(instance.sandbox, 0, "reader")
    assert any("sys_transform_map" in note for note in found.notes)
    assert found.seed["tables"]["u_cmdb_ci_rig"]["parent"] == "cmdb_ci_hardware"


def test_a_plan_against_the_twin_meets_the_rules_of_the_instance(
    instance: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command, as CI would: pull once, plan without the instance."""
    monkeypatch.setenv("SN_PASSWORD", instance.sandbox.password)
    (tmp_path / "specs").mkdir()
    (tmp_path / "environments").mkdir()
    (tmp_path / "specs" / "rigs.yaml").write_text(SPEC)
    (tmp_path / "syncengine.yaml").write_text("syncengine: 1\nkind: project\n")
    (tmp_path / "environments" / "dev.yaml").write_text(
        f"syncengine: 1\nkind: environment\nconnections:\n  sn: {{kind: servicenow, url: '{instance.sandbox.url}',"
        f" auth: {{user: {instance.sandbox.user}, password: {{env: SN_PASSWORD}}}}}}\n"
    )
    project = CommandLine(tmp_path)
    assert "not pulled from itself" in project.run("sandbox", "pull", "--env", "sandbox").ends(Exit.SPEC).err
    assert "columns of u_cmdb_ci_rig" in project.run("sandbox", "pull", "--env", "dev", "--records", "5").ends(0).out
    assert yaml.safe_load((tmp_path / "sandbox" / "pulled.yaml").read_text("utf-8"))["records"]["u_cmdb_ci_rig"]
    there = project.run("plan", "--env", "dev").ends(0).out
    here = project.run("plan", "--env", "sandbox").ends(0).out
    assert "Plan: 1 to create, 1 to update" in there
    assert here.splitlines()[-1] == there.splitlines()[-1]
