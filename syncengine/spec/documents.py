"""Files that people write, to nodes: bytes, text, YAML.

The C parser gives events; the tree is composed here, because every guard must hold while it grows: depth, expanded
size, duplicate keys, tags.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from syncengine.errors import Position, Problem, SpecError
from syncengine.spec.nodes import ListNode, MapNode, Node, Scalar, describe
from syncengine.spec.syntax import syntax_problem, unquoted_braces

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 50_000

_SUSPECT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffc]")


class _Stop(Exception):
    """A fault of the file that ends its reading."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


def read_bytes(path: Path, shown: str, *, limit: int = MAX_BYTES) -> bytes:
    """The bytes of a file that a person wrote; SpecError for what is no regular file, too big, or cannot be read."""
    try:
        if path.is_dir():
            raise SpecError(Problem("unreadable-file", f"{shown} is a directory, not a file", shown))
        if not path.exists():
            raise SpecError(Problem("file-not-found", f"There is no file {shown}", shown))
        if not path.is_file():
            raise SpecError(Problem("unreadable-file", f"{shown} is not a regular file", shown))
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise SpecError(Problem("unreadable-file", f"{shown} cannot be read: {reason}", shown)) from None
    if len(data) > limit:
        raise SpecError(
            Problem(
                "file-too-big",
                f"{shown} is larger than {limit // 1024} KiB, the limit for a file that people write",
                Position(shown, 1, 1),
                fix="Split it, or move the data into a CSV or JSON file.",
            )
        )
    return data


