"""A step's recipe as generated Python: functions that work on a whole batch of rows at once.

A body is what is made per row (or per element, with `each`): the record itself, and each lookup or related item. For
every body three functions are generated: `extract` loads the columns that are used, `cells` runs the templates that
Python source cannot say, `build` makes the values.
"""

from __future__ import annotations

from collections.abc import Sequence

from syncengine.mapping.conditions import tested
from syncengine.mapping.expressions import Code
from syncengine.mapping.model import (
    RESERVED_SAID,
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
    Template,
    Test,
    Value,
)
from syncengine.mapping.scope import Scope
from syncengine.mapping.values import mapped, typed


class Body(Scope):
    """Generates code for one body: values, conditions, fields."""

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
        several = value.many == "list"
        parts = [self.value(one).source if several else self.text(one) for _, one in value.where]
        name = self.new()
        find = self.const(table.find_each if several else table.find, "L")
        self.out(f"{name} = {find}(({', '.join(parts)},))")
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
            if if_empty != "clear":
                self._empty(rule, if_empty)
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
