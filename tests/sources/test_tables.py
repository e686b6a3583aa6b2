"""Tables of an instance as sources: complete, in one form, whatever others write and the network does meanwhile."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncengine.errors import AuthError, RemoteError, SourceError
from syncengine.sandbox.process import Running
from syncengine.sources import Access
from syncengine.sources.servicenow import Aggregate, Incremental, Options, TableSource, settled
from syncengine.transport.auth import Auth, BasicAuth, KeyAuth, OAuth
from syncengine.transport.client import Client
from syncengine.transport.reader import Reader
from syncengine.transport.retry import Patience
from syncengine.transport.servicenow import ServiceNow, table_rows
from tests.bench import Bench

PLACES = [{"name": f"Place {n}", "city": "Oslo" if n % 2 else "Lima", "sys_id": f"{n:032x}"} for n in range(1, 8)]
USERS = {"reader": {"password": "secret", "roles": ["itil"]}}


@contextmanager
def reading(running: Running, auth: Auth | None = None, patience: Patience | None = None) -> Iterator[Reader]:
    """A reader of its own."""
    login = auth or BasicAuth(running.user, lambda: running.password)
    client = Client(running.url, login, ServiceNow())
    try:
        yield Reader(client, patience=patience)
    finally:
        client.close()


def source(reader: Reader, options: Options, cursor: str = "", *, older: bool = False) -> TableSource:
    """A table opened as a plan opens it."""
    return TableSource(options, Access(Path(), reader, cursor, older))


def values(opened: TableSource, column: str = "name") -> list[str | None]:
    """One column of all rows."""
    return [row.values[column] for row in opened.rows()]


@pytest.fixture
def places(bench: Bench) -> Iterator[Reader]:
    """Seven places."""
    bench.sandbox.seed({"records": {"cmn_location": PLACES}, "users": USERS}, force=True)
    with reading(bench.sandbox) as made:
        yield made


@pytest.mark.covers("SRC-43")
@given(
    st.lists(st.tuples(st.integers(1, 40), st.sampled_from(["insert", "delete", "rename"])), max_size=12),
    st.integers(1, 7),
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_that_exist_throughout_are_read_once_whatever_is_written_meanwhile(
    bench: Bench, writes: list[tuple[int, str]], page: int
) -> None:
    """Between any two rows, others insert before and behind the page, delete and change."""
    bench.sandbox.reset()
    rows = [{"name": f"p{n}", "sys_id": f"{2 * n:032x}"} for n in range(1, 21)]
    bench.sandbox.seed({"records": {"cmn_location": rows}}, force=True)
    there = {row["sys_id"] for row in rows}
    pending = list(writes)
    seen: list[str] = []
    with reading(bench.sandbox) as reader:
        for row in table_rows(reader, "cmn_location", fields=("name",), page=page):
            seen.append(row["sys_id"])
            if pending:
                number, kind = pending.pop()
                sys_id = f"{number:032x}"
                if kind == "insert":
                    record = {"name": "new", "sys_id": f"{2 * number - 1:032x}"}
                    bench.sandbox.seed({"records": {"cmn_location": [record]}}, force=True)
                elif sys_id in there and kind == "delete":
                    bench.connect().writer.send(
                        f"/api/now/table/cmn_location/{sys_id}", method="DELETE", expect="nothing"
                    )
                    there.discard(sys_id)
                elif sys_id in there:
                    bench.change(sys_id, "cmn_location", name="renamed")
    assert len(seen) == len(set(seen))
    assert there <= set(seen)


def test_a_row_holds_text_and_what_was_asked_for(places: Reader) -> None:
    """Also where a reference is followed, and with both forms of a value."""
    fields = ("name", "company.name")
    (first, *_), opened = list(source(places, Options("cmn_location", fields=fields)).rows()), None
    assert first.values == {"name": "Place 1", "company.name": ""}
    assert str(first.place) == "table cmn_location row 1"
    opened = source(places, Options("cmn_location", "city=Lima", ("sys_updated_on", "name"), "both"))
    assert opened.columns() == ("sys_updated_on", "name", "sys_updated_on_display", "name_display")
    assert values(opened, "name_display") == ["Place 2", "Place 4", "Place 6"]
    everything = next(iter(source(places, Options("cmn_location")).rows())).values
    assert {"sys_id", "zip", "sys_mod_count"} <= set(everything)
    assert all(isinstance(value, str) for value in everything.values())


@pytest.mark.covers("SRC-44")
@pytest.mark.parametrize("applied", ["after_limit", "before_limit"])
def test_rows_that_are_hidden_are_counted_and_told(places: Reader, bench: Bench, applied: str) -> None:
    """A page may be short or empty; nothing is taken to have vanished then."""
    rule = {"table": "cmn_location", "roles": ["itil"], "condition": "city=Oslo"}
    bench.sandbox.seed({"access": [rule]}, force=True)
    bench.sandbox.settings(access__applied=applied)
    try:
        with reading(bench.sandbox, BasicAuth("reader", lambda: "secret")) as reader:
            opened = source(reader, Options("cmn_location", fields=("name",)))
            assert values(opened) == ["Place 1", "Place 3", "Place 5", "Place 7"]
    finally:
        bench.sandbox.settings(access__applied="after_limit")
    assert not opened.is_complete
    assert [(one.code, one.count) for one in opened.remarks()] == [("hidden-rows", 3)]
    whole = source(places, Options("cmn_location", fields=("name",)))
    assert len(values(whole)) == 7
    assert (whole.is_complete, whole.remarks()) == (True, [])


@pytest.mark.covers("SRC-45")
def test_a_column_that_is_hidden_or_not_there_is_an_error_with_its_name(places: Reader, bench: Bench) -> None:
    """The instance ignores both; the first is told by its absence, the second by the dictionary."""
    bench.sandbox.seed({"access": [{"table": "cmn_location", "columns": ["city"], "roles": ["chief"]}]}, force=True)
    with reading(bench.sandbox, BasicAuth("reader", lambda: "secret")) as reader:
        with pytest.raises(SourceError, match="shows no column city"):
            values(source(reader, Options("cmn_location", fields=("name", "city"))))
        with pytest.raises(SourceError, match="no column ctiy; did you mean city"):
            values(source(reader, Options("cmn_location", fields=("name", "ctiy"))))
        with pytest.raises(SourceError, match="refers to no table"):
            values(source(reader, Options("cmn_location", fields=("name.city",))))


@pytest.mark.covers("NET-19", "NET-20")
def test_a_table_that_is_not_there_or_closed_is_named(places: Reader, bench: Bench) -> None:
    """Whatever the instance answers."""
    with pytest.raises(RemoteError) as caught:
        values(source(places, Options("u_nothing")))
    (problem,) = caught.value.problems
    assert (problem.code, problem.found) == ("unknown-table", "Invalid table u_nothing")
    with pytest.raises(RemoteError) as caught:
        values(source(places, Options("cmn_locatoin", fields=("name",), incremental=Incremental())))
    assert caught.value.problems[0].fix == "table: cmn_location"
    bench.sandbox.settings(access__hidden_table="403")
    try:
        with (
            reading(bench.sandbox, BasicAuth("reader", lambda: "secret")) as reader,
            pytest.raises(AuthError, match="may not do this with table sys_transform_map"),
        ):
            values(source(reader, Options("sys_transform_map")))
    finally:
        bench.sandbox.settings(access__hidden_table="empty")


def test_the_instance_counts_groups(places: Reader) -> None:
    """The columns are known beforehand; without groups there is one row."""
    opened = source(places, Options("cmn_location", aggregate=Aggregate(("city",), {"max": ("name",)})))
    assert opened.columns() == ("city", "count", "max_name")
    assert [row.values for row in opened.rows()] == [
        {"city": "Lima", "count": "3", "max_name": "Place 6"},
        {"city": "Oslo", "count": "4", "max_name": "Place 7"},
    ]
    assert values(source(places, Options("cmn_location", "city=Oslo", aggregate=Aggregate())), "count") == ["4"]


def test_an_incremental_source_reads_what_changed_and_counts_what_was_deleted(places: Reader, bench: Bench) -> None:
    """The window ends at the newest row there was; the next one begins there, less the lag."""
    options = Options("cmn_location", fields=("name",), incremental=Incremental(lag=60))
    bench.sandbox.advance(3600)
    bench.change(PLACES[0]["sys_id"], "cmn_location", name="Newest")
    opened = source(places, options)
    assert len(values(opened)) == 7
    first = opened.window()
    assert first is not None
    assert (first.start, opened.is_complete) == ("", False)
    bench.sandbox.advance(3600)
    bench.change(PLACES[2]["sys_id"], "cmn_location", name="Moved")
    path = f"/api/now/table/cmn_location/{PLACES[4]['sys_id']}"
    bench.connect().writer.send(path, method="DELETE", expect="nothing")
    opened = source(places, options, first.end)
    assert values(opened) == ["Newest", "Moved"], "the lag reads the last minute again"
    assert [(one.code, one.count) for one in opened.remarks()] == [("deleted-rows", 1)]
    assert len(values(source(places, options, first.end, older=True))) == 4
    second = opened.window()
    assert second is not None
    assert second.end > first.end
    assert values(source(places, options, second.end)) == ["Moved"]


@pytest.mark.covers("NET-46")
def test_a_window_ends_where_all_changes_can_be_seen() -> None:
    """By the instance's clock alone; one that is behind its own changes makes more be read again."""
    noon = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    assert settled("2026-03-01 11:00:00", noon, 60) == "2026-03-01 11:00:00", "nothing is under way any more"
    assert settled("2026-03-01 11:59:50", noon, 60) == "2026-03-01 11:59:00"
    assert settled("2026-03-01 13:00:00", noon, 60) == "2026-03-01 11:59:00"
    assert settled("2026-03-01 13:00:00", None, 60) == "2026-03-01 12:59:00"
    assert settled("10045", noon, 60) == "10045"
    assert settled("", noon, 60) == ""


