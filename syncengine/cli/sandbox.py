"""`syncengine sandbox`: an offline twin of ServiceNow and of 4me (Xurrent), on this machine."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import orjson

from syncengine.cli.places import SEEDS
from syncengine.cli.pull import command as pull
from syncengine.errors import Problem, RemoteError, SpecError
from syncengine.sandbox.process import RefusedError, Running, SandboxError, attach, running
from syncengine.spec.wording import near, wrapped

LEAVING = 4.0
"""Seconds in which a sandbox that nobody uses any more must have ended."""
DATA_HELP = "Where its data lie. Default: .syncengine/sandbox of the project."


def project_directory(start: Path | None = None) -> Path:
    """The nearest folder upwards that holds syncengine.yaml, else the working directory."""
    here = (start or Path.cwd()).resolve()
    return next((folder for folder in (here, *here.parents) if (folder / "syncengine.yaml").is_file()), here)


def data_directory(given: Path | None) -> Path:
    """Where the sandbox of this project keeps its data."""
    return given or project_directory() / ".syncengine" / "sandbox"


def project_seeds() -> list[Path]:
    """The seeds that the project brings along: what was pulled from an instance, then its own."""
    folder = project_directory() / "sandbox"
    return [folder / name for name in SEEDS if (folder / name).is_file()]


@contextmanager
def _attached(data: Path | None) -> Iterator[Running]:
    """The sandbox, started where none runs."""
    with _told(data), attach(data_directory(data), seeds=project_seeds()) as sandbox:
        yield sandbox


@contextmanager
def _present(data: Path | None) -> Iterator[Running]:
    """The sandbox that runs: fault rules go with it when it ends. Raises SpecError where none does."""
    with _told(data):
        found = running(data_directory(data))
        if found is None:
            where = str(data_directory(data))
            said = "no sandbox is running, and fault rules last as long as it does"
            raise SpecError(Problem("no-sandbox", said, where, fix="syncengine sandbox serve   in another terminal"))
        yield found


@contextmanager
def _told(data: Path | None) -> Iterator[None]:
    try:
        yield
    except RefusedError as fault:
        if fault.seed is not None:
            from syncengine.cli.connect import wrong_seed

            raise wrong_seed(fault) from fault
        # `do=foo: there are reset, status, ...`: what is wrong, then what is right
        said, _, known = str(fault).partition("there are ")
        fix = f"there are: {known}" if known else "--help shows how it is written"
        message = said.rstrip(" :;") or str(fault)
        message = f"the sandbox does not know {message}" if known and " " not in message else message
        problem = Problem("sandbox-refused", message, "command line", fix=wrapped(fix))
        raise SpecError(problem) from fault
    except SandboxError as fault:
        raise RemoteError(Problem("sandbox", str(fault)[:160], str(data_directory(data)))) from fault


@click.group()
def command() -> None:
    """An offline twin of ServiceNow and of 4me (Xurrent): their HTTP APIs on 127.0.0.1, their records in SQLite.

    Every command reaches it with `--env sandbox`; it starts by itself and ends with the last command that uses it.
    `serve` keeps it running, for other clients or to look around:

    \b
      syncengine sandbox serve
      curl -u USER:PASSWORD \\
        'http://127.0.0.1:PORT/api/now/table/cmdb_ci?sysparm_limit=1'
      curl -H "Authorization: Bearer TOKEN" http://127.0.0.1:PORT/v1/people

    That is also how to look at a record: any table, any query, as on an instance.
    URL, user and password, and the token of the 4me side, are in .syncengine/sandbox/run.json, which only you can read.
    """


@command.command()
@click.option("--tls", is_flag=True, help="HTTPS with its own CA, made at the first start; its path is printed.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default: a free one, which is printed.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help=DATA_HELP)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="RULE",
    help="A fault rule, e.g. 'api=ire, every=7, do=status(503), retry_after=5'.",
)
@click.option(
    "--faults",
    "fault_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A YAML list of fault rules.",
)
@click.option("--user", default="admin", show_default=True, help="The user that may log in.")
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Default: a password is made up and kept.",
)
def serve(
    *,
    tls: bool,
    port: int,
    data: Path | None,
    faults: tuple[str, ...],
    fault_file: Path | None,
    user: str,
    password_file: Path | None,
) -> None:
    """Run the sandbox until Ctrl-C; commands with `--env sandbox` attach to it.

    \b
    Faults may be given here or while it runs (sandbox faults add RULE):
      api=ire, at=3, do=commit_then_reset          the third commit takes effect,
                                                   its answer is lost
      api=*, rate=0.05, seed=42, do=status(503)    one call in twenty
      api=ire_query, do=delay(0.1..0.5)            slow dry runs
    """
    # the server's own imports cost more than the other commands take
    from filelock import FileLock

    from syncengine.sandbox.server import Options, WrongSeedError, run

    directory = data_directory(data).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    rules = (*faults, *(_rules(fault_file) if fault_file else ()))
    password = password_file.read_text("utf-8").strip() if password_file else ""
    lock = FileLock(directory / "start.lock", timeout=30)
    lock.acquire()
    present = running(directory)
    until = time.monotonic() + LEAVING
    while present is not None and time.monotonic() < until:
        # one that the last command started by itself ends shortly after it
        lock.release()
        time.sleep(0.2)
        lock.acquire()
        present = running(directory)
    if present is not None:
        lock.release()
        raise SpecError(
            Problem(
                "sandbox-runs",
                f"a sandbox already serves these data at {present.url}",
                str(directory),
                fix="use it, or give --data DIR",
            )
        )

    def ready(url: str, ca: Path | None) -> None:
        lock.release()
        click.echo(f"sandbox at {url}, user {user}; password in {directory / 'run.json'}")
        if ca is not None:
            click.echo(f"CA certificate: {ca}")

    try:
        run(Options(directory, port, tls, user, password, tuple(project_seeds()), rules, attached=False), ready)
    except WrongSeedError as fault:
        from syncengine.cli.connect import wrong_seed

        raise wrong_seed(RefusedError(fault.said, fault.path)) from fault
    except OSError as fault:
        raise SpecError(
            Problem("sandbox-port", f"cannot listen on 127.0.0.1:{port}: {os.strerror(fault.errno or 0)}", "--port")
        ) from fault
    except ValueError as fault:
        raise SpecError(Problem("sandbox-options", str(fault)[:160])) from fault
    except KeyboardInterrupt:
        click.echo("sandbox stopped", err=True)


def _rules(path: Path) -> list[str]:
    import yaml

    found = yaml.safe_load(path.read_text("utf-8"))
    if not isinstance(found, list) or not all(isinstance(rule, str) for rule in found):
        raise SpecError(Problem("sandbox-faults", "a file of fault rules is a YAML list of texts", str(path)))
    return found


command.add_command(pull)


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Apply it even if the same content was applied before.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help=DATA_HELP)
def seed(*, file: Path, force: bool, data: Path | None) -> None:
    """Add records, choices, rules, users or settings from a YAML file.

    \b
      choices: {cmdb_ci.discovery_source: [DC Inventory]}
      columns: {cmdb_ci_server: {u_team: string}}
      users: {reader: {password: secret, roles: [itil]}}
      staging:
        u_imp:
          columns: {u_x: string}
          maps: [{name: Users, target: sys_user, fields: {user_name: u_x}}]
      records: {cmn_location: [{name: Paris}]}

    docs/sandbox.md has all sections. `sandbox/seed.yaml` of the project is applied by itself.
    """
    with _attached(data) as sandbox:
        applied, doubts = sandbox.seeded(file.read_text("utf-8"), force=force)
    click.echo(
        f"{file}: applied" if applied else f"{file}: was applied before, nothing changed (--force applies it again)"
    )
    for doubt in doubts:
        click.echo(f"note: {doubt}", err=True)


@command.command()
@click.argument("name")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help=DATA_HELP)
def certificate(*, name: str, data: Path | None) -> None:
    """Make a client certificate for a login without password; needs the sandbox to serve HTTPS.

    NAME is its common name. A seed says whose login it is:

    \b
      certificates: {NAME: reader}
    """
    # heavy to import, and only this command needs it
    from syncengine.sandbox import tls

    if not name.replace("-", "").replace("_", "").isalnum():
        raise SpecError(Problem("sandbox-certificate", "a name has letters, digits, - and _ only", name[:80]))
    directory = data_directory(data).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    made, key = tls.client(directory, name)
    click.echo(f"certificate: {made}")
    click.echo(f"key: {key}")


@command.command()
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help=DATA_HELP)
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(*, data: Path | None, yes: bool) -> None:
    """Empty it to what a new sandbox holds; identity, users and settings stay."""
    if not yes:
        if not sys.stdin.isatty():
            said = "nobody is there to ask"
            raise SpecError(Problem("not-confirmed", said, "syncengine sandbox reset", fix="add --yes"))
        click.confirm(f"Delete all records in {data_directory(data)}?", abort=True)
    with _attached(data) as sandbox:
        sandbox.reset()
    click.echo("reset")


@command.command()
@click.argument("changes", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help=DATA_HELP)
def settings(*, changes: tuple[str, ...], data: Path | None) -> None:
    """List what public sources leave open and how this sandbox answers it, or change it.

    \b
      syncengine sandbox settings
      syncengine sandbox settings answer.style=older identify.compare=exact
    """
    with _attached(data) as sandbox:
        wanted = dict(_change(change) for change in changes)
        known = sandbox.settings()
        unknown = [name for name in wanted if name not in known]
        if unknown:
            raise SpecError(
                [
                    Problem(
                        "sandbox-setting",
                        f'there is no setting "{name[:60]}"',
                        "command line",
                        fix=near(name, list(known)) or "syncengine sandbox settings   lists them",
                    )
                    for name in unknown
                ]
            )
        if wanted:
            sandbox.control("POST", "settings", wanted)
            known = {name: one for name, one in sandbox.settings().items() if name in wanted}
    for name, setting in known.items():
        for line in _setting(name, setting):
            click.echo(line)


def _setting(name: str, setting: Mapping[str, Any]) -> Iterator[str]:
    mark = "" if setting["value"] == setting["default"] else "  (changed)"
    yield f"{name} = {orjson.dumps(setting['value']).decode()}{mark}"
    others = " | ".join(str(c).lower() if isinstance(c, bool) else str(c) for c in setting["choices"])
    text = setting["why"] + (f"  [{others}]" if others else "")
    yield from textwrap.wrap(text, 80, initial_indent="    ", subsequent_indent="    ", break_long_words=False)


def _change(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise SpecError(Problem("sandbox-setting", f"{text!r} is not NAME=VALUE", "command line"))
    try:
        return name, orjson.loads(value)
    except ValueError:
        return name, value


@command.group()
def faults() -> None:
    """List, add or clear fault rules of the running sandbox."""


@faults.command("list")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help=DATA_HELP)
def list_faults(*, data: Path | None) -> None:
    """Show the rules in force, how often each was asked and how often it struck."""
    with _present(data) as sandbox:
        rules = sandbox.faults()
        if not rules:
            click.echo("no rules are in force")
        for rule in rules:
            click.echo(f"{rule['rule']}    (met {rule['met']} of {rule['seen']})")


@faults.command(short_help="Put rules in force.")
@click.argument("rules", nargs=-1, required=True, metavar="RULE...")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help=DATA_HELP)
def add(*, rules: tuple[str, ...], data: Path | None) -> None:
    """Put rules in force in the sandbox that runs; they last as long as it does.

    \b
      syncengine sandbox faults add 'api=ire, at=3, do=commit_then_reset'
      syncengine sandbox faults add 'rate=0.05, seed=42, do=status(503)'
    """
    with _present(data) as sandbox:
        sandbox.faults(*rules)
    click.echo(f"{len(rules)} {'rule is' if len(rules) == 1 else 'rules are'} in force; sandbox faults list shows them")


@faults.command()
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help=DATA_HELP)
def clear(*, data: Path | None) -> None:
    """Take all rules away."""
    with _present(data) as sandbox:
        sandbox.clear_faults()
    click.echo("no rules are in force")
