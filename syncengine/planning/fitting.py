"""Values that do not fit the type of their column: the instance takes them, and keeps something else or nothing."""

from __future__ import annotations

from collections.abc import Sequence

from syncengine.changes import StepInfo
from syncengine.errors import many
from syncengine.planning.plan import Note
from syncengine.planning.workspace import PLANNED, Workspace
from syncengine.transport.instance import Instance

_NO_SYS_ID = "(length({0})<>32 OR {0} GLOB '*[^0-9a-f]*')"
_NO_NUMBER = "trim({0}, '0123456789+-')<>''"


def unfitting(ws: Workspace, instance: Instance, steps: Sequence[StepInfo]) -> list[Note]:
    """A warning for each reference column that gets what is no sys_id, and each number column that gets no number.

    Reference columns take sys_ids (c_IdentifyReconcileAPI); the engine answers with an update all the same.
    """
    notes = []
    for (number, class_name), names in sorted(ws.columns.items()):
        step = steps[number]
        info = instance.describe(class_name) if step.kind == "cmdb" else None
        if info is None:
            continue
        for name in sorted(names & (info.references.keys() | info.integers)):
            table = info.references.get(name)
            value = f"json_extract(c.body, '$[0].{name}')"
            wrong = (_NO_SYS_ID if table else _NO_NUMBER).format(value)
            count = ws.one(
                f"SELECT COUNT(*) FROM record r JOIN content c ON c.op=r.op"
                f" WHERE r.step=? AND r.class=? AND r.origin=? AND COALESCE({value}, '')<>'' AND {wrong}",
                (number, class_name, PLANNED),
            )
            if count:
                notes.append(_note(step, name, table, int(count)))
    return notes


def _note(step: StepInfo, name: str, table: str | None, count: int) -> Note:
    place = step.fields.get(name, step.position)
    if table:
        said = (
            f"{step.name}: {name} refers to {table} and takes a sys_id;"
            f" {many(count, 'value')} sent to it {_is(count)} none"
        )
        fix = f"{name}: {{find_in: {table}, where: {{FIELD: COLUMN}}}}"
        return Note("no-reference", said, place, count, fix)
    said = f"{step.name}: {name} takes whole numbers; {many(count, 'value')} sent to it {_is(count)} none"
    return Note("no-number", said, place, count, "map them, or take another field")


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
