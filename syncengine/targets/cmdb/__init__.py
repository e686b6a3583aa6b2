"""CI classes and relations, through the identification engine (IdentifyReconcile).

`dialects` says how it is called, `meaning` what its answers mean. An item that is only an end goes by its sys_id with
its real class and the three switches that keep it (best-practices-id-reconcile, c_CIReclassification, Australia).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from syncengine.changes import Change, End, Outcome, Owned, Parcel, Part, Seen, StepInfo
from syncengine.errors import NOTHING_WRITTEN, AuthError, Problem, RemoteError, many
from syncengine.targets import Answered, Refused, Target, Unclear
from syncengine.targets.cmdb.dialects import DIALECTS, Dialect, ask_in_parts, is_refused, named
from syncengine.targets.cmdb.meaning import judge, named_twins, outcome
from syncengine.targets.cmdb.parts import fill_parts
from syncengine.transport.answer import Ending, Kind
from syncengine.transport.identification import PASSING, Misfit, answer_of, decode, read_answer
from syncengine.transport.instance import Instance
from syncengine.transport.reader import Reader, Writer
from syncengine.transport.servicenow import query_value, table_path, table_rows

OWNED = "sys_object_source"
"""The table that remembers which data source and feed wrote what."""
KEEP_CLASS = {"updateWithoutUpgrade": True, "updateWithoutDowngrade": True, "updateWithoutSwitch": True}


class CmdbTarget(Target):
    """CIs and their relations."""

    kinds = ("cmdb", "relation")
    batch_limit = 500
    _instance: Instance | None = None

    @property
    def calls(self) -> Dialect:
        """The pair of calls that the instance has."""
        return DIALECTS[self.manner.dialect]

    def owned(self, step: StepInfo, reader: Reader) -> Iterator[Owned]:
        """Rows of sys_object_source under the step's data source and feed.

        Raises AuthError where such rows are counted and none is shown: all records would be adopted anew, and no guard
        in percent and nothing that vanished would be looked at.
        """
        query = f"name={query_value(step.data_source)}^source_feed={query_value(step.feed)}"
        fields = ("sys_id", "id", "target_sys_id")
        seen, hidden = 0, list[int]()
        for row in table_rows(reader, OWNED, query, fields, page=10_000, on_hidden=hidden.append):
            seen += 1
            yield Owned(row["id"], row["target_sys_id"])
        if hidden and not seen:
            said = f"{step.name}: {many(hidden[0], 'record')} of ours are there and hidden from this user"
            fix = f"ask the admin for read access to {OWNED}: guards, adoption and what has vanished count from it"
            raise AuthError(Problem("owned-hidden", said, f"GET {table_path(OWNED)}", fix=fix), effect=NOTHING_WRITTEN)

    def preview(self, parcel: Parcel, reader: Reader) -> list[Seen]:
        """Ask the engine without committing, then read the records it would update, to say what differs.

        Records go without their sys_id: the engine has to find them by its own rules, as it did at plan time.
        """

        def ask(part: Parcel) -> dict[int, Seen]:
            body, ops, relation_ops = self._payload(part, pin=False)
            answer = reader.ask(self.calls.query, self.calls.params(part.data_source), body, decode=decode)
            try:
                return named_twins(read_answer(answer.body, ops, relation_ops), ops, part.items)
            except Misfit as misfit:
                problem = Problem("unexpected-answer", str(misfit), f"POST {self.calls.query}")
                raise RemoteError(problem, effect=NOTHING_WRITTEN) from misfit

        seen = ask_in_parts(parcel, ask) if self.calls.is_whole else ask(parcel)
        if self.calls.is_whole:
            self._instance = self._instance or Instance(reader)
            fill_parts([(change, seen[change.op]) for change in parcel.items], self._instance, reader)
        judge(parcel, seen, self.steps, reader)
        return [seen[change.op] for change in (*parcel.items, *parcel.relations)]

    def send(self, parcel: Parcel, writer: Writer) -> Answered | Refused | Unclear:
        """Commit a parcel; records that were matched at plan time carry their sys_id."""
        body, ops, relation_ops = self._payload(parcel, pin=self.manner.pin)
        sent = writer.send(
            self.calls.commit, self.calls.params(parcel.data_source), body, kind=Kind.KEYED, decode=decode
        )
        if sent.outcome is Ending.UNKNOWN:
            return Unclear(sent.problem.message if sent.problem else "no clear answer", is_late=sent.answer.is_late)
        if sent.outcome is not Ending.DONE:
            problem = sent.problem or Problem("not-sent", "the server did not take the request")
            return Refused(problem, sent.stop, sent.answer.status)
        try:
            seen = named_twins(read_answer(sent.answer.body, ops, relation_ops), ops, parcel.items)
        except Misfit as misfit:
            return Unclear(str(misfit))
        if self.calls.is_whole and is_refused(seen):
            return _refused_together(parcel, seen)
        outcomes = [outcome(change, seen[change.op]) for change in (*parcel.items, *parcel.relations)]
        result = answer_of(sent.answer.body).result
        beside = [
            f"committed beside the plan: {row.get('className', '?')} {row.get('sysId', '')}".strip()
            for rows in (result.additional_committed_items, result.additional_committed_relations)
            for row in rows or ()
        ]
        return Answered(tuple(outcomes), tuple(beside), later=_held(parcel, outcomes))

    def settle(self, parcel: Parcel, reader: Reader) -> dict[int, Seen]:
        """Ask the same payload again: what is done is NO_CHANGE."""
        return {seen.op: seen for seen in self.preview(parcel, reader)}

    # ── payloads ────────────────────────────────────────────────────────────────────────────────

    def _payload(self, parcel: Parcel, *, pin: bool) -> tuple[dict[str, Any], list[int], list[int]]:
        """The request body, and which operation stands at each index of its items and relations."""
        items: list[dict[str, Any]] = []
        ops: list[int] = []
        index: dict[int, int] = {}
        for change in parcel.items:
            index[change.op] = len(items)
            ops.append(change.op)
            items.append(self._item(change, pin=pin))
        # A dependent that is pinned needs no host; one that has to be found does (best-practices-id-reconcile).
        ends = parcel.ends if pin else [*parcel.ends, *parcel.context_ends]
        for end in ends:
            if end.op not in index:
                index[end.op] = len(items)
                ops.append(end.op)
                items.append(_end_item(end))
        context = [change for change in parcel.context if all(end.op in index for end in change.pair)]
        linked = parcel.relations if pin else [*parcel.relations, *context]
        relations = []
        for change in linked:
            parent, child = change.pair
            relations.append({"parent": index[parent.op], "child": index[child.op], "type": change.type})
        return {"items": items, "relations": relations}, ops, [change.op for change in linked]

    def _item(self, change: Change, *, pin: bool) -> dict[str, Any]:
        step = self.steps[change.step]
        values = change.values
        if change.refs or (pin and change.sys_id):
            values = {**values, **{name: end.sys_id for name, end in change.refs.items() if end.sys_id}}
            if pin and change.sys_id:
                values["sys_id"] = change.sys_id
        item: dict[str, Any] = {"className": change.class_name, "values": values}
        if change.lookup:
            item["lookup"] = [_part(part) for part in change.lookup]
        if change.related:
            item["related"] = [_part(part) for part in change.related]
        if step.settings:
            item["settings"] = dict(step.settings)
        if self.manner.source_info:
            source = {
                "source_name": step.data_source,
                "source_feed": step.feed,
                "source_native_key": change.native_key or change.key,
            }
            if change.seen_at:
                source["source_recency_timestamp"] = change.seen_at
            item["sys_object_source_info"] = source
        return item


def _part(part: Part) -> dict[str, Any]:
    return {"className": part.class_name, "values": part.values}


def _end_item(end: End) -> dict[str, Any]:
    return {"className": end.class_name, "values": {"sys_id": end.sys_id}, "settings": KEEP_CLASS}


def _held(parcel: Parcel, outcomes: Sequence[Outcome]) -> frozenset[int]:
    """What somebody else's lock stopped, with what was given up for its sake alone."""
    held = {one.op for one in outcomes if one.code in PASSING}
    given_up = {one.op for one in outcomes if held and one.code == "ABANDONED"}
    for change in parcel.items:  # a host stands before what lives in it
        if change.op in given_up and change.host in held:
            held.add(change.op)
    for change in parcel.relations:
        if change.op in given_up and any(end.op in held for end in change.pair):
            held.add(change.op)
    return frozenset(held)


def _refused_together(parcel: Parcel, seen: dict[int, Seen]) -> Refused:
    """One bad item took the others along: those that are named as the reason are told, the rest can be sent again."""
    bad = named(parcel, seen)
    told = tuple(outcome(one, bad[one.op]) for one in (*parcel.items, *parcel.relations) if one.op in bad)
    problem = Problem("refused-together", "the server refused the request as a whole and names no item as the reason")
    return Refused(problem, named=told, later=_held(parcel, told), for_a_part=not told)
