"""The `4me` target: records of import types, as jobs of the Import API.

4me has no dry run, so a plan compares with an export of the type (`base.py`); it has no answer per row, so what became
of each follows from the counts and the log of its job, or from another look (`jobs.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

from msgspec.structs import replace

from syncengine.changes import Action, Change, Outcome, Owned, Parcel, Seen, StepInfo
from syncengine.errors import AuthError, Problem, RemoteError, many
from syncengine.spec.import_types import ID, SOURCE, SOURCE_ID, ImportType, import_types
from syncengine.targets import Answered, FlatTarget, Manner, Refused, Running, Started, Together, Unclear, Watch
from syncengine.targets.fourme import owners
from syncengine.targets.fourme.base import Base, QuotaError, place_of
from syncengine.targets.fourme.compare import is_same
from syncengine.targets.fourme.jobs import Ended, follow
from syncengine.targets.fourme.matching import Look, Matcher, kind_of, type_of
from syncengine.targets.fourme.records import Held, natural_of, owner_of
from syncengine.targets.fourme.renamed import names_of
from syncengine.targets.fourme.rest import OverRest, unreadable
from syncengine.targets.fourme.sheet import Sheet, cells_of, sheet
from syncengine.transport.fourme import checked_token, is_refused, upload
from syncengine.transport.reader import Reader, Writer

UNREADABLE = ("no-export", "file-not-fetched")
"""What is wrong with an export that stays wrong: its job failed, or its file lies where nothing is fetched from."""


class FourmeTarget(FlatTarget):
    """Records of 4me, compared with exports and sent as import jobs."""

    kinds = ("4me",)
    batch_limit = 10_000

    def __init__(self, steps: Sequence[StepInfo], manner: Manner | None = None) -> None:
        super().__init__(steps, manner)
        self._looks: dict[str, Look] = {}
        self._bases: dict[str, Base] = {}
        self._matcher = Matcher(steps, self.manner.account)
        self._lock = threading.Lock()
        self._matched: dict[str, set[int]] = {}
        """Rows of owners that a row of the plan stands for, by type, while planning."""
        self._going: dict[str, list[str]] = {}
        """By step, the rows that an import of the others removes."""

    # ── planning ────────────────────────────────────────────────────────────────────────────────

    @classmethod
    def order(cls, steps: Sequence[StepInfo]) -> Iterable[tuple[str, str]]:
        """A type comes after those that its columns name, for values that name records without saying so.

        Columns that close a circle of types, or name records of the same one, say nothing.
        """
        by_type: dict[str, list[str]] = {}
        for step in steps:
            by_type.setdefault(type_of(step), []).append(step.name)
        for step in steps:
            kind = kind_of(step)
            columns = [kind.columns[name] for name in step.fields if name in kind.columns]
            named = {column.to for column in columns if column.to and not column.defer}
            named |= {"cis"} if kind.group == "CI" else set()
            for name in sorted(named & by_type.keys() - {type_of(step)}):
                yield from ((first, step.name) for first in by_type[name])

    @classmethod
    def replaces(cls, options: Mapping[str, object], data_source: str) -> str:
        """The type of rows that come in replace groups; of relations and hours, those of one Source (documented)."""
        name = str(options.get("type", ""))
        kind = import_types()[name]
        return "" if not kind.group else f"{name} of {data_source}" if SOURCE in kind.columns else name

    def alone(self, step: StepInfo) -> str:
        """One job of a type at a time, and as many of an account as the environment lets (`import_jobs`)."""
        names = sorted(map(type_of, self._imports()), key=lambda name: import_types()[name].order)
        return f"4me import {list(dict.fromkeys(names)).index(type_of(step)) % self.manner.import_jobs}"

    def _imports(self) -> Iterator[StepInfo]:
        """The steps of the plan that are imports; a plan may have others, too."""
        return (step for step in self.steps if step.kind in self.kinds)

    def prepare(self, steps: Sequence[StepInfo], reader: Reader) -> list[Problem]:
        """Take or update the exports of all types of the plan; read over REST what cannot be exported."""
        said = []
        for name in sorted({type_of(step) for step in steps}, key=lambda one: import_types()[one].order):
            look = self._look(name, reader)
            if look.over is not None:
                look.over.read_all_of({step.data_source for step in self._imports() if type_of(step) == name})
                look = self._looks[name] = replace(look, why_not=look.over.why_not)
            if look.why_not:
                position = next(step.position for step in steps if type_of(step) == name)
                fix = "plan again tomorrow, or keep the state directory between runs"
                said.append(_unread(name, look.why_not, fix, position))
        return said

    def owned(self, step: StepInfo, reader: Reader) -> Iterator[Owned]:
        """Records with the step's Source."""
        look = self._known(type_of(step), reader)
        if look.why_not or not kind_of(step).has_pair:
            return
        for source_id, record_id in look.records.owned(step.data_source):
            yield Owned(source_id, record_id)

    def coming(self, step: StepInfo, changes: Iterator[Change]) -> None:
        """Say what reading rows of owners costs: it depends on how many owners there are."""
        look, kind = self._looks.get(type_of(step)), kind_of(step)
        if look is not None and look.over is not None and kind.group:
            look.over.coming(len({hash(owner_of(kind, cells_of(one, step, kind)[0])) for one in changes}))

    def remarks(self) -> list[Problem]:
        """What goes with rows that replace it; which types were compared over REST, why, and what that cost."""
        return [*(owners.removed(*one) for one in self._going.items()), *self._compared_over_rest()]

    def _compared_over_rest(self) -> list[Problem]:
        """Which types were compared over REST, why, and what that cost; and of which that would have been too much."""
        found: dict[str, list[tuple[str, int]]] = {}
        dear = []
        for name, look in sorted(self._looks.items()):
            if look.over is not None and not look.why_not:
                if look.over.needed:
                    fix = f"plan again tomorrow, or allow it: rest_requests: {look.over.needed} under the connection"
                    dear.append(_unread(name, look.over.why_not, fix))
                else:
                    found.setdefault(look.over.why, []).append((name, look.over.requests))
        return dear + [
            Problem(
                "compared-over-rest",
                f"compared over REST, since {why}: {', '.join(f'{name} ({spent:,} requests)' for name, spent in said)}",
                fix="keep the state directory between runs: then an export of what changed is enough for most types",
                severity="warning",
            )
            for why, said in found.items()
        ]

    def preview(self, parcel: Parcel, reader: Reader) -> list[Seen]:
        """Each row against the record that it would find, by the rules of the vendor."""
        if not parcel.items:
            return []
        is_applying = bool(self.manner.run)  # then each look is at the account as it is now
        found = self._previewed(parcel, reader, is_applying, is_check=is_applying)
        planned = {change.op: change for change in parcel.items}
        return [self._as_planned(planned[one.op], one) for one in found] if is_applying else found

    def _as_planned(self, change: Change, answer: Seen) -> Seen:
        """What cannot be seen again is believed, and one value in two forms is one value.

        A plan may be made of an export and checked over REST, or the other way round. A reference reads differently
        once this run has renamed the record that it names: where it says what is wanted, nobody else has moved it.
        """
        columns = kind_of(self.steps[change.step]).columns
        is_update = change.action == "update" and answer.sys_id == change.sys_id and not answer.code
        for name, text in change.before.items():
            column = columns.get(name)
            if name in answer.unread:
                answer.before = {**answer.before, name: text}
            elif column is None:
                continue
            elif name in answer.before:
                if is_same(column, text, answer.before[name], self.manner.account):
                    answer.before = {**answer.before, name: text}
            elif is_update and column.kind in ("ref", "refs"):
                answer.action, answer.before = "update", {**answer.before, name: text}
        if answer.code:
            return answer
        if change.action == "unknown":
            answer.action = "unknown"
        elif answer.basis == "unknown":
            action = {"retire": "update", "touched": "unchanged"}.get(change.action, change.action)
            answer.action, answer.sys_id, answer.before = cast(Action, action), change.sys_id, change.before
        return answer

    def _previewed(self, parcel: Parcel, reader: Reader, is_applying: bool, *, is_check: bool = False) -> list[Seen]:
        found: list[Seen] = []
        by_type: dict[str, list[Change]] = {}
        for change in parcel.items:
            by_type.setdefault(self._matcher.names[change.step], []).append(change)
        for name, some in by_type.items():
            look = self._look(name, reader) if is_applying else self._known(name, reader)
            matched = set() if is_applying else self._matched.setdefault(name, set())
            kind = import_types()[name]
            if look.over is not None and not look.why_not:
                # of rows that nobody knew of when they were planned, a check has nothing to compare
                known = [one for one in some if one.action != "unknown"] if is_check and kind.group else some
                rows = [cells_of(one, self.steps[one.step], kind)[0] for one in known]
                cells = [self._matcher.coming.by_now(kind, one) for one in rows]
                look.over.fetch(cells, is_planning=not is_applying, is_check=is_check)
                look = replace(look, why_not=look.over.why_not)
            ahead: Mapping[str, Held] = {}
            if not look.why_not and kind.has_pair and not kind.group:
                same, some, ahead = self._matcher.ahead(some, look.records)
                found += same
            with self._lock:
                seen = [self._matcher.seen(change, look, matched, ahead) for change in some]
                if not is_applying:
                    self._learn_names(name, some, seen)
            found += seen
        return found

    def _learn_names(self, name: str, changes: Sequence[Change], seen: Sequence[Seen]) -> None:
        """What the plan renames: types that name it are looked at in a later wave."""
        for change, answer in zip(changes, seen, strict=True):
            if answer.action == "update" and answer.before and names_of(name) & answer.before.keys():
                cells, _ = cells_of(change, self.steps[change.step], import_types()[name])
                self._matcher.coming.learn(name, answer.before, cells)

    def _known(self, name: str, reader: Reader) -> Look:
        return self._looks.get(name) or self._look(name, reader)

    def _look(self, name: str, reader: Reader) -> Look:
        """The export of a type as of now, or who reads it over REST."""
        with self._lock:
            kind = import_types()[name]
            base = self._bases.get(name)
            if base is None:
                system = self.manner.system or f"{reader.base_url} {self.manner.account}"
                state = self.manner.state
                place = place_of(state / "4me", system) if state is not None else None
                base = self._bases[name] = Base(place, name, kind)
            try:
                base.refresh(reader)
                look = Look(base.records)
            except QuotaError:
                look = self._without(name, reader, "4me gave today's full export of this type")
            except RemoteError as error:
                if error.problems[0].code not in UNREADABLE:
                    raise  # an outage passes; nothing is planned blindly for it
                look = self._without(name, reader, error.problems[0].message)
            self._looks[name] = look
            return look

    def _without(self, name: str, reader: Reader, why: str) -> Look:
        cannot = unreadable(name, import_types()[name])
        over = OverRest(name, reader, self.manner.say, self.manner.account, why, self.manner.rest_requests)
        if cannot:
            return Look(over.records, f"{why}, and {cannot}")
        return Look(over.records, how=over.how, over=over)

    def together(self, step: StepInfo, changes: Iterator[Change], *, is_whole: bool) -> Together:
        """Rows that stay as they are but whose owner's rows are replaced: what is not in the file would be removed."""
        if not kind_of(step).group:
            return Together()
        look, matched = self._looks.get(type_of(step)), self._matched.get(type_of(step), set())
        records = look.records if look is not None and look.is_known else None
        weighed, going = owners.weigh(self._matcher, step, changes, records, matched, is_whole=is_whole)
        if going:
            self._going[step.name] = going
        return weighed

    # ── sending ─────────────────────────────────────────────────────────────────────────────────

    def cuts(self, step: StepInfo, changes: Iterator[Change]) -> Iterator[list[Change]]:
        """Files of rows with the same filled columns, since a column that stands in a file is written in each row.

        Rows of owners go together, whatever they fill: they are made anew.
        """
        kind = kind_of(step)
        if kind.group:
            yield from owners.cuts(self.steps, kind, changes, self.batch_limit)
            return
        files: dict[frozenset[str], list[Change]] = {}
        for change in changes:
            cells, _ = cells_of(change, self.steps[change.step], kind)
            rows = files.setdefault(frozenset({*cells, *change.refs}), [])
            rows.append(Change(change.op, change.kind, change.step))
            if len(rows) == self.batch_limit:
                yield files.pop(frozenset({*cells, *change.refs}))
        yield from files.values()

    def _sheet(self, parcel: Parcel) -> tuple[str, Sheet]:
        step = self.steps[parcel.items[0].step]
        rows = [cells_of(change, self.steps[change.step], kind_of(step))[0] for change in parcel.items]
        return type_of(step), sheet(kind_of(step), rows)

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
        return Unclear(f"{why} ({name}, {many(len(parcel.items), 'row')})", sent.answer.is_late)

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
        outcomes = tuple(told[change.op] for change in parcel.items)
        stop = None if all(one.result == "applied" for one in outcomes) else ended.stop
        return Answered(outcomes, ended.notes, stop)

    def _learn_ids(self, name: str, parcel: Parcel, told: dict[int, Outcome], reader: Reader) -> None:
        """The ids of new records, where other rows name them by id."""
        if name not in _named_by_id() or not any(change.action == "create" for change in parcel.items):
            return
        look = self._look(name, reader)
        rows = {one.op: cells_of(one, self.steps[one.step], import_types()[name])[0] for one in parcel.items}
        new = [one for one in parcel.items if told[one.op].result == "applied" and not one.sys_id]
        if look.over is not None and not look.why_not:
            look.over.fetch([rows[one.op] for one in new], is_planning=False)
        for change in new:
            held, _ = self._matcher.found(change, rows[change.op], import_types()[name], look.records)
            if isinstance(held, Held) and not look.why_not:
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
        """Compare with the account as of now; what nothing can be found by is unknown."""
        found = {answer.op: answer for answer in self._previewed(parcel, reader, is_applying=True)}
        for change in parcel.items:
            step = self.steps[change.step]
            answer = found[change.op]
            if (
                not _is_findable(kind_of(step), cells_of(change, step, kind_of(step))[0])
                and answer.action != "unchanged"
            ):
                found[change.op] = Seen(change.op, reason="its records carry nothing by which they could be found")
            elif change.basis == "implied" and answer.action == "update":
                answer.sys_id, answer.before = change.sys_id, change.before
            elif (
                answer.unread
                and answer.action == "unknown"
                and (change.action == "create" or set(change.before) - set(answer.unread))
            ):
                answer.action = "unchanged"  # all that can be read is as it was sent, and a row is written as a whole
        return found


def _unread(name: str, why: str, fix: str, position: str = "") -> Problem:
    """A type of which nobody knows what its rows would change."""
    said = f"{name} cannot be compared: {why}; its rows are sent without knowing what they change"
    return Problem("no-export", said, position, fix=fix, severity="warning")


def _is_findable(kind: ImportType, cells: Mapping[str, str]) -> bool:
    """Whether a row says which record it is."""
    has_pair = kind.has_pair and bool(cells.get(SOURCE) and cells.get(SOURCE_ID))
    return bool(kind.group or cells.get(ID) or has_pair or natural_of(kind, cells))


def _named_by_id() -> frozenset[str]:
    return frozenset(
        column.to
        for kind in import_types().values()
        for column in kind.columns.values()
        if column.by == ID and column.to
    )