def decode(data: bytes, shown: str) -> str:
    """Text of a YAML file: UTF-8, with or without BOM; every line end becomes one newline.

    SpecError, with the place, for another encoding and for characters that nobody sees.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SpecError(
            Problem(
                "not-utf-8", "This file is UTF-16; save it as UTF-8", Position(shown, 1, 1), fix="Save it as UTF-8."
            )
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        raise SpecError(
            Problem(
                "not-utf-8",
                f"This is not UTF-8: byte 0x{data[error.start]:02X} at line {line}, column {column}",
                Position(shown, line, column),
                fix="Save the file as UTF-8.",
            )
        ) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    found = _SUSPECT.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - (text.rfind("\n", 0, found.start()) + 1) + 1
        name = f"U+{ord(found.group()):04X}"
        word = unicodedata.name(found.group(), "a control character").lower()
        raise SpecError(
            Problem(
                "invisible-character",
                f"The character {name} ({word}) is not allowed here",
                Position(shown, line, column),
                fix=f'Remove it, or write it as an escape in double quotes: "\\u{ord(found.group()):04x}".',
            )
        )
    return text


def compose(text: str, shown: str) -> MapNode:
    """The one document of a YAML text, as a mapping; SpecError with a place."""
    try:
        return _Composer(text, shown).document()
    except _Stop as stop:
        raise SpecError(stop.problem) from None


class _Composer:
    def __init__(self, text: str, shown: str) -> None:
        self.text = text
        self.shown = shown
        self.events = self._events()
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.open: set[str] = set()
        self.size = 0
        self.lines = text.count("\n") + 1

    def _events(self) -> Iterator[yaml.Event]:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            yield from yaml.parse(self.text, Loader=loader)
        except yaml.MarkedYAMLError as error:
            raise _Stop(syntax_problem(error, self.text, self.shown)) from None
        except (yaml.YAMLError, ValueError, RecursionError):
            raise _Stop(Problem("yaml-syntax", "This is not YAML", Position(self.shown, 1, 1))) from None

    def document(self) -> MapNode:
        root: Node | None = None
        started = False
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if started:
                    raise self._stop("two-documents", "One document per file; a second one starts here", event)
                started = True
            elif isinstance(event, (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentEndEvent)):
                continue
            else:
                root = self._node(event, 1)
        if root is None or (isinstance(root, Scalar) and root.kind == "null"):
            raise _Stop(
                Problem(
                    "empty-file",
                    "This file is empty; a spec has the keys syncengine, source and steps",
                    Position(self.shown, 1, 1),
                    fix="syncengine: 1\nsource: servers.csv\nsteps: ...",
                )
            )
        if not isinstance(root, MapNode):
            raise _Stop(
                Problem("not-a-mapping", f"Expected a mapping at the top level, found {describe(root)}", root.position)
            )
        return root

    def _stop(self, code: str, message: str, event: Any, fix: str = "") -> _Stop:
        mark = event.start_mark
        return _Stop(Problem(code, message, Position(self.shown, mark.line + 1, mark.column + 1), fix=fix))

    def _grow(self, by: int, event: Any) -> None:
        self.size += by
        if self.size > MAX_NODES:
            raise self._stop("too-many-nodes", f"This file expands to more than {MAX_NODES} nodes", event)

    def _node(self, event: Any, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self._stop("too-deep", f"Nested deeper than {MAX_DEPTH} levels", event)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in self.open:
                raise self._stop("anchor-in-itself", f'The anchor "{event.anchor}" contains itself', event)
            if event.anchor not in self.anchors:
                raise self._stop("unknown-anchor", f'There is no anchor "&{event.anchor}" before this place', event)
            node, size = self.anchors[event.anchor]
            self._grow(size, event)
            return node
        if event.tag is not None and not (event.tag == "!" and isinstance(event, yaml.ScalarEvent)):
            raise self._stop(
                "tag", "Tags are not allowed", event, "Remove the word that starts with an exclamation mark."
            )
        before = self.size
        self._grow(1, event)
        anchor: str | None = event.anchor
        if anchor:
            self.open.add(anchor)
        node = self._content(event, depth)
        if anchor:
            self.open.discard(anchor)
            self.anchors[anchor] = (node, self.size - before)
        return node

    def _content(self, event: Any, depth: int) -> Node:
        position = self._position(event)
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(event.value, not event.style, position, event.style in {"|", ">"})
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(inner := next(self.events), yaml.SequenceEndEvent):
                items.append(self._node(inner, depth + 1))
            return ListNode(tuple(items), position)
        own: list[tuple[Scalar, Node]] = []
        merged: list[tuple[Scalar, Node]] = []
        while not isinstance(inner := next(self.events), yaml.MappingEndEvent):
            key = self._node(inner, depth + 1)
            value = self._node(next(self.events), depth + 1)
            if not isinstance(key, Scalar):
                raise self._bad_key(key, inner)
            if key.text == "<<" and key.plain:
                merged.extend(self._merge(value, inner))
            else:
                if key.kind != "text":
                    quoted = f'"{key.text}"'
                    raise self._stop("key-not-text", f"Keys are text; quote it: {quoted}", inner, fix=f"{quoted}: ...")
                own.append((key, value))
        return MapNode(self._unique(own, merged), position)

    def _position(self, event: Any) -> Position:
        """Where an event begins; the parser puts an empty value at the end one line too far."""
        if event.start_mark.line >= self.lines:
            return Position(self.shown, self.lines, len(self.text.rpartition("\n")[2]) + 1)
        return Position(self.shown, event.start_mark.line + 1, event.start_mark.column + 1)

    def _bad_key(self, key: Node, event: Any) -> _Stop:
        number = event.start_mark.line + 1
        line = self.text.split("\n")[number - 1]
        if isinstance(key, MapNode) and (problem := unquoted_braces([*[""] * (number - 1), line], number, self.shown)):
            return _Stop(problem)
        return self._stop("key-not-text", f"Keys are text, not {describe(key)}", event)

    def _merge(self, value: Node, event: Any) -> list[tuple[Scalar, Node]]:
        parts = value.items if isinstance(value, ListNode) else (value,)
        pairs: list[tuple[Scalar, Node]] = []
        for part in parts:
            if not isinstance(part, MapNode):
                raise self._stop("bad-merge", "<< takes a mapping or a list of mappings", event)
            pairs.extend(part.pairs)
        return pairs

    def _unique(
        self, own: list[tuple[Scalar, Node]], merged: list[tuple[Scalar, Node]]
    ) -> tuple[tuple[Scalar, Node], ...]:
        seen: dict[str, Scalar] = {}
        for key, _ in own:
            name = unicodedata.normalize("NFC", key.text)
            first = seen.get(name)
            if first is not None:
                raise _Stop(
                    Problem(
                        "duplicate-key",
                        f'The key "{key.text}" is here twice; the first is on line {first.position.line}',
                        key.position,
                        fix="Keep one of the two.",
                    )
                )
            seen[name] = key
        if not merged:
            return tuple(own)
        pairs = list(own)
        for key, value in merged:
            if key.text not in seen:
                seen[key.text] = key
                pairs.append((key, value))
        return tuple(pairs)
