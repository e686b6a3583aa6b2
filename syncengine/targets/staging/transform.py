"""What a transform map would make of a row: pure, from what was read of the map and of the target.

Documented (Zurich): c_ImportSetCoalesce, t_CreatingAFieldMap, c_ImportSetsKeyConcepts. Where a page is silent, or a
script decides, the answer is "unknown" and says why; nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from syncengine.targets.staging.facts import Column, Entry, Target, TransformMap
from syncengine.transport.servicenow import is_sys_id

Status = Literal["inserted", "updated", "ignored", "skipped", "error", "unknown"]
"""The words of the API for a row, and `unknown`."""
CLEARS = "NULL"
"""The text that empties a field (documented)."""
TEXTS = frozenset(
    {
        "string", "email", "ph_number", "phone_number_e164", "url", "ip_addr", "ip_address", "guid", "GUID",
        "translated_text", "translated_field", "multi_two_lines", "string_full_utf8", "sys_class_name", "",
    }
)  # fmt: skip
"""Types of columns that hold a text as it comes."""
DATES = {"glide_date_time": "%Y-%m-%d %H:%M:%S", "due_date": "%Y-%m-%d %H:%M:%S", "glide_date": "%Y-%m-%d"}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_JAVA = (("yyyy", "%Y"), ("MM", "%m"), ("dd", "%d"), ("HH", "%H"), ("mm", "%M"), ("ss", "%S"))
References = Mapping[tuple[str, str, str], Sequence[str] | None]
"""sys_ids by table, column and folded value; None where the table cannot be read."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """What an entry gives to a column of the target."""

    source: str
    value: str = ""
    makes: str = ""
    """The table in which a missing record is created for it; its id is not known then."""
    unknown: str = ""
    """Why it cannot be foretold."""

    @property
    def is_known(self) -> bool:
        return not self.unknown and not self.makes


@dataclass(slots=True)
class Decision:
    """What one map would do with one row."""

    status: Status
    reason: str = ""
    """For what is not written: why, in words; for the rest what is uncertain about it."""
    sys_id: str = ""
    table: str = ""
    before: dict[str, str] = field(default_factory=dict)
    """Present values of what would change, by staging column."""
    key: str = ""
    """What a new record would be found by; rows that share it are one record."""
    makes: tuple[tuple[str, str], ...] = ()
    """Staging column and table of each referenced record that would be created."""


class Left(Exception):
    """A row that is not written, and why."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.decision = Decision(status, reason)


def fold(text: str) -> str:
    """As keys are compared: without regard to case (documented default)."""
    return text.strip().lower()


def wanted(one: TransformMap, rows: Iterable[Mapping[str, str]]) -> set[tuple[str, str, str]]:
    """The references that have to be looked up: table, column, value as it came."""
    found = set()
    for entry in one.entries:
        column = one.target.columns.get(entry.target)
        if column is None or not column.reference or entry.is_scripted:
            continue
        by = entry.by or one.displays.get(column.reference, "")
        for row in rows:
            text = row.get(entry.source, "")
            if text and text != CLEARS:
                if by and by != "sys_id":
                    found.add((column.reference, by, text))
                if is_sys_id(text):
                    found.add((column.reference, "sys_id", text))
    return found


def mapped(
    one: TransformMap,
    row: Mapping[str, str],
    references: References,
    unsure: Mapping[str, str],
    *,
    awaits: bool = False,
) -> dict[str, Mapped]:
    """What a row gives to each column; columns that it leaves alone are not there.

    `unsure` are staging columns whose value nobody knows yet, and why; a row that `awaits` others may name records that
    are there when it is sent. Raises Left where a value turns the row away.
    """
    values: dict[str, Mapped] = {}
    for entry in one.entries:
        column = one.target.columns.get(entry.target)
        if column is None:
            continue  # inferred: an entry for a column that is not there does nothing
        made = _mapped(
            one, replace(entry, choice_action="create") if awaits else entry, column, row, references, unsure
        )
        if made is None:
            continue
        if made.makes and awaits:
            made = Mapped(entry.source, unknown=f"{entry.source} names a record that this plan makes")
        if entry.target in values:
            made = Mapped(entry.source, unknown=f"two field maps write {entry.target}")
        values[entry.target] = made
    return values


def _mapped(
    one: TransformMap,
    entry: Entry,
    column: Column,
    row: Mapping[str, str],
    references: References,
    unsure: Mapping[str, str],
) -> Mapped | None:
    source = entry.source
    if entry.is_scripted:
        return Mapped(source, unknown=f"a script decides {entry.target}")
    if source in unsure:
        return Mapped(source, unknown=unsure[source])
    if column.name.startswith("sys_") and column.name != "sys_id":
        return Mapped(source, unknown=f"the instance keeps {entry.target} itself") if row.get(source) else None
    text = row.get(source, "")
    if text == CLEARS:
        return Mapped(source)
    if not text:
        return Mapped(source) if one.copy_empty and not entry.coalesce else None
    if column.reference:
        return _referenced(one, entry, column, text, references)
    if entry.target in one.target.choices:
        return _chosen(one.target, entry, text)
    return _plain(entry, column, text)


