"""The file of one import: its cells as the vendor documents them, and which of its lines hold which row."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from syncengine.changes import Change, StepInfo
from syncengine.spec.import_types import ID, SOURCE, SOURCE_ID, ImportType
from syncengine.spec.import_values import BadValueError, written


@dataclass(frozen=True, slots=True)
class BadCell:
    """A value that its column does not take."""

    column: str
    said: str
    fix: str = ""


def cells_of(change: Change, step: StepInfo, kind: ImportType) -> tuple[dict[str, str], list[BadCell]]:
    """What an operation writes, by column, with the pair by which 4me finds the record; and what cannot be written."""
    cells: dict[str, str] = {}
    bad: list[BadCell] = []
    values = {**change.values, **{name: end.sys_id for name, end in change.refs.items() if end.sys_id}}
    if kind.has_pair:
        values = {SOURCE: step.data_source, SOURCE_ID: change.native_key or change.key, **values}
    elif SOURCE in kind.columns:
        values = {SOURCE: step.data_source, **values}
    if change.sys_id and (SOURCE in change.before or SOURCE_ID in change.before):
        values = {ID: change.sys_id, **values}  # its pair is about to become ours, so it is not found by it
    for name, value in values.items():
        column = kind.columns.get(name)
        if column is None:
            bad.append(BadCell(name, f"{step.options.get('type')} has no such column"))
            continue
        try:
            cells[name] = written(column, value)
        except BadValueError as wrong:
            bad.append(BadCell(name, f'"{value[:60]}": {wrong}', wrong.fix))
    return cells, bad


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file that is ready to be sent."""

    content: bytes
    columns: tuple[str, ...]
    lines: tuple[tuple[int, int], ...]
    """The first and the last line of each row; the header is line 1."""

    def row_at(self, line: int) -> int | None:
        """The row that a line of the file belongs to."""
        low, high = 0, len(self.lines)
        while low < high:
            middle = (low + high) // 2
            if self.lines[middle][1] < line:
                low = middle + 1
            else:
                high = middle
        return low if low < len(self.lines) and self.lines[low][0] <= line else None


def sheet(kind: ImportType, rows: Sequence[Mapping[str, str]]) -> Sheet:
    """A file of rows: UTF-8 without a mark, commas, LF (documented and seen); columns in the order of the page.

    Texts are sent as they are, also those that begin with `=`. It is read back before it is sent: a row that would
    become two raises ValueError.
    """
    used = {name for row in rows for name in row}
    columns = tuple(name for name in kind.columns if name in used)
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    lines: list[tuple[int, int]] = []
    at = 2
    made: list[list[str]] = []
    for row in rows:
        cells = [row.get(name, "").replace("\r\n", "\n").replace("\r", "\n") for name in columns]
        writer.writerow(cells)
        last = at + sum(cell.count("\n") for cell in cells)
        lines.append((at, last))
        at = last + 1
        made.append(cells)
    text = stream.getvalue()
    if list(csv.reader(io.StringIO(text, newline=""), strict=True)) != [list(columns), *made]:
        raise ValueError("the file would not be read as it was written")
    return Sheet(text.encode(), columns, tuple(lines))
