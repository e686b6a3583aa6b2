"""Connections to 4me (Xurrent): its hosts, its logins, and where its logs and exports may be fetched from."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from syncengine.cli.logins import Hidden, secret_of
from syncengine.cli.progress import Waits
from syncengine.credentials import resolve
from syncengine.errors import NOTHING_SENT, Problem, SpecError
from syncengine.pipeline import Connected
from syncengine.planning.plan import Identity
from syncengine.spec.model import ClientAuth, Connection, Project, TokenAuth
from syncengine.targets import Manner
from syncengine.transport import auth as transport
from syncengine.transport.client import Client, Limits
from syncengine.transport.clock import Clock
from syncengine.transport.foreign import Foreign
from syncengine.transport.fourme import BURST, ElsewhereOAuth, Fourme, file_hosts, headers, token_url
from syncengine.transport.reader import Writer
from syncengine.transport.redaction import Redactor
from syncengine.transport.retry import Purse
from syncengine.transport.wire import is_loopback, is_public

if TYPE_CHECKING:
    from syncengine.sandbox.process import Running

SETTLE = 2.0
"""Seconds after which a request to the sandbox has ended."""
LARGEST_FILE = 4 << 30
"""Bytes of an export; it goes to disk in pieces."""
WINDOW = 3700.0
"""Seconds to wait where an hour's requests are spent; a comparison over REST may need several."""


def sandboxed(
    state: Path, running: Running, permits: int, clock: Clock | None, stack: contextlib.ExitStack
) -> Connected:
    """The 4me side of the built-in sandbox."""
    client = to_sandbox(running, permits, clock, stack)
    account, system = running.fourme.account, f"sandbox:{running.identity}"
    manner = Manner(account=account, system=system, state=state, say=_say)
    writer = Writer(client, purse=Purse(), foreign=foreign(running.url, running.ca))
    return Connected("4me", Identity("4me", f"{system}/{account}", "API user"), writer, permits, SETTLE, manner)


def to_sandbox(running: Running, permits: int, clock: Clock | None, stack: contextlib.ExitStack) -> Client:
    """A client of the sandbox's own account."""
    given = running.fourme
    login = transport.KeyAuth(lambda: given.token, **BEARER)
    client = _client(running.url, given.account, login, running.ca, permits, clock)
    stack.callback(client.close)
    return client


BEARER = {"header": "Authorization", "prefix": "Bearer "}


def opened(
    project: Project,
    state: Path,
    connection: Connection,
    permits: int,
    clock: Clock | None,
    stack: contextlib.ExitStack,
    told: Hidden,
) -> Connected:
    """An account that an environment names; raises SpecError for a login that 4me does not know."""
    client = dialled(project, connection, permits, clock, stack, told)
    account = connection.account or ""
    manner = Manner(
        account=account,
        import_jobs=connection.import_jobs,
        rest_requests=connection.rest_requests,
        state=state,
        say=_say,
    )
    url = connection.url.rstrip("/")
    writer = Writer(client, purse=Purse(), on_wait=Waits(), foreign=foreign(url, connection.ca_bundle))
    identity = Identity("4me", f"{url}/{account}", client.who)
    return Connected(connection.name, identity, writer, permits, connection.settle, manner)


def dialled(
    project: Project,
    connection: Connection,
    permits: int,
    clock: Clock | None,
    stack: contextlib.ExitStack,
    told: Hidden,
    limits: Limits | None = None,
) -> Client:
    """A client of an account, with a login of its own."""
    redactor = Redactor(on_hidden=told)
    login = _login(project, connection, clock or Clock(), stack, redactor)
    client = _client(
        connection.url, connection.account or "", login, connection.ca_bundle, permits, clock, limits, redactor
    )
    stack.callback(client.close)
    return client


def _client(
    url: str,
    account: str,
    login: transport.Auth,
    ca_bundle: Path | None,
    permits: int,
    clock: Clock | None,
    limits: Limits | None = None,
    redactor: Redactor | None = None,
) -> Client:
    return Client(
        url,
        login,
        Fourme(account),
        permits=permits,
        ca_bundle=ca_bundle,
        proxy=_proxy(),
        limits=limits or Limits(gate=WINDOW),
        clock=clock or Clock(),
        redactor=redactor,
        headers=headers(account),
        burst=BURST,
        told=lambda seconds: _say(f"4me: the requests of this hour are spent; going on in {seconds / 60:.0f} min"),
    )


def _login(
    project: Project, connection: Connection, clock: Clock, stack: contextlib.ExitStack, redactor: Redactor
) -> transport.Auth:
    """A personal access token, or client credentials against the OAuth host of the API's host."""
    said = connection.auth
    if isinstance(said, TokenAuth):
        return transport.KeyAuth(secret_of(said.token, project.root, redactor), **BEARER)
    if not isinstance(said, ClientAuth) or said.user is not None:
        problem = Problem(
            "bad-auth",
            "4me takes a personal access token or OAuth client credentials",
            connection.position,
            fix="auth: {token: {env: XURRENT_TOKEN}}  or  auth: {client_id: .., client_secret: {env: ..}}",
        )
        raise SpecError(problem, effect=NOTHING_SENT)
    client_id = resolve(said.client_id, project.root).reveal()
    secret = secret_of(said.client_secret, project.root, redactor)()
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    url = token_url(connection.url)
    account = connection.account or ""
    host = Client(
        url,
        transport.NoAuth(),
        Fourme(account),
        permits=1,
        ca_bundle=connection.ca_bundle,
        proxy=_proxy(),
        clock=clock,
        redactor=redactor,
    )
    stack.callback(host.close)
    path = "/token" if url != connection.url else "/oauth/token"
    return ElsewhereOAuth(host, form, who=client_id, path=path, clock=clock)


def foreign(url: str, ca_bundle: Path | None) -> Foreign:
    """The way to logs and exports; those of a server on this machine lie on this machine."""
    parts = urlsplit(url)
    here = is_loopback(parts.hostname or "") or (parts.hostname or "").endswith("localhost")
    return Foreign(
        (parts.hostname or "",) if here else file_hosts(url),
        ca_bundle=ca_bundle if here else None,
        proxy="" if here else _proxy(),
        seconds=1800.0,
        most=LARGEST_FILE,
        ports=(parts.port or 443,) if here else (443,),
        may_reach=is_loopback if here else is_public,
        plain=here and parts.scheme == "http",
    )


def _say(said: str) -> None:
    click.echo(said, err=True)


def _proxy() -> str:
    return os.environ.get("HTTPS_PROXY", "")
