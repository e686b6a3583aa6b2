"""Where extracted tables go: a dlt pipeline over DuckDB or another destination. The only module that knows dlt.

A load is one package of dlt: rows and the state beside them arrive together or, after a kill, are loaded again. dlt
keeps the state with the data, too, so a machine with an empty disk goes on where another one stopped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from syncengine.errors import Problem, RemoteError, SpecError, StateError, SyncError
from syncengine.files import private_directory, reach
from syncengine.transport.redaction import SENTENCE, Redactor

SOURCE = "servicenow"
INSTALL = "pip install 'syncengine-itsm[extract]'"
AT_ONCE = 500
"""Ids in one DELETE."""
GONE = "_deleted"
"""Marks a row that went away, where a destination can only add rows."""
GONE_MOST = 10_000
_QUIET = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
    "LOAD__DELETE_COMPLETED_JOBS": "true",
}

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where tables go, in the words of the command line."""

    root: Path
    """The project."""
    folder: Path
    """Where pipelines keep what they must remember."""
    environment: str
    destination: str = "duckdb"
    dataset: str = SOURCE
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Settings of the destination as dlt names them: `bucket_url`, `credentials.password`."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Values among them that are shown to nobody."""

    duckdb: Path | None = None
    """Another DuckDB file than the one of the environment."""

    @property
    def file(self) -> Path:
        """The DuckDB file."""
        return self.duckdb or self.folder / f"{self.environment}.duckdb"


