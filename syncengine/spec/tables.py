"""Sources that are asked, not opened: a table of an instance, and a query over files and databases."""

from __future__ import annotations

from typing import Any, cast

from syncengine.errors import Position
from syncengine.sources.servicenow import Aggregate, Incremental
from syncengine.sources.servicenow import Options as TableOptions
from syncengine.sources.sql import Options as QueryOptions
from syncengine.spec.atoms import NAME, NAME_MUST, TABLE, TABLE_MUST
from syncengine.spec.keys import Fields, Key, Mapped
from syncengine.spec.nodes import ListNode, MapNode, Node, Scalar
from syncengine.spec.report import Report, Wrong
from syncengine.spec.shapes import Duration, Either, Flag, ListOf, MapOf, Schema, Shape, Text

COLUMN = Text("the name of a column", r"[a-z][a-z0-9_.]{0,159}", must="letters, digits, _ and dots")
TABLE_NAME = Text("the name of a table", TABLE, must=TABLE_MUST)


class EncodedQuery(Text):
    """A filter; the order is the reader's, since pages follow the sys_id."""

    def read(self, node: Node, report: Report) -> str:
        text = super().read(node, report)
        if "ORDERBY" in text:
            said = "ORDERBY cannot stand in a query here: rows are read in order of sys_id"
            raise report.stop("bad-query", said, node.position, "Leave it out.")
        if "^NQ" in text:
            said = "^NQ cannot stand in a query here: pages cannot follow a second query"
            raise report.stop("bad-query", said, node.position, "Two sources, or one condition with ^OR.")
        return text

    def schema(self, named: dict[str, Schema]) -> Schema:
        return {**super().schema(named), "not": {"pattern": r"ORDERBY|\^NQ"}}


QUERY = Key(
    "query",
    EncodedQuery("an encoded query such as active=true^nameSTARTSWITHsrv"),
    "An encoded query: which rows.",
    example="query: active=true",
)
TABLE_KEY = Key("table", TABLE_NAME, "The table whose rows these are.", required=True, example="table: cmdb_ci_server")
COLUMNS_KEY = Key(
    "fields",
    ListOf(COLUMN, least=1),
    "The columns that are read; dots follow a reference.",
    example="fields: [name, serial_number, assigned_to.email]",
)


class ShownShape(Shape[str]):
    """false, true or both."""

    says = "true, false or both"

    def read(self, node: Node, report: Report) -> str:
        if isinstance(node, Scalar) and node.plain and node.text in {"true", "false", "both"}:
            return node.text
        raise self.expected(node, report)

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {"enum": [True, False, "both"]}


DISPLAY = Key(
    "display_value",
    ShownShape(),
    "true: what people see, instead of what is stored; both: NAME as stored and NAME_display as seen.",
    default=False,
)
BY = Key("by", COLUMN, "The column that grows with each change.", default="sys_updated_on")
LAG = Key("lag", Duration(), "How long a change may take to be seen.", default="2 minutes")


def _incremental(fields: Fields, report: Report) -> Incremental:
    del report
    if fields.failed:
        raise Wrong
    lag = fields.get(LAG)
    return Incremental(fields.get(BY) or "sys_updated_on", 120.0 if lag is None else lag)


INCREMENTAL_OPTIONS: Mapped[Incremental] = Mapped("incremental", "incremental", (BY, LAG), _incremental)
INCREMENTAL = Key(
    "incremental",
    Either(Flag(), INCREMENTAL_OPTIONS),
    "Read only what changed since the last apply of this spec that came to its end.",
    default=False,
    example="incremental: {by: sys_updated_on, lag: 5 minutes}",
)
GROUP_BY = Key("group_by", ListOf(COLUMN, one=True, least=1), "One row for each of their values.")
SUM = Key("sum", ListOf(COLUMN, one=True, least=1), "Columns to add up, as sum_COLUMN.")
AVG = Key("avg", ListOf(COLUMN, one=True, least=1), "Columns to average, as avg_COLUMN.")
MIN = Key("min", ListOf(COLUMN, one=True, least=1), "Columns whose least value is wanted, as min_COLUMN.")
MAX = Key("max", ListOf(COLUMN, one=True, least=1), "Columns whose greatest value is wanted, as max_COLUMN.")


