"""Files in gzip, unpacked while they are read: member after member, nothing but members, and no bombs.

`gzip.GzipFile` tells damage by three unrelated exceptions and unpacks whatever comes, so zlib is asked itself.
"""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import IO

from syncengine.sources.file.bytes import Reading, stop

SUFFIX = ".gz"
MOST_TIMES = 200
"""How many times its size a file may grow; tables shrink to a tenth or a twentieth."""
UNWATCHED = 64 * 1024 * 1024
"""Unpacked bytes up to which growth does not matter."""
DAMAGED = "damaged-gzip"
_CHUNK = 64 * 1024


class Unpacking(io.RawIOBase):
    """The unpacked bytes of a file that is being read; the file is hashed as it is."""

    def __init__(self, packed: Reading) -> None:
        self._packed = packed
        self._input = b""
        self._member: zlib._Decompress | None = None
        self._is_first = True
        self._size = 0

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Does nothing, as the file below."""

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while True:
            data = self._some(len(buffer))
            if data is None:
                return 0
            if data:
                buffer[: len(data)] = data
                return len(data)

    def _some(self, most: int) -> bytes | None:
        """Unpacked bytes; none as long as more has to be read for them, None at the end."""
        if self._member is None:
            if not self._is_first and not self._input.strip(b"\0"):
                self._input = b""  # tapes and some tools fill up with zeros
            if not self._input:
                self._input = self._packed.read(_CHUNK) or b""
                return b"" if self._input else None
            self._member, self._is_first = zlib.decompressobj(zlib.MAX_WBITS | 16), False
        try:
            data = self._member.decompress(self._input, most)
        except zlib.error as error:
            raise self._damaged(str(error).rpartition(": ")[2]) from None
        if self._member.eof:
            self._input, self._member = self._member.unused_data, None
        else:
            self._input = self._member.unconsumed_tail
            if not data and not self._input:
                self._input = self._packed.read(_CHUNK) or b""
                if not self._input:
                    raise self._damaged("it ends in the middle")
        self._size += len(data)
        if self._size > UNWATCHED and self._size > MOST_TIMES * self._packed.size:
            shown = self._packed.shown
            said = f"{shown} unpacks to more than {MOST_TIMES} times its size"
            raise stop("gzip-bomb", said, shown, fix="Unpack it yourself where that is meant.")
        return data

    def _damaged(self, why: str) -> Exception:
        shown = self._packed.shown
        return stop(DAMAGED, f"{shown} is damaged: {why}", shown, fix="Have it exported or copied again.")


def is_packed(path: Path) -> bool:
    """By the last suffix: `servers.csv.gz`."""
    return path.suffix.lower() == SUFFIX


def inner(path: Path) -> Path:
    """The name of what is inside."""
    return path.with_suffix("") if is_packed(path) else path


def open_unpacked(path: Path) -> IO[bytes]:
    """For short looks at a file that is known to be there."""
    return gzip.open(path) if is_packed(path) else path.open("rb")  # type: ignore[return-value]


BROKEN = (OSError, EOFError, zlib.error)
"""What such a look can meet; a `gzip.BadGzipFile` is an OSError."""
