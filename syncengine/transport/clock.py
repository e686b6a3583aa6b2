"""Time and chance, passed in: the real ones here, virtual ones in simulations."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """What waits and schedules are made of; a virtual sleeper must move its own `now` by the time slept."""

    now: Callable[[], float] = time.monotonic
    """Seconds that only grow; never the wall clock, which a server's clock must not be compared with."""
    sleep: Callable[[float], None] = time.sleep
    """May raise to stop the run."""
    chance: Callable[[], float] = random.random
    """A number from 0 to under 1, for jitter."""
