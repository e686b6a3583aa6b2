"""CI classes and relations, through the identification engine (IdentifyReconcile, enhanced pair).

Every call sends `partial_payloads:false,partial_commits:true,deduplicate_payloads:false`: good items are committed, bad
ones fail and are not parked for a later commit, duplicates are told (c_IdentifyReconcileAPI, Australia). An item that
is only an end goes by its sys_id with its real class and the three switches that keep it
(best-practices-id-reconcile, c_CIReclassification, Australia).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from syncengine.changes import Change, End, Outcome, Owned, Parcel, Part, Seen, StepInfo
from syncengine.errors import Problem
from syncengine.targets import Answered, Refused, Target, Unclear
from syncengine.transport.answer import Ending, Kind
from syncengine.transport.identification import Misfit, read_answer
from syncengine.transport.reader import Reader, Writer
from syncengine.transport.servicenow import query_value, rows_by_ids, table_rows

OPTIONS = "partial_payloads:false,partial_commits:true,deduplicate_payloads:false"
COMMIT = "/api/now/identifyreconcile/enhanced"
QUERY = "/api/now/identifyreconcile/queryEnhanced"
KEEP_CLASS = {"updateWithoutUpgrade": True, "updateWithoutDowngrade": True, "updateWithoutSwitch": True}
VOLATILE = frozenset({"last_discovered", "discovery_source", "first_discovered"})
"""Written by the engine on every call, so never a difference (ire, Australia: Timestamps)."""


class CmdbTarget(Target):
    """CIs and their relations."""

    kinds = ("cmdb", "relation")
    batch_limit = 500

    def owned(self, step: StepInfo, reader: Reader) -> Iterator[Owned]:
        """Rows of sys_object_source under the step's data source and feed."""
        query = f"name={query_value(step.data_source)}^source_feed={query_value(step.feed)}"
        fields = ("sys_id", "id", "target_sys_id")
        for row in table_rows(reader, "sys_object_source", query, fields, page=10_000):
            yield Owned(row["id"], row["target_sys_id"])

    def preview(self, parcel: Parcel, reader: Reader) -> list[Seen]:
        """Ask the engine without committing, then read the records it would update, to say what differs.

        Records go without their sys_id: the engine has to find them by its own rules, as it did at plan time.
        """
        body, ops, relation_ops = self._payload(parcel, pin=False)
        answer = reader.ask(QUERY, {"sysparm_data_source": parcel.data_source, "options": OPTIONS}, body)
        seen = read_answer(answer.body, ops, relation_ops)
        self._judge(parcel, seen, reader)
        return [seen[change.op] for change in (*parcel.items, *parcel.relations)]

    def send(self, parcel: Parcel, writer: Writer) -> Answered | Refused | Unclear:
        """Commit a parcel; records that were matched at plan time carry their sys_id."""
        body, ops, relation_ops = self._payload(parcel, pin=self.pin)
        params = {"sysparm_data_source": parcel.data_source, "options": OPTIONS}
        sent = writer.send(COMMIT, params, body, kind=Kind.KEYED)
        if sent.outcome is Ending.UNKNOWN:
            return Unclear(sent.problem.message if sent.problem else "no clear answer", is_late=sent.answer.is_late)
        if sent.outcome is not Ending.DONE:
            problem = sent.problem or Problem("not-sent", "the server did not take the request")
            return Refused(problem, sent.stop, sent.answer.status)
        try:
            seen = read_answer(sent.answer.body, ops, relation_ops)
        except Misfit as misfit:
            return Unclear(str(misfit))
        outcomes = [_outcome(change, seen[change.op]) for change in (*parcel.items, *parcel.relations)]
        result = sent.answer.body["result"]
        beside = [
            f"committed beside the plan: {row.get('className', '?')} {row.get('sysId', '')}".strip()
            for name in ("additionalCommittedItems", "additionalCommittedRelations")
            for row in result.get(name) or ()
        ]
        return Answered(tuple(outcomes), tuple(beside))

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
        linked = parcel.relations if pin else [*parcel.relations, *parcel.context]
        relations = []
        for change in linked:
            parent, child = change.pair
            relations.append({"parent": index[parent.op], "child": index[child.op], "type": change.type})
        return {"items": items, "relations": relations}, ops, [change.op for change in linked]

    def _item(self, change: Change, *, pin: bool) -> dict[str, Any]:
        step = self.steps[change.step]
        values: dict[str, str] = dict(change.values)
        for name, end in change.refs.items():
            if end.sys_id:
                values[name] = end.sys_id
        if pin and change.sys_id:
            values["sys_id"] = change.sys_id
        item: dict[str, Any] = {"className": change.class_name, "values": values}
        if change.lookup:
            item["lookup"] = [_part(part) for part in change.lookup]
        if change.related:
            item["related"] = [_part(part) for part in change.related]
        if step.settings:
            item["settings"] = dict(step.settings)
        if self.source_info:
            source = {
                "source_name": step.data_source,
                "source_feed": step.feed,
                "source_native_key": change.native_key or change.key,
            }
            if change.seen_at:
                source["source_recency_timestamp"] = change.seen_at
            item["sys_object_source_info"] = source
        return item

    # ── what the answer means ───────────────────────────────────────────────────────────────────

    def _judge(self, parcel: Parcel, seen: dict[int, Seen], reader: Reader) -> None:
        updated: list[tuple[Change, Seen]] = []
        for change in parcel.items:
            answer = seen[change.op]
            answer.basis = "engine"
            if answer.code:
                answer.action = "rejected"
            elif answer.operation == "INSERT":
                answer.action = "create"
                answer.sys_id = ""
            else:
                updated.append((change, answer))
        for change in parcel.relations:
            answer = seen[change.op]
            answer.basis = "engine"
            if answer.code:
                answer.action = "rejected"
            else:
                answer.action = "relate" if answer.operation == "INSERT" else "unchanged"
            answer.sys_id = ""
        self._explain(updated, reader)

    def _explain(self, updated: list[tuple[Change, Seen]], reader: Reader) -> None:
        """Say what differs in the records that the engine would update; the rest is unchanged."""
        wanted: dict[str, list[tuple[Change, Seen]]] = {}
        moved = [answer for _, answer in updated if answer.operation.startswith("UPDATE_WITH_")]
        classes: dict[str, str] = {}
        if moved:
            ids = [answer.sys_id for answer in moved]
            rows = rows_by_ids(reader, "cmdb_ci", ids, ("sys_id", "sys_class_name"))
            classes = {row["sys_id"]: row["sys_class_name"] for row in rows}
        for change, answer in updated:
            if answer.operation == "NO_CHANGE":
                _unless_parts(answer)
                continue
            answer.was_class = classes.get(answer.sys_id, "")
            wanted.setdefault(answer.was_class or answer.class_name, []).append((change, answer))
        for table, pairs in wanted.items():
            fields = sorted({name for change, _ in pairs for name in (*change.values, *change.refs)})
            rows = rows_by_ids(reader, table, [answer.sys_id for _, answer in pairs], ("sys_id", *fields))
            present = {row["sys_id"]: row for row in rows}
            for change, answer in pairs:
                quiet = self.steps[change.step].quiet
                _explain_one(change, answer, present.get(answer.sys_id), VOLATILE.union(quiet) if quiet else VOLATILE)


