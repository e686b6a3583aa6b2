"""`syncengine extract`: tables of an instance, kept up to date in DuckDB or elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from syncengine.cli import connect, places
from syncengine.cli.complaints import complain
from syncengine.cli.progress import progress
from syncengine.credentials import Plain, resolve
from syncengine.errors import LockedError, Problem, SpecError, visible
from syncengine.files import private_directory
from syncengine.planning.connections import chosen_connection
from syncengine.spec.extracts import OPTION
from syncengine.spec.model import Environment, Project
from syncengine.spec.tables import COLUMN

if TYPE_CHECKING:
    from syncengine.extract.run import TableDone
    from syncengine.extract.warehouse import Place
    from syncengine.sources.servicenow import Options as TableOptions

DUCKDB = "duckdb"


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
@click.option("--query", help="An encoded query: which rows. With one NAME.")
@click.option("--fields", help="Columns, with commas between; dots follow a reference. With one NAME.")
@click.option("--full", is_flag=True, help="Read everything again, into empty tables.")
@places.permits_option
@click.option("--format", "form", type=click.Choice(["human", "json"]), default="human", show_default=True)
def command(
    names: tuple[str, ...],
    env_name: str,
    env_file: Path | None,
    *,
    connection: str | None,
    destination: str | None,
    options: tuple[str, ...],
    dataset: str | None,
    file: Path | None,
    query: str | None,
    fields: str | None,
    full: bool,
    permits: int | None,
    form: str,
) -> int:
    """Bring tables of an instance up to date in DuckDB, or in any destination of dlt.

    NAME is a table of extract: in syncengine.yaml, one of the presets (incidents, users, change_requests,
    attachments, aggregates), or a table of the instance. The first run reads all rows, later ones what changed; a run
    that was killed is finished by the next one. Nothing is written to the instance.
    It needs more than syncengine brings:  pip install 'syncengine-itsm[extract]'

    \b
    syncengine extract incidents users --env prod
    syncengine extract                                   all of syncengine.yaml
    syncengine extract cmdb_ci_server --fields name,assigned_to.email
    syncengine extract u_asset --to filesystem \\
        --option bucket_url=file:///srv/lake
    """
    from syncengine.extract.presets import wanted

    project = places.project()
    env = connect.environment(project, env_name, env_file)
    tables = _narrowed(wanted(names, project.extract.tables), query, fields)
    way_name = chosen_connection("servicenow", "extract", connection, connect.services(env))
    place = _place(project, env, destination, _options(options), dataset, file)

    from syncengine.extract.warehouse import Warehouse, installed

    installed()  # Arrow and dlt: 1 s that nobody else pays
    from syncengine.extract.run import Extracting, exit_of, extract

    with _alone(place), progress("extract") as shown:
        warehouse = Warehouse(place)

        def tell(_table: str, rows: int, total: int | None) -> None:
            if total is not None:
                shown.total = (shown.total or 0) + total
            shown.add("rows", rows)

        with connect.opened(project, env, places.seeds(project, []), [way_name], permits=permits) as connections:
            way = connections[way_name]
            done = extract(Extracting(way.reader, way.identity.url, warehouse, anew=full, tell=tell), tables)
    exit_class = int(exit_of(done))
    if form == "json":
        click.echo(_as_json(env, place, warehouse.where, done, exit_class))
    else:
        for line in _told(done, place, warehouse.where):
            click.echo(line)
    for one in done:
        if one.error is not None:
            complain(one.error)
    return exit_class


def _narrowed(tables: dict[str, TableOptions], query: str | None, fields: str | None) -> dict[str, TableOptions]:
    if query is None and fields is None:
        return tables
    ((name, one), *others) = tables.items()
    if others or one.aggregate is not None:
        raise SpecError(Problem("bad-usage", "--query and --fields go with one table of rows", "syncengine extract"))
    if query is not None:
        if "ORDERBY" in query or "^NQ" in query:
            said = "a query with ORDERBY or ^NQ cannot be read in pages"
            raise SpecError(Problem("bad-query", said, "--query", query, "leave it out"))
        one = replace(one, query=query)
    if fields is not None:
        wanted = tuple(each.strip() for each in fields.split(","))
        odd = [each for each in wanted if re.fullmatch(str(COLUMN.pattern), each) is None]
        if odd:
            raise SpecError(Problem("bad-name", "this is no name of a column", "--fields", ", ".join(odd)))
        one = replace(one, fields=wanted)
    return {name: one}


def _options(given: tuple[str, ...]) -> dict[str, str]:
    made = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or re.fullmatch(OPTION, key) is None:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--option")
        made[key] = value
    return made


def _place(
    project: Project,
    env: Environment,
    destination: str | None,
    options: Mapping[str, str],
    dataset: str | None,
    file: Path | None,
) -> Place:
    """Where tables go: the command line, then the environment, then the project."""
    from syncengine.extract.warehouse import Place

    said = project.extract
    wanted = destination or env.extract.name or said.destination
    settings: dict[str, str] = {}
    secrets: list[str] = []
    if wanted == said.destination:
        settings |= said.options
    if wanted == (env.extract.name or said.destination):
        for key, source in env.extract.options.items():
            settings[key] = resolve(source, project.root).reveal()
            if not isinstance(source, Plain):
                secrets.append(settings[key])
    settings |= options
    folder = connect.state_directory(project) / "extract"
    where = file.absolute() if file is not None else None
    return Place(
        project.root, folder, env.name, wanted, dataset or said.dataset, settings, tuple(secrets), duckdb=where
    )


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    """One extract of an environment at a time: they would take each other's packages."""
    from filelock import FileLock, Timeout

    lock = FileLock(private_directory(place.folder) / f"{place.environment}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        said = f"another extract from {place.environment} is running"
        raise LockedError(Problem("locked", said, str(lock.lock_file), fix="wait for its end")) from None
    try:
        yield
    finally:
        lock.release()


def _told(done: Sequence[TableDone], place: Place, where: str) -> Iterator[str]:
    width = max(len(one.name) for one in done)
    for one in done:
        if one.error is not None:
            kept = f"stopped after {one.rows:,} rows; they are kept, run it again to go on" if one.rows else "not read"
            yield f"{one.name:<{width}}  {kept}"
            continue
        said = [f"{one.rows:,} rows" if one.whole else f"{one.rows:,} new or changed"]
        if one.deleted:
            said.append(f"{one.deleted:,} deleted")
        if one.total is not None:
            said.append(f"{one.total:,} in the table")
        if one.new_columns:
            said.append(f"new columns: {', '.join(one.new_columns)}")
        if one.cursor:
            said.append(f"next from {one.cursor}")
        if one.resumed:
            said.append("resumed")
        yield f"{one.name:<{width}}  {visible(', '.join(said))}"
        for note in one.notes:
            yield f"{'':<{width}}  ({visible(note)})"
    what = place.destination if place.destination != DUCKDB else "DuckDB"
    yield f"In {what}: {visible(where)}, schema {place.dataset}"


def _as_json(env: Environment, place: Place, where: str, done: Sequence[TableDone], exit_class: int) -> str:
    tables = [
        {
            "name": one.name,
            "table": one.table,
            "rows": one.rows,
            "deleted": one.deleted,
            "total": one.total,
            "new_columns": list(one.new_columns),
            "cursor": one.cursor or None,
            "whole": one.whole,
            "resumed": one.resumed,
            "notes": one.notes,
            "error": None if one.error is None else one.error.problems[0].code,
        }
        for one in done
    ]
    said = {
        "version": 1,
        "environment": env.name,
        "exit": exit_class,
        "destination": place.destination,
        "where": where,
        "dataset": place.dataset,
        "tables": tables,
    }
    return orjson.dumps(said, option=orjson.OPT_INDENT_2).decode()
