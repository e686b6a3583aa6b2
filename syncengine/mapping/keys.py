"""Which keys a step has seen: a hash table of plain integers, because ten million texts in a set fill a gigabyte.

A key costs 16 bytes and the slack of the table. Two different keys with one 64-bit hash would be taken for
duplicates; at ten million keys that happens once in 300,000 runs, and stops the run instead of losing a row.
"""

from __future__ import annotations

from array import array

_SHARDS = 64
_SMALL = 4096
"""Slots up to which a shard grows fast: four megabytes in all; putting keys in anew costs as much as adding them."""


class _Shard:
    """Open addressing; hash, row and content side by side."""

    __slots__ = ("contents", "count", "hashes", "limit", "rows", "size")

    def __init__(self, size: int = 64) -> None:
        self.size = size
        self.count = 0
        self.limit = size * 4 // 5
        self.hashes = array("Q", bytes(8 * size))
        self.rows = array("I", bytes(4 * size))
        self.contents = array("I", bytes(4 * size))

    def grow(self) -> None:
        old = (self.hashes, self.rows, self.contents)
        size = self.size = self.size * 4 if self.size < _SMALL else self.size * 3 // 2 + 1
        self.limit = size * 4 // 5
        hashes = self.hashes = array("Q", bytes(8 * size))
        rows = self.rows = array("I", bytes(4 * size))
        contents = self.contents = array("I", bytes(4 * size))
        for value, row, content in zip(*old, strict=True):
            if value:
                at = (value >> 6) % size
                while hashes[at]:
                    at = at + 1 if at + 1 < size else 0
                hashes[at] = value
                rows[at] = row
                contents[at] = content


class SeenKeys:
    """Remembers for every key the row it came from and a mark of its content."""

    def __init__(self) -> None:
        self._shards = [_Shard() for _ in range(_SHARDS)]

    def add(self, key: object, row: int, content: int) -> tuple[int, bool] | None:
        """None for a new key; else the row that had it first, and whether the content is the same."""
        value = hash(key) & 0xFFFFFFFFFFFFFFFF or 1
        shard = self._shards[value & 63]
        hashes = shard.hashes
        size = len(hashes)
        at = (value >> 6) % size
        while found := hashes[at]:
            if found == value:
                return shard.rows[at], shard.contents[at] == content & 0xFFFFFFFF
            at += 1
            if at == size:
                at = 0
        if shard.count > shard.limit:
            shard.grow()
            return self.add(key, row, content)
        hashes[at] = value
        shard.rows[at] = row & 0xFFFFFFFF
        shard.contents[at] = content & 0xFFFFFFFF
        shard.count += 1
        return None

    def __len__(self) -> int:
        return sum(shard.count for shard in self._shards)
