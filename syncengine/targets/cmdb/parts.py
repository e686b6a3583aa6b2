"""Lookup and related rows whose fate an answer does not tell: older plain answers name them and say nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from syncengine.changes import Change, Part, Seen
from syncengine.transport.instance import Instance
from syncengine.transport.reader import Reader
from syncengine.transport.servicenow import list_value, table_rows

_AT_ONCE = 40


def fill_parts(answers: Iterable[tuple[Change, Seen]], instance: Instance, reader: Reader) -> None:
    """Say what would become of the rows around CIs, by reading those that are there."""
    wanted: dict[str, list[tuple[Change, Seen]]] = {}
    for change, answer in answers:
        parts = (*change.lookup, *change.related)
        if answer.code or not parts or any(answer.parts):
            continue
        if answer.operation == "INSERT":
            answer.parts = ("INSERT",) * len(parts)
            continue
        for table in {part.class_name for part in parts}:
            wanted.setdefault(table, []).append((change, answer))
    present: dict[tuple[str, str], list[dict[str, Any]]] = {}
    keys: dict[tuple[str, str], tuple[str, ...]] = {}
    for table, pairs in wanted.items():
        by_column: dict[str, list[tuple[Change, Seen]]] = {}
        for change, answer in pairs:
            info = instance.describe(change.class_name)
            column, keys[change.class_name, table] = info.parts.get(table, ("", ())) if info else ("", ())
            if column:
                by_column.setdefault(column, []).append((change, answer))
        for column, some in by_column.items():
            _read(table, column, some, present, reader)
    for change, answer in {
        id(answer): (change, answer) for pairs in wanted.values() for change, answer in pairs
    }.values():
        answer.parts = tuple(
            _fate(part, present.get((part.class_name, answer.sys_id)), keys[change.class_name, part.class_name])
            for part in (*change.lookup, *change.related)
        )


def _read(
    table: str,
    column: str,
    pairs: list[tuple[Change, Seen]],
    present: dict[tuple[str, str], list[dict[str, Any]]],
    reader: Reader,
) -> None:
    """The rows of a table around these CIs; a CI without any has an empty list."""
    names = {name for change, _ in pairs for part in (*change.lookup, *change.related) for name in part.values}
    fields = ("sys_id", column, *sorted(names - {column}))
    ids = sorted({answer.sys_id for _, answer in pairs if answer.sys_id})
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        present.update(((table, sys_id), []) for sys_id in some)
        for row in table_rows(reader, table, f"{column}IN{list_value(some)}", fields):
            present.setdefault((table, str(row.get(column) or "")), []).append(row)


def _fate(part: Part, rows: list[dict[str, Any]] | None, key: tuple[str, ...]) -> str:
    """What the engine would do with a row; nothing where the rows cannot be read."""
    if rows is None:
        return ""
    if any(_agree(part, row, part.values) for row in rows):
        return "NO_CHANGE"
    return "UPDATE" if any(_agree(part, row, key) for row in rows) else "INSERT"


def _agree(part: Part, row: dict[str, Any], names: Iterable[str]) -> bool:
    return all(str(row.get(name) or "") == part.values.get(name, "") for name in names)
