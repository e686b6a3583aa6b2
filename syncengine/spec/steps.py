"""Steps: what is made of the rows of a source."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

from syncengine.changes import Role
from syncengine.mapping.model import (
    ClassCases,
    ClassMap,
    ClassRule,
    Column,
    Condition,
    FieldRule,
    FindIn,
    LinkRule,
    PartRule,
    Recipe,
    RecordRef,
    RowRules,
    Shaped,
    Value,
)
from syncengine.spec.model import (
    Defaults,
    FieldInfo,
    Reclassify,
    Reference,
    Step,
    Vanished,
)
from syncengine.spec.nodes import MapNode, Node, Scalar
from syncengine.spec.reader import Reader
from syncengine.spec.shapes import (
    Choice,
    Either,
    Fields,
    Flag,
    Key,
    ListOf,
    MapOf,
    Mapped,
    Report,
    Schema,
    Shape,
    Text,
    Wrong,
    key_schema,
    object_schema,
    read_keys,
)
from syncengine.spec.values import (
    CONDITION,
    FIELDS_SHAPE,
    IF_EMPTY,
    NAME,
    NAME_MUST,
    REFERENCE,
    TABLE,
    TABLE_MUST,
    VALUE,
    ColumnName,
    MapRule,
    reader,
)

CLASS = Text("the name of a class", TABLE, must=TABLE_MUST)
TARGETS = ("staging", "cmdb", "relation", "attach", "4me")
PLANNED = ("cmdb", "relation")
"""The targets that are supported."""


class ClassShape(Shape[ClassRule]):
    """`cmdb:`: a class, a class by the value of a column, or a class by conditions."""

    says = "a class, {from, map} or a list of {when, use}"
    _map = (
        Key("from", VALUE, "The column that decides.", required=True, example="from: os"),
        Key("map", MapRule(), "Value to class.", required=True, example="map: {linux: cmdb_ci_linux_server}"),
        Key("default", CLASS, "The class of all other values."),
    )
    _case = (
        Key("when", CONDITION, "Holds for the rows of this class."),
        Key("use", CLASS, "The class."),
        Key("otherwise", CLASS, "The class where no condition before it holds."),
    )

    def read(self, node: Node, report: Report) -> ClassRule:
        if isinstance(node, Scalar):
            return CLASS.read(node, report)
        if isinstance(node, MapNode):
            return self._by_value(node, report)
        if not node.items:
            raise self.expected(node, report)
        cases: list[tuple[Condition | None, str]] = []
        failed = False
        for number, item in enumerate(node.items, 1):
            try:
                cases.append(self._one(item, number == len(node.items), report))
            except Wrong:
                failed = True
        if failed:
            raise Wrong
        return ClassCases(tuple(cases))

    def _by_value(self, node: MapNode, report: Report) -> ClassRule:
        fields = read_keys(node, self._map, report, "a conditional class")
        origin: Value = fields.need(cast(Key[Value], self._map[0]))
        rule = fields.need(cast(Key[Any], self._map[1]))
        for key, value in rule.entries.items():
            if not re.fullmatch(TABLE, value):
                report.add("bad-name", f'"{value[:40]}" (for {key}) is not the name of a class', rule.position)
                fields.failed = True
        if fields.failed:
            raise Wrong
        return ClassMap(origin, rule, fields.get(cast(Key[str], self._map[2])))

    def _one(self, node: Node, last: bool, report: Report) -> tuple[Condition | None, str]:
        fields = read_keys(node, self._case, report, "a case")
        when, use, otherwise = (cast(Key[Any], key) for key in self._case)
        if fields.has(otherwise):
            if not last or fields.has(when) or fields.has(use):
                raise report.stop("bad-case", "otherwise stands alone and last", node.position)
            return None, fields.need(otherwise)
        if not (fields.has(when) and fields.has(use)):
            fix = "{when: {os: {contains: linux}}, use: cmdb_ci_linux_server}"
            raise report.stop("missing-key", "A case needs when and use", node.position, fix)
        return fields.need(when), fields.need(use)

    def schema(self, named: dict[str, Schema]) -> Schema:
        if "class" not in named:
            named["class"] = {}
            case = {**object_schema(self._case, named), "dependentRequired": {"when": ["use"], "use": ["when"]},
                    "dependentSchemas": {"otherwise": {"properties": {"when": False, "use": False}}}, "minProperties": 1}  # fmt: skip
            named["class"] = {
                "type": ["string", "object", "array"],
                "if": {"type": "array"},
                "then": {"items": case, "minItems": 1},
                "else": {"if": {"type": "object"}, "then": object_schema(self._map, named), "else": CLASS.schema(named)},
            }
        return {"$ref": "#/$defs/class"}


def classes_of(rule: ClassRule) -> tuple[str, ...]:
    """All classes that a rule may choose."""
    if isinstance(rule, str):
        return (rule,)
    if isinstance(rule, ClassMap):
        found = [*rule.map.entries.values(), *([rule.default] if rule.default else [])]
    else:
        found = [name for _, name in rule.cases]
    return tuple(dict.fromkeys(found))


EACH = Key("each", ColumnName(), "A path to a list: one record per element; inside, names are the element's keys.", example="each: disks")
WHEN = Key("when", CONDITION, "Rows for which this holds.", example="when: {State: {not: scrapped}}")
FIELDS = Key("fields", FIELDS_SHAPE, "The record: field and where its value comes from.", required=True, example="fields: {name: COLUMN}")
PART_CLASS = Key("class", CLASS, "The class of the item.", required=True, example="class: cmdb_serial_number")


class Scoped(Shape[Any]):
    """A mapping whose `each` opens a list for all other keys: read first, whatever the order in the file."""

    def __init__(self, inner: Mapped[Any]) -> None:
        self.inner = inner
        self.says = inner.what

    def read(self, node: Node, report: Report) -> Any:
        note = reader(report)
        each = node.get("each") if isinstance(node, MapNode) else None
        if each is None:
            return self.inner.read(node, report)
        before = len(note.problems), len(note.columns)
        try:
            column: Column | None = ColumnName().read(each, Reader(note.file, name=note.name, each=note.each))
        except Wrong:
            column = None
        del before
        with note.within(column):
            return self.inner.read(node, report)

    def schema(self, named: dict[str, Schema]) -> Schema:
        return self.inner.schema(named)


class OuterColumn(Shape[Column]):
    """The path of `each`, which belongs to the row around the list."""

    says = "a column"

    def read(self, node: Node, report: Report) -> Column:
        note = reader(report)
        inside = note.each
        note.each = inside[:-1]
        try:
            return ColumnName().read(node, report)
        finally:
            note.each = inside

    def schema(self, named: dict[str, Schema]) -> Schema:
        return ColumnName().schema(named)


EACH_INSIDE = Key("each", OuterColumn(), EACH.doc, example=EACH.example)


def _part(fields: Fields, report: Report) -> PartRule:
    del report
    if fields.failed:
        raise Wrong
    return PartRule(
        fields.need(PART_CLASS), fields.need(FIELDS), fields.get(EACH_INSIDE), fields.get(WHEN), fields.node.position
    )


PART = Scoped(Mapped("part", "a lookup or related item", (PART_CLASS, EACH_INSIDE, WHEN, FIELDS), _part))

LINK_TYPE = Key("type", Text("the name of a relation type", max_length=100), "cmdb_rel_type.name; the parent stands left.", required=True,
                example='type: "Depends on::Used by"')  # fmt: skip


class EndShape(Shape[RecordRef | FindIn]):
    """One end of a relation."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.says = REFERENCE.says

    def read(self, node: Node, report: Report) -> RecordRef | FindIn:
        note = reader(report)
        note.role = self.role
        try:
            return REFERENCE.read(node, report)
        finally:
            note.role = None

    def schema(self, named: dict[str, Schema]) -> Schema:
        return REFERENCE.schema(named)


