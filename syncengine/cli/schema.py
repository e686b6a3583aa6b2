"""`syncengine schema`: the JSON Schema of a kind of file, printed, written, or compared with what is written."""

from __future__ import annotations

import contextlib
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncengine.cli import connect, places
from syncengine.errors import Problem, SourceError, SpecError
from syncengine.spec import find_project, load_specs, open_source, schema
from syncengine.spec.atoms import TABLE
from syncengine.spec.import_types import import_types
from syncengine.spec.shapes import Schema
from syncengine.spec.wording import near, near_class
from syncengine.transport.instance import ClassInfo, Instance
from syncengine.transport.reader import Reader

if TYPE_CHECKING:
    from syncengine.sandbox.tables import Table
    from syncengine.sandbox.world import World

FOLDER = Path("schemas")


@click.command(name="schema", short_help="JSON Schema of spec, project and environment files")
@click.argument("kind", required=False, type=click.Choice(schema.kinds()))
@click.option("--write", is_flag=True, help="Write all schemas into the folder.")
@click.option("--check", is_flag=True, help="Fail if a schema in the folder is not current.")
@click.option(
    "--for",
    "spec_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The schema of this spec: its columns, sources and steps are words to choose from.",
)
@click.option("--class", "class_name", help="The schema of specs for a CI class: its columns are the fields.")
@click.option("--type", "type_name", help="The schema of specs for an import type of 4me: its columns are the fields.")
@click.option(
    "--env",
    "env_name",
    metavar="NAME",
    help="With --class: ask this environment, not the sandbox as it ships.",
)
@click.option("--fields", "listed", is_flag=True, help="With --class or --type: list the fields for people.")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), default=FOLDER, show_default=True)
def command(
    kind: str | None,
    *,
    write: bool,
    check: bool,
    spec_file: Path | None,
    class_name: str | None,
    type_name: str | None,
    env_name: str | None,
    listed: bool,
    folder: Path,
) -> None:
    """Print the JSON Schema of KIND; without KIND that of specs.

    Editors use it through a first line such as  # yaml-language-server: $schema=schemas/spec.json

    \b
    syncengine schema --for specs/servers.yaml > schemas/servers.json
    syncengine schema --class cmdb_ci_server --fields    what has the class?
    syncengine schema --class cmdb_ci_server > schemas/server.json
    syncengine schema --type people > schemas/people.json
    syncengine schema --class cmdb_ci_server --env dev > schemas/server.json
    """
    if listed and class_name is None and type_name is None:
        said = "--fields lists those of a class or of a type of 4me"
        raise SpecError(Problem("bad-usage", said, "--fields", fix="--class CLASS --fields"))
    if sum(one is not None for one in (spec_file, class_name, type_name)) > 1:
        said = "--for, --class and --type are schemas of their own; ask for one"
        raise SpecError(Problem("bad-usage", said, "syncengine schema", fix="syncengine schema --class CLASS"))
    if type_name is not None:
        _type(type_name, listed=listed)
        return
    if spec_file is not None:
        click.echo(schema.as_text(_for_spec(spec_file)), nl=False)
        return
    if class_name is not None:
        if not re.fullmatch(TABLE, class_name):
            raise SpecError(Problem("bad-name", "A class has letters, digits and _ only", "--class"))
        if listed:
            for line in _shipped(class_name) if env_name is None else _described(class_name, env_name):
                click.echo(line)
            return
        made = _for_class(class_name) if env_name is None else _of_instance(class_name, env_name)
        click.echo(schema.as_text(made), nl=False)
        return
    if check:
        stale = [one for one in schema.kinds() if _written(folder, one) != schema.text(one)]
        if stale:
            raise SpecError(
                [
                    Problem(
                        "stale-schema",
                        f"{folder / one}.json is not current",
                        str(folder),
                        fix="syncengine schema --write",
                    )
                    for one in stale
                ]
            )
        click.echo(f"{len(schema.kinds())} schemas in {folder} are current.", err=True)
        return
    if write:
        folder.mkdir(parents=True, exist_ok=True)
        for one in schema.kinds():
            (folder / f"{one}.json").write_text(schema.text(one), encoding="utf-8")
        click.echo(f"{len(schema.kinds())} schemas written into {folder}.", err=True)
        return
    click.echo(schema.text(kind or "spec"), nl=False)


