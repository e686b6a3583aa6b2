"""Encoded queries: SQL and Python must let the same records through."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncengine.sandbox.encoded_query import matches_with, parse
from syncengine.sandbox.query_sql import Compiler
from syncengine.sandbox.servicenow.rows import value_of
from syncengine.sandbox.tables import NUMERIC
from syncengine.sandbox.world import World
from tests.budget import examples
from tests.sandbox.conftest import Engine

FIELDS = ("name", "short_description", "cpu_count", "sys_id", "os")
VALUES = st.sampled_from(["", "a", "A", "ab", "aB", "b", "10", "9", "-1.5", "ä", "Ä", "%", "_", "1e3", "a b"])
UNARY = ("ISEMPTY", "ISNOTEMPTY", "ANYTHING", "EMPTYSTRING")
BINARY = ("=", "!=", "STARTSWITH", "ENDSWITH", "LIKE", "NOT LIKE", "IN", "NOT IN", "<", "<=", ">", ">=", "BETWEEN")
FIELDWISE = ("SAMEAS", "NSAMEAS", "GT_FIELD", "LT_FIELD", "GT_OR_EQUALS_FIELD", "LT_OR_EQUALS_FIELD")


@st.composite
def clauses(draw: st.DrawFn) -> str:
    """One comparison."""
    field: str = draw(st.sampled_from(FIELDS[:3]))
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return f"{field}{draw(st.sampled_from(UNARY))}"
    if kind == 1:
        # a field is compared with one of its own type
        return f"name{draw(st.sampled_from(FIELDWISE))}{draw(st.sampled_from(['short_description', 'os']))}"
    op = draw(st.sampled_from(BINARY))
    if op == "BETWEEN":
        return f"{field}{op}{draw(VALUES)}@{draw(VALUES)}"
    if op.endswith("IN"):
        return f"{field}{op}{','.join(draw(st.lists(VALUES, min_size=1, max_size=3)))}"
    return f"{field}{op}{draw(VALUES)}"


@st.composite
def queries(draw: st.DrawFn) -> str:
    """Comparisons, joined in every way."""
    parts = draw(st.lists(clauses(), max_size=4))
    joints = draw(st.lists(st.sampled_from(["^", "^OR", "^NQ"]), min_size=len(parts), max_size=len(parts)))
    return "".join(
        (joint if number else "") + part for number, (joint, part) in enumerate(zip(joints, parts, strict=True))
    )


ROWS = st.lists(st.dictionaries(st.sampled_from(["name", "short_description", "cpu_count", "os"]), VALUES), max_size=6)


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@given(text=queries(), rows=ROWS)
@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sql_and_python_agree(world: World, text: str, rows: list[dict[str, str]]) -> None:
    """For random records and queries of every operator, joined in every way."""
    store, table = world.store, world.tables["cmdb_ci_server"]
    store.db.execute("BEGIN")
    try:
        for number, row in enumerate(rows):
            values = {name: value for name, value in row.items() if value}
            store.insert("cmdb", table.name, f"{number:032x}", {**values, "sys_class_name": table.name})
        query = parse(text)
        assert query.invalid == ()
        where = Compiler(world.tables, table).compile(query)
        sql = f"SELECT sys_id FROM record r WHERE r.class='cmdb_ci_server' AND {where.sql} ORDER BY sys_id"
        found = [row[0] for row in store.db.execute(sql, where.parameters)]
        numeric = frozenset(c.name for c in table.columns.values() if c.type in NUMERIC)
        expected = [
            record.sys_id for record in store.all(table.name) if matches_with(query, partial(value_of, record), numeric)
        ]
        assert found == sorted(expected)
    finally:
        store.db.execute("ROLLBACK")
        store.changed.clear()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("nameLIKEa^ORnameLIKEc^ram>5", ["a", "c"]),
        ("name=a^NQname=b", ["a", "b"]),
        ("nameINa,c^ORDERBYDESCname", ["c", "a"]),
        ("ORDERBYDESCram", ["c", "a", "b"]),
        ("location.name=Paris", ["a"]),
        ("location.parent.name=France", ["a"]),
        ("locationISEMPTY^ORDERBYname", ["b", "c"]),
        ("nosuchcolumn=7^name=a", ["a"]),
        ("what is this^name=a", ["a"]),
        ("sys_class_nameINSTANCEOFcmdb_ci_server^ORDERBYname", ["a", "b", "c"]),
    ],
)
def test_lists_are_filtered_and_ordered(engine: Engine, text: str, names: list[str]) -> None:
    """Alternatives bind closer than conjunctions; fields are walked; what is unknown is ignored."""
    engine.seed(
        records={
            "cmn_location": [
                {"sys_id": "f" * 32, "name": "France"},
                {"sys_id": "1" * 32, "name": "Paris", "parent": "f" * 32},
            ],
            "cmdb_ci_server": [
                {"name": "a", "ram": "10", "location": "1" * 32},
                {"name": "b", "ram": "9"},
                {"name": "c", "ram": "100"},
            ],
        }
    )
    world = engine.world
    where = Compiler(world.tables, world.tables["cmdb_ci"]).compile(parse(text))
    order = f"{where.order}, r.rid" if where.order else "r.rid"
    sql = f"SELECT name FROM record r WHERE r.class='cmdb_ci_server' AND {where.sql} ORDER BY {order}"
    assert [row[0] for row in world.store.db.execute(sql, where.parameters)] == names


def test_a_strict_instance_returns_nothing_for_what_it_cannot_read(engine: Engine) -> None:
    """Property glide.invalid_query.returns_no_rows."""
    world = engine.world
    engine.seed(records={"cmdb_ci_server": [{"name": "a"}]})
    where = Compiler(world.tables, world.tables["cmdb_ci"], strict=True).compile(parse("nosuchcolumn=7"))
    assert world.store.db.execute(f"SELECT count(*) FROM record r WHERE {where.sql}", where.parameters).fetchone() == (
        0,
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("RLQUERYcmdb_rel_ci.parent,>0,m2m^ENDRLQUERY", ["a"]),
        ("RLQUERYcmdb_rel_ci.parent,=0^ENDRLQUERY^ORDERBYname", ["b", "c"]),
        ("RLQUERYcmdb_rel_ci.child,>=2^ENDRLQUERY", []),
        ("RLQUERYcmdb_rel_ci.child,>0^port=80^ENDRLQUERY^nameSTARTSWITHb", ["b"]),
        ("JOINcmdb_ci_server.location=cmn_location.sys_id!name=Paris", ["c"]),
    ],
)
def test_joins_and_related_lists_filter(engine: Engine, text: str, names: list[str]) -> None:
    """As public clients build them."""
    engine.seed(
        records={
            "cmn_location": [{"sys_id": "1" * 32, "name": "Paris"}],
            "cmdb_ci_server": [{"sys_id": c * 32, "name": c} for c in "ab"] + [{"name": "c", "location": "1" * 32}],
            "cmdb_rel_ci": [{"parent": "a" * 32, "child": "b" * 32, "type": "t", "port": "80"}],
        }
    )
    world = engine.world
    where = Compiler(world.tables, world.tables["cmdb_ci_server"]).compile(parse(text))
    sql = f"SELECT name FROM record r WHERE r.class='cmdb_ci_server' AND {where.sql} ORDER BY {where.order or 'r.rid'}"
    assert [row[0] for row in world.store.db.execute(sql, where.parameters)] == names
