"""The operations of a plan while it is applied: spilled to a private file, with what became of each.

An end that did not exist at plan time gets its id here, from the outcome of the operation that made it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import orjson

from syncengine import spill
from syncengine.changes import SENT, SENT_REASONS, Batch, Change, End, Outcome, Parcel
from syncengine.planning.lines import batch_from_line, change_from_line
from syncengine.planning.plan_file import PlanFile
from syncengine.planning.sealing import Sealer, opened

_MARKS = 400
_WITHOUT_OUTCOME = "CASE c.action WHEN 'rejected' THEN 'rejected' ELSE 'not_sent' END"


SCHEMA = """
CREATE TABLE change(
  op INTEGER PRIMARY KEY, step INTEGER, action TEXT, sent INTEGER, sys_id TEXT, class TEXT, line TEXT);
CREATE TABLE batch(number INTEGER PRIMARY KEY, wave INTEGER, line TEXT);
CREATE TABLE outcome(
  op INTEGER PRIMARY KEY, result TEXT, sys_id TEXT, operation TEXT, code TEXT, message TEXT, cause INTEGER,
  masked INTEGER, class TEXT);
"""


class Operations:
    """Random access to the lines of one plan."""

    def __init__(self, plan: PlanFile, path: Path, sealer: Sealer | None = None) -> None:
        self.plan = plan
        self._sealer = sealer
        self.drifted: list[int] = []
        """Operations whose write did something else than planned."""
        self.doubled: list[int] = []
        """Operations that something on the way delivered twice."""
        self.db = spill.opened(path, SCHEMA)
        self._load()

    def _load(self) -> None:
        changes: list[tuple[object, ...]] = []
        batches: list[tuple[object, ...]] = []
        for line, said in self.plan.raw():
            if said.op is not None:
                action = said.action
                sent = int(action in SENT or (action == "touched" and said.reason in SENT_REASONS))
                changes.append((said.op, said.step, action, sent, said.sys_id, said.class_name, line))
            else:
                batches.append((said.batch, said.wave, line))
            if len(changes) + len(batches) >= 1000:
                self._flush(changes, batches)
        self._flush(changes, batches)

    def _flush(self, changes: list[tuple[object, ...]], batches: list[tuple[object, ...]]) -> None:
        spill.insert(self.db, "INSERT INTO change", changes)
        spill.insert(self.db, "INSERT INTO batch", batches)
        changes.clear()
        batches.clear()

    def close(self) -> None:
        """Forget everything."""
        self.db.close()

    # ── batches ─────────────────────────────────────────────────────────────────────────────────

    def waves(self) -> list[int]:
        """The waves, in order."""
        return [row[0] for row in self.db.execute("SELECT DISTINCT wave FROM batch ORDER BY wave")]

    def batches(self, wave: int) -> Iterator[Batch]:
        """The batches of a wave, in order."""
        cursor = self.db.cursor().execute("SELECT line FROM batch WHERE wave=? ORDER BY number", (wave,))
        for (line,) in cursor:
            yield batch_from_line(line)

    def count_sent(self) -> int:
        """How many operations the plan wants to do."""
        return int(self.db.execute("SELECT COUNT(*) FROM change WHERE sent=1").fetchone()[0])

    def changes(self, ops: Sequence[int]) -> dict[int, Change]:
        """Operations by number."""
        found: dict[int, Change] = {}
        for start in range(0, len(ops), _MARKS):
            some = ops[start : start + _MARKS]
            marks = ",".join("?" * len(some))
            for (line,) in self.db.execute(f"SELECT line FROM change WHERE op IN ({marks})", some):
                change = change_from_line(line)
                found[change.op] = opened(change, self.plan.header.steps[change.step], self._sealer)
        return found

    # ── outcomes ────────────────────────────────────────────────────────────────────────────────

    def settle(self, outcomes: Iterable[Outcome]) -> None:
        """Keep what became of operations; the first word stands."""
        plain: list[tuple[object, ...]] = []
        others: list[tuple[object, ...]] = []
        for one in outcomes:
            if one.code or one.message or one.cause is not None or one.masked or one.table:
                more = (one.code, one.message, one.cause, len(one.masked), one.table)
                others.append((one.op, one.result, one.sys_id, one.operation, *more))
            else:
                plain.append((one.op, one.result, one.sys_id, one.operation))
        spill.insert(self.db, "INSERT OR IGNORE INTO outcome(op,result,sys_id,operation)", plain)
        spill.insert(self.db, "INSERT OR IGNORE INTO outcome", others)

    def settled(self, ops: Sequence[int]) -> set[int]:
        """Those of the operations that have an outcome."""
        found: set[int] = set()
        for start in range(0, len(ops), _MARKS):
            some = ops[start : start + _MARKS]
            marks = ",".join("?" * len(some))
            found.update(row[0] for row in self.db.execute(f"SELECT op FROM outcome WHERE op IN ({marks})", some))
        return found

    def unapplied(self) -> Iterator[tuple[Change, str, str, str]]:
        """Operations that were wanted and not applied: change, result, code, message; refused rows of the plan, too."""
        cursor = self.db.cursor().execute(
            f"SELECT c.line, COALESCE(o.result, {_WITHOUT_OUTCOME}),"
            " COALESCE(o.code,''), COALESCE(o.message,'') FROM change c LEFT JOIN outcome o ON o.op=c.op"
            " WHERE (c.sent=1 AND COALESCE(o.result,'') NOT IN ('applied','unchanged')) OR c.action='rejected'"
            " ORDER BY c.op"
        )
        for line, result, code, message in cursor:
            yield change_from_line(line), result, code, message

    def wanted(self) -> Iterator[tuple[Change, Outcome]]:
        """Operations that were wanted or refused in the plan, in its order, with what became of each."""
        cursor = self.db.cursor().execute(
            f"SELECT c.line, COALESCE(o.result, {_WITHOUT_OUTCOME}), COALESCE(o.sys_id,''), COALESCE(o.operation,''),"
            " COALESCE(o.code,''), COALESCE(o.message,''), o.cause FROM change c LEFT JOIN outcome o ON o.op=c.op"
            " WHERE c.sent=1 OR c.action='rejected' ORDER BY c.op"
        )
        for line, result, sys_id, operation, code, message, cause in cursor:
            change = change_from_line(line)
            said = (code or change.code, message or change.message)
            yield change, Outcome(change.op, result, sys_id or change.sys_id, operation, *said, cause)

    def of_step(self, step: int, word: str) -> Iterator[tuple[Change, Outcome | None]]:
        """What the plan has of a step and names this word, with what became of it; None where nothing had to."""
        cursor = self.db.cursor().execute(
            "SELECT c.line, o.result, COALESCE(o.sys_id,''), COALESCE(o.operation,''), COALESCE(o.code,''),"
            " COALESCE(o.message,''), o.cause FROM change c LEFT JOIN outcome o ON o.op=c.op"
            " WHERE c.step=? AND (?='' OR instr(c.line, ?)) ORDER BY c.op",
            (step, word, orjson.dumps(word).decode()),
        )
        for line, result, *said in cursor:
            change = change_from_line(line)
            yield change, Outcome(change.op, result, *said) if result is not None else None

    def done(self, steps: Sequence[int]) -> Iterator[tuple[int, Change]]:
        """What of some steps is on the target as planned: applied, or unchanged to begin with."""
        marks = ",".join("?" * len(steps))
        cursor = self.db.cursor().execute(
            "SELECT c.step, c.line FROM change c LEFT JOIN outcome o ON o.op=c.op"
            f" WHERE c.step IN ({marks}) AND c.action<>'rejected'"
            " AND (c.sent=0 OR COALESCE(o.result,'') IN ('applied','unchanged')) ORDER BY c.op",
            steps,
        )
        for step, line in cursor:
            yield step, change_from_line(line)

    def totals(self) -> Iterator[tuple[int, str, str, int]]:
        """How many operations of each step and action have which result."""
        result = f"COALESCE(o.result, {_WITHOUT_OUTCOME})"
        yield from self.db.execute(
            f"SELECT c.step, c.action, {result}, COUNT(*) FROM change c LEFT JOIN outcome o ON o.op=c.op"
            " WHERE c.sent=1 OR c.action='rejected' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )

    def count(self, action: str) -> int:
        """How many operations of the plan have an action and are not sent as themselves."""
        sql = "SELECT COUNT(*) FROM change WHERE action=? AND sent=0"
        return int(self.db.execute(sql, (action,)).fetchone()[0])

    def masked(self) -> int:
        """How many applied operations had fields refused by the target's reconciliation rules."""
        return int(self.db.execute("SELECT COUNT(*) FROM outcome WHERE masked>0").fetchone()[0])

    def _known(self, op: int) -> tuple[str, str, str, str]:
        """Id, class, action and result of an operation, as known now."""
        row = self.db.execute(
            "SELECT COALESCE(NULLIF(o.sys_id,''), c.sys_id), COALESCE(NULLIF(o.class,''), c.class), c.action,"
            " COALESCE(o.result,'')"
            " FROM change c LEFT JOIN outcome o ON o.op=c.op WHERE c.op=?",
            (op,),
        ).fetchone()
        return row or ("", "", "", "")

    # ── parcels ─────────────────────────────────────────────────────────────────────────────────

    def parcel(self, batch: Batch) -> tuple[Parcel, list[Outcome]]:
        """What is left of a batch to send, ids filled in; and what cannot be sent, with its cause."""
        done = self.settled(batch.ops)
        wanted = [op for op in batch.ops if op not in done]
        ends = set(batch.ends)
        changes = self.changes([*wanted, *batch.context])
        items = {op: changes[op] for op in batch.items if op in changes and op not in done}
        blocked: dict[int, Outcome] = {}
        for op, change in list(items.items()):
            if change.host is None and not change.refs and not change.follows:
                continue  # most: they need nobody
            cause = self._blocked_by(change, items)
            if cause is None:
                change.refs = {name: self._resolved(end) for name, end in change.refs.items()}
            else:
                blocked[op] = Outcome(op, "not_sent", code="needs-another", message=self._why(cause), cause=cause)
                del items[op]
        relations: list[Change] = []
        known: dict[int, End] = {}
        for op in batch.relations:
            if op in done or op not in changes:
                continue
            change = changes[op]
            cause = None
            for end in change.pair:
                if end.op in items:
                    continue
                resolved = self._resolved(end)
                if not resolved.sys_id:
                    cause = end.op
                    break
                known[end.op] = resolved
            if cause is None:
                relations.append(change)
            else:
                blocked[op] = Outcome(op, "not_sent", code="needs-another", message=self._why(cause), cause=cause)
        context = [changes[op] for op in batch.context if op in changes]
        parcel = Parcel(batch.data_source, list(items.values()), [], relations)
        for op in ends - known.keys() - items.keys():
            sys_id, class_name, _, _ = self._known(op)
            if sys_id and any(op == end.op for change in relations for end in change.pair):
                known[op] = End(op, "", "", sys_id, class_name)
        parcel.ends = [known[op] for op in sorted(known)]
        self._add_context(parcel, context, items)
        return parcel, list(blocked.values())

    def _add_context(self, parcel: Parcel, context: list[Change], items: dict[int, Change]) -> None:
        have = {end.op for end in parcel.ends}
        for change in context:
            if not any(end.op in items for end in change.pair):
                continue
            for end in change.pair:
                if end.op not in items and end.op not in have:
                    have.add(end.op)
                    parcel.context_ends.append(self._resolved(end))
            parcel.context.append(change)

    def _resolved(self, end: End) -> End:
        if end.sys_id:
            return end
        sys_id, class_name, _, _ = self._known(end.op)
        return end._replace(sys_id=sys_id, class_name=class_name or end.class_name)

    def _blocked_by(self, change: Change, items: dict[int, Change]) -> int | None:
        """The operation that had to be applied first and was not."""
        needs = [end.op for end in change.refs.values() if not end.sys_id]
        if change.host is not None and change.action == "create":
            needs.append(change.host)
        for op in needs:
            if op not in items and not self._known(op)[0]:
                return op
        return next((op for op in change.follows if self._known(op)[3] != "applied"), None)

    def _why(self, cause: int) -> str:
        row = self.changes([cause]).get(cause)
        _, _, _, result = self._known(cause)
        name = (row.key or row.type) if row else str(cause)
        return f"it needs {name}, which is {result.replace('_', ' ') or 'not applied'}"