LINK_PARENT = Key("parent", EndShape("parent"), "The record that is the parent; this one is the child.", example="parent: {step: hosts, key: host}")
LINK_CHILD = Key("child", EndShape("child"), "The record that is the child; this one is the parent.", example="child: {step: servers, key: server}")
LINK_MISSING = Key("if_missing", Choice(("error", "omit", "skip_row")), "What happens where the other record is not found.", default="error")


def _link(fields: Fields, report: Report) -> LinkRule:
    node = fields.node
    if fields.has(LINK_PARENT) == fields.has(LINK_CHILD):
        both = fields.has(LINK_PARENT)
        said = "A relation names the other end: parent or child" + (", not both" if both else "")
        raise report.stop("relation-ends", said, node.position, "child: {step: servers, key: server}   (this CI is the parent)")
    if fields.failed:
        raise Wrong
    role: Role = "parent" if fields.has(LINK_PARENT) else "child"
    other = fields.need(LINK_PARENT if role == "parent" else LINK_CHILD)
    missing = fields.get(LINK_MISSING)
    if missing is not None:
        from dataclasses import replace

        other = replace(other, if_missing=cast(Any, missing))
    return LinkRule(fields.need(LINK_TYPE), role, other, fields.get(WHEN), node.position)


LINK: Mapped[LinkRule] = Mapped(
    "link",
    "a relation",
    (LINK_TYPE, LINK_PARENT, LINK_CHILD, WHEN, LINK_MISSING),
    _link,
    more={"dependentSchemas": {"parent": {"properties": {"child": False}}}},
)

