"""Nodes of a YAML text: each knows its file, line and column.

The dialect is YAML 1.2 core, narrowed: `true` and `false` are the only booleans, `null` and `~` the only nulls, and
numbers keep their text.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from syncengine.errors import Position

_NUMBER = re.compile(r"[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|0x[0-9a-fA-F]+|0o[0-7]+")
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")

Kind = Literal["text", "number", "boolean", "null"]


class Scalar(msgspec.Struct, frozen=True, eq=False):
    """One word or text; `plain` says that it stood without quotes."""

    text: str
    plain: bool
    position: Position
    block: bool = False
    """Whether it was written with | or >, over several lines."""

    @property
    def kind(self) -> Kind:
        """What a plain reading of YAML 1.2 core, narrowed, makes of it."""
        if not self.plain:
            return "text"
        if self.text in {"", "~", "null"}:
            return "null"
        if self.text in {"true", "false"}:
            return "boolean"
        return "number" if is_number(self.text) else "text"


class ListNode(msgspec.Struct, frozen=True, eq=False):
    """A list."""

    items: tuple[Node, ...]
    position: Position


class MapNode(msgspec.Struct, frozen=True, eq=False):
    """A mapping; keys are text, in the order of the file, without duplicates."""

    pairs: tuple[tuple[Scalar, Node], ...]
    position: Position

    def get(self, name: str) -> Node | None:
        """The value under a key, if it is there."""
        return next((value for key, value in self.pairs if key.text == name), None)

    def key(self, name: str) -> Scalar | None:
        """The key itself, for its position."""
        return next((key for key, _ in self.pairs if key.text == name), None)


Node = Scalar | ListNode | MapNode


def is_number(text: str) -> bool:
    """Whether a text is a number as people type it: it stands for itself, digit for digit."""
    return bool(_NUMBER.fullmatch(text))


def is_whole(text: str) -> bool:
    """Whether a text is a whole number without a leading zero."""
    return bool(_WHOLE.fullmatch(text))


def describe(node: Node) -> str:
    """What stands there, in words of people: `the text "many"`, `a list`."""
    if isinstance(node, MapNode):
        return "a mapping"
    if isinstance(node, ListNode):
        return "a list"
    match node.kind:
        case "null":
            return "nothing"
        case "number":
            return f"the number {node.text[:40]}"
        case "boolean":
            return node.text
        case _:
            return f'the text "{node.text[:40]}"'
