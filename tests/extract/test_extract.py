"""Tables taken out of an instance: typed, complete, what changed only, and finished after a kill."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from syncengine.errors import Exit, LockedError, RemoteError, SourceError, SpecError
from syncengine.extract.columns import Typed, type_of
from syncengine.extract.load import Destination, Extraction, Loaded
from syncengine.extract.presets import PRESETS, wanted
from syncengine.sources.servicenow import Incremental, Options
from syncengine.transport.dictionary import ColumnInfo
from tests.bench import Bench
from tests.examples.conftest import ROOT, CommandLine

ANA = "a" * 32


def incidents(number: int) -> list[dict[str, str]]:
    """Incidents of Ana's, each with an id of its own."""
    return [
        {
            "sys_id": f"{n:032x}",
            "number": f"INC{n:07}",
            "priority": str(n % 5 + 1),
            "active": "true" if n % 2 else "false",
            "opened_at": "2026-01-02 03:04:05",
            "caller_id": ANA,
        }
        for n in range(1, number + 1)
    ]


@pytest.fixture
def instance(bench: Bench) -> Bench:
    """An instance with a few incidents."""
    users = [{"sys_id": ANA, "user_name": "ana", "name": "Ana"}]
    bench.sandbox.seed({"records": {"sys_user": users, "incident": incidents(30)}}, force=True)
    return bench


class Lake:
    """A DuckDB file and what is in it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "lake.duckdb"
        self.folder = folder

    def bring(self, bench: Bench, name: str, options: Options | None = None, *, full: bool = False) -> Loaded:
        """Extract one table, as a process of its own would."""
        made = options or wanted([name], {})[name]
        extraction = Extraction(self.folder / "home", "test", "here", Destination(file=self.file))
        try:
            extraction.prepare()
            return extraction.table(bench.connect().reader, name, made, lambda _name, _count: None, full=full)
        finally:
            extraction.close()

    def rows(self, query: str) -> list[Any]:
        """What a query answers."""
        with duckdb.connect(str(self.file), read_only=True) as made:
            return made.execute(query).fetchall()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty one."""
    return Lake(tmp_path)


def test_types_are_the_dictionarys_and_no_value_is_lost(instance: Bench, lake: Lake) -> None:
    """Times, numbers and truth; what is not of its type stands beside; references are followed."""
    instance.change(f"{1:032x}", "incident", priority="high")
    loaded = lake.bring(instance, "incidents")
    assert (loaded.rows, loaded.misfits, loaded.since) == (30, {"priority": 1}, "")
    query = "SELECT number, priority, priority__v_text, active, opened_at::VARCHAR, caller_id__name, closed_at"
    first, second = lake.rows(f"{query} FROM servicenow.incidents ORDER BY number LIMIT 2")
    assert first == ("INC0000001", None, "high", True, first[4], "Ana", None)
    assert second == ("INC0000002", 3, None, False, first[4], "Ana", None)
    assert first[4].startswith("2026-01-02 03:04:05")


def test_the_second_run_reads_what_changed_and_removes_what_was_deleted(instance: Bench, lake: Lake) -> None:
    """By sys_updated_on and sys_audit_delete; a table without changes costs no row."""
    lake.bring(instance, "incidents")
    instance.sandbox.advance(3600)
    instance.change(f"{3:032x}", "incident", short_description="moved")
    assert lake.bring(instance, "incidents").rows == 31 - 1, "the overlap holds rows of the first run"
    instance.sandbox.advance(3600)
    instance.change(f"{4:032x}", "incident", short_description="moved")
    instance.connect().writer.send(f"/api/now/table/incident/{5:032x}", method="DELETE", expect="nothing")
    loaded = lake.bring(instance, "incidents")
    assert (loaded.rows, loaded.deleted) == (2, 1)
    assert loaded.since
    assert lake.rows("SELECT count(*), count(DISTINCT sys_id) FROM servicenow.incidents") == [(29, 29)]
    assert lake.rows("SELECT count(*) FROM servicenow.incidents WHERE short_description = 'moved'") == [(2,)]
    assert lake.bring(instance, "incidents", full=True).rows == 29


def test_a_new_column_of_the_instance_is_told(instance: Bench, lake: Lake) -> None:
    """Rows that were there keep NULL in it until they change."""
    table = Options("cmn_location", incremental=Incremental())
    instance.sandbox.seed({"records": {"cmn_location": [{"name": "Oslo"}]}}, force=True)
    assert lake.bring(instance, "places", table).new_columns == []
    instance.sandbox.seed({"columns": {"cmn_location": {"u_desks": "integer"}}}, force=True)
    instance.sandbox.seed({"records": {"cmn_location": [{"name": "Lima", "u_desks": "4"}]}}, force=True)
    assert lake.bring(instance, "places", table).new_columns == ["u_desks"]
    assert lake.rows("SELECT u_desks FROM servicenow.places ORDER BY name") == [(4,), (None,)]


@pytest.mark.long
def test_presets_are_tables_with_columns_that_exist(instance: Bench, lake: Lake) -> None:
    """All of them can be extracted from a sandbox as it ships."""
    for name in PRESETS:
        assert lake.bring(instance, name).table
    assert lake.rows("SELECT sum(count) FROM servicenow.aggregates") == [(30,)]


