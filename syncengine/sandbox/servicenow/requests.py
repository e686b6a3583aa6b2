"""What every API does with a request: the body, the parameters, the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

import orjson
from starlette.responses import Response

from syncengine.sandbox.access import Sight
from syncengine.sandbox.body import Body
from syncengine.sandbox.servicenow import xml
from syncengine.sandbox.servicenow.errors import ApiError
from syncengine.sandbox.staging.sets import ImportSets
from syncengine.sandbox.world import World


@dataclass(slots=True)
class Call:
    """One request, read completely, by a user who is known."""

    world: World
    imports: ImportSets
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Body
    base: str
    """`scheme://host:port`, for links."""
    user: str = ""
    roles: frozenset[str] = frozenset()
    version: str = ""
    """v1, v2 or nothing."""
    inside: Callable[[str, str, str, dict[str, str], bytes], Response] | None = None
    """Answers a request that stands inside this one (Batch API)."""
    parameters: dict[str, str] = field(default_factory=dict)

    def read_parameters(self) -> None:
        """Query parameters; a `+` and `%xx` are decoded, the last of several counts."""
        for piece in self.query.split("&"):
            if piece:
                name, _, value = piece.partition("=")
                self.parameters[unquote_plus(name)] = unquote_plus(value)

    def sight(self, operation: str) -> Sight:
        """What the user can see or change."""
        return self.world.access.sight(self.roles, operation)

    def flag(self, name: str) -> bool:
        """A parameter that is true or absent."""
        return self.parameters.get(name, "").lower() == "true"

    def number(self, name: str, default: int) -> int:
        """A parameter that is a whole number."""
        text = self.parameters.get(name, "")
        if not text:
            return default
        try:
            return int(text)
        except ValueError:
            return default

    @property
    def content(self) -> bytes:
        """The body, whole."""
        return self.body if isinstance(self.body, bytes) else b"".join(self.body.parts())

    def document(self) -> Any:
        """The body of an API that takes XML as well (documented: `request` with `entry` elements)."""
        return xml.entries(self.content) if "xml" in self.headers.get("content-type", "") else self.json()

    def json(self) -> Any:
        """The body; a write needs Content-Type and Accept (documented; the text of the refusal was not found)."""
        if not self.headers.get("content-type") or not self.headers.get("accept"):
            raise ApiError(400, "Missing required header: Accept or Content-Type")
        if "json" not in self.headers["content-type"]:
            raise ApiError(415, "Unsupported content type")
        try:
            return orjson.loads(self.content)
        except ValueError as fault:
            raise ApiError(400, "Exception while reading request", str(fault)) from fault

    def need_role(self, *roles: str) -> None:
        """Refuse who has none of the roles; admin has all."""
        if "admin" not in self.roles and self.roles.isdisjoint(roles):
            # inferred: the body for a missing role was not found
            raise ApiError(403, "Failed API level ACL Validation")
