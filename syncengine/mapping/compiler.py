"""A step's recipe as generated Python: functions that work on a whole batch of rows at once.

A body is what is made per row (or per element, with `each`): the record itself, and each lookup or related item. For
every body three functions are generated: `extract` loads the columns that are used, `cells` runs the templates that
Python source cannot say, `build` makes the values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from jinja2 import nodes

from syncengine.changes import Find, StepRef
from syncengine.errors import Position, SpecError
from syncengine.mapping import operators, templates, words
from syncengine.mapping.batches import Cells, operations
from syncengine.mapping.expressions import Code, Printer
from syncengine.mapping.lookups import Tables
from syncengine.mapping.model import (
    RESERVED_SAID,
    RESERVED_WORDS,
    Cases,
    Clear,
    Column,
    Condition,
    Const,
    FieldRule,
    FindIn,
    First,
    IfEmpty,
    LookupIn,
    RecordRef,
    Shaped,
    Style,
    Template,
    Test,
    Value,
)
from syncengine.mapping.paths import column_use
from syncengine.mapping.rewriting import Rewriter
from syncengine.mapping.templates import Parsed, Use
from syncengine.mapping.values import cleaner, descend, fold, listed, mapped, typed, walk


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


class Skip(operators.Wrong):
    """The spec says that this row is to be left out."""


class Writer:
    """Lines of Python, indented."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.indent = 0

    def __call__(self, line: str) -> None:
        self.lines.append("    " * self.indent + line)

    def source(self) -> str:
        return "\n".join(self.lines) + "\n"