def _aggregate(fields: Fields, report: Report) -> Aggregate:
    del report
    if fields.failed:
        raise Wrong
    functions = {key.name: fields.need(key) for key in (SUM, AVG, MIN, MAX) if fields.has(key)}
    return Aggregate(fields.get(GROUP_BY) or (), functions)


AGGREGATE_OPTIONS: Mapped[Aggregate] = Mapped("aggregate", "aggregate", (GROUP_BY, SUM, AVG, MIN, MAX), _aggregate)
AGGREGATE = Key(
    "aggregate",
    AGGREGATE_OPTIONS,
    "What the instance counts of the rows: its groups, count and sums, not the rows.",
    example="aggregate: {group_by: [priority], avg: [reassignment_count]}",
)


def _positions(fields: Fields) -> dict[str, Position]:
    """Where the keys have their values, `fields`, and where those that have several have each, `fields.name`."""
    found: dict[str, Position] = {}
    for key, value in fields.node.pairs:
        found[key.text] = value.position
        if isinstance(value, ListNode):
            found.update({f"{key.text}.{one.text}": one.position for one in value.items if isinstance(one, Scalar)})
        elif isinstance(value, MapNode):
            found.update({f"{key.text}.{name.text}": one.position for name, one in value.pairs})
    return found


def table_options(fields: Fields, report: Report) -> TableOptions:
    """A table with its rows and columns; problems are noted, and `Wrong` raised."""
    if fields.has(AGGREGATE):
        for key in (COLUMNS_KEY, DISPLAY, INCREMENTAL):
            if fields.has(key):
                report.add("bad-source", f"{key.name} goes with rows, not with aggregate", fields.position(key))
                fields.failed = True
    if fields.failed:
        raise Wrong
    said = fields.get(INCREMENTAL)
    return TableOptions(
        fields.need(TABLE_KEY),
        fields.get(QUERY) or "",
        fields.get(COLUMNS_KEY) or (),
        cast(Any, fields.get(DISPLAY) or "false"),
        (said if isinstance(said, Incremental) else Incremental()) if said else None,
        fields.get(AGGREGATE),
        at=_positions(fields),
    )


TABLE_OPTIONS: Mapped[TableOptions] = Mapped(
    "servicenow",
    "a servicenow source",
    (TABLE_KEY, QUERY, COLUMNS_KEY, DISPLAY, INCREMENTAL, AGGREGATE),
    table_options,
    more={
        "dependentSchemas": {
            "aggregate": {"properties": dict.fromkeys(("fields", "display_value", "incremental"), False)}
        }
    },
)
SERVICENOW = Key(
    "servicenow",
    TABLE_OPTIONS,
    "Rows of a table of an instance.",
    example="servicenow: {table: cmn_location, fields: [name, sys_id]}",
)

SELECT = Key(
    "query",
    Text("a SELECT"),
    "One SELECT in DuckDB's SQL; files are named from the folder of the spec.",
    required=True,
    example="query: SELECT * FROM 'servers.parquet' WHERE site = 'PAR'",
)
ATTACH = Key(
    "attach",
    MapOf(Text("a path"), "database", NAME, NAME_MUST, least=1),
    "DuckDB files that the query may read, by the name it calls them.",
    example="attach: {extracted: ../.syncengine/extract/prod.duckdb}",
)


def _query(fields: Fields, report: Report) -> QueryOptions:
    del report
    if fields.failed:
        raise Wrong
    return QueryOptions(fields.need(SELECT), fields.get(ATTACH) or {}, at=_positions(fields))


QUERY_OPTIONS: Mapped[QueryOptions] = Mapped("sql", "a sql source", (SELECT, ATTACH), _query)
SQL = Key(
    "sql",
    QUERY_OPTIONS,
    "Rows of a query over files and extracted tables; needs the extra extract.",
    example="sql: {query: SELECT name FROM 'servers.parquet'}",
)
