"""The login that an environment file describes, as the transport needs it; secrets are fetched when they are used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from syncengine.credentials import SecretSource, resolve
from syncengine.spec.model import Auth, BasicAuth, CertificateAuth, TokenAuth
from syncengine.transport import auth as transport


def login(said: Auth, root: Path) -> transport.Auth:
    """The login; raises SpecError for a secret that cannot be had, before anything is sent."""
    if isinstance(said, BasicAuth):
        return transport.BasicAuth(resolve(said.user, root).reveal(), _kept(said.password, root))
    if isinstance(said, TokenAuth):
        prefix = "Bearer " if said.header == "Authorization" else ""
        return transport.KeyAuth(_kept(said.token, root), header=said.header, prefix=prefix)
    if isinstance(said, CertificateAuth):
        return transport.NoAuth()
    client, secret = resolve(said.client_id, root), resolve(said.client_secret, root)
    form = {"grant_type": "client_credentials", "client_id": client.reveal(), "client_secret": secret.reveal()}
    who = client.reveal()
    if said.user is not None and said.password is not None:
        who = resolve(said.user, root).reveal()
        form |= {"grant_type": "password", "username": who, "password": resolve(said.password, root).reveal()}
    return transport.OAuth(lambda: form, who=who)


def _kept(source: SecretSource, root: Path) -> Callable[[], str]:
    secret = resolve(source, root)
    return secret.reveal


def certificate(said: Auth, root: Path) -> tuple[Path, Path] | None:
    """The client certificate and its key, where that is the login."""
    if isinstance(said, CertificateAuth):
        return root / said.certificate, root / (said.key or said.certificate)
    return None