def _type(name: str, *, listed: bool) -> None:
    known = import_types()
    if name not in known:
        fix = near(name, tuple(known)) or "Such as people, sites, cis."
        raise SpecError(Problem("unknown-type", f"4me has no import type {name[:80]}", "--type", fix=fix))
    if not listed:
        click.echo(schema.as_text(schema.for_type(name)), nl=False)
        return
    if known[name].header == "unknown":
        click.echo(f"{name}: no public page has its columns, so nothing can be imported into it")
        return
    columns = list(schema.type_columns(name))
    width = max(len(column) for column, _ in columns)
    for column, said in columns:
        click.echo(f"{column:<{width}}  {said}")


def _written(folder: Path, kind: str) -> str:
    try:
        return (folder / f"{kind}.json").read_text(encoding="utf-8")
    except OSError:
        return ""


def _for_spec(file: Path) -> Schema:
    project = find_project(Path.cwd())
    found = load_specs(project, [file])
    if not found:
        raise SpecError(Problem("wrong-kind", f"{file} is no spec", str(file), fix="syncengine schema KIND"))
    columns: dict[str, tuple[str, ...]] = {}
    for name in found[0].sources:
        with contextlib.suppress(SourceError, SpecError):  # a source that is not here yet gives no columns
            columns[name] = open_source(found[0], name).columns() or ()
    return schema.for_spec(found[0], columns)


def _of_sandbox(name: str) -> tuple[World, Table]:
    """A class as the sandbox ships it, in its world; raises SpecError where it has none of that name."""
    from syncengine.sandbox.world import World  # only this question needs it

    world = World()
    table = world.tables.get(name)
    if table is None:
        fix = near_class(name, [one.name for one in world.tables]) or "Such as cmdb_ci_server."
        raise SpecError(Problem("unknown-class", f"The sandbox has no class {name[:80]}", "--class", fix=fix))
    return world, table


def _shipped(name: str) -> Iterator[str]:
    """A class for people, as the sandbox ships it: what it is, what identifies it, its fields, its classes below."""
    world, table = _of_sandbox(name)
    yield f"{name}: {table.label}" + (f", below {table.parent}" if table.parent else "")
    rule = world.rules.rule(name)
    entries = () if rule is None else rule.entries
    ways = [f"{'+'.join(one.attributes)}{f' (lookup: {one.table})' if one.field else ''}" for one in entries]
    yield from _wrapped("identified by: ", " or ".join(dict.fromkeys(ways)) or "no rule: take a class below it")
    if rule is not None and not rule.independent:
        yield "lives in another CI: a relation must name its host"
    below = [one.name for one in world.tables if one.parent == name]
    if below:
        yield from _wrapped("classes below: ", ", ".join(below))
    yield ""
    columns = [one for one in table.columns.values() if not one.name.startswith("sys_") and not one.read_only]
    width = max((len(one.name) for one in columns), default=0)
    for one in sorted(columns, key=lambda column: column.name):
        kind = one.type + (f" to {one.reference}" if one.reference else "")
        yield f"{one.name:<{width}}  {one.label} ({kind})"


def _described(name: str, env_name: str) -> Iterator[str]:
    """A class for people, as an instance describes it."""
    info = _info(name, env_name)
    yield f"{name}" + (f": below {info.parent}" if info.parent else "")
    ways = [f"{'+'.join(one.attributes)}{f' (lookup: {one.table})' if one.is_lookup else ''}" for one in info.entries]
    yield from _wrapped("identified by: ", " or ".join(dict.fromkeys(ways)) or "no rule: take a class below it")
    if info.is_independent is False:
        yield "lives in another CI: a relation must name its host"
    yield ""
    yield from sorted(one for one in info.columns if not one.startswith("sys_"))


def _wrapped(begin: str, text: str) -> list[str]:
    return textwrap.wrap(begin + text, 80, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _for_class(name: str) -> Schema:
    _, table = _of_sandbox(name)
    columns = {
        one.name: f"{one.label} ({one.type}{f' to {one.reference}' if one.reference else ''})"
        for one in table.columns.values()
        if not one.name.startswith("sys_") and not one.read_only
    }
    return schema.for_class(name, columns)


def _of_instance(name: str, env_name: str) -> Schema:
    """As the instance describes the class."""
    columns = sorted(one for one in _info(name, env_name).columns if not one.startswith("sys_"))
    return schema.for_class(name, dict.fromkeys(columns, f"A column of {name} on {env_name}."))


def _info(name: str, env_name: str) -> ClassInfo:
    """What an instance says of a class; raises SpecError where it has none of that name."""
    project = places.project()
    env = connect.environment(project, env_name, None)
    with connect.dialled(project, env, places.seeds(project, [])) as fresh:
        instance = Instance(Reader(fresh()))
        info = instance.describe(name)
        if info is None:
            fix = instance.class_fix(name)
            raise SpecError(Problem("unknown-class", f"{env.name} has no class {name}", "--class", fix=fix))
    return info