_ALLOW = Choice(("allow", "forbid"))
_UPGRADE = Key("upgrade", _ALLOW, "To a class below the present one.", default="allow")
_DOWNGRADE = Key("downgrade", _ALLOW, "To a class above the present one.", default="allow")
_SWITCH = Key("switch", _ALLOW, "To a class in another branch.", default="allow")


def _reclassify(fields: Fields, report: Report) -> Reclassify:
    del report
    if fields.failed:
        raise Wrong
    return Reclassify(*(fields.get(key) != "forbid" for key in (_UPGRADE, _DOWNGRADE, _SWITCH)))


_DO = Key("do", Choice(("keep", "report", "retire")), "What is done about them.", required=True, example="do: retire")
_SET = Key("set", MapOf(Text("a text"), "field", least=1), "Fields that a retired record gets.", example="set: {install_status: 7}")
_AFTER = Key("after", Text("a number of runs such as 3 runs", r"[1-9][0-9]{0,3} runs?"), "How many runs it must be missing.", example="after: 3 runs")
_FILTERED = Key("include_filtered", Flag(), "Whether a row that when leaves out counts as vanished.", default=False)


def _vanished(fields: Fields, report: Report) -> Vanished:
    do = fields.need(_DO)
    if do == "retire" and not fields.has(_SET):
        fix = "set: {operational_status: 6, install_status: 7}"
        raise report.stop("missing-key", "retire needs the key set: what a retired record looks like", fields.node.position, fix)
    if fields.failed:
        raise Wrong
    after = int((fields.get(_AFTER) or "1 run").split()[0])
    return Vanished(cast(Any, do), fields.get(_SET) or {}, after, bool(fields.get(_FILTERED)), fields.node.position)


class VanishedShape(Shape[Vanished]):
    """`keep`, `report`, or the long form."""

    says = "keep, report or {do: retire, set: ...}"
    long: Mapped[Vanished] = Mapped("vanished", "vanished", (_DO, _SET, _AFTER, _FILTERED), _vanished)

    def read(self, node: Node, report: Report) -> Vanished:
        if isinstance(node, MapNode):
            return self.long.read(node, report)
        word = Choice(("keep", "report")).read(node, report)
        return Vanished(cast(Any, word), position=node.position)

    def schema(self, named: dict[str, Schema]) -> Schema:
        return Either(cast(Any, Choice(("keep", "report"))), cast(Any, self.long)).schema(named)


SOURCE = Key("source", Text("the name of a source", NAME, must=NAME_MUST), "The rows to read; needed where there are several sources.",
             example="source: servers")  # fmt: skip
