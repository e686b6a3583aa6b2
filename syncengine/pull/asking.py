"""Questions that an instance may refuse: what cannot be read is noted, with what to ask the admin for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from syncengine.errors import AuthError, RemoteError
from syncengine.transport.reader import Reader
from syncengine.transport.servicenow import rows_by_ids, table_rows

Row = dict[str, str]
_ROOM = 1200
"""Characters of a list in a query; an address holds about 2,000."""
_NOT_THERE = frozenset({"not-found", "bad-request"})
ADMIN = "a role that reads it (admin does)"


class Missing(NamedTuple):
    """Something that could not be read."""

    what: str
    why: str
    fix: str


class Asking:
    """Asks one instance; remembers what it would not tell."""

    def __init__(self, reader: Reader, on_rows: Callable[[int], None] = lambda _number: None) -> None:
        self.reader = reader
        self._on_rows = on_rows
        self._missing: dict[str, Missing] = {}

    @property
    def missing(self) -> list[Missing]:
        """What could not be read, in the order of asking."""
        return list(self._missing.values())

    def note(self, what: str, why: str, fix: str) -> None:
        """Remember something that could not be read; once for each thing."""
        self._missing.setdefault(what, Missing(what, why, fix))

    def rows(
        self,
        table: str,
        query: str = "",
        fields: Sequence[str] = (),
        *,
        what: str = "",
        role: str = ADMIN,
        ships: bool = False,
        most: int = 0,
    ) -> list[Row] | None:
        """Rows in order of sys_id, at most `most`; None where they may not be read.

        `ships`: every instance has such rows, so none means that they are hidden. Without access rows are left out
        more often than refused (documented).
        """
        what = what or table
        fix = f"ask the admin for read access to {table}: {role}"
        hidden: list[int] = []
        try:
            found = table_rows(self.reader, table, query, fields, page=min(most or 1000, 1000), on_hidden=hidden.append)
            rows = [self._texts(row) for row in (islice(found, most) if most else found)]
        except AuthError as error:
            if error.problems[0].code == "login-refused":
                raise
            self.note(what, f"{table} is refused", fix)
            return None
        except RemoteError as error:
            if error.problems[0].code not in _NOT_THERE:
                raise
            self.note(what, f"{table} does not exist or is not visible", fix)
            return None
        if not rows and (ships or hidden):
            self.note(what, f"no row of {table} can be seen", fix)
            return None if ships else rows
        if hidden:
            self.note(f"{what}, {hidden[0]} rows", f"hidden rows of {table}", fix)
        return rows

    def listed(
        self, table: str, column: str, values: Collection[str], fields: Sequence[str] = (), **how: Any
    ) -> list[Row] | None:
        """The rows where a column has one of some values (names or sys_ids), in several requests."""
        extra = how.pop("query", "")
        found: list[Row] = []
        for some in cut(sorted(set(values))):
            query = f"{column}IN{','.join(some)}" + (f"^{extra}" if extra else "")
            rows = self.rows(table, query, fields, **how)
            if rows is None:
                return None
            found += rows
        return found

    def by_ids(self, table: str, ids: Iterable[str], fields: Sequence[str]) -> list[Row]:
        """The records with these sys_ids, as far as they can be seen."""
        return [self._texts(row) for row in rows_by_ids(self.reader, table, list(ids), fields)]

    def meta(self, name: str) -> dict[str, Any] | None:
        """What the CMDB Meta API says of a class (role itil, documented); None where it says nothing."""
        try:
            answer = self.reader.get(f"/api/now/cmdb/meta/{name}", allow_missing=True)
        except AuthError as error:
            if error.problems[0].code == "login-refused":
                raise
            self.note("CMDB Meta API", "it is refused", "ask the admin for the role itil")
            return None
        result = answer.body.get("result") if answer is not None and isinstance(answer.body, dict) else None
        return result if isinstance(result, dict) else None

    def _texts(self, row: dict[str, Any]) -> Row:
        self._on_rows(1)
        return {name: _text(value) for name, value in row.items()}


def cut(values: Sequence[str]) -> Iterator[list[str]]:
    """Values in lists that fit into an address."""
    some: list[str] = []
    size = 0
    for value in values:
        if some and size + len(value) + 1 > _ROOM:
            yield some
            some, size = [], 0
        some.append(value)
        size += len(value) + 1
    if some:
        yield some


def _text(value: object) -> str:
    if isinstance(value, dict):
        value = value.get("value")
    return value if isinstance(value, str) else "" if value is None else str(value)
