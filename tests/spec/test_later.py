"""Steps of all kinds in one spec, and sources that are asked: checked like all others."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from syncengine.cli import graph, test, validate
from syncengine.spec import Project, check_specs
from tests.spec.helpers import folder

VALID = Path(__file__).parents[1] / "cases" / "valid"
USERS = """syncengine: 1
source: users.csv
steps:
  users:
    staging: imp_user
    fields: [name]
"""


def test_a_night_in_two_systems_is_checked_as_a_whole() -> None:
    """ServiceNow, attachments and 4me in one spec."""
    checked = check_specs(Project(VALID), [VALID / "datacentre.yaml"])
    (spec,) = checked.specs
    assert not checked.problems
    assert [one.kind for one in spec.steps.values()] == ["cmdb"] * 4 + ["relation", "attach"] + ["4me"] * 7


@pytest.mark.parametrize(
    "source",
    ["{servicenow: {table: cmn_location, fields: [name]}}", "{servicenow: {table: cmn_location}, connection: dev}"],
)
def test_columns_of_a_table_are_checked_where_the_source_names_them(tmp_path: Path, source: str) -> None:
    """Without any, every column may be there."""
    head = f"syncengine: 1\ndata_source: T\nsource: {source}\n"
    text = f"{head}steps: {{t: {{cmdb: cmdb_ci_server, key: name, fields: [name]}}}}\n"
    folder(tmp_path, {"s.yaml": text})
    assert not check_specs(Project(tmp_path), [tmp_path / "s.yaml"]).problems
    folder(tmp_path, {"s.yaml": text.replace("key: name", "key: nme")})
    wrong = [one.code for one in check_specs(Project(tmp_path), [tmp_path / "s.yaml"]).problems]
    assert wrong == (["unknown-column"] if "fields: [name]}}" in source else [])


def test_commands_that_plan_nothing_take_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """validate counts it, graph draws it, test runs what can be run."""
    cmdb = "  s: {cmdb: cmdb_ci_server, key: name, fields: [name]}\ntests:\n"
    cmdb += "  t: {given: {source: [{name: a}]}, expect: {s: [{key: a}]}}\n"
    folder(tmp_path, {"specs/u.yaml": f"data_source: T\n{USERS}{cmdb}", "specs/users.csv": "name\nana\n"})
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    assert runner.invoke(validate.command).stdout == "1 spec with 2 steps: right.\n"
    assert "users: staging imp_user from specs/users.csv" in runner.invoke(graph.command).stdout
    assert runner.invoke(test.command).stdout == "ok   u: t\n1 passed, 0 failed.\n"
