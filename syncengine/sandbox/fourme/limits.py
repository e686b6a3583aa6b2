"""How many requests a user may send.

Documented: 3,600 in an hour, headers of every answer, status, body and `retry-after` of the refusal. Seen in public
clients: the hour is a rolling one, counted by token; 20 requests in 2 seconds at most.
"""

from __future__ import annotations

import math
from collections import deque

from syncengine.sandbox.fourme.errors import LIMITS, ApiError
from syncengine.sandbox.world import World

HOUR = 3600


class Limits:
    """Counts requests by token."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._times: dict[str, deque[float]] = {}
        self._asked: dict[str, float] = {}

    def count(self, key: str) -> dict[str, str]:
        """Count one request; raises 429, else gives the headers of its answer."""
        settings, now = self._world.settings, self._world.clock.time()
        hour, burst = settings.number("fourme.requests_per_hour"), settings.number("fourme.burst_requests")
        seconds = settings.number("fourme.burst_seconds")
        times = self._recent(key, now)
        if hour and len(times) >= hour:
            raise self._refusal(times[0] + HOUR - now, self._headers(times, now))
        if burst and len(times) >= burst and now - times[-burst] < seconds:
            raise self._refusal(times[-burst] + seconds - now, self._headers(times, now))
        times.append(now)
        return self._headers(times, now)

    def told(self, key: str) -> dict[str, int]:
        """The limits without spending a request; raises 429 when asked twice in a second (documented)."""
        now = self._world.clock.time()
        if now - self._asked.get(key, 0) < 1:
            raise self._refusal(1, {})
        self._asked[key] = now
        headers = self._headers(self._recent(key, now), now)
        return {name.removeprefix("x-ratelimit-"): int(value) for name, value in headers.items()}

    def _recent(self, key: str, now: float) -> deque[float]:
        times = self._times.setdefault(key, deque())
        while times and now - times[0] >= HOUR:
            times.popleft()
        return times

    def _headers(self, times: deque[float], now: float) -> dict[str, str]:
        hour = self._world.settings.number("fourme.requests_per_hour")
        if not hour:
            return {}
        reset = (times[0] if times else now) + HOUR
        return {
            "x-ratelimit-limit": str(hour),
            "x-ratelimit-remaining": str(max(0, hour - len(times))),
            "x-ratelimit-reset": str(math.ceil(reset)),
        }

    def _refusal(self, seconds: float, headers: dict[str, str]) -> ApiError:
        if self._world.settings["fourme.retry_after"] == "seconds":
            headers = {**headers, "retry-after": str(max(1, math.ceil(seconds)))}
        return ApiError(429, headers=headers, documentation_url=LIMITS)