def test_values_become_typed_columns() -> None:
    """Limits of the types, and empty text as NULL."""
    kinds = {"n": "integer", "b": "boolean", "t": "glide_date_time", "d": "glide_date", "f": "decimal", "x": "float"}
    typed = Typed({name: type_of(ColumnInfo(name, kind, "", 0, "", "")) for name, kind in kinds.items()})
    rows = [
        {"n": "007", "b": "true", "t": "2026-02-28 23:59:59", "d": "2026-02-28", "f": "1.50", "x": "-1.5e3"},
        {"n": "9" * 30, "b": "yes", "t": "2026-02-31 00:00:00", "d": "28.2.2026", "f": "", "x": "1,5"},
        {"n": "", "b": "", "t": "", "d": "", "f": "x", "x": ""},
    ]
    found = typed.table(rows, list(kinds)).to_pydict()
    assert found["n"] == [7, None, None]
    assert found["b"] == [True, None, None]
    assert found["f"] == ["1.50", None, "x"]
    assert found["x"] == [-1500.0, None, None]
    assert found["d__v_text"] == [None, "28.2.2026", None]
    assert found["t__v_text"] == [None, "2026-02-31 00:00:00", None]
    assert typed.misfits == {"n": 1, "b": 1, "t": 1, "d": 1, "x": 1}


KILLED = """
import sys
import syncengine.extract.load as load
from syncengine import files
load.PAGE, load.PIECE = 100, 300
point = sys.argv.pop(1)
if point.startswith("dlt."):
    from dlt.pipeline.pipeline import Pipeline
    name, nth = point.removeprefix("dlt.").split(":")
    inner, calls = getattr(Pipeline, name), []
    def counted(self, *given, **named):
        calls.append(1)
        if len(calls) == int(nth):
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)
        return inner(self, *given, **named)
    setattr(Pipeline, name, counted)
elif point != "-":
    files.arm(point)
from syncengine.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    "point",
    [
        "dlt.load:2",
        pytest.param("dlt.normalize:2", marks=pytest.mark.long),
        pytest.param("extract.read:2=kill", marks=pytest.mark.long),
        pytest.param("extract.piece:3=kill", marks=pytest.mark.long),
        pytest.param("extract.piece:1=kill", marks=pytest.mark.long),
    ],
)
def test_a_killed_run_is_finished_by_the_next_no_row_missing_or_twice(tmp_path: Path, point: str) -> None:
    """Whatever dlt was doing; the second process goes on where the first one was."""
    (tmp_path / "sandbox").mkdir()
    seed = orjson.dumps({"records": {"incident": incidents(1000)}})
    (tmp_path / "sandbox" / "seed.yaml").write_bytes(seed)
    (tmp_path / "syncengine.yaml").write_text("syncengine: 1\nkind: project\n")

    def run(where: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", KILLED, where, "extract", "incidents", "--format", "json"]
        done = {"cwd": tmp_path, "env": {"PYTHONPATH": str(ROOT), "PATH": ""}, "timeout": 120}
        return subprocess.run(command, capture_output=True, text=True, check=False, **done)  # type: ignore[call-overload,no-any-return]

    assert run(point).returncode == -9
    done = run("-")
    assert done.returncode == 0, done.stderr
    told = orjson.loads(done.stdout.splitlines()[0])
    assert told["resumed"]
    assert told["rows"] < 1000
    with duckdb.connect(str(tmp_path / ".syncengine/extract/sandbox.duckdb"), read_only=True) as lake:
        query = "SELECT count(*), count(DISTINCT sys_id), count(DISTINCT number) FROM servicenow.incidents"
        assert lake.execute(query).fetchall() == [(1000, 1000, 1000)]


def test_another_destination_by_name_without_a_word_to_anybody_else(tmp_path: Path) -> None:
    """A folder of Parquet files; nothing but the instance is spoken to."""
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "seed.yaml").write_bytes(orjson.dumps({"records": {"incident": incidents(5)}}))
    (tmp_path / "syncengine.yaml").write_text(
        "syncengine: 1\nkind: project\nextract:\n  destination: filesystem\n"
        f"  options: {{bucket_url: 'file://{tmp_path}/lake'}}\n"
        "  tables:\n    mine: {table: incident, fields: [number, priority]}\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        url = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        said = CommandLine(tmp_path).run("extract", environment={"HTTPS_PROXY": url, "HTTP_PROXY": url}).ends(0).out
        proxy.settimeout(0.2)
        with pytest.raises(TimeoutError):
            proxy.accept()
    assert "5 rows" in said
    query = f"SELECT number, priority FROM read_parquet('{tmp_path}/lake/servicenow/mine/*.parquet') ORDER BY 1"
    assert duckdb.execute(query).fetchone() == ("INC0000001", 2)


def test_what_cannot_be_extracted_is_told(instance: Bench, lake: Lake, tmp_path: Path) -> None:
    """Names, columns, destinations and their options; what is there stays."""
    (tmp_path / "syncengine.yaml").write_text("syncengine: 1\nkind: project\n")
    assert "presets: incidents" in CommandLine(tmp_path).run("extract").ends(Exit.SPEC).err
    with pytest.raises(RemoteError) as caught:
        lake.bring(instance, "u_nothing")
    assert caught.value.problems[0].found == "Invalid table u_nothing"
    with pytest.raises(SourceError, match="no column nmber"):
        lake.bring(instance, "mine", Options("incident", fields=("nmber",)))
    with pytest.raises(SpecError, match="no destination") as wrong:
        Extraction(tmp_path / "home", "test", "here", Destination("u_lake"))
    assert "duckdb" in wrong.value.problems[0].fix


def test_two_extracts_into_one_place_do_not_mix(lake: Lake, tmp_path: Path) -> None:
    """The second one is told to wait."""
    first = Extraction(tmp_path / "home", "test", "here", Destination(file=lake.file))
    with pytest.raises(LockedError):
        Extraction(tmp_path / "home", "test", "here", Destination(file=lake.file))
    first.close()
    Extraction(tmp_path / "home", "test", "here", Destination(file=lake.file)).close()
