"""Conditions: Jinja tests, or columns with what they must be."""

from __future__ import annotations

import re
from typing import cast

from syncengine.mapping.model import (
    Column,
    Condition,
    Operator,
    Test,
    Tests,
)
from syncengine.spec.atoms import check_pattern, is_template, reader
from syncengine.spec.keys import unknown_key
from syncengine.spec.nodes import MapNode, Node, Scalar, describe
from syncengine.spec.report import Report, Wrong
from syncengine.spec.shapes import Flag, ListOf, Schema, Shape, Text

_OPERATORS = ("not", "contains", "starts_with", "matches", "empty", "above", "below")
_OPERANDS: Shape[tuple[str, ...]] = ListOf(Text("a text"), one=True, least=1)


class ConditionShape(Shape[Condition]):
    """A Jinja test, or columns with what they must be."""

    says = "a condition such as {state: active}"

    def read(self, node: Node, report: Report) -> Condition:
        if isinstance(node, Scalar) and node.kind != "null":
            if not is_template(node.text):
                fix = f'when: {{{node.text[:40]}: {{empty: false}}}}  or  when: "{{{{ {node.text[:40]} }}}}"'
                raise report.stop("wrong-type", f"Expected a condition, found {describe(node)}", node.position, fix)
            return reader(report).template(node)
        if not isinstance(node, MapNode):
            raise self.expected(node, report)
        if not node.pairs:
            raise report.stop("empty-mapping", "This condition is empty", node.position)
        tests: list[Test] = []
        failed = False
        for key, value in node.pairs:
            if key.text in {"any", "all", "or", "and"} and not isinstance(value, Scalar):
                fix = "when: \"{{ a == 'x' or b == 'y' }}\""
                report.add("unknown-key", f"Conditions have no {key.text}: write Jinja for it", key.position, fix)
                failed = True
                continue
            try:
                column = reader(report).column(key)
                tests.extend(self._tests(column, value, report))
            except Wrong:
                failed = True
        if failed:
            raise Wrong
        return Tests(tuple(tests))

    def _tests(self, column: Column, node: Node, report: Report) -> list[Test]:
        if not isinstance(node, MapNode):
            return [Test(column, "is", _OPERANDS.read(node, report), column.position)]
        if not node.pairs:
            raise report.stop("empty-mapping", "This condition is empty", node.position)
        tests = []
        for key, value in node.pairs:
            if key.text not in _OPERATORS:
                unknown_key(key, _OPERATORS, report, "a condition")
                raise Wrong
            operands = self._operands(key.text, value, report)
            tests.append(Test(column, cast(Operator, key.text), operands, column.position))
        return tests

    def _operands(self, operator: str, node: Node, report: Report) -> tuple[str, ...]:
        if operator == "empty":
            return ("true" if Flag().read(node, report) else "false",)
        if operator in {"above", "below"}:
            if not isinstance(node, Scalar) or not re.fullmatch(r"[-+]?[0-9]{1,15}(\.[0-9]{1,15})?", node.text):
                raise report.stop("wrong-type", f"Expected a number, found {describe(node)}", node.position)
            return (node.text,)
        if operator == "matches":
            text = Text("a regular expression").read(node, report)
            check_pattern(text, node.position, report)
            return (text,)
        return _OPERANDS.read(node, report)

    def schema(self, named: dict[str, Schema]) -> Schema:
        if "condition" not in named:
            words_: Schema = {
                "type": ["string", "number", "boolean", "array"],
                "items": {"type": ["string", "number", "boolean"]},
                "minItems": 1,
            }
            number: Schema = {"type": "number"}
            named["condition"] = {
                "title": "condition",
                "description": "A Jinja2 test, or columns with what they must be; all must hold.",
                "type": ["string", "object"],
                "pattern": r"\{[{%]",
                "minProperties": 1,
                "additionalProperties": {
                    "if": {"type": "object"},
                    "then": {
                        "properties": {
                            "not": words_,
                            "contains": words_,
                            "starts_with": words_,
                            "matches": {"type": "string"},
                            "empty": {"type": "boolean"},
                            "above": number,
                            "below": number,
                        },
                        "additionalProperties": False,
                        "minProperties": 1,
                    },
                    "else": words_,
                },
            }
        return {"$ref": "#/$defs/condition"}


CONDITION = ConditionShape()
