"""`syncengine validate`: reads specs without network and says all that is wrong with them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import click

from syncengine.cli.complaints import lines
from syncengine.errors import NOTHING_SENT, Exit, Place, Position, Problem, SpecError, many, visible
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
    return "".join(_annotation(one) for one in checked.problems)


def _annotation(problem: Problem) -> str:
    def data(text: str) -> str:
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    def attribute(text: str) -> str:
        return data(text).replace(":", "%3A").replace(",", "%2C")

    place = _json_place(problem.place)
    parts = [f"file={attribute(str(place['file']))}"]
    if place.get("line"):
        parts.append(f"line={place['line']}")
    if place.get("column"):
        parts.append(f"col={place['column']}")
    parts.append(f"title={attribute(problem.code)}")
    said = problem.message + (f"\n{problem.fix}" if problem.fix else "")
    return f"::{problem.severity} {','.join(parts)}::{data(said)}\n"


def as_junit(checked: Checked) -> str:
    """One test case per file."""
    by_file: dict[str, list[Problem]] = {name: [] for name in checked.files}
    for one in checked.problems:
        by_file.setdefault(str(_json_place(one.place)["file"]), []).append(one)
    failed = sum(any(one.severity == "error" for one in found) for found in by_file.values())
    made = ['<?xml version="1.0" encoding="UTF-8"?>']
    made.append(f'<testsuite name="syncengine validate" tests="{len(by_file)}" failures="{failed}">')
    for name, found in by_file.items():
        made.append(f'  <testcase classname="validate" name={quoteattr(visible(name))}>')
        made.extend(_failures(found))
        made.append("  </testcase>")
    made.append("</testsuite>")
    return "\n".join(made) + "\n"


def _failures(found: Sequence[Problem]) -> list[str]:
    return [
        f"    <failure type={quoteattr(one.code)} message={quoteattr(visible(one.message))}>"
        f"{escape(visible(str(one.place)))} {escape(visible(one.fix))}</failure>"
        for one in found
        if one.severity == "error"
    ]
