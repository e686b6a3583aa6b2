"""`syncengine test`: runs the tests that stand in specs and in files of `kind: tests`."""

from __future__ import annotations

from pathlib import Path

import click

from syncengine.errors import Problem, SpecError, visible
from syncengine.spec import find_project, load_specs
from syncengine.spec.testing import Result, documents, load_suite, run_tests


@click.command(name="test", short_help="Run the tests of specs")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path), metavar="[PATH]...")
def command(paths: tuple[Path, ...]) -> None:
    """Run the tests of specs: files, folders, or all of the project. No server is contacted."""
    project = find_project(Path.cwd())
    suites = documents(paths or [one for one in (project.root / "tests",) if one.is_dir()])
    others = [path for path in paths if path not in suites]
    results: list[Result] = []
    if others or not paths:
        for spec in load_specs(project, others):
            results.extend(run_tests(spec))
    for path in suites:
        results.extend(run_tests(*load_suite(project, path)))
    for one in results:
        click.echo(f"{'ok  ' if one.passed else 'FAIL'} {one.spec}: {visible(one.case.title)}")
        for line in one.differences:
            click.echo(f"       {visible(line)}")
    if not results:
        click.echo("There are no tests here yet. A spec brings them along:")
        click.echo("  tests: {TITLE: {given: ..., expect: ...}}")
        return
    failed = [one for one in results if not one.passed]
    click.echo(f"{len(results) - len(failed)} passed, {len(failed)} failed.")
    if failed:
        raise SpecError(
            [Problem("test-failed", _said(one), one.case.position, found=one.differences[0]) for one in failed]
        )


def _said(result: Result) -> str:
    more = len(result.differences) - 1
    return f'The test "{result.case.title}" failed' + (f" in {more + 1} places" if more else "")
