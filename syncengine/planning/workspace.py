"""Where a plan is put together: a private SQLite file that is thrown away afterwards.

Records, relations, answers and keys are spilled here, so memory does not grow with the source: joining a dependent to
its host, finding two keys of one CI and reading everything back in source order are left to the database. What a
record holds stands in a table of its own: questions about records then read a tenth of the bytes.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import orjson

from syncengine import spill
from syncengine.changes import BadRow, Find, Link, Pair, Part, Record, StepInfo, StepRef
from syncengine.errors import Place

PLANNED, REFERENCE, FOUND = 0, 1, 2
"""Why a record is here: a step of this plan makes it; only another plan does; it was found on the instance."""

SCHEMA = """
CREATE TABLE record(
  op INTEGER PRIMARY KEY, step INTEGER, key TEXT, class TEXT, file INTEGER, row INTEGER, line INTEGER,
  origin INTEGER, wave INTEGER DEFAULT 0, host INTEGER, unit INTEGER, depth INTEGER DEFAULT 0,
  is_host INTEGER DEFAULT 0, is_end INTEGER DEFAULT 0, main INTEGER, gone TEXT);
CREATE TABLE content(op INTEGER PRIMARY KEY, body TEXT);
CREATE TABLE step(id INTEGER PRIMARY KEY, kind TEXT);
CREATE TABLE bad(
  op INTEGER PRIMARY KEY, step INTEGER, key TEXT, code TEXT, message TEXT, file INTEGER, row INTEGER, line INTEGER,
  fix TEXT);
CREATE TABLE link(
  op INTEGER PRIMARY KEY, step INTEGER, record INTEGER, type TEXT, spec INTEGER, file INTEGER, row INTEGER,
  line INTEGER, origin INTEGER,
  p_step INTEGER, p_key TEXT, p_find INTEGER, p_miss TEXT, c_step INTEGER, c_key TEXT, c_find INTEGER, c_miss TEXT,
  parent INTEGER, child INTEGER, p_class TEXT, c_class TEXT, in_unit INTEGER DEFAULT 0, unit INTEGER);
CREATE TABLE find(id INTEGER PRIMARY KEY, said TEXT UNIQUE, op INTEGER, value TEXT, owner TEXT, problem TEXT,
  several INTEGER DEFAULT 0);
CREATE TABLE need(op INTEGER, field TEXT, step INTEGER, key TEXT, find INTEGER, take TEXT, miss TEXT, target INTEGER);
CREATE TABLE answer(
  op INTEGER PRIMARY KEY, action TEXT, basis TEXT, sys_id TEXT, class TEXT, reason TEXT DEFAULT '',
  code TEXT DEFAULT '', message TEXT DEFAULT '', body TEXT);
