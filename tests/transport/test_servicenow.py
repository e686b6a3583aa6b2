"""A table is read completely, whatever is hidden, slow or cut off."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncengine.errors import AuthError, RemoteError, SourceError
from syncengine.transport.answer import Ending, Kind
from syncengine.transport.reader import ASKS, Reader, Writer
from syncengine.transport.servicenow import (
    find_rows,
    list_value,
    query_value,
    rows_by_ids,
    table_path,
    table_rows,
)
from tests.budget import examples
from tests.transport.wire_server import Got, Hours, RawServer, client_of, error, reply, serving


def sys_id(number: int) -> str:
    return f"{number:032x}"


class Table:
    """A table with rows that may be hidden after the limit was applied, and a quota for one transaction."""

    def __init__(self, rows: int, hidden: set[int] | None = None, total: str = "all", quota: int = 10**9) -> None:
        self.ids = [sys_id(number) for number in range(rows)]
        self.hidden = {sys_id(number) for number in hidden or ()}
        self.total = total
        self.quota = quota
        self.fault = "inside"
        self.longest = 0

    def __call__(self, got: Got, sock: socket.socket) -> bytes:
        self.longest = max(self.longest, len(got.target))
        params = {name: values[0] for name, values in parse_qs(urlsplit(got.target).query).items()}
        query = params.get("sysparm_query", "")
        after = re.search(r"sys_id>([0-9a-f]+)", query)
        among = re.search(r"sys_idIN([0-9a-f,]+)", query)
        ids = [one for one in self.ids if not after or one > after[1]]
        if among:
            ids = [one for one in ids if one in among[1].split(",")]
        limit, offset = int(params["sysparm_limit"]), int(params.get("sysparm_offset", "0"))
        window = ids[offset : offset + limit]
        rows = [{"sys_id": one} for one in window if one not in self.hidden]
        if len(window) > self.quota:
            words = '{"message": "Transaction cancelled: maximum execution time exceeded", "detail": "x"}'
            if self.fault == "inside":
                return reply(body=f'{{"result": {json.dumps(rows)}, "error": {words}, "status": "failure"}}')
            if self.fault == "cut":
                return reply(body=f'{{"result": [{{"sys_id": "1"}}, {{"sys_id": "2", "error": {words}')
            return reply(500, f'{{"error": {words}, "status": "failure"}}')
        seen = [one for one in ids if one not in self.hidden]
        totals = {"all": str(len(ids)), "visible": str(len(seen)), "none": "-"}
        return reply(body=json.dumps({"result": rows}), x_total_count=totals[self.total])


@contextmanager
def reading(script: object) -> Iterator[tuple[Reader, RawServer]]:
    with serving(script) as server, client_of(server.url, hours=Hours()) as client:  # type: ignore[arg-type]
        yield Reader(client), server


@settings(max_examples=examples(60), deadline=None)
@given(
    rows=st.integers(0, 25),
    hidden=st.sets(st.integers(0, 24)) | st.just(set(range(5, 20))),
    page=st.integers(1, 8),
    total=st.sampled_from(["all", "visible"]),
)
def test_every_visible_row_is_read_once(rows: int, hidden: set[int], page: int, total: str) -> None:
    """Property: short pages and whole hidden pages end nothing."""
    table = Table(rows, hidden, total)
    visible = [one for one in table.ids if one not in table.hidden]
    if total == "visible" and _has_hidden_page(table, page):
        return  # nothing in the answers tells that there is more
    missed: list[int] = []
    with reading(table) as (reader, _):
        found = [row["sys_id"] for row in table_rows(reader, "u_x", "", (), page=page, on_hidden=missed.append)]
    assert found == visible
    if total == "all" and len(visible) < rows:
        assert missed == [rows - len(visible)]
    else:
        assert missed == []


def _has_hidden_page(table: Table, page: int) -> bool:
    run = 0
    for one in table.ids:
        run = run + 1 if one in table.hidden else 0
        if run >= page:
            return True
    return False


def test_without_a_count_pages_go_on_until_an_empty_one() -> None:
    with reading(Table(7, {5, 6}, "none")) as (reader, server):
        assert len(list(table_rows(reader, "u_x", page=3))) == 5
        assert len(server.got) == 3


def test_a_small_table_takes_one_request() -> None:
    with reading(Table(7)) as (reader, server):
        assert len(list(table_rows(reader, "u_x", "active=true", ("name",)))) == 7
        assert len(server.got) == 1
        params = parse_qs(urlsplit(server.got[0].target).query)
    assert params["sysparm_query"] == ["active=true^ORDERBYsys_id"]
    assert params["sysparm_fields"] == ["sys_id,name"]


@pytest.mark.covers("NET-37", "NET-36")
@pytest.mark.parametrize("fault", ["inside", "cut", "500"])
def test_a_page_that_takes_too_long_is_halved(fault: str) -> None:
    table = Table(20, quota=3)
    table.fault = fault
    with reading(table) as (reader, server):
        assert len(list(table_rows(reader, "u_x", page=16))) == 20
        assert len(server.got) <= 13


@pytest.mark.covers("NET-37")
def test_a_single_row_that_takes_too_long_is_told() -> None:
    with reading(Table(2, quota=0)) as (reader, _), pytest.raises(RemoteError) as caught:
        list(table_rows(reader, "u_x", page=4))
    assert caught.value.problems[0].code == "took-too-long"


@pytest.mark.covers("NET-44")
@pytest.mark.parametrize(
    "result",
    ['"x"', "{}", '[{"sys_id": "5"}, 7]', '[{"a": 1}]', f'[{{"sys_id": "{"b" * 32}"}}, {{"sys_id": "{"a" * 32}"}}]'],
)
def test_an_answer_of_another_shape_is_told(result: str) -> None:
    with reading(reply(body=f'{{"result": {result}}}')) as (reader, _), pytest.raises(RemoteError) as caught:
        list(table_rows(reader, "u_x"))
    assert caught.value.problems[0].code == "unexpected-answer"


def test_an_empty_text_among_the_rows_is_passed_over() -> None:
    with reading(reply(body=f'{{"result": ["", {{"sys_id": "{"a" * 32}"}}]}}', x_total_count="1")) as (reader, _):
        assert len(list(table_rows(reader, "u_x"))) == 1


def test_rows_by_ids_stay_below_the_length_of_an_address() -> None:
    table = Table(120)
    fields = [f"a_rather_long_column_name_{number}" for number in range(20)]
    with reading(table) as (reader, server):
        rows = list(rows_by_ids(reader, "cmdb_ci_linux_server", [*table.ids, sys_id(999)], fields))
        assert [row["sys_id"] for row in rows] == table.ids
        assert table.longest + len(server.url) < 2000
        del server.got[:]
        assert len(list(rows_by_ids(reader, "cmdb_ci", table.ids))) == 120
        assert len(server.got) == 3
        assert len(list(rows_by_ids(reader, "cmdb_ci", table.ids, fields * 5))) == 120
    assert table.longest + len(server.url) < 2000


@pytest.mark.covers("NET-44")
def test_a_row_that_was_not_asked_for_is_told() -> None:
    with reading(reply(body=f'{{"result": [{{"sys_id": "{"b" * 32}"}}]}}')) as (reader, _), pytest.raises(RemoteError):
        list(rows_by_ids(reader, "u_x", ["a" * 32]))


@pytest.mark.covers("SEC-26")
@pytest.mark.parametrize("value", ["a^ORb", "a^NQ", "a\nb", "a\rb", "a\0b", "javascript:gs.x()", " JavaScript:x"])
def test_a_value_cannot_widen_a_query(value: str) -> None:
    with reading(reply()) as (reader, server):
        with pytest.raises(SourceError):
            find_rows(reader, "u_x", [("name", value)])
        assert server.got == []


@pytest.mark.covers("SEC-26")
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_a_value_is_written_as_it_is_or_refused(value: str) -> None:
    """Property: an accepted value holds no operator."""
    try:
        assert query_value(value) == value
    except SourceError:
        return
    assert "^" not in value
    assert "\n" not in value


def test_letter_case_counts_in_a_look_up() -> None:
    rows = [{"sys_id": sys_id(number), "name": name} for number, name in enumerate(["web", "Web", "web"])]
    with reading(reply(body=json.dumps({"result": rows}))) as (reader, _):
        assert find_rows(reader, "u_x", [("name", "web")]) == [rows[0], rows[2]]


def test_a_comma_cannot_stand_in_a_list() -> None:
    assert list_value(["a", "b c"]) == "a,b c"
    with pytest.raises(SourceError):
        list_value(["a,b"])


def test_odd_values_arrive_as_they_are() -> None:
    with reading(reply()) as (reader, server):
        find_rows(reader, "u_x", [("name", "a&b=c#d?e/f%g+h,é"), ("serial", "")], ("name",), most=2)
        params = parse_qs(urlsplit(server.got[0].target).query)
    assert params["sysparm_query"] == ["name=a&b=c#d?e/f%g+h,é^serialISEMPTY^ORDERBYsys_id"]


@pytest.mark.parametrize("table", ["", "U_X", "a/b", "a?b", "../x", "x" * 81, "a b"])
def test_a_table_has_a_name(table: str) -> None:
    with pytest.raises(ValueError, match="not a table name"):
        table_path(table)


@pytest.mark.covers("NET-20", "NET-19")
def test_a_missing_table_and_a_missing_right_are_named() -> None:
    with reading([error(404, "No Record found"), error(403, "Insufficient rights")]) as (reader, server):
        with pytest.raises(RemoteError) as missing:
            list(table_rows(reader, "u_gone"))
        with pytest.raises(AuthError) as hidden:
            list(table_rows(reader, "u_secret"))
        host = server.url.removeprefix("http://")
    problem = missing.value.problems[0]
    assert problem.message == f"{host}: table u_gone does not exist or is not visible to this user"
    assert problem.place == f"GET /api/now/table/u_gone → 404 (request {server.got[0].headers['x-request-id']})"
    assert problem.found == "No Record found"
    assert "u_secret" in hidden.value.problems[0].message
    assert missing.value.effect == "Nothing was written."


def test_what_may_be_missing_gives_none() -> None:
    with reading([error(404), reply()]) as (reader, _):
        assert reader.get("/api/now/cmdb/meta/x", allow_missing=True) is None
        answer = reader.get("/api/now/cmdb/meta/x", allow_missing=True)
        assert answer is not None
        assert answer.body == {"result": []}


def test_a_reader_asks_only_what_writes_nothing() -> None:
    paths = ["/api/now/identifyreconcile", "/api/now/identifyreconcile/enhanced", "/api/now/import/u_x"]
    paths += [f"{path}{tail}" for path in ASKS for tail in ("/", "?x=1", "/../enhanced", "%2f..")]
    with reading(reply()) as (reader, server):
        for path in paths:
            with pytest.raises(ValueError, match="not known"):
                reader.ask(path, {}, {})
        assert server.got == []
        assert not hasattr(reader, "send")
        assert reader.ask("/api/now/identifyreconcile/query", {}, {"items": []}).ending is Ending.DONE


@pytest.mark.covers("NET-22")
def test_a_write_is_told_with_its_outcome() -> None:
    said = [reply(201, '{"result": {}}'), error(400, "bad"), error(500), error(429, retry_after="1"), reply()]
    with serving(said) as server, client_of(server.url) as client:
        writer = Writer(client)
        sent = [writer.send("/api/now/import/u_x", {"a": "b"}, {"x": 1}, kind=Kind.BARE) for _ in range(4)]
        assert len(server.got) == 5
    assert [one.outcome for one in sent] == ["DONE", "REFUSED", "UNKNOWN", "DONE"]
    assert sent[0].answer.body == {"result": {}}
    assert sent[1].why.endswith("bad")
    assert [one.stop for one in sent] == [None] * 4
    with pytest.raises(ValueError, match="not a write"):
        writer.send("/x", kind=Kind.READ)


@pytest.mark.covers("NET-02")
def test_a_write_that_never_left_says_so() -> None:
    with serving(reply()) as server:
        url = server.url
    with client_of(url) as client:
        sent = Writer(client).send("/api/now/import/u_x", body={})
    assert sent.outcome is Ending.NOT_SENT
    assert isinstance(sent.stop, RemoteError)
