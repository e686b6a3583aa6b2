"""Who sends a request, and whether he may call the API at all.

Documented: Basic, bearer tokens, API keys, certificates mapped to a user. Observed: a securely scoped OAuth client
without a scope for the API and method is refused although its user has the role; the texts of both refusals.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

from syncengine.sandbox.accounts import Accounts, User
from syncengine.sandbox.servicenow.errors import ApiError, unauthenticated
from syncengine.sandbox.servicenow.oauth import OAuth
from syncengine.sandbox.world import World

KEY = "x-sn-apikey"


def log_in(
    world: World, accounts: Accounts, oauth: OAuth, headers: Mapping[str, str], query: str, certificate: bytes
) -> User:
    """The user of a request; raises 401."""
    header = headers.get("authorization", "")
    basic = accounts.basic(header)
    if basic is not None and world.settings["login.basic"] == "restricted" and not accounts.web_service_only(basic):
        raise unauthenticated()
    user = (
        basic
        or oauth.bearer(header)
        or accounts.api_key(headers.get(KEY, "") or _parameter(query, KEY))
        or (accounts.certificate(certificate) if certificate and not header else None)
    )
    if user is None:
        raise unauthenticated()
    return user


def _parameter(query: str, name: str) -> str:
    return parse_qs(query)[name][-1] if name in query and name in parse_qs(query) else ""


def check_accept(accept: str, xml: bool) -> None:
    """Refuse who wants something else than JSON, or XML where the API has it (documented status)."""
    kinds = ("json", "*/*", "application/*", *(["xml"] if xml else ()))
    if accept and not any(kind in accept for kind in kinds):
        raise ApiError(406, "Requested media type is not supported")  # the text was not found


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