DISTINCT = Key("distinct", ListOf(ColumnName(), one=True, least=1), "One record for each different value; blank values are dropped.",
               example="distinct: site")  # fmt: skip
KEY = Key("key", ListOf(VALUE, one=True, least=1), "The record's name in the source, unique within the step; a list is joined with |.",
          example="key: Serial Number")  # fmt: skip
STEP_IF_EMPTY = Key("if_empty", IF_EMPTY, "What no value does to a field.", default="omit")
ON_ERROR = Key("on_error", Choice(("continue", "stop")), "After a row that the server refused.", default="continue")
CONNECTION = Key("connection", Text("the name of a connection", NAME, must=NAME_MUST), "Needed where an environment has two of a kind.")
DATA_SOURCE = Key("data_source", Text("a text", max_length=100), "Discovery source of this step; otherwise the spec's.", example="data_source: DC Inventory")
FEED = Key("feed", Text("a text", max_length=255), "source_feed; otherwise <spec>.<step>.")
SEEN_AT = Key("seen_at", VALUE, "When the source saw it (ISO with offset): source_recency_timestamp.", example="seen_at: scanned")
LOOKUP = Key("lookup", ListOf(PART, least=1), "Items that help to identify the CI.", example="lookup: [{class: cmdb_serial_number, fields: {serial_number: serial}}]")
RELATED = Key("related", ListOf(PART, least=1), "Items around the CI that do not identify it.")
RELATIONS = Key("relations", ListOf(LINK, least=1), "Relations to other CIs; the other end is written under its role.")
RECLASSIFY = Key("reclassify", Mapped("reclassify", "reclassify", (_UPGRADE, _DOWNGRADE, _SWITCH), _reclassify),
                 "Which changes of class the engine may make.", default="allow")  # fmt: skip
VANISHED = Key("vanished", VanishedShape(), "What becomes of records that the source no longer has.", default="keep")
TOUCH = Key("touch", Flag(), "true: unchanged records are sent, too, so that they count as seen.", default=False)
VERIFY = Key("verify", Flag(), "true: records are read again after they were written.", default=False)
ACCEPT = Key("accept_inferred", Flag(), "true: rely on behaviour of the service that is inferred, not documented.", default=False)
NATIVE_KEY = Key("native_key", VALUE, "source_native_key, where it is not the key.", example='native_key: "srv-{{ serial }}"')
PARENT = Key("parent", EndShape("parent"), "The parent of the relation.", required=True, example="parent: {step: apps, key: app_id}")
CHILD = Key("child", EndShape("child"), "The child of the relation.", required=True, example="child: {step: servers, key: server}")
CMDB = Key("cmdb", ClassShape(), "The class of the CIs, or how it is chosen.", example="cmdb: cmdb_ci_server")
RELATION = Key("relation", Text("the name of a relation type", max_length=100), "A relation between two records, for link tables.",
               example='relation: "Depends on::Used by"')  # fmt: skip

COMMON = (SOURCE, EACH_INSIDE, WHEN, ON_ERROR, CONNECTION)
CMDB_KEYS = (*COMMON, DISTINCT, KEY, FIELDS, STEP_IF_EMPTY, CMDB, DATA_SOURCE, FEED, SEEN_AT, LOOKUP, RELATED, RELATIONS,
             RECLASSIFY, VANISHED, TOUCH, VERIFY, ACCEPT, NATIVE_KEY)  # fmt: skip
RELATION_KEYS = (*COMMON, RELATION, PARENT, CHILD, DATA_SOURCE)
KEYS = {"cmdb": CMDB_KEYS, "relation": RELATION_KEYS}


@dataclass(frozen=True)
class StepContext:
    """What a step takes from its file."""

    sources: dict[str, RowRules]
    data_source: str | None
    defaults: Defaults
    default_vanished: Vanished | None
    vars: dict[str, str]