def _referenced(one: TransformMap, entry: Entry, column: Column, text: str, references: References) -> Mapped | None:
    """The id of the record that a value names; a missing one is created, left out, or turns the row away."""
    table, by = column.reference, entry.by or one.displays.get(column.reference, "")
    if is_sys_id(text) and (own := references.get((table, "sys_id", text))):
        # Not documented, and seen everywhere: an id is taken where a display value is due.
        return Mapped(entry.source, own[0])
    if not by:
        return Mapped(entry.source, unknown=f"what a record of {table} is found by cannot be read")
    if by == "sys_id":
        return Mapped(entry.source, unknown=f"no {table} with the id that {entry.source} names")
    found = references.get((table, by, text))
    if found is None:
        return Mapped(entry.source, unknown=f"table {table} cannot be read")
    if len(found) > 1:
        return Mapped(entry.source, unknown=f"{len(found):,} records of {table} have this {by}")
    if found:
        return Mapped(entry.source, found[0])
    return _missing(entry, f"no {table} has this {by}", table, text)


def _missing(entry: Entry, why: str, table: str, text: str = "") -> Mapped | None:
    if entry.choice_action == "reject":
        raise Left("skipped", f"{entry.source}: {why}, and the field map rejects the row then")
    if entry.choice_action == "ignore":
        return None
    return Mapped(entry.source, text, makes=table)


def _chosen(target: Target, entry: Entry, text: str) -> Mapped | None:
    """The value of a choice, by value or by label."""
    choices = target.choices[entry.target]
    values = [value for value, _ in choices if value == text]
    values = values or list(
        dict.fromkeys(value for value, label in choices if fold(text) in (fold(label), fold(value)))
    )
    if len(values) == 1:
        return Mapped(entry.source, values[0])
    if values:
        return Mapped(entry.source, unknown=f"{len(values)} choices of {entry.target} are called so")
    made = _missing(entry, f"{entry.target} has no such choice", "sys_choice", text)
    return None if made is None else Mapped(entry.source, text)


def _plain(entry: Entry, column: Column, text: str) -> Mapped:
    """A value of a column that is neither a reference nor a choice."""
    source, kind = entry.source, column.type
    if kind in TEXTS or column.name == "sys_id":
        return Mapped(source, text)
    if kind in DATES:
        date = _date(text, entry.date_format, DATES[kind])
        return Mapped(source, date, unknown="" if date else f"{source} is not in the form {entry.date_format}")
    if kind == "boolean" and text in ("true", "false"):
        return Mapped(source, text)
    if kind in ("integer", "longint") and _NUMBER.fullmatch(text):
        return Mapped(source, text)
    return Mapped(source, text, unknown=f"how a {kind} keeps the value of {source} is not known")


def _date(text: str, java: str, stored: str) -> str:
    """A date in the form of its field map as it is stored; empty for what is no such date."""
    pattern = java
    for theirs, ours in _JAVA:
        pattern = pattern.replace(theirs, ours)
    if not java or re.search(r"[A-Za-z]", re.sub(r"%[A-Za-z]", "", pattern)):
        return ""  # letters that are not translated here: months by name, zones
    try:
        return datetime.strptime(text, pattern).strftime(stored)  # noqa: DTZ007  # the platform keeps no zone here
    except ValueError:
        return ""


# ── the record ──────────────────────────────────────────────────────────────────────────────────


def key_of(one: TransformMap, values: Mapping[str, Mapped]) -> dict[str, str] | None:
    """What the target's record is found by: value by column. None: there is none, so the row inserts.

    Raises Left for rows whose key is empty or cannot be foretold.
    """
    if not one.coalesce:
        return None
    coalesce = [entry for entry in one.coalesce if entry.target in one.target.columns]
    for entry in coalesce:
        value = values.get(entry.target)
        if value is not None and value.unknown:
            raise Left("unknown", value.unknown)
    empty = [e for e in coalesce if not e.coalesce_empty and _is_empty(values.get(e.target))]
    if empty:
        names = ", ".join(entry.source for entry in empty)
        if len(empty) < len(coalesce):
            raise Left("unknown", f"only a part of its key is empty ({names}); what becomes of it is not documented")
        if not one.create_on_empty:
            raise Left("skipped", f"the coalesce field is empty: {names}")
        return None
    if any((value := values.get(entry.target)) is not None and value.makes for entry in coalesce):
        return None  # its key names a record that is not there, so there is nothing to be found
    return {entry.target: value.value if (value := values.get(entry.target)) else "" for entry in coalesce}


