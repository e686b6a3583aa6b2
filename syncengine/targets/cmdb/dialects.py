"""The two ways to call IdentifyReconcile: the enhanced pair, item by item; the plain pair, all or nothing.

The enhanced calls are sent `partial_payloads:false,partial_commits:true,deduplicate_payloads:false`: good items are
committed, bad ones fail and are not parked for a later commit, duplicates are told (c_IdentifyReconcileAPI, Australia).
The plain calls have no options and reject the whole payload for one bad item (c_CIReclassification, Australia). What
they say of the good items beside it is not documented, so it is not believed: those are asked and sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from msgspec import structs

from syncengine.changes import Parcel, Seen
from syncengine.parcels import halves_to_ask, reduced
from syncengine.transport.identification import CONSEQUENCES

Ask = Callable[[Parcel], dict[int, Seen]]
"""Sends one dry run."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One pair of calls."""

    query: str
    commit: str
    options: str
    is_whole: bool
    """One bad item rejects the payload."""

    def params(self, data_source: str) -> dict[str, str]:
        """The query parameters of a call."""
        said = {"sysparm_data_source": data_source}
        return {**said, "options": self.options} if self.options else said


DIALECTS: Mapping[str, Dialect] = {
    "enhanced": Dialect(
        "/api/now/identifyreconcile/queryEnhanced",
        "/api/now/identifyreconcile/enhanced",
        "partial_payloads:false,partial_commits:true,deduplicate_payloads:false",
        is_whole=False,
    ),
    "classic": Dialect("/api/now/identifyreconcile/query", "/api/now/identifyreconcile", "", is_whole=True),
}


def is_refused(seen: Mapping[int, Seen]) -> bool:
    """Whether an all-or-nothing call did nothing, because of something in it."""
    return any(map(_is_error, seen.values()))


def _is_error(answer: Seen) -> bool:
    return bool(answer.code) and answer.code != "unknown-operation"


def named(parcel: Parcel, seen: Mapping[int, Seen]) -> dict[int, Seen]:
    """What the answer names as the reason of a refusal, with all that falls with it; empty where it names nothing.

    A host takes along what lives in it, an item its relations. One operation alone needs no name: it is the reason.
    """
    found = {op: answer for op, answer in seen.items() if answer.code and answer.code not in CONSEQUENCES}
    for change in parcel.items:
        if change.host in found and change.op not in found:
            found[change.op] = _fallen(seen[change.op], found[change.host])
    for change in parcel.relations:
        cause = next((end.op for end in change.pair if end.op in found), None)
        if cause is not None and change.op not in found:
            found[change.op] = _fallen(seen[change.op], found[cause])
    ops = [change.op for change in (*parcel.items, *parcel.relations)]
    return rejected(ops, seen) if len(ops) == 1 and ops[0] not in found else found


def rejected(ops: Iterable[int], seen: Mapping[int, Seen]) -> dict[int, Seen]:
    """Operations that were refused with nothing else beside them, in the words that there are."""
    said = next(filter(_is_error, seen.values()))
    return {op: seen[op] if _is_error(seen[op]) else _fallen(seen[op], said) for op in ops}


def _fallen(answer: Seen, cause: Seen) -> Seen:
    if _is_error(answer):
        return answer
    return structs.replace(answer, operation="", code="ABANDONED", message=cause.message)


def ask_in_parts(parcel: Parcel, ask: Ask) -> dict[int, Seen]:
    """The dry run of an all-or-nothing call: what is named as bad is taken out, else halves are asked.

    Nothing is written, so an item may stand in several questions; each operation is told once.
    """
    told: dict[int, Seen] = {}
    waiting = [(parcel, {change.op for change in (*parcel.items, *parcel.relations)})]
    while waiting:
        part, own = waiting.pop()
        seen = ask(part)
        if not is_refused(seen):
            told.update((op, seen[op]) for op in own)
        elif bad := named(part, seen):
            told.update((op, answer) for op, answer in bad.items() if op in own)
            if left := own - bad.keys():
                waiting.append((reduced(part, bad), left))
        elif _is_one(part, own):
            told.update(rejected(own, seen))
        else:
            first, second = halves_to_ask(part, own)
            early = own & {change.op for change in (*first.items, *first.relations)}
            waiting += [(second, own - early), (first, early)]
    return told


def _is_one(parcel: Parcel, own: Collection[int]) -> bool:
    """One record or one relation, or a record with the relation it is found by."""
    items = sum(change.op in own for change in parcel.items)
    return items <= 1 and len(own) - items <= 1
