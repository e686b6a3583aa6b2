"""The dictionary: which tables there are, who extends whom, which columns they have.

Read from the records of sys_db_object and sys_dictionary, so a table or column that is seeded exists at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from syncengine.sandbox.store import Record

SYSTEM = ("sys_id", "sys_created_on", "sys_created_by", "sys_updated_on", "sys_updated_by", "sys_mod_count", "sys_tags")
NUMERIC = frozenset({"integer", "float", "decimal", "longint"})


@dataclass(frozen=True, slots=True)
class Column:
    """One column of one table."""

    name: str
    type: str
    label: str
    max_length: int
    reference: str
    mandatory: bool
    read_only: bool
    default: str
    display: bool
    table: str
    """The table that brings the column in."""


@dataclass(slots=True)
class Table:
    """One table with all its columns, inherited ones first."""

    name: str
    label: str
    sys_id: str
    path: tuple[str, ...]
    """Itself, its parent, … its root."""
    columns: dict[str, Column] = field(default_factory=dict)
    children: list[str] = field(default_factory=list)
    below: tuple[str, ...] = ()
    """Itself and every table that extends it, at any depth."""
    booleans: frozenset[str] = frozenset()
    defaults: dict[str, str] = field(default_factory=dict)
    mandatory: tuple[str, ...] = ()

    @property
    def root(self) -> str:
        """The table at the end of the path; sys_ids are unique below one root."""
        return self.path[-1]

    @property
    def parent(self) -> str:
        """The table it extends, or nothing."""
        return self.path[1] if len(self.path) > 1 else ""

    @property
    def display(self) -> str:
        """The column that names a record."""
        own = [c.name for c in self.columns.values() if c.display]
        return own[-1] if own else next((c for c in ("name", "number") if c in self.columns), "sys_id")


class Tables:
    """All tables, by name."""

    def __init__(self, objects: Iterable[Record], dictionary: Iterable[Record]) -> None:
        rows = {record.sys_id: record.values for record in objects}
        parents = {v["name"]: rows.get(v.get("super_class", ""), {}).get("name", "") for v in rows.values()}
        own: dict[str, list[Column]] = {}
        names = {sys_id: values["name"] for sys_id, values in rows.items()}
        for record in dictionary:
            column = _column(record.values, names)
            if column is not None:
                own.setdefault(column.table, []).append(column)
        self.by_name: dict[str, Table] = {}
        self._below: dict[tuple[str, str], Column | None] = {}
        for sys_id, values in rows.items():
            name = values["name"]
            path = [name]
            while (parent := parents.get(path[-1], "")) and parent not in path:
                path.append(parent)
            self.by_name[name] = Table(name, values.get("label", name), sys_id, tuple(path))
        below: dict[str, list[str]] = {}
        for table in self.by_name.values():
            for ancestor in table.path:
                below.setdefault(ancestor, []).append(table.name)
            if table.parent in self.by_name:
                self.by_name[table.parent].children.append(table.name)
        for table in self.by_name.values():
            table.below = tuple(sorted(below[table.name]))
            for ancestor in reversed(table.path):
                for column in own.get(ancestor, ()):
                    table.columns[column.name] = column
            table.booleans = frozenset(c.name for c in table.columns.values() if c.type == "boolean")
            table.defaults = {c.name: c.default for c in table.columns.values() if c.default}
            table.mandatory = tuple(c.name for c in table.columns.values() if c.mandatory)

    def __contains__(self, name: str) -> bool:
        return name in self.by_name

    def __getitem__(self, name: str) -> Table:
        return self.by_name[name]

    def __iter__(self) -> Iterator[Table]:
        return iter(self.by_name.values())

    def get(self, name: str) -> Table | None:
        """The table, or None."""
        return self.by_name.get(name)

    def column(self, table: Table, name: str) -> Column | None:
        """A column of the table, or of one that extends it: lists of a parent may use both (observed)."""
        own = table.columns.get(name)
        if own is not None or (table.name, name) in self._below:
            return own or self._below[table.name, name]
        found = next((c for t in table.below if (c := self.by_name[t].columns.get(name))), None)
        self._below[table.name, name] = found
        return found

    def isa(self, name: str, ancestor: str) -> bool:
        """Whether a table is that one or extends it."""
        table = self.by_name.get(name)
        return table is not None and ancestor in table.path


def _column(values: dict[str, str], names: dict[str, str]) -> Column | None:
    element = values.get("element", "")
    if not element or values.get("active") == "false":
        return None
    reference = values.get("reference", "")
    return Column(
        element,
        values.get("internal_type", "string"),
        values.get("column_label", element),
        int(values.get("max_length", "40") or 40),
        names.get(reference, reference),
        values.get("mandatory") == "true",
        values.get("read_only") == "true",
        values.get("default_value", ""),
        values.get("display") == "true",
        values["name"],
    )
