"""Environments opened: the built-in sandbox as a child process, or the instance that a file names."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from syncengine.cli.logins import certificate, login
from syncengine.errors import Problem, RemoteError, SpecError, StaleError
from syncengine.pipeline import Connected
from syncengine.planning.plan import Identity
from syncengine.planning.plan_file import PlanFile
from syncengine.spec import load_environment
from syncengine.spec.model import Connection, Environment, Project
from syncengine.transport.auth import BasicAuth
from syncengine.transport.client import Client, Limits
from syncengine.transport.clock import Clock
from syncengine.transport.reader import Writer
from syncengine.transport.retry import Purse
from syncengine.transport.servicenow import ServiceNow

if TYPE_CHECKING:
    from syncengine.sandbox.process import Running

SANDBOX = "sandbox"
SANDBOX_SETTLE = 2.0
STATE = ".syncengine"


def state_directory(project: Project) -> Path:
    """Where a project keeps what it must remember."""
    return project.root / STATE


def environment(project: Project, name: str, file: Path | None) -> Environment:
    """The environment of a name; `sandbox` is built in unless the project has a file for it."""
    own = project.root / "environments" / f"{name}.yaml"
    if name == SANDBOX and file is None and not own.exists():
        return Environment(SANDBOX, None, {})
    return load_environment(project, name, file)


@contextlib.contextmanager
def opened(
    project: Project, env: Environment, seeds: Sequence[Path], *, permits: int | None = None, clock: Clock | None = None
) -> Iterator[Connected]:
    """The one connection of an environment, open; a sandbox is started when none is there."""
    if not env.connections:
        with _sandbox(project, seeds) as running, contextlib.ExitStack() as stack:
            many = permits or 4
            client = _to_sandbox(running, many, clock)
            stack.callback(client.close)
            identity = Identity("servicenow", f"sandbox:{running.identity}", running.user)
            yield Connected("servicenow", identity, Writer(client, purse=Purse()), many, SANDBOX_SETTLE, True, True)
        return
    yield _open(project, only_connection(env), permits, clock)


@contextlib.contextmanager
def dialled(project: Project, env: Environment, seeds: Sequence[Path]) -> Iterator[Callable[[], Client]]:
    """Makes clients for the one connection of an environment, each with a login of its own, for short looks."""
    if not env.connections:
        with _sandbox(project, seeds) as running:
            yield lambda: _to_sandbox(running, 1, None)
        return
    connection = only_connection(env)
    yield lambda: _client(project, connection, 1, None, Limits(total=60.0, gate=0.0))


def only_connection(env: Environment) -> Connection:
    """The ServiceNow connection of an environment; raises SpecError unless there is exactly one."""
    of_kind = [one for one in env.connections.values() if one.kind == "servicenow"]
    if len(of_kind) != 1:
        raise SpecError(
            Problem(
                "connections", f"environment {env.name} needs exactly one servicenow connection", str(env.file or "")
            )
        )
    return of_kind[0]


@contextlib.contextmanager
def _sandbox(project: Project, seeds: Sequence[Path]) -> Iterator[Running]:
    from syncengine.sandbox import process  # only the sandbox's users pay for it

    place = state_directory(project) / SANDBOX
    with contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(process.attach(place, seeds=list(seeds)))
        except process.SandboxError as error:
            message = str(error).splitlines()[0]
            raise RemoteError(Problem("sandbox", message, str(place), fix="syncengine sandbox reset")) from error
        yield running


def _to_sandbox(running: Running, permits: int, clock: Clock | None) -> Client:
    auth = BasicAuth(running.user, lambda: running.password)
    return Client(running.url, auth, ServiceNow(), permits=permits, ca_bundle=running.ca, clock=clock or Clock())


def _client(
    project: Project, connection: Connection, permits: int, clock: Clock | None, limits: Limits | None = None
) -> Client:
    return Client(
        connection.url,
        login(connection.auth, project.root),
        ServiceNow(),
        permits=permits,
        ca_bundle=connection.ca_bundle,
        client_cert=certificate(connection.auth, project.root),
        proxy=proxy(),
        limits=limits,
        clock=clock or Clock(),
    )


def proxy() -> str:
    """The proxy of this machine's encrypted connections, or empty."""
    return os.environ.get("HTTPS_PROXY", "")


def _open(project: Project, connection: Connection, permits: int | None, clock: Clock | None) -> Connected:
    client = _client(project, connection, permits or connection.permits, clock)
    identity = Identity("servicenow", connection.url.rstrip("/"), client.who)
    return Connected(
        connection.name,
        identity,
        Writer(client, purse=Purse()),
        permits or connection.permits,
        connection.settle,
        connection.pin,
        connection.source_info,
        connection.dialect,
    )


def same_system(plan: PlanFile, connected: Connected) -> None:
    """Refuse a plan that was made for another system; raises StaleError naming what differs."""
    planned = plan.header.connections.get(connected.name)
    if planned is None:
        planned = next(iter(plan.header.connections.values()))
    differs = [
        f"{name}: planned for {before}, now {now}"
        for name, before, now in zip(("kind", "system", "user"), _said(planned), _said(connected.identity), strict=True)
        if before != now
    ]
    if differs:
        raise StaleError(
            Problem(
                "another-system",
                f"the plan was made for another system ({'; '.join(differs)})",
                str(plan.path),
                fix=f"make it anew:  syncengine plan --env {plan.header.environment}",
            )
        )


def _said(identity: Identity) -> tuple[str, str, str]:
    return identity.kind, identity.url, identity.user
