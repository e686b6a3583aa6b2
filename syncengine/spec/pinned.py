"""What a plan keeps of the files that it was made from: a hash of what it depends on, and of nothing else.

Comments, indentation, the kind of quotes and the order of files do not count; neither does what only people and tests
read. So a plan that was reviewed stays good when a test is added to its spec, and no longer when a value changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import orjson

from syncengine.spec.nodes import ListNode, MapNode, Node, Scalar

_OF_A_SPEC = frozenset({"description", "owner", "tags", "tests"})
_OF_A_PROJECT = frozenset({"data_source", "defaults", "guards", "vars"})


def of_project(node: MapNode) -> str:
    """The hash of what a project's file says about every spec."""
    return hashlib.sha256(_bytes([(key, value) for key, value in node.pairs if key.text in _OF_A_PROJECT])).hexdigest()


def of_spec(node: MapNode, shared: list[MapNode], project: str) -> str:
    """The hash of a spec, of the shared files that it uses, in their order, and of what its project says."""
    digest = hashlib.sha256(project.encode())
    for one in (node, *shared):
        # what begins with x- is there to be repeated elsewhere, and counts where it is
        kept = [
            (key, value) for key, value in one.pairs if key.text not in _OF_A_SPEC and not key.text.startswith("x-")
        ]
        digest.update(_bytes(kept) + b"\n")
    return digest.hexdigest()


def in_environment(digest: str, variables: Mapping[str, str]) -> str:
    """The hash of a spec under the variables of an environment; without any it is that of the spec."""
    if not variables:
        return digest
    return hashlib.sha256(digest.encode() + orjson.dumps(sorted(variables.items()))).hexdigest()


def _bytes(pairs: list[tuple[Scalar, Node]]) -> bytes:
    return orjson.dumps([[_content(key), _content(value)] for key, value in pairs])


def _content(node: Node) -> list[object]:
    """A node without its place; a bare word is a column and a quoted one a text, so that is kept."""
    if isinstance(node, MapNode):
        return ["map", *([_content(key), _content(value)] for key, value in node.pairs)]
    if isinstance(node, ListNode):
        return ["list", *map(_content, node.items)]
    return ["text", node.text, node.plain, node.block]
