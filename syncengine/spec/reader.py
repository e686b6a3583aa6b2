"""What is noted while a spec is read, so that names can be checked once everything is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from syncengine.changes import Role
from syncengine.errors import Position, Problem
from syncengine.mapping.model import Column, Template, ValueMap
from syncengine.mapping.paths import column_use
from syncengine.mapping.templates import Use, parse, place
from syncengine.spec.nodes import Scalar
from syncengine.spec.report import Report, Wrong


class ColumnNote(msgspec.Struct, frozen=True):
    """A column that is read somewhere."""

    source: str
    each: tuple[Use, ...]
    """The lists that were entered, outermost first."""
    use: Use
    position: Position
    bare: str
    """The bare word, or empty for a name in a template."""
    field: str = ""
    """The field it is the value of, for messages."""
    keys: tuple[str, ...] = ()
    """The keys of the long form under which it stands, outermost first."""

    def written(self, value: str) -> str:
        """How a value is written in its place: `ram: VALUE`, `from: VALUE`, `where: {name: VALUE}`."""
        if not self.field:
            return value
        if not self.keys:
            return f"{self.field}: {value}"
        if len(self.keys) > 1 and self.keys[-2] == "where":
            return f"where: {{{self.keys[-1]}: {value}}}"
        return f"{self.keys[-1]}: {value}"


class StepNote(msgspec.Struct, frozen=True):
    """A reference to a step of this spec or another one."""

    spec: str | None
    step: str
    key_parts: int
    """Values of the key; -1 where the step as a whole is meant."""
    position: Position
    key_position: Position
    role: Role | None
    owner: str
    """The step that refers."""


class Reader(Report):
    """Collects problems and notes; knows the step that is being read."""

    name: str = ""
    """The spec's name."""
    maps: dict[str, ValueMap] = msgspec.field(default_factory=dict)
    sources: tuple[str, ...] = ()
    columns: list[ColumnNote] = msgspec.field(default_factory=list)
    steps: list[StepNote] = msgspec.field(default_factory=list)
    vars: list[tuple[str, Position]] = msgspec.field(default_factory=list)
    templates: int = 0
    step: str = ""
    source: str = ""
    each: tuple[Use, ...] = ()
    role: Role | None = None
    field: str = ""
    field_at: int = 0
    """How many keys stand above the field."""

    beside: Callable[[str], str] = str
    """The full name of another spec, which may be given relative to this one's folder."""

    def other_spec(self, name: str) -> str:
        """The full name of a spec that is referred to."""
        return self.beside(name)

    @contextmanager
    def within(self, each: Column | None) -> Iterator[None]:
        """Inside a list of the row."""
        before = self.each
        if each is not None:
            self.each = (*before, column_use(each.text, len(before)))
        try:
            yield
        finally:
            self.each = before

    @contextmanager
    def elsewhere(self, source: str) -> Iterator[None]:
        """At the rows of another source."""
        before = self.source, self.each, self.field
        self.source, self.each, self.field = source, (), ""
        try:
            yield
        finally:
            self.source, self.each, self.field = before

    def column(self, node: Scalar) -> Column:
        """A bare word, noted."""
        made = Column(node.text.strip(), node.position)
        use = column_use(made.text, len(self.each))
        self.columns.append(ColumnNote(self.source, self.each, use, node.position, made.text, *self._within_field()))
        return made

    def template(self, node: Scalar) -> Template:
        """A template, parsed and its names noted."""
        made = Template(node.text, node.position, node.block, not node.plain)
        self.templates += 1
        parsed = parse(made, len(self.each))
        if isinstance(parsed, Problem):
            self.problems.append(parsed)
            raise Wrong
        for use in parsed.uses:
            where = place(made, str(use.parts[0]) if use.kind == "vars" else _root(use, len(self.each)))
            if use.kind == "vars":
                self.vars.append((str(use.parts[0]), where))
            elif use.kind == "column":
                self.columns.append(ColumnNote(self.source, self.each, use, where, "", *self._within_field()))
        return made

    def _within_field(self) -> tuple[str, tuple[str, ...]]:
        return self.field, tuple(self.keys[self.field_at :]) if self.field else ()


def _root(use: Use, each: int) -> str:
    del each
    return str(use.parts[0]) if use.parts else use.shown
