"""docs/spec.md names every key, as the program and the schema have it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from syncengine.mapping.words import FILTERS, TESTS
from syncengine.spec import schema
from tests.spec.reference import PAGE, TABLES, rendered


def test_the_tables_are_current() -> None:
    """`python -m tests.spec.reference` brings them up to date."""
    page = PAGE.read_text(encoding="utf-8")
    assert rendered(page) == page
    assert set(re.findall(r"<!-- keys: ([a-z0-9-]+) -->", page)) == set(TABLES)


def _keys(node: Any) -> set[str]:
    found: set[str] = set()
    if isinstance(node, dict):
        properties = node.get("properties")
        if isinstance(properties, dict):
            found |= {name for name, inner in properties.items() if isinstance(inner, dict) and "title" in inner}
        for inner in node.values():
            found |= _keys(inner)
    elif isinstance(node, list):
        for inner in node:
            found |= _keys(inner)
    return found


@pytest.mark.parametrize("kind", schema.kinds())
def test_every_key_of_the_schema_is_on_the_page(kind: str) -> None:
    """As the first cell of a row, or in the text."""
    page = PAGE.read_text(encoding="utf-8")
    assert {name for name in _keys(schema.schema(kind)) if f"`{name}`" not in page} == set()


def test_every_filter_and_test_is_on_the_page() -> None:
    """Without the short name of default."""
    page = PAGE.read_text(encoding="utf-8")
    templates = page[page.index("## Templates") : page.index("## Defaults")]
    for name in {*FILTERS, *TESTS} - {"d"}:
        assert re.search(rf"\b{name}\b", templates), name
