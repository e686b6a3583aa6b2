"""Records as the Table API shows them: strings, references with links, display values, dot-walked fields."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from syncengine.sandbox.access import Sight
from syncengine.sandbox.store import Record
from syncengine.sandbox.tables import Column, Table
from syncengine.sandbox.world import World


class View(NamedTuple):
    """How records are to be shown."""

    fields: tuple[str, ...]
    """None given: all columns of the table that was asked."""
    display: str
    """false, true or all."""
    links: bool
    base: str


class Rows:
    """Shows records of one table."""

    def __init__(self, world: World, table: Table, view: View, sight: Sight) -> None:
        self._world = world
        self._sight = sight
        self._table = table
        self._view = view
        self._names: dict[tuple[str, str], str] = {}

    def show(self, records: Sequence[Record]) -> list[dict[str, Any]]:
        """The records, in their order."""
        fields = self._view.fields or tuple(sorted(self._table.columns))
        rows: list[dict[str, Any]] = [{} for _ in records]
        for name in fields:
            for row, value in zip(rows, self._field(records, name), strict=True):
                if value is not None:
                    row[name] = value
        return rows

    def _field(self, records: Sequence[Record], name: str) -> Iterable[Any]:
        if not self._sight.open and not self._sight.column(self._table.name, name.partition(".")[0]):
            # documented: what the user may not read is left out without an error
            hidden = None if self._world.settings["access.hidden_column"] == "absent" else ""
            return [hidden] * len(records)
        first, dot, rest = name.partition(".")
        if not dot:
            return self._plain(records, self._table, name)
        return self._walk(records, self._table, first, rest)

    def _walk(self, records: Sequence[Record | None], table: Table, first: str, rest: str) -> list[Any]:
        column = table.columns.get(first)
        target = self._world.tables.get(column.reference) if column and column.reference else None
        if target is None:
            return [None] * len(records)
        ids = [record.values.get(first, "") if record is not None else "" for record in records]
        found = self._world.store.get_many(target.root, set(ids) - {""})
        there = [found.get(sys_id) for sys_id in ids]
        name, dot, more = rest.partition(".")
        if not self._sight.open:
            there = [record if record is not None and self._sight.row(record) else None for record in there]
            if not self._sight.column(target.name, name):
                there = [None] * len(there)
        if dot:
            return self._walk(there, target, name, more)
        return [self._empty() if value is None else value for value in self._plain(there, target, name)]

    def _plain(self, records: Sequence[Record | None], table: Table, name: str) -> list[Any]:
        column = self._world.tables.column(table, name)
        if column is None and name != "sys_id":
            return [None] * len(records)  # documented: unknown names are ignored
        values = [value_of(record, name) if record is not None else "" for record in records]
        if column is not None and column.reference:
            return self._references(column, values)
        if column is not None and column.type == "reference":
            return [self._anywhere(record, value) for record, value in zip(records, values, strict=True)]
        return [self._scalar(record, column, name, value) for record, value in zip(records, values, strict=True)]

    def _scalar(self, record: Record | None, column: Column | None, name: str, value: str) -> Any:
        if self._view.display == "false":
            return value
        shown = value
        if value and column is not None and record is not None:
            shown = self._label(record, name, value)
        return shown if self._view.display == "true" else {"display_value": shown, "value": value}

    def _label(self, record: Record, name: str, value: str) -> str:
        if name == "sys_class_name":
            table = self._world.tables.get(value)
            return table.label if table else value
        known = self._world.tables.get(record.table)
        for ancestor in known.path if known else ():
            choices = self._world.choices.get((ancestor, name))
            if choices is not None:
                return choices.get(value, value)
        return value

    def _references(self, column: Column, values: Sequence[str]) -> list[Any]:
        view = self._view
        if view.display != "false":
            self._learn(column, values)
        shown: list[Any] = []
        for value in values:
            if not value:
                shown.append(self._empty())
                continue
            link = f"{view.base}/api/now/table/{column.reference}/{value}"
            name = self._names.get((column.reference, value), "")
            if view.display == "false":
                shown.append({"link": link, "value": value} if view.links else value)
            elif view.display == "true":
                shown.append({"display_value": name, "link": link} if view.links else name)
            else:
                shown.append({"display_value": name, "value": value, **({"link": link} if view.links else {})})
        return shown

    def _anywhere(self, record: Record | None, value: str) -> Any:
        """A reference to a record of a table that another column names: the target of a staging row (observed)."""
        table = self._world.tables.get(record.values.get("sys_target_table", "")) if record is not None else None
        if not value or table is None:
            return self._empty()
        return self._references(replace(_TARGET, reference=table.name), [value])[0]

    def _empty(self) -> Any:
        return {"display_value": "", "value": ""} if self._view.display == "all" else ""

    def _learn(self, column: Column, values: Iterable[str]) -> None:
        table = self._world.tables.get(column.reference)
        missing = {v for v in values if v and (column.reference, v) not in self._names}
        found = self._world.store.get_many(table.root, missing) if table and missing else {}
        for value in missing:
            record = found.get(value)
            # a value that names no record is shown as it is: columns such as sys_dictionary.reference hold names
            self._names[column.reference, value] = display_of(self._world, record) if record else value


_TARGET = Column(
    "sys_target_sys_id", "reference", "Target record", 32, "", False, False, "", False, "sys_import_set_row"
)


def display_of(world: World, record: Record) -> str:
    """The record's name for people."""
    table = world.tables.get(record.table)
    return value_of(record, table.display) if table else record.sys_id


def value_of(record: Record, name: str) -> str:
    """One value of a record; what it does not have is empty."""
    if name == "sys_id":
        return record.sys_id
    if name == "sys_class_name":
        return record.table
    return record.values.get(name, "")
