"""One row of an import: which record it is, what it changes, and why it fails.

Documented: the order in which ID, the pair and a special key find the record; a missing column leaves alone; an empty
Source and Source ID on a row found by its special key clear the stored pair. Inferred: an empty cell clears, a required
field that is or becomes blank fails the row, a row that changes nothing is counted as unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from syncengine.sandbox.fourme import kinds
from syncengine.sandbox.fourme.kinds import Bad
from syncengine.sandbox.fourme.records import Record, Records
from syncengine.sandbox.fourme.references import References
from syncengine.sandbox.fourme.types import EMAIL, ID, PAIR, TIMES, Column, Type
from syncengine.sandbox.settings import Settings
from syncengine.sandbox.world import World

CREATED, UPDATED, DELETED, UNCHANGED, FAILURE = "created", "updated", "deleted", "unchanged", "failures"
REMOVALS = {"time_entries": "Deleted", "product_backlog_items": "Remove"}
"""Documented: columns whose true removes the record."""


class Outcome(NamedTuple):
    """What became of a row."""

    word: str
    text: str = ""


class Refused(Exception):
    """A row that fails; the texts are those of its fields."""

    def __init__(self, *texts: str) -> None:
        super().__init__("; ".join(texts))


class Context(NamedTuple):
    """What all rows of one import share."""

    world: World
    records: Records
    references: References
    kind: Type
    account: str
    home: str
    """The account of the API user: where the pair of slas and requests is searched (documented)."""
    definitions: Mapping[str, Sequence[str]]
    """Custom fields by the name of their UI extension, as far as they are known."""

    @property
    def settings(self) -> Settings:
        return self.world.settings


def write(context: Context, cells: Mapping[str, str]) -> tuple[Outcome, Record]:
    """Take one row over, in a transaction; raises Refused."""
    existing = identify(context, cells)
    values = read(context, cells, existing)
    removal = REMOVALS.get(context.kind.name, "")
    if removal and values.get(removal):
        if existing is None:
            raise Refused("the record to remove was not found")
        context.records.delete([existing])
        return Outcome(DELETED), existing
    return put(context, existing, values)


def put(context: Context, existing: Record | None, given: Mapping[str, Any]) -> tuple[Outcome, Record]:
    """Create a record, or change what these columns say."""
    kind, now = context.kind, context.world.clock.time()
    times = {column: given[column] for column in TIMES if given.get(column)} if _takes_times(context) else {}
    given = {column: value for column, value in given.items() if column not in (*TIMES, ID)}
    if existing is None:
        values = {column: value for column, value in given.items() if value is not None}
        fill(context, values)
        _check(context, values, kind.required, None)
        record = Record(context.records.new_id(), context.account, kind.name, now, now, values)
        _set_times(record, times)
        context.records.insert([record])
        return Outcome(CREATED), record
    merged = {**existing.values, **given}
    values = {column: value for column, value in merged.items() if value is not None}
    if values == existing.values:
        return Outcome(UNCHANGED), existing
    _check(context, values, [column for column in kind.required if column in given], existing)
    before, existing.values, existing.updated = existing.values, values, now
    _set_times(existing, times)
    context.records.update(existing, before)
    return Outcome(UPDATED), existing


def identify(context: Context, cells: Mapping[str, str]) -> Record | None:
    """The record of a row, or None for one that is to be created."""
    kind, records = context.kind, context.records
    for key in kind.identify:
        if not all(cells.get(column, "").strip() for column in key):
            continue
        if key == (ID,):
            return _by_id(context, cells[ID].strip())
        account = context.home if key == PAIR and kind.name in ("slas", "requests") else context.account
        exact = context.settings["fourme.email"] == "exact" if key == (EMAIL,) else True
        found = records.find(kind, account, key, [_key_value(context, c, cells[c]) for c in key], exact=exact)
        return records.get(found[0]) if found else None
    return None


def _by_id(context: Context, text: str) -> Record | None:
    record = context.records.get(int(text)) if text.isdigit() and len(text) < 19 else None
    if record is not None and (record.type, record.account) == (context.kind.name, context.account):
        return record
    if context.settings["fourme.unknown_id"] == "create":
        return None
    raise Refused(f"{ID} {text} not found")


def _key_value(context: Context, column: str, cell: str) -> Any:
    one = context.kind.columns[column]
    try:
        if one.refers:
            return context.references.find(one, cell.strip(), context.kind.name).id
        return kinds.read(one, cell)
    except Bad as fault:
        raise Refused(f"{column} {fault}") from None


def read(context: Context, cells: Mapping[str, str], existing: Record | None) -> dict[str, Any]:
    """The cells as values; None clears. Raises Refused with every bad cell."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    ignore = context.settings["fourme.bad_value"] == "ignored"
    for name, cell in cells.items():
        column = context.kind.columns[name]
        if column.kind == "helper":
            continue
        if not cell or cell.isspace():
            values[name] = None
            continue
        try:
            values[name] = _value(context, column, cell, existing)
        except Bad as fault:
            if not ignore or column.refers:
                problems.append(f"{name} {fault}")
    if problems:
        raise Refused(*problems)
    return values


