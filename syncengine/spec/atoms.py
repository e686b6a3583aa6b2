"""The smallest shapes: columns, templates, maps, patterns, time zones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast
from zoneinfo import available_timezones

from syncengine.errors import Position
from syncengine.mapping import operators, words
from syncengine.mapping.model import (
    Column,
    Const,
    Value,
    ValueMap,
)
from syncengine.mapping.values import fold, zone
from syncengine.spec.nodes import ListNode, MapNode, Node, Scalar, describe, is_number
from syncengine.spec.reader import Reader
from syncengine.spec.report import Report, Wrong
from syncengine.spec.shapes import Choice, Schema, Shape, Text
from syncengine.spec.wording import near

NAME = r"[a-z][a-z0-9_]{0,59}"
NAME_MUST = "small letters, digits and _, beginning with a letter"
TABLE = r"[a-z][a-z0-9_]{0,79}"
TABLE_MUST = "letters, digits and _ only"
FIELD = r"[A-Za-z][A-Za-z0-9_]{0,79}"

IF_MISSING = Choice(("error", "omit", "skip_row"))
IF_EMPTY = Choice(("omit", "clear", "error", "skip_row"))


def reader(report: Report) -> Reader:
    """The report of a spec notes columns and steps."""
    return cast(Reader, report)


def is_template(text: str) -> bool:
    """Whether a text holds Jinja2."""
    return "{{" in text or "{%" in text or "{#" in text


class Bare(Shape[Value]):
    """A column, a template, or a number or boolean that stands for itself."""

    says = "a column, a template or a number"

    def read(self, node: Node, report: Report) -> Value:
        if not isinstance(node, Scalar) or node.kind == "null":
            raise self.expected(node, report)
        if not node.text.strip():
            fix = "Remove the key, or write  {clear: true}  to empty the field."
            raise report.stop("empty-value", "An empty text is no value", node.position, fix)
        if "${" in node.text:
            fix = "{{ vars.NAME }} for a variable; secrets are named in environment files only."
            raise report.stop("no-substitution", "There is no ${...} in a spec", node.position, fix, node.text)
        if is_template(node.text):
            return reader(report).template(node)
        if is_number(node.text) or node.text in {"true", "false"}:
            return Const(node.text, node.position)
        return reader(report).column(node)

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {"type": ["string", "number", "boolean"], "minLength": 1, "pattern": r"^(?!.*\$\{)"}


class ColumnName(Shape[Column]):
    """A column or a path, nothing else."""

    says = "a column"

    def read(self, node: Node, report: Report) -> Column:
        if not isinstance(node, Scalar) or node.kind == "null" or not node.text.strip():
            raise self.expected(node, report)
        if is_template(node.text):
            raise report.stop("wrong-type", "Expected the name of a column, found a template", node.position)
        return reader(report).column(node)

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {"type": "string", "minLength": 1}


class MapRule(Shape[ValueMap]):
    """The name of a map, or a map written in place."""

    says = "the name of a map, or a map"

    def read(self, node: Node, report: Report) -> ValueMap:
        if isinstance(node, MapNode):
            return read_entries(node, report, "")
        if isinstance(node, ListNode) or node.kind == "null":
            raise self.expected(node, report)
        maps = reader(report).maps
        if node.text not in maps:
            known = ", ".join(sorted(maps)) or "none"
            fix = near(node.text, tuple(maps)) or f"The maps of this spec: {known}"
            raise report.stop("unknown-map", f'There is no map "{node.text[:60]}"', node.position, fix, node.text)
        return maps[node.text]

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {
            "type": ["string", "object"],
            "if": {"type": "object"},
            "then": {"additionalProperties": {"type": ["string", "number", "boolean"]}, "minProperties": 1},
        }


def read_entries(node: MapNode, report: Report, name: str) -> ValueMap:
    """The entries of a map; keys that are equal without case are an error."""
    entries: dict[str, str] = {}
    seen: dict[str, Scalar] = {}
    failed = False
    if not node.pairs:
        raise report.stop("empty-mapping", "This map is empty", node.position)
    for key, value in node.pairs:
        first = seen.setdefault(fold(key.text), key)
        if first is not key:
            said = f'"{key.text}" and "{first.text}" (line {first.position.line}) are one word: maps ignore case'
            report.add("duplicate-key", said, key.position, "Keep one of the two.")
            failed = True
        if not isinstance(value, Scalar) or value.kind == "null" or not value.text:
            report.add(
                "wrong-type",
                f"Expected a text, found {describe(value)}",
                value.position,
                "To send nothing, say  unmapped: empty.",
            )
            failed = True
        else:
            entries[key.text] = value.text
    if failed:
        raise Wrong
    return ValueMap(name, entries, node.position)


def check_pattern(text: str, position: Position, report: Report) -> None:
    """Note a pattern that is none, or that may not be used; raises `Wrong`."""
    try:
        words.pattern(text)
    except operators.Wrong as wrong:
        raise report.stop(wrong.code, wrong.message, position, found=text) from None


@dataclass(frozen=True)
class Pattern(Text):
    """A regular expression."""

    says: str = "a regular expression"

    def read(self, node: Node, report: Report) -> str:
        text = super().read(node, report)
        check_pattern(text, node.position, report)
        return text


@dataclass(frozen=True)
class Zone(Text):
    """A time zone of the IANA list."""

    says: str = "a time zone such as Europe/Paris"

    def read(self, node: Node, report: Report) -> str:
        text = super().read(node, report)
        if zone(text) is None:
            fix = near(text, tuple(sorted(available_timezones()))) or "Such as Europe/Paris or UTC."
            raise report.stop("unknown-timezone", f'There is no time zone "{text[:40]}"', node.position, fix, text)
        return text
