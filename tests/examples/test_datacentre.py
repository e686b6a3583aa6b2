"""examples/datacentre through the real command line: planned, applied, changed by one cell, planned again."""

from __future__ import annotations

import csv
import importlib.util
import io
import sqlite3
import sys
from pathlib import Path
from types import ModuleType

from tests.command_line import ROOT
from tests.examples.conftest import Examples

SPECS = "examples/datacentre"
DATA = f"{SPECS}/data"
COUNTED = (
    "accounts", "datacentres", "vms", "servers", "disks", "clusters", "nodes", "databases", "applications", "services",
)  # fmt: skip


def rows_of(folder: Path, name: str) -> list[dict[str, str]]:
    """The rows of a CSV file of the example."""
    return list(csv.DictReader(io.StringIO((folder / DATA / f"{name}.csv").read_text("utf-8"))))


def test_the_whole_example_is_planned_applied_and_then_as_wanted(project: Examples) -> None:
    """plan answers 2, apply 0, the next plan 0 and has nothing to do."""
    wanted = sum(len(rows_of(project.folder, name)) for name in COUNTED)

    first = project.plan(SPECS, "first.plan", 2)
    ran = project.apply("first.plan")
    second = project.plan(SPECS, "second.plan", 0)

    assert first.total("create") == wanted
    assert first.total("rejected") == 0
    assert {line["class_name"] for line in first.of("create") if line["step"] == "datacentre.servers"} == {
        "cmdb_ci_linux_server",
        "cmdb_ci_win_server",
    }
    operations = first.total("create") + first.total("relate")
    assert f"Applied {operations:,} of {operations:,} operations" in ran.out
    assert second.lines == []
    assert second.total("unchanged") == operations


def test_one_changed_cell_is_one_update_with_before_and_after(applied: Examples) -> None:
    """The plan says which field, what it was and what it will be; after apply there is nothing left to do."""
    row = rows_of(applied.folder, "servers")[7]
    more = str(int(row["ram_gb"]) * 2)
    old = ",".join(row.values())
    new = ",".join({**row, "ram_gb": more}.values())
    applied.edit(f"{DATA}/servers.csv", lambda text: text.replace(old, new))

    plan = applied.plan(SPECS, "second.plan", 2)

    assert [(line["action"], line["step"], line["key"]) for line in plan.lines] == [
        ("update", "datacentre.servers", row["serial"])
    ]
    change = plan.lines[0]
    before, after = str(int(row["ram_gb"]) * 1024), str(int(more) * 1024)
    assert change["before"] == {"ram": before}
    assert change["values"]["ram"] == after
    assert f"ram: {before} → {after}" in applied.run("show", "second.plan").ends(0).out
    applied.apply("second.plan")
    assert applied.plan(SPECS, "third.plan", 0).lines == []


def test_one_added_relation_is_one_relate(applied: Examples) -> None:
    """A new row of the link table is one relation between two records that stay as they are."""
    linked = {(row["service_id"], row["id"]) for row in rows_of(applied.folder, "links")}
    service = rows_of(applied.folder, "services")[0]["service_id"]
    server = next(row["serial"] for row in rows_of(applied.folder, "servers") if (service, row["serial"]) not in linked)
    applied.edit(f"{DATA}/links.csv", lambda text: f"{text}{service},server,{server}\n")

    plan = applied.plan(SPECS, "second.plan", 2)

    assert [(line["action"], line["step"]) for line in plan.of("relate")] == [
        ("relate", "datacentre-services.service_servers")
    ]
    assert {line["action"] for line in plan.lines} <= {"relate", "touched"}
    applied.apply("second.plan")
    assert applied.plan(SPECS, "third.plan", 0).lines == []


def test_a_removed_relation_is_no_change(applied: Examples) -> None:
    """Nothing is deleted by omission: a pair that is gone from the source stays on the target."""
    last = (applied.folder / DATA / "links.csv").read_text("utf-8").splitlines(keepends=True)[-1]
    applied.edit(f"{DATA}/links.csv", lambda text: text.removesuffix(last))

    assert applied.plan(SPECS, "second.plan", 0).lines == []


def test_a_ci_that_only_the_instance_has_is_related_and_stays_as_it_is(applied: Examples) -> None:
    """The shared service of the seed gets relations; nobody makes a second one, and its owner's fields stay."""
    wanted = sum(1 for row in rows_of(applied.folder, "services") if row["shared_service"])
    database = applied.folder / ".syncengine" / "sandbox" / "data.db"
    with sqlite3.connect(database) as db:
        shared = db.execute("SELECT sys_id FROM record WHERE name='Corporate DNS'").fetchall()
        pairs = db.execute(
            "SELECT COUNT(*) FROM relation JOIN record ON sys_id=child WHERE name='Corporate DNS'"
        ).fetchone()

    assert shared == [("3d0c5f1e8a2b4b7f9c6d2e4a1b0f7c55",)]
    assert pairs == (wanted,)
    assert wanted > 0


def generator() -> ModuleType:
    """examples/datacentre/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / SPECS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_committed_data_are_what_the_generator_writes(tmp_path: Path) -> None:
    """The same size and seed give the same bytes; another seed gives others."""
    generate = generator().generate

    generate(500, 1, tmp_path / "same")
    generate(500, 2, tmp_path / "other")

    for path in sorted((ROOT / DATA).glob("*.csv")):
        assert (tmp_path / "same" / path.name).read_bytes() == path.read_bytes(), path.name
    other = (tmp_path / "other" / "servers.csv").read_bytes()
    assert other != (ROOT / DATA / "servers.csv").read_bytes()


def test_a_bigger_data_centre_begins_with_the_smaller_one(tmp_path: Path) -> None:
    """Growing it adds records and changes none; keys stay unique."""
    generate = generator().generate

    small = generate(300, 1, tmp_path / "small")
    large = generate(3_000, 1, tmp_path / "large")

    assert sum(large.values()) > 5 * sum(small.values())
    for name, key in (("servers", 1), ("vms", 1), ("disks", 2), ("databases", 1), ("services", 1)):
        first = (tmp_path / "small" / f"{name}.csv").read_text("utf-8")
        second = (tmp_path / "large" / f"{name}.csv").read_text("utf-8")
        assert second.startswith(first)
        keys = [tuple(line.split(",")[:key]) for line in second.splitlines()]
        assert len(set(keys)) == len(keys)
