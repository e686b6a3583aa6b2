"""Values in their long form: one origin, any modifiers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from syncengine.changes import IfMissing
from syncengine.mapping.model import (
    Cases,
    Clear,
    Condition,
    Const,
    FindIn,
    First,
    LookupIn,
    RecordRef,
    Shaped,
    Value,
)
from syncengine.spec.atoms import IF_EMPTY, Bare, MapRule, Zone, reader
from syncengine.spec.conditions import CONDITION
from syncengine.spec.keys import Fields, Key, object_schema, read_keys
from syncengine.spec.nodes import ListNode, MapNode, Node, Scalar
from syncengine.spec.references import (
    FIND_IN,
    IF_MISSING_KEY,
    KEY,
    LOOKUP_IN,
    MANY,
    SPEC,
    STEP,
    TAKE,
    VALUE,
    WHERE,
    alternatives,
    reference,
)
from syncengine.spec.report import Report, Wrong
from syncengine.spec.shapes import Choice, Flag, ListOf, Schema, Shape, Text, Whole
from syncengine.spec.wording import near

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
                    raise report.stop(
                        "missing-key",
                        "A case needs when and use",
                        item.position,
                        "{when: {state: active}, use: COLUMN}",
                    )
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
            one = {
                **object_schema(self.keys, named),
                "dependentRequired": {"when": ["use"], "use": ["when"]},
                "dependentSchemas": {"otherwise": {"properties": {"when": False, "use": False}}},
                "minProperties": 1,
            }
            named["cases"] = {"type": "array", "items": one, "minItems": 1}
        return {"$ref": "#/$defs/cases"}


FROM = Key("from", Bare(), "A column or a template.", example="from: State")
CONST = Key("const", Text("a text"), "This text, for every row.", example="const: ACME")
FIRST = Key(
    "first", ListOf(VALUE, least=1), "The first of these values that is not empty.", example="first: [fqdn, hostname]"
)
CASES = Key(
    "cases",
    CasesShape(),
    "The value of the first condition that holds.",
    example="cases: [{when: {env: prod}, use: name}, {otherwise: alias}]",
)
CLEAR = Key("clear", Flag(only=True), "Empties the field on the target, always.", example="clear: true")
SPLIT = Key(
    "split", Text("a separator", empty=False), "Cuts the text into a list at this separator.", example='split: ";"'
)
MAP = Key(
    "map", MapRule(), "Words to words; a value that is not in it is an error.", example="map: {active: 1, retired: 6}"
)
UNMAPPED = Key(
    "unmapped", Choice(("error", "keep", "empty")), "What a value that is not in the map does.", default="error"
)
TYPE = Key(
    "type",
    Choice(("text", "integer", "decimal", "boolean", "date", "datetime")),
    "Converts the text, as the target wants it written.",
    default="text",
)
FORMAT = Key(
    "format",
    Text("a format such as %d/%m/%Y", "[^%]*%[A-Za-z].*", must="%d, %m, %Y, %H, %M stand for its parts"),
    "How the source writes dates (strptime).",
    example='format: "%d/%m/%Y %H:%M"',
)
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


@dataclass(frozen=True)
class LongForm(Shape[tuple[Value, bool, bool]]):
    """A value with its modifiers, `compare` and `sensitive`."""

    says: str = "the long form of a value"

    def read(self, node: Node, report: Report) -> tuple[Value, bool, bool]:
        if isinstance(node, MapNode) and len(node.pairs) == 1:
            only, value = node.pairs[0]
            if (
                isinstance(value, Scalar)
                and value.kind == "null"
                and not any(only.text == key.name for key in LONG_KEYS)
            ):
                fix = f'"{{{{ {only.text} }}}}"' if "|" in only.text else only.text
                raise report.stop(
                    "unquoted-braces", "Braces here make a mapping; a template needs quotes", node.position, fix
                )
        fields = read_keys(node, LONG_KEYS, report, "a value")
        origins = [key.name for key in ORIGINS if fields.has(key)]
        if len(origins) != 1:
            if fields.failed and not origins:
                raise Wrong
            if not origins:
                said = "A value needs an origin: from, const, first, cases, step, find_in or lookup_in"
                raise report.stop("no-origin", said, node.position, "{from: COLUMN, ...}")
            said = f"A value has one origin; here are {' and '.join(origins)}"
            fix = "keep one of them"
            if "lookup_in" in origins:
                fix += ";  {lookup_in: SOURCE, where: {COLUMN: COLUMN}, take: COLUMN}  takes a column of another source"
            raise report.stop("two-origins", said, node.position, fix)
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
            fix = near(name, note.sources) or f"The sources of this spec: {', '.join(note.sources)}"
            raise report.stop("unknown-source", f'There is no source "{name}"', fields.position(LOOKUP_IN), fix)
        take = fields.need(TAKE)
        with note.elsewhere(name):
            where_node = cast(MapNode, node.get("where"))
            for key_node, _ in where_node.pairs:
                note.column(key_node)
            note.column(cast(Scalar, node.get("take")))
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
                raise report.stop(
                    "bad-modifier", f"{key.name} does nothing without {needed.name}", fields.position(key)
                )
        kind = fields.get(TYPE)
        for key in (FORMAT, TIMEZONE):
            if fields.has(key) and kind not in {"date", "datetime"} and not (fields.has(TYPE) and kind is None):
                fix = "type: datetime"
                raise report.stop(
                    "bad-modifier", f"{key.name} goes with type date or datetime", fields.position(key), fix
                )
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
                **alternatives(tuple(key.name for key in ORIGINS)),
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
VALUE.long = LONG
