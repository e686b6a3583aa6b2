"""The JSON Schema (Draft 2020-12) of every kind of file, generated from the descriptions that read it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from syncengine.spec.environments import ENVIRONMENT_KEYS
from syncengine.spec.files import PROJECT_KEYS, SHARED_KEYS
from syncengine.spec.import_types import PAIR, import_types
from syncengine.spec.keys import AnyKey, object_schema
from syncengine.spec.model import Spec
from syncengine.spec.shapes import Schema
from syncengine.spec.specs import SPEC_KEYS
from syncengine.spec.suites import SUITE_KEYS

BASE = "https://syncengine.example/schemas"
_KINDS: dict[str, tuple[str, Sequence[AnyKey]]] = {
    "spec": ("A spec: rows of a source become records of a target.", SPEC_KEYS),
    "project": ("The project file, syncengine.yaml.", PROJECT_KEYS),
    "environment": ("An environment: connections, variables, tighter guards.", ENVIRONMENT_KEYS),
    "shared": ("Maps that several specs use.", SHARED_KEYS),
    "tests": ("Unit tests of a spec, in a file of their own.", SUITE_KEYS),
}


def kinds() -> tuple[str, ...]:
    """The kinds of file that have a schema."""
    return tuple(_KINDS)


def schema(kind: str) -> Schema:
    """The schema of a kind of file."""
    doc, keys = _KINDS[kind]
    named: dict[str, Schema] = {}
    made = object_schema(keys, named, "x-")
    if kind == "spec":
        made["dependentSchemas"] = {"source": {"properties": {"sources": False}}}
        made["if"] = {"not": {"required": ["sources"]}}
        made["then"] = {"required": ["source"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{BASE}/{kind}.json",
        "title": f"syncengine {kind}",
        "description": doc,
        **made,
        "$defs": dict(sorted(named.items())),
    }


def text(kind: str) -> str:
    """The schema as the file in `schemas/` has it."""
    return as_text(schema(kind))


def as_text(made: Schema) -> str:
    """A schema as a file has it."""
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def for_class(name: str, columns: Mapping[str, str]) -> Schema:
    """The schema of specs whose CIs are of one class: fields are its columns, with their labels."""
    made = schema("spec")
    _narrow(made, "cmdb", columns)
    made["description"] = f"A spec for CIs of the class {name}."
    made["$id"] = f"{BASE}/spec.{name}.json"
    return made


def for_type(name: str) -> Schema:
    """The schema of specs whose 4me steps import one type: fields are its columns; raises KeyError for no type."""
    made = schema("spec")
    _narrow(made, "4me", dict(type_columns(name)))
    made["description"] = f"A spec for imports of {name} into 4me."
    made["$id"] = f"{BASE}/spec.4me.{name}.json"
    return made


def type_columns(name: str) -> Iterator[tuple[str, str]]:
    """The columns of an import type that a step may fill, with what each takes; raises KeyError for no type."""
    kind = import_types()[name]
    for column, of in kind.columns.items():
        if of.kind == "helper" or (column in PAIR and name != "ci_relations" and not kind.many):
            continue  # helpers stand in exports only; the pair is the data source and the key of the step
        said = f"{of.by or 'Name'} of {of.to}" if of.to else ", ".join(of.values) if of.values else of.kind
        said += f", at most {of.max} characters" if of.max else ""
        yield column, said + (" (needed for a new record)" if column in kind.required else "")
    if name == "ci_relations":
        yield "CI", "a CI"
        yield "Related CI", "the other CI"


def _narrow(made: Schema, kind: str, columns: Mapping[str, str]) -> None:
    """Let the fields of a kind of step be these columns and no others."""
    fields = next(
        one["then"]["properties"]["fields"]
        for one in made["$defs"]["step"]["allOf"]
        if one.get("if") == {"required": [kind]}
    )
    fields["then"]["items"] = {"enum": sorted(columns)}
    inner = fields["else"]
    inner["propertyNames"] = {"enum": sorted(columns)}
    inner["properties"] = {
        one: {"title": one, "description": label, **inner["additionalProperties"]} for one, label in columns.items()
    }


def for_spec(spec: Spec, columns: Mapping[str, Sequence[str]]) -> Schema:
    """The schema of one spec: its sources and steps as enums, and its columns where they are the only ones."""
    made = schema("spec")
    named = made["$defs"]
    sources, steps = sorted(spec.sources), sorted(spec.steps)
    for branch in named["step"]["allOf"]:
        properties = branch.get("then", {}).get("properties", {})
        if "source" in properties:
            properties["source"] = _only(properties["source"], sources)
    long = named["long"]
    for properties in (named["reference"]["properties"], long["properties"]):
        if "lookup_in" in properties:
            properties["lookup_in"] = _only(properties["lookup_in"], sources)
        properties["step"] = {**properties["step"], "examples": steps}
    for shape in (named["reference"], long):
        shape.setdefault("allOf", []).append(
            {
                "if": {"required": ["step"], "not": {"required": ["spec"]}},
                "then": {"properties": {"step": {"enum": steps}}},
            }
        )
    all_columns = sorted({one for several in columns.values() for one in several})
    value = named["value"]
    value["examples"] = all_columns
    if len(spec.sources) == 1 and spec.sources[sources[0]].rules.text_only and all_columns:
        value["allOf"] = [
            {
                "if": {"type": "string", "not": {"pattern": r"[{][{%]|^[-+]?[0-9]"}},
                "then": {"if": {"type": "string"}, "then": {"enum": all_columns}},
            }
        ]
    made["description"] = f"The spec {spec.name}: its columns, sources and steps."
    made["$id"] = f"{BASE}/spec.{spec.name}.json"
    return made


def _only(key: Schema, words: Sequence[str]) -> Schema:
    return {
        **{name: one for name, one in key.items() if name not in {"pattern", "type", "minLength"}},
        "enum": list(words),
    }
