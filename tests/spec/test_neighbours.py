"""Specs that refer to specs beside them, wherever the folder is and however the neighbour is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncengine.spec import Project, check_specs
from tests.spec.helpers import folder

SERVERS = """syncengine: 1
{name}data_source: Tests
source: {{inline: [{{s: A1}}]}}
steps: {{servers: {{cmdb: cmdb_ci_server, key: s, fields: {{name: s}}}}}}
"""
APPS = """syncengine: 1
data_source: Tests
source: {inline: [{id: X, s: A1}]}
steps:
  apps:
    cmdb: cmdb_ci_business_app
    key: id
    fields: {name: id}
    relations: [{type: "Depends on::Used by", child: {spec: NAME, step: servers, key: s}}]
"""


@pytest.mark.parametrize(("named", "full"), [("servers", "team/servers"), ("inventory/all", "inventory/all")])
@pytest.mark.parametrize("inside", [True, False])
def test_one_of_several_specs_finds_its_neighbour(tmp_path: Path, named: str, full: str, inside: bool) -> None:
    """By file name or by its own name, inside the project or outside; the step is known by its full name."""
    name = f"name: {named}\n" if "/" in named else ""
    folder(
        tmp_path,
        {"team/servers.yaml": SERVERS.format(name=name), "team/apps.yaml": APPS.replace("NAME", named), "p/x": ""},
    )
    project = Project(tmp_path if inside else tmp_path / "p")
    checked = check_specs(project, [tmp_path / "team" / "apps.yaml"])
    assert checked.problems == []
    (step,) = checked.specs[0].steps.values()
    assert step.references[0].step == f"{full if inside or name else 'servers'}.servers"
    assert check_specs(project, [tmp_path / "team"]).problems == []


def test_a_project_inside_a_folder_is_left_out(tmp_path: Path) -> None:
    """It is checked and planned from its own folder."""
    servers = SERVERS.format(name="")
    folder(
        tmp_path,
        {"a/servers.yaml": servers, "b/servers.yaml": servers, "b/syncengine.yaml": "syncengine: 1\nkind: project\n"},
    )
    project = Project(tmp_path)
    assert check_specs(project, [tmp_path]).files == ["a/servers.yaml"]
    assert check_specs(project, [tmp_path / "b"]).files == ["b/servers.yaml"]


def test_two_specs_that_write_the_same_fields_are_told(tmp_path: Path) -> None:
    """As a warning, since they may never be planned together; a condition or another class says that it is meant."""
    servers = (
        "syncengine: 1\ndata_source: T\nsource: ../r.csv\nsteps: {t: {cmdb: cmdb_ci_server, key: s, fields: [s]}}\n"
    )
    folder(tmp_path, {"r.csv": "s\nA\n", "a/x.yaml": servers, "b/y.yaml": servers})
    project = Project(tmp_path)
    (problem,) = check_specs(project, [tmp_path]).problems
    assert (problem.code, problem.severity) == ("two-writers", "warning")
    assert '"b/y.t" and "a/x.t"' in problem.message
    for meant in (servers.replace("key: s", "when: {s: A}, key: s"), servers.replace("ci_server", "ci_database")):
        folder(tmp_path, {"b/y.yaml": meant})
        assert check_specs(project, [tmp_path]).problems == []
