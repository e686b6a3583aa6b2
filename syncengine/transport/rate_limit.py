"""Never more at once and never faster than the server allows; learns from the headers of its answers.

Two limits work together: `Permits` bounds what is in flight and shrinks when the server says "too many" without a
reason; `Pace` closes the gate for all workers of a host when one is told to wait, and before a known quota is used up.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime

from syncengine.transport.clock import Clock

LONGEST_WAIT = 2 * 3600.0
"""What a server may ask for; rate-limit windows are an hour long, so more than this is no honest answer."""
_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)
_EASE_AFTER = 20


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait, or None for nothing sensible.

    Dates are measured against the answer's own Date header: our clock and the server's are never compared.
    """
    wait = _of_retry_after(headers.get("retry-after", ""), headers)
    if wait is None:
        wait = reset_in(headers)
    return wait if wait is not None and wait <= LONGEST_WAIT else None


def reset_in(headers: Mapping[str, str]) -> float | None:
    """Seconds until the rate limit's window ends (`X-RateLimit-Reset`: epoch seconds, or seconds from now)."""
    text = headers.get("x-ratelimit-reset", "").strip()
    if not _SECONDS.fullmatch(text):
        return None
    reset = float(text)
    if reset < 1e8:
        return reset
    now = _epoch(headers.get("date", ""))
    return None if now is None else max(0.0, reset - now)


def _of_retry_after(text: str, headers: Mapping[str, str]) -> float | None:
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    until, now = _epoch(text), _epoch(headers.get("date", ""))
    return None if until is None or now is None else max(0.0, until - now)


def _epoch(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


class Permits:
    """How many requests may be in flight at once: at most `most`, fewer while the server complains."""

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ValueError("at least one permit is needed")
        self.most = most
        self._allowed = most
        self._taken = 0
        self._smooth = 0
        self._changed = threading.Condition()

    @property
    def allowed(self) -> int:
        return self._allowed

    @contextmanager
    def one(self) -> Iterator[None]:
        with self._changed:
            while self._taken >= self._allowed:
                self._changed.wait()
            self._taken += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken -= 1
                self._changed.notify()

    def tighten(self) -> None:
        """The server has too much to do: half as many at once."""
        with self._changed:
            self._allowed = max(1, self._allowed // 2)
            self._smooth = 0

    def ease(self) -> None:
        """An answer came as it should; after twenty of them one permit comes back."""
        if self._allowed == self.most:
            return
        with self._changed:
            self._smooth += 1
            if self._smooth >= _EASE_AFTER and self._allowed < self.most:
                self._smooth = 0
                self._allowed += 1
                self._changed.notify()


class Pace:
    """A gate that all workers of a host pass before each request."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._opens_at = float("-inf")
        self._quota: int | None = None
        self._spent = 0
        self._window_ends = float("-inf")

    def close_for(self, seconds: float) -> None:
        """Nobody passes for this long."""
        with self._lock:
            self._opens_at = max(self._opens_at, self._clock.now() + seconds)

    def wait(self) -> None:
        """Wait until the gate is open."""
        while (left := self._left()) > 0:
            self._clock.sleep(left)

    def enter(self) -> bool:
        """Count one request in; False when the gate has closed in the meantime."""
        with self._lock:
            is_open = self._closed_for() <= 0
            self._spent += is_open
            return is_open

    def _left(self) -> float:
        with self._lock:
            return self._closed_for()

    def _closed_for(self) -> float:
        now = self._clock.now()
        if now < self._opens_at:
            return self._opens_at - now
        if self._quota is not None:
            if now >= self._window_ends:
                # A fresh window. Its length is not announced; an hour is what such limits are counted by.
                self._spent, self._window_ends = 0, now + 3600.0
            if self._spent >= self._quota:
                return self._window_ends - now
        return 0.0

    def learn(self, status: int, headers: Mapping[str, str], in_flight: int) -> None:
        """Note what an answer says about the quota."""
        if "x-ratelimit-limit" not in headers and "x-ratelimit-remaining" not in headers:
            return
        ends_in = reset_in(headers)
        if ends_in is None or ends_in > LONGEST_WAIT:
            return
        remaining = _whole(headers.get("x-ratelimit-remaining", ""))
        with self._lock:
            now = self._clock.now()
            if remaining is not None:
                if remaining <= in_flight:
                    self._opens_at = max(self._opens_at, now + ends_in)
                return
            limit = _whole(headers.get("x-ratelimit-limit", ""))
            if status == 429 and limit:
                # Counting is all that is left: the limit bites up to half a minute late, and then for a burst.
                self._quota = max(1, limit - in_flight)
                self._spent, self._window_ends = self._quota, now + ends_in


def _whole(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
