"""Types of which several rows belong to one owner: what an import replaces, and when.

Documented: rows with Integration true replace the owner's details that have it; relations of a CI with the same Source
are replaced, without a Source nothing is; roles given by earlier imports are overwritten; a second block of the same
owner removes what the first one added (for roles and calendars: inferred). Inferred: how the counters count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncengine.sandbox.fourme import rows
from syncengine.sandbox.fourme.records import Record
from syncengine.sandbox.fourme.rows import DELETED, UNCHANGED, Context, Outcome, Refused
from syncengine.sandbox.fourme.types import ID, PAIR, types

DETAILS = ("people_contact_details", "organizations_contact_details")
_ENDS = (("CI Label", "CI Source", "CI Source ID"), ("Related CI Label", "Related CI Source", "Related CI Source ID"))


class Plain:
    """Types of which one row is one record."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def begins(self, _cells: Mapping[str, str]) -> bool:
        """Whether this row belongs to another owner than the one before."""
        return True

    def take(self, cells: Mapping[str, str]) -> list[Outcome]:
        """Write one row, in a transaction; raises Refused."""
        return [rows.write(self.context, cells)[0]]

    def end(self) -> list[Outcome]:
        """The rows of an owner are complete; raises Refused for all of them."""
        return []


class Grouped(Plain):
    """Rows of one owner in a block."""

    owner_columns: tuple[str, ...] = ()

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._owner: tuple[str, ...] | None = None

    def begins(self, cells: Mapping[str, str]) -> bool:
        """Whether the owner is another one."""
        return self._key(cells) != self._owner

    def _key(self, cells: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(cells.get(column, "").strip() for column in self.owner_columns)

    def take(self, cells: Mapping[str, str]) -> list[Outcome]:
        """Write one row; the first of an owner begins a block, and the block before it has ended."""
        if self.begins(cells):
            self._owner = self._key(cells)
            self.start()
        return self.row(cells)

    def start(self) -> None:
        """A new owner."""

    def row(self, cells: Mapping[str, str]) -> list[Outcome]:
        """One row of the block."""
        raise NotImplementedError

    def _of_owner(self, column: str, owner: Any) -> list[Record]:
        records = self.context.records
        found = records.find(self.context.kind, self.context.account, (column,), (owner,), exact=True)
        return list(records.get_many(found).values())


class Details(Grouped):
    """Contact details of people or organizations."""

    def __init__(self, context: Context) -> None:
        self.owner_columns = (context.kind.group,)
        super().__init__(context)
        self._replaced = False
        self._made: set[int] = set()

    def start(self) -> None:
        """Nothing is replaced before a row with Integration true comes."""
        self._replaced, self._made = False, set()

    def row(self, cells: Mapping[str, str]) -> list[Outcome]:
        """One contact or address."""
        if cells.get(ID, "").strip():
            outcome, record = rows.write(self.context, cells)
            self._made.add(record.id)
            return [outcome]
        values = rows.read(self.context, cells, None)
        column = self.context.kind.group
        owner = values.get(column)
        if owner is None:
            raise Refused(f"{column} can't be blank")
        gone: list[Record] = []
        if values.get("Integration"):
            if not self._replaced:
                self._replaced = True
                gone = [
                    one
                    for one in self._of_owner(column, owner)
                    if one.values.get("Integration") and one.id not in self._made
                ]
                self.context.records.delete(gone)
        elif self.context.settings["fourme.manual_details"] == "match":
            wanted = {name: value for name, value in values.items() if value is not None}
            if any(one.values == wanted for one in self._of_owner(column, owner)):
                return [Outcome(UNCHANGED)]
        outcome, record = rows.put(self.context, None, values)
        self._made.add(record.id)
        return [*(Outcome(DELETED) for _ in gone), outcome]


class Relations(Grouped):
    """Relations of CIs."""

    owner_columns = _ENDS[0]

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._replaced: set[str] = set()

    def start(self) -> None:
        """Another CI."""
        self._replaced = set()

    def row(self, cells: Mapping[str, str]) -> list[Outcome]:
        """One relation."""
        ends = [self._end(columns, cells) for columns in _ENDS]
        plain = {name: cell for name, cell in cells.items() if name in ("Source", "Relation Type")}
        values = {**rows.read(self.context, plain, None), "CI Label": ends[0], "Related CI Label": ends[1]}
        if not values.get("Relation Type"):
            raise Refused("Relation Type can't be blank")
        source = values.get("Source")
        existing = self._of_owner("CI Label", ends[0])
        gone: list[Record] = []
        if source and source not in self._replaced:
            self._replaced.add(source)
            gone = [one for one in existing if one.values.get("Source") == source]
            self.context.records.delete(gone)
        elif not source:
            wanted = {name: value for name, value in values.items() if value is not None}
            if any(one.values == wanted for one in existing):
                return [Outcome(UNCHANGED)]
        outcome, _record = rows.put(self.context, None, values)
        return [*(Outcome(DELETED) for _ in gone), outcome]

    def _end(self, columns: tuple[str, str, str], cells: Mapping[str, str]) -> int:
        label, *pair = columns
        given = [cells.get(column, "").strip() for column in pair]
        records = self.context.records
        if all(given):
            found = records.find(types()["cis"], self.context.account, PAIR, given, exact=True)
            if not found:
                raise Refused(f'{pair[1]} "{given[1]}" of "{given[0]}" not found')
            return found[0]
        value = rows.read(self.context, {label: cells.get(label, "")}, None)[label]
        if value is None:
            raise Refused(f"{label} can't be blank")
        return int(value)


class Roles(Grouped):
    """Roles of people: an import's rows of a person are all that imports have given."""

    owner_columns = ("Person",)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._kept: set[int] = set()
        self._person: int | None = None

    def start(self) -> None:
        """Another person."""
        self._kept, self._person = set(), None

    def row(self, cells: Mapping[str, str]) -> list[Outcome]:
        """The roles in one account; what the row does not say is not given."""
        values = rows.read(self.context, cells, None)
        for column in ("Person", "Role Account"):
            if not values.get(column):
                raise Refused(f"{column} can't be blank")
        self._person = values["Person"]
        existing = rows.identify(self.context, cells)
        every = {column: values.get(column) for column in self.context.kind.columns}
        outcome, record = rows.put(self.context, existing, every)
        self._kept.add(record.id)
        return [outcome]

    def end(self) -> list[Outcome]:
        """Roles in accounts that the rows do not name are taken away."""
        if self._person is None:
            return []
        gone = [one for one in self._of_owner("Person", self._person) if one.id not in self._kept]
        self.context.records.delete(gone)
        self._person = None
        return [Outcome(DELETED) for _ in gone]


class Calendars(Grouped):
    """Calendars: consecutive rows of one build its hours (documented by example)."""

    owner_columns = (ID, *PAIR, "Name")

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._cells: Mapping[str, str] = {}
        self._hours: list[list[str]] = []
        self._rows = 0

    def row(self, cells: Mapping[str, str]) -> list[Outcome]:
        """One interval; the calendar is written with the last of its rows."""
        values = rows.read(self.context, cells, None)
        hours = [values.get(column) for column in ("Weekday", "From", "Until")]
        if any(hours):
            if not all(hours):
                raise Refused("Weekday, From and Until belong together")
            self._hours.append([str(one) for one in hours])
        self._cells = cells
        self._rows += 1
        return []

    def end(self) -> list[Outcome]:
        """Write the calendar."""
        if not self._rows:
            return []
        cells, hours, count = self._cells, self._hours, self._rows
        self._cells, self._hours, self._rows = {}, [], 0
        existing = rows.identify(self.context, cells)
        plain = {name: cell for name, cell in cells.items() if name not in ("Weekday", "From", "Until")}
        values = rows.read(self.context, plain, existing)
        if "Weekday" in cells:
            old = existing.values.get("Hours", []) if existing else []
            add = self.context.settings["fourme.calendar_hours"] == "add"
            values["Hours"] = [*(one for one in old if one not in hours), *hours] if add else hours
            values["Hours"] = values["Hours"] or None
        outcome, _record = rows.put(self.context, existing, values)
        return [outcome] * count


class Notes(Plain):
    """Notes, which can only be added (documented)."""

    def take(self, cells: Mapping[str, str]) -> list[Outcome]:
        """Add one."""
        return [rows.put(self.context, None, rows.read(self.context, cells, None))[0]]


_WRITERS: dict[str, type[Plain]] = {
    "people_contact_details": Details,
    "organizations_contact_details": Details,
    "ci_relations": Relations,
    "people_roles": Roles,
    "calendars": Calendars,
    "notes": Notes,
}


def writer(context: Context) -> Plain:
    """Who writes the rows of a type."""
    return _WRITERS.get(context.kind.name, Plain)(context)
