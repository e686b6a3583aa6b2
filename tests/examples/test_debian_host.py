"""examples/debian-host: what a real machine's own tools print, as CIs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.command_line import ROOT
from tests.examples.conftest import Examples

SPECS = "examples/debian-host"


def test_a_machine_becomes_a_server_with_disks_adapters_and_software(project: Examples) -> None:
    """plan answers 2, apply 0, the next plan 0; the host carries what it is recognised by and what is installed."""
    machine = json.loads((project.folder / SPECS / "machine.json").read_text("utf-8"))["machines"][0]
    ethernet = {one["ifname"]: one["address"] for one in machine["ip"] if one["link_type"] == "ether"}
    installed = len((project.folder / SPECS / "software.csv").read_text("utf-8").splitlines()) - 1

    first = project.plan(SPECS, "first.plan", 2)
    project.apply("first.plan")
    second = project.plan(SPECS, "second.plan", 0)

    made = {name: [line for line in first.of("create") if line["step"] == name] for name in first.counts}
    (host,) = made["debian-host.host"]
    assert host["class_name"] == "cmdb_ci_linux_server"
    assert host["values"]["os"] == "Debian GNU/Linux"
    assert host["values"]["ram"] == str(machine["memory_kib"] // 1024)
    assert host["values"]["cpu_name"] == next(
        one["data"] for one in machine["lscpu"]["lscpu"] if one["field"] == "Model name:"
    )
    looked_up = [(name, values) for name, values in host["lookup"]]
    assert looked_up[0] == (
        "cmdb_serial_number",
        {
            "serial_number": machine["serial_number"],
            "serial_number_type": "uuid",
            "valid": "true",
            "absent": "false",
        },
    )
    assert {values["name"]: values["mac_address"] for _, values in looked_up[1:]} == ethernet
    assert len(host["related"]) == len(machine["dpkg"])
    assert [line["values"]["name"] for line in made["debian-host.disks"]] == ["vda"]
    assert {line["values"]["name"] for line in made["debian-host.adapters"]} == set(ethernet)
    assert len(made["debian-host.software"]) == installed
    assert first.counts["debian-host.disks"]["relate"] == 1
    assert first.counts["debian-host.adapters"]["relate"] == len(ethernet)
    assert second.lines == []


def test_an_upgraded_package_is_a_new_one_and_the_old_one_stays(project: Examples) -> None:
    """A version is part of what a package is; nothing is deleted by omission."""
    project.plan(SPECS, "first.plan", 2)
    project.apply("first.plan")
    project.edit(f"{SPECS}/software.csv", lambda text: text.replace("\nbash,", "\nbash,9:", 1))

    plan = project.plan(SPECS, "second.plan", 2)

    assert [(line["action"], line["values"]["name"], line["values"]["version"][:2]) for line in plan.lines] == [
        ("create", "bash", "9:")
    ]


@pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("lsblk", "lscpu", "ip", "dpkg-query")),
    reason="this machine lacks lsblk, lscpu, ip or dpkg-query, which the recording needs",
)
def test_this_machine_can_be_recorded_and_planned(project: Examples, tmp_path: Path) -> None:
    """record.sh writes what the spec reads, from whatever these tools print here."""
    subprocess.run(["sh", ROOT / SPECS / "record.sh", tmp_path / SPECS], check=True, timeout=60)

    plan = project.plan(SPECS, "first.plan", 2)

    (host,) = (line for line in plan.of("create") if line["step"] == "debian-host.host")
    assert host["values"]["serial_number"]
    assert len(host["related"]) > 10
    assert plan.total("rejected") == 0
