"""The tables of docs/spec.md, from the descriptions that read the language.

`python -m tests.spec.reference` writes them anew, between the marks that name them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from syncengine.spec import (
    environments,
    extracts,
    files,
    guards,
    items,
    rows,
    secrets,
    specs,
    suites,
    tables,
    tests,
    values,
)
from syncengine.spec.keys import AnyKey
from syncengine.spec.kinds import attach, cmdb, fourme, staging
from syncengine.spec.references import IF_MISSING_KEY, KEY, MANY, SPEC, TAKE, WHERE

PAGE = Path(__file__).parents[2] / "docs" / "spec.md"

_own = {key.name for key in cmdb.CMDB_KEYS}
TABLES: dict[str, Sequence[AnyKey]] = {
    "spec": specs.SPEC_KEYS,
    "source": rows.KEYS,
    "column-rules": rows.RULE.keys,
    "check": rows.CHECK.keys,
    "cmdb-step": cmdb.CMDB_KEYS,
    "relation-step": cmdb.RELATION_KEYS,
    "staging-step": staging.STAGING_KEYS,
    "staging": staging.STAGING_OPTIONS.keys,
    "attach-step": attach.ATTACH_KEYS,
    "attach": attach.ATTACH_OPTIONS.keys,
    "4me-step": fourme.FOURME_KEYS,
    "servicenow": tables.TABLE_OPTIONS.keys,
    "incremental": tables.INCREMENTAL_OPTIONS.keys,
    "aggregate": tables.AGGREGATE_OPTIONS.keys,
    "sql": tables.QUERY_OPTIONS.keys,
    "item": items.PART.inner.keys,
    "relation": items.LINK.keys,
    "vanished": items.VanishedShape.long.keys,
    "reclassify": (items._UPGRADE, items._DOWNGRADE, items._SWITCH),
    "origins": (*values.ORIGINS, KEY, SPEC, WHERE, TAKE, MANY, IF_MISSING_KEY),
    "modifiers": (*values.MODIFIERS, values.IF_EMPTY_KEY, values.COMPARE, values.SENSITIVE),
    "defaults": (files._SEND, files._IF_EMPTY, files._ON_ERROR, files._TIMEZONE, files._VANISHED),
    "guards": guards.KEYS,
    "test": tests._KEYS,
    "tests": suites.SUITE_KEYS,
    "project": files.PROJECT_KEYS,
    "extract": extracts.EXTRACT_OPTIONS.keys,
    "shared": files.SHARED_KEYS,
    "environment-extract": extracts.WHERE_KEYS,
    "environment": environments.ENVIRONMENT_KEYS,
    "connection": environments.CONNECTION_KEYS,
    "auth": environments.AUTH_KEYS,
    "secret": secrets.SecretShape("x").keys,
}


def table(name: str) -> str:
    """One table in Markdown."""
    lines = ["| key | takes | meaning |", "|---|---|---|"]
    for key in TABLES[name]:
        default = "" if key.default in (None, [], "") else f" Default: `{_default(key.default)}`."
        required = " **Required.**" if key.required else ""
        example = f" For example `{key.example}`" if key.example and "`" not in key.example else ""
        said = f"{key.doc}{required}{default}{example}"
        lines.append(f"| `{key.name}` | {_cell(key.shape.says)} | {_cell(said)} |")
    return "\n".join(lines)


def _default(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(f'"{one}"' for one in value) + "]"
    return str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


_MARK = re.compile(r"<!-- keys: ([a-z0-9-]+) -->\n.*?<!-- end -->", re.DOTALL)


def rendered(page: str) -> str:
    """The page with its tables as they should be."""
    return _MARK.sub(lambda found: f"<!-- keys: {found[1]} -->\n{table(found[1])}\n<!-- end -->", page)


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
