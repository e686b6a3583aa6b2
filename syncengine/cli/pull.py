"""`syncengine sandbox pull`: a sandbox that answers as an instance would."""

from __future__ import annotations

from pathlib import Path

import click
import yaml

from syncengine.cli import connect, places
from syncengine.cli.progress import progress
from syncengine.errors import Problem, SpecError
from syncengine.planning.connections import chosen_connection
from syncengine.pulling import Pulled, pull
from syncengine.spec import load_specs
from syncengine.spec.model import Project

HEAD = """# Written by: syncengine sandbox pull. Classes, rules and maps as {where} has them;
# {records} records of its data.
# What should be different here belongs into seed.yaml beside it, which is applied after this file.
"""


@click.command(name="pull")
@click.argument("tables", nargs=-1, metavar="[TABLE]...")
@click.option("--env", "env_name", required=True, metavar="NAME", help="The environment of the instance to read.")
@places.env_file_option
@click.option("--connection", metavar="NAME", help="Needed where the environment has several ServiceNow connections.")
@click.option(
    "--records",
    type=click.IntRange(0, 10_000),
    default=0,
    show_default=True,
    help="So many records of each TABLE, too: real data, in a file.",
)
@click.option(
    "-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="Default: sandbox/pulled.yaml of the project."
)
def command(
    tables: tuple[str, ...],
    env_name: str,
    env_file: Path | None,
    connection: str | None,
    records: int,
    out: Path | None,
) -> None:
    """Read the class tree, rules and maps of an instance into a seed, so that plans here meet the same rules.

    TABLE is a table whose columns, choices and maps are wanted; without any, the tables that the specs of the project
    name. The seed sandbox/pulled.yaml is applied to the sandbox of the project by itself, before sandbox/seed.yaml; an
    existing sandbox takes it over at its next start, and loses nothing. Nothing is written to the instance.

    \b
    syncengine sandbox pull --env prod
    syncengine sandbox pull cmdb_ci_server imp_user cmn_location --env prod --records 50
    """
    project = places.project()
    env = connect.environment(project, env_name, env_file)
    if not env.connections:
        problem = Problem("sandbox-itself", "a sandbox is not pulled from itself", "--env", fix="--env NAME")
        raise SpecError(problem)
    chosen = list(tables) or _tables(project)
    name = chosen_connection("servicenow", "sandbox pull", connection, connect.services(env))
    with connect.opened(project, env, [], {name}) as connections, progress("Pulling") as shown:
        pulled = pull(connections[name].reader, chosen, records, shown.add)
        where = connections[name].identity.url
    path = out or project.root / "sandbox" / "pulled.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(pulled.seed, sort_keys=False, allow_unicode=True, width=120)
    path.write_text(HEAD.format(where=where, records=pulled.counts["records"]) + text, "utf-8")
    _tell(pulled, path, chosen)


def _tables(project: Project) -> list[str]:
    """The tables that the specs of a project write or read on an instance."""
    found: dict[str, None] = {}
    for spec in load_specs(project, ()):
        for step in spec.steps.values():
            if step.kind in {"cmdb", "staging"}:
                found.update(dict.fromkeys(step.classes))
            found.update(dict.fromkeys(one.table for one in step.references if one.table))
        for source in spec.sources.values():
            table = getattr(source.options, "table", "")
            if table:
                found[table] = None
    if not found:
        said = "no spec of this project names a table"
        raise SpecError(Problem("no-tables", said, "syncengine sandbox pull", fix="name some: pull cmdb_ci_server …"))
    return list(found)


def _tell(pulled: Pulled, path: Path, chosen: list[str]) -> None:
    for note in pulled.notes:
        click.echo(f"warning: {note}", err=True)
    said = ", ".join(f"{count:,} {section.replace('_', ' ')}" for section, count in pulled.counts.items() if count)
    click.echo(f"{path}: {said}; columns of {', '.join(chosen[:8])}{', …' if len(chosen) > 8 else ''}")
