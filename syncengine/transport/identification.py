"""How IdentifyReconcile answers (c_IdentifyReconcileAPI, Australia), read strictly.

The answer is matched by `inputIndices`, never by position; an answer that does not cover the request exactly, or that
speaks of items that were not sent, is a Misfit: it may belong to another request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from syncengine.changes import Seen
from syncengine.transport.answer import Decode

ITEM_OPERATIONS = frozenset(
    {"INSERT", "UPDATE", "UPDATE_WITH_UPGRADE", "UPDATE_WITH_DOWNGRADE", "UPDATE_WITH_SWITCH", "NO_CHANGE"}
)
RELATION_OPERATIONS = frozenset({"INSERT", "UPDATE", "NO_CHANGE"})
PARKED = frozenset({"INSERT_AS_PARTIAL", "INSERT_AS_INCOMPLETE", "INSERT_INCOMPLETE"})
MISPRINTS = {"UPDATE_WITH_UPDRADE": "UPDATE_WITH_UPGRADE"}
"""Spellings found on the vendor's pages: accepted, never sent."""


CONSEQUENCES = frozenset({"ABANDONED", "unknown-operation"})
"""What an item is said to be that did nothing wrong, beside one that did."""

PASSING = frozenset({"LOCK_TIMEOUT"})
"""What ends by itself: another writer holds the record, for a quarter of an hour at most."""

RECEIVED = re.compile(r',?"sys_ire_info":\{[^{}]*\}')


class Misfit(ValueError):
    """The answer does not fit the request."""


class Row(msgspec.Struct, gc=False, rename="camel"):
    """What is read of an item or a relation of an answer; the rest of it is not even decoded."""

    input_indices: list[int]
    operation: str | None = None
    sys_id: str | None = None
    class_name: str | None = None
    errors: list[dict[str, Any]] | None = None
    error_count: int | None = None
    warnings: list[Any] | None = None
    merged_payload_ids: list[Any] | None = None
    masked_attributes: list[str] | None = None
    related_items: list[Any] | None = None
    partial_sys_ids: list[str] | None = None
    incomplete_sys_ids: list[str] | None = None


class Result(msgspec.Struct, rename="camel"):
    """The result of a call."""

    items: list[Row] = []
    relations: list[Row] = []
    additional_committed_items: list[dict[str, Any]] | None = None
    additional_committed_relations: list[dict[str, Any]] | None = None
    log_context_id: str | None = None


class Answer(msgspec.Struct):
    """An answer that holds a result and no error beside it."""

    result: Result
    error: None = None


decode: Decode = msgspec.json.Decoder(Answer).decode
"""Reads an answer's bytes; what is no such answer raises msgspec.MsgspecError and is then read like any other."""


def answer_of(body: Any) -> Answer:
    """The answer, whichever way its bytes were read; raises Misfit where it is none."""
    if isinstance(body, Answer):
        return body
    try:
        return msgspec.convert(body, Answer, strict=False)
    except msgspec.ValidationError as error:
        raise Misfit(f"the answer is not one of this call: {error}") from error


def read_answer(body: Any, items: Sequence[int], relations: Sequence[int]) -> dict[int, Seen]:
    """What the engine said of each item and relation; `items` and `relations` give the operation at each index.

    Raises Misfit when an operation has no answer, or two, or an index is out of range.
    """
    result = answer_of(body).result
    seen: dict[int, Seen] = {}
    _read(result.items, items, seen, ITEM_OPERATIONS)
    _read(result.relations, relations, seen, RELATION_OPERATIONS)
    missing = len(items) + len(relations) - len(seen)
    if missing:
        raise Misfit(f"{missing} of {len(items) + len(relations)} operations have no answer")
    trace = result.log_context_id
    if trace:
        for answer in seen.values():
            if answer.code:
                answer.trace = f"{answer.trace} log context {trace}".strip()
    return seen


def _read(rows: Sequence[Row], ops: Sequence[int], seen: dict[int, Seen], words: frozenset[str]) -> None:
    count = len(ops)
    for row in rows:
        indices = row.input_indices
        for index in indices:
            if not 0 <= index < count:
                raise Misfit(f"the answer speaks of item {max(indices)}, {count} were sent")
            op = ops[index]
            if op in seen:
                raise Misfit("the answer speaks of one item twice")
            answer = seen[op] = _seen(op, row, words)
            if len(indices) > 1:
                answer.same_as = tuple(ops[other] for other in indices if other != index)


