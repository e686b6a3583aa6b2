"""`sql` sources: one SELECT over what lies in the project, streamed as text."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import duckdb
import pytest

from syncengine.changes import Row
from syncengine.errors import SourceError
from syncengine.sources import open_source
from syncengine.sources.sql import Options
from syncengine.spec import load_specs
from syncengine.spec import open_source as open_spec_source
from syncengine.spec.model import Project


def rows(root: Path, query: str, **options: Any) -> list[Any]:
    """The values of all rows."""
    return [row.values for row in open_source(Options(query, **options), root).rows() if isinstance(row, Row)]


def test_files_and_databases_are_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path starts at the folder of the spec; digits stay as they are; NULL is no value."""
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "hosts.csv").write_text("id,site\n007,PAR\n8,\n")
    with duckdb.connect(str(tmp_path / "known.duckdb")) as made:
        monkeypatch.chdir(tmp_path)
        made.execute("CREATE TABLE sites AS SELECT 'PAR' AS code, 1.50::DECIMAL(5,2) AS price, true AS open")
    query = "SELECT h.id, s.* FROM 'hosts.csv' h LEFT JOIN k.sites s ON s.code = h.site ORDER BY h.id;"
    found = rows(tmp_path, query, attach={"k": "../known.duckdb"}, folder="specs")
    assert found == [
        {"id": "007", "code": "PAR", "price": "1.50", "open": "true"},
        {"id": "8", "code": None, "price": None, "open": None},
    ]


def test_the_same_rows_have_the_same_digest(tmp_path: Path) -> None:
    """And others another one."""
    first, again, other = (open_source(Options(f"SELECT {n} AS a"), tmp_path).digest() for n in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('../secret.txt')",
        "SELECT * FROM 'https://example.com/x.csv'",
        "COPY (SELECT 1) TO 'x.csv'",
        "SELECT 1; COPY (SELECT 1) TO 'x.csv'",
        "SELECT 1) AS x; COPY (SELECT 1) TO 'x.csv'; SELECT * FROM (SELECT 1",
        "ATTACH 'x.duckdb' AS x",
        "INSTALL httpfs",
        "SET enable_external_access=true",
        "SELEC 1",
        "",
    ],
)
def test_a_query_reads_the_project_and_does_nothing_else(tmp_path: Path, query: str) -> None:
    """Other files, the network, and statements that write are refused, with DuckDB's words."""
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    with pytest.raises(SourceError) as caught:
        rows(project, query)
    assert caught.value.problems[0].code == "sql"
    assert not list(project.iterdir())


def test_a_database_lies_in_the_project_and_is_not_changed(tmp_path: Path) -> None:
    """Or in a folder that the project allows."""
    project = tmp_path / "project"
    project.mkdir()
    duckdb.connect(str(tmp_path / "other.duckdb")).close()
    with pytest.raises(SourceError, match="outside the project"):
        rows(project, "SELECT 1", attach={"o": "../other.duckdb"})
    with pytest.raises(SourceError, match="there is no database"):
        rows(project, "SELECT 1", attach={"o": "other.duckdb"})
    assert rows(project, "SELECT 1 AS a", attach={"o": "../other.duckdb"}, allowed=(tmp_path,)) == [{"a": "1"}]


def test_rows_are_streamed(tmp_path: Path) -> None:
    """Memory does not grow with them."""
    tracemalloc.start()
    try:
        opened = open_source(Options("SELECT i, i * 2 AS b FROM range(40_000) t(i)"), tmp_path)
        assert sum(1 for _ in opened.rows()) == 40_000
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("{query: SELEC 1}", "s.yaml:2:23"),
        ("{query: SELECT 1 AS a, attach: {o: other.duckdb}}", "s.yaml:2:50"),
        ("{query: SELECT 1 AS a, attach: {o: ../other.duckdb}}", "s.yaml:2:50"),
    ],
)
def test_a_query_that_cannot_be_answered_is_told_with_its_line_of_the_spec(
    tmp_path: Path, source: str, place: str
) -> None:
    """And so is a database that is not there."""
    step = "steps: {s: {cmdb: cmdb_ci_server, key: a, fields: {name: a}}}"
    (tmp_path / "s.yaml").write_text(f"syncengine: 1\nsource: {{sql: {source}}}\ndata_source: T\n{step}\n")
    (spec,) = load_specs(Project(tmp_path), [tmp_path / "s.yaml"])
    with pytest.raises(SourceError) as caught:
        list(open_spec_source(spec, "source").rows())
    assert str(caught.value.problems[0].place) == place
