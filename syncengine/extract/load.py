"""One table after the other, in pieces that are loaded whole: what a piece holds and how far it goes is one package.

The state of a table lies with its data, as dlt keeps it: `cursor` is where the next window begins, `pass` a pass that
was not finished. A killed run is finished by the next one: dlt loads the package that was under way, and reading goes
on behind its last sys_id. Rows are merged by sys_id, so a piece that is loaded twice counts once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from syncengine.errors import LockedError, Problem, SourceError, SpecError, StateError
from syncengine.files import private_directory, reach
from syncengine.sources.servicenow import Options as TableOptions
from syncengine.sources.servicenow import earlier
from syncengine.transport.aggregates import aggregate_columns, aggregates
from syncengine.transport.dictionary import ColumnInfo, columns_of, deleted, newest
from syncengine.transport.reader import Reader
from syncengine.transport.servicenow import Display, table_rows

PAGE = 2_000
"""Rows a request."""
PIECE = 40_000
"""Rows a package; a killed run reads at most so many again."""
GONE = "_deleted"
"""The column that marks a row to be removed; where a destination only appends, the row that says so."""
INSTALL = "pip install 'syncengine-itsm[extract]'"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where tables go."""

    name: str = "duckdb"
    """A destination of dlt."""
    dataset: str = "servicenow"
    options: Mapping[str, str] = field(default_factory=dict)
    """Its settings, as dlt names them; secrets are in its own environment variables."""
    file: Path | None = None
    """The DuckDB file, where that is the destination."""


@dataclass(slots=True)
class Loaded:
    """What became of one table."""

    name: str
    table: str
    rows: int = 0
    deleted: int | None = 0
    """None: deletions cannot be seen by this user."""
    hidden: int = 0
    """Rows that were counted and not shown, or that went away meanwhile."""
    since: str = ""
    """Where the window began; empty: all rows."""
    cursor: str = ""
    resumed: bool = False
    new_columns: list[str] = field(default_factory=list)
    misfits: dict[str, int] = field(default_factory=dict)
    """Values that were not of the type that the dictionary says, by column."""


Progress = Callable[[str, int], None]


