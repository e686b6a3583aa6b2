"""`syncengine doctor`: examine an environment, and say all that is wrong with it in one run."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from syncengine.cli import connect, places
from syncengine.doctor import Finding, Visit, examine, fourme, worst_of
from syncengine.errors import Exit, SpecError, many, visible
from syncengine.spec import Checked, check_specs
from syncengine.spec.model import Environment, Project, Spec
from syncengine.transport.client import Client
from syncengine.transport.redaction import SHORT

WIDTH = 80
COLOURS = {"ok": "green", "warning": "yellow", "problem": "red", "skipped": "cyan"}


@click.command(name="doctor")
@places.paths_argument
@places.env_option
@places.env_file_option
@click.option("--format", "form", type=click.Choice(("human", "json")), default="human", show_default=True)
def command(paths: tuple[Path, ...], env_name: str, env_file: Path | None, form: str) -> int:
    """Examine an environment: what is wrong, and what to ask the admin for.

    Looks at the way to the server, the login and its rights, the calls that the instance has, and at everything that
    the specs of the project want of it. All in one run; nothing is written. PATHS are spec files or folders.

    \b
    syncengine doctor --env prod                 before the first plan
    syncengine doctor --env prod --format json   for a script
    """
    project = places.project()
    env = connect.environment(project, env_name, env_file)
    checked = check_specs(project, paths)
    found: list[Finding] = []
    for one in _looks(project, env, checked, is_told=form == "human"):
        found.append(one)
        if form == "human":
            _say(one)
    exit_class = int(worst_of(found))
    click.echo(_as_json(env, found, exit_class) if form == "json" else _sum(found))
    return exit_class


def _of_secrets(fresh: Callable[[], Client], check: str = "login") -> list[Finding]:
    """A login that cannot even be tried, since a secret of it is not there."""
    try:
        fresh().close()
    except SpecError as error:
        return [Finding(check, "problem", one.message, one.fix, str(one.place), Exit.SPEC) for one in error.problems]
    return []


def _looks(project: Project, env: Environment, checked: Checked, *, is_told: bool) -> Iterator[Finding]:
    """Both services, as far as the environment and the specs have to do with them."""
    seeds = places.seeds(project, checked.specs)
    steps = [step for spec in checked.specs for step in spec.steps.values() if step.kind == "4me"]
    kinds = set(connect.services(env).values()) if env.connections else _kinds(checked.specs)
    if "servicenow" in kinds:
        with connect.dialled(project, env, seeds) as fresh:
            missing = _of_secrets(fresh)
            visit = _visit(env, checked.specs, connect.anonymous(project, env) if missing else fresh)
            if missing:
                visit.closed["login"] = "there is nothing to log in with"
            if is_told:
                click.echo(f"{env.name}: {visit.client.base_url}")
            yield from _of_specs(checked)
            yield from missing
            yield from _short_secrets(visit.client)
            yield from examine(visit)
    else:
        yield from _of_specs(checked)
    if "4me" in kinds:
        with connect.accounts(project, env, seeds) as accounts:
            for one in accounts:
                if is_told:
                    click.echo(f"{env.name}: {one.url}, account {one.name}")
                missing = _of_secrets(one.fresh, "4me login")
                yield from missing
                if not missing:
                    client = one.fresh()
                    yield from _short_secrets(client)
                    yield from fourme.look(client, one.name, steps, one.place)


def _kinds(specs: Sequence[Spec]) -> set[str]:
    """The services that specs have to do with; ServiceNow where there are none yet."""
    made = {"4me" if step.kind == "4me" else "servicenow" for spec in specs for step in spec.steps.values()}
    read = {"servicenow" for spec in specs for source in spec.sources.values() if source.kind == "servicenow"}
    return made | read or {"servicenow"}


def _short_secrets(client: Client) -> Iterator[Finding]:
    """Secrets of which even a mask would tell something, so that whole messages are hidden."""
    for name in client.redactor.short:
        said = f"the secret {name} has fewer than {SHORT} characters; a message that holds it is hidden as ***"
        yield Finding("secrets", "warning", said, "have a longer one set")


def _of_specs(checked: Checked) -> Iterator[Finding]:
    """Specs that are wrong by themselves: they are told, and the others are examined."""
    wrong = [one for one in checked.problems if one.severity == "error"]
    if [one.code for one in wrong] == ["no-specs"]:
        message = "there are none yet, so nothing that they would want is examined"
        yield Finding("specs", "warning", message, "syncengine init --from FILE   writes a first one")
    elif wrong:
        message = f"{many(len(wrong), 'problem')} in the specs; what is wrong in itself is not examined"
        yield Finding("specs", "problem", message, "syncengine validate", str(wrong[0].place), Exit.SPEC)
    else:
        steps = sum(len(spec.steps) for spec in checked.specs)
        yield Finding("specs", "ok", f"{many(len(checked.specs), 'spec')}, {many(steps, 'step')}")


def _visit(env: Environment, specs: Sequence[Spec], fresh: Callable[[], Client]) -> Visit:
    if not env.connections:
        return Visit(fresh, specs, time.time, "basic", place="the built-in environment", is_sandbox=True)
    connection = connect.only_connection(env)
    is_plain = connection.url.startswith("http:")
    return Visit(
        fresh,
        specs,
        time.time,
        connection.auth.kind,
        connection.dialect,
        connection.insert_multiple,
        place=str(connection.position),
        proxy="" if is_plain else connect.proxy(),
    )


def _say(one: Finding) -> None:
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    level = f"{one.level:<8}"
    first, *rest = _fitting(f"{one.check}: {visible(one.message)}", WIDTH - 9)
    click.echo(f"{click.style(level, fg=COLOURS[one.level]) if colour else level} {first}")
    for line in rest:
        click.echo(f"           {line}")
    if one.level in ("problem", "warning"):
        if one.place:
            click.echo(f"           at {visible(one.place)}")
        if one.fix:
            first, *rest = (part for line in one.fix.splitlines() for part in _fitting(visible(line), WIDTH - 16))
            click.echo(f"           fix: {first}")
            for line in rest:
                click.echo(f"                {line}")


def _fitting(text: str, width: int) -> list[str]:
    """Lines that fit, on a terminal; elsewhere one line, so that it can be searched for."""
    if not sys.stdout.isatty():
        return [text]
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _sum(found: Sequence[Finding]) -> str:
    counts = {level: sum(one.level == level for one in found) for level in COLOURS}
    said = f"{many(counts['problem'], 'problem')}, {many(counts['warning'], 'warning')}, {counts['ok']} in order"
    return said + (f", {counts['skipped']} not checked" if counts["skipped"] else "") + "."


def _as_json(env: Environment, found: Sequence[Finding], exit_class: int) -> str:
    findings = [{**asdict(one), "exit": int(one.exit)} for one in found]
    said = {"version": 1, "environment": env.name, "exit": exit_class, "findings": findings}
    return json.dumps(said, indent=2)
