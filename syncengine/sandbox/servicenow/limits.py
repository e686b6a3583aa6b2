"""Rate limits by rule (sys_rate_limit_rules), per user and hour.

Documented: status, headers, body. Observed: counts reach the node late, so a burst may exceed the limit.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from syncengine.sandbox.servicenow.errors import ApiError
from syncengine.sandbox.world import World

HOUR = 3600


class Limit(NamedTuple):
    """One rule."""

    sys_id: str
    name: str
    pattern: str
    """Beginning of the path below /api/now; empty: every API."""
    user: str
    per_hour: int


class Limits:
    """Counts requests and refuses those over a limit."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._counts: Counter[tuple[str, str, int]] = Counter()

    def check(self, path: str, user: str) -> None:
        """Count one request; raises 429 when a rule says so."""
        if not self._world.rate_limits:
            return
        now = self._world.clock.time()
        window = int(now // HOUR)
        below = path.removeprefix("/api/now/").removeprefix("v1/").removeprefix("v2/")
        rules = [
            Limit(
                r.sys_id,
                r.values.get("name", ""),
                r.values.get("resource", ""),
                r.values.get("user", ""),
                int(r.values["limit"]),
            )
            for r in self._world.rate_limits
        ]
        rules = [r for r in rules if below.startswith(r.pattern) and r.user in ("", user)]
        if not rules:
            return
        # documented: of several rules the lowest limit wins
        rule = min(rules, key=lambda r: r.per_hour)
        key = (rule.sys_id, user, window)
        if self._counts[key] >= rule.per_hour:
            reset = (window + 1) * HOUR
            raise ApiError(
                429,
                "Rate limit exceeded",
                f"Rate limit of {rule.per_hour} requests per hour for {rule.name} exceeded",
                {
                    "X-RateLimit-Limit": str(rule.per_hour),
                    "X-RateLimit-Reset": str(reset),
                    "X-RateLimit-Rule": rule.sys_id,
                    "Retry-After": str(max(1, int(reset - now))),
                },
            )
        self._counts[key] += 1
