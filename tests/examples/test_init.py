"""A file that nobody has described: `init` writes a project around it that is planned and applied as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples.conftest import Examples
from tests.sandboxed import Shared

FILES = {
    "Mon export.csv": "Hôte;Numéro de série;État\r\nSRV-1;S1;actif\r\nSRV-2;S2;actif\r\n".encode("cp1252"),
    "servers.tsv": b"Serial Number\tHostname\tOS\tRAM, GB\nS1\tsrv-1\tLinux\t64\nS2\tsrv-2\tLinux\t64\n",
    "hosts.json": b'{"n": 2, "data": {"hosts": [{"name": "a", "serial": "S1"}, {"name": "b", "serial": "S2"}]}}',
    "export.txt": b"\xef\xbb\xbfname|serial number\nsrv-1|S1\nsrv-2|S2\n",
    "lines.jsonl": b'{"name": "a", "ip": "10.0.0.1"}\n{"name": "b", "ip": "10.0.0.2"}\n',
    "wide.csv": "name,serial\nsrv-1,S1\nsrv-2,S2\n".encode("utf-16"),
}


@pytest.mark.parametrize("name", FILES)
def test_an_unknown_file_is_planned_and_applied_at_once(shared: Shared, tmp_path: Path, name: str) -> None:
    """init → validate → plan → apply → plan, with the commands that init itself names; no row is rejected."""
    (tmp_path / name).write_bytes(FILES[name])
    said = Examples(tmp_path).run("init", "my project", "--from", name, "--data-source", "DC Inventory").ends(0).out
    assert "cd 'my project'" in said
    project = Examples(tmp_path / "my project")
    shared.lend(project.folder)
    for line in ("syncengine validate", "syncengine plan -o first.plan", "syncengine apply first.plan --yes"):
        assert line in said
        project.run(*line.split()[1:]).ends(0)
    assert project.plan("specs", "second.plan", 0).total("unchanged") == 2


def test_a_file_of_the_project_stays_where_it_is(shared: Shared, tmp_path: Path) -> None:
    """The spec points to it; the key is a column in which every row has a value of its own."""
    (tmp_path / "data").mkdir()
    rows = "".join(f"srv-{number},S{number}\n" for number in range(20))
    (tmp_path / "data" / "all [1].csv").write_text(f"name,serial\n{rows}srv-99,\n")
    project = Examples(tmp_path)
    said = project.run("init", "--from", "data/all [1].csv").ends(0).out
    assert "copied" not in said
    shared.lend(tmp_path)
    project.run("validate").ends(0)
    assert "max_bad_rows" not in (tmp_path / "specs" / "all_1.yaml").read_text(), "every name is one of its own"
    assert project.plan("specs", "first.plan", 2).total("create") == 21


def test_a_class_without_a_rule_is_named_at_once(tmp_path: Path) -> None:
    """Instead of letting every row be refused later."""
    (tmp_path / "x.csv").write_text("name\nsrv-1\n")
    project = Examples(tmp_path)
    assert "has no identification rule" in project.run("init", "--from", "x.csv", "--class", "cmdb_ci").ends(0).out
    said = project.run("init", "b", "--from", "x.csv", "--class", "cmdb_ci_servr").ends(3).err
    assert 'Did you mean "cmdb_ci_server' in said
    assert "Did you mean" not in project.run("init", "b", "--from", "x.csv", "--class", "cmdb_ci_foo").ends(3).err
    assert not (tmp_path / "b").exists()


def test_rows_without_a_key_do_not_stop_the_first_plan(shared: Shared, tmp_path: Path) -> None:
    """They are skipped, as many as there are now; one more of them stops the next plan."""
    rows = "name;typ\nsrv-1;a\n;b\n;a\nsrv-4;a\n"
    (tmp_path / "export.csv").write_text(rows)
    project = Examples(tmp_path)
    project.run("init", "--from", "export.csv").ends(0)
    shared.lend(tmp_path)
    assert project.plan("specs", "first.plan", 2).total("create") == 2
    (tmp_path / "export.csv").write_text(rows + ";a\n")
    assert "3 bad rows; the limit is 2" in project.run("plan").ends(10).err


def test_the_workflow_that_init_writes_is_green(shared: Shared, tmp_path: Path) -> None:
    """What it runs besides the installation ends with 0; no package index is named."""
    (tmp_path / "a.csv").write_text("name,serial\nsrv-1,S1\n")
    project = Examples(tmp_path)
    project.run("init", "--from", "a.csv").ends(0)
    shared.lend(tmp_path)
    lines = (tmp_path / ".github" / "workflows" / "specs.yaml").read_text().splitlines()
    runs = [line.partition("run: ")[2] for line in lines if "run: " in line]
    assert runs[0].startswith('pip install "git+https://')
    assert len(runs) == 3
    for line in runs[1:]:
        project.run(*line.split()[1:]).ends(0)
    assert "1 passed, 0 failed" in project.run("test").ends(0).out
