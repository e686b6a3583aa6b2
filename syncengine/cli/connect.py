"""Environments opened: the built-in sandbox as a child process, or the instance that a file names."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from syncengine.cli.logins import Hidden, certificate, login
from syncengine.cli.progress import Waits
from syncengine.errors import Problem, RemoteError, SpecError, StaleError, visible
from syncengine.files import private_directory, refuse_links
from syncengine.pipeline import Connected
from syncengine.planning.plan import Identity
from syncengine.planning.plan_file import PlanFile
from syncengine.spec import load_environment
from syncengine.spec.environments import is_loopback
from syncengine.spec.model import Connection, Environment, Project
from syncengine.targets import Manner
from syncengine.transport.auth import BasicAuth, NoAuth
from syncengine.transport.client import Client, Limits
from syncengine.transport.clock import Clock
from syncengine.transport.reader import Writer
from syncengine.transport.redaction import Redactor
from syncengine.transport.retry import Purse
from syncengine.transport.servicenow import ServiceNow

if TYPE_CHECKING:
    from syncengine.sandbox.process import RefusedError, Running

SANDBOX = "sandbox"
SERVICES = ("servicenow", "4me")
SANDBOX_SETTLE = 2.0
STATE = ".syncengine"


def state_directory(project: Project) -> Path:
    """Where a project keeps what it must remember."""
    return project.root / STATE


def environment(project: Project, name: str, file: Path | None) -> Environment:
    """The environment of a name; `sandbox` is built in, and a file of that name may only lead to this machine.

    Raises SpecError for one that leads elsewhere: every command without --env would go there.
    """
    own = project.root / "environments" / f"{name}.yaml"
    if name != SANDBOX or file is not None:
        return load_environment(project, name, file)
    if not own.exists():
        return Environment(SANDBOX, None, {})
    found = load_environment(project, name, file)
    elsewhere = [one for one in found.connections.values() if not is_loopback(urlsplit(one.url).hostname or "")]
    if elsewhere:
        raise SpecError(
            [
                Problem(
                    "not-a-sandbox",
                    "an environment called sandbox is what commands take without --env; it may only name this machine",
                    one.position,
                    one.url,
                    fix="give the file another name, such as environments/dev.yaml, and say  --env dev",
                )
                for one in elsewhere
            ]
        )
    return found


def services(env: Environment) -> dict[str, str]:
    """The service of each connection of an environment; the built-in sandbox is one of each."""
    if not env.connections:
        return {name: name for name in SERVICES}
    return {name: connection.kind for name, connection in env.connections.items()}


@contextlib.contextmanager
def opened(
    project: Project,
    env: Environment,
    seeds: Sequence[Path],
    needed: Collection[str],
    *,
    permits: int | None = None,
    clock: Clock | None = None,
) -> Iterator[dict[str, Connected]]:
    """The needed connections of an environment, open, by name; a sandbox is started when none is there.

    What is not needed is not opened, so its credentials may be missing. Raises SpecError for a name that is not there.
    """
    with contextlib.ExitStack() as stack:
        if not env.connections:
            running = stack.enter_context(_sandbox(project, seeds))
            yield {name: _sandboxed(project, name, running, permits or 4, clock, stack) for name in sorted(needed)}
            return
        gone = [name for name in needed if name not in env.connections]
        if gone:
            said = f"environment {env.name} has no connection {', '.join(sorted(gone))}"
            raise SpecError(Problem("unknown-connection", said, str(env.file or "")))
        told = Hidden()
        yield {name: _open(project, env.connections[name], permits, clock, stack, told) for name in sorted(needed)}


def _sandboxed(
    project: Project,
    service: str,
    running: Running,
    permits: int,
    clock: Clock | None,
    stack: contextlib.ExitStack,
) -> Connected:
    if service == "4me":
        from syncengine.cli import fourme  # only accounts of 4me pay for it

        return fourme.sandboxed(state_directory(project), running, permits, clock, stack)
    client = _to_sandbox(running, permits, clock)
    stack.callback(client.close)
    identity = Identity(service, f"sandbox:{running.identity}", running.user)
    return Connected(service, identity, Writer(client, purse=Purse()), permits, SANDBOX_SETTLE)


@contextlib.contextmanager
def dialled(project: Project, env: Environment, seeds: Sequence[Path]) -> Iterator[Callable[[], Client]]:
    """Makes clients for the one connection of an environment, each with a login of its own, for short looks."""
    if not env.connections:
        with _sandbox(project, seeds) as running:
            yield lambda: _to_sandbox(running, 1, None)
        return
    connection = only_connection(env)
    told = Hidden()
    yield lambda: _client(project, connection, 1, None, told, Limits(total=60.0, gate=0.0))


def anonymous(project: Project, env: Environment) -> Callable[[], Client]:
    """Makes clients without a login: whether the server can be reached at all needs none."""
    del project
    connection = only_connection(env)
    limits = Limits(total=60.0, gate=0.0)
    return lambda: Client(
        connection.url, NoAuth(), ServiceNow(), permits=1, ca_bundle=connection.ca_bundle, proxy=proxy(), limits=limits
    )


class Account(NamedTuple):
    """A 4me account: how a client of it is made, its server and name, and where the connection stands."""

    fresh: Callable[[], Client]
    """Raises SpecError where there is nothing to log in with."""
    url: str
    name: str
    place: str


@contextlib.contextmanager
def accounts(project: Project, env: Environment, seeds: Sequence[Path]) -> Iterator[list[Account]]:
    """The 4me accounts of an environment."""
    from syncengine.cli import fourme  # as above

    with contextlib.ExitStack() as stack:
        if not env.connections:
            running = stack.enter_context(_sandbox(project, seeds))
            place = "the built-in environment"
            fresh = functools.partial(fourme.to_sandbox, running, 1, None, stack)
            yield [Account(fresh, running.url, running.fourme.account, place)]
            return
        limits, told = Limits(total=60.0, gate=0.0), Hidden()
        yield [
            Account(
                functools.partial(fourme.dialled, project, one, 1, None, stack, told, limits),
                one.url,
                one.account or "",
                str(one.position),
            )
            for one in env.connections.values()
            if one.kind == "4me"
        ]


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

    private_directory(state_directory(project))
    place = private_directory(state_directory(project) / SANDBOX)
    refuse_links(place)
    with contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(process.attach(place, seeds=list(seeds)))
        except process.RefusedError as error:
            raise wrong_seed(error) from error
        except process.SandboxError as error:
            message = str(error).splitlines()[0]
            raise RemoteError(Problem("sandbox", message, str(place), fix="syncengine sandbox reset")) from error
        yield running


def wrong_seed(error: RefusedError) -> SpecError:
    """A seed that the sandbox does not take, told at its file."""
    fix = "correct it; docs/sandbox.md has all sections of a seed"
    return SpecError(Problem("wrong-seed", visible(str(error)), os.path.relpath(error.seed or ""), fix=fix))


def _to_sandbox(running: Running, permits: int, clock: Clock | None) -> Client:
    auth = BasicAuth(running.user, lambda: running.password)
    return Client(running.url, auth, ServiceNow(), permits=permits, ca_bundle=running.ca, clock=clock or Clock())


def _client(
    project: Project,
    connection: Connection,
    permits: int,
    clock: Clock | None,
    told: Hidden,
    limits: Limits | None = None,
) -> Client:
    redactor = Redactor(on_hidden=told)
    return Client(
        connection.url,
        login(connection.auth, project.root, redactor),
        ServiceNow(),
        permits=permits,
        ca_bundle=connection.ca_bundle,
        client_cert=certificate(connection.auth, project.root),
        proxy=proxy(),
        limits=limits,
        clock=clock or Clock(),
        redactor=redactor,
    )


def proxy() -> str:
    """The proxy of this machine's encrypted connections, or empty."""
    return os.environ.get("HTTPS_PROXY", "")


