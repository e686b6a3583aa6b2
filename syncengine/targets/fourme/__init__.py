"""The `4me` target: records of import types, as jobs of the Import API.

4me has no dry run, so a plan compares with an export of the type (`base.py`); it has no answer per row, so what became
of each follows from the counts and the log of its job, or from another look (`jobs.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

from syncengine.changes import SECOND_PASS, Action, Change, Outcome, Owned, Parcel, Seen, StepInfo
from syncengine.errors import AuthError, Problem, RemoteError
from syncengine.spec.import_types import ID, PAIR, SOURCE, SOURCE_ID, ImportType, import_types
from syncengine.targets import Answered, FlatTarget, Manner, Refused, Running, Started, Unclear, Watch
from syncengine.targets.fourme.base import Base, Held, QuotaError, owner_of
from syncengine.targets.fourme.compare import is_same
from syncengine.targets.fourme.jobs import Ended, follow
from syncengine.targets.fourme.sheet import Sheet, cells_of, sheet
from syncengine.transport.fourme import checked_token, is_refused, upload
from syncengine.transport.reader import Reader, Writer

IDENTITY: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "people_contact_details": (("Contact Protocol", "Contact Label"), ("Address Label",)),
    "organizations_contact_details": (("Contact Protocol", "Contact Label"), ("Address Label",)),
    "ci_relations": (
        ("Related CI Source", "Related CI Source ID", "Relation Type"),
        ("Related CI Label", "Relation Type"),
    ),
    "people_roles": (("Role Account",),),
}
"""What tells the rows of one owner apart, so that a change can be told from a removal and an addition (inferred)."""

UNREADABLE = ("no-export", "file-not-fetched")
"""What is wrong with an export that stays wrong: its job failed, or its file lies where nothing is fetched from."""


@dataclass(frozen=True, slots=True)
class _Bearing:
    """The base of a type, or why there is none."""

    base: Base
    why_not: str = ""


class FourmeTarget(FlatTarget):
    """Records of 4me, compared with exports and sent as import jobs."""

    kinds = ("4me",)
    batch_limit = 10_000

    def __init__(self, steps: Sequence[StepInfo], manner: Manner | None = None) -> None:
        super().__init__(steps, manner)
        self._bearings: dict[str, _Bearing] = {}
        self._lock = threading.Lock()
        self._matched: dict[str, set[int]] = {}
        """Rows of owners that a row of the plan stands for, by type, while planning."""

    # ── planning ────────────────────────────────────────────────────────────────────────────────

    @classmethod
    def order(cls, steps: Sequence[StepInfo]) -> Iterable[tuple[str, str]]:
        """The order of the types, derived from their references, for values that name records without saying so."""
        by_order: dict[int, list[str]] = {}
        for step in steps:
            by_order.setdefault(import_types()[_type(step)].order, []).append(step.name)
        places = sorted(by_order)
        for earlier, later in pairwise(places):
            yield from ((first, second) for first in by_order[earlier] for second in by_order[later])

    def alone(self, step: StepInfo) -> str:
        """One job of a type at a time, and as many of an account as the environment lets (`import_jobs`)."""
        names = sorted(import_types(), key=lambda name: import_types()[name].order)
        return f"4me import {names.index(_type(step)) % self.manner.import_jobs}"

    def prepare(self, steps: Sequence[StepInfo], reader: Reader) -> list[Problem]:
        """Take or update the exports of all types of the plan."""
        said = []
        for name in sorted({_type(step) for step in steps}, key=lambda one: import_types()[one].order):
            why = self._look(name, reader).why_not
            if why:
                position = next(step.position for step in steps if _type(step) == name)
                message = f"{name} cannot be compared: {why}; its rows are sent without knowing what they change"
                fix = "plan again tomorrow, or keep the state directory between runs"
                said.append(Problem("no-export", message, position, fix=fix, severity="warning"))
        return said

    def owned(self, step: StepInfo, reader: Reader) -> Iterator[Owned]:
        """Records with the step's Source."""
        bearing = self._bearing(_type(step), reader)
        if bearing.why_not or not _kind(step).has_pair:
            return
        for source_id, record_id in bearing.base.owned(step.data_source):
            yield Owned(source_id, record_id)

    def preview(self, parcel: Parcel, reader: Reader) -> list[Seen]:
        """Each row against the record that it would find, by the rules of the vendor."""
        if not parcel.items:
            return []
        is_applying = bool(self.manner.run)  # then each look is at the account as it is now
        found = self._previewed(parcel, reader, is_applying)
        return self._as_planned(parcel, found) if is_applying else found

    def _as_planned(self, parcel: Parcel, found: list[Seen]) -> list[Seen]:
        """Where a full export is needed for the check and today's is spent, there is no check: the plan is believed."""
        said = {answer.op: answer for answer in found}
        for change in parcel.items:
            answer = said[change.op]
            if answer.basis == "unknown" and not answer.code and change.action != "unknown":
                action = {"retire": "update", "touched": "unchanged"}.get(change.action, change.action)
                answer.action, answer.sys_id, answer.before = cast(Action, action), change.sys_id, change.before
        return found

    def _previewed(self, parcel: Parcel, reader: Reader, is_applying: bool) -> list[Seen]:
        found: list[Seen] = []
        for name in dict.fromkeys(_type(self.steps[change.step]) for change in parcel.items):
            bearing = self._look(name, reader) if is_applying else self._bearing(name, reader)
            matched = set() if is_applying else self._matched.setdefault(name, set())
            some = [change for change in parcel.items if _type(self.steps[change.step]) == name]
            ahead = {} if bearing.why_not or not import_types()[name].has_pair else self._ahead(some, bearing.base)
            with self._lock:
                found += [self._seen(change, bearing, matched, ahead) for change in some]
        return found

    def _ahead(self, changes: Sequence[Change], base: Base) -> dict[tuple[str, str], Held]:
        """What the rows will find by their pairs: one question for all costs a tenth of one for each."""
        return base.by_pairs(
            [
                (self.steps[one.step].data_source, one.values.get(SOURCE_ID) or one.native_key or one.key)
                for one in changes
            ]
        )

    def _bearing(self, name: str, reader: Reader) -> _Bearing:
        return self._bearings.get(name) or self._look(name, reader)

    def _look(self, name: str, reader: Reader) -> _Bearing:
        """The export of a type as of now."""
        with self._lock:
            known = self._bearings.get(name)
            if known is None:
                system = self.manner.system or f"{reader.base_url} {self.manner.account}"
                state = self.manner.state / "4me" if self.manner.state is not None else None
                known = _Bearing(Base(state, system, name, import_types()[name]))
            why = ""
            try:
                known.base.refresh(reader)
            except QuotaError:
                why = "4me gives one full export of this type a day, and gave it"
            except RemoteError as error:
                if error.problems[0].code not in UNREADABLE:
                    raise  # an outage passes; nothing is planned blindly for it
                why = error.problems[0].message
            self._bearings[name] = known = _Bearing(known.base, why)
            return known

    # ── one row ─────────────────────────────────────────────────────────────────────────────────

    def _seen(
        self, change: Change, bearing: _Bearing, matched: set[int], ahead: Mapping[tuple[str, str], Held]
    ) -> Seen:
        step = self.steps[change.step]
        kind = _kind(step)
        cells, bad = cells_of(change, step, kind)
        if bad:
            said = "; ".join(f"{one.column} {one.said}" for one in bad)
            return self._rejected(change, "bad-value", said)
        if bearing.why_not:
            return Seen(change.op, basis="unknown", reason=bearing.why_not, class_name=_type(step))
        if kind.group:
            return self._of_owner(change, cells, bearing.base, matched)
        held, claims = self._found(change, cells, kind, bearing.base, ahead)
        if isinstance(held, str):
            return self._rejected(change, "taken", held)
        if held is None:
            return self._new(change, cells, kind)
        return self._compared(change, cells, held, claims)

    def _rejected(self, change: Change, code: str, message: str) -> Seen:
        name = _type(self.steps[change.step])
        return Seen(change.op, action="rejected", basis="compared", code=code, message=message, class_name=name)

    def _new(self, change: Change, cells: Mapping[str, str], kind: ImportType) -> Seen:
        missing = [name for name in kind.required if not cells.get(name)]
        if missing and change.reason != SECOND_PASS:
            said = f"it is new, and a new record needs {', '.join(missing)}"
            return self._rejected(change, "missing-required", said)
        name = _type(self.steps[change.step])
        identity = cells.get(kind.special, "").casefold() if kind.special else ""
        return Seen(change.op, action="create", basis="compared", class_name=name, identity=identity)

    def _found(
        self,
        change: Change,
        cells: Mapping[str, str],
        kind: ImportType,
        base: Base,
        ahead: Mapping[tuple[str, str], Held] | None = None,
    ) -> tuple[Held | str | None, bool]:
        """The record that 4me would find (documented: ID, then the pair, then the type's own key), or why not.

        True beside it where the row makes a record ours that has no Source yet.
        """
        if cells.get(ID):
            held = base.by_id(cells[ID])
            said = f"{_type(self.steps[change.step])} has no record with the ID {cells[ID]}"
            claims = held is not None and kind.has_pair and _pair(held) != (cells.get(SOURCE), cells.get(SOURCE_ID))
            return held or said, claims
        if kind.has_pair and cells.get(SOURCE) and cells.get(SOURCE_ID):
            pair = cells[SOURCE], cells[SOURCE_ID]
            held = base.by_pair(*pair) if ahead is None else ahead.get(pair)
            if held is not None or not kind.special or not cells.get(kind.special):
                return held, False
            other = base.by_special(cells[kind.special])
            if other is None:
                return None, False
            source, source_id = _pair(other)
            if source or source_id:
                said = f"{kind.special} {cells[kind.special]!r} is that of record {other.id}, which is"
                return f"{said} {source_id!r} of the Source {source!r}", False
            return other, True
        if kind.special and cells.get(kind.special):
            return base.by_special(cells[kind.special]), False
        return None, False

    def _compared(self, change: Change, cells: Mapping[str, str], held: Held, claims: bool) -> Seen:
        step = self.steps[change.step]
        kind, name = _kind(step), _type(step)
        before: dict[str, str] = {}
        unread: list[str] = []
        for column, value in cells.items():
            if column == ID or (column in PAIR and kind.has_pair and not claims):
                continue
            present = held.cells.get(column)
            if present is None:
                unread.append(column)
            elif not is_same(kind.columns[column], value, present, self.manner.account):
                before[column] = present
        loud = [column for column in before if column not in step.quiet]
        seen = Seen(change.op, action="update", basis="compared", sys_id=held.id, class_name=name, before=before)
        if change.basis == "implied":
            seen.sys_id = change.sys_id  # its record was not there when it was planned
            seen.before = change.before
        if not loud:
            seen.action, seen.before = "unchanged", {}
            if unread:
                seen.action, seen.basis = "unknown", "unknown"
                seen.reason = f"exports do not have {', '.join(unread)}"
        return seen

    # ── rows of owners ──────────────────────────────────────────────────────────────────────────

    def _of_owner(self, change: Change, cells: dict[str, str], base: Base, matched: set[int]) -> Seen:
        """A row of a replace group, against what its owner has: one equal row, or the one that it replaces."""
        step = self.steps[change.step]
        kind, name = _kind(step), _type(step)
        rows = [one for one in base.of_owner(_owner(kind, cells)) if one.number not in matched]
        if kind.group == "CI":
            rows = [one for one in rows if (one.cells.get(SOURCE) or "") == cells.get(SOURCE, "")]
        same = next((one for one in rows if not self._differs(cells, one, kind)), None)
        if same is not None:
            matched.add(same.number)
            return Seen(change.op, action="unchanged", basis="compared", sys_id=self._row_id(same), class_name=name)
        for columns in IDENTITY.get(name, ()):
            wanted = [cells.get(column, "").casefold() for column in columns]
            if not all(wanted):
                continue
            for one in rows:
                if [(one.cells.get(column) or "").casefold() for column in columns] == wanted:
                    matched.add(one.number)
                    before = self._differs(cells, one, kind)
                    where = self._row_id(one)
                    return Seen(
                        change.op, action="update", basis="compared", sys_id=where, class_name=name, before=before
                    )
        return Seen(change.op, action="create", basis="compared", class_name=name)

    @staticmethod
    def _row_id(held: Held) -> str:
        return held.id

    def _differs(self, cells: Mapping[str, str], held: Held, kind: ImportType) -> dict[str, str]:
        found = {}
        for column, value in cells.items():
            present = held.cells.get(column)
            if present is not None and not is_same(kind.columns[column], value, present, self.manner.account):
                found[column] = present
        return found

    def together(self, step: StepInfo, changes: Iterator[Change]) -> Iterator[int]:
        """Rows that stay as they are but whose owner's rows are replaced: what is not in the file would be removed."""
        kind = _kind(step)
        if not kind.group:
            return
        rows: list[tuple[int, str, bool]] = []
        moved: set[str] = set()
        for change in changes:
            cells, _ = cells_of(change, step, kind)
            owner = _owner(kind, cells)
            rows.append((change.op, owner, change.action == "unchanged"))
            if change.is_sent:
                moved.add(owner)
        bearing, matched = self._bearings.get(_type(step)), self._matched.get(_type(step), set())
        if bearing is not None and not bearing.why_not:
            for owner in dict.fromkeys(owner for _, owner, _ in rows):
                if owner not in moved and any(
                    self._would_go(one, kind, step, matched) for one in bearing.base.of_owner(owner)
                ):
                    moved.add(owner)
        yield from (op for op, owner, is_unchanged in rows if is_unchanged and owner in moved)

    @staticmethod
    def _would_go(held: Held, kind: ImportType, step: StepInfo, matched: Collection[int]) -> bool:
        """Whether a row of an owner is ours, and no row of the plan stands for it."""
        if held.number in matched:
            return False
        if kind.group == "CI":
            return held.cells.get(SOURCE) == step.data_source
        return (held.cells.get("Integration") or "1").strip().lower() in ("1", "t", "y", "true", "yes", "on")

    # ── sending ─────────────────────────────────────────────────────────────────────────────────

    def cuts(self, step: StepInfo, changes: Iterator[Change]) -> Iterator[list[Change]]:
        """Files of rows with the same filled columns, since a column that stands in a file is written in each row.

        Rows of owners go together, whatever they fill: they are made anew.
        """
        kind = _kind(step)
        if kind.group:
            yield from self._by_owner(step, kind, changes)
            return
        files: dict[frozenset[str], list[Change]] = {}
        for change in changes:
            cells, _ = cells_of(change, step, kind)
            rows = files.setdefault(frozenset({*cells, *change.refs}), [])
            rows.append(Change(change.op, change.kind, change.step))
            if len(rows) == self.batch_limit:
                yield files.pop(frozenset({*cells, *change.refs}))
        yield from files.values()

    def _by_owner(self, step: StepInfo, kind: ImportType, changes: Iterator[Change]) -> Iterator[list[Change]]:
        owners: dict[str, list[Change]] = {}
        for change in changes:
            cells, _ = cells_of(change, step, kind)
            owners.setdefault(_owner(kind, cells), []).append(Change(change.op, change.kind, change.step))
        cut: list[Change] = []
        for rows in owners.values():
            if cut and len(cut) + len(rows) > self.batch_limit:
                yield cut
                cut = []
            cut += rows
        if cut:
            yield cut

    def _sheet(self, parcel: Parcel) -> tuple[str, Sheet]:
        step = self.steps[parcel.items[0].step]
        rows = [cells_of(change, self.steps[change.step], _kind(step))[0] for change in parcel.items]
        return _type(step), sheet(_kind(step), rows)

    def send(self, parcel: Parcel, writer: Writer) -> Answered | Refused | Unclear | Started:
        """Upload the rows as one file; the token of its job is what they are followed by."""
        name, made = self._sheet(parcel)
        sent = upload(writer, name, made.content)
        if is_refused(sent) and sent.problem is not None:
            stop = sent.stop
            if sent.answer.status == 403:
                stop = AuthError(sent.problem)
            return Refused(sent.problem, stop, sent.answer.status)
        token = checked_token(sent.answer.body)
        if sent.problem is None and token:
            return Started(token)
        why = sent.why or "the answer to the upload has no token"
        return Unclear(f"{why} ({name}, {len(parcel.items)} rows)", sent.answer.is_late)

    def follow(self, token: str, parcel: Parcel, writer: Writer, watch: Watch) -> Answered | Unclear | Running:
        """Ask after the job until it has ended, and tell what became of each row."""
        if not checked_token({"token": token}):
            return Unclear("the journal has no usable token for this import")
        name, made = self._sheet(parcel)
        ended = follow(name, token, made, writer, watch)
        if not isinstance(ended, Ended):
            return ended
        told: dict[int, Outcome] = {}
        for row, message in ended.failed.items():
            op = parcel.items[row].op
            told[op] = Outcome(op, "rejected", code="import-failed", message=message)
        if ended.is_complete:
            for change in parcel.items:
                told.setdefault(change.op, Outcome(change.op, "applied", change.sys_id, "IMPORTED"))
            self._learn_ids(name, parcel, told, writer)
        else:
            self._tell_by_looking(parcel, told, ended, writer)
        return Answered(tuple(told[change.op] for change in parcel.items), ended.notes, ended.stop)

    def _learn_ids(self, name: str, parcel: Parcel, told: dict[int, Outcome], reader: Reader) -> None:
        """The ids of new records, where other rows name them by id."""
        if name not in _named_by_id() or not any(change.action == "create" for change in parcel.items):
            return
        bearing = self._look(name, reader)
        for change in parcel.items:
            if told[change.op].result == "applied" and not change.sys_id and not bearing.why_not:
                cells, _ = cells_of(change, self.steps[change.step], import_types()[name])
                held, _ = self._found(change, cells, import_types()[name], bearing.base)
                if isinstance(held, Held):
                    told[change.op] = Outcome(change.op, "applied", held.id, "IMPORTED")

    def _tell_by_looking(self, parcel: Parcel, told: dict[int, Outcome], ended: Ended, reader: Reader) -> None:
        """What counts and log leave open is seen at the records: what is as it was sent was applied."""
        seen = self.settle(Parcel(parcel.data_source, list(parcel.items), [], []), reader)
        for change in parcel.items:
            if change.op in told:
                continue
            answer = seen[change.op]
            if answer.action == "unchanged":
                told[change.op] = Outcome(
                    change.op, "applied", answer.sys_id, "IMPORTED", warnings=("settled by looking",)
                )
            elif answer.action == "unknown" and not answer.code:
                said = f"{ended.why}; {answer.reason}"
                told[change.op] = Outcome(change.op, "unknown", code="unclear", message=said)
            elif ended.is_cut_off:
                told[change.op] = Outcome(change.op, "not_sent", code="job-stopped", message=ended.why)
            else:
                told[change.op] = Outcome(change.op, "rejected", code="import-failed", message=ended.why)

    def settle(self, parcel: Parcel, reader: Reader) -> dict[int, Seen]:
        """Compare with an export as of now; what nothing can be found by is unknown."""
        found = {answer.op: answer for answer in self._previewed(parcel, reader, is_applying=True)}
        for change in parcel.items:
            kind = _kind(self.steps[change.step])
            answer = found[change.op]
            if not kind.identify and answer.action != "unchanged":
                found[change.op] = Seen(change.op, reason="its records carry nothing by which they could be found")
            elif change.basis == "implied" and answer.action == "update":
                answer.sys_id, answer.before = change.sys_id, change.before
        return found


def _type(step: StepInfo) -> str:
    return str(step.options.get("type", ""))


def _kind(step: StepInfo) -> ImportType:
    return import_types()[_type(step)]


def _pair(held: Held) -> tuple[str, str]:
    return held.cells.get(SOURCE) or "", held.cells.get(SOURCE_ID) or ""


def _owner(kind: ImportType, cells: Mapping[str, str]) -> str:
    return owner_of(kind, dict(cells))


def _named_by_id() -> frozenset[str]:
    return frozenset(
        column.to
        for kind in import_types().values()
        for column in kind.columns.values()
        if column.by == ID and column.to
    )
