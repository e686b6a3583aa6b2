"""Rate limits by rule (sys_rate_limit_rules), per user and hour.

Documented: rules for one user, for a role or for all, the lowest limit wins; status, headers and body of the refusal.
Observed: counts reach a node every 30 seconds, so a burst may exceed the limit (setting `limits.flush_seconds`).
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from syncengine.sandbox.servicenow.errors import ApiError
from syncengine.sandbox.store import Record
from syncengine.sandbox.world import World

HOUR = 3600
OWN = "0f6a7e0c5b1d4c1f9f1d6a4b7c3e2d10"
"""The rule of the setting limits.requests_per_hour, which is no record."""


class Limit(NamedTuple):
    """One rule."""

    sys_id: str
    name: str
    pattern: str
    """Beginning of the path below /api/now; empty: every API."""
    user: str
    role: str
    per_hour: int


class Limits:
    """Counts requests and refuses those over a limit."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._known: dict[tuple[str, str, int], tuple[float, int]] = {}
        """What the node knows of a count: when it was told, and what."""
        self._read: list[Record] | None = None
        self._rules: list[Limit] = []

    def check(self, below: str, user: str, roles: frozenset[str]) -> dict[str, str]:
        """Count one request; raises 429 when a rule says so, else gives the headers that its answer shall have."""
        rule = self._lowest(below, user, roles)
        if rule is None:
            return {}
        now = self._world.clock.time()
        window = int(now // HOUR)
        key = (rule.sys_id, user, window)
        told = str(self._world.settings["limits.headers"])
        headers = {
            "X-RateLimit-Limit": str(rule.per_hour),
            "X-RateLimit-Reset": str((window + 1) * HOUR),
            "X-RateLimit-Rule": rule.sys_id,
        }
        if self._told(key, now) >= rule.per_hour:
            raise ApiError(
                429,
                "Rate limit exceeded",
                f"Rate limit of {rule.per_hour} requests per hour for {rule.name} exceeded",
                {**headers, "Retry-After": str(max(1, int((window + 1) * HOUR - now)))} if told != "never" else {},
            )
        self._counts[key] += 1
        return headers if told == "always" else {}

    def _told(self, key: tuple[str, str, int], now: float) -> int:
        late = self._world.settings.number("limits.flush_seconds")
        if not late:
            return self._counts[key]
        when, count = self._known.get(key, (now, 0))
        if now - when >= late or key not in self._known:
            count = self._counts[key]
            self._known[key] = (now, count)
        return count

    def _lowest(self, below: str, user: str, roles: frozenset[str]) -> Limit | None:
        records = self._world.rate_limits
        if records is not self._read:
            self._read, self._rules = records, [_limit(record) for record in records]
        fitting = [
            rule
            for rule in self._rules
            if below.startswith(rule.pattern) and rule.user in ("", user) and (not rule.role or rule.role in roles)
        ]
        own = self._world.settings.number("limits.requests_per_hour")
        if own:
            fitting.append(Limit(OWN, "all APIs", "", "", "", own))
        return min(fitting, key=lambda rule: rule.per_hour) if fitting else None


def _limit(record: Record) -> Limit:
    v = record.values
    return Limit(
        record.sys_id,
        v.get("name", ""),
        v.get("resource", ""),
        v.get("user", ""),
        v.get("role", ""),
        int(v.get("limit", "0") or 0),
    )
