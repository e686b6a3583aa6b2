"""Tests that stand in a spec: rows given, records expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncengine.mapping.paths import column_use
from syncengine.spec.keys import Key, object_schema, read_keys, unknown_key
from syncengine.spec.model import TestCase
from syncengine.spec.nodes import ListNode, MapNode, Node, Scalar, describe
from syncengine.spec.reader import ColumnNote, Reader
from syncengine.spec.report import Report, Wrong
from syncengine.spec.shapes import Flag, MapOf, Schema, Shape, Text
from syncengine.spec.wording import near


class RowsShape(Shape[tuple[Mapping[str, object], ...]]):
    """A list of mappings; texts keep their digits."""

    says = "a list of rows"

    def read(self, node: Node, report: Report) -> tuple[Mapping[str, object], ...]:
        if not isinstance(node, ListNode):
            raise self.expected(node, report)
        rows: list[Mapping[str, object]] = []
        for item in node.items:
            if not isinstance(item, MapNode):
                raise report.stop("wrong-type", f"Expected a mapping, found {describe(item)}", item.position)
            rows.append({key.text: plain(value) for key, value in item.pairs})
        return tuple(rows)

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {"type": "array", "items": {"type": "object"}}


def plain(node: Node) -> Any:
    """A node as plain values: texts, true, false, None, lists, mappings."""
    if isinstance(node, MapNode):
        return {key.text: plain(value) for key, value in node.pairs}
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    if node.kind == "null":
        return None
    if node.kind == "boolean":
        return node.text == "true"
    return node.text


def _note_columns(given: Node | None, sources: tuple[str, ...], note: Reader) -> None:
    """The columns of given rows: a row with a column that the source does not have would prove nothing."""
    for name, rows in given.pairs if isinstance(given, MapNode) else ():
        with note.elsewhere(sources[0] if name.text not in sources else name.text):
            for row in rows.items if isinstance(rows, ListNode) else ():
                for column, _ in row.pairs if isinstance(row, MapNode) else ():
                    use = column_use(column.text, 0)
                    note.columns.append(ColumnNote(note.source, (), use, column.position, column.text))


class RecordsShape(RowsShape):
    """What is expected of a step: only what is written is compared."""

    known = ("class", "key", "fields", "lookup", "related", "relations", "parent", "child")

    def read(self, node: Node, report: Report) -> tuple[Mapping[str, object], ...]:
        for item in node.items if isinstance(node, ListNode) else ():
            for key, _ in item.pairs if isinstance(item, MapNode) else ():
                if key.text not in self.known:
                    unknown_key(key, self.known, report, "an expected record")
                    raise Wrong
        return super().read(node, report)

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        one = {"type": "object", "properties": dict.fromkeys(self.known, True), "additionalProperties": False}
        return {"type": "array", "items": one}


_ROWS = RowsShape()
_RECORDS = RecordsShape()
_GIVEN = Key(
    "given",
    MapOf(_ROWS, "source"),
    "Rows by source; source is the name of the single one.",
    required=True,
    example="given: {source: [{name: SRV-1}]}",
)
_EXPECT = Key(
    "expect",
    MapOf(_RECORDS, "step"),
    "Records by step, in order; [] is none.",
    example="expect: {servers: [{key: S1}]}",
)
_FIND = Key(
    "find",
    MapOf(_ROWS, "table"),
    "Records of the instance, by table, for find_in.",
    example="find: {cmn_location: [{name: Paris, sys_id: abc}]}",
)
_ERROR = Key("expect_error", Text("a text"), "The row fails with a message that holds this.")
_EXACTLY = Key("exactly", Flag(), "true: fields that are not written must not be there.", default=False)
_VARS = Key("vars", MapOf(Text("a text", empty=True), "variable"), "Values for {{ vars.NAME }}.")
_NOW = Key("now", Text("a date", r"[0-9]{4}-[0-9]{2}-[0-9]{2}", must="YYYY-MM-DD"), "The day of the run: run.date.")
_KEYS = (_GIVEN, _FIND, _EXPECT, _ERROR, _EXACTLY, _VARS, _NOW)


def TESTS_SHAPE(named: dict[str, Schema]) -> Schema:  # noqa: N802
    """The schema of `tests:`."""
    if "test" not in named:
        named["test"] = {
            **object_schema(_KEYS, named),
            "dependentSchemas": {"expect": {"properties": {"expect_error": False}}},
            "if": {"not": {"required": ["expect"]}},
            "then": {"required": ["expect_error"]},
        }
    return {"type": "object", "additionalProperties": {"$ref": "#/$defs/test"}, "minProperties": 1}


def read_tests(
    node: Node | None, sources: tuple[str, ...], steps: tuple[str, ...], note: Reader
) -> tuple[TestCase, ...]:
    """The tests of a file."""
    if node is None:
        return ()
    if not isinstance(node, MapNode) or not node.pairs:
        note.add("wrong-type", f"Expected a mapping of tests, found {describe(node)}", node.position)
        return ()
    found = []
    for key, value in node.pairs:
        try:
            found.append(_case(key, value, sources, steps, note))
        except Wrong:
            continue
    return tuple(found)


def _case(key: Scalar, node: Node, sources: tuple[str, ...], steps: tuple[str, ...], note: Reader) -> TestCase:
    fields = read_keys(node, _KEYS, note, "a test")
    if fields.has(_EXPECT) == fields.has(_ERROR):
        both = " , not both" if fields.has(_EXPECT) else ""
        note.add("bad-test", f"A test says expect or expect_error{both}", fields.node.position, "expect: {servers: []}")
        fields.failed = True
    given = fields.get(_GIVEN) or {}
    names = (*sources, "source") if len(sources) == 1 else sources
    for part, known, what in (("given", names, "source"), ("expect", steps, "step")):
        inner = fields.node.get(part)
        for name, _ in inner.pairs if isinstance(inner, MapNode) else ():
            if name.text not in known:
                fix = near(name.text, known) or f"Here are: {', '.join(known)}"
                note.add(f"unknown-{what}", f'There is no {what} "{name.text[:60]}"', name.position, fix, name.text)
                fields.failed = True
    if fields.failed:
        raise Wrong
    _note_columns(fields.node.get("given"), sources, note)
    return TestCase(
        key.text,
        key.position,
        {sources[0] if name == "source" and len(sources) == 1 else name: rows for name, rows in given.items()},
        fields.get(_EXPECT) or {},
        fields.get(_ERROR),
        bool(fields.get(_EXACTLY)),
        fields.get(_VARS) or {},
        fields.get(_NOW),
        fields.get(_FIND) or {},
    )
