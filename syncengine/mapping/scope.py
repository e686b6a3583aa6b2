"""What the generated code of a body may name: constants, columns of its rows, cells that Jinja2 fills."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from jinja2 import nodes

from syncengine.changes import Find, StepRef
from syncengine.errors import Position, SpecError
from syncengine.mapping import operators, templates
from syncengine.mapping.batches import Cells, operations
from syncengine.mapping.expressions import Code, Printer
from syncengine.mapping.lookups import Tables
from syncengine.mapping.model import RESERVED_WORDS, Column, IfEmpty, Style, Template
from syncengine.mapping.paths import column_use
from syncengine.mapping.rewriting import Rewriter
from syncengine.mapping.templates import Parsed, Use
from syncengine.mapping.values import cleaner, descend, listed, walk


@dataclass(frozen=True, slots=True)
class Setting:
    """What all bodies of a step share."""

    no_value: frozenset[str]
    text_only: bool
    style: Style
    timezone: str | None
    if_empty: IfEmpty
    lists: bool
    decimal: str
    vars: Mapping[str, str]
    run_date: str
    tables: Tables
    python: bool = True
    """False sends every template through Jinja2; for the test that holds both ways equal."""


class Writer:
    """Lines of Python, indented."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.indent = 0

    def __call__(self, line: str) -> None:
        self.lines.append("    " * self.indent + line)


class Scope:
    """Gives names to what a body reads, and writes down how they are filled."""

    def __init__(self, setting: Setting, each: int) -> None:
        self.setting = setting
        self.each = each
        self.slots: dict[Use | tuple[int, str], str] = {}
        self.loads: list[str] = []
        clean = cleaner(setting.no_value)
        self.names: dict[str, Any] = operations(clean)
        self.names.update(
            elements=operators.elements,
            NO=setting.no_value,
            walk=walk,
            descend=descend,
            listed=listed,
            Find=Find,
            StepRef=StepRef,
            Wrong=operators.Wrong,
            Skip=operators.Skip,
            EMPTY={},
            RESERVED=RESERVED_WORDS,
        )
        self.clean = clean
        self.printer = Printer()
        self.out = Writer()
        self.positions: list[tuple[str, Position]] = []
        self.counter = 0
        self.pending: list[tuple[str, Parsed]] = []
        self.cells: Cells | None = None

    # Names ------------------------------------------------------------------------------------------------------

    def new(self, prefix: str = "x") -> str:
        """A fresh local name."""
        self.counter += 1
        return f"{prefix}{self.counter}"

    def const(self, value: object, prefix: str = "K") -> str:
        """A name under which the generated code finds a value."""
        name = self.new(prefix)
        self.names[name] = value
        return name

    def at(self, what: str, position: Position) -> None:
        """Marks the place in the spec that the following lines come from."""
        self.positions.append((what, position))
        self.out(f"at = {len(self.positions) - 1}")

    # Columns ----------------------------------------------------------------------------------------------------

    def use(self, use: Use) -> nodes.Expr:
        """The variable that holds what a template reads."""
        if use.kind == "vars":
            value = self.setting.vars.get(str(use.parts[0]))
            return nodes.Const(value)
        if use.kind == "run":
            return nodes.Const(self.setting.run_date)
        return nodes.Name(self.slot(use, None), "load")

    def column(self, column: Column) -> Code:
        """The variable that holds a column."""
        use = column_use(column.text, self.each)
        name = self.slot(use, column.text if use.kind == "column" and len(use.parts) > 1 else None)
        return self.printer.print(nodes.Name(name, "load"))

    def slot(self, use: Use, whole: str | None) -> str:
        key: Use | tuple[int, str] = use if whole is None else (use.level, whole)
        found = self.slots.get(key)
        if found is not None:
            return found
        name = self.slots[key] = f"c{len(self.slots)}"
        holder = f"r{use.level}"
        load = self.loads.append
        if use.kind == "position":
            load(f"{name} = pos{use.level}")
            return name
        if use.kind == "item":
            load(f"{name} = item{use.level}")
            if use.parts:
                load(f"{name} = descend({name}, {use.parts!r})")
        elif whole is not None and use.level == 0:
            load(f"{name} = walk({holder}, {whole!r}, {use.parts!r})")
        elif len(use.parts) == 1:
            load(f"{name} = {holder}.get({use.parts[0]!r})")
        else:
            load(f"{name} = descend({holder}, {use.parts!r})")
        if self.setting.text_only and use.kind == "column" and len(use.parts) == 1:
            load(f"if {name} is not None:")
            load(f"    {name} = {name}.strip()")
            load(f"    if {name} in NO: {name} = None")
            self.printer.texts.add(name)
        else:
            load(f"if {name}.__class__ is str:")
            load(f"    {name} = {name}.strip()")
            load(f"    if {name} in NO: {name} = None")
        return name

    # Templates --------------------------------------------------------------------------------------------------

    def template(self, template: Template) -> Code:
        """The code of a template, or the name of the cell that Jinja2 fills."""
        parsed = templates.parse(template, self.each)
        if not isinstance(parsed, Parsed):
            raise SpecError(parsed)
        if not (parsed.plain and self.setting.python):
            for use in parsed.uses:
                self.use(use)
            name = f"t{len(self.pending)}"
            self.pending.append((name, parsed))
            self.out(f"if {name}.__class__ is Wrong: raise {name}")
            return Code(name, "any")
        rewriter = Rewriter(self.use, self.each)
        if parsed.single is not None:
            return self.printer.print(rewriter.expression(parsed.single))
        parts: list[Code] = []
        for node in parsed.body:
            parts.extend(self.printer.print(rewriter.expression(one)) for one in cast(nodes.Output, node).nodes)
        return self.printer.concat(parts) if parts else Code("''", "text")

    def finish(self) -> None:
        """Binds the templates that Jinja2 runs, once all columns are known."""
        if self.pending:
            self.cells = Cells(list(self.slots.values()), self.clean)
            for _, parsed in self.pending:
                self.cells.add(parsed, Rewriter(self.use, self.each))

    # Functions --------------------------------------------------------------------------------------------------

    def compiled(self, source: str, name: str, title: str) -> Callable[..., Any]:
        """A function of the generated source."""
        scope: dict[str, Any] = dict(self.names)
        exec(compile(source, f"<{title}>", "exec"), scope)  # noqa: S102
        function: Callable[..., Any] = scope[name]
        return function
