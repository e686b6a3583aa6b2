"""The dry run: every record and every relation is asked of the target, in parallel, answers into the workspace.

Answers are stored by operation, so the order in which they arrive does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import orjson

from syncengine import spill
from syncengine.changes import SECOND_PASS, Change, End, Parcel, Seen, StepInfo
from syncengine.parcels import hushed, secrets_of
from syncengine.planning.checks import Identities, note_identities
from syncengine.planning.units import CIS, Part, fill, pack, parts
from syncengine.planning.workspace import Workspace
from syncengine.targets import FlatTarget, Target
from syncengine.transport.reader import Reader
from syncengine.transport.servicenow import rows_by_ids

Given = TypeVar("Given")
Got = TypeVar("Got")


def in_parallel(
    work: Callable[[Given], Got], things: Iterable[Given], permits: int, *, ahead: int = 2
) -> Iterator[tuple[Given, Got]]:
    """Do work on threads, at most `permits` at once, and hold at most `ahead` more than that; results as they come."""
    running: dict[Future[Got], Given] = {}
    with ThreadPoolExecutor(max_workers=permits, thread_name_prefix="ask") as pool:
        try:
            for thing in things:
                running[pool.submit(work, thing)] = thing
                if len(running) >= permits + ahead:
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield running.pop(future), future.result()
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield running.pop(future), future.result()
        finally:
            for future in running:
                future.cancel()


class Asking:
    """Asks for all records and relations of a workspace."""

    def __init__(
        self,
        ws: Workspace,
        target: Target,
        reader: Reader,
        steps: list[StepInfo],
        permits: int,
        progress: Callable[[int], None],
        identities: Identities,
    ) -> None:
        self.ws = ws
        self.target = target
        self.reader = reader
        self.steps = steps
        self.permits = permits
        self.progress = progress
        self.identities = identities

    def records(self, wave: int) -> None:
        """Ask for the records of a wave with the relations that identify them."""
        asked = in_parallel(self._preview, self._unit_parcels(wave), self.permits)
        for parcel, seen in asked:
            store(self.ws, _hushed(seen, parcel, self.steps))
            new = {answer.op for answer in seen if answer.action == "create"}
            rows = [row for change in parcel.items if change.op in new for row in self.identities.of(change)]
            spill.insert(self.ws.db, "INSERT INTO identity", rows)
            self.progress(len(parcel.items))
        self._implied_updates(wave)

    def _implied_updates(self, wave: int) -> None:
        """Records that will refer to one this plan makes: nobody could be asked about an id that is not there."""
        rows = self.ws.rows(
            "SELECT n.op, n.field, a.sys_id, a.class FROM need n CROSS JOIN record r ON r.op=n.op"
            " CROSS JOIN answer a ON a.op=n.op CROSS JOIN answer t ON t.op=n.target"
            f" WHERE r.wave=? AND {CIS} AND t.action='create' AND a.sys_id<>'' AND a.code='' ORDER BY n.op",
            (wave,),
        )
        wanted: dict[str, dict[str, tuple[int, list[str]]]] = {}
        for op, field, sys_id, class_name in rows:
            wanted.setdefault(class_name, {}).setdefault(sys_id, (op, []))[1].append(field)
        for table, records in wanted.items():
            fields = sorted({field for _, names in records.values() for field in names})
            for row in rows_by_ids(self.reader, table, list(records), fields):
                op, names = records[row["sys_id"]]
                self._make_update(op, {name: str(row.get(name) or "") for name in names})

    def _make_update(self, op: int, before: dict[str, str]) -> None:
        known = self.ws.one("SELECT body FROM answer WHERE op=?", (op,))
        said: list[Any] = orjson.loads(known) if known else [{}, "", [], [], [], []]
        self.ws.db.execute(
            "UPDATE answer SET body=?, basis='implied', reason='',"
            " action=CASE action WHEN 'reclassify' THEN action ELSE 'update' END WHERE op=?",
            (orjson.dumps([{**said[0], **before}, *said[1:]]).decode(), op),
        )

    def relations(self) -> None:
        """Ask for the relations between records that exist; the others follow from the records."""
        ws = self.ws
        for name in ("parent", "child"):
            ws.db.execute(
                "INSERT OR IGNORE INTO answer(op,action,basis,code,message)"
                " SELECT l.op,'rejected','implied',"
                " CASE a.code WHEN 'missing-endpoint' THEN a.code ELSE 'end-rejected' END,"
                " ?||' is rejected: '||a.message"
                f" FROM link l CROSS JOIN answer a ON a.op=l.{name} WHERE l.in_unit=0 AND a.action='rejected'",
                (name,),
            )
        ws.db.execute(
            "INSERT OR IGNORE INTO answer(op,action,basis) SELECT l.op,'relate','implied' FROM link l"
            " CROSS JOIN answer p ON p.op=l.parent CROSS JOIN answer c ON c.op=l.child"
            " WHERE l.in_unit=0 AND (p.action='create' OR c.action='create')"
        )
        for parcel, seen in in_parallel(self._preview, self._relation_parcels(), self.permits):
            store(self.ws, seen)
            self.progress(len(parcel.relations))

    def _preview(self, parcel: Parcel) -> list[Seen]:
        return self.target.preview(parcel, self.reader)

    # ── parcels ─────────────────────────────────────────────────────────────────────────────────

    def _unit_parcels(self, wave: int) -> Iterator[Parcel]:
        where = f"r.wave={wave} AND r.origin<2 AND {CIS} AND r.unit NOT NULL AND a.code IS NULL"
        for packed in pack(parts(self.ws, where, self.target.batch_limit), self.target.batch_limit):
            yield self._parcel(packed)

    def _parcel(self, packed: list[Part]) -> Parcel:
        items: list[Change] = []
        ends: list[End] = []
        relations: list[Change] = []
        for part in packed:
            self._companions(part, items, ends)
            items.extend(part.items)
        present = {item.op for item in items} | {end.op for end in ends}
        for part in packed:
            if len(part.items) + len(part.companions) > 1:
                relations.extend(self._unit_relations(part.unit, present))
        return Parcel(self.steps[items[0].step].data_source, items, ends, relations)

    def _companions(self, part: Part, items: list[Change], ends: list[End]) -> None:
        """Hosts that are not part of it: by id where they exist, in full (with their own hosts) where they do not."""
        for op in part.companions:
            found: list[Change] = []
            at: int | None = op
            while at is not None:
                row = self.ws.db.execute(
                    "SELECT r.op, r.step, r.key, r.class, r.host, b.body, a.sys_id, COALESCE(a.class, r.class)"
                    " FROM record r LEFT JOIN content b ON b.op=r.op LEFT JOIN answer a ON a.op=r.op WHERE r.op=?",
                    (at,),
                ).fetchone()
                if row is None:
                    break
                number, step, key, class_name, host, body, sys_id, present = row
                if sys_id:
                    if all(end.op != number for end in ends):
                        ends.append(End(number, "", key, sys_id, present))
                    break
                change = Change(number, "cmdb", step, key=key, class_name=class_name, host=host)
                fill(self.ws, change, body)
                found.append(change)
                at = host
            for change in reversed(found):
                if all(item.op != change.op for item in items):
                    items.append(change)

    def _unit_relations(self, unit: int, present: set[int]) -> Iterator[Change]:
        sql = "SELECT op, step, type, parent, child FROM link WHERE unit=? AND in_unit>0 ORDER BY op"
        for op, step, kind, parent, child in self.ws.rows(sql, (unit,)):
            if parent in present and child in present:
                ends = End(parent, "", ""), End(child, "", "")
                yield Change(op, "relation", step, type=kind, parent=ends[0], child=ends[1], in_unit=True)

    def _relation_parcels(self) -> Iterator[Parcel]:
        rows = self.ws.rows(
            "SELECT l.op, l.step, l.type, l.parent, p.sys_id, p.class, p.body, l.child, c.sys_id, c.class, c.body"
            " FROM link l CROSS JOIN answer p ON p.op=l.parent CROSS JOIN answer c ON c.op=l.child"
            " WHERE l.in_unit=0 AND l.origin=0 AND p.sys_id<>'' AND c.sys_id<>''"
            " AND NOT EXISTS(SELECT 1 FROM answer a WHERE a.op=l.op) ORDER BY l.op"
        )
        limit = self.target.batch_limit
        parcel: Parcel | None = None
        ends: dict[int, End] = {}
        for op, step, kind, parent, p_id, p_class, p_body, child, c_id, c_class, c_body in rows:
            source = self.steps[step].data_source
            fresh = len({parent, child} - ends.keys())
            full = parcel is not None and (
                len(ends) + fresh > limit or len(parcel.relations) >= limit or parcel.data_source != source
            )
            if parcel is None or full:
                if parcel is not None:
                    parcel.ends = list(ends.values())
                    yield parcel
                parcel, ends = Parcel(source, [], [], []), {}
            ends[parent] = End(parent, "", "", p_id, _present_class(p_class, p_body))
            ends[child] = End(child, "", "", c_id, _present_class(c_class, c_body))
            parcel.relations.append(Change(op, "relation", step, type=kind, parent=ends[parent], child=ends[child]))
        if parcel is not None:
            parcel.ends = list(ends.values())
            yield parcel


class FlatAsking:
    """Asks one target about the records that stand alone, a wave at a time."""

    def __init__(
        self,
        ws: Workspace,
        target: FlatTarget,
        reader: Reader,
        numbers: Iterable[int],
        permits: int,
        progress: Callable[[int], None],
    ) -> None:
        self.ws = ws
        self.target = target
        self.reader = reader
        self.numbers = tuple(numbers)
        self.permits = permits
        self.progress = progress

    def records(self, wave: int) -> None:
        """Ask about the records of a wave, those that other plans make and this one names among them."""
        for number in self.numbers:
            self._follow(number, wave)
            self.target.coming(self.target.steps[number], self._changes(number, wave))
            asked = in_parallel(self._preview, self._parcels(number, wave), self.permits)
            for parcel, seen in asked:
                store(self.ws, _hushed(seen, parcel, self.target.steps))
                note_identities(self.ws, number, seen)
                self.progress(len(parcel.items))

    def _follow(self, number: int, wave: int) -> None:
        """A second pass over a record that is not there yet cannot be asked about: it fills fields of what is made."""
        self.ws.db.execute(
            "INSERT OR IGNORE INTO answer(op,action,basis,code,message)"
            " SELECT r.op, CASE m.action WHEN 'rejected' THEN 'rejected' ELSE 'update' END, 'implied',"
            " CASE m.action WHEN 'rejected' THEN 'host-rejected' ELSE '' END,"
            " CASE m.action WHEN 'rejected' THEN 'the record that it completes is rejected' ELSE '' END"
            " FROM record r JOIN answer m ON m.op=r.main"
            " WHERE +r.step=? AND r.wave=? AND m.action IN ('create','rejected')",
            (number, wave),
        )

    def _preview(self, parcel: Parcel) -> list[Seen]:
        return self.target.preview(parcel, self.reader)

    def _changes(self, number: int, wave: int) -> Iterator[Change]:
        where = "+r.step=? AND r.wave=? AND r.origin<2 AND a.op IS NULL"
        return flat_changes(self.ws, self.target.steps, where, (number, wave))

    def _parcels(self, number: int, wave: int) -> Iterator[Parcel]:
        source = self.target.steps[number].data_source
        items: list[Change] = []
        for change in self._changes(number, wave):
            items.append(change)
            if len(items) == self.target.ask_size:
                yield Parcel(source, items, [], [])
                items = []
        if items:
            yield Parcel(source, items, [], [])


def joined(target: FlatTarget, numbers: Iterable[int]) -> list[list[int]]:
    """Steps of a target, those together whose rows of one owner travel together."""
    found: dict[str, list[int]] = {}
    for number in numbers:
        step = target.steps[number]
        found.setdefault(target.replaces(step.options, step.data_source) or f"\n{number}", []).append(number)
    return list(found.values())


def send_together(ws: Workspace, target: FlatTarget, numbers: Iterable[int]) -> None:
    """Send along what stays as it is, where the target would otherwise lose it; hold back what would lose more.

    Asked when it is known what else is rejected.
    """
    for some in joined(target, numbers):
        which = ", ".join(map(str, some))
        changes = flat_changes(ws, target.steps, f"+r.step IN ({which}) AND r.origin=0", ())
        is_whole = not ws.one(f"SELECT COUNT(*) FROM bad WHERE step IN ({which})")
        found = target.together(target.steps[some[0]], changes, is_whole=is_whole)
        ws.db.executemany(
            "UPDATE answer SET action='touched', reason='along' WHERE op=? AND action='unchanged'",
            ((op,) for op in found.along),
        )
        ws.db.executemany(
            "UPDATE answer SET action='rejected', code='owner-held', message='an import of it removes what its"
            " owner has besides, and a row that is rejected may be that' WHERE op=?",
            ((op,) for op in found.held),
        )


def flat_changes(ws: Workspace, steps: Sequence[StepInfo], where: str, parameters: Sequence[Any]) -> Iterator[Change]:
    """Records that stand alone, in source order, as far as they are known; `where` is over `record r`, `answer a`."""
    rows = ws.rows(
        "SELECT r.op, r.step, r.key, r.class, b.body, r.main, r.file, r.row, r.line, m.action, m.sys_id,"
        " a.action, a.basis, a.sys_id, a.class, a.reason, a.body FROM record r JOIN content b ON b.op=r.op"
        " LEFT JOIN answer a ON a.op=r.op LEFT JOIN answer m ON m.op=r.main"
        f" WHERE {where} ORDER BY r.op",
        parameters,
    )
    for op, step, key, class_name, body, main, file, row, line, made, made_id, *known in rows:
        change = Change(op, steps[step].kind, step, key=key, class_name=class_name, sys_id=made_id or "")
        change.place = ws.place(file, row, line) if row else None
        if main is not None:
            change.reason = SECOND_PASS
            if made == "create":
                change.follows = (main,)
        action, basis, sys_id, present, reason, rest = known
        if action is not None:
            change.action, change.basis, change.sys_id = action, basis, sys_id or change.sys_id
            change.class_name, change.reason = present or class_name, reason or change.reason
            if rest is not None:
                change.before = orjson.loads(rest)[0]
        fill(ws, change, body)
        yield change


# ── answers ─────────────────────────────────────────────────────────────────────────────────────


def _hushed(seen: Sequence[Seen], parcel: Parcel, steps: Sequence[StepInfo]) -> Sequence[Seen]:
    """Answers whose messages say nothing that is sensitive: one may name any item of its request."""
    if secrets := secrets_of(parcel, steps):
        for answer in seen:
            answer.message, answer.reason = hushed(answer.message, secrets), hushed(answer.reason, secrets)
    return seen


def store(ws: Workspace, seen: Iterable[Seen]) -> None:
    """Keep what was said; of a companion that is asked again, the first answer stays."""
    plain: list[tuple[object, ...]] = []
    others: list[tuple[object, ...]] = []
    for one in seen:
        rest = (one.before, one.was_class, one.masked, one.parts, one.warnings, one.same_as)
        body = orjson.dumps(rest).decode() if any(rest) else None
        row = (one.op, one.action, one.basis, one.sys_id, one.class_name)
        if body or one.reason or one.code or one.message:
            others.append((*row, one.reason, one.code, one.message, body))
        else:
            plain.append(row)
    spill.insert(ws.db, "INSERT OR IGNORE INTO answer(op,action,basis,sys_id,class)", plain)
    spill.insert(ws.db, "INSERT OR IGNORE INTO answer", others)


def _present_class(class_name: str, rest: str | None) -> str:
    """The class a record has now: before the plan is applied, where the plan would change it."""
    return (orjson.loads(rest)[1] if rest else "") or class_name
