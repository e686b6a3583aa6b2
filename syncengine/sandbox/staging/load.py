"""Rows into a staging table: which columns they fill, and what becomes of values that are no text or too long."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from syncengine.sandbox.injected import injector
from syncengine.sandbox.ledger import Entry, content_hash
from syncengine.sandbox.staging.transform import FAULT
from syncengine.sandbox.store import STAGING, Record
from syncengine.sandbox.tables import Column, Table
from syncengine.sandbox.world import World


def own_columns(world: World, table: Table) -> list[Column]:
    """The columns of a staging table that a row can fill: not those of every import set row."""
    inherited = world.tables[STAGING].columns
    return [column for name, column in table.columns.items() if name not in inherited]


class Loader:
    """Makes records of the rows of one request."""

    def __init__(self, world: World, table: Table, *, labels: bool = False) -> None:
        self._world = world
        self._table = table
        columns = own_columns(world, table)
        # of two columns with one label the first takes the value (inferred)
        self._names = {(c.label if labels else c.name): c for c in reversed(columns)}
        self._short = frozenset(c.name for c in columns if c.max_length <= 255)
        self._cut = world.settings["staging.too_long"] == "cut"
        self._row_bytes = world.settings.number("staging.row_bytes")
        self._fault: Callable[[], str] = injector.get() or (lambda: "")

    def load(self, rows: Sequence[Mapping[str, Any]], import_set: str, first: int, user: str) -> list[Record]:
        """Store rows as pending, numbered from `first`, inside the transaction that is open."""
        world, table = self._world, self._table
        now = world.clock.now()
        common = {
            "sys_import_set": import_set,
            "sys_import_state": "pending",
            "sys_class_name": table.name,
            "sys_created_on": now,
            "sys_created_by": user,
            "sys_updated_on": now,
            "sys_updated_by": user,
            "sys_mod_count": "0",
        }
        records, told = [], []
        for number, row in enumerate(rows, first):
            values, fault = self._values(row)
            record = Record(world.store.new_rid(), table.root, table.name, uuid4().hex, values)
            told_as = content_hash(values)
            told.append(Entry("stage", table.name, record.sys_id, told_as, told_as))
            values.update(common)
            values["sys_import_row"] = str(number)
            if fault:
                values[FAULT] = fault
            records.append(record)
        world.store.insert_many(records)
        world.ledger.write(now, told)
        return records

    def _values(self, row: Mapping[str, Any]) -> tuple[dict[str, str], str]:
        values: dict[str, str] = {}
        failed = self._fault()
        fault = f"{failed}: made by a fault rule" if failed else ""
        for key, given in row.items():
            column = self._names.get(key)
            if column is None:
                continue  # inferred: unknown columns are ignored
            text = given if isinstance(given, str) else as_text(given, self._world.settings["staging.null"])
            if len(text) > column.max_length > 0:
                if not self._cut:
                    fault = fault or f"Data too long for column '{column.name}'"
                text = text[: column.max_length]
            if text:
                values[column.name] = text
        if self._row_bytes:
            size = sum(len(text.encode()) for name, text in values.items() if name in self._short)
            if size > self._row_bytes:
                fault = fault or f"Row size too large (> {self._row_bytes})"
        return values, fault


def as_text(value: Any, null: object = "") -> str:
    """What is stored for a value that is no text: objects with `=` where JSON has `:` (documented)."""
    match value:
        case str():
            return value
        case None:
            return str(null)
        case bool():
            return "true" if value else "false"
        case Mapping():
            return "{" + ", ".join(f"{key}={as_text(one, 'null')}" for key, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(as_text(one, "null") for one in value) + "]"
    return str(value)
