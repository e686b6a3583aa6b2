"""`syncengine init`: a project to start from, and a first spec from the header of a file."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from syncengine.errors import Problem, SpecError
from syncengine.mapping.paths import split
from syncengine.sources import open_source
from syncengine.sources.file import Options
from syncengine.spec.atoms import TABLE
from syncengine.spec.nodes import is_number
from syncengine.spec.wording import suggestion

PROJECT = """\
syncengine: 1
kind: project
data_source: {data_source}     # must be a choice of cmdb_ci.discovery_source
"""

ENVIRONMENT = """\
syncengine: 1
kind: environment
connections:
  servicenow:
    kind: servicenow
    url: https://your-instance.service-now.com
    auth: {user: {env: SN_USER}, password: {env: SN_PASSWORD}}
"""

IGNORED = ".syncengine/\n.env\n"

WORKFLOW = """\
name: specs
on: [pull_request]
jobs:
  validate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: {python-version: "3.12"}
      - run: pip install syncengine-itsm
      - run: syncengine validate --format github
      - run: syncengine test
"""

_KEYS = ("serial number", "serial_number", "serial", "id", "key", "name", "hostname", "host name")
_FIELDS = {
    "name": ("name", "hostname", "host name", "host_name"),
    "serial_number": ("serial number", "serial_number", "serial"),
    "ip_address": ("ip", "ip address", "ip_address"),
    "os": ("os", "operating system", "os.name"),
    "mac_address": ("mac", "mac address", "mac_address"),
}


@click.command(name="init", short_help="Start a project")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path(), metavar="[DIR]")
@click.option(
    "--from",
    "origin",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Write a first spec from this file's header.",
)
@click.option("--class", "class_name", default="cmdb_ci", show_default=True, help="The CI class of that spec.")
@click.option("--data-source", default="My Inventory", show_default=True, help="A choice of cmdb_ci.discovery_source.")
def command(folder: Path, *, origin: Path | None, class_name: str, data_source: str) -> None:
    """Write a project into DIR: project file, environment, .gitignore, CI workflow.

    Files that exist stay as they are.
    """
    if not re.fullmatch(TABLE, class_name):
        raise SpecError(Problem("bad-name", "A class has letters, digits and _ only", "--class", class_name))
    files = {
        "syncengine.yaml": PROJECT.format(data_source=_written(data_source)),
        "environments/dev.yaml": ENVIRONMENT,
        ".gitignore": IGNORED,
        ".github/workflows/specs.yaml": WORKFLOW,
    }
    if origin is not None:
        spec = f"specs/{_name(origin)}.yaml"
        files[spec] = first_spec(origin, folder, spec, class_name)
    for name, text in files.items():
        path = folder / name
        if path.exists():
            click.echo(f"kept     {path}")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        click.echo(f"written  {path}")
    click.echo(f"\nNext:  cd {folder}  and  syncengine validate", err=True)


def _name(origin: Path) -> str:
    return suggestion(origin.stem).removeprefix("Such as ") or "records"


def first_spec(origin: Path, folder: Path, spec: str, class_name: str) -> str:
    """A spec that copies every column it can place, and lists the others."""
    columns = open_source(Options(origin.name), origin.resolve().parent).columns() or ()
    if not columns:
        raise SpecError(Problem("empty-file", f"{origin} has no columns", str(origin)))
    by_word = {column.casefold(): column for column in columns}
    key = next((by_word[word] for word in _KEYS if word in by_word), columns[0])
    placed = {field: by_word[word] for field, words in _FIELDS.items() for word in words[::-1] if word in by_word}
    if not placed:
        placed = {"name": key}
    left = [column for column in columns if column not in {*placed.values(), key}]
    path = os.path.relpath(origin.resolve(), (folder / spec).parent.resolve())
    lines = [
        "syncengine: 1",
        f"source: {_written(path)}",
        "",
        "steps:",
        f"  {_name(origin)}:",
        f"    cmdb: {class_name}",
    ]
    lines += [f"    key: {_written(key)}", "    fields:"]
    lines += [f"      {field}: {_column(column)}" for field, column in placed.items()]
    if left:
        lines += ["      # Columns that have no field yet:"]
        lines += [f"      # FIELD: {_column(column)}" for column in left if column.isprintable()]
    return "\n".join(lines) + "\n"


def _column(column: str) -> str:
    """A column as a value: a word, or a template where the word would be something else."""
    if is_number(column) or column in {"true", "false", "null", "~"} or len(split(column)) > 1 or "{" in column:
        quote = "'" if "'" not in column else '"'
        inner = f"{{{{ row[{quote}{column}{quote}] }}}}"
        return _quoted(inner)
    return _written(column)


def _written(text: str) -> str:
    """A text as YAML, quoted only where it must be."""
    if re.fullmatch(r"[A-Za-z0-9_./][A-Za-z0-9_ ./()-]*", text) and text == text.strip() and not is_number(text):
        return text
    return _quoted(text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'" if '"' in text or "\\" in text else f'"{text}"'
