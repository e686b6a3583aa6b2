"""`extract`, top to bottom: for each table, what was deleted, then what changed, package by package.

The cursor of a table moves when a pass over it is complete. A pass that was interrupted goes on behind the last row
that was loaded; another one follows it, for what changed since the first began.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice
from typing import Any

from syncengine.errors import Exit, Problem, SpecError, SyncError, worst
from syncengine.extract import window
from syncengine.extract.columns import ASIDE, Typed, flat, type_of
from syncengine.extract.known import deleted_ids
from syncengine.extract.warehouse import State, Warehouse
from syncengine.files import reach
from syncengine.sources.servicenow import Aggregate, Incremental
from syncengine.sources.servicenow import Options as TableOptions
from syncengine.transport.aggregates import aggregate_columns, aggregates
from syncengine.transport.dictionary import ColumnInfo, columns_of, similar_tables
from syncengine.transport.reader import Reader
from syncengine.transport.servicenow import table_rows

CHUNK = 2_000
"""Rows of a request, and of one Arrow table."""
PACKAGE_ROWS = 50_000
PACKAGE_SECONDS = 60.0
"""A package is loaded after so many rows or seconds: what a kill costs."""

Tell = Callable[[str, int, int | None], None]
"""Told the table, how many more rows were read, and how many there are where that is known."""


@dataclass(slots=True)
class TableDone:
    """What became of one table."""

    name: str
    table: str
    rows: int = 0
    """Rows that were new or had changed."""
    deleted: int | None = 0
    """None where it cannot be known."""
    total: int | None = None
    """Rows that the table has now; None where the destination cannot tell."""
    new_columns: tuple[str, ...] = ()
    cursor: str = ""
    """What changed from then on is read next; empty: everything."""
    whole: bool = False
    """Whether all rows were read, not only changes."""
    resumed: bool = False
    notes: list[str] = field(default_factory=list)
    error: SyncError | None = None


@dataclass(frozen=True, slots=True)
class Extracting:
    """Everything an extract needs."""

    reader: Reader
    system: str
    """Identity of the instance: a table holds rows of one."""
    warehouse: Warehouse
    anew: bool = False
    """Read everything, into tables that are empty."""
    tell: Tell = lambda _name, _rows, _total: None
    package_rows: int = PACKAGE_ROWS
    chunk_rows: int = CHUNK


def extract(of: Extracting, tables: Mapping[str, TableOptions]) -> list[TableDone]:
    """Bring tables up to date, by the names they get; one that fails leaves the others alone.

    Raises SpecError before anything is read.
    """
    known = {table: columns_of(of.reader, table) for table in {options.table for options in tables.values()}}
    _check(of, tables, known)
    done = []
    for name, options in tables.items():
        one = TableDone(name, options.table)
        done.append(one)
        before = of.warehouse.columns(name)
        try:
            if options.aggregate is not None:
                _counted(of, options, options.aggregate, one)
            else:
                _TablePass(of, options, known[options.table], one).run()
            one.total = of.warehouse.count(name)
        except SyncError as error:
            one.error = error
            if error.exit in (Exit.AUTH, Exit.STATE, Exit.SPEC):
                break  # the others would meet the same
        one.new_columns = tuple(sorted(of.warehouse.columns(name) - before)) if before else ()
    return done


def exit_of(done: Sequence[TableDone]) -> Exit:
    """The exit class of all tables together."""
    return worst(one.error.exit for one in done if one.error is not None)


def _check(of: Extracting, tables: Mapping[str, TableOptions], known: Mapping[str, Mapping[str, ColumnInfo]]) -> None:
    problems = []
    for name, options in tables.items():
        columns = known[options.table]
        if not columns and (near := similar_tables(of.reader, options.table)) is not None:
            said = f"the instance has no table {options.table}, or not for this user"
            problems.append(Problem("unknown-table", said, options.at.get("table", name), fix=", ".join(near)))
        for field_name in options.fields if columns else ():
            first = field_name.partition(".")[0]
            if first not in columns:
                said = f"table {options.table} has no column {first}"
                fix = ", ".join(get_close_matches(first, columns, 3, 0.6) or sorted(columns)[:30])
                problems.append(Problem("unknown-column", said, options.at.get(f"fields.{field_name}", name), fix=fix))
        kept = of.warehouse.state(name)
        if kept.get("system", of.system) != of.system and not of.anew and options.aggregate is None:
            said = f"{name} holds rows of another system ({kept['system']}), not of {of.system}"
            problems.append(
                Problem("another-system", said, name, fix="--full replaces them; or name another --dataset")
            )
    if problems:
        raise SpecError(problems)


def _counted(of: Extracting, options: TableOptions, rule: Aggregate, one: TableDone) -> None:
    names = aggregate_columns(rule.group_by, rule.functions)
    rows = list(aggregates(of.reader, options.table, options.query, rule.group_by, rule.functions))
    whole = ColumnInfo("count", "integer", "", 0, "", "")
    typed = Typed({"count": type_of(whole)})

    def given(state: State) -> Iterator[Any]:
        state["system"] = of.system
        yield typed.table(rows, names)

    of.warehouse.load(one.name, given, key="")
    one.rows, one.whole, one.deleted = len(rows), True, None
    of.tell(one.name, len(rows), len(rows))


class _TablePass:
    """Brings one table up to date."""

    def __init__(self, of: Extracting, options: TableOptions, known: Mapping[str, ColumnInfo], one: TableDone) -> None:
        self._of = of
        self._options = options
        self._known = known
        self._one = one
        rule = options.incremental or Incremental()
        self._rule = rule if not known or rule.by in known else None
        """None where the table does not tell when its rows changed."""
        self.by = rule.by
        self._fields = self._columns(options.fields) if options.fields else ()
        self._typed = Typed({})
        self._hidden = 0

    def _columns(self, names: Sequence[str]) -> tuple[str, ...]:
        always = [name for name in (self.by, window.CHANGES) if not self._known or name in self._known]
        return tuple(dict.fromkeys(("sys_id", *always, *names)))

    def run(self) -> None:
        """One pass; two where the first had been interrupted."""
        one = self._one
        kept = self._of.warehouse.state(one.name)
        is_fresh = self._is_fresh(kept)
        if not is_fresh and "pass" in kept:
            one.resumed = True
            self._read(kept, kept["pass"], anew=False)
            kept = self._of.warehouse.state(one.name)
        if not one.resumed or self._rule is not None:
            start = "" if is_fresh else kept.get("cursor", "")
            self._read(kept, {"start": start, "after": ""}, anew=bool(kept) and not start)
        self._conclude()

    def _is_fresh(self, kept: State) -> bool:
        """Whether nothing that is there counts."""
        if kept and kept.get("wanted") != self._wanted() and not self._of.anew:
            self._one.notes.append("read in full: its query, fields or display values are not those of the last time")
            return True
        return self._of.anew or not kept

    def _wanted(self) -> list[Any]:
        options = self._options
        return [options.table, options.query, list(self._fields), options.display_value]

    def _read(self, kept: State, going: State, *, anew: bool) -> None:
        of, options, one = self._of, self._options, self._one
        start: str = going["start"]
        one.whole = one.whole or not start
        seen = window.look(of.reader, options.table, options.query, self._rule, start)
        if "began" not in going:
            going = {**going, "began": seen.began, "moment": seen.moment or seen.began}
        gone = self._delete(str(kept.get("moment", start)), is_begun=bool(going["after"])) if start else ()
        lost: list[int] = []
        rows = table_rows(
            of.reader,
            options.table,
            window.clause(options.query, self.by, start),
            self._fields,
            page=CHUNK,
            after=going["after"],
            display="all" if options.display_value == "both" else options.display_value,
            on_hidden=lost.append,
        )
        of.tell(one.name, 0, seen.total)
        package = _Package(self, kept, going, rows, gone)
        while not package.is_done:
            of.warehouse.load(one.name, package.rows, anew=anew)
            anew = False
            if package.error is not None:
                raise package.error
        self._hidden = sum(lost)
        one.cursor = going["began"]

    def _delete(self, since: str, *, is_begun: bool) -> Sequence[str]:
        """Rows that are gone come first: one that was made again with its old id is loaded afterwards.

        A pass that goes on has loaded some of those already; what went away since it began, the next pass deletes.
        """
        gone = deleted_ids(self._of.reader, self._options.table, since)
        if gone is None:
            self._one.deleted = None
        elif self._one.deleted is not None and not is_begun:
            self._one.deleted += self._of.warehouse.delete(self._one.name, gone)
        return gone or ()

    def _conclude(self) -> None:
        one = self._one
        if one.deleted is None:
            one.notes.append("deletions are not seen: this user may not read sys_audit_delete")
        if self._hidden:
            one.notes.append(f"{self._hidden:,} rows were not visible to this user, or went away meanwhile")
        if not self._known:
            one.notes.append("all columns are text: sys_dictionary is not readable for this user")
        if self._rule is None:
            one.notes.append(f"read in full each time: the table has no {self.by}")
        for name, number in self._typed.misfits.items():
            one.notes.append(f"{number:,} values of {name} are not of its type; they are in {name}{ASIDE} as text")

    # What a package needs of its table ------------------------------------------------------------------------------

    def arrow(self, rows: Sequence[Mapping[str, Any]]) -> Any:
        """Rows as dlt takes them: the columns that are known, and those that the instance answers besides."""
        plain = [flat(row) for row in rows]
        names = dict.fromkeys(self._fields or self._columns(tuple(self._known)))
        for row in plain:
            if row.keys() - names.keys():
                names.update(dict.fromkeys(row))
        if self._options.display_value != "true":  # what people see has no type
            self._typed.types.update({name: type_of(self._known.get(name), name) for name in names})
        return self._typed.table(plain, tuple(names))

    def note(self, state: State) -> None:
        """What holds for the table beside its cursor."""
        state["system"], state["wanted"] = self._of.system, self._wanted()

    def count(self, number: int, loaded: int) -> None:
        """Tell how far it is."""
        self._one.rows += loaded
        self._of.tell(self._one.name, number, None)

    @property
    def package_rows(self) -> int:
        """Rows after which a package is loaded."""
        return self._of.package_rows

    @property
    def chunk_rows(self) -> int:
        """Rows of one Arrow table."""
        return self._of.chunk_rows

    @property
    def is_new(self) -> bool:
        """Whether the destination has no such table."""
        return not self._of.warehouse.columns(self._one.name)


class _Package:
    """The rows of a pass, cut into packages; the state says how far each goes."""

    def __init__(
        self, table: _TablePass, kept: State, going: State, rows: Iterator[dict[str, Any]], gone: Sequence[str]
    ) -> None:
        self._table = table
        self._going = dict(going)
        recent: Mapping[str, str] = kept.get("recent", {}) if going["start"] else {}
        made_again = frozenset(gone)  # what is here of them was deleted, so it is loaded although nothing changed
        self._recent = {key: version for key, version in recent.items() if key not in made_again}
        self._next: dict[str, str] = dict(going.get("recent", {}))
        self._rows = rows
        self.is_done = False
        self.error: SyncError | None = None

    def rows(self, state: State) -> Iterator[Any]:
        """One package; what an error leaves of it is loaded, so that nothing is read twice."""
        self._table.note(state)
        started, number, is_new = time.monotonic(), 0, self._table.is_new
        while number < self._table.package_rows and time.monotonic() - started < PACKAGE_SECONDS:
            chunk = self._chunk()
            if chunk:
                changed = [
                    row
                    for row in chunk
                    if self._recent.get(window.plain(row, "sys_id")) != window.version(row, self._table.by)
                ]
                self._remember(chunk)
                self._table.count(len(chunk), len(changed))
                self._going["after"] = window.plain(chunk[-1], "sys_id")
                number += len(changed)
                if changed:
                    is_new = False
                    yield self._table.arrow(changed)
                    reach("extract.rows")
            if self.error is not None:
                break
            if len(chunk) < self._table.chunk_rows:
                self.is_done = True
                break
        if is_new:
            yield self._table.arrow([])
        if not self.is_done:
            state["pass"] = {**self._going, "recent": self._next}
            return
        state.update(cursor=self._going["began"], moment=self._going["moment"], recent=self._next)
        state.pop("pass", None)

    def _chunk(self) -> list[dict[str, Any]]:
        chunk: list[dict[str, Any]] = []
        try:
            chunk.extend(islice(self._rows, self._table.chunk_rows))
        except SyncError as error:
            self.error = error
        return chunk

    def _remember(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """What the next pass will meet again, unchanged."""
        began = self._going["began"]
        for row in rows if began else ():
            if len(self._next) < window.RECENT_MOST and window.plain(row, self._table.by) >= began:
                self._next[window.plain(row, "sys_id")] = window.version(row, self._table.by)
