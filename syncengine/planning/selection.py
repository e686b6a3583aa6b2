"""A part of a plan: the records that were asked for, with what they need, and nothing else.

The sources are read whole, since what is asked for may refer to any row, but for those of which `enough` says that the
part cannot depend on the rest. What was not asked for is kept only as far as something else needs it: as the record of
another plan, asked about and not sent. Where the target does not have it yet, it is taken along after all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import msgspec

from syncengine.changes import BadRow
from syncengine.errors import NOTHING_WRITTEN, Problem, SpecError, many
from syncengine.planning.plan import Note
from syncengine.planning.rows import Reading
from syncengine.planning.workspace import PLANNED, REFERENCE, Workspace
from syncengine.spec.model import Spec, Step
from syncengine.targets import FlatTarget, find

Pairing = tuple[str, str, str]
"""A relation: its type, the key of its parent and that of its child."""
Where = tuple[str, int]
"""A row of a source: its file and number."""
MOST_KEYS = 5_000
"""Keys that one which is not there is compared with."""


class Wanted(msgspec.Struct, frozen=True):
    """What of a step was asked for."""

    everything: bool = False
    keys: Mapping[str, Where | None] = {}
    """Keys, with the rows to take where no record has that key any more; of a relation step, keys of either end."""
    pairs: frozenset[Pairing] = frozenset()
    rows: frozenset[Where] = frozenset()
    """Rows that have no key."""


class Selection(msgspec.Struct, frozen=True):
    """A part of a plan, as it was asked for."""

    said: tuple[str, ...]
    """In the words of the command line; stands in the plan."""
    steps: Mapping[str, Wanted]
    """By full name; of a step that is not here nothing is planned."""
    limit: int | None = None
    """At most so many records of each step, the first ones."""
    run: str = ""
    """The run whose rows are planned again: they need not be there any more, since people correct them."""
    whole: frozenset[str] = frozenset()
    """Steps whose rows replace each other on the target: to leave one out would be to remove it there."""

    def wants(self, bad: BadRow, before: int) -> bool:
        """Whether a row that cannot become a record was asked for; `before` records of its step came before it."""
        if bad.step in self.whole:
            return True
        of = self.steps.get(bad.step)
        if of is None:
            return False
        if of.everything:
            return self.limit is None or before < self.limit
        return bad.key in of.keys or (bad.place.file, bad.place.row) in of.rows


def whole_steps(steps: Iterable[Step]) -> dict[str, str]:
    """The steps of which only all rows can be planned, with what those have in common that are planned together."""
    found = {}
    for step in steps:
        target = find(step.kind)
        common = target.replaces(step.options, step.data_source) if issubclass(target, FlatTarget) else ""
        if common:
            found[step.full_name] = common
    return found


def completed(wanted: Mapping[str, Wanted], whole: Mapping[str, str]) -> dict[str, Wanted]:
    """What is wanted, with all rows of the steps that a wanted row would otherwise remove some of."""
    common = {whole[name] for name in wanted.keys() & whole.keys()}
    return {**wanted, **{name: Wanted(everything=True) for name, one in whole.items() if one in common}}


def select(specs: Sequence[Spec], texts: Sequence[str], limit: int | None) -> Selection:
    """What `--select` and `--limit` ask for; raises SpecError with every text that names nothing.

    A text is a spec, a step (`spec.step`, or `step` where that is unambiguous), or a record of a step (`step=KEY`).
    """
    steps = {step.full_name: step for spec in specs for step in spec.steps.values()}
    wanted: dict[str, Wanted] = {}
    problems: list[Problem] = []
    whole = whole_steps(steps.values())
    for text in texts:
        name, by_key, key = text.partition("=")
        found = _named(name, specs, steps)
        problem = _refused(text, name, key if by_key else None, found, whole, specs, steps)
        if problem is not None:
            problems.append(problem)
            continue
        for step in found:
            before = wanted.get(step, Wanted())
            keys = {**before.keys, key: None} if by_key else before.keys
            wanted[step] = Wanted(before.everything or not by_key, keys)
    if problems:
        raise SpecError(problems)
    if not texts:
        wanted = {name: Wanted(everything=True) for name in steps}
    wanted = completed(wanted, whole)
    said = [*texts, *([f"the first {limit:,} of each step"] if limit is not None else [])]
    return Selection(tuple(said), wanted, limit, whole=frozenset(whole.keys() & wanted.keys()))


def _named(name: str, specs: Sequence[Spec], steps: Mapping[str, Step]) -> list[str]:
    """The steps that a name means: one by its full name, those of a spec, one by its short name."""
    if name in steps:
        return [name]
    of_spec = [step.full_name for spec in specs if spec.name == name for step in spec.steps.values()]
    return of_spec or [full for full, step in steps.items() if step.name == name]


def _refused(
    text: str,
    name: str,
    key: str | None,
    found: Sequence[str],
    whole: Collection[str],
    specs: Sequence[Spec],
    steps: Mapping[str, Step],
) -> Problem | None:
    place = f"--select {text}"
    if not found:
        known = [*steps, *(spec.name for spec in specs), *(step.name for step in steps.values())]
        import difflib  # only on this path

        near = difflib.get_close_matches(name, list(dict.fromkeys(known)), 1)
        asked = f', did you mean "{near[0]}"?' if near else ""
        listed = ", ".join(list(steps)[:12])
        return Problem("nothing-selected", f'no spec or step is called "{name}"{asked}', place, fix=f"one of: {listed}")
    ambiguous = len(found) > 1 and (key is not None or all(spec.name != name for spec in specs))
    if ambiguous:
        tail = f"={key}" if key is not None else ""
        fix = " or ".join(f"--select {one}{tail}" for one in found[:5])
        return Problem("ambiguous-selection", f'"{name}" means {many(len(found), "step")}', place, fix=fix)
    if key is not None and found[0] in whole:
        said = f"the rows of {found[0]} replace all that their owner has, so none of them can be planned alone"
        return Problem("whole-step", said, place, fix=f"--select {found[0]}")
    return None


_OWN = {
    "record": f"main IS NULL AND origin={PLANNED}",
    "link": f"record IS NULL AND origin={PLANNED}",
    "bad": "1",
}
"""Of each table what a step makes as itself: not the second pass of a record, nor the relations that it names."""


def needed(
    specs: Sequence[Spec], of: Selection, references: Callable[[Sequence[Spec]], Sequence[Spec]]
) -> tuple[list[Spec], list[Spec]]:
    """Of some specs those that a selection plans, and those that are only referred to.

    What is referred to and was named beside the selection is planned as far as the selection needs it.
    """
    chosen = [spec for spec in specs if any(step.full_name in of.steps for step in spec.steps.values())]
    others = references(chosen)
    given = {spec.name for spec in specs}
    return (
        [*chosen, *(spec for spec in others if spec.name in given)],
        [spec for spec in others if spec.name not in given],
    )


def narrow(ws: Workspace, reading: Reading, of: Selection) -> list[Note]:
    """Make what was not asked for the records of another plan; before anything is resolved.

    Raises SpecError with the keys that no row makes; for a run that is planned again they are a note instead.
    """
    gone: list[tuple[str, str]] = []
    ws.selected = True
    for name in sorted(reading.planned):
        number = ws.steps[name]
        wanted = of.steps.get(name, Wanted())
        limit = None if name in of.whole else of.limit
        gone += [(name, key) for key in _mark(ws, number, wanted, limit)]
    ws.db.execute("DROP TABLE IF EXISTS temp.chosen")
    if not gone:
        return []
    if not of.run:
        raise SpecError([_no_row(ws, name, key, of) for name, key in gone], effect=NOTHING_WRITTEN)
    shown = ", ".join(f"{name}={key}" for name, key in gone[:5]) + (", …" if len(gone) > 5 else "")
    said = f"{many(len(gone), 'record')} of run {of.run} have no row any more: {shown}"
    return [Note("row-gone", said, count=len(gone))]


def _mark(ws: Workspace, number: int, wanted: Wanted, limit: int | None) -> list[str]:
    """Choose operations of a step, and demote the others; returns the keys that were not found."""
    ws.db.execute("CREATE TABLE IF NOT EXISTS temp.chosen(op INTEGER PRIMARY KEY)")
    ws.db.execute("DELETE FROM temp.chosen")
    tables = ("record", "link", "bad")
    own = _OWN
    gone: list[str] = []
    if wanted.everything:
        cut = "" if limit is None else f" ORDER BY op LIMIT {limit}"
        made = " UNION ALL ".join(f"SELECT op FROM {table} WHERE step={number} AND {own[table]}" for table in tables)
        ws.db.execute(f"INSERT INTO temp.chosen SELECT op FROM ({made}){cut}")
    for key, row in wanted.keys.items():
        if not _choose(ws, number, key) and not (row is not None and _choose_row(ws, number, row)):
            gone.append(key)
    for row in wanted.rows:
        _choose_row(ws, number, row)
    for pairing in wanted.pairs:
        ws.db.execute(
            "INSERT OR IGNORE INTO temp.chosen SELECT op FROM link"
            " WHERE step=? AND record IS NULL AND type=? AND p_key IS ? AND c_key IS ?",
            (number, pairing[0], pairing[1] or None, pairing[2] or None),
        )
    ws.db.execute("INSERT OR IGNORE INTO temp.chosen SELECT op FROM record WHERE main IN (SELECT op FROM temp.chosen)")
    rest = "AND op NOT IN (SELECT op FROM temp.chosen)"
    left = sum(
        int(ws.one(f"SELECT COUNT(*) FROM {table} WHERE step=? AND {own[table]} {rest}", (number,))) for table in tables
    )
    ws.skipped[number] = ws.skipped.get(number, 0) + left
    ws.db.execute(
        f"UPDATE link SET origin={REFERENCE} WHERE step=? AND COALESCE(record, op) NOT IN (SELECT op FROM temp.chosen)",
        (number,),
    )
    ws.db.execute(f"UPDATE record SET origin={REFERENCE} WHERE step=? {rest}", (number,))
    ws.db.execute(f"DELETE FROM bad WHERE step=? {rest}", (number,))
    return gone


def _choose(ws: Workspace, number: int, key: str) -> bool:
    """Choose what has a key: a record, a row that could not become one, relations with that end."""
    found = 0
    for table, own in _OWN.items():
        has = "? IN (p_key, c_key)" if table == "link" else "key=?"
        where = f"{table} WHERE step=? AND {has} AND {own}"
        found += ws.db.execute(f"INSERT OR IGNORE INTO temp.chosen SELECT op FROM {where}", (number, key)).rowcount
    return found > 0


def _choose_row(ws: Workspace, number: int, row: Where) -> bool:
    file = ws.text(row[0])
    found = 0
    for table, own in _OWN.items():
        where = f"{table} WHERE step=? AND file=? AND row=? AND {own}"
        found += ws.db.execute(
            f"INSERT OR IGNORE INTO temp.chosen SELECT op FROM {where}", (number, file, row[1])
        ).rowcount
    return found > 0


def _no_row(ws: Workspace, name: str, key: str, of: Selection) -> Problem:
    number = ws.steps[name]
    known = [str(one) for (one,) in ws.rows(f"SELECT key FROM record WHERE step=? LIMIT {MOST_KEYS}", (number,))]
    if known and not any(known):
        fix = f"its records have no key: --select {name}, or --limit N"
        return Problem("no-such-record", f"the records of {name} cannot be selected by a key", name, key, fix)
    import difflib  # only on this path

    near = difflib.get_close_matches(key, known, 3) or known[:3]
    fix = f"keys of this step: {', '.join(near)}" if near else "look at the source; `when` may leave the row out"
    place = next((f"--select {text}" for text in of.said if text.endswith(f"={key}")), name)
    return Problem("no-such-record", f'no row makes the record "{key}" of {name}', place, found=key, fix=fix)


def take_along(ws: Workspace, reading: Reading) -> list[Note]:
    """Plan what the selection needs and the target does not have yet; when everything was asked about.

    That is what its fields name, the CIs its records live in, and the ends of its relations. Returns what to say.
    """
    steps = ",".join(str(ws.steps[name]) for name in reading.planned)
    dependent = "CASE l.in_unit WHEN 1 THEN l.parent ELSE l.child END"
    needed = (
        f"SELECT r.host FROM record r WHERE r.origin={PLANNED}"
        f" UNION SELECT n.target FROM need n JOIN record r ON r.op=n.op WHERE r.origin={PLANNED}"
        f" UNION SELECT l.parent FROM link l WHERE l.origin={PLANNED}"
        f" UNION SELECT l.child FROM link l WHERE l.origin={PLANNED}"
        f" UNION SELECT m.op FROM record m JOIN record r ON r.op=m.main WHERE r.origin={PLANNED}"
    )
    ws.db.execute("CREATE TEMP TABLE along(op INTEGER PRIMARY KEY)")
    while True:
        taken = ws.db.execute(
            f"UPDATE record SET origin={PLANNED} WHERE origin={REFERENCE} AND step IN ({steps}) AND op IN ({needed})"
            " AND (op IN (SELECT op FROM answer WHERE action='create') OR main IN (SELECT op FROM temp.along))"
            " RETURNING op, step, main"
        ).fetchall()
        if not taken:
            break
        ws.db.executemany("INSERT INTO temp.along VALUES(?)", [(op,) for op, _, _ in taken])
        for _, step, main in taken:
            ws.skipped[step] -= main is None
    identifying = ws.db.execute(
        f"UPDATE link SET origin={PLANNED} WHERE op IN (SELECT l.op FROM link l JOIN record r ON r.op={dependent}"
        f" WHERE l.in_unit>0 AND l.origin={REFERENCE} AND r.origin={PLANNED}) RETURNING step, record"
    ).fetchall()
    for step, record in identifying:
        ws.skipped[step] -= record is None
    number = int(ws.one("SELECT COUNT(*) FROM temp.along a JOIN record r ON r.op=a.op WHERE r.main IS NULL"))
    ws.db.execute("DROP TABLE temp.along")
    for name in list(reading.planned):
        has = ws.one(
            f"SELECT 1 FROM (SELECT step, origin FROM record UNION ALL SELECT step, origin FROM link UNION ALL"
            f" SELECT step, {PLANNED} FROM bad) WHERE step=? AND origin={PLANNED} LIMIT 1",
            (ws.steps[name],),
        )
        if has is None:
            reading.planned.discard(name)
        else:
            reading.bad_rows[name] = int(ws.one("SELECT COUNT(*) FROM bad WHERE step=?", (ws.steps[name],)))
    if not number:
        return []
    said = f"{many(number, 'record')} that the target does not have yet, since the selection needs them"
    return [Note("taken-along", f"planned as well: {said}", count=number)]
