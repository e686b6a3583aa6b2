"""The uploaded file: its bytes, its lines, its header.

Documented: UTF-8 or UTF-16LE, comma or tab, and what bad bytes do: the job ends in error at that line, the rows before
it stay imported. Inferred: the delimiter is the one of the header line; a byte order mark names UTF-16LE.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Broken(Exception):
    """The file cannot be read further; the text is the job's message."""


class Line(NamedTuple):
    """One row."""

    number: int
    """Of the file, the header is 1."""
    cells: list[str]


class Sheet:
    """A file as rows."""

    def __init__(self, content: bytes, *, keep_mark: bool = False) -> None:
        self._broken = ""
        text = self._decode(content, keep_mark)
        end = text.find("\n")
        head = text if end < 0 else text[:end]
        delimiter = "\t" if "\t" in head else ","
        self._reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        self.header: list[str] = []
        first = self._next()
        if first is not None:
            # one published header ends in a blank: those at the ends do not count (inferred)
            self.header = [name.strip() for name in first.cells]

    def _decode(self, content: bytes, keep_mark: bool) -> str:
        if content.startswith(codecs.BOM_UTF16_LE):
            try:
                return content[2:].decode("utf-16-le")
            except UnicodeDecodeError as fault:
                text = content[2 : 2 + fault.start].decode("utf-16-le")
                return self._cut(text, "UTF-16LE")
        if content.startswith(codecs.BOM_UTF8) and not keep_mark:
            content = content[3:]
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as fault:
            return self._cut(content[: fault.start].decode("utf-8"), "UTF-8")

    def _cut(self, text: str, encoding: str) -> str:
        line = text.count("\n") + 1
        self._broken = f"Invalid byte sequence in {encoding} on line {line}"
        return text[: text.rfind("\n") + 1]

    def __iter__(self) -> Iterator[Line]:
        """Rows that are not blank; raises Broken where the file cannot be read further."""
        while (line := self._next()) is not None:
            if any(line.cells):
                yield line
        if self._broken:
            raise Broken(self._broken)

    def _next(self) -> Line | None:
        number = self._reader.line_num + 1
        try:
            cells = next(self._reader, None)
        except csv.Error as fault:
            # bad bytes inside a quoted cell leave a quote open
            raise Broken(self._broken or f"Malformed CSV on line {number}: {fault}") from None
        return None if cells is None else Line(number, cells)


def rows_in(content: bytes) -> int:
    """How many rows a file has, as far as it can be read."""
    count = 0
    try:
        for _line in Sheet(content):
            count += 1
    except Broken:
        pass
    return count


def places(header: Sequence[str], repeated: str) -> dict[str, int]:
    """Where each header stands; raises Broken for one that stands twice, if that is refused."""
    found: dict[str, int] = {}
    for index, name in enumerate(header):
        if name in found:
            if repeated == "refused":
                raise Broken(f"Duplicate column {name!r}")
            if repeated == "first":
                continue
        found[name] = index
    return found
