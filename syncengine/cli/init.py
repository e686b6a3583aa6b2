"""`syncengine init`: a project to start from, and a first spec from a file that nobody has described yet."""

from __future__ import annotations

import glob
import os
import re
import shutil
from pathlib import Path

import click

from syncengine import __version__
from syncengine.errors import Problem, SpecError
from syncengine.sources.file.unpacking import is_packed
from syncengine.spec import find_project, load_specs, schema
from syncengine.spec.atoms import TABLE
from syncengine.spec.first import ClassFacts, first_spec, first_test, name_for, survey, written
from syncengine.spec.testing import run_tests
from syncengine.spec.wording import near_class

MODELINE = "# yaml-language-server: $schema={schema}\n"
PROJECT = (
    MODELINE.format(schema="schemas/project.json")
    + """\
syncengine: 1
kind: project
data_source: {data_source}     # must be a choice of cmdb_ci.discovery_source
"""
)

ENVIRONMENT = (
    MODELINE.format(schema="../schemas/environment.json")
    + """\
syncengine: 1
kind: environment
connections:
  servicenow:
    kind: servicenow
    url: https://your-instance.service-now.com
    auth: {user: {env: SN_USER}, password: {env: SN_PASSWORD}}
"""
)

SEED = """\
# What the sandbox holds besides what ships: your discovery source. An instance needs it as a choice, too.
choices:
  cmdb_ci.discovery_source: [{data_source}]
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
        with: {{python-version: "3.12"}}
      # Where your copy of syncengine is, and the tag that you use:
      - run: pip install "git+https://git.example.com/YOUR-TEAM/syncengine@v{version}"
      - run: syncengine validate --format github
      - run: syncengine test
"""


@click.command(name="init", short_help="Start a project, or a first spec from a file")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path(), metavar="[DIR]")
@click.option(
    "--from",
    "origin",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Write a first spec for this CSV or JSON file.",
)
@click.option("--class", "class_name", default="cmdb_ci_server", show_default=True, help="The CI class of that spec.")
@click.option("--data-source", default="My Inventory", show_default=True, help="A choice of cmdb_ci.discovery_source.")
def command(folder: Path, *, origin: Path | None, class_name: str, data_source: str) -> None:
    """Write a project into DIR: project file, environment, seed of the sandbox, schemas, .gitignore, CI workflow.

    With --from, delimiter, encoding and key are found in the file; one that is outside DIR is copied beside the spec.
    Files that exist stay as they are.

    \b
    syncengine init
    syncengine init inventory --from ~/export.csv \\
        --class cmdb_ci_server --data-source "DC Inventory"

    Next week's export takes the place of the file that the spec names under source.
    """
    if not re.fullmatch(TABLE, class_name):
        raise SpecError(Problem("bad-name", "A class has letters, digits and _ only", "--class", class_name))
    files = {
        "syncengine.yaml": PROJECT.format(data_source=written(data_source)),
        "environments/dev.yaml": ENVIRONMENT,
        "sandbox/seed.yaml": SEED.format(data_source=written(data_source)),
        ".gitignore": IGNORED,
        ".github/workflows/specs.yaml": WORKFLOW.format(version=__version__),
        **{f"schemas/{kind}.json": schema.text(kind) for kind in schema.kinds()},
    }
    spec = ""
    hints: list[str] = []
    copies: dict[str, Path] = {}
    if origin is not None:
        name = name_for(origin)
        spec = f"specs/{name}.yaml"
        facts, hints = _facts(class_name)
        found = survey(origin)
        data = os.path.relpath(origin.resolve(), (folder / spec).parent.resolve())
        if not origin.resolve().is_relative_to(folder.resolve()):
            data = name + "".join(origin.suffixes[-2:] if is_packed(origin) else origin.suffixes[-1:]).lower()
            copies[f"specs/{data}"] = origin
        own, more = _own_source(folder, data_source)
        hints += more
        pattern = glob.escape(Path(data).as_posix())
        files[spec] = first_spec(found, name, pattern, facts, "../schemas/spec.json", own)
    if spec in _write(folder, files, copies):
        _add_test(folder, folder / spec)
    for hint in hints:
        click.echo(f"note     {hint}")
    for line in _next(folder, spec):
        click.echo(line)


