"""The kinds of file of a project other than environments: project and shared files, and the head of a spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from msgspec.structs import replace

from syncengine.errors import Position
from syncengine.mapping.model import ValueMap
from syncengine.spec import pinned
from syncengine.spec.atoms import IF_EMPTY, NAME, NAME_MUST, Zone, read_entries
from syncengine.spec.extracts import EXTRACT
from syncengine.spec.guards import GUARDS_SHAPE
from syncengine.spec.items import VanishedShape
from syncengine.spec.keys import AnyKey, Fields, Key, Mapped, read_keys
from syncengine.spec.model import Defaults, Extract, Guards, Project
from syncengine.spec.nodes import MapNode, Node, Scalar, describe
from syncengine.spec.report import Report, Wrong
from syncengine.spec.shapes import Choice, ListOf, MapOf, Schema, Shape, Text
from syncengine.spec.wording import near

KINDS = ("spec", "project", "environment", "shared", "tests")
VERSION_NUMBER = "1"


class VersionShape(Shape[str]):
    """`syncengine: 1`"""

    says = "1"

    def read(self, node: Node, report: Report) -> str:
        if isinstance(node, Scalar) and node.text == VERSION_NUMBER:
            if not node.plain:
                raise report.stop("bad-version", "The version is a number, not a text", node.position, "syncengine: 1")
            return node.text
        if isinstance(node, Scalar) and node.kind == "number" and node.text.isdigit() and int(node.text[:9]) > 1:
            said = f"This file needs version {node.text[:20]} of the language; this program knows version 1"
            raise report.stop("bad-version", said, node.position, "Install a newer version of the program.")
        raise report.stop(
            "bad-version", f"The version of the language is 1, found {describe(node)}", node.position, "syncengine: 1"
        )

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {"const": 1}


VERSION = Key("syncengine", VersionShape(), "Version of the language.", required=True, example="syncengine: 1")


def kind_key(kind: str) -> Key[str]:
    """`kind:` of a file; only specs may leave it out."""
    return Key(
        "kind",
        Choice((kind,)),
        "What this file is.",
        required=kind != "spec",
        default="spec" if kind == "spec" else None,
        example=f"kind: {kind}",
    )


DESCRIPTION = Key(
    "description",
    Text("a text"),
    "What it is for; shown in plans.",
    example="description: Servers from the weekly inventory.",
)
OWNER = Key("owner", Text("a text"), "Who answers for it; shown in reports.", example="owner: Unix Ops")
TAGS = Key("tags", ListOf(Text("a text"), one=True), "Words to choose specs by.", default=[])
DATA_SOURCE = Key(
    "data_source",
    Text("a text", max_length=100),
    "Discovery source in ServiceNow, Source in 4me (there at most 30 characters).",
    example="data_source: DC Inventory",
)
VARS = Key(
    "vars",
    MapOf(Text("a text", empty=True), "variable", NAME, NAME_MUST),
    "Values for {{ vars.NAME }}; environments override them.",
    example="vars: {domain: acme.example}",
)
GUARDS = Key(
    "guards", GUARDS_SHAPE, "Limits that stop a run before the first write.", example="guards: {max_creates: 50}"
)


class MapsShape(Shape[dict[str, ValueMap]]):
    """Value maps by name."""

    says = "a mapping of maps"

    def read(self, node: Node, report: Report) -> dict[str, ValueMap]:
        shape = MapOf(Text(), "map", NAME, NAME_MUST)
        if not isinstance(node, MapNode):
            raise self.expected(node, report)
        found: dict[str, ValueMap] = {}
        for key, value in node.pairs:
            shape.name(key, report)
            if not isinstance(value, MapNode):
                report.add(
                    "wrong-type", f"Expected a map, found {describe(value)}", value.position, "{live: 1, repair: 3}"
                )
                continue
            try:
                found[key.text] = read_entries(value, report, key.text)
            except Wrong:
                # A map that is wrong still has its name, so that its uses are not reported, too.
                found[key.text] = ValueMap(key.text, {}, value.position)
        return found

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        one = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}, "minProperties": 1}
        return {"type": "object", "propertyNames": {"pattern": f"^{NAME}$"}, "additionalProperties": one}


MAPS = Key(
    "maps", MapsShape(), "Value maps by name; words ignore case.", example="maps: {status: {live: 1, repair: 3}}"
)

_IF_EMPTY = Key("if_empty", IF_EMPTY, "What no value does to a field.", default="omit")
_ON_ERROR = Key("on_error", Choice(("continue", "stop")), "After a row that the server refused.", default="continue")
_TIMEZONE = Key("timezone", Zone(), "Time zone of times that carry none.", example="timezone: Europe/Paris")
_SEND = Key(
    "send",
    Choice(("single", "multiple")),
    "How rows reach staging tables: one call a row, or insertMultiple.",
    default="single",
)
_VANISHED = Key("vanished", VanishedShape(), "What becomes of records that the source no longer has.", default="keep")


def _defaults(fields: Fields, report: Report) -> tuple[Fields, Defaults]:
    del report
    if fields.failed:
        raise Wrong
    made = Defaults(
        cast(Any, fields.get(_IF_EMPTY) or "omit"),
        cast(Any, fields.get(_ON_ERROR) or "continue"),
        fields.get(_TIMEZONE),
        cast(Any, fields.get(_SEND) or "single"),
        fields.get(_VANISHED),
    )
    return fields, made


DEFAULTS: Key[tuple[Fields, Defaults]] = Key(
    "defaults",
    Mapped("defaults", "defaults", (_SEND, _IF_EMPTY, _ON_ERROR, _TIMEZONE, _VANISHED), _defaults),
    "What holds for all steps that do not say it themselves.",
    example="defaults: {timezone: Europe/Paris}",
)


def merged_defaults(written: tuple[Fields, Defaults] | None, below: Defaults) -> Defaults:
    """The defaults of a file over those of the project."""
    if written is None:
        return below
    fields, own = written
    return replace(
        below,
        **{
            name: getattr(own, name)
            for name in ("send", "if_empty", "on_error", "timezone", "vanished")
            if fields.node.get(name) is not None
        },
    )


# Project --------------------------------------------------------------------------------------------------------------

_NAME = Key("name", Text("a text", max_length=60), "Name of the project; otherwise its folder's.")
_SPECS = Key(
    "specs",
    ListOf(Text("a glob"), one=True, least=1),
    "Where the specs are.",
    default=["specs/**/*.yaml", "specs/**/*.yml"],
)
_ALLOW = Key(
    "allow_paths", ListOf(Text("a folder"), one=True), "Folders outside the project that may be read.", default=[]
)
PROJECT_KEYS: tuple[AnyKey, ...] = (
    VERSION,
    kind_key("project"),
    _NAME,
    DESCRIPTION,
    OWNER,
    DATA_SOURCE,
    DEFAULTS,
    GUARDS,
    _SPECS,
    _ALLOW,
    VARS,
    EXTRACT,
)


def read_project(node: MapNode, root: Path, file: Path, report: Report) -> Project:
    """`syncengine.yaml`"""
    fields = read_keys(node, PROJECT_KEYS, report, "a project file", extra="x-")
    return Project(
        root=root,
        file=file,
        name=fields.get(_NAME) or root.name,
        data_source=fields.get(DATA_SOURCE),
        defaults=merged_defaults(fields.get(DEFAULTS), Defaults()),
        guards=fields.get(GUARDS) or Guards(),
        spec_globs=fields.get(_SPECS) or Project(root).spec_globs,
        allow_paths=tuple((root / one).resolve() for one in fields.get(_ALLOW) or ()),
        vars=fields.get(VARS) or {},
        extract=fields.get(EXTRACT) or Extract(),
        digest=pinned.of_project(node),
    )


# Shared ---------------------------------------------------------------------------------------------------------------

SHARED_KEYS: tuple[AnyKey, ...] = (VERSION, kind_key("shared"), DESCRIPTION, MAPS)


def read_shared(node: MapNode, report: Report) -> dict[str, ValueMap]:
    """The maps of a shared file."""
    fields = read_keys(node, SHARED_KEYS, report, "a shared file", extra="x-")
    return fields.get(MAPS) or {}


def file_kind(node: MapNode, shown: str, report: Report) -> str:
    """What a file says it is."""
    kind = node.get("kind")
    if kind is None:
        return "spec"
    if not isinstance(kind, Scalar) or kind.text not in KINDS:
        found = kind.text if isinstance(kind, Scalar) else describe(kind)
        position = kind.position if kind else Position(shown, 1, 1)
        raise report.stop(
            "unknown-word", f"kind is one of: {', '.join(KINDS)}; found {found[:40]}", position, near(found, KINDS)
        )
    return kind.text
