"""JSON lines: one object per line."""

from __future__ import annotations

import io
from collections.abc import Iterator
from json import JSONDecodeError

from syncengine.changes import BadRow, Row
from syncengine.errors import Place, Problem
from syncengine.sources.file.bytes import MAX_FIELD, stop
from syncengine.sources.file.values import Refused, exact


def rows(raw: io.BufferedReader[io.RawIOBase], shown: str, first: int) -> Iterator[Row | BadRow]:
    """The rows of one file; blank lines are skipped."""
    number = first - 1
    line = 0
    while data := raw.readline(MAX_FIELD + 1):
        line += 1
        if len(data) > MAX_FIELD:
            raise stop(
                "line-too-long",
                f"A line is longer than {MAX_FIELD // 1024 // 1024} MiB",
                Place(shown, number + 1, line),
            )
        if line == 1 and data.startswith(b"\xef\xbb\xbf"):
            data = data[3:]
        if not data.strip():
            continue
        number += 1
        place = Place(shown, number, line)
        try:
            value = exact(data.decode("utf-8"))
        except Refused as refused:
            yield _bad(refused.code, refused.message, place, data)
        except JSONDecodeError as error:
            yield _bad("json", f"Column {error.colno} is not JSON: {error.msg[:1].lower()}{error.msg[1:]}", place, data)
        except UnicodeDecodeError as error:
            said = f"Byte 0x{data[error.start]:02X} at position {error.start + 1} is not UTF-8"
            raise stop("encoding", said, place, fix="Save the file as UTF-8.") from None
        else:
            if value.__class__ is dict:
                yield Row(value, place)
            else:
                yield _bad("not-an-object", "A row must be an object", place, data)
    if line == 0:
        raise stop("empty-file", f"{shown} is empty", shown)


def _bad(code: str, message: str, place: Place, data: bytes) -> BadRow:
    found = data[:80].decode("utf-8", "replace").strip()
    return BadRow("", "", Problem(code, message[:160], place, found), place)
