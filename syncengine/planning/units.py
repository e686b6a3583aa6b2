"""Units cut to what a request takes: a CI with all that lives in it, packed with others up to the limit.

A unit over the limit is cut; what hosts the records of a later part stands in that part again, as a companion.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec
import orjson

from syncengine.changes import Change, End
from syncengine.planning.workspace import Workspace, body_of

CIS = "+r.step IN (SELECT id FROM step WHERE kind='cmdb')"
"""Of the records, those that are CIs; what was found on the instance has no step.

The plus here and elsewhere: a step is most of the table, so its rows are read in their order, not through the index by
key, which would fetch each of them from another place.
"""


class Part(msgspec.Struct):
    """What one request carries of one or more units."""

    unit: int
    items: list[Change] = msgspec.field(default_factory=list)
    companions: list[int] = msgspec.field(default_factory=list)
    """Hosts of the items that are not among them."""
    number: int = 0
    """0 for the first part of a unit, then counting."""


def parts(ws: Workspace, where: str, limit: int, *, whole: bool = True) -> Iterator[Part]:
    """The records that `where` selects, unit by unit, hosts first, in parts of at most `limit`.

    `where` is a condition over `record r` and its `answer a`. Unless the records are wanted `whole`, they come without
    their values, and with what is known to become of them.
    """
    body, joined = ("b.body", " JOIN content b ON b.op=r.op") if whole else ("NULL", "")
    rows = ws.rows(
        f"SELECT r.op, r.step, r.key, r.class, r.host, r.unit, r.is_host, a.sys_id, a.action, a.reason, {body}"
        f" FROM record r{joined} LEFT JOIN answer a ON a.op=r.op"
        f" WHERE {where} ORDER BY r.wave, r.unit, r.depth, r.op"
    )
    part: Part | None = None
    hosts: set[int] = set()
    for op, step, key, class_name, host, unit, is_host, sys_id, action, reason, body in rows:
        if part is None or part.unit != unit:
            if part is not None:
                yield part
            part = Part(unit)
            hosts = set()
        elif len(part.items) + len(part.companions) >= limit - 1:
            number = part.number
            yield part
            part = Part(unit, number=number + 1)
            hosts = set()
        change = Change(op, "cmdb", step, key=key, class_name=class_name, sys_id=sys_id or "", host=host)
        if whole:
            fill(ws, change, body)
        elif action is not None:
            change.action, change.reason = action, reason or ""
        part.items.append(change)
        if host is not None and host not in hosts:
            hosts.add(host)
            part.companions.append(host)
        if is_host:
            hosts.add(op)
    if part is not None:
        yield part


def fill(ws: Workspace, change: Change, body: str, sensitive: Collection[str] = ()) -> None:
    """Give a change the values of its spilled record, references resolved as far as they are known."""
    values, refs, change.lookup, change.related, change.seen_at, change.native_key = body_of(body)
    change.values = values
    for name, step, key, find, take in refs:
        if find is not None and change.kind == "attach":
            if (found := _found(ws, find)) is not None:
                change.refs[name] = found
        elif find is not None:
            value, said = ws.db.execute("SELECT value, said FROM find WHERE id=?", (find,)).fetchone()
            if value is not None:
                change.values[name] = str(value)
                _table, where, taken, *_ = orjson.loads(said)
                if taken == "sys_id" and name not in sensitive:
                    change.names[name] = ", ".join(text for _, text in where)
        elif step is not None and key is not None:
            if take:
                _taken(ws, change, name, (step, key), take)
            elif (end := _end(ws, step, key)) is not None:
                change.refs[name] = end


def _found(ws: Workspace, find: int) -> End | None:
    """A record that was found on the instance, with its class: an id alone does not say where a file goes."""
    row = ws.db.execute(
        "SELECT f.op, r.key, a.sys_id, a.class FROM find f JOIN record r ON r.op=f.op JOIN answer a ON a.op=f.op"
        " WHERE f.id=?",
        (find,),
    ).fetchone()
    return None if row is None else End(row[0], "", row[1], row[2], row[3])


def _end(ws: Workspace, step: int, key: str) -> End | None:
    """The record of this plan whose id a field holds."""
    row = ws.db.execute(
        "SELECT r.op, a.sys_id, COALESCE(a.class, r.class) FROM record r LEFT JOIN answer a ON a.op=r.op"
        " WHERE r.step=? AND r.key=? AND r.main IS NULL AND r.gone IS NULL",
        (step, key),
    ).fetchone()
    if row is None:
        return None
    op, sys_id, class_name = row
    return End(op, ws.step_names[step], key, sys_id or "", class_name)


def _taken(ws: Workspace, change: Change, name: str, of: tuple[int, str], take: str) -> None:
    """A value of a record of this plan, by which the target will know it; what makes that record comes first."""
    row = ws.db.execute(
        "SELECT r.op, b.body, a.action FROM record r JOIN content b ON b.op=r.op LEFT JOIN answer a ON a.op=r.op"
        " WHERE r.step=? AND r.key=? AND r.main IS NULL AND r.gone IS NULL",
        of,
    ).fetchone()
    if row is None:
        return
    op, body, action = row
    values, *_, native_key = body_of(body)
    if take == "@key":
        value: str | None = native_key or of[1]
    else:
        value = ws.data_sources.get(of[0]) if take == "@source" else values.get(take)
    if value is not None:
        change.values[name] = value
    if action in ("create", "unknown") and op not in change.follows:
        change.follows = (*change.follows, op)


def pack(units: Iterator[Part], limit: int) -> Iterator[list[Part]]:
    """Parts together up to `limit` records; two parts of one unit never share a pack."""
    pack: list[Part] = []
    size = 0
    for part in units:
        needs = len(part.items) + len(part.companions)
        if pack and (size + needs > limit or pack[-1].unit == part.unit):
            yield pack
            pack, size = [], 0
        pack.append(part)
        size += needs
    if pack:
        yield pack
