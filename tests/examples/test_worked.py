"""The worked examples of the language: validated, tested, planned, applied, and then as the specs want it."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncengine.errors import Exit
from tests.examples.conftest import Examples, Operations
from tests.sandboxed import Shared


def whole(project: Examples, name: str, ends: Exit = Exit.OK) -> Operations:
    """All commands in their order; the second plan has nothing to do."""
    folder = f"examples/{name}"
    project.run("validate", folder).ends(0)
    assert " 0 failed." in project.run("test", folder).ends(0).out
    first = project.plan(folder, "first.plan", 2)
    project.apply("first.plan", int(ends))
    second = project.plan(folder, "second.plan", 0)
    assert {line["action"] for line in second.lines} <= {"rejected", "touch"}
    return first


def test_servers_and_applications_of_an_inventory(project: Examples) -> None:
    """Conditional class, map, dates, a join to the instance, references across specs and to what exists."""
    plan = whole(project, "inventory", Exit.PARTIAL)
    made = {line["key"]: line for line in plan.of("create")}
    assert {key: line["class_name"] for key, line in made.items()} == {
        "CZ1234AB": "cmdb_ci_linux_server",
        "CZ1234AC": "cmdb_ci_win_server",
        "APP-0001": "cmdb_ci_business_app",
        "APP-0002": "cmdb_ci_business_app",
    }
    assert made["CZ1234AB"]["values"] == {
        "name": "srv-par-01",
        "serial_number": "CZ1234AB",
        "os": "Red Hat Enterprise Linux 9.4",
        "ip_address": "10.1.0.11",
        "operational_status": "1",
        "install_date": "2024-02-03 13:30:00",
        "location": "25ab9c4d0a0a0bb300f7dabdc0ca7c1c",
        "virtual": "false",
        "ram": "65536",
        "short_description": "Imported from the DC inventory",
    }
    assert made["APP-0001"]["values"]["owned_by"] == "62826bf03710200044e0bfc8bcbe5df1"
    assert "owned_by" not in made["APP-0002"]["values"]
    assert plan.total("relate") == 3


def test_applications_alone_are_planned_onto_servers_that_exist(project: Examples) -> None:
    """The neighbour is read for its keys, and not written."""
    project.plan("examples/inventory/servers.yaml", "servers.plan", 2)
    project.apply("servers.plan", int(Exit.PARTIAL))
    plan = project.plan("examples/inventory/apps.yaml", "apps.plan", 2)
    assert (plan.total("create"), plan.total("relate")) == (2, 3)


def test_a_nested_host_becomes_a_server_with_lookup_items_and_disks(project: Examples) -> None:
    """What stands in the file reaches the target digit for digit."""
    plan = whole(project, "nested-hosts")
    (host,) = [line for line in plan.of("create") if line["class_name"] == "cmdb_ci_linux_server"]
    assert host["values"] == {
        "name": "lnux101",
        "serial_number": "VMW-42-1A",
        "os": "Linux Red Hat",
        "os_version": "9.10",
    }
    assert [name for name, _ in host["lookup"]] == ["cmdb_serial_number", "cmdb_ci_network_adapter"]
    assert (plan.total("create"), plan.total("relate")) == (3, 2)


def test_a_night_makes_servers_disks_databases_and_applications(project: Examples) -> None:
    """One spec, five steps; relations may be a step of their own."""
    plan = whole(project, "night")
    assert (plan.total("create"), plan.total("relate")) == (7, 6)


def test_users_go_through_a_staging_table(project: Examples) -> None:
    """Six lines; the map that ships with an instance makes users of the rows."""
    plan = project.plan("examples/users-staging", "first.plan", 2)
    project.apply("first.plan", 0)
    assert not project.plan("examples/users-staging", "second.plan", 0).total("create")
    assert [line["class_name"] for line in plan.of("create")] == ["sys_user", "sys_user"]
    assert {line["basis"] for line in plan.of("create")} == {"predicted"}


@pytest.mark.usefixtures("unpaced")
def test_the_4me_half_of_a_night_is_planned_applied_and_then_as_wanted(project: Examples) -> None:
    """People name their managers in a second pass; the relation goes by the pairs of both servers."""
    inner = Examples(project.folder / "examples" / "night-4me")
    plan = inner.plan(".", "first.plan", 2)
    assert (plan.total("create"), plan.total("update")) == (10, 2)
    inner.apply("first.plan")
    assert inner.plan(".", "second.plan", 0).total("unchanged") == 12


def test_the_schema_of_a_class_is_the_instances_own(shared: Shared, tmp_path: Path) -> None:
    """With --env the columns come from there, those that only this instance has included."""
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "seed.yaml").write_text("columns: {cmdb_ci_server: {u_team: string}}\n")
    shared.lend(tmp_path)
    project = Examples(tmp_path)
    asked = project.run("schema", "--class", "cmdb_ci_server", "--env", "sandbox").ends(0).out
    assert '"u_team"' in asked
    assert '"serial_number"' in asked
    assert '"u_team"' not in project.run("schema", "--class", "cmdb_ci_server").ends(0).out
    project.run("schema", "--class", "u_nothing", "--env", "sandbox").ends(int(Exit.SPEC))
