"""OAuth 2: `POST /oauth_token.do` and bearer tokens.

Documented: grants, form body, answer, lifetimes (1800 s and 8640000 s), the same token within its life, RS, ES and HS
signatures of a JWT bearer grant, its jti checked. Inferred: no refresh token for client credentials and JWT; iss and,
if present, aud name the client, sub the user; the error bodies follow RFC 6749.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote_plus

from starlette.responses import Response

from syncengine.sandbox import jwt
from syncengine.sandbox.accounts import Accounts, Client, User
from syncengine.sandbox.servicenow.errors import json_response
from syncengine.sandbox.world import World

ACCESS_LIFE, REFRESH_LIFE = 1800, 8_640_000
JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GRANTS = ("password", "client_credentials", "refresh_token", JWT)


class _Refused(Exception):
    """No token; why is the error code."""


@dataclass(slots=True)
class Token:
    """One access token with its refresh token."""

    access: str
    refresh: str
    user: str
    client: str
    expires: float
    refresh_expires: float


class OAuth:
    """The tokens that are valid; they die with the server, as a client must expect."""

    def __init__(self, world: World, accounts: Accounts) -> None:
        self._world = world
        self._accounts = accounts
        self._tokens: list[Token] = []
        self._used: set[tuple[str, str]] = set()
        """(client, jti) of every JWT that was taken."""

    def bearer(self, header: str) -> User | None:
        """The user of `Authorization: Bearer …`, with what its client may call."""
        scheme, _, value = header.partition(" ")
        if scheme.lower() != "bearer":
            return None
        now = self._world.clock.time()
        token = next((t for t in self._tokens if t.access == value and t.expires > now), None)
        if token is None:
            return None
        user, client = self._accounts.get(token.user), self._accounts.client(token.client)
        return user._replace(scopes=client.scopes) if user is not None and client is not None else None

    def expire(self) -> None:
        """Every access token given out so far ends now."""
        for token in self._tokens:
            token.expires = 0.0

    def token(self, body: bytes, headers: Mapping[str, str]) -> Response:
        """Answer a token request."""
        form = {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        scheme, _, told = headers.get("authentication", "").partition(" ")
        if scheme == "Bearer":
            form.setdefault("assertion", told)  # observed in PySNC: the assertion stands in a header of this name
        if "client_secret" not in form:
            _from_basic(form, headers.get("authorization", ""))
        grant, name = form.get("grant_type", ""), form.get("client_id", "")
        if grant not in GRANTS:
            return _refused(400, "unsupported_grant_type")
        client = self._accounts.client(name)
        if client is None or not self._proven(client, name, grant, form):
            return _refused(401, "invalid_client")
        try:
            if grant == "refresh_token":
                return self._answer(self._renewed(name, form.get("refresh_token", "")))
            user = self._user(client, name, grant, form)
        except _Refused as fault:
            return _refused(401, str(fault))
        # documented: a second call within the life of a token returns the same one
        now = self._world.clock.time()
        renewable = grant == "password"
        of_both = (t for t in self._tokens if (t.user, t.client, bool(t.refresh)) == (user, name, renewable))
        live = next((t for t in of_both if t.expires > now), None)
        if live is None:
            refresh = secrets.token_urlsafe(48) if renewable else ""
            live = Token(secrets.token_urlsafe(48), refresh, user, name, now + ACCESS_LIFE, now + REFRESH_LIFE)
            self._tokens = [t for t in self._tokens if t.refresh_expires > now]
            self._tokens.append(live)
        return self._answer(live)

    def _proven(self, client: Client, name: str, grant: str, form: dict[str, str]) -> bool:
        secret = form.get("client_secret", "")
        if grant == JWT and not secret and self._world.settings["oauth.jwt_client"] == "secret_if_present":
            return True
        return self._accounts.right_secret(client, name, secret)

    def _renewed(self, client: str, sent: str) -> Token:
        now = self._world.clock.time()
        old = next((t for t in self._tokens if t.refresh == sent != "" and t.refresh_expires > now), None)
        if old is None or old.client != client:
            raise _Refused("invalid_grant")
        old.access, old.expires = secrets.token_urlsafe(48), now + ACCESS_LIFE
        return old

    def _user(self, client: Client, name: str, grant: str, form: dict[str, str]) -> str:
        if grant == "client_credentials":
            return client.user
        if grant == "password":
            checked = self._accounts.check(form.get("username", ""), form.get("password", ""))
            if checked is None:
                raise _Refused("access_denied")
            return checked.name
        return self._subject(client, name, form.get("assertion", ""))

    def _subject(self, client: Client, name: str, assertion: str) -> str:
        try:
            claims = jwt.claims(assertion, client.jwt_key) if client.jwt_key else {}
        except jwt.JwtError as fault:
            raise _Refused("invalid_grant") from fault
        now, expires = self._world.clock.time(), claims.get("exp")
        audience = claims.get("aud", name)
        user = self._accounts.get(str(claims.get("sub", "")))
        right = (
            claims.get("iss") == name
            and name in (audience if isinstance(audience, list) else [audience])
            and isinstance(expires, int | float)
            and expires > now
            and user is not None
        )
        if not right or user is None:
            raise _Refused("invalid_grant")
        number, wanted = str(claims.get("jti", "")), self._world.settings["oauth.jti"]
        if wanted != "ignored" and (number or wanted == "required"):
            if not number or (name, number) in self._used:
                raise _Refused("invalid_grant")
            self._used.add((name, number))
        return user.name

    def _answer(self, token: Token) -> Response:
        answer: dict[str, object] = {
            "access_token": token.access,
            "scope": "useraccount",
            "token_type": "Bearer",
            "expires_in": max(0, int(token.expires - self._world.clock.time()) - 1),
        }
        if token.refresh:
            answer["refresh_token"] = token.refresh
        return json_response(answer)


def _from_basic(form: dict[str, str], header: str) -> None:
    """The client's id and secret as a Basic login (RFC 6749, 2.3.1; observed: PySNC and pysnow send them so)."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() == "basic":
        try:
            client, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return
        form.setdefault("client_id", unquote_plus(client))
        form["client_secret"] = unquote_plus(secret)


def _refused(status: int, error: str) -> Response:
    return json_response({"error": error, "error_description": error}, status)
