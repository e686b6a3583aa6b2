"""`syncengine extract`: tables of an instance, kept up to date in DuckDB or elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from syncengine.cli import connect, places
from syncengine.cli.progress import progress
from syncengine.errors import Exit
from syncengine.planning.connections import chosen_connection
from syncengine.spec.model import Project

if TYPE_CHECKING:
    from syncengine.extract.load import Destination, Loaded


@click.command(name="extract")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@places.env_option
@places.env_file_option
@click.option("--connection", metavar="NAME", help="Needed where the environment has several ServiceNow connections.")
@click.option("--to", "destination", metavar="DESTINATION", help="A destination of dlt; default: duckdb.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="A setting of the destination.")
@click.option("--dataset", metavar="NAME", help="The schema or folder there; default: servicenow.")
@click.option(
    "--file", type=click.Path(dir_okay=False, path_type=Path), help="The DuckDB file; default: below .syncengine."
)
@click.option("--full", is_flag=True, help="Read all rows again, not only what changed.")
@click.option("--format", "form", type=click.Choice(["human", "json"]), default="human", show_default=True)
def command(
    names: tuple[str, ...],
    env_name: str,
    env_file: Path | None,
    connection: str | None,
    destination: str | None,
    options: tuple[str, ...],
    dataset: str | None,
    file: Path | None,
    full: bool,
    form: str,
) -> int:
    """Bring tables of an instance up to date in DuckDB, or in any destination of dlt.

    NAME is a table of extract: in syncengine.yaml, one of the presets (incidents, users, change_requests,
    attachments, aggregates), or a table of the instance. The first run reads all rows, later ones what changed; a run
    that was killed is finished by the next one. Nothing is written to the instance.

    \b
    syncengine extract incidents users --env prod
    syncengine extract                                   all of syncengine.yaml
    syncengine extract u_asset --to filesystem --option bucket_url=file:///srv/lake
    """
    from syncengine.extract.load import Destination, Extraction
    from syncengine.extract.presets import wanted

    started = time.monotonic()
    project = places.project()
    said = project.extract
    tables = wanted(names, said.tables)
    env = connect.environment(project, env_name, env_file)
    name = chosen_connection("servicenow", "extract", connection, connect.services(env))
    to = Destination(
        destination or said.destination,
        dataset or said.dataset,
        {**(said.options if destination in (None, said.destination) else {}), **_options(options)},
        (file or home(project) / f"{env.name}.duckdb").absolute(),
    )
    loaded: list[Loaded] = []
    with (
        connect.opened(project, env, places.seeds(project, []), {name}) as connections,
        progress("Extracting") as shown,
    ):
        extraction = Extraction(home(project), env.name, connections[name].identity.url, to)
        try:
            extraction.prepare()
            for table, of in tables.items():
                loaded.append(extraction.table(connections[name].reader, table, of, shown.add, full=full))
        finally:
            extraction.close()
            if loaded:
                shown.end()
                for line in _told(loaded, to, time.monotonic() - started, form):
                    click.echo(line)
    return int(Exit.OK)


def home(project: Project) -> Path:
    """Where extracts keep their state, and the DuckDB files by default."""
    return connect.state_directory(project) / "extract"


def _options(given: tuple[str, ...]) -> dict[str, str]:
    made = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--option")
        made[key] = value
    return made


def _told(loaded: list[Loaded], to: Destination, seconds: float, form: str) -> Iterator[str]:
    if form == "json":
        for one in loaded:
            yield orjson.dumps({"kind": "table", **asdict(one)}).decode()
        return
    width = max(len(one.name) for one in loaded)
    for one in loaded:
        window = f"since {one.since}" if one.since else "all"
        line = f"{one.name:<{width}}  {one.rows:>9,} rows ({window}{', resumed' if one.resumed else ''})"
        if one.deleted:
            line += f", {one.deleted:,} deleted"
        if one.cursor:
            line += f", up to {one.cursor}"
        yield line
        if one.new_columns:
            yield f"  new columns: {', '.join(one.new_columns)}"
        if one.hidden:
            yield f"  warning: {one.hidden:,} rows were not visible to this user, or went away meanwhile"
        if one.deleted is None:
            yield "  deletions are not seen: this user may not read sys_audit_delete"
        for column, count in one.misfits.items():
            yield f"  warning: {count:,} values of {column} are not of its type; they are in {column}__v_text"
    where = str(to.file) if to.name == "duckdb" and "credentials" not in to.options else to.name
    yield f"{sum(one.rows for one in loaded):,} rows in {seconds:.1f} s into {where}, dataset {to.dataset}"
