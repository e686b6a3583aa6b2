"""OAuth 2: `POST /oauth_token.do` and bearer tokens.

Documented: grants, form body, answer, lifetimes (1800 s and 8640000 s), the same token within its life. Inferred:
no refresh token for client credentials; the error bodies follow RFC 6749.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from starlette.responses import Response

from syncengine.sandbox.accounts import Accounts, User
from syncengine.sandbox.clock import Clock
from syncengine.sandbox.servicenow.errors import json_response

ACCESS_LIFE, REFRESH_LIFE = 1800, 8_640_000
GRANTS = ("password", "client_credentials", "refresh_token")


@dataclass(slots=True)
class Token:
    """One access token with its refresh token."""

    access: str
    refresh: str
    user: str
    client: str
    expires: float
    refresh_expires: float


@dataclass(slots=True)
class OAuth:
    """The tokens that are valid; they die with the server, as a client must expect."""

    accounts: Accounts
    clock: Clock
    tokens: list[Token] = field(default_factory=list)

    def bearer(self, header: str) -> User | None:
        """The user of `Authorization: Bearer …`."""
        scheme, _, value = header.partition(" ")
        if scheme.lower() != "bearer":
            return None
        now = self.clock.time()
        token = next((t for t in self.tokens if t.access == value and t.expires > now), None)
        return self.accounts.get(token.user) if token else None

    def token(self, body: bytes) -> Response:
        """Answer a token request."""
        form = {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        grant, client = form.get("grant_type", ""), form.get("client_id", "")
        if grant not in GRANTS:
            return _refused(400, "unsupported_grant_type")
        known = self.accounts.client(client, form.get("client_secret", ""))
        if known is None:
            return _refused(401, "invalid_client")
        now = self.clock.time()
        if grant == "refresh_token":
            sent = form.get("refresh_token", "")
            old = next((t for t in self.tokens if t.refresh == sent != "" and t.refresh_expires > now), None)
            if old is None or old.client != client:
                return _refused(401, "invalid_grant")
            old.access, old.expires = secrets.token_urlsafe(48), now + ACCESS_LIFE
            return self._answer(old)
        user = known
        if grant == "password":
            checked = self.accounts.check(form.get("username", ""), form.get("password", ""))
            if checked is None:
                return _refused(401, "access_denied")
            user = checked.name
        # documented: a second call within the life of a token returns the same one
        renewable = grant == "password"
        of_both = (t for t in self.tokens if (t.user, t.client, bool(t.refresh)) == (user, client, renewable))
        live = next((t for t in of_both if t.expires > now), None)
        if live is None:
            refresh = secrets.token_urlsafe(48) if renewable else ""
            live = Token(secrets.token_urlsafe(48), refresh, user, client, now + ACCESS_LIFE, now + REFRESH_LIFE)
            self.tokens = [t for t in self.tokens if t.refresh_expires > now]
            self.tokens.append(live)
        return self._answer(live)

    def _answer(self, token: Token) -> Response:
        answer: dict[str, object] = {
            "access_token": token.access,
            "scope": "useraccount",
            "token_type": "Bearer",
            "expires_in": max(0, int(token.expires - self.clock.time()) - 1),
        }
        if token.refresh:
            answer["refresh_token"] = token.refresh
        return json_response(answer)


def _refused(status: int, error: str) -> Response:
    return json_response({"error": error, "error_description": error}, status)
