"""Records and relations into the workspace, and every name in them resolved.

After this each relation knows the operations at its ends, each dependent CI knows its host, and each unit (a CI with
all that lives in it) has a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from syncengine.changes import StepInfo
from syncengine.errors import NOTHING_WRITTEN, Problem, SpecError
from syncengine.planning import finding
from syncengine.planning.workspace import PLANNED, REFERENCE, Workspace
from syncengine.transport.instance import ClassInfo, Instance, column_fix
from syncengine.transport.reader import Reader


def resolve(ws: Workspace, instance: Instance | None, readers: Mapping[str, Reader], steps: Sequence[StepInfo]) -> None:
    """Join ends to operations, look for records on the instance, find hosts and number the units.

    `instance` knows the classes of the plan's CIs; None where it has none. Raises SpecError for classes, columns and
    relation types that the instance does not have.
    """
    if ws.one("SELECT EXISTS(SELECT 1 FROM link) OR EXISTS(SELECT 1 FROM need)"):
        ws.db.execute("CREATE INDEX record_key ON record(step, key)")
    finding.find(ws, readers, steps)
    _leave_out(ws)
    end = (
        "CASE WHEN {0}_find NOT NULL THEN (SELECT op FROM find WHERE id={0}_find)"
        " ELSE (SELECT op FROM record r WHERE r.step={0}_step AND r.key={0}_key AND r.gone IS NULL) END"
    )
    present = "(SELECT class FROM record r WHERE r.op={})"
    ws.db.execute(f"UPDATE link SET parent={end.format('p')}, child={end.format('c')}")
    ws.db.execute(f"UPDATE link SET p_class={present.format('parent')}, c_class={present.format('child')}")
    _leave_out_unmade(ws)
    if instance is not None:
        _dependencies(ws, instance)
    _hosts(ws)
    _forget_unused(ws)
    _units(ws)


def check_classes(ws: Workspace, instance: Instance, steps: Sequence[StepInfo]) -> None:
    """Refuse classes and columns that the instance does not have: it would ignore them without a word.

    Raises SpecError with all of them.
    """
    problems = []
    for number, step in enumerate(steps):
        if step.kind != "cmdb":
            continue
        used = sorted((name, columns) for (of, name), columns in ws.columns.items() if of == number)
        for class_name, names in used:
            info = instance.describe(class_name)
            if info is None:
                problems.append(
                    Problem(
                        "unknown-class",
                        f'the instance has no class "{class_name}", or this user may not see it',
                        step.fields.get("sys_class_name", step.position),
                        found=class_name,
                        fix=instance.class_fix(class_name),
                    )
                )
                continue
            unknown = names - info.columns if info.columns else set()
            problems += [_unknown_column(name, info, step) for name in sorted(unknown)]
    if problems:
        raise SpecError(problems, effect=NOTHING_WRITTEN)


def _unknown_column(name: str, info: ClassInfo, step: StepInfo) -> Problem:
    return Problem(
        "unknown-field",
        f'{info.name} has no column "{name}"',
        step.fields.get(name, step.position),
        found=name,
        fix=column_fix(info, name),
    )


def _leave_out(ws: Workspace) -> None:
    """What was not found and may be missing: the relation is dropped, or the whole row."""
    omit = "SELECT id FROM find WHERE op IS NULL AND several=0 AND json_extract(said,'$[3]')='omit'"
    skip = "SELECT id FROM find WHERE op IS NULL AND several=0 AND json_extract(said,'$[3]')='skip_row'"
    ws.db.execute(f"DELETE FROM link WHERE p_find IN ({omit}) OR c_find IN ({omit})")
    ws.db.execute(f"DELETE FROM need WHERE find IN ({omit})")
    _skip(
        ws,
        f"SELECT COALESCE(record, op) AS op FROM link WHERE p_find IN ({skip}) OR c_find IN ({skip})"
        f" UNION SELECT op FROM need WHERE find IN ({skip})",
    )


def _leave_out_unmade(ws: Workspace) -> None:
    """The same for records that a step should make and no row of its source does."""
    gone = "{0}_find IS NULL AND {1} IS NULL AND {0}_miss='{2}'"
    both = (("p", "parent"), ("c", "child"))
    omit, skip = (" OR ".join(gone.format(side, name, what) for side, name in both) for what in ("omit", "skip_row"))
    unmade = (
        "SELECT n.rowid FROM need n LEFT JOIN record r ON r.step=n.step AND r.key=n.key AND r.main IS NULL"
        " AND r.gone IS NULL WHERE n.find IS NULL AND r.op IS NULL AND n.miss="
    )
    ws.db.execute(f"DELETE FROM link WHERE {omit}")
    ws.db.execute(f"DELETE FROM need WHERE rowid IN ({unmade}'omit')")
    _skip(
        ws,
        f"SELECT COALESCE(record, op) AS op FROM link WHERE {skip}"
        f" UNION SELECT op FROM need WHERE rowid IN ({unmade}'skip_row')",
    )


def _skip(ws: Workspace, which: str) -> None:
    """Leave whole rows out, and count them."""
    ws.db.execute(f"CREATE TEMP TABLE skipped AS {which}")
    counted = ws.rows(
        "SELECT step, COUNT(*) FROM (SELECT step, op FROM record UNION ALL SELECT step, op FROM link)"
        " WHERE op IN (SELECT op FROM temp.skipped) GROUP BY step"
    )
    for step, number in counted:
        ws.skipped[step] = ws.skipped.get(step, 0) + number
    for table in ("record", "link", "need"):
        ws.db.execute(f"DELETE FROM {table} WHERE op IN (SELECT op FROM temp.skipped)")
    ws.db.execute("DELETE FROM link WHERE record IN (SELECT op FROM temp.skipped)")
    ws.db.execute("DROP TABLE temp.skipped")


def _dependencies(ws: Workspace, instance: Instance) -> None:
    """Mark the relations that identify a dependent CI; refuse classes and types that the instance lacks."""
    problems: list[Problem] = []
    types = instance.relation_types()
    combinations = list(
        ws.rows("SELECT type, p_class, c_class, MIN(op), MIN(spec) FROM link GROUP BY type, p_class, c_class")
    )
    unknown = {}
    for relation, parent, child, _, spec in combinations:
        if relation not in types:
            unknown[relation] = ws.texts[spec]
            continue
        if parent is None or child is None:
            continue
        dependent = instance.dependency(parent, relation, child)
        if dependent:
            ws.db.execute(
                "UPDATE link SET in_unit=? WHERE type=? AND p_class=? AND c_class=?",
                (1 if dependent == "parent" else 2, relation, parent, child),
            )
    problems += [_unknown_type(relation, place, instance) for relation, place in unknown.items()]
    if problems:
        raise SpecError(problems, effect=NOTHING_WRITTEN)


def _unknown_type(relation: str, place: str, instance: Instance) -> Problem:
    return Problem(
        "unknown-relation-type",
        f'the instance has no relation type "{relation}"',
        place=place,
        found=relation,
        fix=instance.type_fix(relation),
    )


def _hosts(ws: Workspace) -> None:
    """Give each dependent its host; one with two hosts is refused, as the engine would."""
    ws.db.execute("CREATE INDEX link_parent ON link(parent)")
    ws.db.execute("CREATE INDEX link_child ON link(child)")
    ws.db.execute(
        "UPDATE record SET host=(SELECT CASE in_unit WHEN 1 THEN child ELSE parent END FROM link l"
        " WHERE (l.parent=record.op AND l.in_unit=1) OR (l.child=record.op AND l.in_unit=2) ORDER BY l.op LIMIT 1)"
        " WHERE op IN (SELECT CASE in_unit WHEN 1 THEN parent ELSE child END FROM link WHERE in_unit>0)"
    )
    ws.db.execute(
        "INSERT INTO answer(op,action,basis,code,message)"
        " SELECT dependent,'rejected','engine','MULTIPLE_DEPENDENCIES',"
        " 'it is said to live in '||COUNT(DISTINCT host)||' CIs'"
        " FROM (SELECT CASE in_unit WHEN 1 THEN parent ELSE child END AS dependent,"
        " CASE in_unit WHEN 1 THEN child ELSE parent END AS host FROM link WHERE in_unit>0)"
        " GROUP BY dependent HAVING COUNT(DISTINCT host)>1"
    )
    ws.db.execute("UPDATE record SET is_host=1 WHERE op IN (SELECT host FROM record WHERE host NOT NULL)")


def _forget_unused(ws: Workspace) -> None:
    """Keep of the steps that are only referred to, what is referred to, with the hosts it lives in."""
    if not ws.one("SELECT 1 FROM record WHERE origin=?1 UNION SELECT 1 FROM link WHERE origin=?1", (REFERENCE,)):
        return
    ws.db.execute("CREATE TEMP TABLE needed(op INTEGER PRIMARY KEY)")
    ws.db.execute(
        "INSERT OR IGNORE INTO needed SELECT parent FROM link WHERE origin=0 AND parent NOT NULL"
        " UNION SELECT child FROM link WHERE origin=0 AND child NOT NULL"
        " UNION SELECT t.op FROM need n JOIN record r ON r.op=n.op JOIN record t ON t.step=n.step AND t.key=n.key"
        " WHERE r.origin=0"
    )
    more = (
        "SELECT host FROM record WHERE op IN (SELECT op FROM needed) AND host NOT NULL"
        " UNION SELECT t.op FROM need n JOIN record t ON t.step=n.step AND t.key=n.key"
        " WHERE n.op IN (SELECT op FROM needed)"
    )
    if ws.selected:
        more += (
            " UNION SELECT host FROM record WHERE origin=0 AND host NOT NULL"
            " UNION SELECT op FROM record WHERE main IN (SELECT op FROM needed)"
        )
    while ws.db.execute(
        f"INSERT OR IGNORE INTO needed SELECT * FROM ({more}) WHERE host NOT IN (SELECT op FROM needed)"
    ).rowcount:
        pass
    ws.db.execute("DELETE FROM record WHERE origin=? AND op NOT IN (SELECT op FROM needed)", (REFERENCE,))
    ws.db.execute(
        "DELETE FROM link WHERE origin=? AND (in_unit=0 OR parent NOT IN (SELECT op FROM record)"
        " OR child NOT IN (SELECT op FROM record))",
        (REFERENCE,),
    )
    ws.db.execute("DROP TABLE needed")


def _units(ws: Workspace) -> None:
    """Number each unit by its outermost host, and each record by how deep it lives in it."""
    ws.db.execute("UPDATE record SET unit=NULL WHERE host NOT NULL")
    depth = 0
    while True:
        depth += 1
        changed = ws.db.execute(
            "UPDATE record SET unit=(SELECT unit FROM record h WHERE h.op=record.host), depth=?"
            " WHERE unit IS NULL AND host IN (SELECT op FROM record WHERE unit NOT NULL AND depth=?)",
            (depth, depth - 1),
        ).rowcount
        if not changed:
            break
    ws.db.execute(
        "INSERT OR IGNORE INTO answer(op,action,basis,code,message)"
        " SELECT op,'rejected','engine','dependency-circle','it lives in a CI that lives in it'"
        " FROM record WHERE unit IS NULL"
    )
    ws.db.execute("CREATE INDEX record_unit ON record(wave, unit, depth, op)")
    ws.db.execute(
        "UPDATE link SET unit=(SELECT unit FROM record r WHERE r.op="
        "CASE link.in_unit WHEN 1 THEN link.parent ELSE link.child END) WHERE in_unit>0"
    )
    ws.db.execute("CREATE INDEX link_unit ON link(unit) WHERE in_unit>0")


def _homeless(ws: Workspace, instance: Instance) -> None:
    """Refuse dependents whose host is nowhere: the engine would only say that it misses one."""
    combinations = list(
        ws.rows(
            "SELECT DISTINCT l.type, l.p_class, l.c_class, l.p_step, l.c_step FROM link l"
            " WHERE l.record NOT NULL AND (l.parent IS NULL) <> (l.child IS NULL)"
        )
    )
    for relation, p_class, c_class, p_step, c_step in combinations:
        gone, step = ("parent", p_step) if p_class is None else ("child", c_step)
        side, here = ("p", c_class) if gone == "parent" else ("c", p_class)
        host = ws.one("SELECT class FROM record WHERE step=? LIMIT 1", (step,)) if step is not None else None
        if host is None or here is None:
            continue
        ends = (host, relation, here) if gone == "parent" else (here, relation, host)
        if instance.dependency(*ends) != ("child" if gone == "parent" else "parent"):
            continue
        ws.db.execute(
            "INSERT OR IGNORE INTO answer(op,action,basis,code,message)"
            " SELECT l.record,'rejected','engine','missing-endpoint',"
            f" 'the CI it lives in, '||l.{side}_key||', is not a record of this plan'"
            f" FROM link l WHERE l.type=? AND l.{gone} IS NULL AND l.record NOT NULL AND l.{side}_step=?",
            (relation, step),
        )


def _unmade(step: str, key: str) -> str:
    """SQL that says why a record that a step should make is none of the plan."""
    return (
        f"CASE WHEN EXISTS(SELECT 1 FROM bad b WHERE b.step={step} AND b.key={key} AND b.key<>'')"
        " THEN ' is a row that was skipped'"
        f" WHEN EXISTS(SELECT 1 FROM owned o WHERE o.step={step} AND o.key={key})"
        " THEN ' has no row in its source any more (the target still has the record)'"
        " ELSE ' is not a record of this plan' END"
    )


def missing_ends(ws: Workspace, instance: Instance | None) -> None:
    """Refuse the relations whose ends are nowhere; a reference never creates a skeleton record."""
    for side, name in (("p", "parent"), ("c", "child")):
        ws.db.execute(
            f"INSERT OR IGNORE INTO answer(op,action,basis,code,message)"
            f" SELECT l.op,'rejected','engine',CASE WHEN f.id IS NULL THEN 'missing-endpoint'"
            " WHEN f.several THEN 'several-found' ELSE 'not-found' END,"
            f" COALESCE(f.problem, '{name} '||COALESCE(l.{side}_key,'')||{_unmade(f'l.{side}_step', f'l.{side}_key')})"
            f" FROM link l LEFT JOIN find f ON f.id=l.{side}_find WHERE l.{name} IS NULL AND l.origin=?",
            (PLANNED,),
        )
    if instance is not None:
        _homeless(ws, instance)
    ws.db.execute(
        "UPDATE need SET target=COALESCE((SELECT op FROM find f WHERE f.id=find),"
        " (SELECT op FROM record r WHERE r.step=need.step AND r.key=need.key AND r.main IS NULL"
        " AND r.gone IS NULL))"
    )
    ws.db.execute("CREATE INDEX need_op ON need(op)")
    ws.db.execute(
        "INSERT OR IGNORE INTO answer(op,action,basis,code,message)"
        " SELECT n.op,'rejected','engine',CASE WHEN f.id IS NULL THEN 'missing-endpoint'"
        " WHEN f.several THEN 'several-found' ELSE 'not-found' END,"
        " n.field||': '||COALESCE(f.problem, COALESCE(n.key,'')||"
        f"{_unmade('n.step', 'n.key')})"
        " FROM need n LEFT JOIN find f ON f.id=n.find WHERE n.target IS NULL"
    )
    ws.db.execute(
        "INSERT OR IGNORE INTO answer(op,action,basis,code,message)"
        " SELECT n.op,'rejected','unknown','missing-value', n.field||': '||n.key||' has no '||n.take"
        " FROM need n JOIN content t ON t.op=n.target WHERE n.take NOT IN ('','sys_id') AND n.take NOT LIKE '@%'"
        " AND COALESCE(json_extract(t.body,'$[0].\"'||replace(n.take,'\"','')||'\"'),'')=''"
    )


def still_there(ws: Workspace, steps: Iterable[int]) -> None:
    """A refused row of a record that the target has: others may go on naming it, by its id or by what it is called."""
    for number in steps:
        ws.db.execute(
            "UPDATE answer SET sys_id=there.id FROM (SELECT a.op AS op, o.sys_id AS id FROM answer a"
            " CROSS JOIN record r ON r.op=a.op JOIN owned o ON o.step=r.step AND o.key=r.key"
            " WHERE a.action='rejected' AND r.step=? AND r.main IS NULL) AS there WHERE there.op=answer.op",
            (number,),
        )
