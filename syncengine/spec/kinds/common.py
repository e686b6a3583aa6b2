"""What steps of several kinds say, and what they take from their file."""

from __future__ import annotations

from dataclasses import dataclass

from syncengine.changes import Role
from syncengine.mapping.model import FieldRule, FindIn, RecordRef, RowRules, Shaped
from syncengine.spec.atoms import IF_EMPTY, NAME, NAME_MUST, ColumnName
from syncengine.spec.items import EACH_INSIDE, VanishedShape
from syncengine.spec.keys import Fields, Key
from syncengine.spec.model import Defaults, Reference
from syncengine.spec.nodes import Scalar
from syncengine.spec.reader import Reader
from syncengine.spec.references import VALUE
from syncengine.spec.shapes import Choice, Flag, ListOf, Text
from syncengine.spec.values import WHEN

SOURCE = Key(
    "source",
    Text("the name of a source", NAME, must=NAME_MUST),
    "The rows to read; needed where there are several sources.",
    example="source: servers",
)
DISTINCT = Key(
    "distinct",
    ListOf(ColumnName(), one=True, least=1),
    "One record for each different value; blank values are dropped.",
    example="distinct: site",
)
KEY = Key(
    "key",
    ListOf(VALUE, one=True, least=1),
    "The record's name in the source, unique within the step; a list is joined with |.",
    example="key: Serial Number",
)
STEP_IF_EMPTY = Key("if_empty", IF_EMPTY, "What no value does to a field.", default="omit")
ON_ERROR = Key("on_error", Choice(("continue", "stop")), "After a row that the server refused.", default="continue")
CONNECTION = Key(
    "connection",
    Text("the name of a connection", NAME, must=NAME_MUST),
    "Needed where an environment has two of a kind.",
)
DATA_SOURCE = Key(
    "data_source",
    Text("a text", max_length=100),
    "Discovery source of this step; otherwise the spec's.",
    example="data_source: DC Inventory",
)
VANISHED = Key("vanished", VanishedShape(), "What becomes of records that the source no longer has.", default="keep")
ACCEPT = Key(
    "accept_inferred", Flag(), "true: rely on behaviour of the service that is inferred, not documented.", default=False
)
COMMON = (SOURCE, EACH_INSIDE, WHEN, ON_ERROR, CONNECTION)


@dataclass(frozen=True)
class StepContext:
    """What a step takes from its file."""

    sources: dict[str, RowRules]
    data_source: str | None
    defaults: Defaults
    vars: dict[str, str]


def data_source_of(name: Scalar, fields: Fields, context: StepContext, note: Reader, why: str, example: str) -> str:
    """The data source of a step, its own or the file's; notes a problem where there is none."""
    data_source = fields.get(DATA_SOURCE) or context.data_source
    if data_source is None and not fields.has(DATA_SOURCE):
        note.add("missing-key", f'The step "{name.text}" has no data_source: {why}', name.position, example)
        fields.failed = True
    return data_source or ""


def reference_of(role: Role | None, kind: str, other: RecordRef | FindIn) -> Reference:
    """What a step refers to, for the order of steps and for reports."""
    if isinstance(other, RecordRef):
        return Reference(role, kind, other.step, None, len(other.key), other.position)
    return Reference(role, kind, None, other.table, 0, other.position)


def field_references(rules: tuple[FieldRule, ...]) -> tuple[Reference, ...]:
    """The references that stand in fields."""
    found = []
    for rule in rules:
        value = rule.value.origin if isinstance(rule.value, Shaped) else rule.value
        if isinstance(value, (RecordRef, FindIn)):
            found.append(reference_of(None, rule.name, value))
    return tuple(found)
