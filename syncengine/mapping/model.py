"""What a step does with a row, in typed words: values, conditions, and the recipe of one step.

The spec room reads YAML into these; the mapper compiles them. Nothing here knows YAML.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from syncengine.changes import IfMissing, Role
from syncengine.errors import Position

IfEmpty = Literal["omit", "clear", "error", "skip_row"]
Unmapped = Literal["error", "keep", "empty"]
TypeName = Literal["text", "integer", "decimal", "boolean", "date", "datetime"]
Level = Literal["fail", "skip", "warn"]
Style = Literal["servicenow", "4me"]


RESERVED_WORDS = ("NULL", "<EMPTY_STRING>")
"""Texts that the platform does not take as text."""
RESERVED_SAID = "ServiceNow takes this word for an order to clear the field"


class Column(msgspec.Struct, frozen=True):
    """A column of the row, or a path in JSON: `os.name`, `ips[0]`."""

    text: str
    position: Position


class Template(msgspec.Struct, frozen=True):
    """Jinja2 text; one single `{{ }}` yields the expression's own value, anything else yields text."""

    text: str
    position: Position
    block: bool = False
    """Whether it was written over several lines, where columns of the file cannot be counted."""
    quoted: bool = True
    """Whether a quote stands before its first letter."""


class Const(msgspec.Struct, frozen=True):
    """A literal text."""

    text: str
    position: Position


class Clear(msgspec.Struct, frozen=True):
    """Empties the field on the target, always."""

    position: Position


class First(msgspec.Struct, frozen=True):
    """The first of several values that is not empty."""

    values: tuple[Value, ...]
    position: Position


class Cases(msgspec.Struct, frozen=True):
    """The value of the first condition that holds; a condition of None always holds."""

    cases: tuple[tuple[Condition | None, Value], ...]
    position: Position


class RecordRef(msgspec.Struct, frozen=True):
    """A record that a step makes; `key` are values of this row, in the order of that step's key."""

    step: str
    """Full name, `<spec>.<step>`."""
    key: tuple[Value, ...]
    if_missing: IfMissing
    position: Position
    take: str = ""


class FindIn(msgspec.Struct, frozen=True):
    """A record that exists on the instance."""

    table: str
    where: tuple[tuple[str, Value], ...]
    take: str
    if_missing: IfMissing
    position: Position


class LookupIn(msgspec.Struct, frozen=True):
    """A row of another source: left sides of `where` are columns there, right sides are values here."""

    source: str
    where: tuple[tuple[str, Value], ...]
    take: str
    many: Literal["error", "first", "list"]
    if_missing: IfMissing
    position: Position


class ValueMap(msgspec.Struct, frozen=True):
    """Words to words; keys are compared without case and outer spaces."""

    name: str
    """Its name in the file, or empty for one written in place."""
    entries: Mapping[str, str]
    position: Position


class Shaped(msgspec.Struct, frozen=True):
    """An origin with modifiers; they apply in the order of the fields here."""

    origin: Value
    position: Position
    split: str | None = None
    map: ValueMap | None = None
    unmapped: Unmapped = "error"
    type: TypeName | None = None
    format: str | None = None
    timezone: str | None = None
    join: str | None = None
    default: str | None = None
    max_length: int | None = None
    too_long: Literal["error", "cut"] = "error"
    if_empty: IfEmpty | None = None


Value = Column | Template | Const | Clear | First | Cases | RecordRef | FindIn | LookupIn | Shaped

Operator = Literal["is", "not", "contains", "starts_with", "matches", "empty", "above", "below"]


class Test(msgspec.Struct, frozen=True):
    """One line of a condition; texts compare without case."""

    column: Column
    operator: Operator
    operands: tuple[str, ...]
    position: Position


class Tests(msgspec.Struct, frozen=True):
    """All of them must hold."""

    tests: tuple[Test, ...]


Condition = Tests | Template


class ClassMap(msgspec.Struct, frozen=True):
    """A conditional class by the value of a column."""

    origin: Value
    map: ValueMap
    default: str | None


class ClassCases(msgspec.Struct, frozen=True):
    """A conditional class by conditions; None is `otherwise`. No match is a row error."""

    cases: tuple[tuple[Condition | None, str], ...]


ClassRule = str | ClassMap | ClassCases


class FieldRule(msgspec.Struct, frozen=True):
    """One field of a record and where its value comes from."""

    name: str
    value: Value
    position: Position
    sensitive: bool = False
    compare: bool = True


class PartRule(msgspec.Struct, frozen=True):
    """A lookup or related item of a CI; with `each`, one per element."""

    class_name: str
    fields: tuple[FieldRule, ...]
    each: Column | None
    when: Condition | None
    position: Position


class LinkRule(msgspec.Struct, frozen=True):
    """A relation that the record names; `other` plays `role`."""

    type: str
    role: Role
    other: RecordRef | FindIn
    when: Condition | None
    position: Position


class ColumnRule(msgspec.Struct, frozen=True):
    """What every value of a source's column must be."""

    column: str
    position: Position
    required: bool = False
    unique: bool = False
    matches: str | None = None
    one_of: tuple[str, ...] | None = None
    max_length: int | None = None


class Check(msgspec.Struct, frozen=True):
    """A test of a whole source row."""

    that: Template
    say: str
    level: Level
    position: Position


class RowRules(msgspec.Struct, frozen=True):
    """How rows of a source are cleaned and checked before they are mapped."""

    no_value: frozenset[str] = frozenset({"", "NULL", "null", "N/A", "n/a"})
    columns: tuple[ColumnRule, ...] = ()
    checks: tuple[Check, ...] = ()
    bad_rows: Level = "fail"
    text_only: bool = False
    """Every value is text (CSV), so the compiled code may skip the checks that JSON needs."""
    decimal: str = "."
    """The decimal sign of the source's numbers."""


class Recipe(msgspec.Struct, frozen=True):
    """All that one step does with the rows of its source."""

    step: str
    """Full name, `<spec>.<step>`."""
    position: Position
    source: str
    rules: RowRules
    key: tuple[Value, ...] = ()
    class_rule: ClassRule = ""
    each: Column | None = None
    when: Condition | None = None
    distinct: tuple[Column, ...] = ()
    fields: tuple[FieldRule, ...] = ()
    if_empty: IfEmpty = "omit"
    lookup: tuple[PartRule, ...] = ()
    related: tuple[PartRule, ...] = ()
    links: tuple[LinkRule, ...] = ()
    seen_at: Value | None = None
    native_key: Value | None = None
    timezone: str | None = None
    relation_type: str = ""
    """Only for `relation` steps, which have a parent and a child instead of fields."""
    parent: RecordRef | FindIn | None = None
    child: RecordRef | FindIn | None = None
    style: Style = "servicenow"
    lists: bool = False
    """Whether the target takes lists (4me: one value per line)."""
    vars: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Defaults for `{{ vars.x }}`; the environment overrides them."""
