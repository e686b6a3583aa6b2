"""Transforms import sets while the server has nothing else to do."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from syncengine.sandbox.clock import Clock
from syncengine.sandbox.staging.sets import ImportSets


class Jobs:
    """One task, there as long as an import set waits for its turn."""

    def __init__(self, imports: ImportSets, clock: Clock) -> None:
        self._imports = imports
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    def look(self) -> None:
        """There may be something to do: begin, or see whether it comes before what is waited for."""
        if self._imports.due() is None:
            return
        self._news.set()
        if self._task is None or self._task.done():
            with suppress(RuntimeError):  # without a loop nobody serves, and who wants a transform calls run()
                self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(0)
            self._news.clear()
            if self._imports.step():
                continue
            due = self._imports.due()
            if due is None:
                return
            with suppress(TimeoutError):
                # whoever moves the clock looks here, too
                await asyncio.wait_for(self._news.wait(), max(0.01, due - self._clock.time()))
