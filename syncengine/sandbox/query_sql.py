"""Encoded queries as SQL over the record table, for lists and counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from syncengine.sandbox.encoded_query import Clause, Query, Related, parse
from syncengine.sandbox.store import ATTACHMENTS, RELATIONS, SOURCES, STAGING
from syncengine.sandbox.tables import NUMERIC, Table, Tables

# columns of a root table that have an index row of their own
_INDEXED = {
    (RELATIONS, "parent"): ("relation", "parent"),
    (RELATIONS, "child"): ("relation", "child"),
    (SOURCES, "target_sys_id"): ("source", "target"),
    (STAGING, "sys_import_set"): ("staged", "import_set"),
    (ATTACHMENTS, "table_sys_id"): ("attached", "target"),
}


class Where(NamedTuple):
    """A condition with its parameters, and the order."""

    sql: str
    parameters: list[str | int | float]
    order: str
    narrow: bool
    """Few rows are expected, found by an index of their own; sorting them beats reading the whole table in order."""
    total: bool
    """The order leaves no two rows equal: sys_id is among its columns."""
    unknown: tuple[str, ...]
    """Fields that the table does not have; such clauses are left out, or let nothing through."""


class Compiler:
    """Compiles queries for one table; rows stand in `record r`."""

    def __init__(
        self,
        tables: Tables,
        table: Table,
        strict: bool = False,
        alias: str = "r",
        parameters: list[str | int | float] | None = None,
    ) -> None:
        self._tables = tables
        self._table = table
        self._strict = strict
        self._alias = alias
        self._parameters: list[str | int | float] = [] if parameters is None else parameters
        self._unknown: list[str] = []

    def compile(self, query: Query) -> Where:
        """The condition for the WHERE clause, parenthesised."""
        sql = "1"
        if self._strict and query.invalid:
            sql = "0"
        else:
            alternatives = [self._groups(groups) for groups in query.alternatives]
            if all(alternatives):
                sql = "(" + " OR ".join(alternatives) + ")"
            sql += "".join(f" AND {condition}" for related in query.related if (condition := self._related(related)))
        narrow = len(query.alternatives) == 1 and any(
            len(group) == 1 and self._narrow(group[0]) for group in query.alternatives[0]
        )
        total = any(name == "sys_id" for name, _ in query.order)
        return Where(sql, self._parameters, self._order(query.order), narrow, total, tuple(self._unknown))

    def _narrow(self, clause: Clause) -> bool:
        if clause.op == "=" and clause.field == "name" and clause.value:
            return self._table.name != SOURCES
        return clause.op in ("=", "IN") and (self._table.root, clause.field) in _INDEXED

    def _related(self, related: Related) -> str:
        table = self._tables.get(related.table)
        own = self.expression(related.own)
        inner = Compiler(self._tables, table, self._strict, f"{self._alias}x", self._parameters) if table else None
        field = inner.expression(related.field) if inner else None
        if table is None or inner is None or own is None or field is None:
            self._unknown.append(related.table)
            return "0" if self._strict else ""
        where = inner.compile(parse(related.query)).sql
        count = f"SELECT count(*) FROM record {self._alias}x WHERE {self._alias}x.root='{table.root}'"
        op = "<>" if related.op == "!=" else related.op
        return f"({count} AND {field[0]} = {own[0]} AND {where}) {op} {related.number:d}"

    def _groups(self, groups: Sequence[Sequence[Clause]]) -> str:
        parts = []
        for group in groups:
            clauses = [sql for clause in group if (sql := self._clause(clause))]
            if clauses:
                parts.append("(" + " OR ".join(clauses) + ")")
        return "(" + " AND ".join(parts) + ")" if parts else "1"

    def _order(self, order: Sequence[tuple[str, bool]]) -> str:
        terms = []
        for name, descending in order:
            found = self.expression(name)
            if found is None:
                self._unknown.append(name)
                continue
            sql, numeric = found
            terms.append(
                (f"CAST({sql} AS REAL)" if numeric else f"{sql} COLLATE NOCASE") + (" DESC" if descending else "")
            )
        return ", ".join(terms)

    def expression(self, path: str) -> tuple[str, bool] | None:
        """A column, dot-walked or not, as SQL, and whether it is a number."""
        steps = path.split(".")
        found = self._walk(self._alias, self._table, steps, 1)
        if found is None:
            return None
        sql, numeric = found
        return (sql if path == "sys_id" else f"coalesce({sql}, '')"), numeric

    def _walk(self, alias: str, table: Table, steps: Sequence[str], depth: int) -> tuple[str, bool] | None:
        column = self._tables.column(table, steps[0])
        if len(steps) == 1:
            if column is None and steps[0] not in ("sys_id", "sys_class_name"):
                return None
            return _column(alias, steps[0]), column is not None and column.type in NUMERIC
        target = self._tables.get(column.reference) if column and column.reference else None
        rest = self._walk(f"{self._alias}{depth}", target, steps[1:], depth + 1) if target else None
        if target is None or rest is None:
            return None
        inner = f"{self._alias}{depth}"
        return (
            f"(SELECT {rest[0]} FROM record {inner} WHERE {inner}.root='{target.root}' "
            f"AND {inner}.sys_id={_column(alias, steps[0])})"
        ), rest[1]

    def _clause(self, clause: Clause) -> str:  # noqa: C901 - one line per operator
        found = self.expression(clause.field)
        if found is None:
            self._unknown.append(clause.field)
            return "0" if self._strict else ""
        sql, numeric = found
        value = clause.value
        if (self._table.root, clause.field) in _INDEXED and clause.op in ("=", "IN") and self._alias == "r":
            index, column = _INDEXED[self._table.root, clause.field]
            marks = ",".join(self._p(v) for v in (value.split(",") if clause.op == "IN" else [value]))
            return f"r.rid IN (SELECT rid FROM {index} WHERE {column} IN ({marks}))"
        match clause.op:
            case "=":
                return self._equal(clause.field, sql, value)
            case "!=":
                return f"{sql} <> {self._p(value)} COLLATE NOCASE"
            case "IN" | "NOT IN":
                values = value.split(",")
                marks = ",".join(self._p(v) for v in values)
                word = "NOT IN" if clause.op == "NOT IN" else "IN"
                exact = clause.field == "sys_id"
                return f"{sql}{'' if exact else ' COLLATE NOCASE'} {word} ({marks})"
            case "LIKE" | "NOT LIKE":
                found_at = f"instr(lower({sql}), lower({self._p(value)}))"
                return f"{found_at} {'=' if clause.op == 'NOT LIKE' else '>'} 0"
            case "STARTSWITH":
                return f"substr({sql}, 1, {len(value)}) = {self._p(value)} COLLATE NOCASE"
            case "ENDSWITH":
                tail = f"substr({sql}, length({sql}) - {len(value) - 1})"
                return f"(length({sql}) >= {len(value)} AND {tail} = {self._p(value)} COLLATE NOCASE)"
            case "ISEMPTY" | "EMPTYSTRING":
                return f"{sql} = ''"
            case "ISNOTEMPTY":
                return f"{sql} <> ''"
            case "ANYTHING":
                return "1"
            case "INSTANCEOF":
                below = self._tables[value].below if value in self._tables else ("",)
                return f"{sql} IN ({','.join(self._p(v) for v in below)})"
            case "BETWEEN":
                low, _, high = value.partition("@")
                bounds = [self._compare(sql, numeric, op, self._p(end)) for op, end in ((">=", low), ("<=", high))]
                return f"({sql} <> '' AND {' AND '.join(bounds)})"
            case "SAMEAS" | "NSAMEAS":
                other = self.expression(value)
                if other is None:
                    self._unknown.append(value)
                    return "0" if self._strict else ""
                return f"{sql} {'=' if clause.op == 'SAMEAS' else '<>'} {other[0]} COLLATE NOCASE"
        if clause.op.endswith("_FIELD"):
            other = self.expression(value)
            if other is None:
                self._unknown.append(value)
                return "0" if self._strict else ""
            op = {"GT": ">", "LT": "<", "GT_OR_EQUALS": ">=", "LT_OR_EQUALS": "<="}[clause.op[:-6]]
            return f"({sql} <> '' AND {self._compare(sql, numeric, op, other[0])})"
        if clause.field == "sys_id":
            return f"{self._alias}.sys_id {clause.op} {self._p(value)}"
        return f"({sql} <> '' AND {self._compare(sql, numeric, clause.op, self._p(value))})"

    def _equal(self, field: str, sql: str, value: str) -> str:
        if field == "sys_id":
            return f"{self._alias}.sys_id = {self._p(value)}"
        if field == "name" and value:
            return f"{self._alias}.name = {self._p(value)}"
        return f"{sql} = {self._p(value)} COLLATE NOCASE"

    def _compare(self, sql: str, numeric: bool, op: str, other: str) -> str:
        if numeric:
            return f"CAST({sql} AS REAL) {op} CAST({other} AS REAL)"
        return f"{sql} {op} {other} COLLATE NOCASE"

    def _p(self, value: str | float) -> str:
        self._parameters.append(value)
        # numbered, since an expression may use one value twice
        return f"?{len(self._parameters)}"


def _column(alias: str, name: str) -> str:
    if name == "sys_id":
        return f"{alias}.sys_id"
    return f"json_extract({alias}.body, '$.{name}')"
