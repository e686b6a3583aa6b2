"""References to records: of a step, or on the instance."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import cast

from syncengine.changes import IfMissing
from syncengine.mapping.model import (
    FindIn,
    RecordRef,
    Shaped,
    Value,
)
from syncengine.spec.atoms import IF_MISSING, NAME, NAME_MUST, TABLE, TABLE_MUST, Bare, reader
from syncengine.spec.keys import Fields, Key, object_schema, read_keys
from syncengine.spec.nodes import MapNode, Node
from syncengine.spec.reader import StepNote
from syncengine.spec.report import Report
from syncengine.spec.shapes import Choice, ListOf, MapOf, Schema, Shape, Text

STEP = Key(
    "step", Text("the name of a step", NAME, must=NAME_MUST), "A step whose record this is.", example="step: servers"
)
SPEC = Key(
    "spec", Text("the name of a spec"), "The spec that the step is in; without it, this one.", example="spec: servers"
)


class AnyValue(Shape[Value]):
    """A value of the language, wherever one is due."""

    says = "a value"
    long: Shape[tuple[Value, bool, bool]] | None = None
    """The long form; it is made of values itself, so it is set where it is defined."""

    def _long(self) -> Shape[tuple[Value, bool, bool]]:
        if self.long is None:
            raise LookupError("long form")
        return self.long

    def read(self, node: Node, report: Report) -> Value:
        if isinstance(node, MapNode):
            value = self._long().read(node, report)[0]
            if isinstance(value.origin if isinstance(value, Shaped) else value, (RecordRef, FindIn)):
                said = "A reference stands for a whole field of the CI or an end of a relation; here a value is due"
                raise report.stop(
                    "bad-reference", said, node.position, "Write a column, or make it a field of its own."
                )
            return value
        return Bare().read(node, report)

    def schema(self, named: dict[str, Schema]) -> Schema:
        if "value" not in named:
            named["value"] = {}
            named["value"] = {
                "title": "value",
                "description": "A word is a column; text with {{ }} is a template; numbers and true are themselves; "
                "{const: x} is a text; another mapping is the long form.",
                "type": ["string", "number", "boolean", "object"],
                "minLength": 1,
                "pattern": r"^(?!.*\$\{)",
                "if": {"type": "object"},
                "then": self._long().schema(named),
            }
        return {"$ref": "#/$defs/value"}


VALUE = AnyValue()
KEY = Key(
    "key",
    ListOf(VALUE, one=True, least=1),
    "Values of this row that name the record, in the order of that step's key.",
    example="key: server_serial",
)
FIND_IN = Key(
    "find_in",
    Text("the name of a table", TABLE, must=TABLE_MUST),
    "A table of the instance in which the record is found while planning.",
    example="find_in: cmn_location",
)
WHERE = Key(
    "where",
    MapOf(VALUE, "column", least=1),
    "Exact matches that all must hold: left a column there, right a value of this row.",
    example="where: {name: Site}",
)
LOOKUP_IN = Key(
    "lookup_in",
    Text("the name of a source", NAME, must=NAME_MUST),
    "Another source in which a row is looked up.",
    example="lookup_in: owners",
)
TAKE = Key("take", Text("the name of a column"), "The column that is taken from what was found.", default="sys_id")
MANY = Key(
    "many",
    Choice(("error", "first", "list")),
    "What several rows that fit do; with list, a list under where is looked up element by element.",
    default="error",
)
IF_MISSING_KEY = Key("if_missing", IF_MISSING, "What happens where nothing is found.", default="error")


@dataclass(frozen=True)
class ReferenceShape(Shape[RecordRef | FindIn]):
    """A record: of a step, or on the instance."""

    says: str = "a reference such as {step: servers, key: serial}"
    keys = (STEP, SPEC, KEY, FIND_IN, WHERE, IF_MISSING_KEY)

    def read(self, node: Node, report: Report) -> RecordRef | FindIn:
        if not isinstance(node, MapNode):
            raise self.expected(node, report)
        fields = read_keys(node, self.keys, report, "a reference")
        return reference(fields, report)

    def schema(self, named: dict[str, Schema]) -> Schema:
        if "reference" not in named:
            named["reference"] = {}
            named["reference"] = {
                **object_schema(self.keys, named),
                **alternatives(("step", "find_in")),
                "dependentRequired": {"step": ["key"], "find_in": ["where"], "spec": ["step"]},
            }
        return {"$ref": "#/$defs/reference"}


REFERENCE = ReferenceShape()


def reference(fields: Fields, report: Report, if_missing: str = "error") -> RecordRef | FindIn:
    """A reference from its keys."""
    node = fields.node
    missing = cast(IfMissing, fields.get(IF_MISSING_KEY) or if_missing)
    if fields.has(STEP) == fields.has(FIND_IN):
        said = "A reference says either step or find_in" + (", not both" if fields.has(STEP) else "")
        raise report.stop(
            "bad-reference",
            said,
            node.position,
            "{step: servers, key: serial}  or  {find_in: TABLE, where: {name: COLUMN}}",
        )
    if fields.has(FIND_IN):
        if not fields.has(WHERE):
            raise report.stop("missing-key", "find_in needs the key where", node.position, "where: {name: COLUMN}")
        where = fields.need(WHERE)
        for name in where:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.]{0,79}", name):
                key = cast(MapNode, node.get("where")).key(name)
                report.add(
                    "bad-name", f'"{name[:40]}" cannot be a column of a table', key.position if key else node.position
                )
        table = fields.need(FIND_IN)
        return FindIn(table, tuple(where.items()), fields.get(TAKE) or "sys_id", missing, node.position)
    if not fields.has(KEY):
        raise report.stop(
            "missing-key", "A reference to a step needs the key of the record", node.position, "key: COLUMN"
        )
    note = reader(report)
    parts = fields.need(KEY)
    step, written = fields.need(STEP), fields.get(SPEC)
    spec = note.other_spec(written) if written else None
    note.steps.append(
        StepNote(spec, step, len(parts), fields.position(STEP), fields.position(KEY), note.role, note.step)
    )
    take = fields.need(TAKE) if fields.has(TAKE) else ""
    return RecordRef(f"{spec or note.name}.{step}", parts, missing, node.position, take)


def alternatives(names: tuple[str, ...]) -> Schema:
    """At most one of some keys, without an anyOf that editors cannot explain."""
    others = {name: {"properties": {other: False for other in names if other != name}} for name in names}
    return {"dependentSchemas": others}
