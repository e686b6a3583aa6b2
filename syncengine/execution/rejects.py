"""The rows that were not applied, as a CSV a person can open.

Cells that a spreadsheet would take for a formula get an apostrophe in front; this file is for reading, not for sending.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from syncengine.changes import Change, StepInfo
from syncengine.errors import visible
from syncengine.execution.operations import Operations
from syncengine.files import replacing
from syncengine.planning.sealing import HIDDEN, shown
from syncengine.transport.identification import ADVICE

REJECTS = "rejects.csv"
"""The file beside the plan of a run."""
COLUMNS = ("result", "step", "action", "key", "code", "message", "advice", "file", "row", "line", "spec")
NOT_APPLIED = ("rejected", "stale", "not_sent", "unknown")
MOST_FIELDS = 60
FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
OURS = {
    "stale": "somebody changed it since the plan: plan it anew",
    "needs-another": "it follows from another row: look at that one",
    "missing-endpoint": "give the other record a row, plan the spec that makes it, too, or say  if_missing: omit",
    "missing-value": "fill that field of the other record, or write here by which text the target knows it",
    "missing-required": "fill these columns of the row, or leave it out with  when:",
    "not-found": "make that record on the target (sandbox: in sandbox/seed.yaml), or say  if_missing: omit",
    "several-found": "tell them apart with one more column under  where:, or merge them on the target",
    "end-rejected": "it follows from another row: look at that one",
    "owner-held": "correct the rejected rows first: those of an owner replace each other",
    "host-rejected": "it follows from another row: look at that one",
    "two-keys-one-record": "two rows of the source are one record on the target: keep one of them",
    "same-identity": "make the rows differ in what identifies them, or keep one of them",
    "unclear": "syncengine resume looks again; if it stays so, look at the record on the instance and plan anew",
    "row-error": "the transform map failed: its message says why; correct the row, or the map and its scripts",
    "row-skipped": "the map leaves such rows alone: fill its coalesce fields, or values that it knows",
    "row-refused": "the instance does not take the row: a row has at most 8126 bytes, a request 10 MB",
    "wrong-label-mode": "give labels as the instance shows them, or insert_multiple: names in the connection",
    "import-set-cancelled": "somebody cancelled the import set: plan it anew",
    "no-transform-map": "have a transform map made or activated for the staging table",
    "results-gone": "look at the target; a new plan shows what is left to do",
    "shows-last-map": "send single: one answer for each map; or look at the target, and plan anew",
    "unknown-status": "look at the row on the instance; a new plan shows what is left to do",
    "other-content": "say if_exists: replace or add, or give the file another name",
    "several-of-one-name": "delete all but one of them on the record",
    "short-file": "delete the short attachment, and plan anew",
    "file-changed": "plan anew: a plan is for the files that were there when it was made",
    "bad-path": "make the plan anew, in this project",
    "no-file": "put the file where it was when the plan was made",
    "too-large": "send a smaller one, or have the limit of the instance raised",
    "extension-not-allowed": "have the extension added to glide.attachment.extensions, or attach another form of it",
    "not-attached": "check that the record is there, and that the user may attach files to it",
}


def advice(code: str) -> str:
    """What a person can do about a row that was not applied."""
    return ADVICE.get(code) or OURS.get(code, "")


def not_applied(operations: Operations) -> Iterator[tuple[Change, str, str, str]]:
    """Change, result, code and message of every operation that was wanted and is not on the target, in source order."""
    for change, result, code, message in operations.unapplied():
        yield change, result, code or change.code, message or change.message


Where = tuple[str, str, int]
"""A row of the source of a step: the full name of the step, the file and the number. A file may be several sources."""
Originals = Callable[[set[Where]], Mapping[Where, Mapping[str, str]]]
"""Gives the columns of rows as the source has them; of rows that are not there any more, nothing."""
MOST_ORIGINALS = 20_000


def nothing_known(_wanted: set[Where]) -> Mapping[Where, Mapping[str, str]]:
    """For runs whose sources are not here: the file then holds the planned fields."""
    return {}


def write_rejects(operations: Operations, path: Path, originals: Originals = nothing_known) -> int:
    """Write the file; returns the number of rows, and writes none when there are none.

    Behind our own columns stand those of the source, where it is here and the same, else the planned fields.
    """
    fields: dict[str, None] = {}
    wanted: set[Where] = set()
    steps = operations.plan.header.steps
    total = 0
    for change, _, _, _ in not_applied(operations):
        total += 1
        if len(fields) < MOST_FIELDS:
            fields.update(dict.fromkeys(change.values))
        if change.place is not None and len(wanted) < MOST_ORIGINALS:
            wanted.add((steps[change.step].name, change.place.file, change.place.row))
    if not total:
        return 0
    known = originals(wanted)
    if known:
        fields = dict.fromkeys(name for row in known.values() for name in row)
    names = list(fields)[:MOST_FIELDS]
    with replacing(path, "reject") as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text)
        writer.writerow([*COLUMNS, *names])
        for change, result, code, message in not_applied(operations):
            place = change.place
            key = change.key or " → ".join(end.key for end in (change.parent, change.child) if end is not None)
            row = [
                result.replace("_", " "),
                steps[change.step].name,
                change.action,
                key,
                code,
                message,
                change.fix or advice(code),
                place.file if place else "",
                place.row if place else "",
                (place.line or "") if place else "",
                change.spec or steps[change.step].position,
                *_cells(change, steps[change.step], known, names),
            ]
            writer.writerow([_inert(str(cell)) for cell in row])
        text.detach()
    return total


def _cells(change: Change, step: StepInfo, known: Mapping[Where, Mapping[str, str]], names: Sequence[str]) -> list[str]:
    """The row as the source has it; a source row whose fields are partly sensitive is not shown at all."""
    if not known:
        return [shown(change.values.get(name, "")) for name in names]
    row = known.get((step.name, change.place.file, change.place.row), {}) if change.place is not None else {}
    return [HIDDEN if step.sensitive and name in row else row.get(name, "") for name in names]


def _inert(cell: str) -> str:
    """What no spreadsheet takes for a formula, also behind quotes, spaces and line ends, also written full-width."""
    cell = visible(cell, keep="\n\t")
    return f"'{cell}" if cell.startswith("\t") or cell.lstrip("\"' \t\n").startswith(FORMULAS) else cell
