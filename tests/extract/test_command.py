"""`syncengine extract` as people run it: killed and run again, told in words and as JSON."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
from pathlib import Path

import duckdb
import orjson
import pytest

from syncengine.errors import Exit
from tests.extract.test_extract import incidents
from tests.project import Project

PROJECT = "syncengine: 1\nkind: project\nextract: {tables: {incident: {table: incident}}}\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose sandbox has 3,000 incidents."""
    made = Project(tmp_path / "project")
    (made.folder / "sandbox").mkdir()
    seed = {"records": {"incident": incidents(*range(3000))}}
    (made.folder / "sandbox" / "seed.yaml").write_bytes(orjson.dumps(seed))
    (made.folder / "syncengine.yaml").write_text(PROJECT)
    return made


def counted(project: Project) -> tuple[int, int]:
    """Rows and different rows in DuckDB."""
    file = project.folder / ".syncengine" / "extract" / "sandbox.duckdb"
    with duckdb.connect(str(file), read_only=True) as connection:
        found = connection.execute("SELECT count(*), count(DISTINCT sys_id) FROM servicenow.incident").fetchone()
    assert found is not None
    return found


KILLED = """
import os, signal, sys
from functools import partial
import syncengine.extract.run as run
from syncengine import files
from dlt.pipeline.pipeline import Pipeline
run.Extracting = partial(run.Extracting, package_rows=1000, chunk_rows=500)
point = sys.argv.pop(1)
name, _, nth = point.partition(":")
if name.startswith("dlt."):
    name, calls = name.removeprefix("dlt."), []
    inner = getattr(Pipeline, name)
    def counted(self, *given, **named):
        calls.append(1)
        if len(calls) == int(nth):
            os.kill(os.getpid(), signal.SIGKILL)
        return inner(self, *given, **named)
    setattr(Pipeline, name, counted)
else:
    files.arm(point + "=kill")
from syncengine.cli import main
main()
"""
POINTS = ("extract.rows:3", "extract.package:2", "extract.loaded:2", "dlt.normalize:2", "dlt.load:1", "dlt.load:2")


@pytest.mark.covers("PROC-04")
@pytest.mark.parametrize(
    "point", [point if point == "dlt.load:2" else pytest.param(point, marks=pytest.mark.long) for point in POINTS]
)
def test_what_is_killed_is_run_again_and_no_row_is_missing_or_there_twice(project: Project, point: str) -> None:
    """Whatever dlt was doing: the cursor moves with the rows, and reading goes on behind them."""
    project.process("extract", python=("-c", KILLED, point)).ends(-signal.SIGKILL)
    done = project.run("extract", "--format", "json").ends()
    said = orjson.loads(done.out)
    (table,) = said["tables"]
    assert (table["total"], table["resumed"], table["rows"] < 3000) == (3000, True, True)
    assert said["where"].endswith(".syncengine/extract/sandbox.duckdb")
    assert counted(project) == (3000, 3000)


@pytest.mark.long
@pytest.mark.covers("PROC-04")
def test_killed_at_any_time_again_and_again(project: Project) -> None:
    """Each time a quarter later, until one comes to its end."""
    for number in range(14):
        late = contextlib.suppress(subprocess.TimeoutExpired)
        with project.start("extract", "--format", "json") as process, late:
            process.communicate(timeout=2 * 1.25**number)
        if process.returncode == 0:
            break
    assert process.returncode == 0
    assert counted(project) == (3000, 3000)


EXTRA = ("dlt", "pyarrow", "duckdb")


def test_without_the_extra_it_says_how_to_install_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is started, and whichever of its packages is missing."""
    script = f"import sys; sys.modules.update(dict.fromkeys({EXTRA})); from syncengine.cli import main; main()"
    done = project.process("extract", "users", python=("-c", script)).ends(Exit.SPEC)
    assert "dlt is not installed" in done.err
    for name in EXTRA:
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            done = project.run("extract", "users").ends(Exit.SPEC)
        assert f"{name} is not installed" in done.err
        assert "pip install 'syncengine-itsm[extract]'" in done.err
    assert not (project.state / "sandbox").exists()


def test_it_says_in_words_what_it_did_and_what_it_cannot_do(project: Project) -> None:
    """Nothing of the user's home is touched, and nobody but the instance is spoken to."""
    wrong = project.run("extract", "incident", "users", "--fields", "number")
    assert (wrong.code, "error[bad-usage]" in wrong.err) == (3, True)
    wrong = project.run("extract", "--option", "nonsense")
    assert (wrong.code, "is not KEY=VALUE" in wrong.err) == (3, True)
    home = project.folder / "home"
    home.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        url = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        env = {"HOME": str(home), "HTTPS_PROXY": url, "HTTP_PROXY": url}
        done = project.run("extract", "incident", "--query", "priority=1", env=env)
        proxy.settimeout(0.2)
        with pytest.raises(TimeoutError):
            proxy.accept()
    done.ends()
    assert done.out.startswith("incident  600 rows, 600 in the table, next from 2026-03-03 01:55:00\nIn DuckDB: ")
    assert done.err == ""
    assert list(home.iterdir()) == []
