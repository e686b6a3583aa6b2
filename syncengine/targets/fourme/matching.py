"""One row against the records of its type: which of them it would find, and what it would change.

The rules are the vendor's: ID, then Source with Source ID, then the type's own key (documented); rows of owners are
told apart by what names them (inferred).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from syncengine.changes import SECOND_PASS, Change, Seen, StepInfo
from syncengine.spec.import_types import ID, PAIR, SOURCE, SOURCE_ID, ImportType, import_types
from syncengine.spec.import_values import TRUE
from syncengine.targets.fourme.compare import is_same
from syncengine.targets.fourme.records import Held, Records, natural_of, owner_of, pair_of
from syncengine.targets.fourme.renamed import Coming
from syncengine.targets.fourme.rest import OverRest
from syncengine.targets.fourme.sheet import cells_of

IDENTITY: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "people_contact_details": (("Contact Protocol", "Contact Label"), ("Address Label",)),
    "organizations_contact_details": (("Contact Protocol", "Contact Label"), ("Address Label",)),
    "ci_relations": (
        ("Related CI Source", "Related CI Source ID", "Relation Type"),
        ("Related CI Label", "Relation Type"),
    ),
    "people_roles": (("Role Account",),),
    "calendars": (("Weekday",),),
}
"""What tells the rows of one owner apart, so that a change can be told from a removal and an addition (inferred)."""


TIMES = ("Created At", "Updated At")
"""What an import may write into a new record and mostly ignores (inferred): a difference alone is no change."""


class Look(msgspec.Struct, frozen=True):
    """What is known of the records of a type, or why nothing is."""

    records: Records
    why_not: str = ""
    how: str = "exports do not have"
    """What is said of a column that could not be read."""
    over: OverRest | None = None
    """Who reads what rows need, where no export is to be had."""

    @property
    def is_known(self) -> bool:
        """Whether what is not among the records is not there."""
        return not self.why_not and (self.over is None or not self.over.why_not)


class Matcher:
    """Finds and compares; knows the steps of a plan, so that `Change.step` is an index into them."""

    def __init__(self, steps: Sequence[StepInfo], account: str) -> None:
        self.steps = steps
        self.account = account
        self.names = [type_of(step) for step in steps]
        """The type of each step; empty for steps of other kinds."""
        self.coming = Coming(account)
        """What records will be called that the plan renames; while planning only."""

    def ahead(self, changes: Sequence[Change], records: Records) -> tuple[list[Seen], list[Change], Mapping[str, Held]]:
        """What stays as it is at first sight, the other rows, and what rows find by their pairs: one question for all.

        At first sight: the values stand there letter by letter, as those of most rows of most plans do. Not where a row
        names its record or another one by ID, completes one that is not there yet, or may name one that is renamed.
        """
        pairs = [
            pair_of(self.steps[one.step].data_source, one.values.get(SOURCE_ID) or one.native_key or one.key)
            for one in changes
        ]
        held_by = records.by_pairs(pairs)
        name = self.names[changes[0].step]
        kind = import_types()[name]
        has_id, is_settled = ID in kind.columns, not self.coming.concern(kind)
        same: list[Seen] = []
        others: list[Change] = []
        picks: dict[tuple[str, ...], Callable[[Sequence[str | None]], tuple[str | None, ...]] | None] = {}
        for change, pair in zip(changes, pairs, strict=True):
            held, values = held_by.get(pair), change.values
            by_itself = not change.refs and ID not in values and change.basis != "implied"
            if held is not None and by_itself and is_settled:
                columns = tuple(values)
                pick = picks[columns] if columns in picks else picks.setdefault(columns, records.picked(columns))
                if pick is not None and pick(held.row) == tuple(values.values()):
                    sys_id = held.id if has_id else ""
                    same.append(Seen(change.op, action="unchanged", basis="compared", sys_id=sys_id, class_name=name))
                    continue
            others.append(change)
        return same, others, held_by

    def seen(self, change: Change, look: Look, matched: set[int], ahead: Mapping[str, Held]) -> Seen:
        """What would become of a row; `matched` are the rows of owners that others stand for, and grows."""
        step, name = self.steps[change.step], self.names[change.step]
        kind = import_types()[name]
        cells, bad = cells_of(change, step, kind)
        if bad:
            said = "; ".join(f"{one.column} {one.said}" for one in bad)
            return self._rejected(change, "bad-value", said)
        if look.why_not:
            return Seen(change.op, basis="unknown", reason=look.why_not, class_name=name)
        if kind.group:
            return self._of_owner(change, cells, look, matched)
        held, claims = self.found(change, cells, kind, look.records, ahead)
        if isinstance(held, str):
            return self._rejected(change, "taken", held)
        if held is None:
            return self._new(change, cells, kind)
        return self._compared(change, cells, held, claims, look.how)

    def _rejected(self, change: Change, code: str, message: str) -> Seen:
        name = type_of(self.steps[change.step])
        return Seen(change.op, action="rejected", basis="compared", code=code, message=message, class_name=name)

    def _new(self, change: Change, cells: Mapping[str, str], kind: ImportType) -> Seen:
        missing = [name for name in kind.required if not cells.get(name)]
        if missing and change.reason != SECOND_PASS:
            said = f"it is new, and a new record needs {', '.join(missing)}"
            return self._rejected(change, "missing-required", said)
        name = type_of(self.steps[change.step])
        identity = natural_of(kind, cells)
        return Seen(change.op, action="create", basis="compared", class_name=name, identity=identity)

    def found(
        self,
        change: Change,
        cells: Mapping[str, str],
        kind: ImportType,
        records: Records,
        ahead: Mapping[str, Held] | None = None,
    ) -> tuple[Held | str | None, bool]:
        """The record that 4me would find (documented: ID, then the pair, then the type's own key), or why not.

        True beside it where the row makes a record ours that has no Source yet.
        """
        if cells.get(ID):
            held = records.by_id(cells[ID])
            said = f"{type_of(self.steps[change.step])} has no record with the ID {cells[ID]}"
            claims = held is not None and kind.has_pair and _pair(held) != (cells.get(SOURCE), cells.get(SOURCE_ID))
            return held or said, claims
        if kind.has_pair and cells.get(SOURCE) and cells.get(SOURCE_ID):
            pair = cells[SOURCE], cells[SOURCE_ID]
            held = records.by_pair(*pair) if ahead is None else ahead.get(pair_of(*pair))
            if held is not None or not kind.special or not cells.get(kind.special):
                return held, False
            other = records.by_natural(natural_of(kind, cells))
            if other is None:
                return None, False
            source, source_id = _pair(other)
            if source or source_id:
                said = f"{kind.special} {cells[kind.special]!r} is that of record {other.id}, which is"
                return f"{said} {source_id!r} of the Source {source!r}", False
            return other, True
        return records.by_natural(natural_of(kind, self.coming.by_now(kind, cells))), False

    def of_owner(self, kind: ImportType, cells: Mapping[str, str], records: Records) -> list[Held]:
        """The rows of the owner of a row, whatever the owner is called by now."""
        return records.of_owner(owner_of(kind, self.coming.by_now(kind, cells)))

    def _compared(self, change: Change, cells: Mapping[str, str], held: Held, claims: bool, how: str) -> Seen:
        step = self.steps[change.step]
        kind, name = kind_of(step), type_of(step)
        before: dict[str, str] = {}
        unread: list[str] = []
        said = self.coming.named(kind, held.cells)
        for column, value in cells.items():
            if column == ID or (column in PAIR and kind.has_pair and not claims):
                continue
            present = said.get(column)
            if present is None:
                unread.append(column)
            elif not is_same(kind.columns[column], value, present, self.account):
                before[column] = present
        seen = Seen(
            change.op, action="update", basis="compared", sys_id=_id(kind, held), class_name=name, before=before
        )
        if change.basis == "implied":
            seen.sys_id = change.sys_id  # its record was not there when it was planned
            seen.before = change.before
        if not any(column not in step.quiet and column not in TIMES for column in before):
            seen.action, seen.before = "unchanged", {}
        return _unread(seen, unread, how)

    # ── rows of owners ──────────────────────────────────────────────────────────────────────────

    def _of_owner(self, change: Change, cells: dict[str, str], look: Look, matched: set[int]) -> Seen:
        """A row of a replace group, against what its owner has: one equal row, or the one that it replaces."""
        step = self.steps[change.step]
        kind, name = kind_of(step), type_of(step)
        every = self.of_owner(kind, cells, look.records)
        rows = [one for one in every if one.number not in matched]
        if kind.group == "CI":
            rows = [one for one in rows if (one.cells.get(SOURCE) or "") == cells.get(SOURCE, "")]
        seen = Seen(change.op, action="create", basis="compared", class_name=name)
        found = next((one for one in rows if not self._differs(cells, one, kind)), None)
        if found is not None:
            seen.action = "unchanged"
        else:
            found = next(
                (
                    one
                    for columns in IDENTITY.get(name, ())
                    for one in rows
                    if _is_named(cells, self.coming.named(kind, one.cells), columns)
                ),
                None,
            )
            if found is not None:
                seen.action, seen.before = "update", self._differs(cells, found, kind)
        if found is None:
            if kind.group == SOURCE_ID and every:  # one more interval of a calendar that is there
                seen.action, seen.before = (
                    "update",
                    {column: "" for column in cells if column in ("Weekday", "From", "Until")},
                )
            return seen
        matched.add(found.number)
        return _unread(seen, [one for one in cells if one != ID and found.cells.get(one) is None], look.how)

    def _differs(self, cells: Mapping[str, str], held: Held, kind: ImportType) -> dict[str, str]:
        found = {}
        said = self.coming.named(kind, held.cells)
        for column, value in cells.items():
            present = said.get(column)
            if present is not None and not is_same(kind.columns[column], value, present, self.account):
                found[column] = present
        return found


def type_of(step: StepInfo) -> str:
    """The import type of a step."""
    return str(step.options.get("type", ""))


def kind_of(step: StepInfo) -> ImportType:
    """What is known of its type."""
    return import_types()[type_of(step)]


def is_true(text: str) -> bool:
    """What an import reads as true (documented)."""
    return text.strip().lower() in TRUE


def _unread(seen: Seen, columns: Sequence[str], how: str) -> Seen:
    """Say of which columns nobody knows what they hold; where all others are the same, nobody knows of the row."""
    if columns:
        seen.unread = tuple(columns)
        seen.reason = f"{how} {', '.join(columns)}"
        if seen.action == "unchanged":
            seen.action = seen.basis = "unknown"
    return seen


def _is_named(cells: Mapping[str, str], held: Mapping[str, str | None], columns: Sequence[str]) -> bool:
    wanted = [cells.get(column, "").casefold() for column in columns]
    return all(wanted) and wanted == [(held.get(column) or "").casefold() for column in columns]


def _id(kind: ImportType, held: Held) -> str:
    """What an export and REST agree about: some exports have no ID."""
    return held.id if ID in kind.columns else ""


def _pair(held: Held) -> tuple[str, str]:
    return held.cells.get(SOURCE) or "", held.cells.get(SOURCE_ID) or ""
