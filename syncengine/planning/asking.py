"""The dry run: every record and every relation is asked of the target, in parallel, answers into the workspace.

Answers are stored by operation, so the order in which they arrive does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import orjson

from syncengine.changes import Change, End, Parcel, Seen, StepInfo
from syncengine.planning.checks import Identities
from syncengine.planning.units import RECORD, Part, fill, pack, parts
from syncengine.planning.workspace import Workspace
from syncengine.targets import Target
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
            self._store(seen)
            new = {answer.op for answer in seen if answer.action == "create"}
            rows = [row for change in parcel.items if change.op in new for row in self.identities.of(change)]
            self.ws.db.executemany("INSERT INTO identity VALUES(?,?,?)", rows)
            self.progress(len(parcel.items))
        self._implied_updates(wave)

    def _implied_updates(self, wave: int) -> None:
        """Records that will refer to one this plan makes: nobody could be asked about an id that is not there."""
        rows = self.ws.rows(
            "SELECT n.op, n.field, a.sys_id, a.class FROM need n CROSS JOIN record r ON r.op=n.op"
            " CROSS JOIN answer a ON a.op=n.op CROSS JOIN answer t ON t.op=n.target"
            " WHERE r.wave=? AND t.action='create' AND a.sys_id<>'' AND a.code='' ORDER BY n.op",
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
            (orjson.dumps([{**said[0], **before}, *said[1:]]), op),
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
            self._store(seen)
            self.progress(len(parcel.relations))

    def _preview(self, parcel: Parcel) -> list[Seen]:
        return self.target.preview(parcel, self.reader)

    # ── parcels ─────────────────────────────────────────────────────────────────────────────────

    def _unit_parcels(self, wave: int) -> Iterator[Parcel]:
        where = f"r.wave={wave} AND r.origin<2 AND r.unit NOT NULL AND a.code IS NULL"
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
                    f"SELECT {RECORD}, a.sys_id, COALESCE(a.class, r.class) FROM record r"
                    " LEFT JOIN answer a ON a.op=r.op WHERE r.op=?",
                    (at,),
                ).fetchone()
                if row is None:
                    break
                number, step, key, class_name, body, host, _unit, _is_host, _origin, sys_id, present = row
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

    # ── answers ─────────────────────────────────────────────────────────────────────────────────

    def _store(self, seen: Iterable[Seen]) -> None:
        """Keep what was said; of a companion that is asked again, the first answer stays."""
        self.ws.db.executemany(
            "INSERT OR IGNORE INTO answer(op,action,basis,sys_id,class,reason,code,message,body)"
            " VALUES(?,?,?,?,?,?,?,?,?)",
            [
                (
                    answer.op,
                    answer.action,
                    answer.basis,
                    answer.sys_id,
                    answer.class_name,
                    answer.reason,
                    answer.code,
                    answer.message,
                    _rest(answer),
                )
                for answer in seen
            ],
        )


def _rest(answer: Seen) -> bytes | None:
    rest = [answer.before, answer.was_class, answer.masked, answer.parts, answer.warnings, answer.same_as]
    return orjson.dumps(rest) if any(rest) else None


def _present_class(class_name: str, rest: bytes | None) -> str:
    """The class a record has now: before the plan is applied, where the plan would change it."""
    return (orjson.loads(rest)[1] if rest else "") or class_name