class StepShape(Shape[Fields]):
    """A step; its context comes later, from `build_step`."""

    says = "a step"

    def schema(self, named: dict[str, Schema]) -> Schema:
        if "step" not in named:
            named["step"] = {}
            branches = [
                {
                    "if": {"required": [kind]},
                    "then": {
                        "properties": {key.name: key_schema(key, named) for key in keys},
                        "required": [kind, *(key.name for key in keys if key.required), *(["key"] if kind == "cmdb" else [])],
                    },
                }
                for kind, keys in KEYS.items()
            ]
            none = {"not": {"required": ["cmdb"]}, "if": {"not": {"required": ["relation"]}}, "then": {"required": ["cmdb"]}}
            branches.append({"if": {"not": {"required": ["cmdb"]}}, "then": {"required": ["relation"]}})
            del none
            named["step"] = {
                "type": "object",
                "allOf": branches,
                "dependentSchemas": {"cmdb": {"properties": {"relation": False}}},
                "unevaluatedProperties": False,
            }
        return {"$ref": "#/$defs/step"}


def kind_of(node: MapNode, name: str, at: Scalar, report: Report) -> str:
    """The one target key of a step."""
    found = [one for one in TARGETS if node.get(one) is not None]
    if not found:
        from syncengine.spec.shapes import near

        close = next((near(key.text, TARGETS) for key, _ in node.pairs if near(key.text, TARGETS)), "")
        said = f'The step "{name}" says nothing about what it makes: it needs one of {", ".join(TARGETS)}'
        raise report.stop("no-target", said, at.position, close or "cmdb: cmdb_ci_server")
    if len(found) > 1:
        keys = [cast(Scalar, node.key(one)) for one in found]
        places = " and ".join(f"{key.text} (line {key.position.line})" for key in keys)
        fix = "Split it in two steps with the same source."
        raise report.stop("two-targets", f'The step "{name}" says both {places}; one step makes one kind of record', at.position, fix)
    if found[0] not in PLANNED:
        key = cast(Scalar, node.key(found[0]))
        said = f"Steps with {found[0]} are not supported yet; this version makes {' and '.join(PLANNED)}"
        raise report.stop("not-yet", said, key.position)
    return found[0]


def build_step(name: Scalar, node: Node, context: StepContext, note: Reader) -> Step:
    """A step from its node; problems are noted, and `Wrong` raised where no step can be made."""
    from syncengine.spec.nodes import describe

    if not isinstance(node, MapNode):
        raise note.stop("wrong-type", f"Expected a step, found {describe(node)}", node.position)
    kind = kind_of(node, name.text, name, note)
    note.step = name.text
    source = _source(node, name, context, note)
    note.source = source
    keys = KEYS[kind]
    each = node.get("each")
    column: Column | None = None
    if each is not None:
        try:
            column = ColumnName().read(each, Reader(note.file, name=note.name))
        except Wrong:
            column = None
    try:
        with note.within(column):
            fields = read_keys(node, keys, note, f"{'a cmdb' if kind == 'cmdb' else 'a relation'} step", at=name.position)
    finally:
        note.step = ""
    if kind == "cmdb":
        return _cmdb(name, fields, source, context, note)
    return _relation(name, fields, source, context, note)


def _source(node: MapNode, name: Scalar, context: StepContext, note: Reader) -> str:
    written = node.get("source")
    known = tuple(context.sources)
    if written is None:
        if len(known) != 1:
            fix = f"source: {known[0]}" if known else ""
            note.add("missing-key", f'The step "{name.text}" must say which source it reads: {", ".join(known)}', name.position, fix)
            return ""
        return known[0]
    if isinstance(written, Scalar) and written.text not in context.sources:
        from syncengine.spec.shapes import near

        fix = near(written.text, known) or f"The sources of this spec: {', '.join(known)}"
        note.add("unknown-source", f'There is no source "{written.text[:60]}"', written.position, fix, written.text)
        return ""
    return written.text if isinstance(written, Scalar) else ""


