"""What can only be seen over the whole plan: two keys of one CI, new records that are one, records not yet ours."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from syncengine import spill
from syncengine.changes import Change, Part, Seen, StepInfo
from syncengine.errors import NOTHING_WRITTEN, Problem, SpecError
from syncengine.planning.plan import Note
from syncengine.planning.units import CIS
from syncengine.planning.workspace import Workspace, body_of
from syncengine.transport.instance import Entry, Instance


def one_record_two_keys(ws: Workspace) -> None:
    """Refuse records that the target answered with one sys_id: which of them is right, only a person knows."""
    ws.db.execute("CREATE INDEX answer_id ON answer(sys_id) WHERE sys_id<>''")
    alone = "SELECT id FROM step WHERE kind NOT IN ('cmdb','relation','attach') ORDER BY id"
    for scope in (CIS, *(f"+r.step={number}" for (number,) in list(ws.rows(alone)))):
        _two_keys(ws, f"r.origin=0 AND r.main IS NULL AND {scope}")


def _two_keys(ws: Workspace, scope: str) -> None:
    ws.db.execute(
        "CREATE TEMP TABLE doubled AS SELECT a.sys_id AS sys_id, GROUP_CONCAT(r.key, ' and ') AS said"
        " FROM (SELECT a.op, a.sys_id FROM answer a WHERE a.sys_id<>'' ORDER BY a.op) a JOIN record r ON r.op=a.op"
        f" WHERE {scope} GROUP BY a.sys_id HAVING COUNT(*)>1"
    )
    ws.db.execute(
        "UPDATE answer SET action='rejected', code='two-keys-one-record', message='the keys '"
        "||(SELECT said FROM temp.doubled d WHERE d.sys_id=answer.sys_id)||' are one record on the target: '||sys_id"
        " WHERE sys_id<>'' AND sys_id IN (SELECT sys_id FROM temp.doubled)"
        f" AND op IN (SELECT r.op FROM record r WHERE {scope})"
    )
    ws.db.execute("DROP TABLE temp.doubled")


def merged_by_the_target(ws: Workspace) -> None:
    """Refuse records that the target merged into one item."""
    for op, body in list(ws.rows("SELECT op, body FROM answer WHERE body NOT NULL")):
        same = orjson.loads(body)[5]
        if same:
            keys = [ws.one("SELECT key FROM record WHERE op=?", (other,)) for other in same]
            ws.db.execute(
                "UPDATE answer SET action='rejected', code='two-keys-one-record', message=? WHERE op=?",
                (f"the target takes it for the same record as {', '.join(map(str, keys))}", op),
            )


def unmade_references(ws: Workspace) -> None:
    """Refuse to refer to what only another plan would make: a reference never creates a skeleton record."""
    ws.db.execute(
        "UPDATE answer SET action='rejected', code='missing-endpoint', message='it is not on the target yet'"
        " WHERE action='create' AND op IN (SELECT op FROM record WHERE origin=1)"
    )


class Identities:
    """What identifies a record, by the entries of its class: equal digests are one record to the target."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._numbers: dict[tuple[str, tuple[str, ...]], int] = {}
        self._entries: dict[str, tuple[bool, list[tuple[int, Entry, bool]]]] = {}

    def of(self, change: Change) -> list[tuple[int, int, int]]:
        """Entry, hash and operation, for each entry whose attributes the record fills.

        64 bits tell ten million records apart but once in a million plans; the hash is this process's own.
        """
        is_independent, entries = self._entries.get(change.class_name) or self._known(change.class_name)
        scope = None if is_independent else change.host
        values, op = change.values, change.op
        found = []
        for number, entry, is_plain in entries:
            if is_plain:  # the usual one, for every new record of a plan: without the detour
                said = [values.get(name, "").strip().lower() for name in entry.attributes]
                if all(said):
                    found.append((number, hash((scope, *said)), op))
            else:
                several = _identity(entry, values, change.lookup, change.class_name)
                found += [(number, hash((scope, *one)), op) for one in several]
        return found

    def _known(self, class_name: str) -> tuple[bool, list[tuple[int, Entry, bool]]]:
        info = self._instance.describe(class_name)
        entries = []
        for entry in info.entries if info is not None else ():
            number = self._numbers.setdefault((entry.table, entry.attributes), len(self._numbers))
            entries.append((number, entry, not entry.is_lookup and "sys_class_name" not in entry.attributes))
        known = self._entries[class_name] = (info is not None and bool(info.is_independent), entries)
        return known

    def names(self) -> dict[int, tuple[str, ...]]:
        """The attributes of each entry, by its number."""
        return {number: attributes for (_, attributes), number in self._numbers.items()}