def _open(
    project: Project,
    connection: Connection,
    permits: int | None,
    clock: Clock | None,
    stack: contextlib.ExitStack,
    told: Hidden,
) -> Connected:
    many = permits or connection.permits
    if connection.kind == "4me":
        from syncengine.cli import fourme  # as above

        return fourme.opened(project, state_directory(project), connection, many, clock, stack, told)
    client = _client(project, connection, many, clock, told)
    stack.callback(client.close)
    manner = Manner(
        pin=connection.pin,
        source_info=connection.source_info,
        dialect=connection.dialect,
        insert_multiple=connection.insert_multiple,
        state=state_directory(project),
    )
    identity = Identity("servicenow", connection.url.rstrip("/"), client.who)
    return Connected(
        connection.name, identity, Writer(client, purse=Purse(), on_wait=Waits()), many, connection.settle, manner
    )


def same_system(plan: PlanFile, connections: Mapping[str, Connected]) -> None:
    """Refuse a plan that was made for other systems; raises StaleError naming what differs."""
    differs = [
        f"{connection}: {name}: planned for {before}, now {now}"
        if len(connections) > 1
        else f"{name}: planned for {before}, now {now}"
        for connection, planned in plan.header.connections.items()
        for name, before, now in zip(
            ("kind", "system", "user"), _said(planned), _said(connections[connection].identity), strict=True
        )
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
