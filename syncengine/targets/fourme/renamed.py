"""What another record is called now, in kept exports, and what it will be called once a plan is applied.

An export writes a reference as the name, address or label that the other record has at that moment. Who gets another
one changes how they all read, but not when they were changed, so no export of changes holds them (inferred). For the
same reason a record that names one which the plan renames is not changed by that.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

from syncengine.spec.import_types import ID, ImportType, import_types

Renames = Mapping[str, Mapping[str, str]]
"""By column, what a record had there, and what it has by now."""


@functools.cache
def names_of(name: str) -> frozenset[str]:
    """The columns of a type by which others name its records."""
    return frozenset(
        column.by
        for kind in import_types().values()
        for column in kind.columns.values()
        if column.to == name and column.by not in ("", ID)
    )


@functools.cache
def naming(name: str) -> Mapping[str, Mapping[str, str]]:
    """The types whose kept exports name records of a type: their columns, and the column of the record for each.

    Types that come in replace groups, or without an ID, are always exported in full.
    """
    found: dict[str, dict[str, str]] = {}
    for other, kind in import_types().items():
        columns = {key: column.by for key, column in kind.columns.items() if column.to == name and column.by != ID}
        if columns and not kind.group and ID in kind.columns:
            found[other] = columns
    return found


class Renamed:
    """Collects renames while records take the place of what they were."""

    def __init__(self, name: str, columns: Sequence[str]) -> None:
        self._at = [(column, place) for place, column in enumerate(columns) if column in names_of(name)]
        self._found: dict[str, dict[str, str]] = {}
        self._taken: dict[str, set[str]] = {}

    def see(self, old: Sequence[str | None], new: Sequence[str | None]) -> None:
        """A record as it was and as it is, cells in the order of the columns."""
        for column, place in self._at:
            before, now = old[place], new[place]
            if now:
                self._taken.setdefault(column, set()).add(now)
            if before and now and before != now:
                self._found.setdefault(column, {})[before] = now

    def all(self) -> Renames:
        """What can be told; a name that another record took over at the same time is left out."""
        clear = {
            column: {old: new for old, new in names.items() if old not in self._taken[column]}
            for column, names in self._found.items()
        }
        return {column: names for column, names in clear.items() if names}


def renewed(
    kind: ImportType, name: str, columns: Sequence[str], cells: Sequence[str | None], renames: Renames
) -> list[str | None] | None:
    """Cells of a record that names records of the type `name`, as an export of now has them; None if they stay."""
    made = list(cells)
    for place, column in enumerate(columns):
        known, text = kind.columns[column], cells[place]
        names = renames.get(known.by) if known.to == name else None
        if names and text:
            made[place] = "\n".join(_line(line, names) for line in text.split("\n"))
    return made if made != list(cells) else None


def _line(line: str, names: Mapping[str, str]) -> str:
    """One record, behind which the account may stand (`ana@example.com @widget`)."""
    label, at, account = line.rpartition(" @")
    whole, part = names.get(line), names.get(label) if at else None
    return whole if whole is not None else f"{part}{at}{account}" if part is not None else line


def concerned(name: str, renames: Renames) -> Iterable[str]:
    """The types whose kept exports read differently."""
    return [other for other, columns in naming(name).items() if renames.keys() & set(columns.values())]


class Coming:
    """The names that records of one account get by the plan that is being made."""

    def __init__(self, account: str) -> None:
        self._own = f" @{account}"
        self._now: dict[tuple[str, str], dict[str, str]] = {}
        """By type and column: what a record is called (in one case) and will be called."""
        self._then: dict[tuple[str, str], dict[str, str]] = {}
        """The other way round."""

    def learn(self, name: str, before: Mapping[str, str], cells: Mapping[str, str]) -> None:
        """A record that the plan updates: the present values of what it changes, and what it writes."""
        for column in names_of(name) & before.keys():
            old, new = before[column], cells.get(column, "")
            if old and new and old.casefold() != new.casefold():
                self._now.setdefault((name, column), {})[old.casefold()] = new
                self._then.setdefault((name, column), {})[new.casefold()] = old

    def concern(self, kind: ImportType) -> bool:
        """Whether records of a type may name one that gets another name."""
        return bool(self._now) and any((one.to, one.by) in self._now for one in kind.columns.values())

    def named(self, kind: ImportType, cells: Mapping[str, str | None]) -> Mapping[str, str | None]:
        """Cells of a record as they will read, although nobody changes the record."""
        if not self._now:
            return cells
        return {name: self._each(kind, name, text, self._will) for name, text in cells.items()}

    def by_now(self, kind: ImportType, cells: Mapping[str, str]) -> Mapping[str, str]:
        """Cells that are to be written, with the names that these records have by now: by those something is found.

        A name that its record gives up belongs to one that is not there yet, so nothing is found by it.
        """
        if not self._now:
            return cells
        return {name: self._each(kind, name, text, self._was) or "" for name, text in cells.items()}

    def _each(
        self, kind: ImportType, column: str, text: str | None, said: Callable[[tuple[str, str], str], str]
    ) -> str | None:
        known = kind.columns.get(column)
        place = (known.to, known.by) if known is not None else ("", "")
        if not text or place not in self._now:
            return text
        return "\n".join(said(place, line) for line in text.split("\n"))

    def _will(self, place: tuple[str, str], line: str) -> str:
        return self._now[place].get(line.removesuffix(self._own).casefold(), line)

    def _was(self, place: tuple[str, str], line: str) -> str:
        text = line.removesuffix(self._own).casefold()
        given_up = "" if text in self._now[place] else line
        return self._then[place].get(text, given_up)
