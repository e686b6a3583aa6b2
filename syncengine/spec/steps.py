"""Steps: what is made of the rows of a source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from syncengine.changes import Role
from syncengine.mapping.model import (
    Column,
    FieldRule,
    FindIn,
    Recipe,
    RecordRef,
    RowRules,
    Shaped,
)
from syncengine.spec.atoms import IF_EMPTY, NAME, NAME_MUST, ColumnName
from syncengine.spec.classes import ClassShape, classes_of
from syncengine.spec.items import EACH_INSIDE, FIELDS, LINK, PART, RECLASSIFY, EndShape, VanishedShape
from syncengine.spec.later import LATER_KEYS
from syncengine.spec.later import problems as later_problems
from syncengine.spec.model import (
    Defaults,
    FieldInfo,
    LaterStep,
    Reclassify,
    Reference,
    Step,
    Vanished,
)
from syncengine.spec.nodes import MapNode, Node, Scalar, describe
from syncengine.spec.reader import Reader
from syncengine.spec.references import VALUE
from syncengine.spec.rows import NOT_YET
from syncengine.spec.shapes import (
    AnyKey,
    Choice,
    Fields,
    Flag,
    Key,
    ListOf,
    Report,
    Schema,
    Shape,
    Text,
    Wrong,
    key_schema,
    read_keys,
)
from syncengine.spec.values import WHEN
from syncengine.spec.wording import near

MAX_SOURCE = 30
"""Characters of a Source in 4me."""
TARGETS = ("staging", "cmdb", "relation", "attach", "4me")
PLANNED = ("cmdb", "relation")
"""The targets that can be planned; the others are read and checked."""


SOURCE = Key(
    "source",
    Text("the name of a source", NAME, must=NAME_MUST),
    "The rows to read; needed where there are several sources.",
    example="source: servers",
)
DISTINCT = Key(
    "distinct",
    ListOf(ColumnName(), one=True, least=1),
    "One record for each different value; blank values are dropped.",
    example="distinct: site",
)
KEY = Key(
    "key",
    ListOf(VALUE, one=True, least=1),
    "The record's name in the source, unique within the step; a list is joined with |.",
    example="key: Serial Number",
)
STEP_IF_EMPTY = Key("if_empty", IF_EMPTY, "What no value does to a field.", default="omit")
ON_ERROR = Key("on_error", Choice(("continue", "stop")), "After a row that the server refused.", default="continue")
CONNECTION = Key(
    "connection",
    Text("the name of a connection", NAME, must=NAME_MUST),
    "Needed where an environment has two of a kind.",
)
DATA_SOURCE = Key(
    "data_source",
    Text("a text", max_length=100),
    "Discovery source of this step; otherwise the spec's.",
    example="data_source: DC Inventory",
)
FEED = Key("feed", Text("a text", max_length=255), "source_feed; otherwise <spec>.<step>.")
SEEN_AT = Key(
    "seen_at", VALUE, "When the source saw it (ISO with offset): source_recency_timestamp.", example="seen_at: scanned"
)
LOOKUP = Key(
    "lookup",
    ListOf(PART, least=1),
    "Items that help to identify the CI.",
    example="lookup: [{class: cmdb_serial_number, fields: {serial_number: serial}}]",
)
RELATED = Key("related", ListOf(PART, least=1), "Items around the CI that do not identify it.")
RELATIONS = Key("relations", ListOf(LINK, least=1), "Relations to other CIs; the other end is written under its role.")
VANISHED = Key("vanished", VanishedShape(), "What becomes of records that the source no longer has.", default="keep")
TOUCH = Key("touch", Flag(), "true: unchanged records are sent, too, so that they count as seen.", default=False)
VERIFY = Key("verify", Flag(), "true: records are read again after they were written.", default=False)
ACCEPT = Key(
    "accept_inferred", Flag(), "true: rely on behaviour of the service that is inferred, not documented.", default=False
)
NATIVE_KEY = Key(
    "native_key", VALUE, "source_native_key, where it is not the key.", example='native_key: "srv-{{ serial }}"'
)
PARENT = Key(
    "parent",
    EndShape("parent"),
    "The parent of the relation.",
    required=True,
    example="parent: {step: apps, key: app_id}",
)
CHILD = Key(
    "child",
    EndShape("child"),
    "The child of the relation.",
    required=True,
    example="child: {step: servers, key: server}",
)
CMDB = Key("cmdb", ClassShape(), "The class of the CIs, or how it is chosen.", example="cmdb: cmdb_ci_server")
RELATION = Key(
    "relation",
    Text("the name of a relation type", max_length=100),
    "A relation between two records, for link tables.",
    example='relation: "Depends on::Used by"',
)

COMMON = (SOURCE, EACH_INSIDE, WHEN, ON_ERROR, CONNECTION)
CMDB_KEYS = (
    *COMMON,
    DISTINCT,
    KEY,
    FIELDS,
    STEP_IF_EMPTY,
    CMDB,
    DATA_SOURCE,
    FEED,
    SEEN_AT,
    LOOKUP,
    RELATED,
    RELATIONS,
    RECLASSIFY,
    VANISHED,
    TOUCH,
    VERIFY,
    ACCEPT,
    NATIVE_KEY,
)
RELATION_KEYS = (*COMMON, RELATION, PARENT, CHILD, DATA_SOURCE)
STAGING_KEYS = (*COMMON, DISTINCT, KEY, STEP_IF_EMPTY, *LATER_KEYS["staging"])
ATTACH_KEYS = (*COMMON, *LATER_KEYS["attach"])
FOURME_KEYS = (*COMMON, DISTINCT, KEY, STEP_IF_EMPTY, DATA_SOURCE, VANISHED, *LATER_KEYS["4me"])
KEYS: dict[str, tuple[AnyKey, ...]] = {
    "cmdb": CMDB_KEYS,
    "relation": RELATION_KEYS,
    "staging": STAGING_KEYS,
    "attach": ATTACH_KEYS,
    "4me": FOURME_KEYS,
}


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
                        "required": [
                            kind,
                            *(key.name for key in keys if key.required),
                            *(["key"] if kind == "cmdb" else []),
                        ],
                    },
                }
                for kind, keys in KEYS.items()
            ]
            none: Schema = {"required": ["cmdb"]}
            for kind in TARGETS:
                if kind != "cmdb":
                    none = {"if": {"not": {"required": [kind]}}, "then": none}
            named["step"] = {
                "type": "object",
                "allOf": [*branches, none],
                "dependentSchemas": {
                    kind: {"properties": {other: False for other in TARGETS if other != kind}} for kind in TARGETS
                },
                "unevaluatedProperties": False,
            }
        return {"$ref": "#/$defs/step"}


def kind_of(node: MapNode, name: str, at: Scalar, report: Report) -> str:
    """The one target key of a step."""
    found = [one for one in TARGETS if node.get(one) is not None]
    if not found:
        close = next((near(key.text, TARGETS) for key, _ in node.pairs if near(key.text, TARGETS)), "")
        said = f'The step "{name}" says nothing about what it makes: it needs one of {", ".join(TARGETS)}'
        raise report.stop("no-target", said, at.position, close or "cmdb: cmdb_ci_server")
    if len(found) > 1:
        keys = [cast(Scalar, node.key(one)) for one in found]
        places = " and ".join(f"{key.text} (line {key.position.line})" for key in keys)
        fix = "Split it in two steps with the same source."
        raise report.stop(
            "two-targets", f'The step "{name}" says both {places}; one step makes one kind of record', at.position, fix
        )
    return found[0]


_WHAT = {"cmdb": "a cmdb step", "relation": "a relation step", "staging": "a staging step", "attach": "an attach step"}


def build_step(name: Scalar, node: Node, context: StepContext, note: Reader) -> Step | LaterStep:
    """A step from its node; problems are noted, and `Wrong` raised where no step can be made."""
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
            fields = read_keys(node, keys, note, _WHAT.get(kind, f"a {kind} step"), at=name.position)
    finally:
        note.step = ""
    if kind == "cmdb":
        return _cmdb(name, fields, source, context, note)
    if kind not in PLANNED:
        return _later(name, kind, fields, context, note)
    return _relation(name, fields, source, context, note)


def _source(node: MapNode, name: Scalar, context: StepContext, note: Reader) -> str:
    written = node.get("source")
    known = tuple(context.sources)
    if written is None:
        if not known:
            return ""
        if len(known) != 1:
            fix = f"source: {known[0]}" if known else ""
            note.add(
                "missing-key",
                f'The step "{name.text}" must say which source it reads: {", ".join(known)}',
                name.position,
                fix,
            )
            return ""
        return known[0]
    if isinstance(written, Scalar) and written.text not in context.sources:
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
        note.add(
            "missing-key", said, name.position, "data_source: DC Inventory   (a choice of cmdb_ci.discovery_source)"
        )
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


def _later(name: Scalar, kind: str, fields: Fields, context: StepContext, note: Reader) -> LaterStep:
    later_problems(kind, fields, note, name)
    if kind == "4me":
        data_source = fields.get(DATA_SOURCE) or context.data_source
        if data_source is None and not fields.has(DATA_SOURCE):
            said = f'The step "{name.text}" has no data_source: 4me keeps it as the Source of each record'
            note.add("missing-key", said, name.position, "data_source: DC Inventory")
        elif data_source is not None and len(data_source) > MAX_SOURCE:
            position = fields.position(DATA_SOURCE) if fields.has(DATA_SOURCE) else name.position
            note.add("too-long", f"4me takes at most {MAX_SOURCE} characters as a data source", position)
    if fields.failed:
        raise Wrong
    position = cast(Scalar, fields.node.key(kind)).position
    said = f'The step "{name.text}" is right, but this version makes {" and ".join(PLANNED)} only, not {kind}'
    note.warn(NOT_YET, said, position, "Move it to a project of its own until it can be planned.")
    return LaterStep(name.text, f"{note.name}.{name.text}", kind, position, len(fields.get(KEY) or ()))


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
