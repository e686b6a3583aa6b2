"""One run that serves ServiceNow and 4me from the same files: one plan, one report."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.command_line import ROOT
from tests.examples.conftest import Examples
from tests.sandboxed import Shared


def test_one_plan_and_one_report_for_two_services(shared: Shared, tmp_path: Path) -> None:
    """The night of both halves; afterwards there is nothing to do in either."""
    shutil.copytree(ROOT / "examples" / "night-4me", tmp_path, dirs_exist_ok=True)
    for name in ("apps.csv", "databases.csv", "datacentre.yaml"):
        shutil.copy(ROOT / "examples" / "night" / name, tmp_path)
    seed = (ROOT / "examples" / "night" / "sandbox" / "seed.yaml").read_text()
    with (tmp_path / "sandbox" / "seed.yaml").open("a") as stream:
        stream.write("\n" + seed)
    shared.lend(tmp_path, has_bursts=True)
    night = Examples(tmp_path)
    first = night.plan(".", "first.plan", 2)
    assert {line["kind"] for line in first.lines} >= {"cmdb", "4me", "relation"}
    assert (first.total("create"), first.total("relate")) == (17, 6)
    said = night.apply("first.plan").out
    assert "me_people" in said
    assert "databases" in said
    second = night.plan(".", "second.plan", 0)
    assert not second.total("create")
