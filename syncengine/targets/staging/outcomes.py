"""What the instance's words about a row mean for the operation that sent it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from syncengine.changes import Change, Outcome
from syncengine.targets.staging.transform import combined
from syncengine.transport.import_set import STATUSES, UNCHANGED, MapResult

_EXPECTED = {"create": ("inserted",), "update": ("updated", "ignored")}
"""What a planned action may turn out to be; anything else is drift: somebody was faster."""


def of_results(change: Change, results: Sequence[MapResult]) -> Outcome:
    """What became of a row, by what each transform map made of it."""
    strange = [one.status for one in results if one.status not in STATUSES]
    if strange:
        said = f"the instance says {', '.join(map(repr, sorted(set(strange))))} of it, a word that is not known"
        return Outcome(change.op, "unknown", operation=strange[0], code="unknown-status", message=said[:300])
    status = combined(one.status for one in results)
    chosen = next((one for one in results if one.sys_id and one.status == status), None)
    chosen = chosen or next((one for one in results if one.sys_id), results[0])
    if status in ("error", "skipped"):
        code = "row-error" if status == "error" else "row-skipped"
        message = _said(results, ("error", "skipped") if status == "error" else ("skipped",))
        return Outcome(change.op, "rejected", "", status, code, message)
    warnings: tuple[str, ...] = ()
    if status not in _EXPECTED.get(change.action, (status,)) and not _is_left(status, results):
        warnings = ("drift",)
    result: Literal["applied", "unchanged"] = "applied"
    message = ""
    if status == "ignored":
        result, message = "unchanged", _said(results, ("ignored",))
        if not message.startswith(UNCHANGED):
            warnings = ("ignored by the instance",)
    return Outcome(change.op, result, chosen.sys_id, status, "", message, warnings=warnings, table=chosen.table)


def _is_left(status: str, results: Sequence[MapResult]) -> bool:
    """Whether the instance left the row alone for a reason of its own, which is no drift."""
    return status == "ignored" and not any(one.message.startswith(UNCHANGED) for one in results)


def of_result(change: Change, result: MapResult) -> Outcome:
    """What became of a row, by what its staging row keeps."""
    return of_results(change, (result,))


def _said(results: Sequence[MapResult], statuses: Sequence[str]) -> str:
    """The instance's words, with the map's name where there are several."""
    words = []
    for one in results:
        if one.status in statuses:
            text = one.message or f"the instance says {one.status}"
            words.append(f"{one.map}: {text}" if len(results) > 1 and one.map else text)
    return "; ".join(dict.fromkeys(words))
