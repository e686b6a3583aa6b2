"""Tables in DuckDB are those of the instance, whatever happens on the way and whatever is written meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import md5
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncengine.errors import RemoteError, SpecError, StateError
from syncengine.extract.presets import PRESETS
from syncengine.extract.run import Extracting, TableDone, extract
from syncengine.extract.warehouse import Place, Warehouse
from syncengine.sources.servicenow import Options
from tests.bench import Bench

INCIDENT = Options("incident")


def sys_id(number: int) -> str:
    """Ids in no order, as instances make them."""
    return md5(str(number).encode(), usedforsecurity=False).hexdigest()


def incidents(*numbers: int, **more: str) -> list[dict[str, str]]:
    """Incidents that were changed a minute after each other."""
    made = []
    for number in numbers:
        at = f"2026-03-{1 + number // 1440:02} {number // 60 % 24:02}:{number % 60:02}:00"
        said = {"number": f"INC{number:07}", "priority": str(1 + number % 5), "active": "true", "opened_at": at}
        made.append({"sys_id": sys_id(number), "sys_updated_on": at, "sys_created_on": at, **said, **more})
    return made


MORE = ("html200", "drop202", "cut(2)", "status(503, body=html)", "unauthorized")


class Extract:
    """Extracts from a sandbox into a folder."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench = bench
        self.place = Place(folder, folder / "extract", "here")
        self.told: Callable[[], None] = lambda: None
        self.how: dict[str, Any] = {}

    def seed(self, rows: list[dict[str, str]], table: str = "incident") -> None:
        """Put rows into the sandbox."""
        self.bench.sandbox.seed({"records": {table: rows}}, force=True)

    def run(self, *tables: Options, **how: Any) -> list[TableDone]:
        """Extract tables under their own names, as a new process would."""
        of = Extracting(
            self.bench.connect().reader,
            "here",
            Warehouse(self.place),
            tell=lambda _name, _rows, _total: self.told(),
            **{"chunk_rows": 20, **how},
        )
        return extract(of, {one.table: one for one in tables or (INCIDENT,)})

    def one(self, *tables: Options, **how: Any) -> TableDone:
        """The same for one table, which must be well."""
        (done,) = self.run(*tables, **how)
        assert done.error is None, done.error
        return done

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What DuckDB answers."""
        with duckdb.connect(str(self.place.file), read_only=True) as connection:
            return connection.execute(query).fetchall()

    def numbers(self) -> list[str]:
        """The incidents that are there."""
        return [number for (number,) in self.rows("SELECT number FROM servicenow.incident ORDER BY number")]


@pytest.fixture
def here(bench: Bench, tmp_path: Path) -> Extract:
    """An empty folder and an empty sandbox."""
    return Extract(bench, tmp_path)


def test_the_second_extract_reads_only_what_changed(here: Extract) -> None:
    """New, changed and deleted rows are seen; an extract after nothing has happened loads nothing."""
    here.seed(incidents(*range(250)))
    first = here.one(package_rows=200)
    assert (first.rows, first.total, first.whole, first.cursor) == (250, 250, True, "2026-03-01 04:09:00")
    again = here.one()
    assert (again.rows, again.deleted, again.total, again.whole) == (0, 0, 250, False)
    for number in (3, 5, 7):
        here.bench.change(sys_id(number), "incident", short_description="changed")
    here.seed(incidents(900))
    gone = f"/api/now/table/incident/{sys_id(11)}"
    here.bench.connect().writer.send(gone, method="DELETE", expect="nothing")
    second = here.one()
    assert (second.rows, second.deleted, second.total) == (4, 1, 250)
    assert here.rows("SELECT count(*) FROM servicenow.incident WHERE short_description = 'changed'") == [(3,)]
    assert here.rows(f"SELECT * FROM servicenow.incident WHERE sys_id = '{sys_id(11)}'") == []
    assert here.one().rows == 0


def test_columns_have_the_types_of_the_dictionary(here: Extract) -> None:
    """What is empty is NULL; what does not fit is kept beside its column, as text."""
    here.seed([*incidents(1, 2), *incidents(3, priority="urgent", active="false", opened_at="", severity="")])
    done = here.one()
    assert here.rows("SELECT number, priority, active, year(opened_at) FROM servicenow.incident ORDER BY 1") == [
        ("INC0000001", 2, True, 2026),
        ("INC0000002", 3, True, 2026),
        ("INC0000003", None, False, None),
    ]
    assert here.rows("SELECT priority__v_text FROM servicenow.incident ORDER BY number") == [
        (None,),
        (None,),
        ("urgent",),
    ]
    assert done.notes == ["1 values of priority are not of its type; they are in priority__v_text as text"]


def test_a_column_that_comes_later_is_added_and_told(here: Extract) -> None:
    """Rows from before have no value in it."""
    here.seed(incidents(1, 2))
    here.one()
    here.bench.sandbox.seed({"columns": {"incident": {"u_weight": "integer"}}}, force=True)
    here.seed(incidents(40, u_weight="70"))
    done = here.one()
    assert (done.rows, done.new_columns) == (1, ("u_weight",))
    assert here.rows("SELECT number, u_weight FROM servicenow.incident ORDER BY 1") == [
        ("INC0000001", None),
        ("INC0000002", None),
        ("INC0000040", 70),
    ]


@pytest.mark.covers("SRC-43")
def test_what_is_written_while_it_is_read_is_read_then_or_the_next_time(here: Extract) -> None:
    """Rows that are there throughout are there once; the next extract has the rest."""
    here.seed(incidents(*range(0, 200, 2)))
    step = iter(range(1000))

    def meddle() -> None:
        number = next(step)
        here.seed([{"sys_id": sys_id(2 * number + 1), "number": f"INC{2 * number + 1:07}"}])
        here.bench.change(sys_id(2 * (7 * number % 100)), "incident", short_description=f"changed {number}")
        path = f"/api/now/table/incident/{sys_id(2 * (90 + number))}"
        if number < 10:
            here.bench.connect().writer.send(path, method="DELETE", expect="nothing")

    here.told = meddle
    first = here.one()
    assert first.rows >= 90
    stayed = {f"INC{number:07}" for number in range(0, 180, 2)}
    assert stayed <= set(here.numbers())
    assert len(here.numbers()) == len(set(here.numbers()))
    here.told = lambda: None
    here.one()
    there = {(row["number"], row["short_description"]) for row in here.bench.rows("incident")}
    found = here.rows("SELECT number, coalesce(short_description, '') FROM servicenow.incident")
    assert len(found) == len(there)
    assert set(found) == there


@pytest.mark.covers("NET-26", "NET-28", "NET-32", "NET-36")
@pytest.mark.parametrize(
    "fault",
    ["status(429), retry_after=1", "truncate(40)", *(pytest.param(one, marks=pytest.mark.long) for one in MORE)],
)
def test_a_bad_answer_in_the_middle_costs_nothing(here: Extract, fault: str) -> None:
    """It is asked again; no row is missing, none is there twice."""
    here.seed(incidents(*range(1100)))
    here.bench.sandbox.faults(f"api=table_read, path=/incident, at=2, times=1, do={fault}")
    assert here.one(chunk_rows=500).rows == 1100
    assert here.bench.sandbox.met()
    assert here.numbers() == [f"INC{number:07}" for number in range(1100)]


@pytest.mark.covers("NET-34")
def test_an_instance_that_falls_asleep_costs_what_was_not_read_yet(here: Extract) -> None:
    """What was read is loaded; the next extract goes on behind it."""
    here.seed(incidents(*range(2500)))
    here.bench.sandbox.faults("api=table_read, path=/incident, from=3, do=hibernate")
    (done,) = here.run(package_rows=5000, chunk_rows=500)
    assert isinstance(done.error, RemoteError)
    assert "wake the instance" in done.error.problems[0].fix
    assert (done.rows, len(here.numbers())) == (2000, 2000)
    here.bench.sandbox.clear_faults()
    again = here.one()
    assert (again.rows, again.resumed, again.whole, again.total) == (500, True, True, 2500)


def test_another_query_or_other_fields_read_everything_anew(here: Extract) -> None:
    """Rows that the new query leaves out are gone."""
    here.seed([*incidents(*range(10)), *incidents(20, 21, active="false")])
    assert here.one().total == 12
    narrow = replace(INCIDENT, query="active=true", fields=("number", "priority", "assigned_to.name"))
    done = here.one(narrow)
    assert (done.rows, done.total, done.whole) == (10, 10, True)
    assert "read in full" in done.notes[0]
    assert here.one(narrow).rows == 0
    assert {name for (name,) in here.rows("SELECT column_name FROM (DESCRIBE servicenow.incident)")} == {
        "sys_id",
        "sys_updated_on",
        "sys_mod_count",
        "number",
        "priority",
        "assigned_to__name",
    }
    assert here.one(narrow, anew=True).rows == 10


def test_presets_and_counts(here: Extract) -> None:
    """Counts are taken anew each time; display values stand beside what is stored."""
    here.seed([{"sys_id": sys_id(5000), "user_name": "ada", "name": "Ada"}], "sys_user")
    here.seed(incidents(1, 2, 6, assigned_to=sys_id(5000)))
    of = Extracting(here.bench.connect().reader, "here", Warehouse(here.place))
    done = extract(of, PRESETS)
    assert [(one.name, one.error, one.total) for one in done] == [
        ("incidents", None, 3),
        ("users", None, 1),
        ("change_requests", None, 0),
        ("attachments", None, 0),
        ("aggregates", None, 2),
    ]
    assert here.rows("SELECT DISTINCT assigned_to__name FROM servicenow.incidents") == [("Ada",)]
    assert here.rows("SELECT count(*) FROM servicenow.change_requests WHERE opened_at > now()") == [(0,)]
    here.seed(incidents(11))
    assert [one.rows for one in extract(of, {name: PRESETS[name] for name in ("incidents", "aggregates")})] == [1, 2]
    assert here.rows('SELECT priority, "count" FROM servicenow.aggregates ORDER BY 1') == [("2", 3), ("3", 1)]
    here.one(Options("incident", fields=("assigned_to", "priority"), display_value="both"))
    found = here.rows(
        "SELECT DISTINCT assigned_to, assigned_to_display, priority FROM servicenow.incident ORDER BY 3, 1 NULLS FIRST"
    )
    assert found == [(None, None, 2), (sys_id(5000), "Ada", 2), (sys_id(5000), "Ada", 3)]


@pytest.mark.covers("SRC-44")
def test_hidden_rows_are_counted_and_told(here: Extract) -> None:
    """They are never taken to be deleted."""
    here.seed(incidents(*range(30)))
    rule = {"table": "incident", "roles": ["itil"], "condition": "priority=1"}
    users = {"reader": {"password": "secret", "roles": ["itil"]}}
    here.bench.sandbox.seed({"access": [rule], "users": users}, force=True)
    of = Extracting(here.bench.connect(user="reader").reader, "here", Warehouse(here.place))
    (done,) = extract(of, {"incident": INCIDENT})
    assert (done.rows, done.total) == (6, 6)
    assert "24 rows were not visible to this user, or went away meanwhile" in done.notes


def test_wrong_names_are_told_before_anything_is_read(here: Extract) -> None:
    """All of them at once, with names like them."""
    with pytest.raises(SpecError) as caught:
        here.run(Options("incidnet"), Options("sys_user", fields=("emial",)))
    assert [problem.code for problem in caught.value.problems] == ["unknown-table", "unknown-column"]
    assert caught.value.problems[0].fix == "incident"


def test_rows_of_two_systems_are_not_mixed(here: Extract) -> None:
    """Unless everything is read anew."""
    here.seed(incidents(1))
    here.one()
    of = Extracting(here.bench.connect().reader, "elsewhere", Warehouse(here.place))
    with pytest.raises(SpecError, match="holds rows of another system"):
        extract(of, {"incident": INCIDENT})
    assert extract(replace(of, anew=True), {"incident": INCIDENT})[0].total == 1


def test_a_second_destination_by_name(here: Extract) -> None:
    """Files of a folder: changes are added, since there is nothing that could replace a row."""
    here.place = replace(here.place, destination="filesystem")
    here.seed(incidents(*range(30)))
    done = here.one()
    assert (done.rows, done.total) == (30, None)
    here.seed(incidents(99))
    gone = f"/api/now/table/incident/{sys_id(11)}"
    here.bench.connect().writer.send(gone, method="DELETE", expect="nothing")
    done = here.one()
    assert (done.rows, done.deleted) == (1, 1)
    done = here.one()
    assert (done.rows, done.deleted) == (0, 0)
    files = str(here.place.folder / "here" / "servicenow" / "incident" / "*.parquet")
    with duckdb.connect() as connection:
        rows = f"FROM read_parquet('{files}', union_by_name=true)"
        counted = connection.execute(f"SELECT count(*), count(DISTINCT sys_id), count(_deleted) {rows}").fetchall()
    assert counted == [(32, 31, 1)]


def test_a_file_that_is_in_use_is_told(here: Extract) -> None:
    """Another program has it open; nothing is lost."""
    here.place.folder.mkdir(parents=True)
    here.place.file.write_text("this is no database")
    with pytest.raises(StateError, match="the DuckDB file cannot be used") as caught:
        here.run()
    assert caught.value.problems[0].fix.startswith("close what has the file open")


def test_a_file_in_a_folder_that_is_not_there_is_told(here: Extract) -> None:
    """The folder is what is missing; nobody has the file open."""
    here.place = replace(here.place, duckdb=here.place.folder / "nowhere" / "x.duckdb")
    with pytest.raises(StateError) as caught:
        here.run()
    assert caught.value.problems[0].fix.startswith(f"make the folder {here.place.file.parent}")


@pytest.mark.parametrize(("destination", "code"), [("nowhere", "unknown-destination"), ("postgres", "destination")])
def test_a_destination_that_is_not_known_or_not_set_up_is_told(tmp_path: Path, destination: str, code: str) -> None:
    """With what to write, and without what is secret."""
    with pytest.raises(SpecError) as caught:
        Warehouse(Place(tmp_path, tmp_path / "extract", "here", destination))
    assert caught.value.problems[0].code.startswith(code)


def test_rows_of_tables_that_extend_it_go_with_the_table(here: Extract) -> None:
    """An incident is a task, also when it is deleted; an id that is made again is there again."""
    here.seed(incidents(*range(10)))
    task = Options("task", fields=("number", "sys_class_name"))
    assert here.one(task).rows == 10
    for number in (3, 4):
        gone = f"/api/now/table/incident/{sys_id(number)}"
        here.bench.connect().writer.send(gone, method="DELETE", expect="nothing")
    here.seed([{"sys_id": sys_id(4), "number": "INC0000044"}])
    done = here.one(task)
    assert (done.rows, done.deleted, done.total) == (1, 2, 9)
    assert here.rows("SELECT count(*), max(number) FROM servicenow.task") == [(9, "INC0000044")]


def test_a_row_that_goes_and_comes_again_while_others_are_read_stays(here: Extract) -> None:
    """The next extract finds it among those that were deleted, and among those that it knows already."""
    here.seed(incidents(*range(40)))
    ids = sorted(map(sys_id, range(40)))

    def again() -> None:
        here.told = lambda: None
        here.bench.connect().writer.send(f"/api/now/table/incident/{ids[-1]}", method="DELETE", expect="nothing")
        here.seed([{"sys_id": ids[-1], "number": "INC0000099"}])

    here.told = again
    for _ in range(3):
        assert here.one().total == 40
        assert here.numbers()[-1] == "INC0000099"


def test_a_row_that_came_again_is_not_deleted_by_the_pass_that_loaded_it(here: Extract) -> None:
    """Which was interrupted after that, and goes on behind it."""
    first = f"{0:032}"
    here.seed([{"sys_id": first, "number": "INC0"}])
    here.one()
    here.bench.connect().writer.send(f"/api/now/table/incident/{first}", method="DELETE", expect="nothing")
    here.seed([{"sys_id": first, "number": "INC1"}, *({"sys_id": sys_id(one)} for one in range(2400))])
    here.bench.sandbox.advance(3600)  # the pass after it does not meet what was deleted
    here.bench.sandbox.faults("api=table_read, path=/incident, from=3, do=hibernate")
    (done,) = here.run(package_rows=500, chunk_rows=500)
    made_again = "SELECT number FROM servicenow.incident WHERE number IS NOT NULL"
    assert (done.error is not None, done.deleted, here.rows(made_again)) == (True, 1, [("INC1",)])
    here.bench.sandbox.clear_faults()
    done = here.one()
    assert (done.resumed, done.total, here.rows(made_again)) == (True, 2401, [("INC1",)])


@pytest.mark.covers("NET-20")
def test_without_the_dictionary_all_is_text_and_said(here: Extract) -> None:
    """Times and counts of the system are known all the same; deletions are not seen without their audit."""
    here.seed(incidents(*range(3)))
    closed = ("sys_dictionary", "sys_db_object", "sys_audit_delete")
    rules = [{"table": name, "roles": ["chief"]} for name in closed]
    users = {"reader": {"password": "secret", "roles": ["itil"]}}
    here.bench.sandbox.seed({"access": rules, "users": users}, force=True)
    here.bench.sandbox.settings(access__hidden_table="403")
    try:
        for _ in range(2):
            of = Extracting(here.bench.connect(user="reader").reader, "here", Warehouse(here.place))
            (done,) = extract(of, {"incident": INCIDENT})
    finally:
        here.bench.sandbox.settings(access__hidden_table="empty")
    assert (done.error, done.rows, done.deleted, done.total) == (None, 0, None, 3)
    assert done.notes == [
        "deletions are not seen: this user may not read sys_audit_delete",
        "all columns are text: sys_dictionary is not readable for this user",
    ]
    assert here.rows("SELECT DISTINCT typeof(priority), typeof(sys_mod_count) FROM servicenow.incident") == [
        ("VARCHAR", "BIGINT")
    ]


WRITES = st.lists(st.tuples(st.integers(0, 60), st.sampled_from(["insert", "delete", "change"])), max_size=8)


@pytest.mark.long
@pytest.mark.covers("SRC-43")
@given(st.lists(WRITES, min_size=2, max_size=12), st.integers(3, 9), st.booleans())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_written_between_the_pages_the_last_extract_has_what_is_there(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory, writes: list[list[tuple[int, str]]], chunk: int, fails: bool
) -> None:
    """Rows that exist throughout are never missing; when nothing is written any more, both sides are equal."""
    bench.sandbox.clear_faults()
    bench.sandbox.reset()
    here = Extract(bench, tmp_path_factory.mktemp("extract"))
    here.seed(incidents(*range(40)))
    stayed, there, pending = set(range(40)), set(range(40)), list(writes)

    def meddle() -> None:
        for number, kind in pending.pop() if pending else ():
            if kind == "insert" and number not in there:
                here.seed([{"sys_id": sys_id(number), "number": f"INC{number:07}"}])
                there.add(number)
            elif kind == "delete" and number in there:
                path = f"/api/now/table/incident/{sys_id(number)}"
                bench.connect().writer.send(path, method="DELETE", expect="nothing")
                there.discard(number)
                stayed.discard(number)
            elif kind == "change" and number in there:
                bench.change(sys_id(number), "incident", short_description=f"at {len(pending)}")

    here.told = meddle
    here.one(chunk_rows=chunk)
    assert {f"INC{number:07}" for number in stayed} <= set(here.numbers())
    if fails:
        bench.sandbox.faults("api=table_read, path=/incident, at=2, do=hibernate")
        here.run(chunk_rows=chunk)
        bench.sandbox.clear_faults()
    here.told = lambda: None
    here.one(chunk_rows=chunk)
    wanted = sorted((row["number"], row["short_description"]) for row in bench.rows("incident"))
    query = "SELECT number, coalesce(short_description, '') FROM servicenow.incident ORDER BY 1"
    assert here.rows(query) == wanted
