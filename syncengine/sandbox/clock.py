"""The sandbox's clock: real time plus what tests have added to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime


class Clock:
    """Time that only moves forward; `advance` wakes whoever sleeps on it."""

    def __init__(self, real: Callable[[], float] = time.time, offset: float = 0.0) -> None:
        self._real = real
        self.offset = offset
        self._moved = asyncio.Event()

    def time(self) -> float:
        """Seconds since the epoch, as the service sees them."""
        return self._real() + self.offset

    def now(self) -> str:
        """The service's way to write a time: UTC, no zone mark (documented: Table API)."""
        return stamp(self.time())

    def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        if seconds < 0:
            raise ValueError("the clock cannot go back")
        self.offset += seconds
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def sleep(self, seconds: float) -> None:
        """Wait until that much time has passed, really or by `advance`."""
        until = self.time() + seconds
        while (left := until - self.time()) > 0:
            try:
                await asyncio.wait_for(self._moved.wait(), left)
            except TimeoutError:
                return


def stamp(seconds: float) -> str:
    """Epoch seconds as `YYYY-MM-DD hh:mm:ss`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def parse_stamp(text: str) -> float | None:
    """The reverse of `stamp`; None for anything else."""
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
