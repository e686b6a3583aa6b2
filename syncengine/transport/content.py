"""The body of an answer: decoded, complete, and never larger than a limit."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from http.client import IncompleteRead
from typing import IO, Any

from requests import Response

from syncengine.transport.outcome import EncodingError, TooLargeError

_PIECE = 256 * 1024


def save_body(response: Response, limit: int, stream: IO[bytes]) -> None:
    """Write the body into a file, decoded from gzip, in pieces.

    TooLargeError past `limit` bytes, EncodingError for gzip that is damaged or another encoding.
    """
    raw = response.raw
    encoding = (response.headers.get("Content-Encoding") or "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise EncodingError(f"the answer is encoded as {encoding[:20]!r}, which was not asked for")
    decoder = zlib.decompressobj(16 + zlib.MAX_WBITS) if "gzip" in encoding else None
    size = 0
    try:
        while piece := raw.read(_PIECE, decode_content=False):
            out = decoder.decompress(piece, limit + 1 - size) if decoder is not None else piece
            size += len(out)
            if size > limit:
                raise TooLargeError(f"the answer is larger than {limit >> 20} MiB")
            stream.write(out)
    except zlib.error as error:
        raise EncodingError("the answer's gzip data is damaged") from error
    if decoder is not None and size and not decoder.eof:
        raise EncodingError("the answer's gzip data is cut off")
    _begun(raw, size)


def read_body(response: Response, limit: int) -> bytes:
    """The body, decoded from gzip; TooLargeError past `limit` bytes, EncodingError as `save_body`."""
    raw = response.raw
    body: bytes
    encoding = (response.headers.get("Content-Encoding") or "").strip().lower()
    if encoding in ("", "identity"):
        body = raw.read(limit + 1, decode_content=False) or b""
        if len(body) > limit:
            raise TooLargeError(f"the answer is larger than {limit >> 20} MiB")
        _finish(raw)
        _begun(raw, len(body))
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise EncodingError(f"the answer is encoded as {encoding[:20]!r}, which was not asked for")
    body = _gunzipped(lambda: raw.read(256 * 1024, decode_content=False), limit)
    _begun(raw, len(body))
    return body


def _begun(raw: Any, size: int) -> None:
    """Refuse an empty answer that does not say that it is: http.client takes the end of the data for the head's end."""
    if not size and raw.length_remaining is None and not raw.chunked:
        raise IncompleteRead(b"")


def _finish(raw: Any) -> None:
    """Reads to the mark that says the answer is complete, so that the connection can be used again."""
    if raw.read(1, decode_content=False):
        raise EncodingError("the answer goes on after its end")


def _gunzipped(read: Callable[[], bytes], limit: int) -> bytes:
    decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
    parts: list[bytes] = []
    size = 0
    try:
        while piece := read():
            out = decoder.decompress(piece, limit + 1 - size)
            size += len(out)
            if size > limit:
                raise TooLargeError(f"the answer is larger than {limit >> 20} MiB")
            parts.append(out)
            if decoder.unused_data:
                raise EncodingError("the answer's gzip data has something behind it")
    except zlib.error as error:
        raise EncodingError("the answer's gzip data is damaged") from error
    if parts and not decoder.eof:
        raise EncodingError("the answer's gzip data is cut off")
    return b"".join(parts)
