"""Schemas of one spec and of one class: an editor offers columns, steps and fields, and marks what is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from syncengine.cli import schema
from syncengine.errors import SpecError
from syncengine.spec.import_types import import_types
from tests.spec.helpers import HEAD, folder

SPEC = f"""{HEAD}source: rows.csv
steps:
  servers:
    cmdb: cmdb_ci_server
    key: serial
    fields: {{name: "{{{{ name | lower }}}}", serial_number: serial, ram: 4, os: {{const: Linux}}}}
  apps:
    cmdb: cmdb_ci_business_app
    key: app
    fields: {{name: app}}
    relations: [{{type: "Runs on::Runs", child: {{step: servers, key: serial}}}}]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One spec, and its file."""
    folder(tmp_path, {"specs/s.yaml": SPEC, "specs/rows.csv": "name,serial,app\na,b,c\n"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _printed(*arguments: str) -> jsonschema.Draft202012Validator:
    done = CliRunner().invoke(schema.command, arguments)
    assert done.exit_code == 0, done.exception
    made: dict[str, Any] = json.loads(done.stdout)
    jsonschema.Draft202012Validator.check_schema(made)
    assert '"anyOf"' not in done.stdout
    assert '"oneOf"' not in done.stdout
    return jsonschema.Draft202012Validator(made)


def _valid(validator: jsonschema.Draft202012Validator, text: str) -> bool:
    return validator.is_valid(yaml.safe_load(text))


def test_the_schema_of_a_spec_knows_its_columns_and_steps(project: Path) -> None:
    """The spec itself fits; a wrong column or step does not."""
    validator = _printed("--for", "specs/s.yaml")
    assert _valid(validator, SPEC)
    assert not _valid(validator, SPEC.replace("key: app\n", "key: application\n"))
    assert not _valid(validator, SPEC.replace("step: servers", "step: server"))
    assert _valid(validator, SPEC.replace("step: servers", "spec: other, step: server"))


def test_the_schema_of_a_class_knows_its_columns(project: Path) -> None:
    """With label and type; a field that the class has not is marked."""
    validator = _printed("--class", "cmdb_ci_server")
    assert _valid(validator, SPEC)
    assert not _valid(validator, SPEC.replace("serial_number:", "serialnumber:"))
    done = CliRunner().invoke(schema.command, ["--class", "cmdb_ci_servr"])
    assert isinstance(done.exception, SpecError)
    assert "cmdb_ci_server" in done.exception.problems[0].fix


FOURME = (
    f"{HEAD}source: rows.csv\nsteps:\n  p: {{4me: people, key: serial, fields: {{Name: name, Primary Email: app}}}}\n"
)


def test_the_schema_of_a_4me_type_knows_its_columns(project: Path) -> None:
    """A column that the type does not have is none; neither is what the product sets itself."""
    validator = _printed("--type", "people")
    assert _valid(validator, FOURME)
    assert not _valid(validator, FOURME.replace("Primary Email", "Primary Mail"))
    assert not _valid(validator, FOURME.replace("Primary Email", "Source ID"))
    assert _valid(validator, SPEC)


TYPES = sorted(import_types())
SAMPLE = {"people", "cis", *TYPES[::12]}


@pytest.mark.parametrize("name", [one if one in SAMPLE else pytest.param(one, marks=pytest.mark.long) for one in TYPES])
def test_every_4me_type_has_a_schema(name: str) -> None:
    """It is a right one, and offers what a step of the type may fill."""
    _printed("--type", name)
    assert CliRunner().invoke(schema.command, ["--type", name, "--fields"]).exit_code == 0


def test_a_4me_type_that_is_none_is_told_with_the_near_one() -> None:
    """As a class is."""
    with pytest.raises(SpecError) as caught:
        CliRunner().invoke(schema.command, ["--type", "peple"], catch_exceptions=False)
    assert caught.value.problems[0].fix == 'Did you mean "people"?'
