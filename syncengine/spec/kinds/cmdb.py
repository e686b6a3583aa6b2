"""`cmdb` and `relation`: CIs and what is between them."""

from __future__ import annotations

from typing import Any, cast

from syncengine.mapping.model import Recipe
from syncengine.spec.classes import ClassShape, classes_of
from syncengine.spec.items import EACH_INSIDE, FIELDS, LINK, PART, RECLASSIFY, EndShape
from syncengine.spec.keys import Fields, Key
from syncengine.spec.kinds.common import (
    ACCEPT,
    COMMON,
    CONNECTION,
    DATA_SOURCE,
    DISTINCT,
    KEY,
    ON_ERROR,
    STEP_IF_EMPTY,
    VANISHED,
    StepContext,
    data_source_of,
    field_references,
    reference_of,
)
from syncengine.spec.model import FieldInfo, Reclassify, Step, Vanished
from syncengine.spec.nodes import Scalar
from syncengine.spec.reader import Reader
from syncengine.spec.references import VALUE
from syncengine.spec.report import Wrong
from syncengine.spec.shapes import Flag, ListOf, Text
from syncengine.spec.values import WHEN

WHY_SOURCE = "without it ServiceNow refuses every item"

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
TOUCH = Key("touch", Flag(), "true: unchanged records are sent, too, so that they count as seen.", default=False)
VERIFY = Key("verify", Flag(), "true: records are read again after they were written.", default=False)
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
NO_CIS = ("cmn_", "sys_", "core_", "alm_", "ast_")
"""What names of tables begin with that hold locations, users, companies, assets: no CIs (product knowledge)."""
RELATION_KEYS = (*COMMON, RELATION, PARENT, CHILD, DATA_SOURCE)


def build(name: Scalar, fields: Fields, source: str, context: StepContext, note: Reader) -> Step:
    """A step that makes CIs; problems are noted, and `Wrong` raised where no step can be made."""
    if not fields.has(KEY):
        said = f'The step "{name.text}" has no key: every CI needs the identifier that it has in the source'
        note.add("missing-key", said, name.position, "key: Serial Number")
        fields.failed = True
    example = "data_source: DC Inventory   (a choice of cmdb_ci.discovery_source)"
    data_source = data_source_of(name, fields, context, note, WHY_SOURCE, example)
    if fields.failed or not source:
        raise Wrong
    rules = fields.need(FIELDS)
    links = fields.get(RELATIONS) or ()
    rule = fields.need(CMDB)
    for one in classes_of(rule):
        if one.startswith(NO_CIS):
            said = f"{one} is no class of CIs, and a cmdb step makes nothing else"
            fix = f"To load it:  staging: u_imp_...\nTo refer to one:  {{find_in: {one}, where: {{name: COLUMN}}}}"
            raise note.stop("not-a-ci-class", said, fields.position(CMDB), fix, one)
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
        data_source=data_source,
        feed=fields.get(FEED) or full,
        classes=classes_of(rule),
        reclassify=fields.get(RECLASSIFY) or Reclassify(),
        touch=bool(fields.get(TOUCH)),
        on_error=cast(Any, fields.get(ON_ERROR) or context.defaults.on_error),
        vanished=fields.get(VANISHED) or context.defaults.vanished or Vanished(),
        verify=bool(fields.get(VERIFY)),
        accept_inferred=bool(fields.get(ACCEPT)),
        connection=fields.get(CONNECTION),
        fields=tuple(FieldInfo(one.name, one.position, one.sensitive, one.compare) for one in rules),
        class_said=(FieldInfo("sys_class_name", fields.position(CMDB)),),
        references=(*(reference_of(one.role, one.type, one.other) for one in links), *field_references(rules)),
        key_parts=len(key),
    )


def build_relation(name: Scalar, fields: Fields, source: str, context: StepContext, note: Reader) -> Step:
    """A step that makes relations; problems are noted, and `Wrong` raised where no step can be made."""
    data_source = data_source_of(name, fields, context, note, WHY_SOURCE, "data_source: DC Inventory")
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
        data_source=data_source,
        feed=full,
        relation_type=kind,
        on_error=cast(Any, fields.get(ON_ERROR) or context.defaults.on_error),
        connection=fields.get(CONNECTION),
        references=(reference_of("parent", kind, parent), reference_of("child", kind, child)),
    )
