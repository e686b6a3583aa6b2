"""The ledger: every write that took effect, in order.

It is written in the transaction of the write itself, so an entry exists exactly if the write does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextvars import ContextVar
from hashlib import blake2b
from typing import NamedTuple

import orjson

from syncengine.sandbox.store import Store

_SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger (
  seq INTEGER PRIMARY KEY, time TEXT NOT NULL, api TEXT NOT NULL, kind TEXT NOT NULL, tbl TEXT NOT NULL,
  sys_id TEXT NOT NULL, key TEXT NOT NULL, hash TEXT NOT NULL, request TEXT NOT NULL);
"""


class Caller(NamedTuple):
    """Which request is being worked on."""

    api: str = "inside"
    request: str = ""
    user: str = "system"


caller: ContextVar[Caller] = ContextVar("caller", default=Caller())  # noqa: B039 - a named tuple does not change


class Entry(NamedTuple):
    """One effective write."""

    kind: str
    """insert, update, reclassify, touch, relate, delete."""
    table: str
    sys_id: str
    key: str
    """What must not be written twice: source|native key, parent|child|type, or what identifies the row."""
    hash: str


def content_hash(values: object) -> str:
    """A short hash of what was written."""
    return blake2b(orjson.dumps(values, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()


class Ledger:
    """Append, list, count."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.db.executescript(_SCHEMA)
        self._counts: Counter[tuple[str, str]] = Counter()
        for kind, table, number in store.db.execute("SELECT kind, tbl, count(*) FROM ledger GROUP BY kind, tbl"):
            self._counts[kind, table] = number
        self.last = int(store.db.execute("SELECT coalesce(max(seq), 0) FROM ledger").fetchone()[0])

    def write(self, time: str, entries: Iterable[Entry]) -> None:
        """Append inside the transaction that is open."""
        who = caller.get()
        rows = []
        for entry in entries:
            self.last += 1
            rows.append(
                (self.last, time, who.api, entry.kind, entry.table, entry.sys_id, entry.key, entry.hash, who.request)
            )
            self._counts[entry.kind, entry.table] += 1
        self._store.db.executemany("INSERT INTO ledger VALUES (?,?,?,?,?,?,?,?,?)", rows)

    def entries(
        self, after: int = 0, kinds: Iterable[str] = (), table: str = "", limit: int = 100_000
    ) -> list[dict[str, object]]:
        """Entries with a higher number, oldest first."""
        where, values = ["seq > ?"], [after]
        filters: list[str | int] = list(values)
        chosen = list(kinds)
        if chosen:
            where.append(f"kind IN ({','.join('?' * len(chosen))})")
            filters += chosen
        if table:
            where.append("tbl = ?")
            filters.append(table)
        names = ("seq", "time", "api", "kind", "table", "sys_id", "key", "hash", "request")
        rows = self._store.db.execute(
            f"SELECT * FROM ledger WHERE {' AND '.join(where)} ORDER BY seq LIMIT ?",
            (*filters, limit),
        )
        return [dict(zip(names, row, strict=True)) for row in rows]

    def counts(self) -> dict[str, dict[str, int]]:
        """How many of each kind, by table."""
        found: dict[str, dict[str, int]] = {}
        for (kind, table), number in sorted(self._counts.items()):
            found.setdefault(kind, {})[table] = number
        return found
