"""The JSON Schema (Draft 2020-12) of every kind of file, generated from the descriptions that read it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from syncengine.spec.environments import ENVIRONMENT_KEYS
from syncengine.spec.files import PROJECT_KEYS, SHARED_KEYS
from syncengine.spec.shapes import AnyKey, Schema, object_schema
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
    return json.dumps(schema(kind), indent=2, ensure_ascii=False) + "\n"