def new_records_that_are_one(ws: Workspace, identities: Identities) -> None:
    """Refuse new records that are equal on all attributes of an identification entry.

    Sent one after the other, the second would be found to be the first and overwrite it.
    """
    names = identities.names()
    twice = _twice(ws, "i.entry>=0", "i.entry, GROUP_CONCAT(DISTINCT i.op)", "COUNT(DISTINCT i.op)>1")
    for entry_number, ops in twice:
        numbers_of = sorted(int(op) for op in ops.split(","))
        keys = [str(ws.one("SELECT key FROM record WHERE op=?", (op,))) for op in numbers_of]
        said_of = ", ".join(names[entry_number])
        shown = ", ".join(keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
        ws.db.executemany(
            "UPDATE answer SET action='rejected', code='same-identity', message=? WHERE op=?",
            [(f"new with equal {said_of}: {shown}; the target would make one record of them", op) for op in numbers_of],
        )


def _twice(ws: Workspace, which: str, wanted: str, several: str) -> list[tuple[Any, ...]]:
    """What of the identities of records to be made occurs several times; `which`, `wanted`, `several` are SQL."""
    # Sorting the plain rows first leaves next to nothing to join.
    ws.db.execute(
        "CREATE TEMP TABLE twice AS SELECT entry, digest FROM identity i"
        f" WHERE {which} GROUP BY entry, digest HAVING COUNT(*)>1"
    )
    found = list(
        ws.rows(
            f"SELECT {wanted} FROM identity i JOIN temp.twice USING(entry, digest) JOIN answer a ON a.op=i.op"
            f" WHERE a.action='create' GROUP BY entry, digest HAVING {several} ORDER BY entry, MIN(i.op)"
        )
    )
    ws.db.execute("DROP TABLE temp.twice")
    return found


def note_identities(ws: Workspace, step: int, seen: Iterable[Seen]) -> None:
    """Keep what new records of a step will be found by, as their target sees it."""
    spill.insert(
        ws.db, "INSERT INTO identity", [(-1 - step, hash(one.identity), one.op) for one in seen if one.identity]
    )


def new_rows_that_are_one(ws: Workspace) -> None:
    """Refuse new records of a step that their target will find to be one: the second would overwrite the first."""
    twice = _twice(ws, "i.entry<0", "GROUP_CONCAT(i.op)", "COUNT(*)>1")
    for (ops,) in twice:
        numbers = sorted(int(op) for op in ops.split(","))
        keys = [str(ws.one("SELECT key FROM record WHERE op=?", (op,))) for op in numbers]
        shown = ", ".join(keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
        ws.db.executemany(
            "UPDATE answer SET action='rejected', code='same-identity', message=? WHERE op=?",
            [(f"new rows that are one record to the target: {shown}", op) for op in numbers],
        )


def _identity(entry: Entry, values: dict[str, str], lookup: Sequence[Part], class_name: str) -> list[tuple[str, ...]]:
    """The values of an entry's attributes, where all are there; a lookup item gives one each."""
    if entry.is_lookup:
        items = [part.values for part in lookup if part.class_name == entry.table] if lookup else []
    elif "sys_class_name" in entry.attributes:
        items = [{"sys_class_name": class_name, **values}]
    else:
        items = [values]
    result = []
    for item in items:
        said = tuple([item.get(name, "").strip().lower() for name in entry.attributes])
        if all(said):
            result.append(said)
    return result


def rejected_hosts(ws: Workspace) -> None:
    """What lives in a refused record cannot be written either; it is listed under its cause.

    What exists in one that exists needs no host to be written.
    """
    # The subqueries say nothing of the row that is updated: they are answered once, not once a row.
    living = (
        "SELECT r.op FROM record r CROSS JOIN answer h ON h.op=r.host WHERE r.host NOT NULL AND h.action='rejected'"
    )
    while ws.db.execute(
        "UPDATE answer SET action='rejected', code='host-rejected', message='the CI it lives in is rejected: '"
        "||(SELECT h.key FROM record r JOIN record h ON h.op=r.host WHERE r.op=answer.op)"
        f" WHERE action<>'rejected' AND (op IN ({living} AND COALESCE(h.sys_id,'')='')"
        f" OR (action='create' AND op IN ({living})))"
    ).rowcount:
        pass
    while ws.db.execute(  # what refers to one that refers to a refused one follows in the next round
        "UPDATE answer SET action='rejected', code='end-rejected',"
        " message='a record that a field refers to is rejected'"
        " WHERE action<>'rejected' AND op IN (SELECT n.op FROM need n CROSS JOIN answer t ON t.op=n.target"
        " WHERE t.action='rejected' AND COALESCE(t.sys_id,'')='')"
    ).rowcount:
        pass
    ws.db.execute(
        "UPDATE answer SET action='rejected', code='host-rejected', message='the record that it completes is rejected'"
        " WHERE action<>'rejected' AND op IN (SELECT r.op FROM record r CROSS JOIN answer m ON m.op=r.main"
        " WHERE r.main NOT NULL AND m.action='rejected')"
    )
    ws.db.execute(
        "UPDATE answer SET action='rejected', code='end-rejected', message='a record at its end is rejected'"
        " WHERE action='relate' AND op IN (SELECT l.op FROM link l"
        " CROSS JOIN answer p ON p.op=l.parent CROSS JOIN answer c ON c.op=l.child"
        " WHERE p.action='rejected' OR c.action='rejected')"
    )


def adopt(ws: Workspace, steps: Sequence[StepInfo]) -> None:
    """A matched record that this step has not written before is sent once, so that it becomes ours."""
    ws.db.execute("CREATE INDEX owned_id ON owned(step, sys_id)")
    for number, step in enumerate(steps):
        if step.kind != "cmdb":
            continue
        ws.db.execute(
            "UPDATE answer SET action='touched', reason='adopted' WHERE action='unchanged' AND op IN"
            " (SELECT r.op FROM record r JOIN answer a ON a.op=r.op WHERE +r.step=? AND r.origin=0"
            " AND a.action='unchanged' AND NOT EXISTS"
            " (SELECT 1 FROM owned o WHERE o.step=r.step AND o.sys_id=a.sys_id))",
            (number,),
        )


def touch(ws: Workspace, steps: Sequence[StepInfo]) -> None:
    """Send what stays as it is, too, for the steps that want it."""
    for number, step in enumerate(steps):
        if step.touch:
            ws.db.execute(
                "UPDATE answer SET action='touched', reason='touch' WHERE action='unchanged' AND op IN"
                " (SELECT op FROM record WHERE +step=? AND origin=0)",
                (number,),
            )


def unidentifiable(ws: Workspace, instance: Instance, steps: Sequence[StepInfo]) -> list[Note]:
    """Steps whose records fill no identification entry of their class: a native key alone never inserts."""
    notes = []
    for number, step in enumerate(steps):
        if step.kind != "cmdb":
            continue
        for (class_name,) in list(ws.rows("SELECT DISTINCT class FROM record WHERE +step=? AND origin=0", (number,))):
            info = instance.describe(class_name)
            if info is None or not info.entries:
                continue
            sampled = "SELECT body FROM record JOIN content USING(op) WHERE +step=? AND class=? LIMIT 200"
            sample = ws.rows(sampled, (number, class_name))
            bodies = [body_of(row[0]) for row in sample]
            if any(_identity(entry, body[0], body[2], class_name) for body in bodies for entry in info.entries):
                continue
            wanted = " or ".join("+".join(entry.attributes) for entry in info.entries if not entry.is_lookup)
            notes.append(
                Note(
                    "no-identification",
                    f"step {step.name} fills no identification entry of {class_name}: new records cannot be made",
                    step.position,
                    fix=f"fill {wanted}" if wanted else "",
                )
            )
    return notes


def unknown_data_sources(ws: Workspace, instance: Instance, steps: Sequence[StepInfo]) -> None:
    """Refuse a plan whose records the engine refuses for their data source: it is one mistake, not one a row.

    Raises SpecError.
    """
    refused = ws.rows(
        "SELECT r.step, COUNT(*) FROM answer a JOIN record r ON r.op=a.op"
        " WHERE a.code='INVALID_INPUT_DATA' AND a.message LIKE '%data source%discovery_source%' GROUP BY r.step"
    )
    problems = []
    for number, count in list(refused):
        step = steps[number]
        known = instance.data_sources()
        near = difflib.get_close_matches(step.data_source, known, 1)
        fix = f"data_source: {near[0]}" if near else "data_source:  one of the choices of cmdb_ci.discovery_source"
        problems.append(
            Problem(
                "unknown-data-source",
                f"the instance refuses all {count:,} records of {step.name}: it does not know their data source",
                step.position,
                found=step.data_source,
                fix=f"{fix}\nor have the choice added; in the sandbox, in sandbox/seed.yaml:\n"
                f"choices: {{cmdb_ci.discovery_source: [{step.data_source}]}}",
            )
        )
    if problems:
        raise SpecError(problems, effect=NOTHING_WRITTEN)


def doubled_native_keys(ws: Workspace, steps: Sequence[StepInfo]) -> list[tuple[str, str, str]]:
    """Native keys that two steps of one data source would write: (key, step, step)."""
    groups: dict[str, list[int]] = {}
    for number, step in enumerate(steps):
        if step.kind == "cmdb":
            groups.setdefault(step.data_source, []).append(number)
    found = []
    for numbers in groups.values():
        if len(numbers) < 2:
            continue
        marks = ",".join("?" * len(numbers))
        rows = ws.rows(
            "SELECT COALESCE(NULLIF(json_extract(body, '$[5]'), ''), key) AS native, MIN(step), MAX(step)"
            f" FROM record JOIN content USING(op) WHERE step IN ({marks}) AND origin=0"
            " GROUP BY native HAVING COUNT(DISTINCT step)>1 LIMIT 50",
            numbers,
        )
        found += [(str(key), steps[first].name, steps[second].name) for key, first, second in rows]
    return found


def foreign_ends(ws: Workspace, steps: Sequence[StepInfo], name: str) -> int:
    """How many records of nobody's in this plan are touched as ends of a step's relations."""
    number = next(index for index, step in enumerate(steps) if step.name == name)
    found = ws.one(
        "SELECT COUNT(*) FROM record r WHERE r.origin<>0 AND r.is_end=1 AND EXISTS"
        " (SELECT 1 FROM link l WHERE l.step=? AND (l.parent=r.op OR l.child=r.op))",
        (number,),
    )
    return int(found)
