"""`syncengine schema`: the JSON Schema of a kind of file, printed, written, or compared with what is written."""

from __future__ import annotations

from pathlib import Path

import click

from syncengine.errors import Problem, SpecError
from syncengine.spec import schema

FOLDER = Path("schemas")


@click.command(name="schema", short_help="JSON Schema of spec, project and environment files")
@click.argument("kind", required=False, type=click.Choice(schema.kinds()))
@click.option("--write", is_flag=True, help="Write all schemas into the folder.")
@click.option("--check", is_flag=True, help="Fail if a schema in the folder is not current.")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), default=FOLDER, show_default=True)
def command(kind: str | None, *, write: bool, check: bool, folder: Path) -> None:
    """Print the JSON Schema of KIND; without KIND that of specs.

    Editors use it through a first line such as  # yaml-language-server: $schema=schemas/spec.json
    """
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


def _written(folder: Path, kind: str) -> str:
    try:
        return (folder / f"{kind}.json").read_text(encoding="utf-8")
    except OSError:
        return ""
