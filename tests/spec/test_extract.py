"""`extract:` of project and environment files."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncengine.credentials import FromEnv, Plain
from syncengine.errors import SpecError
from syncengine.spec import find_project, load_environment

PROJECT = """\
syncengine: 1
kind: project
extract:
  destination: filesystem
  options: {bucket_url: "file:///srv/lake"}
  tables:
    open: {table: incident, query: active=true, fields: [number, caller_id.email], display_value: both}
    by_state: {table: incident, aggregate: {group_by: [state]}}
"""
ENVIRONMENT = """\
syncengine: 1
kind: environment
connections:
  sn: {kind: servicenow, url: "https://acme.service-now.com", auth: {user: a, password: {env: PW}}}
extract:
  destination: postgres
  options: {credentials.host: db.example, credentials.password: {env: DB}}
"""


def test_tables_and_where_they_go_are_read(tmp_path: Path) -> None:
    """A project says what, an environment where, with its secrets."""
    (tmp_path / "syncengine.yaml").write_text(PROJECT)
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "prod.yaml").write_text(ENVIRONMENT)
    project = find_project(tmp_path)
    said = project.extract
    assert (said.destination, said.dataset, dict(said.options)) == (
        "filesystem",
        "servicenow",
        {"bucket_url": "file:///srv/lake"},
    )
    assert said.tables["open"].fields == ("number", "caller_id.email")
    assert said.tables["by_state"].aggregate is not None
    where = load_environment(project, "prod", None).extract
    assert where.name == "postgres"
    host, password = where.options.values()
    assert isinstance(host, Plain)
    assert isinstance(password, FromEnv)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("destination: My Lake", "bad-name"),
        ("tables: {open: {query: active=true}}", "missing-key"),
        ("tables: {open: {table: incident, query: active=true^ORDERBYnumber}}", "bad-query"),
        ("options: {BUCKET: x}", "bad-name"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, line: str, code: str) -> None:
    """As in any other file."""
    (tmp_path / "syncengine.yaml").write_text(f"syncengine: 1\nkind: project\nextract:\n  {line}\n")
    with pytest.raises(SpecError) as caught:
        find_project(tmp_path)
    assert [problem.code for problem in caught.value.problems] == [code]
    assert str(caught.value.problems[0].place).startswith("syncengine.yaml:4:")
