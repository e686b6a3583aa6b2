"""`syncengine validate`: reads specs without network and says all that is wrong with them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from syncengine.cli.complaints import lines
from syncengine.errors import NOTHING_SENT, Exit, Place, Position, Problem, SpecError, many
from syncengine.spec import Checked, check_specs, find_project


@click.command(name="validate", short_help="Check specs offline")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option(
    "--format", "form", type=click.Choice(("human", "json", "github", "junit")), default="human", show_default=True
)
def command(paths: tuple[Path, ...], *, form: str) -> None:
    """Check specs: files, folders, or all of the project. No server is contacted.

    All problems of all files are reported at once, each with file, line and column. A source that is not here is
    a warning: specs can be checked without data, but not their columns, and the last line says so.
    """
    project = find_project(Path.cwd())
    checked = check_specs(project, paths)
    errors = [one for one in checked.problems if one.severity == "error"]
    warnings = [one for one in checked.problems if one.severity == "warning"]
    if form == "human":
        if errors:
            raise SpecError(checked.problems)
        for line in lines(warnings):
            click.echo(line, err=True)
        steps = sum(len(spec.steps) for spec in checked.specs)
        said = f"{many(len(checked.specs), 'spec')} with {many(steps, 'step')}"
        if checked.unread:
            unread = many(len(checked.unread), "source file")
            whose = "its" if len(checked.unread) == 1 else "their"
            click.echo(f"{said}: no mistake found, but {unread} could not be read: {whose} columns are not checked.")
            return
        click.echo(f"{said}: right.")
        return
    render = {"json": as_json, "github": as_github, "junit": as_junit}[form]
    click.echo(render(checked), nl=False)
    if errors:
        sys.exit(Exit.SPEC)


def as_json(checked: Checked) -> str:
    """One object with all problems."""
    problems = [
        {
            "severity": one.severity,
            "code": one.code,
            "message": one.message,
            **_json_place(one.place),
            "found": one.found,
            "fix": one.fix,
        }
        for one in checked.problems
    ]
    bad = any(one.severity == "error" for one in checked.problems)
    made = {
        "version": 1,
        "valid": not bad,
        "specs": [{"name": spec.name, "path": str(spec.path), "steps": [*spec.steps]} for spec in checked.specs],
        "problems": problems,
        "unread": checked.unread,
        "effect": NOTHING_SENT,
    }
    return json.dumps(made, indent=2, ensure_ascii=True) + "\n"


def _json_place(place: Position | Place | str) -> dict[str, str | int]:
    if isinstance(place, Position):
        return {"file": place.file, "line": place.line, "column": place.column}
    if isinstance(place, Place):
        return {"file": place.file, "line": place.line, "row": place.row}
    return {"file": place}


def as_github(checked: Checked) -> str:
    """Annotations as workflow commands; data cannot begin a command of its own."""
    from syncengine.reports.github import of_problem  # knows plans, too: 60 ms

    return "".join(f"{of_problem(one)}\n" for one in checked.problems)


def as_junit(checked: Checked) -> str:
    """One test case per file."""
    from syncengine.reports.junit import Case, Failure, Suite  # as above

    by_file: dict[str, list[Problem]] = {name: [] for name in checked.files}
    for one in checked.problems:
        by_file.setdefault(str(_json_place(one.place)["file"]), []).append(one)
    suite = Suite("syncengine validate")
    for name, found in by_file.items():
        errors = [one for one in found if one.severity == "error"]
        failures = [Failure(one.code, one.message, f"{one.place} {one.fix}".strip()) for one in errors]
        suite.add(Case("validate", name, tuple(failures)))
    return "\n".join(suite.lines()) + "\n"
