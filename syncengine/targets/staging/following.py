"""An import set followed to its end, and its rows matched to what was sent: by mark or by content, never by position.

Columns and states were observed in several public clients. The end is when the set is processed, or, where the set
cannot be read, when no row is pending any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs

from syncengine.changes import TWICE, Change, Outcome, Seen, StepInfo
from syncengine.errors import Problem, RemoteError
from syncengine.targets import Answered, Running, Unclear, Watch
from syncengine.targets.staging.facts import Facts, Staging
from syncengine.targets.staging.outcomes import of_result
from syncengine.transport.import_set import ROLE, MapResult, read_row
from syncengine.transport.servicenow import list_value

PATIENCE = 900.0
"""Seconds that an import set may take from its last sign of progress."""
FIRST_LOOK, LONGEST_LOOK = 0.2, 10.0
STATE = ("sys_import_row", "sys_import_state", "sys_import_state_comment", "sys_target_table", "sys_target_sys_id",
    "sys_transform_map", "sys_import_set")  # fmt: skip
_MARKS_AT_ONCE = 20
LAST_MAP = "shows-last-map"
"""The code of rows of which only the last of several maps is known."""


def follow(
    facts: Facts,
    staging: Staging,
    step: StepInfo,
    import_set: str,
    changes: Sequence[Change],
    sent: Mapping[int, Mapping[str, str]],
    watch: Watch,
) -> Answered | Unclear | Running:
    """Wait for an import set, then say what became of each row; raises RemoteError for one that does not move."""
    look, quiet, before = FIRST_LOOK, 0.0, -1
    while True:
        state, number = _state(facts, import_set)
        is_over = state in ("processed", "cancelled")
        rows = _rows(facts, staging, step, import_set) if is_over or state is None else []
        if state is None and not rows:
            if not staging.rows_readable:
                return _untold(changes, f"its staging rows cannot be read (role {ROLE}); import set {import_set}")
            return _untold(
                changes, f"import set {import_set} and its rows are gone; they were cleaned before they were read"
            )
        pending = sum(read_row(row).status == "pending" for row in rows)
        if is_over or (state is None and rows and not pending):
            break
        if state is not None:
            query = f"sys_import_set={import_set}^sys_import_state=pending"
            pending = facts.count(staging.name, query) or 0
        if watch.is_over():
            return Running(f"import set {number or import_set} is {state or 'waiting'}; {pending} rows are pending")
        quiet = quiet + look if pending == before else 0.0
        before = pending
        if quiet >= PATIENCE:
            raise _stuck(facts, import_set, number, state, pending)
        done = f"{max(0, len(changes) - pending):,} of {len(changes):,} rows"
        watch.say(f"import set {number or import_set}: {done} transformed")
        watch.clock.sleep(look)
        look = min(look * 1.5, LONGEST_LOOK)
    answered = _answered(staging, step, changes, sent, rows, state or "", number or import_set)
    return answered if len(staging.maps) < 2 else _of_several(facts, import_set, len(rows), answered)


def _of_several(facts: Facts, import_set: str, many: int, answered: Answered) -> Answered:
    """Of several maps a row shows the last one: where that one skips it, the runs tell whether another took all."""
    if not any(one.code == "row-skipped" for one in answered.outcomes):
        return answered
    fields = ("sys_id", "inserts", "updates", "ignored", "skipped", "errors")
    runs: list[dict[str, Any]] = []
    for column in ("set", "import_set"):  # public clients differ in its name
        runs = runs or facts.rows("sys_import_set_run", f"{column}={import_set}", fields) or []
    taken = any(sum(_place(run.get(name)) for name in ("inserts", "updates", "ignored")) == many for run in runs)
    said = "its row shows only that the last of several maps skipped it; what the others did is not told for each row"
    outcomes = []
    for one in answered.outcomes:
        if one.code == "row-skipped" and taken:
            one = Outcome(one.op, "applied", operation="taken by another map")
        elif one.code == "row-skipped":
            one = Outcome(one.op, "unknown", operation=one.operation, code=LAST_MAP, message=said)
        outcomes.append(one)
    return Answered(tuple(outcomes), answered.notes, answered.stop)


def _state(facts: Facts, import_set: str) -> tuple[str | None, str]:
    """State and number of an import set; None where it cannot be seen."""
    found = facts.rows("sys_import_set", f"sys_id={import_set}", ("sys_id", "state", "number"))
    if not found:
        return None, ""
    return str(found[0].get("state") or "").lower(), str(found[0].get("number") or "")


def _rows(facts: Facts, staging: Staging, step: StepInfo, import_set: str) -> list[dict[str, Any]]:
    names = [name for name in _sent_columns(step) if not staging.columns or name in staging.columns]
    rows = facts.rows(staging.name, f"sys_import_set={import_set}", (*STATE, *names)) or []
    return sorted(rows, key=lambda row: _place(row.get("sys_import_row")))


def _sent_columns(step: StepInfo) -> list[str]:
    marker = step.options.get("marker")
    return list(dict.fromkeys((*step.fields, *([str(marker)] if marker else ()))))


def _place(value: object) -> int:
    text = str(value or "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _stuck(facts: Facts, import_set: str, number: str, state: str | None, pending: int) -> RemoteError:
    link = f"{facts.base_url}/sys_import_set.do?sys_id={import_set}"
    said = f"import set {number or import_set} is {state or 'unseen'} and has not moved for {PATIENCE / 60:.0f} minutes"
    fix = f"see why at {link}, then: syncengine resume"
    return RemoteError(Problem("import-set-stuck", f"{said}; {pending} rows are pending", link, fix=fix))


def _untold(changes: Sequence[Change], why: str) -> Answered:
    return Answered(tuple(Outcome(one.op, "unknown", code="results-gone", message=why) for one in changes))


# ── rows and what was sent ──────────────────────────────────────────────────────────────────────


def _answered(
    staging: Staging,
    step: StepInfo,
    changes: Sequence[Change],
    sent: Mapping[int, Mapping[str, str]],
    rows: Sequence[dict[str, Any]],
    state: str,
    number: str,
) -> Answered:
    lost = _lost_columns(sent.values(), rows)
    stop = _wrong_keys(step, lost, rows, number) if lost else None
    columns = [name for name in _sent_columns(step) if name not in lost]
    matched, spare = match(changes, sent, rows, columns, str(step.options.get("marker") or ""))
    outcomes = []
    notes: Counter[str] = Counter()
    for change in changes:
        row = matched.get(change.op)
        if row is None:
            outcomes.append(_unmatched(change, lost, stop, number))
            continue
        for name in columns:
            there, text = str(row.get(name) or ""), sent[change.op].get(name, "")
            if there and there != text and text.startswith(there):
                notes[f"{name} was cut by the staging table"] += 1
        outcomes.append(_outcome(change, read_row(row), state, number, staging))
    told = [f"{said}: a value" for said, many in sorted(notes.items()) for _ in range(many)]
    told += [f"rows that were delivered twice: {row.get('sys_id')}" for row in spare if not lost]
    return Answered(tuple(outcomes), tuple(told), stop)


def _outcome(change: Change, result: MapResult, state: str, number: str, staging: Staging) -> Outcome:
    if result.status == "pending":
        if state == "cancelled":
            said = f"import set {number} was cancelled before the row was transformed"
            return Outcome(change.op, "rejected", code="import-set-cancelled", message=said)
        said = f"import set {number} is {state}, and the row is still pending: no transform map took it"
        return Outcome(change.op, "rejected", code="no-transform-map", message=said)
    made = of_result(change, result)
    if "drift" in made.warnings and len(staging.maps) != 1:
        # The row shows the last of several maps, which may have done something else than the first.
        return structs.replace(made, warnings=())
    return made


def _unmatched(change: Change, lost: Sequence[str], stop: Problem | None, number: str) -> Outcome:
    if stop is not None:
        said = f"it was stored without {', '.join(lost)}: {stop.message}"
        return Outcome(change.op, "rejected", code="wrong-label-mode", message=said)
    said = f"no row of import set {number} is this one"
    return Outcome(change.op, "unknown", code="results-gone", message=said)


def _lost_columns(sent: Any, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Columns that were filled in what was sent and are empty in every row that arrived."""
    filled = dict.fromkeys(name for texts in sent for name, text in texts.items() if text)
    return [name for name in filled if rows and not any(str(row.get(name) or "") for row in rows)]