class Warehouse:
    """An open pipeline."""

    def __init__(self, place: Place) -> None:
        """Raises SpecError where dlt or the destination is not installed, not known or not configured."""
        self._place = place
        self._redactor = Redactor(place.secrets)
        self._prepare()
        self._dlt = installed()
        self._pipeline = self._guarded(self._open)

    @property
    def where(self) -> str:
        """Where the tables are, for people."""
        if self._place.destination == "duckdb":
            return str(self._place.file)
        config = self._pipeline.destination_client().config
        return self._redactor.show(str(getattr(config, "bucket_url", "") or config), 200)

    @property
    def merges(self) -> bool:
        """Whether a row that comes again replaces the earlier one; otherwise it is added."""
        strategies = self._pipeline.destination.capabilities().supported_merge_strategies
        return "delete-insert" in (strategies or ())

    def _prepare(self) -> None:
        """Settings go to dlt as it wants them; nobody is told anything, nothing is written outside the project."""
        place = self._place
        private_directory(place.folder)
        os.environ.update(_QUIET)
        os.environ.setdefault("DLT_DATA_DIR", str(place.folder / "dlt"))
        os.environ.setdefault("DLT_PROJECT_DIR", str(place.root))
        for name, value in place.options.items():
            os.environ[_variable(place.destination, name)] = value

    def _open(self) -> Any:
        place, dlt = self._place, self._dlt
        if place.destination == "duckdb":
            destination = dlt.destinations.duckdb(str(place.file))
        else:
            if place.destination == "filesystem" and not _is_configured(dlt, "filesystem", "bucket_url"):
                os.environ[_variable("filesystem", "bucket_url")] = (place.folder / place.environment).as_uri()
            destination = dlt.destination(place.destination)
        pipeline = dlt.pipeline(
            f"{place.environment}_{place.destination}_{place.dataset}",
            pipelines_dir=str(place.folder / "pipelines"),
            destination=destination,
            dataset_name=place.dataset,
        )
        if pipeline.has_pending_data:  # a package that was complete when the process died
            pipeline.normalize()
            pipeline.load()
        pipeline.sync_destination()
        return pipeline

    def state(self, name: str) -> State:
        """What was remembered of a table with its last load; empty for a new one."""
        sources: State = self._pipeline.state.get("sources", {})
        found: State = sources.get(SOURCE, {}).get("resources", {}).get(name, {})
        return dict(found)

    def columns(self, name: str) -> frozenset[str]:
        """The columns of a table, dlt's own left out; empty where there is no such table."""
        schema = self._pipeline.schemas.get(SOURCE) if SOURCE in self._pipeline.schema_names else None
        table = schema.tables.get(name, {}) if schema is not None else {}
        return frozenset(column for column in table.get("columns", {}) if not column.startswith("_"))

    def load(
        self, name: str, rows: Callable[[State], Iterator[Any]], *, key: str = "sys_id", anew: bool = False
    ) -> None:
        """Load what `rows` gives (Arrow tables), and what it put into the state, as one package.

        With a key rows replace those of the same key; without one the whole table is replaced. With `anew` the table
        and its state are dropped first. Raises what `rows` raises, StateError, RemoteError.
        """
        dlt = self._dlt

        def given() -> Iterator[Any]:
            yield from rows(dlt.current.resource_state())

        how = {"write_disposition": "merge", "primary_key": key} if key else {"write_disposition": "replace"}
        resource = dlt.resource(given, name=name, **how)
        source = dlt.source(lambda: resource, name=SOURCE)()
        refresh = {"refresh": "drop_resources"} if anew else {}
        reach("extract.package")
        self._guarded(lambda: self._pipeline.run(source, **refresh))
        reach("extract.loaded")

    def delete(self, name: str, ids: Sequence[str]) -> int:
        """Take rows away by sys_id, or mark them as gone where rows can only be added; how many there were."""
        if not self.columns(name) or not ids:
            return 0
        return self._mark(name, ids) if not self.merges else int(self._guarded(lambda: self._remove(name, ids)))

    def _remove(self, name: str, ids: Sequence[str]) -> int:
        number = 0
        with self._pipeline.sql_client() as client:
            table = client.make_qualified_table_name(name)
            for start in range(0, len(ids), AT_ONCE):
                some = list(ids[start : start + AT_ONCE])
                where = f"WHERE sys_id IN ({', '.join(['%s'] * len(some))})"
                found = client.execute_sql(f"SELECT COUNT(*) FROM {table} {where}", *some)
                number += found[0][0] if found else 0
                client.execute_sql(f"DELETE FROM {table} {where}", *some)
        return number

    def _mark(self, name: str, ids: Sequence[str]) -> int:
        import pyarrow as pa

        told = frozenset(self.state(name).get("gone", ()))
        new = [one for one in ids if one not in told]

        def given(state: State) -> Iterator[Any]:
            state["gone"] = list(ids)[-GONE_MOST:]
            fields = [pa.field("sys_id", pa.string(), nullable=False), pa.field(GONE, pa.bool_())]
            yield pa.table([pa.array(new), pa.array([True] * len(new))], schema=pa.schema(fields))

        if new:
            self.load(name, given)
        return len(new)

    def count(self, name: str) -> int | None:
        """How many rows a table has by now; None where the destination cannot tell."""
        if not self.columns(name):
            return 0
        if not self.merges:
            return None

        def run() -> int:
            with self._pipeline.sql_client() as client:
                return int(client.execute_sql(f"SELECT COUNT(*) FROM {client.make_qualified_table_name(name)}")[0][0])

        number: int = self._guarded(run)
        return number

    def _guarded(self, work: Callable[[], Any]) -> Any:
        """Do something with dlt; what goes wrong is told as an error of ours."""
        try:
            return work()
        except SyncError:
            raise
        except Exception as error:  # noqa: BLE001  # dlt and the drivers below it raise what they like
            raise self._told(error) from None

    def _told(self, error: Exception) -> SyncError:
        chain = _chain(error)
        for one in chain:
            if isinstance(one, SyncError):
                return one
        names = {type(one).__name__ for one in chain}
        root = chain[-1]
        place = self._place
        lines = [line.strip() for line in str(root).splitlines() if line.strip()] or [type(root).__name__]
        said = self._redactor.show(lines[0], SENTENCE)
        to = f"destination {place.destination}"
        if names & {"UnknownDestinationModule", "InvalidDestinationReference"}:
            fix = "duckdb, filesystem, postgres, snowflake, bigquery, mssql, ...: the names that dlt gives them"
            return SpecError(
                Problem("unknown-destination", f"dlt knows no destination {place.destination}", to, fix=fix)
            )
        if names & {"MissingDependencyException", "ModuleNotFoundError"}:
            fix = f"pip install 'dlt[{place.destination}]'"
            return SpecError(
                Problem("not-installed", f"{place.destination} needs more than is installed", to, said, fix)
            )
        if names & {"ConfigFieldMissingException", "ConfigurationValueError", "InvalidConnectionString"}:
            fix = f"in the environment:  extract: {{destination: {place.destination}, options: {{...}}}}"
            return SpecError(Problem("destination-settings", f"{place.destination} is not configured", to, said, fix))
        if place.destination == "duckdb":
            fix = (
                "close what has the file open; if it is damaged, move it away and extract anew"
                if place.file.parent.is_dir()
                else f"make the folder {place.file.parent}, or name another file with --file"
            )
            return StateError(
                Problem("destination", "the DuckDB file cannot be used", str(place.file), said, fix),
                effect="What was loaded before is kept; the next run goes on from there.",
            )
        return RemoteError(
            Problem("destination", "the destination refused the rows", to, said, "put it right, then run it again"),
            effect="What was loaded before is kept; the next run goes on from there.",
        )


def installed() -> Any:
    """dlt; raises SpecError where it, DuckDB or Arrow is not installed."""
    try:
        import dlt
        import duckdb  # noqa: F401  # dlt finds out only when it loads
        import pyarrow  # noqa: F401
    except ImportError as error:
        said = f"extract needs dlt, DuckDB and Arrow; {error.name} is not installed"
        raise SpecError(Problem("not-installed", said, "syncengine extract", fix=INSTALL)) from None
    return dlt


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in found:
        found.append(one)
        one = one.__cause__ or one.__context__
    return found


def _variable(destination: str, name: str) -> str:
    return "__".join(["DESTINATION", destination, *name.split(".")]).upper()


def _is_configured(dlt: Any, destination: str, name: str) -> bool:
    return any(f"destination.{path}" in dlt.config for path in (f"{destination}.{name}", name))
