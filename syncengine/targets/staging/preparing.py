"""What has to be right before the first row: the table, its columns, its maps, and how many rows at once are keyed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from syncengine.changes import StepInfo
from syncengine.errors import Problem
from syncengine.targets import Manner
from syncengine.targets.staging.facts import Staging
from syncengine.transport.import_set import ROLE

MARK_WIDTH = 40
"""Characters of a mark at most: run, slash, operation; also what a staging column has by default (documented)."""


def problems(step: StepInfo, staging: Staging, manner: Manner) -> Iterator[Problem]:
    """Everything that is wrong with a step, and as warnings what its reviewer should know."""
    if not staging.exists:
        said = f"table {staging.name} does not exist on the instance, or is not visible to this user"
        yield Problem("unknown-table", said, step.position, staging.name, "correct the name of the staging table")
        return
    yield from _columns(step, staging)
    yield from _maps(step, staging)
    if step.options["send"] == "multiple":
        yield from _keys(step, staging, manner)
        if not staging.rows_readable:
            said = (
                f"{step.name}: what becomes of its rows can only be read in staging rows, which this user may not see"
            )
            fix = f"ask the admin for the role {ROLE}; without it every row ends as unknown"
            yield Problem("results-unreadable", said, step.position, fix=fix, severity="warning")
    yield from _settling(step, staging)


def _columns(step: StepInfo, staging: Staging) -> Iterator[Problem]:
    if not staging.columns:
        said = f"{step.name}: the columns of {staging.name} cannot be read, so misspelt fields would be ignored"
        fix = "ask the admin for read access to sys_dictionary"
        yield Problem("columns-unreadable", said, step.position, fix=fix, severity="warning")
        return
    marker = step.options.get("marker")
    for name in (*step.fields, *([str(marker)] if marker else ())):
        if name not in staging.columns:
            near = difflib.get_close_matches(name, list(staging.columns), 1)
            fix = f'did you mean "{near[0]}"?' if near else f"see the columns of {staging.name} on the instance"
            said = f'{staging.name} has no column "{name}"; the instance would ignore it without a word'
            yield Problem("unknown-field", said, step.fields.get(name, step.position), name, fix)
    if marker and (column := staging.columns.get(str(marker))) and 0 < column.max_length < MARK_WIDTH:
        said = f"the marker column {marker} holds {column.max_length} characters, a mark has up to {MARK_WIDTH}"
        yield Problem("short-marker", said, step.position, fix="have the column made longer, or use another")


def _maps(step: StepInfo, staging: Staging) -> Iterator[Problem]:
    if why := staging.undecidable:
        fix = "" if staging.maps_readable else f"ask the admin for the role {ROLE}"
        said = f"{step.name}: nothing can be foretold of its rows: {why}"
        yield Problem("not-foretold", said, step.position, fix=fix, severity="warning")
        return
    if not staging.maps:
        said = f"{staging.name} has no active transform map: its rows would be stored, and nothing made of them"
        yield Problem("no-transform-map", said, step.position, staging.name, "have a map made or activated for it")
        return
    for one in staging.maps:
        scripted = sorted({entry.target for entry in one.entries if entry.is_scripted})
        if scripted:
            said = f'{step.name}: in the map "{one.name}" scripts decide {", ".join(scripted)}'
            yield Problem("scripted-fields", said, step.position, severity="warning")
        if one.copy_empty:
            unfilled = sorted({entry.source for entry in one.entries} - set(step.fields))
            if unfilled:
                said = f'{step.name}: the map "{one.name}" copies empty fields, so it clears what is not sent: '
                fix = "fill these columns, or have Copy empty fields switched off"
                yield Problem("clears-unsent", said + ", ".join(unfilled), step.position, fix=fix, severity="warning")


def _keys(step: StepInfo, staging: Staging, manner: Manner) -> Iterator[Problem]:
    """Labels or names: a wrong choice stores rows with every field empty."""
    labels = step.options.get("labels") or {}
    sends = "labels" if labels else "names"
    marker = step.options.get("marker")
    wanted = [*step.fields, *([str(marker)] if marker else ())]
    if staging.mode and staging.mode != sends:
        takes = f"insertMultiple of {staging.name} takes column {staging.mode} (sys_rest_insert_multiple)"
        fix = _paste(wanted, staging) if staging.mode == "labels" else "remove labels: from the step"
        yield Problem("wrong-label-mode", f"{takes}, and {step.name} sends {sends}", step.position, fix=fix)
        return
    if not labels and not staging.mode and manner.insert_multiple == "labels":
        said = f"insertMultiple takes column labels unless the instance says otherwise; {step.name} gives none"
        fix = f"{_paste(wanted, staging)}\nor, where sys_rest_insert_multiple says column names, in the connection:  insert_multiple: names"  # noqa: E501
        yield Problem("missing-labels", said, step.position, fix=fix)
        return
    if labels:
        for name in wanted:
            column = staging.columns.get(name)
            if column is not None and column.label and labels.get(name, column.label) != column.label:
                said = f'the label of {staging.name}.{name} is "{column.label}", not "{labels[name]}"'
                place = step.fields.get(name, step.position)
                yield Problem("wrong-label", said, place, labels[name], f"{name}: {column.label}")


def _paste(wanted: list[str], staging: Staging) -> str:
    def label(name: str) -> str:
        column = staging.columns.get(name)
        return column.label if column is not None and column.label else "..."

    return "labels: {" + ", ".join(f"{name}: {label(name)}" for name in wanted) + "}"


def _settling(step: StepInfo, staging: Staging) -> Iterator[Problem]:
    """What an unclear answer would lead to, where nothing was said about it."""
    if step.options.get("repeat_safe"):
        inserts = [one.name for one in staging.maps if not one.coalesce]
        if inserts and staging.maps_readable:
            said = f'{step.name} says repeat_safe: coalesce, but the map "{inserts[0]}" has no coalesce field'
            fix = "remove repeat_safe: sending a row twice would make two records"
            yield Problem("not-repeat-safe", said, step.position, fix=fix)
        return
    if step.options.get("marker"):
        if not staging.rows_readable:
            said = f"{step.name}: its marker cannot be looked for, since staging rows cannot be read"
            fix = f"ask the admin for the role {ROLE}, or say  repeat_safe: coalesce"
            yield Problem("no-settling", said, step.position, fix=fix, severity="warning")
        return
    said = f"{step.name}: if an answer is lost, nobody can tell whether its rows are there: they end as unknown"
    fix = "marker: a staging column of its own; or, where the map coalesces,  repeat_safe: coalesce"
    yield Problem("no-settling", said, step.position, fix=fix, severity="warning")