def _value(context: Context, column: Column, cell: str, existing: Record | None) -> Any:
    if column.to:
        before = existing.values.get(column.name) if existing else None
        return context.references.read(column, cell, context.kind.name, before) or None
    if cell[0] == "\t" and cell[1:2] in tuple("=+-@") and context.settings["fourme.strip_tab"]:
        cell = cell[1:]
    if cell in column.examples and context.settings["fourme.example_values"] == "refused":
        raise Bad("is not included in the list")
    value = kinds.read(column, cell)
    if column.kind == "custom_fields":
        return _custom_fields(context, value, existing)
    return value if value is not False else None  # false is what a field is without a value


def _custom_fields(context: Context, given: list[dict[str, Any]], existing: Record | None) -> Any:
    """Documented: the UI extension of a record defines its custom fields."""
    kept = existing.values.get("Custom Fields", []) if existing else []
    fields = {one["id"]: one["value"] for one in kept} if context.settings["fourme.custom_fields"] == "merge" else {}
    fields.update((one["id"], one["value"]) for one in given)
    return [{"id": name, "value": value} for name, value in fields.items() if value not in (None, "")] or None


# -- what a new record gets besides -----------------------------------------------------------------------------


def fill(context: Context, values: dict[str, Any]) -> None:
    """Give a new record what it has without being told."""
    kind = context.kind
    if kind.name == "product_categories" and not values.get("Reference") and values.get("Name"):
        # documented: group and name in lower case, blanks as underscores
        parts = [values[part] for part in ("Group", "Name") if values.get(part)]
        values["Reference"] = "/".join(_reference(part) for part in parts)
    elif ("Reference",) in kind.identify and not values.get("Reference") and values.get("Name"):
        values["Reference"] = _reference(values["Name"])  # inferred from the examples
    elif kind.name == "cis":
        _fill_ci(context, values)


def _reference(text: str) -> str:
    return text.strip().lower().replace(" ", "_")


def _fill_ci(context: Context, values: dict[str, Any]) -> None:
    product = context.records.get(values.get("Product", 0))
    if product is None:
        return
    for column in ("Name", "Remarks", "Service", "Support Team", "Supplier", "Financial Owner"):
        if not values.get(column) and product.values.get(column):
            values[column] = product.values[column]  # documented
    category = context.records.get(product.values.get("Category", 0))
    if not values.get("Label") and category is not None and category.values.get("Rule Set") != "software":
        # documented: a prefix of the product category and the next number; the prefix itself is inferred
        prefix = "".join(c for c in str(category.values.get("Name", "")).upper() if c.isalpha())[:3] or "CI"
        values["Label"] = f"{prefix}{context.records.count('cis', context.account) + 1:05}"


# -- checks -----------------------------------------------------------------------------------------------------


def _check(context: Context, values: Mapping[str, Any], required: Sequence[str], existing: Record | None) -> None:
    kind = context.kind
    problems = [f"{column} can't be blank" for column in required if values.get(column) in (None, "", [])]
    if kind.name == "trusted_organizations" and existing is None:
        problems.append("trusted organizations cannot be created")  # inferred
    for key in kind.unique:
        now = [values.get(column) for column in key]
        if any(value in (None, "") for value in now) or (existing and now == [existing.values.get(c) for c in key]):
            continue
        if key not in (PAIR, (EMAIL,)) and not context.settings["fourme.unique_names"]:
            continue
        others = context.records.find(kind, context.account, key, now, exact=key == PAIR)
        if any(existing is None or other != existing.id for other in others):
            problems.append(f"{key[-1]} has already been taken")
    problems += _undefined(context, values)
    if problems:
        raise Refused(*problems)


def _undefined(context: Context, values: dict[str, Any] | Mapping[str, Any]) -> list[str]:
    extension = context.records.get(values.get("UI Extension", 0)) if values.get("UI Extension") else None
    known = context.definitions.get(extension.values.get("Name", "")) if extension else None
    if known is None or not values.get("Custom Fields"):
        return []
    unknown = [one["id"] for one in values["Custom Fields"] if one["id"] not in known]
    if context.settings["fourme.unknown_custom_field"] == "failure":
        return [f"Custom Fields: {one} is not defined" for one in unknown]
    values["Custom Fields"][:] = [one for one in values["Custom Fields"] if one["id"] in known]
    return []


def _takes_times(context: Context) -> bool:
    way = context.settings["fourme.times"]
    return way == "always" or (way == "migrated" and context.kind.times_count)


def _set_times(record: Record, times: Mapping[str, str]) -> None:
    if "Created At" in times:
        record.created = datetime.fromisoformat(times["Created At"]).timestamp()
    if "Updated At" in times:
        record.updated = datetime.fromisoformat(times["Updated At"]).timestamp()
