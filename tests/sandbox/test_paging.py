"""Pages of the Table API while others write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import Response

from syncengine.sandbox.servicenow import table_api
from syncengine.sandbox.servicenow.requests import Call
from syncengine.sandbox.staging.sets import ImportSets
from syncengine.sandbox.world import World
from tests.budget import examples
from tests.sandbox.conftest import Http

WORLD = World()
IMPORTS = ImportSets(WORLD)
TABLE = "cmdb_ci_service"
Write = tuple[str, int]
WRITES = st.lists(st.tuples(st.sampled_from(["insert", "delete", "rename"]), st.integers(0, 99)), max_size=4)


def ask(method: str, path: str = "", body: Any = None, **parameters: Any) -> Any:
    """One call of the API, in process."""
    call = Call(
        WORLD,
        IMPORTS,
        method,
        f"/api/now/table/{TABLE}{path}",
        "",
        {"accept": "x", "content-type": "json"},
        orjson.dumps(body),
        "",
    )
    call.parameters = {name: str(value) for name, value in parameters.items()}
    call.roles = frozenset({"admin"})
    arguments = {"sys_id": path.removeprefix("/")} if path else {}
    handlers: dict[str, Callable[..., Response]] = {
        "GET": table_api.get_list,
        "POST": table_api.post,
        "PATCH": table_api.patch,
        "DELETE": table_api.delete,
    }
    response = handlers[method](call, TABLE, **arguments)
    return orjson.loads(response.body)["result"] if response.body else None


def fresh(number: int) -> set[str]:
    """So many services, and no others."""
    for row in ask("GET", sysparm_fields="sys_id"):
        ask("DELETE", f"/{row['sys_id']}")
    return {ask("POST", body={"name": f"n{n % 7}"})["sys_id"] for n in range(number)}


def write(kind: str, number: int, present: set[str], gone: set[str]) -> None:
    """What somebody else does between two pages."""
    ids = sorted(present - gone)
    if kind == "insert":
        ask("POST", body={"name": f"n{number % 7}"})
    elif ids and kind == "delete":
        sys_id = ids[number % len(ids)]
        ask("DELETE", f"/{sys_id}")
        gone.add(sys_id)
    elif ids:
        ask("PATCH", f"/{ids[number % len(ids)]}", {"name": f"m{number}"})


def keyset(limit: int) -> Iterator[list[str]]:
    """Pages by `sys_id>…`, to the first empty one."""
    last = ""
    while True:
        query = (f"sys_id>{last}^" if last else "") + "ORDERBYsys_id"
        rows = ask("GET", sysparm_query=query, sysparm_limit=limit, sysparm_fields="sys_id")
        if not rows:
            return
        yield [row["sys_id"] for row in rows]
        last = rows[-1]["sys_id"]


@given(number=st.integers(0, 25), limit=st.integers(1, 9), writes=st.lists(WRITES, max_size=12), shuffled=st.booleans())
@settings(max_examples=examples(40), deadline=None)
def test_pages_by_key_hold_every_row_once_that_is_there_throughout(
    number: int, limit: int, writes: list[list[Write]], shuffled: bool
) -> None:
    """Whatever is inserted, deleted and renamed between them, and whatever an unordered list would do."""
    WORLD.settings.set("table.unordered", "shuffled" if shuffled else "sys_id")
    present, gone = fresh(number), set[str]()
    seen: list[str] = []
    for index, page in enumerate(keyset(limit)):
        seen += page
        for kind, which in writes[index] if index < len(writes) else ():
            write(kind, which, present, gone)
    assert len(seen) == len(set(seen))
    assert present - gone <= set(seen)


@given(number=st.integers(0, 25), limit=st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_pages_by_offset_are_whole_while_nobody_writes(number: int, limit: int) -> None:
    """Ordered by sys_id or by another column first: no row twice, none missing, in the order that was asked for."""
    WORLD.settings.set("table.unordered", "sys_id")
    present = fresh(number)
    for query in ("ORDERBYsys_id", "ORDERBYname^ORDERBYsys_id", "ORDERBYDESCname"):
        rows = [
            (row["name"], row["sys_id"])
            for offset in range(0, number + limit, limit)
            for row in ask(
                "GET", sysparm_query=query, sysparm_limit=limit, sysparm_offset=offset, sysparm_fields="name,sys_id"
            )
        ]
        assert sorted(sys_id for _, sys_id in rows) == sorted(present)
        names = [name for name, _ in rows]
        assert query == "ORDERBYsys_id" or names == sorted(names, reverse="DESC" in query)


def test_pages_by_offset_lose_rows_when_somebody_deletes(http: Http) -> None:
    """Why a client pages by key: what stood before the offset is gone, so what follows moves up."""
    rows = [{"sys_id": f"{n:032x}", "name": f"s{n}"} for n in range(6)]
    http.running.seed({"records": {TABLE: rows}}, force=True)
    ask_for: dict[str, Any] = {"sysparm_query": "ORDERBYsys_id", "sysparm_limit": 3, "sysparm_fields": "name"}
    first = http.get(f"/table/{TABLE}", **ask_for).json()["result"]
    http.session.delete(f"{http.running.url}/api/now/table/{TABLE}/{0:032x}", timeout=10)
    second = http.get(f"/table/{TABLE}", **ask_for, sysparm_offset=3).json()["result"]
    assert [row["name"] for row in first + second] == ["s0", "s1", "s2", "s4", "s5"]


@pytest.mark.parametrize("rows", [0, 1, 12])
def test_the_total_is_that_of_the_query_and_not_of_the_page(http: Http, rows: int) -> None:
    """X-Total-Count; none with sysparm_no_count."""
    http.running.seed({"records": {TABLE: [{"name": f"s{n}"} for n in range(rows)]}}, force=True)
    answer = http.get(f"/table/{TABLE}", sysparm_limit=5)
    assert answer.headers["X-Total-Count"] == str(rows)
    assert len(answer.json()["result"]) == min(rows, 5)
    assert "X-Total-Count" not in http.get(f"/table/{TABLE}", sysparm_no_count="true").headers
