"""Files of `kind: tests`: the tests of a spec in a file of their own."""

from __future__ import annotations

from syncengine.spec.files import DESCRIPTION, VERSION, kind_key
from syncengine.spec.keys import AnyKey, Key
from syncengine.spec.nodes import Node
from syncengine.spec.report import Report
from syncengine.spec.shapes import Schema, Shape, Text
from syncengine.spec.tests import TESTS_SHAPE


class _Tests(Shape[Node]):
    """Kept as a node until the spec is known."""

    says = "a mapping of tests"

    def read(self, node: Node, report: Report) -> Node:
        del report
        return node

    def schema(self, named: dict[str, Schema]) -> Schema:
        return TESTS_SHAPE(named)


SPEC = Key(
    "spec",
    Text("a path"),
    "The spec that is tested, relative to this file.",
    required=True,
    example="spec: ../../specs/servers.yaml",
)
TESTS = Key(
    "tests", _Tests(), "Tests by title.", required=True, example="tests: {a server is sent: {given: ..., expect: ...}}"
)
SUITE_KEYS: tuple[AnyKey, ...] = (VERSION, kind_key("tests"), DESCRIPTION, SPEC, TESTS)