@pytest.mark.covers("NET-26", "NET-28", "NET-32", "NET-34", "NET-36")
@pytest.mark.parametrize(
    "fault",
    [
        "do=status(429), retry_after=1",
        "do=status(429), retry_after=none",
        "do=status(503, body=html)",
        "do=truncate(40)",
        "do=cut(2)",
        "do=html200",
        "do=drop202",
    ],
)
def test_one_bad_answer_in_the_middle_loses_no_row(places: Reader, bench: Bench, fault: str) -> None:
    """It is asked again, and nothing is taken for a last page."""
    bench.sandbox.faults(f"api=table_read, at=2, times=1, {fault}")
    names = [row["name"] for row in table_rows(places, "cmn_location", fields=("name",), page=3)]
    assert names == [row["name"] for row in PLACES]
    assert bench.sandbox.met()


@pytest.mark.covers("NET-34")
def test_an_instance_that_sleeps_is_told_to_be_woken(places: Reader, bench: Bench) -> None:
    """Nothing is read from its page."""
    bench.sandbox.faults("api=table_read, from=2, do=hibernate")
    with pytest.raises(RemoteError) as caught:
        list(table_rows(places, "cmn_location", page=3))
    assert "wake the instance" in caught.value.problems[0].fix


GRANTS: dict[str, Callable[[Running], Auth]] = {
    "password": lambda running: OAuth(
        lambda: {
            "grant_type": "password",
            "client_id": "sync",
            "client_secret": "s3cret",
            "username": "reader",
            "password": "secret",
        },
        who="reader",
    ),
    "client_credentials": lambda running: OAuth(
        lambda: {"grant_type": "client_credentials", "client_id": "sync", "client_secret": "s3cret"}, who="sync"
    ),
    "basic": lambda running: BasicAuth("reader", lambda: "secret"),
    "key": lambda running: KeyAuth(lambda: "k3y"),
}


@pytest.mark.covers("NET-16")
@pytest.mark.parametrize("grant", GRANTS)
@pytest.mark.parametrize("fault", ["expire_token(3)", "unauthorized"])
def test_every_login_outlives_its_token_in_the_middle_of_a_read(
    places: Reader, bench: Bench, grant: str, fault: str
) -> None:
    """One fresh token, the same page once more, no row lost or read twice."""
    clients = {"sync": {"secret": "s3cret", "user": "reader"}}
    bench.sandbox.seed({"clients": clients, "api_keys": {"k3y": "reader"}, "users": USERS}, force=True)
    when = ", at=3, times=1" if fault == "unauthorized" else ""
    bench.sandbox.faults(f"api=table_read{when}, do={fault}")
    with reading(bench.sandbox, GRANTS[grant](bench.sandbox)) as reader:
        names = [row["name"] for row in table_rows(reader, "cmn_location", fields=("name",), page=2)]
    assert names == [row["name"] for row in PLACES]
