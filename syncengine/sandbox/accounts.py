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


class Accounts:
    """Names, salted hashes and roles."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, dict[str, Any]] = orjson.loads(store.meta("accounts") or "{}")
        self._seen: dict[str, User] = {}

    def set(self, name: str, password: str, roles: Iterable[str]) -> None:
        """Add a user, or change one."""
        salt = secrets.token_hex(8)
        self._known[name] = {"salt": salt, "hash": _hash(salt, password), "roles": sorted(roles)}
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

    def check(self, name: str, password: str) -> User | None:
        """The user, if the password is right."""
        account = self._known.get(name)
        if account is None or not hmac.compare_digest(account["hash"], _hash(account["salt"], password)):
            return None
        return User(name, frozenset(account["roles"]))

    def set_client(self, client: str, secret: str, user: str) -> None:
        """Add an OAuth client; with client credentials it acts as that user."""
        self._store.set_meta(f"client:{client}", orjson.dumps({"secret": _hash(client, secret), "user": user}).decode())

    def client(self, client: str, secret: str) -> str | None:
        """The user of an OAuth client, if its secret is right."""
        known = orjson.loads(self._store.meta(f"client:{client}") or "null")
        if known is None or not hmac.compare_digest(known["secret"], _hash(client, secret)):
            return None
        return str(known["user"])

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