class Body:
    """Generates code for one body: values, conditions, fields."""

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
            Skip=Skip,
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

    # Values -----------------------------------------------------------------------------------------------------

    def value(self, value: Value) -> Code:
        """The code of a value; lines that must run first are written out."""
        match value:
            case Column():
                return self.column(value)
            case Template():
                return self.template(value)
            case Const():
                return Code(repr(value.text), "text")
            case Clear():
                return Code("''", "text")
            case First():
                return self._first(value)
            case Cases():
                return self._cases(value)
            case RecordRef():
                return self._record(value)
            case FindIn():
                return self._find(value)
            case LookupIn():
                return self._lookup(value)
            case Shaped():
                return self._shaped(value)

    def text(self, value: Value) -> str:
        """A name that holds the value as text, or None."""
        code = self.value(value)
        if code.sort != "any" and code.simple:
            return code.source
        name = self.new()
        self.out(f"{name} = {code.source}")
        if code.sort == "any":
            self.out(f"if {name}.__class__ is not str: {name} = text({name})")
        return name

    def _first(self, value: First) -> Code:
        # One after the other instead of one inside the other: Python allows a hundred levels of indentation.
        name = self.new()
        self.out(f"{name} = None")
        for one in value.values:
            self.out(f"if {name} is None or {name} == '':")
            self.out.indent += 1
            code = self.value(one)
            self.out(f"{name} = {code.source}")
            self.out.indent -= 1
        return Code(name, "any")

    def _cases(self, value: Cases) -> Code:
        name, open_ = self.new(), self.new("open")
        self.out(f"{name} = None")
        self.out(f"{open_} = True")
        for condition, one in value.cases:
            self.out(f"if {open_}:")
            self.out.indent += 1
            test = "True" if condition is None else self.condition(condition)
            self.out(f"if {test}:")
            self.out.indent += 1
            code = self.value(one)
            self.out(f"{name} = {code.source}")
            self.out(f"{open_} = False")
            self.out.indent -= 2
        return Code(name, "any")

    def _record(self, value: RecordRef) -> Code:
        parts = [self.text(one) for one in value.key]
        name = self.new()
        key = parts[0] if len(parts) == 1 else "'|'.join((" + ", ".join(parts) + "))"
        test = " or ".join(f"{part} is None" for part in parts if not part.startswith(("'", '"'))) or "False"
        self.out(f"{name} = None if {test} else StepRef({value.step!r}, {key}, {value.take!r}, {value.if_missing!r})")
        return Code(name, "any")

    def _find(self, value: FindIn) -> Code:
        pairs = [(name, self.text(one)) for name, one in value.where]
        where = ", ".join(f"({name!r}, {part})" for name, part in pairs)
        test = " or ".join(f"{part} is None" for _, part in pairs if not part.startswith(("'", '"'))) or "False"
        name = self.new()
        found = f"Find({value.table!r}, ({where},), {value.take!r}, {value.if_missing!r})"
        self.out(f"{name} = None if {test} else {found}")
        return Code(name, "any")

    def _lookup(self, value: LookupIn) -> Code:
        table = self.setting.tables.table(value)
        parts = [self.text(one) for _, one in value.where]
        name = self.new()
        self.out(f"{name} = {self.const(table.find, 'L')}(({', '.join(parts)},))")
        if value.if_missing != "omit":
            kind = "Wrong" if value.if_missing == "error" else "Skip"
            said = f"There is no row in {value.source} for this value"
            self.out(f"if {name} is None: raise {kind}('missing-row', {said!r}, ({', '.join(parts)},))")
        return Code(name, "any")

    def _shaped(self, value: Shaped) -> Code:
        code = self.value(value.origin)
        sort = code.sort
        if code.simple and not code.source.startswith("c") and code.source != "text":
            name = code.source
        else:
            name = self.new()
            self.out(f"{name} = {code.source}")
        out = self.out
        if value.split is not None:
            out(f"{name} = F_split({name}, {value.split!r})")
            out(f"if {name} is not None: {name} = [one for one in {name} if one not in NO]")
            sort = "any"
        if value.map is not None:
            out(f"{name} = {self.const(mapped(value.map, value.unmapped), 'M')}({name})")
        if value.type is not None:
            zone = value.timezone or self.setting.timezone
            out(f"{name} = {self.const(typed(value.type, self.setting, value.format, zone), 'Y')}({name})")
        if value.join is not None:
            out(f"if {name}.__class__ is list: {name} = F_join({name}, {value.join!r}) or None")
        if value.default is not None:
            out(f"if {name} is None: {name} = {value.default!r}")
        if value.max_length is not None:
            self._max_length(name, value)
        if sort != "any":
            self.printer.texts.add(name)
        return Code(name, "text?" if sort != "any" else "any")

    def _max_length(self, name: str, value: Shaped) -> None:
        self.out(f"if {name} is not None:")
        self.out(f"    {name} = text({name})")
        self.out(f"    if len({name}) > {value.max_length}:")
        if value.too_long == "cut":
            self.out(f"        {name} = {name}[:{value.max_length}]")
        else:
            said = f"The text is longer than {value.max_length} characters"
            self.out(f"        raise Wrong('too-long', {said!r}, {name}, 'too_long: cut  cuts it.')")

    # Conditions -------------------------------------------------------------------------------------------------

    def condition(self, condition: Condition) -> str:
        """The code that is true where a condition holds."""
        if isinstance(condition, Template):
            return self.template(condition).source
        return " and ".join(self._test(test) for test in condition.tests) or "True"

    def _test(self, test: Test) -> str:
        code = self.column(test.column).source
        if test.operator == "empty":
            blank = f"({code} is None or {code} == '' or {code} == [] or {code} == EMPTY)"
            return blank if test.operands == ("true",) else f"(not {blank})"
        check = tested(test)
        return f"{self.const(check, 'C')}({code})"

    # Fields -----------------------------------------------------------------------------------------------------

    def fields(self, rules: Sequence[FieldRule]) -> None:
        """Fills `values` and `refs`."""
        for rule in rules:
            self._field(rule)

    def _field(self, rule: FieldRule) -> None:
        value = rule.value
        if_empty = (value.if_empty if isinstance(value, Shaped) else None) or self.setting.if_empty
        origin = value.origin if isinstance(value, Shaped) else value
        if isinstance(origin, (RecordRef, FindIn)):
            self.at(rule.name, rule.position)
            code = self.value(value)
            self.out(f"if {code.source} is not None: refs.append(({rule.name!r}, {code.source}))")
            missing = origin.if_missing
            if missing != "omit" or if_empty != "omit":
                self._empty_ref(rule, if_empty)
            return
        if isinstance(origin, Clear):
            self.out(f"values[{rule.name!r}] = ''")
            return
        if isinstance(value, Const):
            self.out(f"values[{rule.name!r}] = {value.text!r}")
            return
        if not isinstance(value, Column) or not self.setting.text_only or if_empty in {"error", "skip_row"}:
            self.at(rule.name, rule.position)
        code = self.value(value)
        name = code.source
        if not code.simple:
            name = self.new()
            self.out(f"{name} = {code.source}")
        # A column never holds these words once it is cleaned, unless the spec says that NULL is a value.
        cleaned = name[0] == "c" and name[1:].isdigit() and "NULL" in self.setting.no_value
        if self.setting.style == "servicenow" and not cleaned:
            fault = f"Wrong('reserved-word', {RESERVED_SAID!r}, {name}, 'To clear the field:  {{clear: true}}')"
            self.out(f"if {name} in RESERVED: raise {fault}")
        if code.sort == "any":
            if self.setting.lists:
                self.out(f"if {name}.__class__ is list: {name} = F_join({name}, '\\n') or None")
            self.out(f"if {name} is not None and {name} != '':")
            self.out(f"    values[{rule.name!r}] = {name} if {name}.__class__ is str else text({name})")
        else:
            self.out(f"if {name}: values[{rule.name!r}] = {name}")
        self._empty(rule, if_empty)

    def _empty(self, rule: FieldRule, if_empty: IfEmpty) -> None:
        if if_empty == "clear":
            self.out(f"else: values[{rule.name!r}] = ''")
        elif if_empty == "error":
            self.out(f"else: raise Wrong('empty-value', {f'The field {rule.name} has no value'!r})")
        elif if_empty == "skip_row":
            self.out(f"else: raise Skip('empty-value', {f'The field {rule.name} has no value'!r})")

    def _empty_ref(self, rule: FieldRule, if_empty: IfEmpty) -> None:
        if if_empty == "error":
            self.out(f"else: raise Wrong('empty-value', {f'The field {rule.name} has no value'!r})")
        elif if_empty == "skip_row":
            self.out(f"else: raise Skip('empty-value', {f'The field {rule.name} has no value'!r})")

    # Functions --------------------------------------------------------------------------------------------------

    def compiled(self, source: str, name: str, title: str) -> Callable[..., Any]:
        """A function of the generated source."""
        scope: dict[str, Any] = dict(self.names)
        exec(compile(source, f"<{title}>", "exec"), scope)  # noqa: S102
        function: Callable[..., Any] = scope[name]
        return function


def tested(test: Test) -> Callable[[Any], bool]:
    """One line of a condition as a function; words ignore case."""
    operands = [fold(one) for one in test.operands]
    chosen = frozenset(operands)
    match test.operator:
        case "is":
            return lambda value: value is not None and fold(operators.text(value) or "") in chosen
        case "not":
            return lambda value: value is None or fold(operators.text(value) or "") not in chosen
        case "contains":
            return lambda value: value is not None and any(one in fold(operators.text(value) or "") for one in operands)
        case "starts_with":
            start = tuple(operands)
            return lambda value: value is not None and fold(operators.text(value) or "").startswith(start)
        case "matches":
            compiled = words.pattern(f"(?i){test.operands[0]}")
            return lambda value: value is not None and words.matches(operators.text(value) or "", compiled)
        case "above" | "below":
            limit = float(test.operands[0])
            above = test.operator == "above"

            def compare(value: Any) -> bool:
                if value is None:
                    return False
                amount = words.FILTERS["float"](value)
                return bool(amount > limit) if above else bool(amount < limit)

            return compare
        case _:
            raise AssertionError(test.operator)
