"""Logs and exports, kept in parts and read while they are sent."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from syncengine.sandbox.world import World

_SCHEMA = """
CREATE TABLE IF NOT EXISTS me_file (
  name TEXT NOT NULL, position INTEGER NOT NULL, packed BLOB NOT NULL, PRIMARY KEY (name, position));
"""


class Files:
    """Files by name."""

    def __init__(self, world: World) -> None:
        self._db = world.store.db
        self._db.executescript(_SCHEMA)

    def append(self, name: str, text: str | bytes) -> None:
        """Add to a file; in a transaction of the caller."""
        content = text.encode() if isinstance(text, str) else text
        if content:
            self._db.execute(
                "INSERT INTO me_file SELECT ?1, coalesce(max(position), 0) + 1, ?2 FROM me_file WHERE name=?1",
                (name, zlib.compress(content, 1)),
            )

    def parts(self, name: str) -> Iterator[bytes]:
        """The content from its beginning; nothing for a file that does not exist."""
        position = 0
        while True:
            row = self._db.execute(
                "SELECT position, packed FROM me_file WHERE name=? AND position>? ORDER BY position LIMIT 1",
                (name, position),
            ).fetchone()
            if row is None:
                return
            position = row[0]
            yield zlib.decompress(row[1])

    def rename(self, name: str, new: str) -> None:
        """Give a file another name."""
        self._db.execute("UPDATE me_file SET name=? WHERE name=?", (new, name))

    def remove(self, name: str) -> None:
        """Remove a file."""
        self._db.execute("DELETE FROM me_file WHERE name=?", (name,))

    def clear(self) -> None:
        """Remove every file."""
        self._db.execute("DELETE FROM me_file")
