"""Staging tables (Import Set API): rows that transform maps make records of.

There is no dry run: `facts` reads the maps, `transform` and `foretell` say what they would do, as far as that can be
said. Single inserts are answered row by row; many rows at once are only taken, and `following` sees their import set to
its end.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from syncengine.changes import Change, Outcome, Parcel, Seen, StepInfo
from syncengine.errors import Problem
from syncengine.targets import Answered, FlatTarget, Manner, Refused, Running, Started, Unclear, Watch
from syncengine.targets.staging import following, preparing
from syncengine.targets.staging.facts import Facts, Staging
from syncengine.targets.staging.foretell import arriving, foretell
from syncengine.targets.staging.outcomes import of_results
from syncengine.transport.answer import Ending
from syncengine.transport.import_set import Strange, read_multiple, read_single
from syncengine.transport.reader import Reader, Sent, Writer

ROW_REFUSALS = frozenset({400, 409, 413, 422})
"""Refusals that concern this row; the next one may fare better."""
MULTIPLE = 200
"""Rows of an insertMultiple: no maximum is documented for REST; the page on SOAP advises this one."""


class StagingTarget(FlatTarget):
    """Rows for staging tables."""

    kinds = ("staging",)
    batch_limit = MULTIPLE

    def __init__(self, steps: Sequence[StepInfo], manner: Manner | None = None) -> None:
        super().__init__(steps, manner)
        self._lock = threading.Lock()
        self._facts: Facts | None = None
        self._last: dict[int, tuple[str, str]] = {}
        """The newest import set of each step and the multi import set that they share."""
        self._cut: Counter[tuple[int, str]] = Counter()
        self._makes: Counter[tuple[int, str, str]] = Counter()
        self._without_effect: Counter[tuple[int, str]] = Counter()

    def _know(self, reader: Reader, step: StepInfo) -> tuple[Facts, Staging]:
        with self._lock:
            self._facts = self._facts or Facts(reader)
        return self._facts, self._facts.staging(str(step.options["table"]))

    # ── planning ────────────────────────────────────────────────────────────────────────────────

    def prepare(self, steps: Sequence[StepInfo], reader: Reader) -> list[Problem]:
        """Read tables and maps; what stops the plan, and what its reviewer should know."""
        said: list[Problem] = []
        for step in steps:
            _, staging = self._know(reader, step)
            said += preparing.problems(step, staging, self.manner)
        return said

    def preview(self, parcel: Parcel, reader: Reader) -> list[Seen]:
        """Foretell what the maps would make of the rows; where nothing can be said, say why."""
        number = parcel.items[0].step if parcel.items else 0
        step = self.steps[number]
        facts, staging = self._know(reader, step)
        if why := staging.undecidable:
            return [Seen(one.op, "unknown", "unknown", "unknown", reason=why) for one in parcel.items]
        rows = arriving(step, staging, parcel.items)
        told = foretell(facts, staging, step, parcel.items, rows)
        with self._lock:
            for name, many in rows.cut.items():
                self._cut[number, name] += many
            for _, makes in told:
                self._makes.update((number, source, table) for source, table in makes)
            for name, many in rows.uncleared.items():
                self._without_effect[number, name] += many
        return [seen for seen, _ in told]

    def remarks(self) -> list[Problem]:
        """What the rows would do beside what is written for each of them."""
        said = []
        for (number, name), many in sorted(self._cut.items()):
            said.append(_remark(self.steps[number], name, "cut-by-staging",
                f"{name}: {_rows(many)} with more than its staging column holds, which cuts them without a word",
                "have the column made longer, or say max_length: in the spec"))  # fmt: skip
        for (number, name, table), many in sorted(self._makes.items()):
            what = "choices" if table == "sys_choice" else f"records of {table}"
            said.append(_remark(self.steps[number], name, "makes-references",
                f"{name}: {_rows(many)} with {what} that are not there; the field map makes new ones",
                "correct the values, or have the choice action of the field map set to ignore or reject"))  # fmt: skip
        for (number, name), many in sorted(self._without_effect.items()):
            said.append(_remark(self.steps[number], name, "clear-has-no-effect",
                f"{name}: {_rows(many)} would clear it, but no map copies empty fields, so it keeps its value",
                "have Copy empty fields set in the transform map"))  # fmt: skip
        return said

    def cuts(self, step: StepInfo, changes: Iterator[Change]) -> Iterator[list[Change]]:
        """One row a request, or many where the step says so."""
        if step.options["send"] == "multiple":
            yield from super().cuts(step, changes)
        else:
            for change in changes:
                yield [change]

    # ── writing ─────────────────────────────────────────────────────────────────────────────────

    def completed(self, step: StepInfo, reader: Reader) -> StepInfo:
        """Rows whose map may make records that later rows refer to go one after the other, in source order."""
        _, staging = self._know(reader, step)
        if step.options["send"] == "multiple" or not staging.makes_others:
            return step
        return replace(step, options={**step.options, "in_turn": True})

    def looks_ahead(self, step: StepInfo) -> bool:
        """Single inserts: a look at the target for each would be as many requests as rows."""
        return bool(step.options["send"] != "multiple")

    def alone(self, step: StepInfo) -> str:
        """Import sets of one table go one after the other: nobody promises an order to those that wait together."""
        is_alone = step.options["send"] == "multiple" or step.options.get("in_turn")
        return f"import {step.connection} {step.options['table']}" if is_alone else ""

    def send(self, parcel: Parcel, writer: Writer) -> Answered | Refused | Unclear | Started:
        """Insert one row, or hand over many."""
        step = self.steps[parcel.items[0].step]
        path = f"/api/now/import/{step.options['table']}"
        if step.options["send"] == "multiple":
            return self._send_many(parcel, writer, step, f"{path}/insertMultiple")
        if len(parcel.items) > 1:
            raise ValueError("a single insert takes one row: of a list it reads only the first")
        change = parcel.items[0]
        sent = writer.send(path, body=self.body(change))
        if sent.outcome is Ending.REFUSED and sent.answer.status in ROW_REFUSALS:
            return Answered((Outcome(change.op, "rejected", code="row-refused", message=sent.why),))
        if (ended := _ended(sent)) is not None:
            return ended
        try:
            results = read_single(sent.answer.body, str(step.options["table"]))
        except Strange as strange:
            return Unclear(str(strange))
        return Answered((of_results(change, results),))

    def _send_many(self, parcel: Parcel, writer: Writer, step: StepInfo, path: str) -> Refused | Unclear | Started:
        number = parcel.items[0].step
        before, multi = self._last.get(number, ("", ""))
        params = {name: text for name, text in (("multi_import_set_id", multi), ("run_after", before)) if text}
        labels: Mapping[str, str] = step.options.get("labels") or {}
        rows = [{labels.get(name, name): text for name, text in self.body(one).items()} for one in parcel.items]
        sent = writer.send(path, params, {"records": rows})
        if (ended := _ended(sent)) is not None:
            return ended
        try:
            import_set, together = read_multiple(sent.answer.body)
        except Strange as strange:
            return Unclear(str(strange))
        self._last[number] = import_set, together or multi
        return Started(import_set)

    def body(self, change: Change) -> dict[str, str]:
        """A row as it is sent: texts only, with the mark by which it is found again."""
        step = self.steps[change.step]
        row = {**change.values, **{name: end.sys_id for name, end in change.refs.items() if end.sys_id}}
        if marker := step.options.get("marker"):
            row[str(marker)] = self.mark(change)
        return row

    def mark(self, change: Change) -> str:
        """What a row carries in the marker column: the run and the operation."""
        return f"{self.manner.run}/{change.op}"

    def follow(self, token: str, parcel: Parcel, writer: Writer, watch: Watch) -> Answered | Unclear | Running:
        """See an import set to its end, then read what became of each row."""
        step = self.steps[parcel.items[0].step]
        facts, staging = self._know(writer, step)
        sent = {change.op: self.body(change) for change in parcel.items}
        answer = following.follow(facts, staging, step, token, parcel.items, sent, watch)
        if isinstance(answer, Answered):
            unsure = [one.op for one in answer.outcomes if one.code == following.LAST_MAP]
            return self._looked_at(answer, [one for one in parcel.items if one.op in set(unsure)], writer)
        return answer

    def _looked_at(self, answer: Answered, unsure: list[Change], reader: Reader) -> Answered:
        """Rows of which the answer shows too little: where the target is as they want it, they are done."""
        if not unsure:
            return answer
        seen = {one.op: one for one in self.preview(Parcel("", unsure, [], []), reader)}
        done = {op: one for op, one in seen.items() if one.action == "unchanged"}
        outcomes = [
            Outcome(one.op, "applied", done[one.op].sys_id, table=done[one.op].class_name) if one.op in done else one
            for one in answer.outcomes
        ]
        return Answered(tuple(outcomes), answer.notes, answer.stop)

    def settle(self, parcel: Parcel, reader: Reader) -> dict[int, Seen]:
        """Look for the rows by their marks; without a marker, whether the target is as the rows want it."""
        step = self.steps[parcel.items[0].step]
        facts, staging = self._know(reader, step)
        if step.options.get("marker"):
            if staging.rows_readable:
                marks = {self.mark(change): change for change in parcel.items}
                return following.by_mark(facts, staging, str(step.options["marker"]), marks)
            if not step.options.get("repeat_safe"):
                why = "staging rows cannot be read, so nobody can tell whether the row is there"
                return {one.op: Seen(one.op, action="unknown", reason=why) for one in parcel.items}
        seen = {one.op: one for one in self.preview(parcel, reader)}
        if step.options.get("repeat_safe"):
            for one in parcel.items:
                if seen[one.op].action == "unknown":
                    # Said to be safe to send again, whatever is there.
                    seen[one.op] = Seen(one.op, action=one.action, before=one.before, sys_id=one.sys_id)
            return seen
        why = "it has no marker and is not said to be repeat_safe, so whether it is there cannot be told"
        return {
            op: one if one.action == "unchanged" else Seen(op, action="unknown", reason=why) for op, one in seen.items()
        }


def _ended(sent: Sent) -> Refused | Unclear | None:
    """What a write came to that was not answered as it should be; None where it was."""
    if sent.outcome is Ending.UNKNOWN:
        return Unclear(sent.why or "no clear answer", is_late=sent.answer.is_late)
    if sent.outcome is not Ending.DONE:
        problem = sent.problem or Problem("not-sent", "the server did not take the request")
        return Refused(problem, sent.stop, sent.answer.status)
    return None


def _remark(step: StepInfo, name: str, code: str, message: str, fix: str) -> Problem:
    place = step.fields.get(name, step.position)
    return Problem(code, f"{step.name}: {message}", place, fix=fix, severity="warning")


def _rows(many: int) -> str:
    return "1 row" if many == 1 else f"{many:,} rows"
