"""The class of a CI: literal, by the value of a column, or by conditions."""

from __future__ import annotations

import re
from typing import Any, cast

from syncengine.mapping.model import (
    ClassCases,
    ClassMap,
    ClassRule,
    Condition,
    Value,
)
from syncengine.spec.atoms import TABLE, TABLE_MUST, MapRule
from syncengine.spec.conditions import CONDITION
from syncengine.spec.keys import Key, object_schema, read_keys
from syncengine.spec.nodes import MapNode, Node, Scalar
from syncengine.spec.references import VALUE
from syncengine.spec.report import Report, Wrong
from syncengine.spec.shapes import Schema, Shape, Text

CLASS = Text("the name of a class", TABLE, must=TABLE_MUST)


class ClassShape(Shape[ClassRule]):
    """`cmdb:`: a class, a class by the value of a column, or a class by conditions."""

    says = "a class, {from, map} or a list of {when, use}"
    _map = (
        Key("from", VALUE, "The column that decides.", required=True, example="from: os"),
        Key("map", MapRule(), "Value to class.", required=True, example="map: {linux: cmdb_ci_linux_server}"),
        Key("default", CLASS, "The class of all other values."),
    )
    _case = (
        Key("when", CONDITION, "Holds for the rows of this class."),
        Key("use", CLASS, "The class."),
        Key("otherwise", CLASS, "The class where no condition before it holds."),
    )

    def read(self, node: Node, report: Report) -> ClassRule:
        if isinstance(node, Scalar):
            return CLASS.read(node, report)
        if isinstance(node, MapNode):
            return self._by_value(node, report)
        if not node.items:
            raise self.expected(node, report)
        cases: list[tuple[Condition | None, str]] = []
        failed = False
        for number, item in enumerate(node.items, 1):
            try:
                cases.append(self._one(item, number == len(node.items), report))
            except Wrong:
                failed = True
        if failed:
            raise Wrong
        return ClassCases(tuple(cases))

    def _by_value(self, node: MapNode, report: Report) -> ClassRule:
        fields = read_keys(node, self._map, report, "a conditional class")
        origin: Value = fields.need(self._map[0])
        rule = fields.need(self._map[1])
        for key, value in rule.entries.items():
            if not re.fullmatch(TABLE, value):
                report.add("bad-name", f'"{value[:40]}" (for {key}) is not the name of a class', rule.position)
                fields.failed = True
        if fields.failed:
            raise Wrong
        return ClassMap(origin, rule, fields.get(self._map[2]))

    def _one(self, node: Node, last: bool, report: Report) -> tuple[Condition | None, str]:
        fields = read_keys(node, self._case, report, "a case")
        when, use, otherwise = (cast(Key[Any], key) for key in self._case)
        if fields.has(otherwise):
            if not last or fields.has(when) or fields.has(use):
                raise report.stop("bad-case", "otherwise stands alone and last", node.position)
            return None, fields.need(otherwise)
        if not (fields.has(when) and fields.has(use)):
            fix = "{when: {os: {contains: linux}}, use: cmdb_ci_linux_server}"
            raise report.stop("missing-key", "A case needs when and use", node.position, fix)
        return fields.need(when), fields.need(use)

    def schema(self, named: dict[str, Schema]) -> Schema:
        if "class" not in named:
            named["class"] = {}
            case = {
                **object_schema(self._case, named),
                "dependentRequired": {"when": ["use"], "use": ["when"]},
                "dependentSchemas": {"otherwise": {"properties": {"when": False, "use": False}}},
                "minProperties": 1,
            }
            by_value = object_schema(self._map, named)
            by_value["properties"]["map"]["then"]["additionalProperties"] = CLASS.schema(named)
            named["class"] = {
                "type": ["string", "object", "array"],
                "if": {"type": "array"},
                "then": {"items": case, "minItems": 1},
                "else": {
                    "if": {"type": "object"},
                    "then": by_value,
                    "else": CLASS.schema(named),
                },
            }
        return {"$ref": "#/$defs/class"}


def classes_of(rule: ClassRule) -> tuple[str, ...]:
    """All classes that a rule may choose."""
    if isinstance(rule, str):
        return (rule,)
    if isinstance(rule, ClassMap):
        found = [*rule.map.entries.values(), *([rule.default] if rule.default else [])]
    else:
        found = [name for _, name in rule.cases]
    return tuple(dict.fromkeys(found))