def _wrong_keys(step: StepInfo, lost: Sequence[str], rows: Sequence[object], number: str) -> Problem:
    """The keys of insertMultiple were not understood: labels where names are due, or the other way round."""
    labels = step.options.get("labels")
    said = ", ".join(lost[:6]) + (f" and {len(lost) - 6} more" if len(lost) > 6 else "")
    fix = (
        "give the labels as the instance shows them, or, where sys_rest_insert_multiple says column names,"
        " drop labels: and set insert_multiple: names in the connection"
        if labels
        else "the instance takes column labels: say labels: in the step, or have sys_rest_insert_multiple set to names"
    )
    return Problem(
        "wrong-label-mode",
        f"{len(rows):,} rows of import set {number} arrived without {said}; {step.name} goes no further",
        step.position,
        fix=fix,
    )


def match(
    changes: Sequence[Change],
    sent: Mapping[int, Mapping[str, str]],
    rows: Sequence[dict[str, Any]],
    columns: Sequence[str],
    marker: str,
) -> tuple[dict[int, dict[str, Any]], list[dict[str, Any]]]:
    """The staging row of each operation, and rows that are nobody's; rows are in the order they were stored.

    By mark where there is one, else by all that was sent; of rows that are equal in everything, which is which does
    not matter. A value that was cut by its column is known by its beginning.
    """
    if marker and marker in columns:
        columns = [marker]
    if not columns:
        return {}, list(rows)
    waiting: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        waiting.setdefault(tuple(str(row.get(name) or "") for name in columns), []).append(row)
    found: dict[int, dict[str, Any]] = {}
    rest: list[Change] = []
    for change in changes:
        key = tuple(sent[change.op].get(name, "") for name in columns)
        if waiting.get(key):
            found[change.op] = waiting[key].pop(0)
        else:
            rest.append(change)
    for change in rest:
        wanted = [sent[change.op].get(name, "") for name in columns]
        alike = [key for key, left in waiting.items() if left and _is_cut(key, wanted)]
        if len(alike) == 1:
            found[change.op] = waiting[alike[0]].pop(0)
    return found, [row for left in waiting.values() for row in left]


