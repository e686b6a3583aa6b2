"""One transform map over some rows: for each, the target record is found and written, or left, and why.

Documented unless said otherwise. The cases, in their order: a row that a fault rule fails; a target table that does not
exist; an empty coalesce value; scripts that ignore, fail or stop; a value that no choice or record has, with choice
action reject; nothing to change; missing mandatory fields; a business rule that aborts; insert or update.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from syncengine.sandbox import catalog
from syncengine.sandbox.encoded_query import fold
from syncengine.sandbox.ledger import content_hash
from syncengine.sandbox.maps import Entry, Map, standin
from syncengine.sandbox.staging.targets import Targets
from syncengine.sandbox.store import Record
from syncengine.sandbox.tables import Table
from syncengine.sandbox.world import World

FAULT = "sandbox_fault"
"""A value of a row that no column shows: why a fault rule lets it fail."""
UNCHANGED = "No field values changed"
CLEAR = "NULL"
_JAVA = (("yyyy", "%Y"), ("MM", "%m"), ("dd", "%d"), ("HH", "%H"), ("mm", "%M"), ("ss", "%S"), ("yy", "%y"))
_STORED = {"glide_date_time": "%Y-%m-%d %H:%M:%S", "due_date": "%Y-%m-%d %H:%M:%S", "glide_date": "%Y-%m-%d"}


class Outcome(NamedTuple):
    """What one map made of one row."""

    status: str
    """inserted, updated, ignored, skipped, error."""
    record: Record | None = None
    message: str = ""
    stop: bool = False
    """The transform halts after this row."""


class _Left(Exception):
    """A row that is not written."""

    def __init__(self, status: str, message: str, stop: bool = False) -> None:
        super().__init__(message)
        self.outcome = Outcome(status, None, message, stop)


class Transform:
    """One map, over one slice of rows."""

    def __init__(self, world: World, one: Map, targets: Targets) -> None:
        self._world = world
        self._map = one
        self._targets = targets
        self._typed = world.settings["transform.typed"]
        self._by_sys_id = world.settings["transform.reference_sys_id"]

    def prepare(self, rows: Sequence[Record]) -> None:
        """Ask for what the rows will look up, all at once."""
        one, targets = self._map, self._targets
        for entry in one.entries:
            if entry.by is not None:
                targets.learn(entry.by, {fold(text) for row in rows if (text := self._text(entry, row.values))})
        plain = all(entry.by is None and entry.column and not self._choices(entry) for entry in one.coalesce)
        if one.by is not None and plain:
            keys = {
                key
                for row in rows
                if (key := one.by.key({e.target: self._clean(self._text(e, row.values)) for e in one.coalesce}))
            }
            targets.learn(one.by, keys)

    def row(self, row: Record) -> Outcome:
        """Transform one row."""
        fault = row.values.get(FAULT)
        if fault:
            return Outcome("error", None, fault)
        try:
            return self._row(row)
        except _Left as left:
            return left.outcome

    def _row(self, row: Record) -> Outcome:
        one = self._map
        table = one.target
        if table is None:
            raise _Left("error", f"Invalid table {one.target_name}")
        values: dict[str, str] = {}
        for entry in one.entries:
            if entry.coalesce:
                self._put(entry, row, values)
        found = self._match(table, values)
        self._scripts(one.before, row, values)
        for entry in one.entries:
            if not entry.coalesce:
                self._put(entry, row, values)
        self._scripts(one.after, row, values)
        told = content_hash(values)
        key = self._ledger_key(values)
        if found is None:
            return self._insert(table, values, key, told)
        changes = {name: value for name, value in values.items() if found.values.get(name, "") != value}
        changes.pop("sys_id", None)
        changes.pop("sys_class_name", None)
        if not changes:
            return Outcome("ignored", found, UNCHANGED)
        own = self._world.tables[found.table]
        after = {**found.values, **changes}
        self._check(own, "update", after, values)
        self._targets.update(found, changes, key, told)
        return Outcome("updated", found)

    def _insert(self, table: Table, values: dict[str, str], key: str, told: str) -> Outcome:
        if not any(values.values()) and self._world.settings["transform.empty_row"] == "skipped":
            raise _Left("skipped", "No values to insert")
        wanted = self._world.tables.get(values.pop("sys_class_name", ""))
        if wanted is not None and wanted.name in table.below:
            table = wanted
        self._check(table, "insert", {**table.defaults, **values}, values)
        return Outcome("inserted", self._targets.insert(table, values, key, told))

    def _check(self, table: Table, action: str, after: dict[str, str], mapped: dict[str, str]) -> None:
        if self._map.mandatory in ("onlymappedfields", "allfields"):
            names = [n for n in table.mandatory if self._map.mandatory == "allfields" or n in mapped]
            missing = [name for name in names if not after.get(name)]
            if missing:
                state = str(self._world.settings["transform.mandatory_state"])
                raise _Left(state, f"Mandatory fields are empty: {', '.join(missing)}")
        if self._map.business_rules and self._world.business_rules:
            refused = self._world.aborted(table, action, after)
            if refused:
                raise _Left("error", refused)

    # -- the record ------------------------------------------------------------------------------------------

    def _match(self, table: Table, values: dict[str, str]) -> Record | None:
        one = self._map
        if not one.coalesce:
            return None
        empty = [e for e in one.coalesce if not e.coalesce_empty and not values.get(e.target)]
        every = self._world.settings["transform.empty_coalesce"] == "all"
        if empty and (not every or len(empty) == len(one.coalesce)):
            if one.create_on_empty:
                return None
            names = ", ".join(e.source or e.target for e in empty)
            raise _Left("skipped", f"Row skipped: the coalesce field is empty: {names}")
        if one.by is None:
            sys_id = values.get("sys_id", "")
            return self._targets.get(table, sys_id) if sys_id else None
        key = one.by.key(values)
        found = self._targets.find(one.by, key) if key is not None else []
        if found and not one.by.exact:
            strict = [e.target for e in one.coalesce if e.case_sensitive]
            found = [r for r in found if all(r.values.get(name, "") == values.get(name, "") for name in strict)]
        if len(found) < 2:
            return found[0] if found else None
        match self._world.settings["transform.first_match"]:
            case "newest":
                return found[-1]
            case "sys_id":
                return min(found, key=lambda r: r.sys_id)
        return found[0]

    def _ledger_key(self, values: dict[str, str]) -> str:
        """What must not be inserted twice."""
        names = sorted(e.target for e in self._map.coalesce)
        return "|".join(f"{name}={fold(values.get(name, ''))}" for name in names)

    # -- values ----------------------------------------------------------------------------------------------

    def _text(self, entry: Entry, row: dict[str, str]) -> str:
        if entry.scripted:
            return standin.fill(entry.template, row) if entry.template is not None else ""
        return row.get(entry.source, "")

    def _clean(self, text: str) -> str:
        return "" if text == CLEAR else text

    def _put(self, entry: Entry, row: Record, values: dict[str, str]) -> None:
        column = entry.column
        if column is None or (column.name.startswith("sys_") and column.name not in ("sys_id", "sys_class_name")):
            return
        text = self._text(entry, row.values)
        if text == CLEAR:
            values[entry.target] = ""
        elif not text:
            if self._map.copy_empty:
                values[entry.target] = ""
        elif column.reference:
            found = self._reference(entry, text)
            if found is not None:
                values[entry.target] = found
        elif (choices := self._choices(entry)) is not None:
            chosen = self._choice(entry, choices, text)
            if chosen is not None:
                values[entry.target] = chosen
        elif column.type in _STORED and entry.date_format:
            date = _date(text, entry.date_format, _STORED[column.type])
            if date or self._world.settings["transform.bad_date"] == "cleared":
                values[entry.target] = date
        elif self._typed and (kind := _KINDS.get(column.type)) is not None:
            typed = kind(text)
            if typed:
                values[entry.target] = typed
        else:
            values[entry.target] = self._plain(column.max_length, text)

    def _plain(self, length: int, text: str) -> str:
        if self._world.settings["transform.target_length"] == "cut" and len(text) > length > 0:
            return text[:length]
        return text

    def _reference(self, entry: Entry, text: str) -> str | None:
        column, targets = entry.column, self._targets
        table = self._world.tables.get(column.reference) if column is not None else None
        if table is None:
            return text
        if entry.by is None or (self._by_sys_id and len(text) == 32 and text.isalnum()):
            found = targets.get(table, text)
            if found is not None:
                return found.sys_id
        if entry.by is not None:
            records = targets.find(entry.by, fold(text))
            if records:
                return records[0].sys_id
        self._reject(entry, text)
        if entry.choice_action == "ignore" or entry.by is None:
            return None
        name = entry.by.attributes[0]
        return targets.insert(table, {name: text}, f"{name}={fold(text)}", content_hash({name: text})).sys_id

    def _choices(self, entry: Entry) -> dict[str, str] | None:
        if self._map.target is None:
            return None
        choices = self._world.choices
        return next((c for t in self._map.target.path if (c := choices.get((t, entry.target))) is not None), None)

    def _choice(self, entry: Entry, choices: dict[str, str], text: str) -> str | None:
        if text in choices:
            return text
        folded = fold(text)
        for value, label in choices.items():
            if fold(label) == folded or fold(value) == folded:  # inferred: without regard to case
                return value
        self._reject(entry, text)
        if entry.choice_action == "ignore":
            return None
        target = self._map.target
        if target is not None:
            owner = next(t for t in target.path if (t, entry.target) in self._world.choices)
            table, made = catalog.choice_row(owner, entry.target, text, text)
            told = content_hash({"value": text})
            self._targets.insert(self._world.tables[table], made, f"{owner}.{entry.target}={text}", told)
            choices[text] = text
        return text

    def _reject(self, entry: Entry, text: str) -> None:
        if entry.choice_action == "reject":
            state = str(self._world.settings["transform.rejected_state"])
            raise _Left(state, f"Row rejected: no {entry.target} for {text!r}")

    # -- scripts ---------------------------------------------------------------------------------------------

    def _scripts(self, forms: Sequence[standin.Form], row: Record, values: dict[str, str]) -> None:
        for form in forms:
            if not form.holds(row.values):
                continue
            match form.do if forms is not self._map.after else "set":
                case "ignore":
                    raise _Left("ignored", form.message or "Row transform ignored by onBefore script")
                case "error":
                    raise _Left("error", form.message or "Script error")
                case "stop":
                    raise _Left("error", form.message or "Transformation Stopped", stop=True)
                case "set":
                    values.update({n: standin.fill(t, row.values) for n, t in form.values.items()})


def _boolean(text: str) -> str:
    word = text.strip().lower()
    return "true" if word in ("true", "1", "yes", "on") else "false" if word in ("false", "0", "no", "off") else ""


def _whole(text: str) -> str:
    return str(int(text)) if text.strip().lstrip("+-").isdecimal() else ""


def _decimal(text: str) -> str:
    try:
        return f"{float(text):.10g}"
    except ValueError:
        return ""


_KINDS: dict[str, Callable[[str], str]] = {
    "boolean": _boolean,
    "integer": _whole,
    "longint": _whole,
    "decimal": _decimal,
    "float": _decimal,
}


def _date(text: str, java: str, stored: str) -> str:
    """A date in the format of its entry as it is stored; empty for what is no such date."""
    pattern = java
    for ours, theirs in _JAVA:
        pattern = pattern.replace(ours, theirs)
    for one in (pattern, *_STORED.values()):
        try:
            return datetime.strptime(text, one).strftime(stored)  # noqa: DTZ007 - times have no zone here
        except ValueError:
            continue
    return ""
