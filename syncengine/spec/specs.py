"""Spec files: text to Spec, and all specs of a project together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from syncengine.errors import Position, SpecError
from syncengine.mapping.model import RowRules, ValueMap
from syncengine.spec import pinned
from syncengine.spec.atoms import NAME, NAME_MUST
from syncengine.spec.documents import compose, decode, read_bytes
from syncengine.spec.files import (
    DATA_SOURCE,
    DEFAULTS,
    DESCRIPTION,
    GUARDS,
    MAPS,
    OWNER,
    TAGS,
    VARS,
    VERSION,
    file_kind,
    kind_key,
    merged_defaults,
    read_shared,
)
from syncengine.spec.keys import AnyKey, Fields, Key, read_keys
from syncengine.spec.kinds.common import StepContext
from syncengine.spec.model import Guards, Project, Source, Spec, Step
from syncengine.spec.nodes import MapNode, Node, describe
from syncengine.spec.reader import Reader
from syncengine.spec.report import Report, Wrong
from syncengine.spec.rows import SourceSchema, read_source
from syncengine.spec.shapes import ListOf, MapOf, Schema, Shape, Text
from syncengine.spec.steps import StepShape, build_step
from syncengine.spec.tests import TESTS_SHAPE, read_tests
from syncengine.spec.wording import near

MAX_STEPS = 2_000


class NodeShape(Shape[Node]):
    """Kept as a node, read later with more knowledge."""

    def __init__(self, says: str, schema: Any) -> None:
        self.says = says
        self._schema = schema

    def read(self, node: Node, report: Report) -> Node:
        del report
        return node

    def schema(self, named: dict[str, Schema]) -> Schema:
        made: Schema = self._schema(named)
        return made


def _by_name(inner: Any, named: dict[str, Schema]) -> Schema:
    return {
        "type": "object",
        "propertyNames": {"pattern": f"^{NAME}$"},
        "minProperties": 1,
        "additionalProperties": inner(named),
    }


_SOURCE = Key(
    "source",
    NodeShape("a source", SourceSchema().schema),
    "Where rows come from, where there is one source.",
    example="source: servers.csv",
)
_SOURCES = Key(
    "sources",
    NodeShape("a mapping of sources", lambda named: _by_name(SourceSchema().schema, named)),
    "Where rows come from, by name.",
    example="sources: {servers: servers.csv}",
)
_STEPS = Key(
    "steps",
    NodeShape("a mapping of steps", lambda named: _by_name(StepShape().schema, named)),
    "What to make, by name.",
    required=True,
    example="steps: {servers: {cmdb: cmdb_ci_server, key: serial, fields: {name: hostname}}}",
)
_USE = Key(
    "use", ListOf(Text("a path"), one=True), "Shared files with maps.", default=[], example="use: ../shared/status.yaml"
)
_NAME = Key(
    "name",
    Text("a name", r"[A-Za-z0-9][A-Za-z0-9_./-]{0,99}", must="letters, digits and _ . / -"),
    "Name of the spec; otherwise its path.",
)
_TESTS = Key("tests", NodeShape("tests", TESTS_SHAPE), "Unit tests, by title: rows given, records expected.")
SPEC_KEYS: tuple[AnyKey, ...] = (
    VERSION,
    kind_key("spec"),
    _NAME,
    DESCRIPTION,
    OWNER,
    TAGS,
    _USE,
    DATA_SOURCE,
    _SOURCE,
    _SOURCES,
    MAPS,
    VARS,
    DEFAULTS,
    _STEPS,
    GUARDS,
    _TESTS,
)


@dataclass(slots=True)
class Read:
    """A spec file that was read, with what must be checked against the other files."""

    path: Path
    shown: str
    name: str
    note: Reader
    spec: Spec | None = None
    sources: dict[str, Source] = field(default_factory=dict)
    step_names: dict[str, Position] = field(default_factory=dict)
    vars: dict[str, str] = field(default_factory=dict)


def name_of(shown: str) -> str:
    """A spec's name: its path without suffix and a leading `specs/`; outside the project only the file's name."""
    text = shown.removesuffix(".yaml").removesuffix(".yml")
    if text.startswith(("/", "..")) or Path(text).is_absolute():
        return Path(text).name
    return text.removeprefix("specs/")


def read_spec(path: Path, shown: str, project: Project, node: MapNode) -> Read:
    """One spec; its problems are in the note."""
    note = Reader(shown, name=name_of(shown))
    read = Read(path, shown, note.name, note)
    fields = read_keys(node, SPEC_KEYS, note, "a spec", at=Position(shown, 1, 1), extra="x-")
    note.name = read.name = fields.get(_NAME) or note.name
    folder = path.parent

    def beside(name: str) -> str:
        near_file = next(
            (folder / f"{name}{end}" for end in (".yaml", ".yml") if (folder / f"{name}{end}").is_file()), None
        )
        if near_file is None:
            return name
        try:
            return name_of(str(near_file.resolve().relative_to(project.root.resolve())))
        except ValueError:
            return name_of(str(near_file.resolve()))

    note.beside = beside
    shared, maps = _shared(fields, path, project, note)
    note.maps = {**maps, **(fields.get(MAPS) or {})}
    read.sources = _sources(fields, note, project)
    written = fields.get(DEFAULTS)
    data_source = fields.get(DATA_SOURCE) or project.data_source
    values = read.vars = {**project.vars, **(fields.get(VARS) or {})}
    context = StepContext(
        {name: one.rules for name, one in read.sources.items()} | _broken(fields, read.sources),
        data_source if not (fields.has(DATA_SOURCE) and fields.get(DATA_SOURCE) is None) else "?",
        merged_defaults(written, project.defaults),
        values,
    )
    note.sources = tuple(context.sources)
    steps = _steps(fields, context, note, read)
    tests = read_tests(fields.node.get("tests"), tuple(context.sources), tuple(read.step_names), note)
    _guard_names(fields, read, context, note)
    if any(problem.severity == "error" for problem in note.problems):
        return read
    read.spec = Spec(
        note.name,
        Path(shown),
        pinned.of_spec(node, shared, project.digest),
        project,
        data_source,
        read.sources,
        steps,
        (fields.get(GUARDS) or Guards()).over(project.guards),
        tests,
        fields.get(DESCRIPTION) or "",
        fields.get(OWNER) or "",
        fields.get(TAGS) or (),
        values,
    )
    return read


def _shared(fields: Fields, path: Path, project: Project, note: Reader) -> tuple[list[MapNode], dict[str, ValueMap]]:
    """The shared files that a spec uses, and their maps by name."""
    nodes: list[MapNode] = []
    maps: dict[str, ValueMap] = {}
    for written in fields.get(_USE) or ():
        position = fields.position(_USE)
        target = (path.parent / written).resolve()
        if not target.is_relative_to(project.root.resolve()):
            note.add("outside-project", f"{written} is outside the project", position)
            continue
        shown = str(target.relative_to(project.root.resolve()))
        try:
            data = read_bytes(target, shown)
            node = compose(decode(data, shown), shown)
            inner = Report(shown)
            if file_kind(node, shown, inner) != "shared":
                note.add("wrong-kind", f"{written} is no shared file", position, "kind: shared")
                continue
            found = read_shared(node, inner)
            note.problems.extend(inner.problems)
        except SpecError as error:
            missing = [one for one in error.problems if one.code in {"file-not-found", "unreadable-file"}]
            note.problems.extend(replace(one, place=position) if one in missing else one for one in error.problems)
            continue
        except Wrong:
            continue
        nodes.append(node)
        for name, one in found.items():
            if name in maps:
                note.add("duplicate-name", f'The map "{name}" is in two shared files', position)
            maps[name] = one
    return nodes, maps


def _sources(fields: Fields, note: Reader, project: Project) -> dict[str, Source]:
    if fields.meant & {"source", "sources"}:
        return {}
    if fields.has(_SOURCE) == fields.has(_SOURCES):
        both = fields.has(_SOURCE)
        said = "A spec says source or sources" + (", not both" if both else "")
        note.add(
            "two-sources" if both else "missing-key",
            said,
            fields.position(_SOURCES) if both else Position(note.file, 1, 1),
            "source: servers.csv",
        )
        return {}
    if fields.has(_SOURCE):
        pairs = [("source", fields.need(_SOURCE))]
    else:
        node = fields.need(_SOURCES)
        if not isinstance(node, MapNode) or not node.pairs:
            note.add(
                "wrong-type",
                f"Expected a mapping of sources, found {describe(node)}",
                node.position,
                "sources: {servers: servers.csv}",
            )
            return {}
        names = MapOf(Text(), "source", NAME, NAME_MUST)
        for key, _ in node.pairs:
            names.name(key, note)
        pairs = [(key.text, value) for key, value in node.pairs]
    found: dict[str, Source] = {}
    for name, value in pairs:
        try:
            found[name] = read_source(name, value, note, project.allow_paths)
        except Wrong:
            continue
    return found


def _broken(fields: Fields, found: Mapping[str, Source]) -> dict[str, RowRules]:
    """Sources whose reading failed still have a name, so that their steps are not reported, too."""
    if fields.has(_SOURCE):
        return {} if "source" in found else {"source": RowRules()}
    node = fields.get(_SOURCES)
    if not isinstance(node, MapNode):
        return {}
    return {key.text: RowRules() for key, _ in node.pairs if key.text not in found}


def _steps(fields: Fields, context: StepContext, note: Reader, read: Read) -> dict[str, Step]:
    node = fields.get(_STEPS)
    if node is None:
        return {}
    if isinstance(node, MapNode) and not node.pairs:
        note.add("empty-mapping", "There are no steps here", node.position, _STEPS.example)
        return {}
    if not isinstance(node, MapNode):
        note.add("wrong-type", f"Expected a mapping of steps, found {describe(node)}", node.position, _STEPS.example)
        return {}
    if len(node.pairs) > MAX_STEPS:
        note.add("too-many-steps", f"A spec has at most {MAX_STEPS} steps", node.position)
        return {}
    names = MapOf(Text(), "step", NAME, NAME_MUST)
    found: dict[str, Step] = {}
    for key, value in node.pairs:
        names.name(key, note)
        read.step_names[key.text] = key.position
        try:
            found[key.text] = build_step(key, value, context, note)
        except Wrong:
            continue
    return found


def _guard_names(fields: Fields, read: Read, context: StepContext, note: Reader) -> None:

    node = fields.node.get("guards")
    if not isinstance(node, MapNode):
        return
    for guard, value in node.pairs:
        if not isinstance(value, MapNode):
            continue
        known = tuple(context.sources) if guard.text == "min_rows" else tuple(read.step_names)
        for key, _ in value.pairs:
            if key.text not in known:
                what = "source" if guard.text == "min_rows" else "step"
                fix = near(key.text, known) or f"Here are: {', '.join(known)}"
                note.add(f"unknown-{what}", f'There is no {what} "{key.text[:60]}"', key.position, fix, key.text)
