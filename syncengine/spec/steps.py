"""Steps: what is made of the rows of a source."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from syncengine.mapping.model import Column
from syncengine.spec.atoms import ColumnName
from syncengine.spec.keys import AnyKey, Fields, key_schema, read_keys
from syncengine.spec.kinds import attach, cmdb, fourme, staging
from syncengine.spec.kinds.common import StepContext
from syncengine.spec.model import Step
from syncengine.spec.nodes import MapNode, Node, Scalar, describe
from syncengine.spec.reader import Reader
from syncengine.spec.report import Report, Wrong
from syncengine.spec.shapes import Schema, Shape
from syncengine.spec.wording import near

KEYS: dict[str, tuple[AnyKey, ...]] = {
    "cmdb": cmdb.CMDB_KEYS,
    "relation": cmdb.RELATION_KEYS,
    "staging": staging.STAGING_KEYS,
    "attach": attach.ATTACH_KEYS,
    "4me": fourme.FOURME_KEYS,
}
BUILDERS: dict[str, Callable[[Scalar, Fields, str, StepContext, Reader], Step]] = {
    "cmdb": cmdb.build,
    "relation": cmdb.build_relation,
    "staging": staging.build,
    "attach": attach.build,
    "4me": fourme.build,
}
TARGETS = ("staging", "cmdb", "relation", "attach", "4me")
"""The keys that say what a step makes."""


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
        fix = close or (
            "cmdb: cmdb_ci_server   for CIs\nstaging: u_imp_users   for other tables (locations, users, companies)"
        )
        raise report.stop("no-target", said, at.position, fix)
    if len(found) > 1:
        keys = [cast(Scalar, node.key(one)) for one in found]
        places = " and ".join(f"{key.text} (line {key.position.line})" for key in keys)
        fix = "Split it in two steps with the same source."
        raise report.stop(
            "two-targets", f'The step "{name}" says both {places}; one step makes one kind of record', at.position, fix
        )
    return found[0]


_WHAT = {"cmdb": "a cmdb step", "relation": "a relation step", "staging": "a staging step", "attach": "an attach step"}


def build_step(name: Scalar, node: Node, context: StepContext, note: Reader) -> Step:
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
    return BUILDERS[kind](name, fields, source, context, note)


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
