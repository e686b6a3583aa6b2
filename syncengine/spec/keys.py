"""Mappings with known keys: each key described once, read into a typed value and written as JSON Schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol

from syncengine.errors import Position
from syncengine.spec.nodes import MapNode, Node, Scalar, describe
from syncengine.spec.report import Report, Wrong
from syncengine.spec.shapes import Schema, Shape, T
from syncengine.spec.wording import close_to, near, odd_letter


@dataclass(frozen=True)
class Key(Generic[T]):
    """A key of a mapping: its shape, and one sentence that says what it does."""

    name: str
    shape: Shape[T]
    doc: str
    required: bool = False
    default: Any = None
    """As the documentation shows it; None where there is none."""
    example: str = ""
    """A line to paste."""


class AnyKey(Protocol):
    """A key of any type, for lists of keys."""

    @property
    def name(self) -> str: ...
    @property
    def doc(self) -> str: ...
    @property
    def required(self) -> bool: ...
    @property
    def default(self) -> Any: ...
    @property
    def example(self) -> str: ...
    @property
    def shape(self) -> Shape[Any]: ...


class Fields:
    """The keys of a mapping that could be read."""

    def __init__(self, node: MapNode) -> None:
        self.node = node
        self._values: dict[str, Any] = {}
        self.failed = False
        self.meant: set[str] = set()
        """Absent keys that an unknown key was probably meant to be."""

    def put(self, name: str, value: object) -> None:
        self._values[name] = value

    def get(self, key: Key[T]) -> T | None:
        """The value of a key; None where it is absent or wrong."""
        value: T | None = self._values.get(key.name)
        return value

    def need(self, key: Key[T]) -> T:
        """The value of a required key; `Wrong` where it is absent or wrong, which was reported."""
        if key.name not in self._values:
            raise Wrong
        value: T = self._values[key.name]
        return value

    def has(self, key: AnyKey) -> bool:
        """Whether the key is written."""
        return self.node.get(key.name) is not None

    def position(self, key: AnyKey) -> Position:
        """The place of a key's value, or of the mapping."""
        value = self.node.get(key.name)
        return self.node.position if value is None else value.position


def read_keys(
    node: Node, keys: Sequence[AnyKey], report: Report, what: str, *, at: Position | None = None, extra: str = ""
) -> Fields:
    """The keys of a mapping; reports unknown and missing ones, and reads on where one is wrong."""
    if not isinstance(node, MapNode):
        raise report.stop("wrong-type", f"Expected {what}, found {describe(node)}", node.position)
    known = {key.name: key for key in keys}
    fields = Fields(node)
    for key, _ in node.pairs:
        if key.text not in known and not (extra and key.text.startswith(extra)):
            unknown_key(key, tuple(known), report, what)
            fields.failed = True
            fields.meant.update(one for one in close_to(key.text, tuple(known)) if node.get(one) is None)
    for name, declared in known.items():
        value = node.get(name)
        if value is None:
            if declared.required and name in fields.meant:
                fields.failed = True
            elif declared.required:
                fix = declared.example or f"{name}: ..."
                report.add(
                    "missing-key", f"{what[:1].upper()}{what[1:]} needs the key {name}", at or node.position, fix
                )
                fields.failed = True
            continue
        try:
            with report.under(name):
                fields.put(name, declared.shape.read(value, report))
        except Wrong:
            fields.failed = True
    return fields


def unknown_key(key: Scalar, known: Sequence[str], report: Report, what: str) -> None:
    """Reports a key that is none of the known ones."""
    if key.text.casefold() in _SECRETS:
        said = f'"{key.text}" must not be written here: secrets are named in environment files'
        report.add("secret-in-file", said, key.position, f"{key.text}: {{env: NAME}}   under auth of a connection")
        return
    close = near(key.text, known)
    odd = odd_letter(key.text)
    article = what if what.startswith(("a ", "an ", "the ")) or what in _PLAIN else f"a {what}"
    said = f'"{key.text[:60]}" is not a key of {article}' + (f"; it {odd}" if odd else "")
    report.add("unknown-key", said, key.position, close or "Keys: " + ", ".join(sorted(known)), key.text)


_SECRETS = frozenset({"password", "passwd", "token", "client_secret", "secret", "api_key", "apikey", "private_key"})
_PLAIN = frozenset({"defaults", "guards", "reclassify", "vanished", "auth", "protect"})


@dataclass(frozen=True)
class Mapped(Shape[T]):
    """A mapping with known keys, built into a typed value."""

    name: str
    """Its name among the schema's definitions."""
    what: str
    """What messages call it: `a cmdb step`."""
    keys: tuple[AnyKey, ...]
    build: Callable[[Fields, Report], T]
    extra: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further words of JSON Schema."""

    @property
    def says(self) -> str:  # type: ignore[override]
        """What it is."""
        return self.what

    def read(self, node: Node, report: Report) -> T:
        return self.build(read_keys(node, self.keys, report, self.what, extra=self.extra), report)

    def schema(self, named: dict[str, Schema]) -> Schema:
        if self.name not in named:
            named[self.name] = {}
            named[self.name] = {**object_schema(self.keys, named, self.extra), **self.more}
        return {"$ref": f"#/$defs/{self.name}"}


def object_schema(keys: Sequence[AnyKey], named: dict[str, Schema], extra: str = "") -> Schema:
    """The JSON Schema of a mapping with known keys."""
    made: Schema = {"type": "object", "properties": {key.name: key_schema(key, named) for key in keys}}
    required = [key.name for key in keys if key.required]
    if required:
        made["required"] = required
    if extra:
        made["patternProperties"] = {f"^{extra}": {"title": "Ignored"}}
    made["unevaluatedProperties"] = False
    return made


def key_schema(key: AnyKey, named: dict[str, Schema]) -> Schema:
    """The schema of a key: its shape with title, description, default and example."""
    made = {"title": key.name, "description": key.doc, **key.shape.schema(named)}
    if key.default is not None:
        made["default"] = key.default
    if key.example:
        made["examples"] = [key.example]
    return made
