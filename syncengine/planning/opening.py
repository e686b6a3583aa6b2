"""Sources opened for a plan: with the way to their system, the window that is due, and each table read once.

A file is read as often as it is needed. A table of an instance would answer differently each time, and costs requests:
its rows are kept in a temporary file for the second step or lookup that wants them. Where a plan reads several tables,
they are read side by side: each page of one waits for the one before it.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, NamedTuple

import orjson

from syncengine import sources
from syncengine.changes import BadRow, Row
from syncengine.errors import Place
from syncengine.planning.plan import Note, ReadWindow
from syncengine.sources.servicenow import Options as TableOptions
from syncengine.spec import open_source
from syncengine.spec.model import Environment, Spec
from syncengine.spec.pinned import in_environment
from syncengine.transport.reader import Reader


class System(NamedTuple):
    """An instance that rows are read from."""

    reader: Reader
    url: str
    """What it is in a plan: the built-in sandbox has an id there, since its port changes."""
    permits: int = 4
    """Requests that it may be sent at once."""


EVERY = 500
"""Rows between two signs of life."""


class Opening:
    """Opens the sources of the specs of one plan."""

    def __init__(
        self,
        environment: Environment,
        through: Mapping[str, str],
        systems: Mapping[str, System],
        cursors: Mapping[str, ReadWindow],
    ) -> None:
        self._environment = environment
        self._through = through
        self._systems = systems
        self._cursors = cursors
        self._kept: dict[tuple[str, str, str, bool], KeptSource] = {}
        self._pool: ThreadPoolExecutor | None = None
        self.notes: list[Note] = []

    def close(self) -> None:
        """Let go of the rows that were kept."""
        for kept in self._kept.values():
            kept.stop()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        for kept in self._kept.values():
            kept.close()

    def begin(self, due: Iterable[tuple[Spec, str, bool]], progress: Callable[[str, int], None]) -> None:
        """Begin to read the tables among these sources, all rows or (True) those that are due, where there are several.

        What goes wrong is said to whoever asks for the rows.
        """
        opened = [self.changed(spec, name) if is_due else self.whole(spec, name) for spec, name, is_due in due]
        tables = [one for one in dict.fromkeys(opened) if isinstance(one, KeptSource)]
        if len(tables) > 1:
            most = max(one.permits for one in self._systems.values())
            self._pool = ThreadPoolExecutor(max_workers=most, thread_name_prefix="read")
            for one in tables:
                one.begin(self._pool, progress)

    def whole(self, spec: Spec, name: str) -> sources.Source:
        """All rows of a source: for lookups, and for specs that are only referred to."""
        return self._open(spec, name, "", older=False)

    def changed(self, spec: Spec, name: str) -> sources.Source:
        """The rows that are due: of an incremental source those of its next window."""
        return self._open(spec, name, self.cursor(spec, name), older=False)

    def older(self, spec: Spec, name: str) -> sources.Source | None:
        """The rows that the window leaves out; None where it leaves out none."""
        cursor = self.cursor(spec, name)
        return self._open(spec, name, cursor, older=True) if cursor else None

    def cursor(self, spec: Spec, name: str) -> str:
        """Where the last window ended; empty where all rows are to be read."""
        options = spec.sources[name].options
        window = self._cursors.get(f"{spec.name}.{name}")
        if not isinstance(options, TableOptions) or options.incremental is None or window is None:
            return ""
        system = self._system(spec, name)
        same = (options.table, options.incremental.by, in_environment(spec.digest, self._environment.vars))
        if system is None or window.url != system.url or (window.table, window.by, window.spec) != same:
            return ""
        return window.end

    def window(self, spec: Spec, name: str, read: sources.Source) -> ReadWindow | None:
        """What an incremental source read, as a plan keeps it."""
        window, system = read.window(), self._system(spec, name)
        if window is None or system is None:
            return None
        digest = in_environment(spec.digest, self._environment.vars)
        return ReadWindow(system.url, window.table, window.by, window.start, window.end, digest)

    def note(self, spec: Spec, name: str, read: sources.Source) -> None:
        """Keep what a source says about its last pass, once."""
        for one in read.remarks():
            note = Note(one.code, one.message, str(spec.sources[name].position), one.count, one.fix)
            if note not in self.notes:
                self.notes.append(note)

    def _system(self, spec: Spec, name: str) -> System | None:
        return self._systems.get(self._through.get(f"{spec.name}.{name}", ""))

    def _open(self, spec: Spec, name: str, cursor: str, *, older: bool) -> sources.Source:
        options = spec.sources[name].options
        system = self._system(spec, name)
        access = sources.Access(spec.project.root, system.reader if system else None, cursor, older)
        if not isinstance(options, TableOptions):
            return open_source(spec, name, self._environment.vars, access)
        where = (spec.name, name, cursor, older)
        if where not in self._kept:
            self._kept[where] = KeptSource(open_source(spec, name, self._environment.vars, access))
        return self._kept[where]


class KeptSource(sources.Source):
    """A source whose first pass is kept: later ones give the same rows."""

    def __init__(self, inner: sources.Source) -> None:
        self._inner = inner
        self._file: BinaryIO | None = None
        self._coming: Future[None] | None = None
        self._is_over = threading.Event()

    def begin(self, pool: ThreadPoolExecutor, progress: Callable[[str, int], None]) -> None:
        """Read all rows on a thread; who asks for them waits until they are there."""

        def fill() -> None:
            for number, _ in enumerate(self._read(), 1):
                if self._is_over.is_set():
                    return
                if number % EVERY == 0:
                    progress("rows fetched", EVERY)

        self._coming = pool.submit(fill)

    def stop(self) -> None:
        """Read no further."""
        self._is_over.set()

    @property
    def is_complete(self) -> bool:  # type: ignore[override]
        """Whether the pass saw every row there is."""
        return self._inner.is_complete

    def close(self) -> None:
        """Let go of the rows."""
        if self._file is not None:
            self._file.close()

    def columns(self) -> tuple[str, ...] | None:
        return self._inner.columns()

    def window(self) -> sources.Window | None:
        return self._inner.window()

    def remarks(self) -> list[sources.Remark]:
        return self._inner.remarks()

    def digest(self) -> sources.Digest:
        return self._inner.digest()

    def rows(self) -> Iterator[Row | BadRow]:
        if self._coming is not None:
            coming, self._coming = self._coming, None
            coming.result()
        if self._file is None:
            yield from self._read()
            return
        self._file.seek(0)
        for line in self._file:
            values, place = orjson.loads(line)
            yield Row(values, Place(*place))

    def _read(self) -> Iterator[Row | BadRow]:
        file = tempfile.TemporaryFile(prefix="syncengine-")  # noqa: SIM115  # it lives as long as the plan is made
        try:
            for row in self._inner.rows():
                if isinstance(row, Row):
                    file.write(orjson.dumps((row.values, tuple(row.place))) + b"\n")
                yield row
            self._file = file
        finally:
            if self._file is not file:
                file.close()
