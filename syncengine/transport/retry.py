"""What is worth another try, how long to wait, and when a run stops trying.

`urllib3.Retry` repeats inside one request, knows neither a purse that all workers share nor an outage, and decides
by method and status what here depends on how a request ended and what it would do; so the schedule is written here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec

from syncengine.transport.answer import Answer, Ending, Kind, Request
from syncengine.transport.client import Client

_REFILLED = 100


class Patience(msgspec.Struct, frozen=True):
    """How long a run keeps trying."""

    base: float = 0.5
    """Seconds; the first wait is a random part of it, each further one of twice as much."""
    cap: float = 60.0
    """Seconds; no computed wait is longer."""
    attempts: int = 12
    """Per request."""
    first_contact: int = 5
    """Attempts to reach a host that has never answered: its name is misspelt more often than it is down."""
    outage: float = 900.0
    """Seconds without a sign of life, or of being told to wait, before the run stops."""
    look_every: float = 30.0
    """Seconds between two looks during an outage."""

    def wait(self, failures: int, chance: float) -> float:
        """Full jitter: a random part of a doubling span."""
        return chance * min(self.cap, self.base * 2.0 ** min(failures - 1, 40))


class Purse:
    """What a run may spend on retries, so that many workers together do not hammer a failing server."""

    def __init__(self, tokens: int = 500) -> None:
        self._most = tokens
        self._tokens = tokens
        self._lock = threading.Lock()
        self._has_refilled = False

    @property
    def tokens(self) -> int:
        return self._tokens

    def take(self, cost: int) -> bool:
        with self._lock:
            if self._tokens < cost:
                return False
            self._tokens -= cost
            return True

    def give(self, tokens: int) -> None:
        if self._tokens == self._most and self._has_refilled:
            return
        with self._lock:
            self._tokens = min(self._most, self._tokens + tokens)
            self._has_refilled |= self._tokens >= min(_REFILLED, self._most)

    def had_recovered(self) -> bool:
        """Whether things went well for a while since the last question."""
        with self._lock:
            was, self._has_refilled = self._has_refilled, False
            return was


class Repeater:
    """Sends through one client and repeats what may be repeated; shared by all workers of that client."""

    def __init__(
        self,
        client: Client,
        purse: Purse | None = None,
        patience: Patience | None = None,
        on_wait: Callable[[Answer, float], None] | None = None,
    ) -> None:
        self.client = client
        self._on_wait = on_wait or (lambda _answer, _seconds: None)
        self.purse = purse or Purse()
        self.patience = patience or Patience()
        self.retries = 0
        """Repeated requests so far, for the report."""
        self._outage = threading.Lock()
        self._recoveries = 0
        self._paused = 0.0

    def call(self, request: Request) -> Answer:
        """The last answer: DONE, REFUSED, or what was left when nothing more may be tried."""
        patience, clock = self.patience, self.client.clock
        failures = throttles = rounds = paid = 0
        waited = 0.0
        while True:
            answer = self.client.call(request)
            if answer.ending in (Ending.DONE, Ending.REFUSED):
                self.purse.give(paid or 1)
                return answer
            if not may_repeat(request.kind, answer):
                return answer
            self.retries += 1
            if answer.ending is Ending.THROTTLED:
                throttles += 1
                left = patience.outage - waited
                if left <= 0:
                    return answer
                wait = answer.wait or 0.0
                if wait < 1:  # nothing, or nothing worth the name: a date in the past would have us hammer
                    wait = max(wait, patience.wait(throttles, clock.chance()), 0.05)
                wait = min(wait, left)
                waited += wait
                self._on_wait(answer, wait)
                self.client.pace.close_for(wait)
                continue
            failures += 1
            if not self.client.has_answered and failures >= patience.first_contact:
                return answer
            if failures >= patience.attempts:
                # The host lives, so it is this request; or it lies down, and lived through two pauses already.
                if rounds >= 2 or self.client.is_alive() or not self._sit_out(answer):
                    return answer
                rounds, failures = rounds + 1, 0
                continue
            paid = 10 if answer.is_late else 5
            if self.purse.take(paid):
                wait = patience.wait(failures, clock.chance())
                self._on_wait(answer, wait)
                clock.sleep(wait)
            elif not self._sit_out(answer):
                return answer

    def _sit_out(self, answer: Answer) -> bool:
        """Pause all workers until the host shows life; False when the time for that is spent."""
        recoveries = self._recoveries
        with self._outage:
            if self._recoveries != recoveries:
                return True  # somebody else saw it come back while this worker waited here
            if self.purse.had_recovered():
                self._paused = 0.0
            while self._paused < self.patience.outage:
                wait = min(self.patience.look_every, self.patience.outage - self._paused)
                self._paused += wait
                self._on_wait(answer, wait)
                self.client.pace.close_for(wait)
                self.client.clock.sleep(wait)
                if self.client.is_alive():
                    self._recoveries += 1
                    return True
            return False


def may_repeat(kind: Kind, answer: Answer) -> bool:
    """Whether this may be sent again as it is, without having looked at the target."""
    if answer.is_final or answer.ending in (Ending.DONE, Ending.REFUSED):
        return False
    return answer.ending is not Ending.UNKNOWN or not kind.is_write
