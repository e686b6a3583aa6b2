"""Who sends a request, and whether he may call the API at all.

Documented: Basic, bearer tokens, API keys, certificates mapped to a user. Observed: a securely scoped OAuth client
without a scope for the API and method is refused although its user has the role; the texts of both refusals.
"""

from __future__ import annotations

from collections.abc import Mapping

from syncengine.sandbox.accounts import Accounts, User
from syncengine.sandbox.servicenow.errors import ApiError, unauthenticated
from syncengine.sandbox.servicenow.oauth import OAuth
from syncengine.sandbox.world import World


def log_in(accounts: Accounts, oauth: OAuth, headers: Mapping[str, str], certificate: bytes) -> User:
    """The user of a request; raises 401."""
    header = headers.get("authorization", "")
    user = (
        accounts.basic(header)
        or oauth.bearer(header)
        or accounts.api_key(headers.get("x-sn-apikey", ""))
        or (accounts.certificate(certificate) if certificate and not header else None)
    )
    if user is None:
        raise unauthenticated()
    return user


def below_api(path: str) -> str:
    """A path as rules and scopes name it: `table/incident`."""
    rest = path.removeprefix("/api/now/")
    version, slash, after = rest.partition("/")
    return after if slash and version in ("v1", "v2") else rest


def check_api(world: World, user: User, method: str, path: str) -> None:
    """Raise what an API refuses as a whole."""
    below = below_api(path)
    if user.scopes is not None and not any(_covers(scope, below, method) for scope in user.scopes):
        raise ApiError(
            world.settings.number("oauth.unscoped_status"),
            "User Not Authorized",
            "The client is securely scoped and cannot access an unscoped api",
        )
    if not world.access.api(below, method, user.roles):
        raise ApiError(403, "Failed API level ACL Validation")


def _covers(scope: str, below: str, method: str) -> bool:
    api, _, methods = scope.partition(":")
    inside = below == api or below.startswith(f"{api}/")
    return inside and methods.upper() in ("", "*", method)
