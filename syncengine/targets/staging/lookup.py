"""Reads what a simulation needs of the target: referenced records, and the records that have the rows' keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from syncengine.errors import SourceError
from syncengine.targets.staging.facts import Facts, TransformMap
from syncengine.targets.staging.transform import Left, Mapped, fold, is_match
from syncengine.transport.servicenow import list_value, query_value

URL = 1950
"""Characters of an address: beyond 2000 servers answer with web pages."""
FIELDS_ROOM = 900
MOST_KEPT = 50_000
LEAST = 300
"""Characters that are left for a query in any case."""


def references(facts: Facts, wanted: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str, str], list[str] | None]:
    """The ids of referenced records, by table, column and value as it came."""
    groups: dict[tuple[str, str], list[str]] = {}
    found: dict[tuple[str, str, str], list[str] | None] = {}
    for one in sorted(wanted):
        if (known_before := facts.found.get(one)) is not None:
            found[one] = known_before
        else:
            groups.setdefault(one[:2], []).append(one[2])
    for (table, column), texts in groups.items():
        by_value: dict[str, list[str]] = {}
        readable = True
        askable = [text for text in texts if _is_askable(text)]
        room = _room(facts, table, ("sys_id", column))
        for query in _lists(column, askable, room):
            hidden: list[int] = []
            rows = facts.rows(table, query, ("sys_id", column), hidden=hidden)
            if rows is None or hidden:
                readable = False
                break
            for row in rows:
                by_value.setdefault(fold(str(row.get(column) or "")), []).append(row["sys_id"])
        asked = set(askable)
        for text in texts:
            known = by_value.get(fold(text), []) if readable and text in asked else None
            found[table, column, text] = ids = list(dict.fromkeys(known)) if known is not None else None
            if ids and len(ids) == 1 and len(facts.found) < MOST_KEPT:
                facts.found[table, column, text] = ids
    return found


def _is_askable(text: str) -> bool:
    try:
        query_value(text)
    except SourceError:
        return False
    return True


def _room(facts: Facts, table: str, fields: Sequence[str]) -> int:
    """Characters that an address has left for a query."""
    said = len(facts.base_url) + len(table) + len(",".join(fields)) + 180
    return max(LEAST, URL - said)


def _size(text: str) -> int:
    """Characters of a value in an address."""
    return len(quote(text)) + 1


def _lists(column: str, texts: Sequence[str], most: int) -> Iterator[str]:
    """Queries for one column, cut to what an address carries; what holds a comma is asked for by itself."""
    some: list[str] = []
    room = most
    for text in sorted({fold(text) for text in texts}):
        if "," in text:
            yield f"{column}={text}"
            continue
        size = _size(text)
        if some and size > room:
            yield f"{column}IN{list_value(some)}"
            some, room = [], most
        some.append(text)
        room -= size
    if some:
        yield f"{column}IN{list_value(some)}"


def records(
    facts: Facts, one: TransformMap, keyed: Mapping[int, dict[str, str]], fields: Sequence[str]
) -> dict[int, list[dict[str, Any]] | Left]:
    """The records that have each row's key, by operation; a Left where that cannot be known."""
    found: dict[int, list[dict[str, Any]] | Left] = {}
    plain: dict[int, dict[str, str]] = {}
    for op, key in keyed.items():
        if all(_is_askable(text) for text in key.values()):
            plain[op] = key
        else:
            found[op] = Left("unknown", "its key holds ^ or a line break, which a query cannot ask for")
    names = _fields(fields)
    for query, ops in _queries(plain, _room(facts, one.target.name, names)):
        hidden: list[int] = []
        rows = facts.rows(one.target.name, query, names, hidden=hidden)
        for op in ops:
            matching = [row for row in rows or () if is_match(one, plain[op], row)]
            if rows is None:
                found[op] = Left("unknown", f"table {one.target.name} cannot be read")
            elif hidden and not matching:
                found[op] = Left("unknown", f"records of {one.target.name} are hidden from this user; it may be there")
            else:
                found[op] = matching
    return found


def _fields(fields: Sequence[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(("sys_id", *fields)))
    return names if len(",".join(names)) <= FIELDS_ROOM else ()


def _queries(keyed: Mapping[int, dict[str, str]], room: int) -> Iterator[tuple[str, list[int]]]:
    """Queries for many keys at once: each column is one of several values, so more is found than asked for."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for op, key in keyed.items():
        alone = any(not text or "," in text for text in key.values())
        groups.setdefault((*key, str(op)) if alone else tuple(key), []).append(op)
    for ops in groups.values():
        some: list[int] = []
        values: dict[str, dict[str, None]] = {}
        size = 0
        for op in ops:
            key = keyed[op]
            more = sum(_size(text) for text in key.values())
            if some and size + more > room:
                yield _query(values), some
                some, values, size = [], {}, 0
            some.append(op)
            size += more
            for name, text in key.items():
                values.setdefault(name, {})[fold(text)] = None
        if some:
            yield _query(values), some


def _query(values: Mapping[str, Mapping[str, None]]) -> str:
    clauses = []
    for name, texts in values.items():
        listed = list(texts)
        if len(listed) == 1:
            clauses.append(f"{name}={listed[0]}" if listed[0] else f"{name}ISEMPTY")
        else:
            clauses.append(f"{name}IN{list_value(listed)}")
    return "^".join(clauses)


def read_columns(one: TransformMap, values: Iterable[Mapping[str, Mapped]]) -> list[str]:
    """The columns of the target that have to be read, with what shows a referenced record."""
    names = dict.fromkeys(entry.target for entry in one.coalesce)
    for made in values:
        names.update(dict.fromkeys(made))
    if one.mandatory != "no":
        names.update(dict.fromkeys(c.name for c in one.target.columns.values() if c.mandatory))
    shown = []
    for name in names:
        column = one.target.columns.get(name)
        if column is not None and column.reference:
            entry = next((each for each in one.entries if each.target == name), None)
            by = (entry.by if entry else "") or one.displays.get(column.reference, "")
            if by and by != "sys_id":
                shown.append(f"{name}.{by}")
    return [name for name in (*names, *shown) if name in shown or name in one.target.columns]
