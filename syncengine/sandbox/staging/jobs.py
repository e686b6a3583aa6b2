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
        self._asleep = False

    def look(self) -> None:
        """There may be something to do: begin, or end the sleep before a later set."""
        if self._imports.due() is None:
            return
        if self._task is not None and not self._task.done():
            if not self._asleep:
                return
            self._task.cancel()
        with suppress(RuntimeError):  # without a loop nobody serves, and who wants a transform calls run()
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(0)
            if self._imports.step():
                continue
            due = self._imports.due()
            if due is None:
                return
            self._asleep = True
            try:
                await self._clock.sleep(max(0.01, due - self._clock.time()))
            finally:
                self._asleep = False
