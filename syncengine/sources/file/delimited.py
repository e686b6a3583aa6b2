"""CSV and TSV, read strictly: nothing is shifted, filled, guessed or swallowed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import TextIO

from syncengine.changes import BadRow, Row
from syncengine.errors import Place, Problem, SourceError
from syncengine.sources.file.bytes import MAX_FIELD, stop

csv.field_size_limit(MAX_FIELD)

_OTHERS = (";", "\t", "|", ",")


def header(reader: Iterator[list[str]], shown: str, delimiter: str) -> list[str]:
    """The names of the columns, trimmed; SourceError for what would make a row ambiguous."""
    try:
        names = next(reader, None)
        while names is not None and not names:
            names = next(reader, None)
    except csv.Error as error:
        raise _broken(error, shown, 0, 1) from None
    if names is None:
        raise stop("empty-file", f"{shown} is empty, not even a header", shown)
    names = [name.strip() for name in names]
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if not name:
            problems.append(Problem("no-column-name", f"Column {number} of {shown} has no name", shown))
            continue
        first = seen.setdefault(name.casefold(), number)
        if first != number:
            said = f'The columns {first} and {number} of {shown} are both "{name}"'
            problems.append(Problem("duplicate-column", said[:160], shown, fix="Rename one of them."))
    if problems:
        raise SourceError(problems, effect="Nothing was written.")
    if len(names) == 1:
        other = next((one for one in _OTHERS if one != delimiter and one in names[0]), None)
        if other:
            written = "\\t" if other == "\t" else other
            said = f'Only one column found in {shown}; its header contains "{written}"'
            raise stop("delimiter", said, shown, names[0], f'delimiter: "{written}"')
    return names


def rows(text: TextIO, shown: str, delimiter: str, first: int) -> Iterator[Row | BadRow]:
    """The rows of one file; `first` is the number of its first row."""
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    names = header(reader, shown, delimiter)
    width = len(names)
    number = first - 1
    line = reader.line_num
    try:
        for cells in reader:
            if not cells:
                line = reader.line_num
                continue
            number += 1
            place = Place(shown, number, line + 1)
            line = reader.line_num
            if len(cells) != width:
                yield _ragged(cells, width, place)
                continue
            yield Row(dict(zip(names, cells)), place)  # noqa: B905 (the width was compared)
    except csv.Error as error:
        raise _broken(error, shown, number + 1, line + 1) from None


def _ragged(cells: list[str], width: int, place: Place) -> BadRow:
    fields = "field" if len(cells) == 1 else "fields"
    said = f"The row has {len(cells)} {fields}, the header has {width}"
    found = ", ".join(cells)[:80]
    fix = "Quote the value that contains the delimiter." if len(cells) > width else "Look for a missing delimiter."
    return BadRow("", "", Problem("ragged-row", said, place, found, fix), place)


def _broken(error: csv.Error, shown: str, row: int, line: int) -> SourceError:
    said = str(error)
    place = Place(shown, row, line)
    if "unexpected end of data" in said:
        return stop("unclosed-quote", f"The quote opened at line {line} is never closed", place)
    if "expected after" in said:
        return stop("quote", "There is text after a closing quote", place, fix='Write "" for a quote inside quotes.')
    if "field larger" in said:
        return stop("field-too-long", f"A field is longer than {MAX_FIELD // 1024 // 1024} MiB", place)
    return stop("csv", "This row cannot be read as CSV", place)


def text_of(raw: io.BufferedReader[io.RawIOBase], encoding: str) -> io.TextIOWrapper:
    """Text that keeps its line ends, as the csv module needs it."""
    return io.TextIOWrapper(raw, encoding=encoding, errors="strict", newline="")
