"""Bodies that may be large: an upload is kept on disk, a download is read while it is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from tempfile import SpooledTemporaryFile

from starlette.responses import Response

IN_MEMORY = 1 << 20
PART = 1 << 18


class Spool:
    """A body that is kept on disk once it is longer than a mebibyte."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - ends with the object
        self.size = 0

    def __del__(self) -> None:
        self._file.close()  # a late commit needs it after its request has ended, so nobody else knows when

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)
        self.size += len(data)

    def parts(self, limit: int | None = None) -> Iterator[bytes]:
        """The content from its beginning, in parts; at most `limit` bytes of it."""
        self._file.seek(0)
        left = self.size if limit is None else min(limit, self.size)
        while left > 0:
            part = self._file.read(min(PART, left))
            if not part:
                return
            left -= len(part)
            yield part


class Download(Response):
    """An answer whose content is read while it is sent."""

    def __init__(self, parts: Iterator[bytes], headers: Mapping[str, str], media_type: str) -> None:
        super().__init__(b"", 200, headers, media_type)
        self.parts = parts


Body = bytes | Spool


def beginning(body: Body) -> bytes:
    """As much of a body as fault rules look at."""
    return body if isinstance(body, bytes) else next(body.parts(), b"")


def spooled(body: Body) -> Spool:
    """The same body as a file."""
    if isinstance(body, Spool):
        return body
    spool = Spool()
    spool.write(body)
    return spool
