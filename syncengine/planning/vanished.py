"""Records that a step has written before and that its source no longer has: told, or planned to be retired.

Vanished is what the target says is ours and no row names, filtered rows included; a step whose rows are not all
known is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec
import orjson
from msgspec.structs import replace

from syncengine.changes import BadRow, StepInfo
from syncengine.mapping.model import Recipe
from syncengine.planning.plan import Note
from syncengine.planning.workspace import PLANNED, Workspace
from syncengine.spec.model import Step, Vanished
from syncengine.transport.reader import Reader
from syncengine.transport.servicenow import rows_by_ids

EXAMPLES = 5
"""Keys that a note names."""


class Watched(msgspec.Struct):
    """A step whose vanished records matter."""

    rule: Vanished
    class_name: str
    """What its records are, where the target does not say it of each."""
    unsure: str = ""
    """Why nobody can say which records have vanished; empty where all rows are known."""


class Missing(msgspec.Struct):
    """What the source no longer has, by step: kept with the run, so that the next plan can count."""

    keys: dict[str, list[str]] = msgspec.field(default_factory=dict)
    notes: list[Note] = msgspec.field(default_factory=list)


def watched(step: Step) -> Watched | None:
    """Whether a step wants to know what has vanished."""
    if step.vanished.do == "keep":
        return None
    return Watched(step.vanished, step.classes[0] if step.classes else "")


def keys_only(recipe: Recipe) -> Recipe:
    """The recipe that makes the keys of all rows, those that `when` leaves out among them."""
    return replace(recipe, when=None, fields=(), class_rule="", lookup=(), related=(), links=(), seen_at=None)


def note_present(ws: Workspace, number: int, of: Watched, made: Iterable[object] | None) -> None:
    """Keep the keys that the source has; `made` are records of `keys_only`, None where the records themselves tell."""
    if made is None:
        ws.db.execute(
            "INSERT OR IGNORE INTO present SELECT step, COALESCE(NULLIF(json_extract(body,'$[5]'),''), key)"
            " FROM record JOIN content USING(op) WHERE step=?",
            (number,),
        )
        return
    for one in made:
        if isinstance(one, BadRow):
            if one.level != "warn":
                of.unsure = of.unsure or f"{one.place}: {one.problem.message}"
            continue
        name = getattr(one, "native_key", "") or getattr(one, "key", "")
        ws.db.execute("INSERT OR IGNORE INTO present VALUES(?,?)", (number, name))


def add_gone(
    ws: Workspace,
    steps: list[StepInfo],
    of: Mapping[str, Watched],
    readers: Mapping[str, Reader],
    before: Mapping[str, Mapping[str, int]],
) -> Missing:
    """Put what is to be retired into the workspace, as records with what a retired one looks like.

    `before` says in how many runs each key of a step was missing already.
    """
    missing = Missing()
    for number, step in enumerate(steps):
        rule = of.get(step.name)
        if rule is None:
            continue
        rule.unsure = rule.unsure or _shared(step, steps)
        if rule.unsure:
            said = f"{step.name}: what has vanished cannot be told ({rule.unsure}); nothing is retired"
            fix = "no record counts as gone before every row of the source is good and there are enough of them"
            missing.notes.append(Note("vanished-unknown", said[:300], step.position, fix=fix))
            continue
        gone = list(
            ws.rows(
                "SELECT key, sys_id FROM owned WHERE step=? AND key NOT IN (SELECT key FROM present WHERE step=?)"
                " ORDER BY key, sys_id",
                (number, number),
            )
        )
        keys = [key for key, _ in gone]
        runs = before.get(step.name, {})
        if rule.rule.do == "retire" and rule.rule.after > 1:
            missing.keys[step.name] = keys
        if not gone:
            continue
        due = [one for one in gone if rule.rule.do == "retire" and runs.get(one[0], 0) + 1 >= rule.rule.after]
        waiting = len(gone) - len(due)
        if waiting:
            missing.notes.append(_note(step, rule.rule, [key for key in keys if key not in {key for key, _ in due}]))
        _insert(ws, number, step, rule, due, readers)
    return missing


def _shared(step: StepInfo, steps: list[StepInfo]) -> str:
    """Why the target cannot tell the records of a step from another's: 4me keeps a Source, no feed of the step."""
    if step.kind != "4me":
        return ""
    whose = (step.kind, step.data_source, step.options.get("type"))
    for other in steps:
        if other is not step and (other.kind, other.data_source, other.options.get("type")) == whose:
            return f"{other.name} makes {whose[2]} with the same data source"
    return ""


