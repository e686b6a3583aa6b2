"""Values, conditions and references as the language writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

from syncengine.changes import IfMissing
from syncengine.errors import Position
from syncengine.mapping import words
from syncengine.mapping.model import (
    Cases,
    Clear,
    Column,
    Condition,
    Const,
    FieldRule,
    FindIn,
    First,
    LookupIn,
    Operator,
    RecordRef,
    Shaped,
    Template,
    Test,
    Tests,
    Value,
    ValueMap,
)
from syncengine.mapping.values import fold, zone
from syncengine.spec.nodes import ListNode, MapNode, Node, Scalar, describe, is_number
from syncengine.spec.reader import Reader, StepNote
from syncengine.spec.shapes import (
    Choice,
    Fields,
    Flag,
    Key,
    ListOf,
    MapOf,
    Report,
    Schema,
    Shape,
    Text,
    Whole,
    Wrong,
    object_schema,
    read_keys,
)

NAME = r"[a-z][a-z0-9_]{0,59}"
NAME_MUST = "small letters, digits and _, beginning with a letter"
TABLE = r"[a-z][a-z0-9_]{0,79}"
TABLE_MUST = "letters, digits and _ only"
FIELD = r"[A-Za-z][A-Za-z0-9_]{0,79}"

IF_MISSING = Choice(("error", "omit", "skip_row"))
IF_EMPTY = Choice(("omit", "clear", "error", "skip_row"))


def reader(report: Report) -> Reader:
    """The report of a spec notes columns and steps."""
    assert isinstance(report, Reader)
    return report


def is_template(text: str) -> bool:
    """Whether a text holds Jinja2."""
    return "{{" in text or "{%" in text or "{#" in text


class Bare(Shape[Value]):
    """A column, a template, or a number or boolean that stands for itself."""

    says = "a column, a template or a number"

    def read(self, node: Node, report: Report) -> Value:
        if not isinstance(node, Scalar) or node.kind == "null":
            raise self.expected(node, report)
        if not node.text.strip():
            fix = "Remove the key, or write  {clear: true}  to empty the field."
            raise report.stop("empty-value", "An empty text is no value", node.position, fix)
        if is_template(node.text):
            return reader(report).template(node)
        if is_number(node.text) or node.text in {"true", "false"}:
            return Const(node.text, node.position)
        return reader(report).column(node)

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {"type": ["string", "number", "boolean"], "minLength": 1}


class ColumnName(Shape[Column]):
    """A column or a path, nothing else."""

    says = "a column"

    def read(self, node: Node, report: Report) -> Column:
        if not isinstance(node, Scalar) or node.kind == "null" or not node.text.strip():
            raise self.expected(node, report)
        if is_template(node.text):
            raise report.stop("wrong-type", "Expected the name of a column, found a template", node.position)
        return reader(report).column(node)

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {"type": "string", "minLength": 1}


class MapRule(Shape[ValueMap]):
    """The name of a map, or a map written in place."""

    says = "the name of a map, or a map"

    def read(self, node: Node, report: Report) -> ValueMap:
        if isinstance(node, MapNode):
            return read_entries(node, report, "")
        if isinstance(node, ListNode) or node.kind == "null":
            raise self.expected(node, report)
        maps = reader(report).maps
        if node.text not in maps:
            from syncengine.spec.shapes import near

            known = ", ".join(sorted(maps)) or "none"
            fix = near(node.text, tuple(maps)) or f"The maps of this spec: {known}"
            raise report.stop("unknown-map", f'There is no map "{node.text[:60]}"', node.position, fix, node.text)
        return maps[node.text]

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {
            "type": ["string", "object"],
            "if": {"type": "object"},
            "then": {"additionalProperties": {"type": ["string", "number", "boolean"]}, "minProperties": 1},
        }


def read_entries(node: MapNode, report: Report, name: str) -> ValueMap:
    """The entries of a map; keys that are equal without case are an error."""
    entries: dict[str, str] = {}
    seen: dict[str, Scalar] = {}
    failed = False
    if not node.pairs:
        raise report.stop("empty-mapping", "This map is empty", node.position)
    for key, value in node.pairs:
        first = seen.setdefault(fold(key.text), key)
        if first is not key:
            said = f'"{key.text}" and "{first.text}" (line {first.position.line}) are one word: maps ignore case'
            report.add("duplicate-key", said, key.position, "Keep one of the two.")
            failed = True
        if not isinstance(value, Scalar) or value.kind == "null" or not value.text:
            report.add("wrong-type", f"Expected a text, found {describe(value)}", value.position, "To send nothing, say  unmapped: empty.")
            failed = True
        else:
            entries[key.text] = value.text
    if failed:
        raise Wrong
    return ValueMap(name, entries, node.position)


# References -----------------------------------------------------------------------------------------------------------

STEP = Key("step", Text("the name of a step", NAME, must=NAME_MUST), "A step whose record this is.", example="step: servers")
SPEC = Key("spec", Text("the name of a spec"), "The spec that the step is in; without it, this one.", example="spec: servers")


class _Recursive(Shape[Value]):
    """A value of the language, wherever one is due."""

    says = "a value"

    def read(self, node: Node, report: Report) -> Value:
        if isinstance(node, MapNode):
            return LONG.read(node, report)[0]
        return Bare().read(node, report)

    def schema(self, named: dict[str, Schema]) -> Schema:
        if "value" not in named:
            named["value"] = {}
            named["value"] = {
                "title": "value",
                "description": "A word is a column; text with {{ }} is a template; numbers, true and false are themselves; "
                "{const: x} is a text; another mapping is the long form.",
                "type": ["string", "number", "boolean", "object"],
                "minLength": 1,
                "if": {"type": "object"},
                "then": LONG.schema(named),
            }
        return {"$ref": "#/$defs/value"}


VALUE = _Recursive()
KEY = Key("key", ListOf(VALUE, one=True, least=1), "Values of this row that name the record, in the order of that step's key.",
          example="key: server_serial")  # fmt: skip
FIND_IN = Key("find_in", Text("the name of a table", TABLE, must=TABLE_MUST), "A table of the instance in which the record is found while planning.",
              example="find_in: cmn_location")  # fmt: skip
WHERE = Key("where", MapOf(VALUE, "column", least=1), "Exact matches that all must hold: left a column there, right a value of this row.",
            example="where: {name: Site}")  # fmt: skip
LOOKUP_IN = Key("lookup_in", Text("the name of a source", NAME, must=NAME_MUST), "Another source in which a row is looked up.",
                example="lookup_in: owners")  # fmt: skip
TAKE = Key("take", Text("the name of a column"), "The column that is taken from what was found.", default="sys_id")
MANY = Key("many", Choice(("error", "first", "list")), "What several rows that fit do.", default="error")
IF_MISSING_KEY = Key("if_missing", IF_MISSING, "What happens where nothing is found.", default="error")


@dataclass(frozen=True)
class ReferenceShape(Shape[RecordRef | FindIn]):
    """A record: of a step, or on the instance."""

    says: str = "a reference such as {step: servers, key: serial}"
    keys = (STEP, SPEC, KEY, FIND_IN, WHERE, IF_MISSING_KEY)

    def read(self, node: Node, report: Report) -> RecordRef | FindIn:
        if not isinstance(node, MapNode):
            raise self.expected(node, report)
        fields = read_keys(node, self.keys, report, "a reference")
        return reference(fields, report)

    def schema(self, named: dict[str, Schema]) -> Schema:
        if "reference" not in named:
            named["reference"] = {}
            named["reference"] = {**object_schema(self.keys, named), **_alternatives(("step", "find_in")),
                                  "dependentRequired": {"step": ["key"], "find_in": ["where"], "spec": ["step"]}}  # fmt: skip
        return {"$ref": "#/$defs/reference"}


REFERENCE = ReferenceShape()


def reference(fields: Fields, report: Report, if_missing: str = "error") -> RecordRef | FindIn:
    """A reference from its keys."""
    node = fields.node
    missing = cast(IfMissing, fields.get(IF_MISSING_KEY) or if_missing)
    if fields.has(STEP) == fields.has(FIND_IN):
        said = "A reference says either step or find_in" + (", not both" if fields.has(STEP) else "")
        raise report.stop("bad-reference", said, node.position, "{step: servers, key: serial}  or  {find_in: TABLE, where: {name: COLUMN}}")
    if fields.has(FIND_IN):
        if not fields.has(WHERE):
            raise report.stop("missing-key", "find_in needs the key where", node.position, "where: {name: COLUMN}")
        where = fields.need(WHERE)
        for name in where:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.]{0,79}", name):
                key = cast(MapNode, node.get("where")).key(name)
                report.add("bad-name", f'"{name[:40]}" cannot be a column of a table', key.position if key else node.position)
        table = fields.need(FIND_IN)
        return FindIn(table, tuple(where.items()), fields.get(TAKE) or "sys_id", missing, node.position)
    if not fields.has(KEY):
        raise report.stop("missing-key", "A reference to a step needs the key of the record", node.position, "key: COLUMN")
    note = reader(report)
    key = fields.need(KEY)
    step, spec = fields.need(STEP), fields.get(SPEC)
    note.steps.append(StepNote(spec, step, len(key), fields.position(STEP), fields.position(KEY), note.role, note.step))
    return RecordRef(f"{spec or note.name}.{step}", key, missing, node.position)


# Conditions -----------------------------------------------------------------------------------------------------------

_OPERATORS = ("not", "contains", "starts_with", "matches", "empty", "above", "below")
_OPERANDS: Shape[tuple[str, ...]] = ListOf(Text("a text"), one=True, least=1)


class ConditionShape(Shape[Condition]):
    """A Jinja test, or columns with what they must be."""

    says = "a condition such as {state: active}"

    def read(self, node: Node, report: Report) -> Condition:
        if isinstance(node, Scalar) and node.kind != "null":
            if not is_template(node.text):
                fix = f'when: {{{node.text[:40]}: {{empty: false}}}}  or  when: "{{{{ {node.text[:40]} }}}}"'
                raise report.stop("wrong-type", f"Expected a condition, found {describe(node)}", node.position, fix)
            return reader(report).template(node)
        if not isinstance(node, MapNode):
            raise self.expected(node, report)
        if not node.pairs:
            raise report.stop("empty-mapping", "This condition is empty", node.position)
        tests: list[Test] = []
        failed = False
        for key, value in node.pairs:
            if key.text in {"any", "all", "or", "and"} and not isinstance(value, Scalar):
                fix = "when: \"{{ a == 'x' or b == 'y' }}\""
                report.add("unknown-key", f"Conditions have no {key.text}: write Jinja for it", key.position, fix)
                failed = True
                continue
            try:
                column = reader(report).column(key)
                tests.extend(self._tests(column, value, report))
            except Wrong:
                failed = True
        if failed:
            raise Wrong
        return Tests(tuple(tests))

    def _tests(self, column: Column, node: Node, report: Report) -> list[Test]:
        if not isinstance(node, MapNode):
            return [Test(column, "is", _OPERANDS.read(node, report), column.position)]
        if not node.pairs:
            raise report.stop("empty-mapping", "This condition is empty", node.position)
        tests = []
        for key, value in node.pairs:
            if key.text not in _OPERATORS:
                from syncengine.spec.shapes import unknown_key

                unknown_key(key, _OPERATORS, report, "a condition")
                raise Wrong
            operands = self._operands(key.text, value, report)
            tests.append(Test(column, cast(Operator, key.text), operands, column.position))
        return tests

    def _operands(self, operator: str, node: Node, report: Report) -> tuple[str, ...]:
        if operator == "empty":
            return ("true" if Flag().read(node, report) else "false",)
        if operator in {"above", "below"}:
            if not isinstance(node, Scalar) or not re.fullmatch(r"[-+]?[0-9]{1,15}(\.[0-9]{1,15})?", node.text):
                raise report.stop("wrong-type", f"Expected a number, found {describe(node)}", node.position)
            return (node.text,)
        if operator == "matches":
            text = Text("a regular expression").read(node, report)
            _pattern(text, node.position, report)
            return (text,)
        return _OPERANDS.read(node, report)

    def schema(self, named: dict[str, Schema]) -> Schema:
        if "condition" not in named:
            words_: Schema = {"type": ["string", "number", "boolean", "array"], "items": {"type": ["string", "number", "boolean"]}, "minItems": 1}
            number: Schema = {"type": "number"}
            named["condition"] = {
                "title": "condition",
                "description": "A Jinja2 test, or columns with what they must be; all must hold.",
                "type": ["string", "object"],
                "pattern": r"\{[{%]",
                "minProperties": 1,
                "additionalProperties": {
                    "if": {"type": "object"},
                    "then": {
                        "properties": {
                            "not": words_,
                            "contains": words_,
                            "starts_with": words_,
                            "matches": {"type": "string"},
                            "empty": {"type": "boolean"},
                            "above": number,
                            "below": number,
                        },
                        "additionalProperties": False,
                        "minProperties": 1,
                    },
                    "else": words_,
                },
            }
        return {"$ref": "#/$defs/condition"}


def _pattern(text: str, position: Position, report: Report) -> None:
    try:
        words.pattern(text)
    except words.Wrong as wrong:
        raise report.stop(wrong.code, wrong.message, position, found=text) from None


CONDITION = ConditionShape()


@dataclass(frozen=True)
class Pattern(Text):
    """A regular expression."""

    says: str = "a regular expression"

    def read(self, node: Node, report: Report) -> str:
        text = super().read(node, report)
        _pattern(text, node.position, report)
        return text


@dataclass(frozen=True)
class Zone(Text):
    """A time zone of the IANA list."""

    says: str = "a time zone such as Europe/Paris"

    def read(self, node: Node, report: Report) -> str:
        text = super().read(node, report)
        if zone(text) is None:
            from zoneinfo import available_timezones

            from syncengine.spec.shapes import near

            fix = near(text, tuple(sorted(available_timezones()))) or "Such as Europe/Paris or UTC."
            raise report.stop("unknown-timezone", f'There is no time zone "{text[:40]}"', node.position, fix, text)
        return text


# The long form --------------------------------------------------------------------------------------------------------

USE = Key("use", VALUE, "The value, where the condition holds.", required=False)
WHEN = Key("when", CONDITION, "Holds for the rows that are meant.")
OTHERWISE = Key("otherwise", VALUE, "The value, where no condition before it holds.")


class CasesShape(Shape[tuple[tuple[Condition | None, Value], ...]]):
    """`cases`: conditions with values; the last may be `otherwise`."""

    says = "a list of {when: ..., use: ...}"
    keys = (WHEN, USE, OTHERWISE)

    def read(self, node: Node, report: Report) -> tuple[tuple[Condition | None, Value], ...]:
        if not isinstance(node, ListNode) or not node.items:
            raise self.expected(node, report)
        found: list[tuple[Condition | None, Value]] = []
        failed = False
        for number, item in enumerate(node.items, 1):
            try:
                fields = read_keys(item, self.keys, report, "a case")
                last = number == len(node.items)
                if fields.has(OTHERWISE):
                    if not last or fields.has(WHEN):
                        raise report.stop("bad-case", "otherwise stands alone and last", item.position)
                    found.append((None, fields.need(OTHERWISE)))
                elif not (fields.has(WHEN) and fields.has(USE)):
                    raise report.stop("missing-key", "A case needs when and use", item.position, "{when: {state: active}, use: COLUMN}")
                else:
                    found.append((fields.need(WHEN), fields.need(USE)))
            except Wrong:
                failed = True
        if failed:
            raise Wrong
        return tuple(found)

    def schema(self, named: dict[str, Schema]) -> Schema:
        if "cases" not in named:
            named["cases"] = {}
            one = {**object_schema(self.keys, named), "dependentRequired": {"when": ["use"], "use": ["when"]},
                   "dependentSchemas": {"otherwise": {"properties": {"when": False, "use": False}}}, "minProperties": 1}  # fmt: skip
            named["cases"] = {"type": "array", "items": one, "minItems": 1}
        return {"$ref": "#/$defs/cases"}


FROM = Key("from", Bare(), "A column or a template.", example="from: State")
CONST = Key("const", Text("a text"), "This text, for every row.", example="const: ACME")
FIRST = Key("first", ListOf(VALUE, least=1), "The first of these values that is not empty.", example="first: [fqdn, hostname]")
CASES = Key("cases", CasesShape(), "The value of the first condition that holds.",
            example="cases: [{when: {env: prod}, use: name}, {otherwise: alias}]")  # fmt: skip
CLEAR = Key("clear", Flag(), "Empties the field on the target, always.", example="clear: true")
SPLIT = Key("split", Text("a separator", empty=False), "Cuts the text into a list at this separator.", example='split: ";"')
MAP = Key("map", MapRule(), "Words to words; a value that is not in it is an error.", example="map: {active: 1, retired: 6}")
UNMAPPED = Key("unmapped", Choice(("error", "keep", "empty")), "What a value that is not in the map does.", default="error")
TYPE = Key("type", Choice(("text", "integer", "decimal", "boolean", "date", "datetime")), "Converts the text, as the target wants it written.",
           default="text")  # fmt: skip
FORMAT = Key("format", Text("a format such as %d/%m/%Y"), "How the source writes dates (strptime).", example='format: "%d/%m/%Y %H:%M"')
TIMEZONE = Key("timezone", Zone(), "Time zone of times that carry none.", example="timezone: Europe/Paris")
JOIN = Key("join", Text("a separator", empty=True), "Makes a list one text, with this between.", example='join: ", "')
DEFAULT = Key("default", Text("a text"), "This text, where there is no value so far.", example="default: unknown")
MAX_LENGTH = Key("max_length", Whole(1, 65536), "Longer texts are an error, or cut.", example="max_length: 40")
TOO_LONG = Key("too_long", Choice(("error", "cut")), "What a longer text does.", default="error")
IF_EMPTY_KEY = Key("if_empty", IF_EMPTY, "What no value does to this field.", default="omit")
COMPARE = Key("compare", Flag(), "false: sent, but a difference is no change.", default=True)
SENSITIVE = Key("sensitive", Flag(), "true: the value is encrypted in plans and shown nowhere.", default=False)

ORIGINS = (FROM, CONST, FIRST, CASES, STEP, FIND_IN, LOOKUP_IN, CLEAR)
MODIFIERS = (SPLIT, MAP, UNMAPPED, TYPE, FORMAT, TIMEZONE, JOIN, DEFAULT, MAX_LENGTH, TOO_LONG)
LONG_KEYS = (*ORIGINS, KEY, SPEC, WHERE, TAKE, MANY, IF_MISSING_KEY, *MODIFIERS, IF_EMPTY_KEY, COMPARE, SENSITIVE)


def _alternatives(names: tuple[str, ...]) -> Schema:
    """At most one of some keys, without an anyOf that editors cannot explain."""
    others = {name: {"properties": {other: False for other in names if other != name}} for name in names}
    return {"dependentSchemas": others}


@dataclass(frozen=True)
class LongForm(Shape[tuple[Value, bool, bool]]):
    """A value with its modifiers, `compare` and `sensitive`."""

    says: str = "the long form of a value"

    def read(self, node: Node, report: Report) -> tuple[Value, bool, bool]:
        if isinstance(node, MapNode) and len(node.pairs) == 1 and isinstance(node.pairs[0][1], Scalar):
            only, value = node.pairs[0]
            if value.kind == "null" and not any(only.text == key.name for key in LONG_KEYS):
                fix = f'"{{{{ {only.text} }}}}"' if "|" in only.text else only.text
                raise report.stop("unquoted-braces", "Braces here make a mapping; a template needs quotes", node.position, fix)
        fields = read_keys(node, LONG_KEYS, report, "a value")
        origins = [key.name for key in ORIGINS if fields.has(key)]
        if len(origins) != 1:
            if not origins:
                said = "A value needs an origin: from, const, first, cases, step, find_in or lookup_in"
                raise report.stop("no-origin", said, node.position, "{from: COLUMN, ...}")
            raise report.stop("two-origins", f"A value has one origin; here are {' and '.join(origins)}", node.position)
        origin = self._origin(origins[0], fields, report)
        compare, sensitive = fields.get(COMPARE), fields.get(SENSITIVE)
        return self._shaped(origin, fields, report), compare is not False, sensitive is True

    def _origin(self, name: str, fields: Fields, report: Report) -> Value:
        position = fields.node.position
        match name:
            case "from":
                return fields.need(FROM)
            case "const":
                return Const(fields.need(CONST), position)
            case "first":
                return First(fields.need(FIRST), position)
            case "cases":
                return Cases(fields.need(CASES), position)
            case "lookup_in":
                return self._lookup(fields, report)
            case "clear":
                if fields.need(CLEAR) is not True:
                    raise report.stop("wrong-type", "clear is true, or not written", fields.position(CLEAR))
                return Clear(position)
            case _:
                return reference(fields, report)

    def _lookup(self, fields: Fields, report: Report) -> LookupIn:
        node = fields.node
        for key in (WHERE, TAKE):
            if not fields.has(key):
                fix = "{lookup_in: owners, where: {team: team}, take: email}"
                report.add("missing-key", f"lookup_in needs the key {key.name}", node.position, fix)
        where = fields.need(WHERE)
        note = reader(report)
        name = fields.need(LOOKUP_IN)
        if name not in note.sources:
            from syncengine.spec.shapes import near

            fix = near(name, note.sources) or f"The sources of this spec: {', '.join(note.sources)}"
            raise report.stop("unknown-source", f'There is no source "{name}"', fields.position(LOOKUP_IN), fix)
        take = fields.need(TAKE)
        with note.elsewhere(name):
            where_node = node.get("where")
            assert isinstance(where_node, MapNode)
            for key_node, _ in where_node.pairs:
                note.column(key_node)
            take_node = node.get("take")
            assert isinstance(take_node, Scalar)
            note.column(take_node)
        many = cast(Any, fields.get(MANY) or "error")
        missing = cast(IfMissing, fields.get(IF_MISSING_KEY) or "omit")
        return LookupIn(name, tuple(where.items()), take, many, missing, node.position)

    def _shaped(self, origin: Value, fields: Fields, report: Report) -> Value:
        used = [key.name for key in MODIFIERS if fields.has(key)]
        if isinstance(origin, (RecordRef, FindIn, Clear)) and used:
            said = f"A {'reference' if not isinstance(origin, Clear) else 'clear'} takes no {' and no '.join(used)}"
            raise report.stop("bad-modifier", said, fields.node.position)
        for needed, key in ((MAP, UNMAPPED), (MAX_LENGTH, TOO_LONG)):
            if fields.has(key) and not fields.has(needed):
                raise report.stop("bad-modifier", f"{key.name} does nothing without {needed.name}", fields.position(key))
        kind = fields.get(TYPE)
        for key in (FORMAT, TIMEZONE):
            if fields.has(key) and kind not in {"date", "datetime"} and not (fields.has(TYPE) and kind is None):
                fix = "type: datetime"
                raise report.stop("bad-modifier", f"{key.name} goes with type date or datetime", fields.position(key), fix)
        if not used and not fields.has(IF_EMPTY_KEY):
            return origin
        if fields.failed:
            raise Wrong
        return Shaped(
            origin,
            fields.node.position,
            split=fields.get(SPLIT),
            map=fields.get(MAP),
            unmapped=cast(Any, fields.get(UNMAPPED) or "error"),
            type=cast(Any, kind),
            format=fields.get(FORMAT),
            timezone=fields.get(TIMEZONE),
            join=fields.get(JOIN),
            default=fields.get(DEFAULT),
            max_length=fields.get(MAX_LENGTH),
            too_long=cast(Any, fields.get(TOO_LONG) or "error"),
            if_empty=cast(Any, fields.get(IF_EMPTY_KEY)),
        )

    def schema(self, named: dict[str, Schema]) -> Schema:
        if "long" not in named:
            named["long"] = {}
            named["long"] = {
                **object_schema(LONG_KEYS, named),
                **_alternatives(tuple(key.name for key in ORIGINS)),
                "dependentRequired": {
                    "step": ["key"],
                    "spec": ["step"],
                    "find_in": ["where"],
                    "lookup_in": ["where", "take"],
                    "unmapped": ["map"],
                    "too_long": ["max_length"],
                    "format": ["type"],
                    "timezone": ["type"],
                },
                "minProperties": 1,
            }
        return {"$ref": "#/$defs/long"}


LONG = LongForm()


class FieldsShape(Shape[tuple[FieldRule, ...]]):
    """`fields`: a mapping, or a list of names that are equal in source and target."""

    says = "a mapping of fields, or a list of names"

    def read(self, node: Node, report: Report) -> tuple[FieldRule, ...]:
        found: list[FieldRule] = []
        failed = False
        if isinstance(node, ListNode) and node.items:
            for item in node.items:
                try:
                    name = self._name(item, report)
                    found.append(FieldRule(name, reader(report).column(cast(Scalar, item)), item.position))
                except Wrong:
                    failed = True
        elif isinstance(node, MapNode) and node.pairs:
            for key, value in node.pairs:
                try:
                    name = self._name(key, report)
                    found.append(self._field(name, value, report))
                except Wrong:
                    failed = True
        else:
            if isinstance(node, (ListNode, MapNode)):
                raise report.stop("empty-mapping", "There are no fields here", node.position, "fields: {name: COLUMN}")
            raise self.expected(node, report)
        if failed:
            raise Wrong
        return tuple(found)

    def _name(self, node: Node, report: Report) -> str:
        text = Text("the name of a field", FIELD, must="letters, digits and _ only").read(node, report)
        if text.startswith("sys_") and text not in {"sys_class_path"}:
            said = f"{text} is a system field: the target sets it"
            raise report.stop("system-field", said, node.position, "Remove it.")
        return text

    def _field(self, name: str, node: Node, report: Report) -> FieldRule:
        note = reader(report)
        note.field = name
        try:
            if isinstance(node, MapNode):
                value, compare, sensitive = LONG.read(node, report)
                return FieldRule(name, value, node.position, sensitive, compare)
            if isinstance(node, ListNode):
                raise report.stop("wrong-type", "A field takes one value, found a list", node.position, "first: [a, b]  takes the first that is filled.")
            return FieldRule(name, VALUE.read(node, report), node.position)
        finally:
            note.field = ""

    def schema(self, named: dict[str, Schema]) -> Schema:
        name: Schema = {"pattern": rf"^(?!sys_(?!class_path$)){FIELD}$"}
        return {
            "if": {"type": "array"},
            "then": {"items": {"type": "string", **name}, "minItems": 1},
            "else": {"type": "object", "propertyNames": name, "additionalProperties": VALUE.schema(named), "minProperties": 1},
        }


FIELDS_SHAPE = FieldsShape()
