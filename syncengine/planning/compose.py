"""The workspace as the lines of a plan: every operation with what would become of it, in source order."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import Any, cast

import orjson

from syncengine.changes import SECOND_PASS, Change, End, StepInfo
from syncengine.planning.plan import StepCounts
from syncengine.planning.units import fill
from syncengine.planning.workspace import FOUND, PLANNED, Workspace, unread_body_of

_ANSWER = "a.action, a.basis, a.sys_id, a.class, a.reason, a.code, a.message, a.body"


class Composer:
    """Turns spilled rows into changes."""

    def __init__(self, ws: Workspace, steps: Sequence[StepInfo]) -> None:
        self.ws = ws
        self.steps = steps

    def changes(self) -> Iterator[Change]:
        """All operations by number: records, relations, rows that could not be read, and ends found elsewhere.

        They are for the lines of a plan, and for nothing else: most of their values are unread JSON.
        """
        streams = (self._records(), self._links(), self._bad(), self._foreign())
        yield from heapq.merge(*streams, key=lambda change: change.op)

    def _records(self) -> Iterator[Change]:
        rows = self.ws.rows(
            f"SELECT r.op, r.step, r.key, r.class, b.body, r.file, r.row, r.line, r.host, r.main, m.action, {_ANSWER}"
            " FROM record r JOIN content b ON b.op=r.op LEFT JOIN answer a ON a.op=r.op"
            " LEFT JOIN answer m ON m.op=r.main"
            " WHERE r.origin=? ORDER BY r.op",
            (PLANNED,),
        )
        for op, step, key, class_name, body, file, row, line, host, main, made, *answer in rows:
            change = Change(op, self.steps[step].kind, step, key=key, class_name=class_name, host=host)
            change.place = self.ws.place(file, row, line) if row else None
            self._answered(change, answer)
            if main is not None:
                change.reason = change.reason or SECOND_PASS
                change.follows = (main,) if made == "create" else ()
            if change.is_sent or change.action == "rejected":
                self._fill(change, body)
            yield change

    def _fill(self, change: Change, body: str) -> None:
        """Give a change its values: as the JSON that they are, where nothing in them has to be known."""
        values, refs, change.lookup, change.related, change.seen_at, change.native_key = unread_body_of(body)
        sensitive = self.steps[change.step].sensitive
        if refs or sensitive:
            fill(self.ws, change, body, sensitive)
        elif bytes(values) != b"{}":
            change.values = cast(dict[str, str], values)

    def _links(self) -> Iterator[Change]:
        ends = ", ".join(
            f"l.{name}, l.{side}_step, l.{side}_key, {side}.sys_id,"
            f" COALESCE({side}.class, l.{side}_class), l.{side}_find"
            for side, name in (("p", "parent"), ("c", "child"))
        )
        rows = self.ws.rows(
            f"SELECT l.op, l.step, l.type, l.spec, l.file, l.row, l.line, l.in_unit, {ends}, {_ANSWER}"
            " FROM link l LEFT JOIN answer a ON a.op=l.op LEFT JOIN answer p ON p.op=l.parent"
            " LEFT JOIN answer c ON c.op=l.child WHERE l.origin=? ORDER BY l.op",
            (PLANNED,),
        )
        for op, step, kind, spec, file, row, line, in_unit, *rest in rows:
            change = Change(op, "relation", step, type=kind, in_unit=bool(in_unit), spec=self.ws.texts[spec])
            change.place = self.ws.place(file, row, line)
            change.parent = self._end(*rest[0:6])
            change.child = self._end(*rest[6:12])
            self._answered(change, rest[12:])
            change.sys_id = change.class_name = ""
            yield change

    def _end(
        self, op: int | None, step: int | None, key: str | None, sys_id: str | None, class_name: Any, find: int | None
    ) -> End:
        name = self.ws.step_names[step] if step is not None and step >= 0 else ""
        if not key and op is not None:
            key = self.ws.one("SELECT key FROM record WHERE op=?", (op,))
        elif not key and find is not None:
            table, where, *_ = orjson.loads(self.ws.one("SELECT said FROM find WHERE id=?", (find,)))
            key = f"{table} {', '.join(value for _, value in where)}"
        return End(op or 0, name, key or "", sys_id or "", class_name or "")

    def _bad(self) -> Iterator[Change]:
        for op, step, key, code, message, file, row, line, fix in self.ws.rows("SELECT * FROM bad ORDER BY op"):
            change = Change(op, "cmdb", step, "rejected", "unknown", key=key, code=code, message=message)
            change.kind = self.steps[step].kind
            change.place = self.ws.place(file, row, line)
            change.reason, change.fix = "bad row", fix
            yield change

    def _foreign(self) -> Iterator[Change]:
        """Records of nobody's in this plan that it touches as ends: said, with who keeps them now."""
        rows = self.ws.rows(
            "SELECT r.op, r.key, r.origin, f.owner, a.sys_id, a.class FROM record r JOIN answer a ON a.op=r.op"
            " LEFT JOIN find f ON f.op=r.op WHERE r.origin<>? AND r.is_end=1 ORDER BY r.op",
            (PLANNED,),
        )
        for op, key, origin, owner, sys_id, class_name in rows:
            basis = "compared" if origin == FOUND else "engine"
            change = Change(op, "end", 0, "touched", basis, key=key, sys_id=sys_id, class_name=class_name)  # type: ignore[arg-type]
            change.reason = "foreign end"
            change.owner = owner or ""
            yield change

    def _answered(self, change: Change, answer: Sequence[Any]) -> None:
        action, basis, sys_id, class_name, reason, code, message, rest = answer
        if action is None:
            change.action, change.basis, change.code = "unknown", "unknown", "no-answer"
            return
        change.action, change.basis = action, basis
        change.sys_id = sys_id or ""
        change.class_name = class_name or change.class_name
        change.reason, change.code, change.message = reason or "", code or "", message or ""
        change.spec = change.spec or (self.steps[change.step].position if code else "")
        if rest is not None:
            change.before, change.was_class, masked, parts, _warnings, _same = orjson.loads(rest)
            change.masked = tuple(masked)
            if change.action != "unchanged":
                change.parts = tuple(parts)


def count(counts: dict[str, StepCounts], change: Change, steps: Sequence[StepInfo]) -> None:
    """Add one operation to the counts of its step."""
    if change.kind == "end":
        return
    of = counts[steps[change.step].name]
    of.add(change.action, change.basis)
    if change.action == "touched" and change.reason == "adopted":
        of.adopted += 1
    if change.action == "touched" and change.reason == "along":
        of.along += 1
    if change.action == "update" and change.reason in ("unexplained", "unreadable"):
        of.unexplained += 1
