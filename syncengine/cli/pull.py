"""`syncengine sandbox pull`: what an instance is made of, as a seed of the project's sandbox."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncengine.cli import connect, places
from syncengine.cli.progress import progress
from syncengine.errors import Problem, SpecError, many, visible
from syncengine.files import replacing

if TYPE_CHECKING:
    from syncengine.pull import Missing, Pulled, Wanted
    from syncengine.spec.model import Environment, Project, Spec


@click.command(name="pull")
@places.paths_argument
@click.option(
    "--env", "env_name", default="", metavar="NAME", help="Environment: environments/NAME.yaml of the project."
)
@places.env_file_option
@click.option("--connection", metavar="NAME", help="Needed where the environment has several ServiceNow connections.")
@click.option(
    "--table",
    "tables",
    multiple=True,
    metavar="TABLE[:QUERY]",
    help="A table, with its columns, choices, rules and records; QUERY (an encoded query) chooses the records. "
    "Without it: the tables that the specs write and look up.",
)
@click.option(
    "--records",
    type=click.IntRange(0, 10_000),
    default=20,
    show_default=True,
    help="Records of each table; 0 for none.",
)
@click.option(
    "-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="Default: sandbox/pulled.yaml of the project."
)
@click.option("--format", "form", type=click.Choice(("human", "json")), default="human", show_default=True)
def command(
    *,
    paths: tuple[Path, ...],
    env_name: str,
    env_file: Path | None,
    connection: str | None,
    tables: tuple[str, ...],
    records: int,
    out: Path | None,
    form: str,
) -> None:
    """Make the project's sandbox like an instance, so that plans in CI meet its own rules.

    Reads the class tree, columns, choices, data sources, identification, dependency and reconciliation rules, relation
    types, transform maps, and some records, and writes them to sandbox/pulled.yaml. Commit that file: the sandbox loads
    it at its first start. It holds data of the instance, but no password, and users only with `--table sys_user`.
    Nothing is written to the instance. What may not be read is told, with the role to ask for.

    \b
      syncengine sandbox pull --env prod
      syncengine sandbox pull --env prod --records 100 \\
          --table cmdb_ci_server:nameSTARTSWITHpar --table cmn_location
    """
    from syncengine.planning.connections import chosen_connection
    from syncengine.pull import pull, written
    from syncengine.spec import check_specs

    project = places.project()
    if not env_name and env_file is None:
        raise SpecError(Problem("no-environment", "say what to pull from", "--env", fix="--env NAME"))
    env = connect.environment(project, env_name or (env_file.stem if env_file else ""), env_file)
    if not env.connections:
        said = "the sandbox is what is filled; it cannot be pulled from"
        raise SpecError(Problem("no-environment", said, "--env", env_name, "--env with the name of an instance"))
    checked = check_specs(project, paths)
    wrong = sum(one.severity == "error" and one.code != "no-specs" for one in checked.problems)
    if wrong:
        click.echo(
            f"{many(wrong, 'problem')} in the specs: what is named there is not pulled (syncengine validate)", err=True
        )
    name = chosen_connection("servicenow", "sandbox pull", connection, connect.services(env))
    wanted = _wanted(checked.specs, env, name, tables, records)
    target = out or project.root / "sandbox" / places.PULLED
    with progress("pull") as told, connect.opened(project, env, [], {name}) as opened:
        reader = opened[name].reader
        try:
            pulled = pull(reader, wanted, on_rows=lambda number: told.add("rows", number))
        except ValueError as fault:
            raise SpecError(
                Problem("bad-query", str(fault)[:160], "--table", fix="TABLE:QUERY without ORDERBY")
            ) from fault
        origin = reader.base_url
    changed = _write(target, written(pulled.document, origin))
    if form == "json":
        click.echo(_as_json(pulled, target, changed=changed))
    else:
        _tell(pulled, target, origin, changed=changed, project=project)


def _wanted(specs: Sequence[Spec], env: Environment, connection: str, named: Sequence[str], records: int) -> Wanted:
    """What the specs of ServiceNow connections need, or the tables that were named beside their own."""
    from syncengine.pull import Wanted

    tables = {}
    for one in named:
        table, _, query = one.partition(":")
        if not table.replace("_", "").isalnum() or not table.isascii() or table != table.lower():
            raise SpecError(Problem("table-name", "this is no table name", "--table", table[:80], "cmdb_ci_server"))
        if "ORDERBY" in query or "^NQ" in query:
            raise SpecError(Problem("bad-query", "a query here has no ORDERBY and no ^NQ", "--table", query[:80]))
        tables[table] = query
    classes: list[str] = []
    parts: list[str] = []
    read: list[str] = []
    staging: list[str] = []
    for step in (step for spec in specs for step in spec.steps.values()):
        if step.connection not in (None, connection):
            continue
        if step.kind == "cmdb":
            classes += step.classes
            parts += [part.class_name for part in (*step.recipe.lookup, *step.recipe.related)]
        elif step.kind == "staging":
            staging += step.classes
        if step.kind != "4me":
            read += [one.table for one in step.references if one.table]
    for source in (source for spec in specs for source in spec.sources.values() if source.kind == "servicenow"):
        read.append(getattr(source.options, "table", ""))
    once = [tuple(dict.fromkeys(names)) for names in (classes, parts, read, staging)]
    wanted = Wanted(once[0], once[1], once[2], once[3], tables, records)
    if wanted.is_nothing:
        said = "no spec of the project names a ServiceNow table, and no --table says what to pull"
        raise SpecError(Problem("nothing-to-pull", said, str(env.file or ""), fix="--table cmdb_ci_server"))
    return wanted


def _write(target: Path, content: bytes) -> bool:
    """Whether the file is another one now."""
    if target.is_file() and target.read_bytes() == content:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target, "pulled") as stream:
        stream.write(content)
    return True


def _tell(pulled: Pulled, target: Path, origin: str, *, changed: bool, project: Project) -> None:
    click.echo(f"pulled from {origin}:")
    for what, number in pulled.counts().items():
        if number:
            click.echo(f"  {number:>7,} {what}")
    records = pulled.document.get("records", {})
    for name in pulled.document.get("tables", {}):
        if name in records:
            click.echo(f"          {len(records[name]):,} of {visible(name)}")
    for name in pulled.unknown:
        click.echo(f"not there: {visible(name)} (the instance has no such table, or this user may not see it)")
    if pulled.missing:
        click.echo("not read; the sandbox keeps what it ships with:")
    for one in pulled.missing:
        click.echo(f"  {visible(one.what)}: {visible(one.why)}")
        click.echo(f"    fix: {visible(one.fix)}")
    click.echo(f"{_said(target)}: {'written' if changed else 'as it was'}")
    data = connect.state_directory(project) / connect.SANDBOX / "data.db"
    if changed and data.exists():
        click.echo("this project's sandbox holds other records; start it anew:  syncengine sandbox reset --yes")


def _said(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _as_json(pulled: Pulled, target: Path, *, changed: bool) -> str:
    said = {
        "version": 1,
        "file": str(target),
        "changed": changed,
        "counts": pulled.counts(),
        "unknown": list(pulled.unknown),
        "missing": [_missing(one) for one in pulled.missing],
    }
    return json.dumps(said, indent=2)


def _missing(one: Missing) -> dict[str, str]:
    return {"what": one.what, "why": one.why, "fix": one.fix}
