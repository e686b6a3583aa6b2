"""Every file of the language that ships names its schema, and a plain validator accepts it by that schema."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from syncengine.cli import init

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(
    path
    for folder in ("specs", "examples", "tests/cases/valid", "environments")
    for path in (ROOT / folder).rglob("*.yaml")
)
MODELINE = re.compile(r"# yaml-language-server: \$schema=(\S+)\n")


def _errors(path: Path) -> list[str]:
    """What is wrong with a file by the schema that its first line names."""
    text = path.read_text(encoding="utf-8")
    found = MODELINE.match(text)
    assert found, f"{path} names no schema"
    schema: dict[str, Any] = json.loads((path.parent / found[1]).read_text(encoding="utf-8"))
    document = yaml.safe_load(text)
    kind = document.get("kind", "spec")
    assert schema["title"] == f"syncengine {kind}"
    return [one.message for one in jsonschema.Draft202012Validator(schema).iter_errors(document)]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_shipped_file_names_the_schema_that_accepts_it(path: Path) -> None:
    """Seeds of the sandbox have no schema; all else is a file of the language."""
    if path.parent.name == "sandbox":
        assert "syncengine" not in yaml.safe_load(path.read_text(encoding="utf-8"))
        return
    assert _errors(path) == []


def test_what_init_writes_names_its_schemas_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are written beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("name;serial\nsrv-1;S1\n")
    done = CliRunner().invoke(init.command, ["--from", "rows.csv"])
    assert done.exit_code == 0, done.output
    for name in ("syncengine.yaml", "environments/dev.yaml", "specs/rows.yaml"):
        assert _errors(tmp_path / name) == []
