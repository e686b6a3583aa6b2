"""Never more at once and never faster than the server allows; learns from the headers of its answers.

Two limits work together: `Permits` bounds what is in flight and shrinks when the server says "too many" without a
reason; `Pace` closes the gate for all workers of a host when one is told to wait, and before a known quota is used up.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime

from syncengine.transport.clock import Clock

LONGEST_WAIT = 2 * 3600.0
"""What a server may ask for; rate-limit windows are an hour long, so more than this is no honest answer."""
LONG = 10.0
"""Seconds of waiting that somebody should hear of."""
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
        self._is_single = False
        self._changed = threading.Condition()

    @property
    def allowed(self) -> int:
        return 1 if self._is_single else self._allowed

    @contextmanager
    def one(self) -> Iterator[None]:
        with self._changed:
            while self._taken >= self.allowed:
                self._changed.wait()
            self._taken += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken -= 1
                self._changed.notify()

    def one_by_one(self, is_single: bool) -> None:
        """For as long as this is so, only one request is in flight."""
        if is_single == self._is_single:
            return
        with self._changed:
            self._is_single = is_single
            self._changed.notify_all()

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
    """A gate that all workers of a host pass before each request.

    A limit bites up to half a minute late, and then refuses all that is in flight. So near the end of a known quota
    requests go one by one; the first refusal closes the gate until the window's end, which only the server knows.
    """

    def __init__(
        self,
        clock: Clock,
        burst: tuple[int, float] | None = None,
        told: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """`burst`: so many requests may pass in so many seconds. `told` hears of each wait for another window, once."""
        self._told = told
        self._is_untold = False
        self._clock = clock
        self._lock = threading.Lock()
        self._most, self._span = burst or (0, 0.0)
        self._passed: deque[float] = deque(maxlen=self._most or None)
        self._opens_at = float("-inf")
        self._quota: int | None = None
        self._spent = 0
        self._is_announced_low = False

    def close_for(self, seconds: float) -> None:
        """Nobody passes for this long."""
        with self._lock:
            self._opens_at = max(self._opens_at, self._clock.now() + seconds)

    def wait(self, most: float) -> float:
        """Wait until the gate is open, then give 0; for a gate that stays closed longer than `most`, say how long."""
        while (left := self._opens_at - self._clock.now()) > 0:
            if left > most:
                return left
            self._tell(left)
            self._clock.sleep(left)
        return 0.0

    def _tell(self, left: float) -> None:
        with self._lock:
            is_new, self._is_untold = self._is_untold and left >= LONG, False
        if is_new:
            self._told(left)

    def enter(self) -> bool:
        """Count one request in; False when the gate has closed in the meantime."""
        with self._lock:
            now = self._clock.now()
            if self._most and len(self._passed) == self._most:
                # Kept here, not at the server: what is one too many there may be the one that matters.
                self._opens_at = max(self._opens_at, self._passed[0] + self._span)
            is_open = self._opens_at <= now
            self._spent += is_open
            if self._most and is_open:
                self._passed.append(now)
            return is_open

    def is_near_quota(self) -> bool:
        """Whether the next requests may be the ones too many."""
        return self._is_announced_low or (self._quota is not None and self._spent >= self._quota)

    def learn(self, status: int, headers: Mapping[str, str], in_flight: int) -> None:
        """Note what an answer says about the quota."""
        if self._quota is not None and status != 429 and self._spent > self._quota + 2 * in_flight:
            with self._lock:
                self._spent = 0  # more went through than the quota: a new window must have begun
        if "x-ratelimit-limit" not in headers and "x-ratelimit-remaining" not in headers:
            return
        limit = _whole(headers.get("x-ratelimit-limit", ""))
        remaining = _whole(headers.get("x-ratelimit-remaining", ""))
        ends_in = reset_in(headers)
        with self._lock:
            self._is_announced_low = remaining is not None and 0 < remaining <= in_flight
            if status == 429 and limit and remaining is None:
                self._quota, self._spent = max(1, limit - in_flight), 0
            # One that says when to come back has another limit in mind than that of the window, such as a burst.
            is_spent = remaining == 0 or (status == 429 and not remaining and "retry-after" not in headers)
            if is_spent and ends_in is not None and ends_in <= LONGEST_WAIT:
                before, self._opens_at = self._opens_at, max(self._opens_at, self._clock.now() + ends_in)
                self._is_untold |= self._opens_at > before + LONG


def _whole(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