def _seen(op: int, row: Row, words: frozenset[str]) -> Seen:
    operation = row.operation or ""
    operation = MISPRINTS.get(operation, operation)
    sys_id = row.sys_id or ""
    answer = Seen(op, operation, sys_id="" if sys_id == "Unknown" else sys_id, class_name=row.class_name or "")
    if row.warnings:
        answer.warnings = tuple(_said(warning) for warning in row.warnings)
    if row.merged_payload_ids:
        answer.warnings += ("merged-parked-payload",)
    if row.masked_attributes:
        answer.masked = tuple(row.masked_attributes)
    if row.related_items:
        answer.parts = tuple(str(part.get("operation") or "") for part in _in_order(row.related_items))
    if row.errors or row.error_count:
        errors = row.errors or []
        first = errors[0] if errors else {}
        answer.code = str(first.get("error") or "unnamed-error")
        answer.message = " · ".join(_steady(str(error.get("message") or error.get("error"))) for error in errors)
    elif operation in PARKED:
        answer.code = "parked"
        answer.message = ": ".join([f"the target parks it instead of writing it ({operation})", *answer.warnings])
        answer.trace = " ".join([*(row.partial_sys_ids or ()), *(row.incomplete_sys_ids or ())])
    elif operation not in words:
        answer.code = "unknown-operation"
        answer.message = f"the target answered with an operation that is not known: {operation or 'none'}"
    return answer


def _said(warning: Any) -> str:
    if isinstance(warning, dict):
        return f"{warning.get('error')}: {_steady(str(warning.get('message')))}"
    return str(warning)


def _steady(message: str) -> str:
    """A message without the time of the request, which the engine repeats with the item."""
    return RECEIVED.sub("", message)


def _in_order(parts: Any) -> list[Mapping[str, Any]]:
    rows = [part for part in parts or () if isinstance(part, dict)]

    def position(part: Mapping[str, Any]) -> int:
        indices = part.get("inputIndices") or [{}]
        first = indices[0]
        return int(first.get("subIndex", 0)) if isinstance(first, dict) else 0

    return sorted(rows, key=position)


ADVICE: Mapping[str, str] = {
    "ABANDONED": "it failed because another item did: look at the one it is listed under",
    "DUPLICATE_LOOKUP_PAYLOAD": "two lookup items of this record are equal: make them one in the spec",
    "DUPLICATE_PAYLOAD_RECORDS": "the engine takes these two for one CI: correct in the source what they share",
    "DUPLICATE_RELATED_PAYLOAD": "two related items of this record are equal: make them one in the spec",
    "DUPLICATE_RELATIONSHIP_TYPES": "the instance has two relation types of this name: have one renamed",
    "IDENTIFICATION_RULE_FOR_LOOKUP_MISSING": "the class has no lookup entry for this table: take the lookup out",
    "IDENTIFICATION_RULE_FOR_RELATED_ITEM_MISSING": "the class has no related entry for this table: take it out",
    "IDENTIFICATION_RULE_MISSING": "the class has no identification rule: have one made on the instance",
    "INSERT_FAILED": "a business rule of the instance stopped it: its message names the rule",
    "INSERT_NOT_ALLOWED_FOR_SOURCE": "a data source rule forbids this source to insert the class",
    "INVALID_INPUT_DATA": "the data source, a relation type or a sys_id is not known to the instance",
    "LOCK_TIMEOUT": "somebody else kept writing the same records: plan it anew when they are done",
    "METADATA_RULE_MISSING": "the class depends on another but no rule says on which: have one made",
    "MISSING_DEPENDENCY": "one of the step's relations: has to lead to the CI it lives in, as one of these rules says",
    "MISSING_MATCHING_ATTRIBUTES": "fill what identifies it: syncengine schema --class CLASS --fields tells",
    "MULTIPLE_DEPENDENCIES": "it may live in one CI only: take the other relation out",
    "MULTIPLE_DUPLICATE_RECORDS": "the CMDB holds duplicates of it: have them merged",
    "MULTI_MATCH": "several records of the CMDB match it: have the duplicates merged",
    "NO_CLASS_NAME_FOR_INDEPENDENT_CI": "the identification rule itself is faulty: have it corrected",
    "NO_LOOKUP_RULES_FOR_DEPENDENT_CI": "the identification rule itself is faulty: have it corrected",
    "QUALIFICATION_LOOP": "the qualifiers form a loop: take one relation out",
    "RECLASSIFICATION_NOT_ALLOWED": "the instance forbids this change of class: correct the class or the record",
    "RELATION_CHAIN_ENDS_AT_QUALIFIER": "a chain of relations ends at a qualifier: add what it qualifies",
    "REQUIRED_ATTRIBUTE_EMPTY": "the instance demands a field on insert: its message names it",
    "TYPE_CONFLICT_IN_QUALIFICATION": "two chains of qualifiers lead to it: keep one",
    "parked": "complete the record; the parked part is under the id given and expires by itself",
    "unknown-operation": "the answer was not understood: look at the record on the target before going on",
}
"""What a person can do about each error code of the engine (id-engine-error-messages, Australia)."""