def _note(step: StepInfo, rule: Vanished, keys: list[str]) -> Note:
    shown = ", ".join(keys[:EXAMPLES]) + (f" and {len(keys) - EXAMPLES} more" if len(keys) > EXAMPLES else "")
    what = "kept" if rule.do == "report" else f"kept until they are missing in {rule.after} runs"
    said = f"{len(keys):,} records of {step.name} are no longer in the source and are {what}: {shown}"
    return Note("vanished", said, step.position, len(keys))


def _insert(
    ws: Workspace,
    number: int,
    step: StepInfo,
    of: Watched,
    due: list[tuple[str, str]],
    readers: Mapping[str, Reader],
) -> None:
    classes = dict(_classes(step, due, readers))
    body = orjson.dumps([dict(of.rule.set), [], [], [], "", ""]).decode()
    said = ws.text(step.position)
    # Behind everything else: by then it is known which of them the source has under another key.
    last = int(ws.one("SELECT MAX(wave) FROM record WHERE gone IS NULL") or 0) + 1
    for key, sys_id in due:
        class_name = of.class_name if step.kind != "cmdb" else classes.get(sys_id)
        if class_name is None:
            continue  # the record is not there any more
        op = ws.next_op
        ws.next_op += 1
        ws.db.execute(
            "INSERT INTO record(op,step,key,class,file,row,line,origin,unit,wave,gone) VALUES(?,?,?,?,?,0,0,?,?,?,?)",
            (op, number, key, class_name, said, PLANNED, op, last, sys_id),
        )
        ws.db.execute("INSERT INTO content VALUES(?,?)", (op, body))
        ws.note_columns(number, class_name, of.rule.set)


def _classes(step: StepInfo, due: list[tuple[str, str]], readers: Mapping[str, Reader]) -> Iterator[tuple[str, str]]:
    if step.kind == "cmdb":
        for row in rows_by_ids(readers[step.connection], "cmdb_ci", [sys_id for _, sys_id in due], ("sys_class_name",)):
            yield row["sys_id"], row["sys_class_name"]


def decide(ws: Workspace) -> None:
    """Turn what the target said of vanished records into what is done.

    Left alone is what is retired already, what is not there any more, and what the source has under another key now.
    """
    ws.db.execute(
        "UPDATE answer SET action='rejected', code='another-record', message='the key now means the record '||sys_id"
        " WHERE action IN ('update','reclassify') AND op IN (SELECT op FROM record r WHERE r.gone<>answer.sys_id)"
    )
    ws.db.execute(
        "UPDATE answer SET action='retire' WHERE action IN ('update','reclassify')"
        " AND op IN (SELECT op FROM record WHERE gone NOT NULL)"
    )
    over = "SELECT r.op FROM record r JOIN answer a ON a.op=r.op WHERE r.gone NOT NULL"
    over += " AND (a.action IN ('unchanged','touched','create') OR a.sys_id IN (SELECT o.sys_id FROM answer o"
    over += " JOIN record p ON p.op=o.op WHERE p.gone IS NULL AND p.origin=0 AND p.step=r.step))"
    ws.db.execute("CREATE TEMP TABLE over AS " + over)
    for table in ("answer", "record"):
        ws.db.execute(f"DELETE FROM {table} WHERE op IN (SELECT op FROM temp.over)")
    ws.db.execute("DROP TABLE temp.over")
