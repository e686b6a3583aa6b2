"""The schemas are generated, current, valid, and accept what the reader accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from syncengine.spec import schema

ROOT = Path(__file__).parents[2]
GLOBS = ("specs/**/*.yaml", "examples/**/*.yaml", "tests/cases/valid/*.yaml")
SPECS = sorted(path for glob in GLOBS for path in ROOT.glob(glob))
# *ROOT.glob("examples/**/*.yaml"), *ROOT.glob("tests/cases/valid/*.yaml")])


@pytest.mark.parametrize("kind", schema.kinds())
def test_a_schema_is_current(kind: str) -> None:
    """`syncengine schema --write` brings it up to date."""
    assert (ROOT / "schemas" / f"{kind}.json").read_text(encoding="utf-8") == schema.text(kind)


@pytest.mark.parametrize("kind", schema.kinds())
def test_a_schema_is_a_schema(kind: str) -> None:
    """Of Draft 2020-12, and without anyOf or oneOf, which editors cannot explain."""
    made = schema.schema(kind)
    jsonschema.Draft202012Validator.check_schema(made)
    text = json.dumps(made)
    assert '"anyOf"' not in text
    assert '"oneOf"' not in text


def _documented(node: Any, path: str) -> list[str]:
    missing = []
    if isinstance(node, dict):
        for name, inner in node.get("properties", {}).items() if isinstance(node.get("properties"), dict) else ():
            if isinstance(inner, dict) and "title" in inner and not inner.get("description"):
                missing.append(f"{path}.{name}")
        for name, inner in node.items():
            missing += _documented(inner, f"{path}/{name}")
    return missing


@pytest.mark.parametrize("kind", schema.kinds())
def test_every_key_has_a_description(kind: str) -> None:
    """An editor shows it beside the key."""
    assert _documented(schema.schema(kind), kind) == []


@pytest.mark.parametrize("path", SPECS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_good_file_is_accepted_by_a_plain_validator(path: Path) -> None:
    """What we read without a problem, the schema accepts."""
    instance = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(instance, dict) or "syncengine" not in instance:
        pytest.skip("no file of the language")
    kind = instance.get("kind", "spec")
    errors = [
        f"{one.json_path}: {one.message}"
        for one in jsonschema.Draft202012Validator(schema.schema(kind)).iter_errors(instance)
    ]
    assert errors == []
