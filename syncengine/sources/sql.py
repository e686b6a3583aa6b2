"""`sql`: rows of a query that DuckDB answers, over files of the project and databases in it.

The query can read what lies in the project and in `allow_paths`, and nothing else: no other file, no network, no
extension from outside. DuckDB is taken, and not SQLite, because it reads CSV, JSON and Parquet as tables.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from syncengine import sources
from syncengine.changes import Row
from syncengine.errors import Place, Position, Problem, SourceError

if TYPE_CHECKING:
    import duckdb

BLOCK = 1_000
MEMORY = "1GB"
INSTALL = "pip install 'syncengine-itsm[extract]'"


@dataclass(frozen=True, slots=True)
class Options(sources.Options):
    """A query, and the databases it may name."""

    query: str
    attach: Mapping[str, str] = field(default_factory=dict)
    """Path of each database, relative to the folder of the spec."""
    folder: str = ""
    """Folder of the spec, relative to the project."""
    allowed: tuple[Path, ...] = ()
    """Folders outside the project that may be read."""
    kind: str = "sql"
    at: Mapping[str, Position] = field(default_factory=dict, compare=False)
    """Where a spec says what: `query`, and each database: `attach.name`."""

    def place(self, said: str) -> Position | str:
        """The place in the spec of what is said there."""
        return self.at.get(said, "sql")


class QuerySource(sources.Source):
    """The rows of a query, as text, block by block."""

    def __init__(self, options: Options, base: Path) -> None:
        self._options = options
        self._base = base.resolve()
        self._digest: sources.Digest | None = None

    def columns(self) -> tuple[str, ...] | None:
        return None

    def digest(self) -> sources.Digest:
        if self._digest is None:
            for _ in self.rows():
                pass
        return self._digest or sources.Digest("", 0, 0)

    def rows(self) -> Iterator[Row]:
        try:
            import duckdb  # an extra, and only these sources need it
        except ImportError:
            place = self._options.place("query")
            raise SourceError(Problem("not-installed", "a sql source needs DuckDB", place, fix=INSTALL)) from None
        whole = hashlib.sha256()
        size = count = 0
        try:
            connection = self._open()
            try:
                # every value as text, as a CSV export of it would have it; NULL stays no value
                query = self._query(connection)
                found = connection.execute(f"SELECT COLUMNS(*)::VARCHAR FROM ({query}\n) AS source_rows")
                names = [one[0] for one in found.description or ()]
                while block := found.fetchmany(BLOCK):
                    for values in block:
                        count += 1
                        line = repr(values).encode()
                        whole.update(line)
                        size += len(line)
                        yield Row(dict(zip(names, values, strict=True)), Place("sql", count, 0))
            finally:
                connection.close()
        except duckdb.Error as error:
            self._stop(error)
        self._digest = sources.Digest(whole.hexdigest(), size, count)

    def _query(self, connection: duckdb.DuckDBPyConnection) -> str:
        """The one SELECT that the spec writes; a second statement could write files."""
        import duckdb

        statements = connection.extract_statements(self._options.query)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            said = f"a sql source is one SELECT; found {len(statements)} statements"
            if len(statements) == 1:
                said = f"a sql source is one SELECT, not {statements[0].type.name}"
            fix = "sql: {query: SELECT ... FROM ...}"
            raise SourceError(Problem("sql", said, self._options.place("query"), fix=fix))
        return str(statements[0].query).strip().rstrip(";")

    def _open(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        folder = (self._base / self._options.folder).resolve()
        allowed = [self._base, *self._options.allowed]
        # one thread keeps rows in the order of the files; where order matters a query says ORDER BY
        connection = duckdb.connect(":memory:", config={"memory_limit": MEMORY, "threads": "1"})
        connection.execute("SET autoinstall_known_extensions=false; SET file_search_path=?", [str(folder)])
        for name, path in self._options.attach.items():
            real = (folder / path).resolve()
            if not any(real.is_relative_to(one) for one in allowed):
                said = f"{path} is outside the project"
                fix = f"Allow it in syncengine.yaml:  allow_paths: [{real.parent}]"
                raise SourceError(Problem("outside-project", said, self._options.place(f"attach.{name}"), fix=fix))
            if not real.is_file():
                place = self._options.place(f"attach.{name}")
                raise SourceError(Problem("no-file", f"there is no database {path}", place))
            quoted = str(real).replace("'", "''")
            connection.execute(f"ATTACH '{quoted}' AS \"{name}\" (READ_ONLY)")
        connection.execute("SET allowed_directories=?", [[f"{one}/" for one in allowed]])
        connection.execute("SET enable_external_access=false; SET lock_configuration=true")
        return connection

    def _stop(self, error: Exception) -> NoReturn:
        lines = [line for line in str(error).splitlines() if line.strip()]
        said = lines[0] if lines else type(error).__name__
        fix = "\n".join(lines[1:6])
        said = f"the query cannot be answered: {said}"[:160]
        raise SourceError(Problem("sql", said, self._options.place("query"), fix=fix)) from None


def open_options(options: Options, access: sources.Access) -> QuerySource:
    """The kind's door; nothing is opened yet."""
    return QuerySource(options, access.base)
