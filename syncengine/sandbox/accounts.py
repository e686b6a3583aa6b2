"""Who may log in: users with a password and roles, kept beside the records."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson

from syncengine.sandbox.store import Store


class User(NamedTuple):
    """A user who has logged in."""

    name: str
    roles: frozenset[str]
    scopes: tuple[str, ...] | None = None
    """What his OAuth client may call (`table:GET`, `identifyreconcile`), if it is securely scoped."""


class Client(NamedTuple):
    """An OAuth client."""

    secret: str
    """Salted hash."""
    user: str
    scopes: tuple[str, ...] | None
    jwt_key: str
    """PEM or shared secret with which it signs JWT bearer assertions."""


class Accounts:
    """Names, salted hashes and roles."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, dict[str, Any]] = orjson.loads(store.meta("accounts") or "{}")
        self._seen: dict[str, User] = {}

    def set(self, name: str, password: str, roles: Iterable[str], *, web_service_only: bool = False) -> None:
        """Add a user, or change one."""
        salt = secrets.token_hex(8)
        kept = {"salt": salt, "hash": _hash(salt, password), "roles": sorted(roles)}
        self._known[name] = {**kept, "web_service_only": web_service_only}
        self._seen.clear()
        self._store.set_meta("accounts", orjson.dumps(self._known).decode())

    def basic(self, header: str) -> User | None:
        """The user of an Authorization header, if name and password are right."""
        if header in self._seen:
            return self._seen[header]
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return None
        user = self.check(name, password)
        if user is not None:
            self._seen[header] = user
        return user

    def web_service_only(self, user: User) -> bool:
        """Whether a user is for programs only."""
        return bool(self._known[user.name].get("web_service_only"))

    def check(self, name: str, password: str) -> User | None:
        """The user, if the password is right."""
        account = self._known.get(name)
        if account is None or not hmac.compare_digest(account["hash"], _hash(account["salt"], password)):
            return None
        return User(name, frozenset(account["roles"]))

    def set_client(
        self, client: str, secret: str, user: str, scopes: Iterable[str] | None = None, jwt_key: str = ""
    ) -> None:
        """Add an OAuth client; with client credentials it acts as that user."""
        kept = {
            "secret": _hash(client, secret),
            "user": user,
            "scopes": None if scopes is None else sorted(scopes),
            "jwt_key": jwt_key,
        }
        self._store.set_meta(f"client:{client}", orjson.dumps(kept).decode())

    def client(self, client: str) -> Client | None:
        """An OAuth client by its id."""
        known = orjson.loads(self._store.meta(f"client:{client}") or "null")
        if known is None:
            return None
        scopes = known.get("scopes")
        return Client(
            known["secret"], known["user"], None if scopes is None else tuple(scopes), known.get("jwt_key", "")
        )

    def right_secret(self, client: Client, name: str, secret: str) -> bool:
        """Whether a secret is that of the client."""
        return hmac.compare_digest(client.secret, _hash(name, secret))

    def set_certificate(self, name: str, user: str) -> None:
        """Map client certificates of this common name, or with this SHA-256 fingerprint, to a user."""
        self._store.set_meta(f"certificate:{name.replace(':', '').lower()}", user)

    def certificate(self, der: bytes) -> User | None:
        """The user of a client certificate."""
        # heavy to import, and only logins by certificate need it
        from cryptography import x509
        from cryptography.x509.oid import NameOID

        names = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        for known in (hashlib.sha256(der).hexdigest(), *(str(name.value).lower() for name in names)):
            user = self._store.meta(f"certificate:{known}")
            if user:
                return self.get(user)
        return None

    def set_api_key(self, key: str, user: str) -> None:
        """Add an API key of a user."""
        self._store.set_meta(f"api_key:{_hash('key', key)}", user)

    def api_key(self, key: str) -> User | None:
        """The user of an API key."""
        name = self._store.meta(f"api_key:{_hash('key', key)}") if key else None
        return self.get(name) if name else None

    def get(self, name: str) -> User | None:
        """A user by name alone."""
        account = self._known.get(name)
        return None if account is None else User(name, frozenset(account["roles"]))


def _hash(salt: str, password: str) -> str:
    # one round: these are passwords of a throw-away server on the loopback interface
    return hashlib.sha256(f"{salt}:{password}".encode()).hexdigest()