class Extraction:
    """The pipeline of one environment; one process at a time. `system` is the instance as plans name it."""

    def __init__(self, home: Path, environment: str, system: str, to: Destination) -> None:
        self._system = system
        self._home = private_directory(home)
        self._to = to
        self._dlt = _dlt(self._home)
        self._name = f"{environment}_{to.name}_{to.dataset}".replace("-", "_").replace(".", "_")
        destination = self._destination()
        self._lock = FileLock(self._home / f"{self._name}.lock", timeout=0)
        try:
            self._lock.acquire()
        except Timeout:
            said = f"another extract into {to.name} is running for {environment}"
            raise LockedError(Problem("locked", said, str(self._home), fix="wait for its end")) from None
        self._pipeline = self._dlt.pipeline(
            self._name,
            pipelines_dir=str(self._home / "pipelines"),
            destination=destination,
            dataset_name=to.dataset,
        )

    def close(self) -> None:
        """Let others in."""
        self._lock.release()

    def _destination(self) -> Any:
        known = self._dlt.destinations
        made = getattr(known, self._to.name, None) if self._to.name.isidentifier() else None
        if made is None:
            said = f'dlt has no destination "{self._to.name}"'
            fix = "one of: " + ", ".join(sorted(known.__all__))
            raise SpecError(Problem("unknown-destination", said, "extract", fix=fix))
        options = dict(self._to.options)
        if self._to.name == "duckdb" and self._to.file is not None and "credentials" not in options:
            options["credentials"] = str(self._to.file)
        try:
            return made(**options)
        except (TypeError, ValueError) as error:
            said = f"{self._to.name} does not take these options: {error}"[:160]
            raise SpecError(Problem("destination-options", said, "extract")) from None

    def prepare(self) -> None:
        """Load what an interrupted run left behind, and learn from the destination how far it is."""
        with self._told():
            self._pipeline.sync_destination()
            if self._pipeline.has_pending_data:
                self._pipeline.normalize()
                self._pipeline.load(raise_on_failed_jobs=True)

    def table(self, reader: Reader, name: str, options: TableOptions, say: Progress, *, full: bool = False) -> Loaded:
        """Bring one table up to date; raises SourceError, AuthError, RemoteError, StateError."""
        made = Loaded(name, options.table)
        before = self._columns(name)
        if options.aggregate is not None:
            self._counted(reader, made, options, say)
        else:
            self._changed(reader, made, options, say, full=full)
        made.new_columns = [column for column in self._columns(name) if column not in before] if before else []
        return made

    def _columns(self, name: str) -> list[str]:
        schemas = self._pipeline.schemas
        if self._pipeline.default_schema_name is None:
            return []
        tables = schemas[self._pipeline.default_schema_name].tables
        return [one for one in tables.get(name, {}).get("columns", {}) if not one.startswith("_")]

    def _state(self, name: str) -> dict[str, Any]:
        sources = self._pipeline.state.get("sources", {})
        schema = sources.get(self._pipeline.default_schema_name or "", {})
        found: dict[str, Any] = schema.get("resources", {}).get(name, {})
        return dict(found)

    def _run(self, resource: Any) -> None:
        with self._told():
            self._pipeline.run(resource, loader_file_format=self._format())
        reach("extract.piece")

    def _format(self) -> Any:
        """Typed files, which need no second look at each value."""
        return "parquet" if self._to.name in {"duckdb", "filesystem", "motherduck"} else None

    def _told(self) -> Any:
        return _Told(self._to.name)

    def _counted(self, reader: Reader, made: Loaded, options: TableOptions, say: Progress) -> None:
        from syncengine.extract.columns import Typed, type_of

        rule = options.aggregate
        assert rule is not None  # noqa: S101  # the caller looked
        names = aggregate_columns(rule.group_by, rule.functions)
        numbers = ColumnInfo("count", "integer", "", 0, "", "")
        rows = list(aggregates(reader, options.table, options.query, rule.group_by, rule.functions))
        typed = Typed({"count": type_of(numbers)})
        made.rows = len(rows)
        say(made.name, len(rows))

        def piece() -> Iterator[Any]:
            yield typed.table(rows, names)

        self._run(self._dlt.resource(piece, name=made.name, write_disposition="replace"))

    def _changed(self, reader: Reader, made: Loaded, options: TableOptions, say: Progress, *, full: bool) -> None:
        from syncengine.extract.columns import Typed, type_of

        known = columns_of(reader, options.table)
        names = self._names(options, known)
        display: Display = "all" if options.display_value == "both" else options.display_value
        types = {name: type_of(known.get(name)) for name in names} if display == "false" else {}
        typed = Typed(types)
        state = self._state(made.name)
        going = self._going(reader, options, state, full=full)
        made.since, made.resumed = going["start"], bool(going["after"])
        clauses = [options.query, f"{_by(options)}>={made.since}" if made.since else ""]
        query = "^".join(clause for clause in clauses if clause)
        lost: list[int] = []
        rows = table_rows(
            reader,
            options.table,
            query,
            options.fields and names,
            page=PAGE,
            on_hidden=lost.append,
            display=display,
            after=going["after"],
        )
        pages = self._pages(rows, typed, names)
        is_over = False
        while not is_over:
            block = list(islice(pages, PIECE // PAGE))
            is_over = len(block) < PIECE // PAGE
            gone = self._gone(reader, made, options) if is_over else []
            self._piece(made, block, gone, going, is_over=is_over)
            say(made.name, sum(len(page) for page in block))
        made.hidden = sum(lost)
        made.misfits = typed.misfits
        made.cursor = going["end"]

    def _names(self, options: TableOptions, known: Mapping[str, ColumnInfo]) -> tuple[str, ...]:
        """The columns: those named, else those of the dictionary, else those of the first row."""
        if not options.fields:
            return tuple(dict.fromkeys(("sys_id", *known))) if known else ()
        unknown = [name for name in options.fields if known and name.partition(".")[0] not in known]
        if unknown:
            said = f"table {options.table} has no column {', '.join(unknown)}"
            raise SourceError(
                Problem("unknown-column", said, f"table {options.table}", fix=", ".join(sorted(known)[:30]))
            )
        return tuple(dict.fromkeys(("sys_id", _by(options), *options.fields)))

    def _going(self, reader: Reader, options: TableOptions, state: dict[str, Any], *, full: bool) -> dict[str, str]:
        """The pass to make: the one that was interrupted, else the next window."""
        what = repr((options.table, options.query, options.fields, options.display_value, self._system))
        same = state.get("what") == what
        if same and state.get("pass") and not (full and state["pass"]["start"]):
            return {**state["pass"], "what": what}
        rule = options.incremental
        cursor = str(state.get("cursor", "")) if same and rule is not None and not full else ""
        end = newest(reader, options.table, options.query, _by(options))
        start = earlier(cursor, rule.lag) if cursor and rule is not None else ""
        return {"start": start, "end": max(end, cursor), "after": "", "what": what}

    def _gone(self, reader: Reader, made: Loaded, options: TableOptions) -> list[str]:
        found = deleted(reader, [options.table], made.since)
        ids = None if found is None else [sys_id for sys_id, _ in found if sys_id]
        made.deleted = None if ids is None else len(ids)
        return ids or []

    def _pages(self, rows: Iterator[dict[str, Any]], typed: Any, names: tuple[str, ...]) -> Iterator[Any]:
        """Typed pages: a tenth of the memory of rows of text."""
        while page := [_plain(row) for row in islice(rows, PAGE)]:
            names = names or tuple(page[0])
            shown = [f"{name}_display" for name in names if f"{name}_display" in page[0] and name != "sys_id"]
            yield typed.table(page, (*names, *shown))

    def _piece(self, made: Loaded, block: list[Any], gone: list[str], going: dict[str, str], *, is_over: bool) -> None:
        import pyarrow as pa

        def piece() -> Iterator[Any]:
            yield from block
            reach("extract.read")
            if gone:
                fields = [pa.field("sys_id", pa.string(), nullable=False), pa.field(GONE, pa.bool_())]
                yield pa.table([pa.array(gone), pa.array([True] * len(gone))], schema=pa.schema(fields))
            state = self._dlt.current.resource_state()
            state["what"] = going["what"]
            if is_over:
                state.update({"cursor": going["end"], "pass": None})
            else:
                last = block[-1]["sys_id"][-1].as_py()
                state["pass"] = {"start": going["start"], "end": going["end"], "after": last}

        hints: dict[str, Any] = {GONE: {"hard_delete": True, "data_type": "bool"}} if gone else {}
        self._run(
            self._dlt.resource(piece, name=made.name, primary_key="sys_id", write_disposition="merge", columns=hints)
        )
        made.rows += sum(len(page) for page in block)


class _Told:
    """Failures of dlt and its destination as ours: dlt wraps what a destination says several times."""

    def __init__(self, destination: str) -> None:
        self._destination = destination

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from dlt.common.exceptions import DltException

        if not isinstance(error, DltException):
            return
        inner: BaseException = error
        while inner.__cause__ is not None:
            inner = inner.__cause__
        lines = [line.strip() for line in str(inner).splitlines() if line.strip()]
        said = lines[0] if lines else type(inner).__name__
        raise StateError(
            Problem(
                "not-loaded",
                f"the destination {self._destination} did not take the rows",
                "extract",
                found=said,
                fix="what was loaded is complete; run the same command again to go on",
            )
        ) from error


def _by(options: TableOptions) -> str:
    return options.incremental.by if options.incremental is not None else "sys_updated_on"


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of texts; of both forms of a value the second becomes a column of its own."""
    if not any(isinstance(value, dict) for value in row.values()):
        return dict(row)
    made: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            if "value" in value:
                made[name] = value["value"]
                made[f"{name}_display"] = value.get("display_value")
            else:
                made[name] = value.get("display_value")
        else:
            made[name] = value
    return made


def _dlt(home: Path) -> Any:
    """dlt, without its telemetry, its files in our folder, and no words of its own unless something fails."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["DLT_DATA_DIR"] = str(home / "dlt")
    os.environ.setdefault("RUNTIME__LOG_LEVEL", "CRITICAL")
    os.environ.setdefault("LOAD__DELETE_COMPLETED_JOBS", "true")
    try:
        import dlt
        import pyarrow as pa  # noqa: F401  # columns.py needs it
    except ImportError as error:
        said = f"extract needs {error.name}, which is not installed"
        raise SpecError(Problem("not-installed", said, "syncengine extract", fix=INSTALL)) from None
    return dlt