CREATE TABLE owned(step INTEGER, key TEXT, sys_id TEXT);
CREATE TABLE present(step INTEGER, key TEXT, PRIMARY KEY(step, key)) WITHOUT ROWID;
CREATE TABLE identity(entry INTEGER, digest INTEGER, op INTEGER);
"""


class Workspace:
    """The spilled state of one plan; steps, files and positions are interned as small numbers."""

    def __init__(self, path: Path) -> None:
        self.db = spill.opened(path, SCHEMA)
        self.steps: dict[str, int] = {}
        self.step_names: list[str] = []
        self.texts: list[str] = []
        self._text_ids: dict[str, int] = {}
        self.next_op = 1
        self.selected = False
        """Whether only a part of the records is planned; then some of the others may have to be, too."""
        self.skipped: dict[int, int] = {}
        """Records of each step that were left out because what they refer to is not on the instance."""
        self.deferred: dict[int, frozenset[str]] = {}
        """Fields of each step that are written in a second pass, as an operation of their own."""
        self.connections: dict[int, str] = {}
        """Where the records are looked for that a step names, by its connection."""
        self.data_sources: dict[int, str] = {}
        self.columns: dict[tuple[int, str], set[str]] = {}
        """Which fields the records of a step and class have."""

    def know_steps(self, steps: Sequence[StepInfo]) -> None:
        """Note what the steps are, by number, before their first record comes."""
        self.db.executemany("INSERT INTO step VALUES(?,?)", [(n, step.kind) for n, step in enumerate(steps)])
        for number, step in enumerate(steps):
            self.connections[number] = step.connection
            self.data_sources[number] = step.data_source
            if step.deferred:
                self.deferred[number] = frozenset(step.deferred)

    def text(self, value: str) -> int:
        """Intern a text that many rows share (a file name, a position)."""
        known = self._text_ids.get(value)
        if known is None:
            known = self._text_ids[value] = len(self.texts)
            self.texts.append(value)
        return known

    def place(self, file: int, row: int, line: int) -> Place:
        """A place that was interned."""
        return Place(self.texts[file], row, line)

    # ── filling ─────────────────────────────────────────────────────────────────────────────────

    def add(self, step: int, batch: Iterable[Record | Pair | BadRow], spec: str, *, origin: int = PLANNED) -> None:
        """Spill what a step made of some rows; operations are numbered in the order they come."""
        records: list[tuple[Any, ...]] = []
        completing: list[tuple[Any, ...]] = []
        contents: list[tuple[int, str]] = []
        links: list[tuple[Any, ...]] = []
        bad: list[tuple[Any, ...]] = []
        needs: list[tuple[Any, ...]] = []
        spec_id = self.text(spec)
        for made in batch:
            op = self.next_op
            self.next_op += 1
            place = made.place
            file = self.text(place.file)
            if isinstance(made, Record):
                where = (file, place.row, place.line, origin)
                later = self.deferred.get(step)
                first, second = (made, None) if later is None else _passes(made, later)
                contents.append((op, self._body(op, step, first, needs)))
                records.append((op, step, made.key, made.class_name, *where, op))
                links.extend(self._link(step, op, link, made.key, where) for link in made.links)
                if second is not None:
                    again = self.next_op
                    self.next_op += 1
                    contents.append((again, self._body(again, step, second, needs)))
                    completing.append((again, step, made.key, made.class_name, *where, again, op))
            elif isinstance(made, Pair):
                ends = self._end(step, made.parent) + self._end(step, made.child)
                where = (file, place.row, place.line, origin)
                links.append((op, step, None, made.type, spec_id, *where, *ends))
            else:
                problem = made.problem
                said = f"{problem.message}: {problem.found}" if problem.found else problem.message
                bad.append((op, step, made.key, problem.code, said, file, place.row, place.line, problem.fix))
        spill.insert(self.db, "INSERT INTO record(op,step,key,class,file,row,line,origin,unit)", records)
        spill.insert(self.db, "INSERT INTO record(op,step,key,class,file,row,line,origin,unit,main)", completing)
        spill.insert(self.db, "INSERT INTO content", contents)
        spill.insert(
            self.db,
            "INSERT INTO link(op,step,record,type,spec,file,row,line,origin,"
            "p_step,p_key,p_find,p_miss,c_step,c_key,c_find,c_miss)",
            links,
        )
        spill.insert(self.db, "INSERT INTO bad", bad)
        spill.insert(self.db, "INSERT INTO need(op,field,step,key,find,take,miss)", needs)

    def _body(self, op: int, step: int, made: Record, needs: list[tuple[Any, ...]]) -> str:
        refs = [
            (name, self.steps.get(end.step, -1), end.key, None, "" if end.take == "sys_id" else end.take)
            if isinstance(end, StepRef)
            else (name, None, None, self.find(end, step), "")
            for name, end in made.refs
        ]
        if refs:
            missing = [end.if_missing if isinstance(end, StepRef) else "" for _, end in made.refs]
            needs.extend((op, *ref, miss) for ref, miss in zip(refs, missing, strict=True))
        self.note_columns(step, made.class_name, made.values)
        if refs:
            self.note_columns(step, made.class_name, [ref[0] for ref in refs])
        body = (made.values, refs, made.lookup, made.related, made.seen_at or "", made.native_key)
        return _packed(body).decode()

    def note_columns(self, step: int, class_name: str, names: Iterable[str]) -> None:
        """Keep which fields the records of a step and class have."""
        known = self.columns.get((step, class_name))
        if known is None:
            known = self.columns[step, class_name] = set()
        known.update(names)

    def _link(self, step: int, record: int, link: Link, key: str, where: tuple[int, ...]) -> tuple[Any, ...]:
        op = self.next_op
        self.next_op += 1
        own: tuple[Any, ...] = (step, key, None, "")
        other = self._end(step, link.other)
        ends = other + own if link.role == "parent" else own + other
        return (op, step, record, link.type, self.text(link.position), *where, *ends)

    def _end(self, step: int, end: StepRef | Find) -> tuple[Any, ...]:
        if isinstance(end, StepRef):
            return (self.steps.get(end.step, -1), end.key, None, end.if_missing)
        return (None, None, self.find(end, step), "")

    def find(self, find: Find, step: int) -> int:
        """Intern a record to look for on the instance; equal ones are looked for once."""
        where = self.connections.get(step, "")
        said = orjson.dumps([find.table, find.where, find.take, find.if_missing, where]).decode()
        self.db.execute("INSERT OR IGNORE INTO find(said) VALUES(?)", (said,))
        return int(self.db.execute("SELECT id FROM find WHERE said=?", (said,)).fetchone()[0])

    # ── reading back ────────────────────────────────────────────────────────────────────────────

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Stream the rows of a query; its own cursor, so several may be open."""
        cursor = self.db.cursor()
        cursor.arraysize = 1000
        cursor.execute(sql, parameters)
        while block := cursor.fetchmany():
            yield from block

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """The first column of the first row, or None."""
        row = self.db.execute(sql, parameters).fetchone()
        return row[0] if row else None

    def close(self) -> None:
        """Forget everything."""
        self.db.close()


