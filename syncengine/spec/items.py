"""Parts of a step: lookup and related items, relations, reclassification, vanished records."""

from __future__ import annotations

from typing import Any, cast

from msgspec.structs import replace

from syncengine.changes import Role
from syncengine.mapping.model import (
    Column,
    FindIn,
    LinkRule,
    PartRule,
    RecordRef,
    Shaped,
)
from syncengine.spec.atoms import ColumnName, reader
from syncengine.spec.classes import CLASS
from syncengine.spec.conditions import CONDITION
from syncengine.spec.fields import FIELDS_SHAPE
from syncengine.spec.keys import Fields, Key, Mapped
from syncengine.spec.model import (
    Reclassify,
    Vanished,
)
from syncengine.spec.nodes import MapNode, Node
from syncengine.spec.reader import Reader
from syncengine.spec.references import REFERENCE
from syncengine.spec.report import Report, Wrong
from syncengine.spec.shapes import Choice, Either, Flag, MapOf, Schema, Shape, Text

EACH = Key(
    "each",
    ColumnName(),
    "A path to a list: one record per element; inside, names are the element's keys.",
    example="each: disks",
)
WHEN = Key("when", CONDITION, "Rows for which this holds.", example="when: {State: {not: scrapped}}")
FIELDS = Key(
    "fields",
    FIELDS_SHAPE,
    "The record: field and where its value comes from.",
    required=True,
    example="fields: {name: COLUMN}",
)
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
    for rule in fields.get(FIELDS) or ():
        value = rule.value.origin if isinstance(rule.value, Shaped) else rule.value
        if isinstance(value, (RecordRef, FindIn)):
            said = "A lookup or related item takes no reference: the engine resolves those of the CI only"
            report.add("bad-reference", said, rule.position, "Write the value itself, or move the field to the CI.")
            fields.failed = True
    if fields.failed:
        raise Wrong
    return PartRule(
        fields.need(PART_CLASS), fields.need(FIELDS), fields.get(EACH_INSIDE), fields.get(WHEN), fields.node.position
    )


PART = Scoped(Mapped("part", "a lookup or related item", (PART_CLASS, EACH_INSIDE, WHEN, FIELDS), _part))

LINK_TYPE = Key(
    "type",
    Text("the name of a relation type", max_length=100),
    "cmdb_rel_type.name; the parent stands left.",
    required=True,
    example='type: "Depends on::Used by"',
)


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


LINK_PARENT = Key(
    "parent",
    EndShape("parent"),
    "The record that is the parent; this one is the child.",
    example="parent: {step: hosts, key: host}",
)
LINK_CHILD = Key(
    "child",
    EndShape("child"),
    "The record that is the child; this one is the parent.",
    example="child: {step: servers, key: server}",
)
LINK_MISSING = Key(
    "if_missing",
    Choice(("error", "omit", "skip_row")),
    "What happens where the other record is not found.",
    default="error",
)


def _link(fields: Fields, report: Report) -> LinkRule:
    node = fields.node
    if fields.has(LINK_PARENT) == fields.has(LINK_CHILD):
        both = fields.has(LINK_PARENT)
        said = "A relation names the other end: parent or child" + (", not both" if both else "")
        raise report.stop(
            "relation-ends", said, node.position, "child: {step: servers, key: server}   (this CI is the parent)"
        )
    if fields.failed:
        raise Wrong
    role: Role = "parent" if fields.has(LINK_PARENT) else "child"
    other = fields.need(LINK_PARENT if role == "parent" else LINK_CHILD)
    missing = fields.get(LINK_MISSING)
    if missing is not None:
        other = replace(other, if_missing=cast(Any, missing))
    return LinkRule(fields.need(LINK_TYPE), role, other, fields.get(WHEN), node.position)


LINK: Mapped[LinkRule] = Mapped(
    "link",
    "a relation",
    (LINK_TYPE, LINK_PARENT, LINK_CHILD, WHEN, LINK_MISSING),
    _link,
    more={
        "dependentSchemas": {"parent": {"properties": {"child": False}}},
        "if": {"not": {"required": ["parent"]}},
        "then": {"required": ["child"]},
    },
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


RECLASSIFY = Key(
    "reclassify",
    Mapped("reclassify", "reclassify", (_UPGRADE, _DOWNGRADE, _SWITCH), _reclassify),
    "Which changes of class the engine may make.",
    default="allow",
)

_DO = Key("do", Choice(("keep", "report", "retire")), "What is done about them.", required=True, example="do: retire")
_SET = Key(
    "set",
    MapOf(Text("a text"), "field", least=1),
    "Fields that a retired record gets.",
    example="set: {install_status: 7}",
)
_AFTER = Key(
    "after",
    Text("a number of runs", r"[1-9][0-9]{0,3} runs?", must="such as 3 runs"),
    "How many runs it must be missing.",
    example="after: 3 runs",
)
_FILTERED = Key("include_filtered", Flag(), "Whether a row that when leaves out counts as vanished.", default=False)


def _vanished(fields: Fields, report: Report) -> Vanished:
    do = fields.need(_DO)
    if do == "retire" and not fields.has(_SET):
        fix = "set: {operational_status: 6, install_status: 7}"
        raise report.stop(
            "missing-key", "retire needs the key set: what a retired record looks like", fields.node.position, fix
        )
    if fields.failed:
        raise Wrong
    after = int((fields.get(_AFTER) or "1 run").split()[0])
    return Vanished(cast(Any, do), fields.get(_SET) or {}, after, bool(fields.get(_FILTERED)), fields.node.position)


class VanishedShape(Shape[Vanished]):
    """`keep`, `report`, or the long form."""

    says = "keep, report or {do: retire, set: ...}"
    long: Mapped[Vanished] = Mapped(
        "vanished",
        "vanished",
        (_DO, _SET, _AFTER, _FILTERED),
        _vanished,
        more={"if": {"properties": {"do": {"const": "retire"}}, "required": ["do"]}, "then": {"required": ["set"]}},
    )

    def read(self, node: Node, report: Report) -> Vanished:
        if isinstance(node, MapNode):
            return self.long.read(node, report)
        word = Choice(("keep", "report")).read(node, report)
        return Vanished(cast(Any, word), position=node.position)

    def schema(self, named: dict[str, Schema]) -> Schema:
        return Either(cast(Any, Choice(("keep", "report"))), cast(Any, self.long)).schema(named)