def _is_cut(there: Sequence[str], wanted: Sequence[str]) -> bool:
    return all(
        have == text or (have and text.startswith(have)) or have == text.strip()
        for have, text in zip(there, wanted, strict=True)
    )


# ── after a lost answer ─────────────────────────────────────────────────────────────────────────


def by_mark(facts: Facts, staging: Staging, marker: str, marks: Mapping[str, Change]) -> dict[int, Seen]:
    """What became of rows, by the marks they carry; those that are not there are simply not there."""
    found: dict[str, list[dict[str, Any]]] = {}
    hidden: list[int] = []
    listed = sorted(marks)
    for start in range(0, len(listed), _MARKS_AT_ONCE):
        query = f"{marker}IN{list_value(listed[start : start + _MARKS_AT_ONCE])}"
        for row in facts.rows(staging.name, query, (*STATE, marker), hidden=hidden) or ():
            found.setdefault(str(row.get(marker) or ""), []).append(row)
    seen = {}
    for mark, change in marks.items():
        rows = sorted(found.get(mark, []), key=lambda row: str(row["sys_id"]))
        if not rows and hidden:
            why = "staging rows are hidden from this user, so whether it is among them cannot be told"
            seen[change.op] = Seen(change.op, action="unknown", reason=why)
            continue
        if not rows:
            seen[change.op] = Seen(change.op, action=change.action, sys_id=change.sys_id, before=change.before)
            continue
        result = read_row(rows[0])
        if result.status == "pending":
            why = f"its staging row {rows[0]['sys_id']} is there and not transformed yet"
            seen[change.op] = Seen(change.op, action="unknown", reason=why)
            continue
        made = of_result(change, result)
        twice = (TWICE,) if len(rows) > 1 else ()
        warnings = ("settled by looking", *twice)
        outcome = structs.replace(made, warnings=warnings)
        seen[change.op] = Seen(change.op, result.status, "unchanged", sys_id=made.sys_id, outcome=outcome)
    return seen