def _is_empty(value: Mapped | None) -> bool:
    return value is None or (not value.value and not value.makes)


def is_match(one: TransformMap, key: Mapping[str, str], row: Mapping[str, Any]) -> bool:
    """Whether a record of the target has a key."""
    for entry in one.coalesce:
        if entry.target in key:
            there, here = str(row.get(entry.target) or ""), key[entry.target]
            if (there != here) if entry.case_sensitive else (fold(there) != fold(here)):
                return False
    return True


def said_key(one: TransformMap, values: Mapping[str, Mapped], key: Mapping[str, str] | None) -> str:
    """A key as a text, by which rows are seen to be one record; empty where each row makes its own."""
    if not one.coalesce or (key is None and not any(m.makes for m in values.values())):
        return ""
    parts = []
    for entry in one.coalesce:
        value = values.get(entry.target)
        text = value.value if value is not None else ""
        parts.append(text if entry.case_sensitive else fold(text))
    return "\0".join((one.target.name, *parts)) if any(parts) else ""


def decide(
    one: TransformMap,
    values: Mapping[str, Mapped],
    key: Mapping[str, str] | None,
    found: Sequence[Mapping[str, Any]],
    *,
    quiet: Sequence[str] = (),
    show: Callable[[str, Mapping[str, Any]], str] | None = None,
) -> Decision:
    """What becomes of a row, given the records that have its key; `quiet` staging columns make no difference."""
    table = one.target.name
    makes = tuple((value.source, value.makes) for value in values.values() if value.makes)
    unknown = list(dict.fromkeys(value.unknown for value in values.values() if value.unknown))
    if len(found) > 1:
        return Decision(
            "unknown", f"{len(found):,} records of {table} have its key; which one is taken is not documented"
        )
    if not found:
        known = {name: value for name, value in values.items() if value.is_known}
        if not makes and not any(value.value for value in known.values()):
            if unknown:
                return Decision("unknown", "; ".join(unknown))
            if not one.coalesce:
                return Decision(
                    "unknown", "it fills no column of the target; what becomes of such a row is not documented"
                )
            return Decision("skipped", "it fills no column of the target")
        _check_mandatory(one, values, {})
        said = said_key(one, values, key)
        return Decision("inserted", "; ".join(unknown), "", table, {}, said, makes)
    row = found[0]
    before: dict[str, str] = {}
    unsure: list[str] = []
    is_changed = False
    for name, value in values.items():
        if name == "sys_id":
            continue
        there = str(row.get(name) or "")
        if value.unknown:
            # What cannot be foretold in general may be plain in this case: the text is there already.
            if not value.value or not _is_there(one.target.columns[name], there, value.value):
                unsure.append(value.unknown)
            continue
        if not value.makes and _is_there(one.target.columns[name], there, value.value):
            continue
        if value.source in quiet:
            continue
        is_changed = True
        before.setdefault(value.source, show(name, row) if show is not None else there)
    sys_id = str(row["sys_id"])
    reason = "; ".join(dict.fromkeys(unsure))
    if is_changed:
        _check_mandatory(one, values, row)
        return Decision("updated", reason, sys_id, table, before, "", makes)
    if unsure:
        return Decision("unknown", reason, sys_id, table)
    return Decision("ignored", "", sys_id, table)


def _is_there(column: Column, there: str, value: str) -> bool:
    """Whether a column holds a value, as far as the column can."""
    return there == value or (
        column.type in TEXTS and len(value) > column.max_length > 0 and there == value[: column.max_length]
    )


def _check_mandatory(one: TransformMap, values: Mapping[str, Mapped], row: Mapping[str, Any]) -> None:
    """Turn away what would leave a mandatory column empty, where the map enforces it."""
    if one.mandatory == "no":
        return
    missing = []
    for column in one.target.columns.values():
        value = values.get(column.name)
        if not column.mandatory or (one.mandatory == "mapped" and value is None):
            continue
        if value.unknown if value is not None else False:
            continue
        after = (value.value or value.makes) if value is not None else str(row.get(column.name) or "")
        if not after:
            missing.append(column.name)
    if missing:
        raise Left("error", f"mandatory fields of {one.target.name} are empty: {', '.join(sorted(missing))}")


def combined(statuses: Iterable[str]) -> Status:
    """What the results of several maps make of one row: an error counts most, then what was written."""
    seen = set(statuses)
    order: tuple[Status, ...] = ("unknown", "error", "inserted", "updated", "ignored", "skipped")
    if not seen or not seen <= set(order):
        return "unknown"
    return next(status for status in order if status in seen)
