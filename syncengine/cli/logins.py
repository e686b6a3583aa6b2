"""The login that an environment file describes, as the transport needs it; secrets are fetched when they are used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from syncengine.cli.complaints import say
from syncengine.credentials import SecretSource, reference, resolve
from syncengine.spec.model import Auth, BasicAuth, CertificateAuth, TokenAuth
from syncengine.transport import auth as transport
from syncengine.transport.redaction import Redactor


def login(said: Auth, root: Path, redactor: Redactor) -> transport.Auth:
    """The login, its secrets known by name to the redactor; raises SpecError for one that cannot be had.

    Nothing is sent.
    """
    if isinstance(said, BasicAuth):
        return transport.BasicAuth(resolve(said.user, root).reveal(), secret_of(said.password, root, redactor))
    if isinstance(said, TokenAuth):
        prefix = "Bearer " if said.header == "Authorization" else ""
        return transport.KeyAuth(secret_of(said.token, root, redactor), header=said.header, prefix=prefix)
    if isinstance(said, CertificateAuth):
        return transport.NoAuth()
    client, secret = resolve(said.client_id, root), secret_of(said.client_secret, root, redactor)
    form = {"grant_type": "client_credentials", "client_id": client.reveal(), "client_secret": secret()}
    who = client.reveal()
    if said.user is not None and said.password is not None:
        who = resolve(said.user, root).reveal()
        form |= {"grant_type": "password", "username": who, "password": secret_of(said.password, root, redactor)()}
    return transport.OAuth(lambda: form, who=who)


def secret_of(source: SecretSource, root: Path, redactor: Redactor) -> Callable[[], str]:
    """A secret, to be fetched when it is used; the redactor knows it from now on, and what to call it."""
    secret = resolve(source, root)
    redactor.add(secret.reveal(), reference(source))
    return secret.reveal


class Hidden:
    """Says on stderr which secret makes whole messages `***`; once, however many connections have it."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __call__(self, name: str, why: str) -> None:
        if name not in self._told:
            self._told.add(name)
            say(f"note: a message is hidden as ***, since the secret {name} {why}", err=True)


def certificate(said: Auth, root: Path) -> tuple[Path, Path] | None:
    """The client certificate and its key, where that is the login."""
    if isinstance(said, CertificateAuth):
        return root / said.certificate, root / (said.key or said.certificate)
    return None