def _own_source(folder: Path, data_source: str) -> tuple[str, list[str]]:
    """The data source that is asked for, where the project that is there has another; and what else is to do then."""
    context = click.get_current_context()
    is_asked = context.get_parameter_source("data_source") is not click.core.ParameterSource.DEFAULT
    if not (folder / "syncengine.yaml").exists():
        return "", []
    present = find_project(folder).data_source
    if present and (not is_asked or present == data_source):
        return "", []
    hint = f"{data_source} is not in sandbox/seed.yaml yet: add it under  choices:  cmdb_ci.discovery_source"
    return data_source, [hint] if (folder / "sandbox" / "seed.yaml").exists() else []


def _add_test(folder: Path, path: Path) -> None:
    """Put a first test behind the spec, if it passes as it is written there."""
    text = path.read_text(encoding="utf-8")
    (spec,) = load_specs(find_project(folder), [path])
    path.write_text(text + first_test(spec), encoding="utf-8")
    try:
        (spec,) = load_specs(find_project(folder), [path])
        passed = all(one.passed for one in run_tests(spec))
    except SpecError:
        passed = False
    if not passed:
        path.write_text(text, encoding="utf-8")


def _write(folder: Path, files: dict[str, str], copies: dict[str, Path]) -> set[str]:
    """Write what is not there yet; returns the names of what was written."""
    made: set[str] = set()
    for name in (*copies, *files):
        path = folder / name
        if path.exists():
            click.echo(f"kept     {path}")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in copies:
            shutil.copyfile(copies[name], path)
            click.echo(f"copied   {path}")
        else:
            path.write_text(files[name], encoding="utf-8")
            click.echo(f"written  {path}")
            made.add(name)
    return made


def _facts(name: str) -> tuple[ClassFacts, list[str]]:
    """What the sandbox's own dictionary and rules say of a class, and what is worth knowing."""
    from syncengine.sandbox.world import World  # only this question needs it

    world = World()
    table = world.tables.get(name)
    if table is None:
        if name.startswith(("u_", "x_")):
            return ClassFacts(name), [f"the sandbox has no class {name}: add it under  tables:  of sandbox/seed.yaml"]
        fix = near_class(name, [one.name for one in world.tables])
        raise SpecError(
            Problem(
                "unknown-class",
                f"The sandbox has no class {name[:80]}",
                "--class",
                fix=fix
                or "Take cmdb_ci_server for now; one that only your instance has is written into the spec later.",
            )
        )
    rule = world.rules.rule(name)
    columns = frozenset(
        one.name
        for one in table.columns.values()
        if one.type in {"string", "ip_addr"} and not one.read_only and not one.name.startswith("sys_")
    ) - {"discovery_source"}
    if rule is None:
        return ClassFacts(name, columns), [f"{name} has no identification rule: choose a class below it"]
    entries = tuple(dict.fromkeys(entry.attributes for entry in rule.entries if not entry.field))
    hints = []
    if not rule.independent:
        hints.append(f"{name} is identified on its host: say which under  relations:")
    return ClassFacts(name, columns, entries), hints


def _next(folder: Path, spec: str) -> list[str]:
    lines = ["", "Next:"]
    if folder.resolve() != Path.cwd().resolve():
        lines.append(f"  cd {_shell(str(folder))}")
    if not spec:
        return [*lines, "  syncengine init --from FILE --class cmdb_ci_server"]
    return [
        *lines,
        "  syncengine validate",
        "  syncengine test",
        "  syncengine plan -o first.plan        against the sandbox, on this machine",
        "  syncengine apply first.plan --yes",
    ]


def _shell(text: str) -> str:
    return text if re.fullmatch(r"[\w./@%+=:,-]+", text) else "'" + text.replace("'", "'\\''") + "'"
