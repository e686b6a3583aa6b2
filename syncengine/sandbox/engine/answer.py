"""The decision, told in the service's shapes.

Which keys are present follows the documented examples; older examples lack some (setting `answer.style`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import uuid4

from syncengine.sandbox.engine.payload import UNKNOWN, Fault, Item, Options, Payload, Relation
from syncengine.sandbox.world import World

_SUMMARY = {
    "INSERT": "inserted",
    "NO_CHANGE": "unchanged",
    "INSERT_AS_PARTIAL": "partial",
    "INSERT_AS_INCOMPLETE": "incomplete",
}


class Answer:
    """Renders one payload."""

    def __init__(self, world: World, options: Options, committed: bool) -> None:
        self._newer = world.settings["answer.style"] == "newer"
        self._flags = world.settings["answer.flags"] == "always"
        self._rejected = str(world.settings["answer.rejected_operation"])
        self._relation_ids = bool(world.settings["answer.relation_ids"])
        self._options = options
        self._committed = committed

    def render(self, payload: Payload) -> dict[str, Any]:
        """The object under `result`."""
        standing = [item for item in payload.items if item.merged_into is None]
        related = [relation for relation in payload.relations if not relation.merged]
        result: dict[str, Any] = {
            "items": [self._item(item) for item in standing],
            "relations": [self._relation(relation) for relation in related],
            "additionalCommittedItems": [],
            "additionalCommittedRelations": [],
        }
        if (self._newer and self._flags) or self._options.generate_summary:
            result["hasError"] = any(item.errors for item in standing) or any(r.errors for r in related)
            result["hasWarning"] = any(item.warnings for item in standing)
        if self._newer and self._flags:
            result["logContextId"] = uuid4().hex
        if self._options.generate_summary:
            result["summary"] = _summary(standing)
        return result

    def _item(self, item: Item) -> dict[str, Any]:
        new = item.operation == "INSERT" and item.record is None
        answer: dict[str, Any] = {"className": item.new_class or item.cls}
        if item.errors and not item.parked:
            answer["sysId"] = answer["identifierEntrySysId"] = UNKNOWN
            if self._rejected != "absent":
                answer["operation"] = self._rejected
        else:
            answer["operation"] = item.operation
            if item.parked:
                answer["sysId"] = answer["identifierEntrySysId"] = UNKNOWN
            elif not new or self._committed:
                # documented (scripted example): the dry run of an insert has neither id
                answer["sysId"] = item.sys_id
                answer["identifierEntrySysId"] = item.entry
        answer["identificationAttempts"] = (
            item.attempts if self._newer else [a for a in item.attempts if "info" not in a]
        )
        answer["inputIndices"] = item.indices
        answer["markers"] = []
        answer["mergedPayloadIds"] = item.merged_payloads
        answer["errorCount"] = len(item.errors)
        if self._newer:
            answer["warningCount"] = len(item.warnings)
        _faults(answer, item.errors, item.warnings)
        if item.partial_ids:
            answer["partialSysIds"] = item.partial_ids
        if item.incomplete_ids:
            answer["incompleteSysIds"] = item.incomplete_ids
        if item.info:
            answer["info"] = item.info
        if item.masked:
            answer["maskedAttributes"] = item.masked
        if item.parts:
            self._parts(answer, item)
        return answer

    def _parts(self, answer: dict[str, Any], item: Item) -> None:
        told = self._newer and not item.failed
        rows = []
        for part in item.parts:
            row: dict[str, Any] = {
                "className": part.cls,
                "markers": [],
                "mergedPayloadIds": [],
                "inputIndices": [{"mainIndex": item.index, "subIndex": part.sub}],
            }
            if self._newer:
                row["errors"] = [fault_json(fault) for fault in part.errors]
                row["errorCount"] = len(part.errors)
                row["warningCount"] = 0
            if told and part.operation:
                row["operation"] = part.operation
                if part.record is not None or self._committed:
                    row["sysId"] = part.sys_id
            rows.append(row)
        answer["relatedSysIds"] = [
            part.sys_id if told and part.sys_id and (part.record is not None or self._committed) else None
            for part in item.parts
        ]
        answer["relatedItems"] = rows
        if not self._newer:
            answer["additionalRelatedItems"] = []

    def _relation(self, relation: Relation) -> dict[str, Any]:
        answer: dict[str, Any] = {"className": "cmdb_rel_ci"}
        if relation.operation:
            answer["operation"] = relation.operation
        answer["inputIndices"] = relation.indices
        answer["markers"] = []
        answer["mergedPayloadIds"] = []
        answer["errorCount"] = len(relation.errors)
        if self._newer:
            answer["warningCount"] = 0
            if self._committed and self._relation_ids and not relation.errors:
                answer["sysId"] = relation.sys_id or UNKNOWN
                answer["identifierEntrySysId"] = UNKNOWN
        _faults(answer, relation.errors, ())
        return answer


def fault_json(fault: Fault) -> dict[str, str]:
    """One error or warning."""
    return {"error": fault.error, "message": fault.message}


def _faults(answer: dict[str, Any], errors: Sequence[Fault], warnings: Sequence[Fault]) -> None:
    # documented: both lists are left out when both are empty, and both are there when one is not
    if errors or warnings:
        answer["errors"] = [fault_json(fault) for fault in errors]
        answer["warnings"] = [fault_json(fault) for fault in warnings]


def _summary(items: Iterable[Item]) -> dict[str, dict[str, int]]:
    names = (
        "inserted", "updated", "unchanged", "skipped", "partial", "incomplete", "additionalInserted",
        "mergedPartialPayloads", "errors", "warnings",
    )  # fmt: skip
    found: dict[str, Counter[str]] = {}
    for item in items:
        counts = found.setdefault(item.new_class or item.cls, Counter())
        if item.operation:
            counts[_SUMMARY.get(item.operation, "updated")] += 1
        counts["errors"] += len(item.errors)
        counts["warnings"] += len(item.warnings)
        counts["mergedPartialPayloads"] += len(item.merged_payloads)
        for part in item.parts:
            if part.operation:
                found.setdefault(part.cls, Counter())[_SUMMARY.get(part.operation, "updated")] += 1
    return {cls: {name: counts[name] for name in names} for cls, counts in found.items()}
