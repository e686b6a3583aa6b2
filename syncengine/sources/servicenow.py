"""`servicenow`: rows of a table of an instance, or what the instance counts of them."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

from syncengine import sources
from syncengine.changes import Row
from syncengine.errors import NOTHING_WRITTEN, Place, Position, Problem, RemoteError, SourceError, many

if TYPE_CHECKING:
    from syncengine.transport.reader import Reader

Shown = Literal["false", "true", "both"]
DISPLAY_OF = "_display"
"""What the column is called that holds the display value beside the stored one."""
MOMENT = "%Y-%m-%d %H:%M:%S"
"""How the Table API writes times: UTC, without a mark (documented)."""


@dataclass(frozen=True, slots=True)
class Incremental:
    """Only rows that changed since the last window that was applied."""

    by: str = "sys_updated_on"
    lag: float = 120.0
    """Seconds that windows overlap: a row can become visible after later ones."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Groups and what is counted of them."""

    group_by: tuple[str, ...] = ()
    functions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Columns by function: sum, avg, min, max."""


@dataclass(frozen=True, slots=True)
class Options(sources.Options):
    """A table, and which of its rows and columns."""

    table: str
    query: str = ""
    fields: tuple[str, ...] = ()
    display_value: Shown = "false"
    incremental: Incremental | None = None
    aggregate: Aggregate | None = None
    connection: str | None = None
    kind: str = "servicenow"
    at: Mapping[str, Position] = field(default_factory=dict, compare=False)
    """Where a spec says what: `table`, `fields`, and each of them: `fields.name`."""

    @property
    def shown(self) -> str:
        """What messages call it."""
        return f"table {self.table}"

    def place(self, *said: str) -> Position | str:
        """The place in the spec of the first of these that is written there; the table, where no spec says it."""
        return next((self.at[name] for name in said if name in self.at), self.shown)

    def place_of(self, column: str) -> Position | str:
        """The place in the spec of a column that it names."""
        return self.place(f"fields.{column}", "incremental.by", "incremental", "table")


class TableSource(sources.Source):
    """The rows of a table, in order of sys_id; each pass reads the instance anew."""

    def __init__(self, options: Options, access: sources.Access) -> None:
        self._options = options
        self._access = access
        self._digest: sources.Digest | None = None
        self._window: sources.Window | None = None
        self._remarks: list[sources.Remark] = []

    def columns(self) -> tuple[str, ...] | None:
        options = self._options
        if options.aggregate is not None:
            from syncengine.transport.aggregates import aggregate_columns

            return aggregate_columns(options.aggregate.group_by, options.aggregate.functions)
        if not options.fields:
            return None
        more = [f"{name}{DISPLAY_OF}" for name in options.fields] if options.display_value == "both" else []
        return (*options.fields, *more)

    def window(self) -> sources.Window | None:
        return self._window

    def remarks(self) -> list[sources.Remark]:
        return self._remarks

    def digest(self) -> sources.Digest:
        """Of the rows of the last pass: the table itself is different at any moment."""
        if self._digest is None:
            for _ in self.rows():
                pass
        return self._digest or sources.Digest("", 0, 0)

    def rows(self) -> Iterator[Row]:
        reader = self._access.reader
        if reader is None:
            said = f"The rows of {self._options.shown} are on an instance; this is read without a connection"
            raise SourceError(Problem("offline", said, self._options.place("table"), fix="syncengine plan --env NAME"))
        self._remarks = []
        self.is_complete = self._options.incremental is None
        whole = hashlib.sha256()
        size = count = 0
        try:
            for count, values in enumerate(self._named(reader), 1):
                line = repr(values).encode()
                whole.update(line)
                size += len(line)
                yield Row(values, Place(self._options.shown, count, 0))
        except GeneratorExit:  # nobody wants the rest
            self.is_complete = False
            self._digest = sources.Digest(whole.hexdigest(), size, count)
            raise
        self._digest = sources.Digest(whole.hexdigest(), size, count)

    def _named(self, reader: Reader) -> Iterator[dict[str, str | None]]:
        """The rows; an instance that has no such table is asked for those with a name like it."""
        try:
            yield from self._values(reader)
        except RemoteError as error:
            from syncengine.transport.dictionary import is_not_readable, similar_tables

            near = similar_tables(reader, self._options.table) if is_not_readable(error) else None
            if near is None:
                raise
            said = f"{self._options.shown} does not exist on {reader.host}, or is not visible to this user"
            fix = f"table: {near[0]}" if near else "correct it, or ask the admin for read access"
            found = error.problems[0].found
            problem = Problem("unknown-table", said, self._options.place("table"), found, fix)
            raise RemoteError(problem, effect=NOTHING_WRITTEN) from error

    def _values(self, reader: Reader) -> Iterator[dict[str, str | None]]:
        aggregate = self._options.aggregate
        if aggregate is not None:
            from syncengine.transport.aggregates import aggregates

            found = aggregates(
                reader, self._options.table, self._options.query, aggregate.group_by, aggregate.functions
            )
            for row in found:
                yield dict(row)
            return
        yield from self._table(reader)

    def _table(self, reader: Reader) -> Iterator[dict[str, str | None]]:
        # what validate and --help do not need is imported here: 60 ms
        from syncengine.transport.servicenow import table_rows

        options = self._options
        self._check_columns(reader)
        query = self._windowed(reader)
        wanted = self.columns()
        names = options.fields
        hidden: dict[str, int] = {}
        count = 0
        lost: list[int] = []
        display: Literal["false", "true", "all"] = "all" if options.display_value == "both" else options.display_value
        try:
            for row in table_rows(reader, options.table, query, names, display=display, on_hidden=lost.append):
                count += 1
                made = _both(row, names) if display == "all" else row
                if wanted is None:
                    yield {name: _text(options, name, value) for name, value in made.items()}
                    continue
                values: dict[str, str | None] = {}
                for name in wanted:
                    if name in made:
                        values[name] = _text(options, name, made[name])
                    else:
                        values[name] = None
                        hidden[name] = hidden.get(name, 0) + 1
                yield values
        except GeneratorExit:
            self._remark_hidden(count, hidden)
            raise
        self._conclude(reader, count, sum(lost), hidden)

    def _check_columns(self, reader: Reader) -> None:
        """Unknown names are ignored by the instance (documented), so they are looked for beforehand."""
        from syncengine.transport.dictionary import columns_of

        options = self._options
        named = [*options.fields, *([options.incremental.by] if options.incremental else [])]
        known = columns_of(reader, options.table) if named else {}
        if not known:
            return
        problems = []
        for name in dict.fromkeys(named):
            first = name.partition(".")[0]
            if first not in known:
                close = get_close_matches(first, known, 1, 0.7)
                said = f"{options.shown} has no column {first}" + (f"; did you mean {close[0]}?" if close else "")
                fix = ", ".join(sorted(known)[:30])
                problems.append(Problem("unknown-column", said, options.place_of(name), name, fix))
            elif "." in name and not known[first].reference:
                said = f"{first} of {options.shown} refers to no table, so {name} leads nowhere"
                problems.append(Problem("unknown-column", said, options.place_of(name), name))
        if problems:
            raise SourceError(problems, effect=NOTHING_WRITTEN)

    def _windowed(self, reader: Reader) -> str:
        from syncengine.transport.dictionary import newest

        options, rule = self._options, self._options.incremental
        if rule is None:
            return options.query
        start = self._access.cursor
        if self._access.before_cursor:
            return "^".join(clause for clause in (options.query, f"{rule.by}<{start}") if clause)
        last = newest(reader, options.table, options.query, rule.by)
        end = settled(last.value, last.clock, rule.lag)
        self._window = sources.Window(options.table, rule.by, start, max(end, start))
        clauses = [options.query, f"{rule.by}>={start}" if start else ""]
        return "^".join(clause for clause in clauses if clause)

    def _conclude(self, reader: Reader, count: int, lost: int, hidden: Mapping[str, int]) -> None:
        options = self._options
        if lost:
            self.is_complete = False
            some = f"{lost:,} of {count + lost:,} rows"
            said = f"{options.shown}: {some} were not visible to this user, or went away meanwhile"
            fix = "ask the admin for read access to all rows of the query, or narrow the query"
            self._remarks.append(sources.Remark("hidden-rows", said, lost, fix))
        never = [name for name, times in hidden.items() if times == count]
        if count and never:
            raise SourceError(
                [
                    Problem(
                        "hidden-column",
                        f"{options.shown} shows no column {name} to this user",
                        options.place_of(name),
                        fix="ask the admin for read access to it, or take it out of fields",
                    )
                    for name in never
                ],
                effect=NOTHING_WRITTEN,
            )
        self._remark_hidden(count, hidden)
        if self._window is not None and self._window.start:
            self._note_deleted(reader, self._window.start)

    def _remark_hidden(self, count: int, hidden: Mapping[str, int]) -> None:
        for name, times in hidden.items():
            said = f"{self._options.shown}: {name} was not shown in {times:,} of {count:,} rows"
            self._remarks.append(sources.Remark("hidden-column", said, times, "ask the admin for read access to it"))

    def _note_deleted(self, reader: Reader, since: str) -> None:
        from syncengine.transport.dictionary import deleted

        gone = deleted(reader, [self._options.table], since)
        if gone is None:
            return
        ids = [sys_id for sys_id, _ in gone]
        if ids:
            said = f"{self._options.shown}: {many(len(ids), 'row')} deleted since {since}; nothing is done about that"
            fix = f"they are: {', '.join(ids[:5])}" + (", ..." if len(ids) > 5 else "")
            self._remarks.append(sources.Remark("deleted-rows", said, len(ids), fix))


def settled(newest: str, clock: dt.datetime | None, lag: float) -> str:
    """Up to where a table is read for good: what changed longer ago than the lag can be seen by now.

    That is the newest change, or the lag before the instance's time, whichever is earlier. Where no time is told it is
    the lag before the newest change; a clock that is behind it makes more be read again, never less.
    """
    if earlier(newest, 1) == newest:
        return newest  # no time: a number, say
    if clock is None:
        return earlier(newest, lag)
    return min(newest, stamp(clock - dt.timedelta(seconds=lag)))


def stamp(moment: dt.datetime) -> str:
    """A time as the instance writes it."""
    return moment.strftime(MOMENT)


def earlier(moment: str, seconds: float) -> str:
    """A time of the instance less so many seconds; what is no time stays as it is."""
    try:
        at = dt.datetime.strptime(moment, MOMENT).replace(tzinfo=dt.UTC)
    except ValueError:
        return moment
    return stamp(at - dt.timedelta(seconds=seconds))


def _both(row: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name in names or row:
        if name in row:
            value = row[name]
            made[name] = value.get("value") if isinstance(value, dict) else value
            made[f"{name}{DISPLAY_OF}"] = value.get("display_value") if isinstance(value, dict) else value
    return made


def _text(options: Options, name: str, value: object) -> str | None:
    """The one declared form of a value: text."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("display_value"), str):
        return str(value["display_value"])  # display_value=true gives references as objects (documented)
    said = f"{options.shown} answers {name} as {type(value).__name__}, not as text"
    raise SourceError(Problem("unexpected-value", said, options.place_of(name)), effect=NOTHING_WRITTEN)


def open_options(options: Options, access: sources.Access) -> TableSource:
    """The kind's door; nothing is asked yet."""
    return TableSource(options, access)