def _part(part: Part) -> dict[str, Any]:
    return {"className": part.class_name, "values": part.values}


def _end_item(end: End) -> dict[str, Any]:
    return {"className": end.class_name, "values": {"sys_id": end.sys_id}, "settings": KEEP_CLASS}


def _unless_parts(answer: Seen) -> None:
    """A record that stays as it is while one of its lookup or related rows does not, is an update."""
    if any(part not in ("NO_CHANGE", "") for part in answer.parts):
        answer.action, answer.reason = "update", "parts"
    else:
        answer.action = "unchanged"


def _explain_one(change: Change, answer: Seen, row: dict[str, Any] | None, ignored: frozenset[str]) -> None:
    sent = {**change.values, **{name: end.sys_id for name, end in change.refs.items() if end.sys_id}}
    if row is None:
        answer.action, answer.reason = "update", "unreadable"
    else:
        found = {name: str(row.get(name) or "") for name, value in sent.items() if str(row.get(name) or "") != value}
        differs = {name: value for name, value in found.items() if name not in ignored}
        if found and not differs and answer.operation == "UPDATE":
            answer.action, answer.reason = "unchanged", "compare: false"
            return
        answer.before = {name: value for name, value in differs.items() if name not in answer.masked}
        if not answer.before and differs and answer.operation == "UPDATE":
            answer.action, answer.reason = "unchanged", "not authoritative"
            return
        answer.action = "update"
        if not answer.before:
            answer.reason = "parts" if any(part not in ("NO_CHANGE", "") for part in answer.parts) else "unexplained"
    if (answer.was_class and answer.was_class != answer.class_name) or answer.operation.startswith("UPDATE_WITH_"):
        answer.action = "reclassify"


EXPECTED = {
    "create": ("INSERT",),
    "update": ("UPDATE", "NO_CHANGE"),
    "reclassify": ("UPDATE_WITH_UPGRADE", "UPDATE_WITH_DOWNGRADE", "UPDATE_WITH_SWITCH", "UPDATE", "NO_CHANGE"),
    "touched": ("NO_CHANGE", "UPDATE"),
    "relate": ("INSERT", "NO_CHANGE"),
}


def _outcome(change: Change, answer: Seen) -> Outcome:
    """What a commit's answer means for a planned operation."""
    if answer.code:
        unknown = answer.code == "unknown-operation"
        return Outcome(
            change.op,
            "unknown" if unknown else "rejected",
            answer.sys_id,
            answer.operation,
            answer.code,
            answer.message,
            warnings=answer.warnings,
        )
    drift = answer.operation not in EXPECTED.get(change.action, (answer.operation,))
    warnings = answer.warnings + (("drift",) if drift else ())
    masked = tuple(name for name in answer.masked if name in change.values)
    return Outcome(change.op, "applied", answer.sys_id, answer.operation, warnings=warnings, masked=masked)
