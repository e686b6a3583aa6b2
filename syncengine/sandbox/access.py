"""Access rules: which rows and columns a user may read or write, and which APIs he may call at all.

Documented: the rule of the table itself counts, else that of its nearest ancestor; of several one that lets through is
enough; admin passes; results are filtered, not refused. Inferred: without any rule a table is open (an instance ships
hundreds). Simplified: a rule holds its roles itself (`roles`, comma list; an instance has a table between), and
conditions are of the row's own columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from syncengine.sandbox.encoded_query import Query, matches, parse
from syncengine.sandbox.store import Record
from syncengine.sandbox.tables import Tables

ADMIN = "admin"


class Rule(NamedTuple):
    """One record of sys_security_acl."""

    roles: frozenset[str]
    condition: Query | None

    def lets(self, roles: frozenset[str], record: Record | None) -> bool:
        """Whether it lets these roles through; without a record, whether it may for some."""
        if self.roles and self.roles.isdisjoint(roles):
            return False
        return record is None or self.condition is None or matches(self.condition, record.values)


class Endpoint(NamedTuple):
    """A rule on an API."""

    path: str
    methods: frozenset[str]
    roles: frozenset[str]


class Access:
    """All access rules, asked by roles and operation."""

    def __init__(self, tables: Tables, records: Iterable[Record]) -> None:
        self._tables = tables
        self._tables_rules: dict[tuple[str, str], list[Rule]] = {}
        self._column_rules: dict[tuple[str, str, str], list[Rule]] = {}
        self._endpoints: list[Endpoint] = []
        self._sights: dict[tuple[frozenset[str], str], Sight] = {}
        for record in records:
            v = record.values
            if v.get("active") == "false":
                continue
            roles = _split(v.get("roles", ""))
            if v.get("type") == "REST_Endpoint":
                self._endpoints.append(Endpoint(v.get("name", ""), _split(v.get("methods", "").upper()), roles))
                continue
            condition = v.get("condition", "")
            rule = Rule(roles, parse(condition) if condition else None)
            table, dot, column = v.get("name", "").partition(".")
            operation = v.get("operation", "read") or "read"
            if dot and column != "*":
                self._column_rules.setdefault((table, column, operation), []).append(rule)
            else:
                self._tables_rules.setdefault((table, operation), []).append(rule)

    def api(self, below: str, method: str, roles: frozenset[str]) -> bool:
        """Whether the API below /api/now may be called; every rule that fits must let through."""
        if ADMIN in roles:
            return True
        return not any(
            below.startswith(rule.path)
            and (not rule.methods or method in rule.methods)
            and rule.roles.isdisjoint(roles)
            for rule in self._endpoints
        )

    def sight(self, roles: frozenset[str], operation: str) -> Sight:
        """What these roles can do by one operation: read, create, write, delete."""
        key = (roles, operation)
        if key not in self._sights:
            self._sights[key] = Sight(
                self._tables,
                roles,
                {} if ADMIN in roles else {t: r for (t, o), r in self._tables_rules.items() if o == operation},
                {} if ADMIN in roles else {(t, c): r for (t, c, o), r in self._column_rules.items() if o == operation},
            )
        return self._sights[key]


class Sight:
    """What some roles can do by one operation."""

    def __init__(
        self,
        tables: Tables,
        roles: frozenset[str],
        table_rules: dict[str, list[Rule]],
        column_rules: dict[tuple[str, str], list[Rule]],
    ) -> None:
        self._tables = tables
        self._roles = roles
        self._table_rules = table_rules
        self._column_rules = column_rules
        self._columns: dict[tuple[str, str], bool] = {}
        self.open = not table_rules and not column_rules
        """Nothing is restricted at all."""

    def table(self, name: str) -> bool:
        """Whether some row of the table may be seen."""
        rules = self._of(name)
        return rules is None or any(rule.lets(self._roles, None) for rule in rules)

    def row(self, record: Record) -> bool:
        """Whether this row may be seen."""
        rules = self._of(record.table)
        return rules is None or any(rule.lets(self._roles, record) for rule in rules)

    def rows(self, records: Sequence[Record]) -> list[Record]:
        """Those that may be seen."""
        return [record for record in records if self.row(record)] if self._table_rules else list(records)

    def column(self, table: str, column: str) -> bool:
        """Whether a column may be seen."""
        key = (table, column)
        if not self._column_rules:
            return True
        if key not in self._columns:
            path = self._tables[table].path if table in self._tables else (table,)
            rules = next((self._column_rules[t, column] for t in path if (t, column) in self._column_rules), None)
            self._columns[key] = rules is None or any(rule.lets(self._roles, None) for rule in rules)
        return self._columns[key]

    def _of(self, name: str) -> list[Rule] | None:
        table = self._tables.get(name)
        for one in table.path if table else (name,):
            if one in self._table_rules:
                return self._table_rules[one]
        return None


def _split(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())
