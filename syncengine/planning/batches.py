"""What will be sent, cut to requests: units first, then the relations between them.

A batch of a later wave needs something of an earlier one. A dependent CI that is new travels with its host; an end
that stays as it is goes by its sys_id, and is counted as touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from syncengine.changes import Batch, StepInfo
from syncengine.planning.asking import flat_changes, joined
from syncengine.planning.units import CIS, Part, pack, parts
from syncengine.planning.workspace import Workspace
from syncengine.targets import FlatTarget

SENT = (
    "(a.action IN ('create','update','reclassify','retire')"
    " OR (a.action='touched' AND a.reason IN ('adopted','touch','along')))"
)


class Batches:
    """Makes the batches of a workspace whose answers are final."""

    def __init__(self, ws: Workspace, steps: Sequence[StepInfo], limit: int, flat: Mapping[int, FlatTarget]) -> None:
        self.ws = ws
        self.steps = steps
        self.limit = limit
        self.flat = flat
        """The target of each step whose records stand alone, by its number."""
        self.number = 0

    def all(self) -> Iterator[Batch]:
        """All batches, in the order in which they may be sent; batches of one wave need nothing of each other."""
        first = 0
        for wave in waves(self.ws):
            last = first
            for batch in self._units(wave, first):
                last = max(last, batch.wave)
                yield batch
            yield from self._flat(wave, first)
            first = last + 1
        yield from self._relations(first)

    def _units(self, wave: int, first: int) -> Iterator[Batch]:
        self._bring_units()
        where = f"r.wave={wave} AND r.origin=0 AND {CIS} AND ({SENT} OR r.op IN (SELECT op FROM temp.carried))"
        for packed in pack(parts(self.ws, where, self.limit, whole=False), self.limit):
            number = max(part.number for part in packed)
            yield self._batch(packed, first + number)

    def _flat(self, wave: int, first: int) -> Iterator[Batch]:
        """The records that stand alone, as their targets cut them."""
        for target in dict.fromkeys(self.flat.values()):
            for numbers in joined(target, [number for number, one in self.flat.items() if one is target]):
                step = self.steps[numbers[0]]
                where = (
                    f"+r.step IN ({', '.join(map(str, numbers))}) AND r.wave=? AND r.origin=0"
                    f" AND ({SENT} OR a.action IN ('attach','unknown'))"
                )
                changes = flat_changes(self.ws, self.steps, where, (wave,))
                for cut in target.cuts(step, changes):
                    yield self._numbered(first, step.data_source, [change.op for change in cut], [], [])

    def _bring_units(self) -> None:
        """Records that stay as they are but whose identifying relation is new: both ends have to be there."""
        self.ws.db.execute("CREATE TEMP TABLE IF NOT EXISTS carried(op INTEGER PRIMARY KEY)")
        self.ws.db.execute(
            "INSERT OR IGNORE INTO temp.carried SELECT CASE l.in_unit WHEN 1 THEN l.parent ELSE l.child END"
            " FROM link l JOIN answer a ON a.op=l.op WHERE l.in_unit>0 AND a.action='relate'"
        )

    def _batch(self, packed: list[Part], wave: int) -> Batch:
        items: list[int] = []
        ends: dict[int, None] = {}
        relations: list[int] = []
        context: list[int] = []
        for part in packed:
            sent = [change.op for change in part.items if change.is_sent]
            items.extend(sent)
            if len(part.items) + len(part.companions) < 2:
                continue  # alone, as most are: no relation identifies it
            here = set(sent)
            for op, parent, child, is_new in self._unit_relations(part, here):
                if is_new:
                    relations.append(op)
                    ends.update((end, None) for end in (parent, child) if end not in here)
                else:
                    context.append(op)
        source = self.steps[packed[0].items[0].step].data_source
        self._touch(list(ends))
        return self._numbered(wave, source, items, list(ends), relations, context)

    def _unit_relations(self, part: Part, here: set[int]) -> Iterator[tuple[int, int, int, bool]]:
        """Identifying relations of the part: new ones, and those by which a dependent that is sent is found."""
        present = {change.op for change in part.items}
        sql = (
            "SELECT l.op, l.parent, l.child, l.in_unit, a.action FROM link l JOIN answer a ON a.op=l.op"
            " WHERE l.unit=? AND l.in_unit>0 ORDER BY l.op"
        )
        for op, parent, child, in_unit, action in self.ws.rows(sql, (part.unit,)):
            dependent = parent if in_unit == 1 else child
            if dependent in present and action == "relate":
                yield op, parent, child, True
            elif dependent in here and action == "unchanged":
                yield op, parent, child, False

    def _relations(self, wave: int) -> Iterator[Batch]:
        rows = self.ws.rows(
            "SELECT l.op, l.step, l.parent, l.child FROM link l JOIN answer a ON a.op=l.op"
            " WHERE l.in_unit=0 AND l.origin=0 AND a.action='relate' ORDER BY l.op"
        )
        ends: dict[int, None] = {}
        relations: list[int] = []
        source = ""
        for op, step, parent, child in rows:
            fresh = len({parent, child} - ends.keys())
            wanted = self.steps[step].data_source
            if relations and (len(ends) + fresh > self.limit or len(relations) >= self.limit or source != wanted):
                yield self._ends_batch(wave, source, ends, relations)
                ends, relations = {}, []
            source = wanted
            ends[parent] = ends[child] = None
            relations.append(op)
        if relations:
            yield self._ends_batch(wave, source, ends, relations)

    def _ends_batch(self, wave: int, source: str, ends: dict[int, None], relations: list[int]) -> Batch:
        self._touch(list(ends))
        return self._numbered(wave, source, [], list(ends), relations)

    def _touch(self, ends: list[int]) -> None:
        """An end that stays as it is is still touched: the engine writes its discovery source and time."""
        self.ws.db.executemany("UPDATE record SET is_end=1 WHERE op=?", [(op,) for op in ends])
        self.ws.db.executemany(
            "UPDATE answer SET action='touched', reason='end' WHERE op=? AND action='unchanged'",
            [(op,) for op in ends],
        )

    def _numbered(
        self,
        wave: int,
        source: str,
        items: list[int],
        ends: list[int],
        relations: list[int],
        context: list[int] | None = None,
    ) -> Batch:
        number = self.number
        self.number += 1
        whose = "SELECT step FROM record WHERE op=?" if items else "SELECT step FROM link WHERE op=?"
        step = int(self.ws.one(whose, (items[0] if items else relations[0],)))
        all_ops = (tuple(items), tuple(ends), tuple(relations), tuple(context or ()))
        return Batch(number, wave, source, *all_ops, step)


def waves(ws: Workspace) -> range:
    """The waves of a workspace, in order."""
    return range((ws.one("SELECT MAX(wave) FROM record") or 0) + 1)