def _passes(made: Record, later: frozenset[str]) -> tuple[Record, Record | None]:
    """A record without the fields of the second pass, and a record of only those; None where it has none of them."""
    values = {name: value for name, value in made.values.items() if name in later}
    refs = tuple(ref for ref in made.refs if ref[0] in later)
    if not values and not refs:
        return made, None
    first = made._replace(
        values={name: value for name, value in made.values.items() if name not in later},
        refs=tuple(ref for ref in made.refs if ref[0] not in later),
    )
    return first, made._replace(values=values, refs=refs, lookup=(), related=(), links=())


Ref = tuple[str, int | None, str | None, int | None, str]
"""A field that refers to a record: name; step and key, or the record that is looked for; what is taken of it."""
Body = tuple[dict[str, str], list[Ref], tuple[Part, ...], tuple[Part, ...], str, str]
"""Values, refs, lookup, related, seen-at and native key of a spilled record."""

body_of = msgspec.json.Decoder(Body).decode
"""Reads a spilled record."""
unread_body_of = msgspec.json.Decoder(
    tuple[msgspec.Raw, list[Ref], tuple[Part, ...], tuple[Part, ...], str, str],
).decode
"""Reads a spilled record for who only writes it: its values stay the JSON that they are."""
_packed = msgspec.json.Encoder().encode


@contextlib.contextmanager
def workspace(directory: Path | None = None) -> Iterator[Workspace]:
    """A workspace in a private temporary directory, gone afterwards; raises StateError when there is no room."""
    with tempfile.TemporaryDirectory(prefix="syncengine-", dir=directory) as place:
        made = Workspace(Path(place) / "plan.db")
        try:
            yield made
        finally:
            made.close()
