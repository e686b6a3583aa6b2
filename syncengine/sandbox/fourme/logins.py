"""Accounts, and who may work in them: tokens, OAuth clients, roles.

Documented: bearer tokens only; a token acts as a person and works in the account that a header names, by default the
person's own; imports and exports need the Account Administrator, rates the Financial Manager as well; OAuth client
credentials, valid for an hour. The length of a token is that of real ones.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from syncengine.sandbox.world import World

ADMINISTRATOR, FINANCIAL = "account_administrator", "financial_manager"
HOUR = 3600
DEFAULT_ACCOUNT = "sandbox"
USER = ("API User", "api.user@sandbox.example")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS me_token (
  hash TEXT PRIMARY KEY, client TEXT NOT NULL, until REAL, body TEXT NOT NULL) WITHOUT ROWID;
"""


class Login(NamedTuple):
    """Who sends a request."""

    key: str
    """Of the token; limits count by it."""
    email: str
    home: str
    """The account in which the person is."""
    roles: Mapping[str, frozenset[str]]
    """By account."""
    reads_only: bool = False


class Logins:
    """Accounts, tokens and clients, kept with the data."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._db = world.store.db
        self._db.executescript(_SCHEMA)
        self._seen: dict[str, Login] = {}

    # -- accounts --------------------------------------------------------------------------------------------

    @property
    def accounts(self) -> dict[str, dict[str, Any]]:
        """Every account: `{id: {name, directory}}`, the sandbox's own first."""
        known: dict[str, dict[str, Any]] = orjson.loads(self._world.store.meta("me:accounts") or "{}")
        return known or {DEFAULT_ACCOUNT: {"name": "Sandbox"}}

    @property
    def main(self) -> str:
        """The account of the token that run.json names."""
        return next(iter(self.accounts))

    @property
    def directory(self) -> str:
        """The directory account, if there is one."""
        return next((name for name, account in self.accounts.items() if account.get("directory")), "")

    def set_accounts(self, accounts: Mapping[str, Mapping[str, Any]]) -> None:
        """What accounts there are; the first one is the main one."""
        self._world.store.set_meta("me:accounts", orjson.dumps(accounts).decode())
        self._seen.clear()

    # -- tokens and clients ----------------------------------------------------------------------------------

    def set_token(self, token: str, login: Mapping[str, Any]) -> None:
        """Add a personal access token, or change one: `{email, account, roles, reads_only}`."""
        self._write(token, "", None, login)

    def set_client(self, client: str, secret: str, login: Mapping[str, Any]) -> None:
        """Add an OAuth client, which acts as a person."""
        kept = {"secret": _hash(secret), "login": dict(login)}
        self._world.store.set_meta(f"me:client:{client}", orjson.dumps(kept).decode())

    def grant(self, client: str, secret: str) -> str | None:
        """A new access token for a client; None where its secret is another one."""
        known = orjson.loads(self._world.store.meta(f"me:client:{client}") or "null")
        if known is None or not hmac.compare_digest(known["secret"], _hash(secret)):
            return None
        token = new_token()
        self._write(token, client, self._world.clock.time() + HOUR, known["login"])
        return token

    def bearer(self, header: str) -> Login | None:
        """Who a header's token stands for."""
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return None
        key = _hash(token.strip())
        row = self._db.execute("SELECT until, body FROM me_token WHERE hash=?", (key,)).fetchone()
        if row is None or (row[0] is not None and row[0] <= self._world.clock.time()):
            return None
        if key not in self._seen:
            self._seen[key] = self._login(key, orjson.loads(row[1]))
        return self._seen[key]

    def expire(self) -> None:
        """End every OAuth token given out so far."""
        self._db.execute("DELETE FROM me_token WHERE client<>''")

    def recall(self) -> None:
        """Go by what is stored."""
        self._seen.clear()

    def clear(self) -> None:
        """Forget accounts, tokens and clients, except those of run.json."""
        self._db.execute("DELETE FROM me_token")
        self._db.execute("DELETE FROM meta WHERE name='me:accounts' OR name LIKE 'me:client:%'")
        self._seen.clear()

    def own(self) -> dict[str, str]:
        """What run.json names: account, token, client and secret; made once and kept with the data."""
        kept: dict[str, str] = orjson.loads(self._world.store.meta("me:own") or "null") or {
            "token": new_token(),
            "client": secrets.token_hex(20),
            "secret": secrets.token_hex(32),
        }
        self._world.store.set_meta("me:own", orjson.dumps(kept).decode())
        login = {"email": USER[1], "account": self.main, "roles": dict.fromkeys(self.accounts, EVERY)}
        self.set_token(kept["token"], login)
        self.set_client(kept["client"], kept["secret"], login)
        return {"account": self.main, **kept}

    def _write(self, token: str, client: str, until: float | None, login: Mapping[str, Any]) -> None:
        key = _hash(token)
        self._db.execute(
            "INSERT OR REPLACE INTO me_token VALUES (?,?,?,?)", (key, client, until, orjson.dumps(dict(login)).decode())
        )
        self._seen.pop(key, None)

    def _login(self, key: str, said: Mapping[str, Any]) -> Login:
        home = said.get("account") or self.main
        given = said.get("roles", EVERY)
        roles = given if isinstance(given, Mapping) else {home: given}
        named = {account: frozenset(_listed(some)) for account, some in roles.items()}
        return Login(key, said.get("email", USER[1]), home, named, bool(said.get("reads_only")))


EVERY = (ADMINISTRATOR, FINANCIAL)


def new_token() -> str:
    """112 letters and digits, as real tokens are."""
    letters = string.ascii_letters + string.digits
    return "".join(secrets.choice(letters) for _ in range(112))


def _listed(given: str | Iterable[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
