"""Works on what requests have left to be done, while the server has nothing else to do."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol

from syncengine.sandbox.clock import Clock


class Work(Protocol):
    """Something with work to do."""

    def due(self) -> float | None:
        """When there is something to do; None: never."""

    def step(self) -> bool:
        """Do a little; False when nothing is due."""


class Jobs:
    """One task, there as long as work waits for its turn."""

    def __init__(self, work: Work, clock: Clock) -> None:
        self._waiting = work
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    def look(self) -> None:
        """There may be something to do: begin, or see whether it comes before what is waited for."""
        if self._waiting.due() is None:
            return
        self._news.set()
        if self._task is None or self._task.done():
            with suppress(RuntimeError):  # without a loop nobody serves, and who wants it done calls run()
                self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(0)
            self._news.clear()
            if self._waiting.step():
                continue
            due = self._waiting.due()
            if due is None:
                return
            with suppress(TimeoutError):
                # whoever moves the clock looks here, too
                await asyncio.wait_for(self._news.wait(), max(0.01, due - self._clock.time()))
