"""What may stand at a place of a file: read into typed values, and written as JSON Schema, from one description."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from syncengine.spec.nodes import ListNode, MapNode, Node, Scalar, describe, is_whole
from syncengine.spec.report import Report, Wrong
from syncengine.spec.wording import near, odd_letter, suggestion

T = TypeVar("T", covariant=True)
Schema = dict[str, Any]


class Shape(Generic[T]):
    """A kind of value; `says` names it in messages."""

    says: str = "a value"

    def read(self, node: Node, report: Report) -> T:
        """The value, or `Wrong` after its problem was reported."""
        raise NotImplementedError

    def schema(self, named: dict[str, Schema]) -> Schema:
        """Its JSON Schema; shapes with a name go into `named`."""
        raise NotImplementedError

    def expected(self, node: Node, report: Report) -> Wrong:
        """The problem of a value of another kind."""
        if isinstance(node, Scalar) and node.kind == "null":
            fix = (
                'Write "" for an empty text, or remove the key.'
                if "text" in self.says
                else "Write it, or remove the key."
            )
            return report.stop(
                "empty-value", f"There is nothing after the colon; expected {self.says}", node.position, fix
            )
        return report.stop("wrong-type", f"Expected {self.says}, found {describe(node)}", node.position)


@dataclass(frozen=True)
class Text(Shape[str]):
    """Text; numbers and `true` keep the digits and letters of the file."""

    says: str = "a text"
    pattern: str | None = None
    max_length: int | None = None
    must: str = ""
    """What the pattern means, in words."""
    empty: bool = False

    def read(self, node: Node, report: Report) -> str:
        if not isinstance(node, Scalar) or node.kind == "null":
            raise self.expected(node, report)
        text = node.text
        if not text.strip() and not self.empty:
            raise report.stop("empty-value", f"Expected {self.says}, found an empty text", node.position)
        if self.max_length is not None and len(text) > self.max_length:
            said = f"This is longer than {self.max_length} characters"
            raise report.stop("too-long", said, node.position, found=text)
        if self.pattern is not None and not re.fullmatch(self.pattern, text):
            odd = odd_letter(text)
            said = f"Expected {self.says}: {self.must or self.pattern}" + (f"; {odd}" if odd else "")
            raise report.stop("bad-name", said, node.position, found=text)
        return text

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        made: Schema = {"type": ["string", "number", "boolean"]}
        if self.pattern is not None:
            made = {"type": "string", "pattern": f"^(?:{self.pattern})$"}
        if self.max_length is not None:
            made["maxLength"] = self.max_length
        if not self.empty:
            made["minLength"] = 1
        return made


@dataclass(frozen=True)
class Choice(Shape[str]):
    """One of some words."""

    words: tuple[str, ...]

    @property
    def says(self) -> str:  # type: ignore[override]
        """The words."""
        return "one of: " + ", ".join(self.words)

    def read(self, node: Node, report: Report) -> str:
        if not isinstance(node, Scalar) or node.kind == "null":
            raise self.expected(node, report)
        if node.text not in self.words:
            said = f"Expected {self.says}; found {describe(node)}"
            raise report.stop("unknown-word", said, node.position, near(node.text, self.words))
        return node.text

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {"enum": list(self.words)}


@dataclass(frozen=True)
class Flag(Shape[bool]):
    """`true` or `false`."""

    says: str = "true or false"
    only: bool = False
    """Whether `true` is the one thing that makes sense."""

    def read(self, node: Node, report: Report) -> bool:
        if isinstance(node, Scalar) and node.kind == "boolean":
            return node.text == "true"
        if isinstance(node, Scalar) and node.text.lower() in {"yes", "no", "on", "off", "y", "n", "true", "false"}:
            word = "true" if node.text.lower() in {"yes", "on", "y", "true"} else "false"
            said = f"Write true or false; {node.text} is a text"
            raise report.stop("wrong-type", said, node.position, f"Write {word}.")
        raise self.expected(node, report)

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {"const": True} if self.only else {"type": "boolean"}


@dataclass(frozen=True)
class Whole(Shape[int]):
    """A whole number in a range."""

    least: int
    most: int

    @property
    def says(self) -> str:  # type: ignore[override]
        """The range."""
        return f"a whole number from {self.least} to {self.most}"

    def read(self, node: Node, report: Report) -> int:
        if not isinstance(node, Scalar) or node.kind == "null":
            raise self.expected(node, report)
        if node.text.lower().lstrip("+-") in {".inf", ".nan"}:
            raise report.stop("wrong-type", f"Expected {self.says}; this is not a finite number", node.position)
        if not node.plain or not is_whole(node.text) or len(node.text) > 18:
            raise self.expected(node, report)
        number = int(node.text)
        if not self.least <= number <= self.most:
            raise report.stop("out-of-range", f"Expected {self.says}, found {number}", node.position)
        return number

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?(s|m|h|d|w|seconds?|minutes?|hours?|days?|weeks?)")


@dataclass(frozen=True)
class Duration(Shape[float]):
    """A length of time, in seconds."""

    says: str = "a duration such as 30s, 15 minutes, 12h or 2 days"

    def read(self, node: Node, report: Report) -> float:
        found = _DURATION.fullmatch(node.text) if isinstance(node, Scalar) else None
        if found is None:
            raise self.expected(node, report)
        return float(found[1]) * _UNITS[found[2][0]]

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {"type": "string", "pattern": f"^(?:{_DURATION.pattern})$"}


@dataclass(frozen=True)
class ListOf(Shape[tuple[T, ...]]):
    """A list; with `one`, a single value stands for a list of one."""

    inner: Shape[T]
    one: bool = False
    least: int = 0

    @property
    def says(self) -> str:  # type: ignore[override]
        """What it lists."""
        return f"{self.inner.says} or a list" if self.one else "a list"

    def read(self, node: Node, report: Report) -> tuple[T, ...]:
        if not isinstance(node, ListNode):
            if self.one and not (isinstance(node, Scalar) and node.kind == "null"):
                return (self.inner.read(node, report),)
            raise self.expected(node, report)
        if len(node.items) < self.least:
            raise report.stop("empty-list", "This list is empty", node.position)
        found: list[T] = []
        failed = False
        for item in node.items:
            try:
                found.append(self.inner.read(item, report))
            except Wrong:
                failed = True
        if failed:
            raise Wrong
        return tuple(found)

    def schema(self, named: dict[str, Schema]) -> Schema:
        inner = self.inner.schema(named)
        listed: Schema = {"type": "array", "items": inner}
        if self.least:
            listed["minItems"] = self.least
        if not self.one:
            return listed
        return {"if": {"type": "array"}, "then": listed, "else": inner}


@dataclass(frozen=True)
class MapOf(Shape[dict[str, T]]):
    """A mapping from names that the author chooses."""

    inner: Shape[T]
    what: str = "name"
    pattern: str | None = None
    must: str = ""
    least: int = 0

    says = "a mapping"

    def pairs(self, node: Node, report: Report) -> Iterator[tuple[Scalar, T]]:
        """The pairs that could be read; raises `Wrong` at the end if one could not."""
        if not isinstance(node, MapNode):
            raise self.expected(node, report)
        if len(node.pairs) < self.least:
            raise report.stop("empty-mapping", "This mapping is empty", node.position)
        failed = False
        for key, value in node.pairs:
            self.name(key, report)
            try:
                with report.under(key.text):
                    read = self.inner.read(value, report)
            except Wrong:
                failed = True
                continue
            yield key, read
        if failed:
            raise Wrong

    def name(self, key: Scalar, report: Report) -> None:
        """Checks one name."""
        if self.pattern is not None and not re.fullmatch(self.pattern, key.text):
            odd = odd_letter(key.text)
            said = f'"{key.text[:40]}" cannot be the name of a {self.what}: {self.must}' + (f"; {odd}" if odd else "")
            report.add("bad-name", said, key.position, suggestion(key.text))

    def read(self, node: Node, report: Report) -> dict[str, T]:
        return {key.text: value for key, value in self.pairs(node, report)}

    def schema(self, named: dict[str, Schema]) -> Schema:
        made: Schema = {"type": "object", "additionalProperties": self.inner.schema(named)}
        if self.pattern is not None:
            made["propertyNames"] = {"pattern": f"^(?:{self.pattern})$"}
        if self.least:
            made["minProperties"] = self.least
        return made


@dataclass(frozen=True)
class Either(Shape[T]):
    """A short form (a scalar or list) and a long form (a mapping) of one thing."""

    short: Shape[T]
    long: Shape[T]

    @property
    def says(self) -> str:  # type: ignore[override]
        """Both forms."""
        return f"{self.short.says} or {self.long.says}"

    def read(self, node: Node, report: Report) -> T:
        if isinstance(node, MapNode):
            return self.long.read(node, report)
        return self.short.read(node, report)

    def schema(self, named: dict[str, Schema]) -> Schema:
        return {"if": {"type": "object"}, "then": self.long.schema(named), "else": self.short.schema(named)}