def _cmdb(name: Scalar, fields: Fields, source: str, context: StepContext, note: Reader) -> Step:
    if not fields.has(KEY):
        said = f'The step "{name.text}" has no key: every CI needs the identifier that it has in the source'
        note.add("missing-key", said, name.position, "key: Serial Number")
        fields.failed = True
    data_source = fields.get(DATA_SOURCE) or context.data_source
    if data_source is None and not fields.has(DATA_SOURCE):
        said = f'The step "{name.text}" has no data_source: without it ServiceNow refuses every item'
        note.add("missing-key", said, name.position, "data_source: DC Inventory   (a choice of cmdb_ci.discovery_source)")
        fields.failed = True
    if fields.failed or not source:
        raise Wrong
    rules = fields.need(FIELDS)
    links = fields.get(RELATIONS) or ()
    rule = fields.need(CMDB)
    full = f"{note.name}.{name.text}"
    key = fields.need(KEY)
    recipe = Recipe(
        full,
        name.position,
        source,
        context.sources[source],
        key=key,
        class_rule=rule,
        each=fields.get(EACH_INSIDE),
        when=fields.get(WHEN),
        distinct=fields.get(DISTINCT) or (),
        fields=rules,
        if_empty=cast(Any, fields.get(STEP_IF_EMPTY) or context.defaults.if_empty),
        lookup=fields.get(LOOKUP) or (),
        related=fields.get(RELATED) or (),
        links=links,
        seen_at=fields.get(SEEN_AT),
        native_key=fields.get(NATIVE_KEY),
        timezone=context.defaults.timezone,
        vars=context.vars,
    )
    return Step(
        name.text,
        full,
        "cmdb",
        source,
        name.position,
        recipe,
        data_source=data_source or "",
        feed=fields.get(FEED) or full,
        classes=classes_of(rule),
        reclassify=fields.get(RECLASSIFY) or Reclassify(),
        touch=bool(fields.get(TOUCH)),
        on_error=cast(Any, fields.get(ON_ERROR) or context.defaults.on_error),
        vanished=fields.get(VANISHED) or context.default_vanished or Vanished(),
        verify=bool(fields.get(VERIFY)),
        accept_inferred=bool(fields.get(ACCEPT)),
        connection=fields.get(CONNECTION),
        fields=tuple(FieldInfo(one.name, one.position, one.sensitive, one.compare) for one in rules),
        references=(*(_reference(one.role, one.type, one.other) for one in links), *_field_references(rules)),
        key_parts=len(key),
    )


def _relation(name: Scalar, fields: Fields, source: str, context: StepContext, note: Reader) -> Step:
    data_source = fields.get(DATA_SOURCE) or context.data_source
    if data_source is None and not fields.has(DATA_SOURCE):
        said = f'The step "{name.text}" has no data_source: without it ServiceNow refuses every item'
        note.add("missing-key", said, name.position, "data_source: DC Inventory")
        fields.failed = True
    if fields.failed or not source:
        raise Wrong
    kind, parent, child = fields.need(RELATION), fields.need(PARENT), fields.need(CHILD)
    full = f"{note.name}.{name.text}"
    recipe = Recipe(
        full,
        name.position,
        source,
        context.sources[source],
        each=fields.get(EACH_INSIDE),
        when=fields.get(WHEN),
        relation_type=kind,
        parent=parent,
        child=child,
        timezone=context.defaults.timezone,
        vars=context.vars,
    )
    return Step(
        name.text,
        full,
        "relation",
        source,
        name.position,
        recipe,
        data_source=data_source or "",
        feed=full,
        relation_type=kind,
        on_error=cast(Any, fields.get(ON_ERROR) or context.defaults.on_error),
        connection=fields.get(CONNECTION),
        references=(_reference("parent", kind, parent), _reference("child", kind, child)),
    )


def _reference(role: Role | None, kind: str, other: RecordRef | FindIn) -> Reference:
    if isinstance(other, RecordRef):
        return Reference(role, kind, other.step, None, len(other.key), other.position)
    return Reference(role, kind, None, other.table, 0, other.position)


def _field_references(rules: tuple[FieldRule, ...]) -> tuple[Reference, ...]:
    found = []
    for rule in rules:
        value = rule.value.origin if isinstance(rule.value, Shaped) else rule.value
        if isinstance(value, (RecordRef, FindIn)):
            found.append(_reference(None, rule.name, value))
    return tuple(found)

