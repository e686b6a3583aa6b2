"""Fields of a record."""

from __future__ import annotations

from typing import cast

from syncengine.mapping.model import (
    RESERVED_SAID,
    RESERVED_WORDS,
    Const,
    FieldRule,
    Shaped,
    Value,
)
from syncengine.spec.atoms import FIELD, reader
from syncengine.spec.nodes import ListNode, MapNode, Node, Scalar
from syncengine.spec.references import VALUE
from syncengine.spec.report import Report, Wrong
from syncengine.spec.shapes import Schema, Shape, Text
from syncengine.spec.values import LONG


class FieldsShape(Shape[tuple[FieldRule, ...]]):
    """`fields`: a mapping, or a list of names that are equal in source and target."""

    says = "a mapping of fields, or a list of names"
    pattern = rf"(?!sys_(?!class_path$)){FIELD}"
    """What a name looks like."""

    def read(self, node: Node, report: Report) -> tuple[FieldRule, ...]:
        found: list[FieldRule] = []
        failed = False
        if isinstance(node, ListNode) and node.items:
            for item in node.items:
                try:
                    name = self._name(item, report)
                    found.append(FieldRule(name, reader(report).column(cast(Scalar, item)), item.position))
                except Wrong:
                    failed = True
        elif isinstance(node, MapNode) and node.pairs:
            for key, value in node.pairs:
                try:
                    name = self._name(key, report)
                    found.append(self._field(name, value, report))
                except Wrong:
                    failed = True
        else:
            if isinstance(node, (ListNode, MapNode)):
                raise report.stop("empty-mapping", "There are no fields here", node.position, "fields: {name: COLUMN}")
            raise self.expected(node, report)
        if failed:
            raise Wrong
        return tuple(found)

    def _name(self, node: Node, report: Report) -> str:
        text = Text("the name of a field", FIELD, must="letters, digits and _ only").read(node, report)
        if text.startswith("sys_") and text != "sys_class_path":
            said = f"{text} is a system field: the target sets it"
            raise report.stop("system-field", said, node.position, "Remove it.")
        return text

    def _field(self, name: str, node: Node, report: Report) -> FieldRule:
        note = reader(report)
        note.field, note.field_at = name, len(note.keys)
        try:
            if isinstance(node, MapNode):
                value, compare, sensitive = LONG.read(node, report)
                self._reserved(value, report)
                return FieldRule(name, value, node.position, sensitive, compare)
            if isinstance(node, ListNode):
                raise report.stop(
                    "wrong-type",
                    "A field takes one value, found a list",
                    node.position,
                    "first: [a, b]  takes the first that is filled.",
                )
            return FieldRule(name, VALUE.read(node, report), node.position)
        finally:
            note.field = ""

    def _reserved(self, value: Value, report: Report) -> None:
        """Refuses literal texts that the platform would take for an order."""
        origin = value.origin if isinstance(value, Shaped) else value
        words = [origin.text] if isinstance(origin, Const) else []
        if isinstance(value, Shaped):
            words += [value.default or "", *(value.map.entries.values() if value.map else ())]
        if any(one in RESERVED_WORDS for one in words):
            report.add("reserved-word", RESERVED_SAID, origin.position, "To clear the field:  {clear: true}")

    def schema(self, named: dict[str, Schema]) -> Schema:
        name: Schema = {"pattern": f"^{self.pattern}$"}
        return {
            "if": {"type": "array"},
            "then": {"items": {"type": "string", **name}, "minItems": 1},
            "else": {
                "type": "object",
                "propertyNames": name,
                "additionalProperties": VALUE.schema(named),
                "minProperties": 1,
            },
        }


FIELDS_SHAPE = FieldsShape()
