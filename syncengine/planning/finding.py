"""Records that a spec names by what they hold (`find_in`): looked for once each, exactly one may be found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any
from urllib.parse import quote

import orjson

from syncengine.changes import StepInfo
from syncengine.errors import NOTHING_WRITTEN, AuthError, Problem, RemoteError, SpecError
from syncengine.planning.workspace import FOUND, Workspace
from syncengine.transport.dictionary import columns_of, is_not_readable, similar_tables
from syncengine.transport.reader import Reader
from syncengine.transport.servicenow import a_row, find_rows, is_listable, rows_in

TOGETHER = 1200
"""Characters of values that are looked for in one request: what a URL has room for."""
FURTHER = 300
"""How far ahead such values are looked for."""
_ALWAYS = ("sys_id", "sys_class_name", "discovery_source")


def find(ws: Workspace, readers: Mapping[str, Reader], steps: Sequence[StepInfo]) -> None:
    """Note for each record that is looked for which one it is, or why it is none.

    Raises SpecError for a table or column that the instance does not have: it ignores an unknown column without a
    word, and so it would read as if no record fitted. AuthError where it is there and hidden from this user.
    """
    checked: set[tuple[str, str, tuple[str, ...]]] = set()
    wanted = {number: tuple(orjson.loads(said)) for number, said in ws.rows("SELECT id, said FROM find ORDER BY id")}
    ahead: dict[int, list[dict[str, Any]]] = {}
    for number, (table, where, take, _if_missing, connection) in wanted.items():
        reader = readers[connection]
        names = tuple(dict.fromkeys((take, *(name for name, _ in where))))
        try:
            if number not in ahead:
                ahead |= _found_together(reader, wanted, number)
            rows = ahead.pop(number) if number in ahead else find_rows(reader, table, where, (*_ALWAYS, *names))
        except RemoteError as error:
            raise _unknown_table(error, reader, table, _place(ws, number, steps)) or error from error
        if (not rows or take not in rows[0]) and (connection, table, names) not in checked:
            checked.add((connection, table, names))
            _check_columns(reader, table, names, _place(ws, number, steps))
        said = f"{table} where " + ", ".join(f"{name} is {value!r}" for name, value in where)
        if len(rows) != 1:
            problem = f"no {said}" if not rows else f"{len(rows)} records: {said}"
            ws.db.execute("UPDATE find SET problem=?, several=? WHERE id=?", (problem, len(rows) > 1, number))
            continue
        row = rows[0]
        if take not in row:  # other rows show it
            ws.db.execute("UPDATE find SET problem=? WHERE id=?", (f"{said} shows no {take} to this user", number))
            continue
        op = ws.next_op
        ws.next_op += 1
        ws.db.execute(
            "UPDATE find SET op=?, value=?, owner=? WHERE id=?",
            (op, row[take], row.get("discovery_source", ""), number),
        )
        class_name = row.get("sys_class_name") or table
        ws.db.execute(
            "INSERT INTO record(op,step,key,class,origin,file,row,line,unit) VALUES(?,-1,?,?,?,0,0,0,?)",
            (op, said, class_name, FOUND, op),
        )
        ws.db.execute(
            "INSERT INTO answer(op,action,basis,sys_id,class) VALUES(?,'unchanged','compared',?,?)",
            (op, row["sys_id"], class_name),
        )


def _found_together(
    reader: Reader, wanted: Mapping[int, tuple[Any, ...]], first: int
) -> dict[int, list[dict[str, Any]]]:
    """Look at once for records that are named by different values of one column: a request for each takes long."""
    table, where, take, _, connection = wanted[first]
    if len(where) != 1:
        return {}
    (column, _), values, room = where[0], dict[str, list[int]](), TOGETHER
    for number in range(first, first + FURTHER):
        other = wanted.get(number)
        if other is None:
            break
        is_alike = (other[0], other[2], other[4]) == (table, take, connection)
        if is_alike and len(other[1]) == 1 and other[1][0][0] == column and is_listable(other[1][0][1]):
            value = other[1][0][1]
            room -= 0 if value in values else len(quote(value)) + 1
            if room < 0:
                break
            values.setdefault(value, []).append(number)
    if len(values) < 2 or not any(first in numbers for numbers in values.values()):
        return {}
    rows = rows_in(reader, table, column, list(values), (*_ALWAYS, take))
    if rows is None:
        return {}
    return {number: rows.get(value, []) for value, numbers in values.items() for number in numbers}


def _place(ws: Workspace, number: int, steps: Sequence[StepInfo]) -> str:
    """The line of the spec that looks for it."""
    spec = ws.one("SELECT MIN(spec) FROM link WHERE p_find=?1 OR c_find=?1", (number,))
    if spec is not None:
        return ws.texts[int(spec)]
    sql = "SELECT r.step, n.field FROM need n JOIN record r ON r.op=n.op WHERE n.find=? LIMIT 1"
    for step, field in ws.rows(sql, (number,)):
        return str(steps[step].fields.get(field, steps[step].position))
    return ""


def _unknown_table(error: RemoteError, reader: Reader, table: str, place: str) -> SpecError | None:
    near = similar_tables(reader, table) if is_not_readable(error) else None
    if near is None:
        return None
    said = f"find_in: {reader.host} has no table {table}, or shows it not to this user"
    fix = f"did you mean {near[0]}?" if near else "correct it, or ask the admin for read access"
    return SpecError(Problem("unknown-table", said, place, error.problems[0].found, fix), effect=NOTHING_WRITTEN)


def _check_columns(reader: Reader, table: str, names: Sequence[str], place: str) -> None:
    """Tell a column that is not there, or that nobody may read, from a value that no record has."""
    known = columns_of(reader, table)
    shown = a_row(reader, table, names)
    problems = []
    for name in names:
        first = name.partition(".")[0]
        if known and first not in known:
            close = get_close_matches(first, known, 1, 0.6)
            fix = f"did you mean {close[0]}?" if close else f"columns of it: {', '.join(sorted(known)[:30])}"
            problems.append(Problem("unknown-column", f"find_in: {table} has no column {name}", place, name, fix))
    if problems:
        raise SpecError(problems, effect=NOTHING_WRITTEN)
    if shown is None:
        return
    hidden = [name for name in names if name not in shown]
    if hidden:
        said = f"find_in: {table} shows no column {hidden[0]} to this user"
        fix = f"ask the admin for read access to {hidden[0]} of {table}, or look the record up by another column"
        raise AuthError(Problem("hidden-column", said, place, hidden[0], fix), effect=NOTHING_WRITTEN)
