"""One look at the target for many batches of one row that are sent next.

Asking for each row by itself would be as many requests as sending it. A look for many says which of them are as they
were planned; whoever is not is asked about once more, alone and at that moment. So is whoever comes long after the
look, since something held the others up.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from syncengine.changes import Change, Parcel, Seen
from syncengine.errors import SyncError
from syncengine.targets import Target
from syncengine.transport.clock import Clock
from syncengine.transport.reader import Writer

FRESH = 30.0
"""Seconds for which a look counts: 64 rows, a few at a time, take less on an instance that does its work."""


class Ahead:
    """Asked by the first batch that needs it; the others wait for that answer."""

    def __init__(
        self, target: Target, writer: Writer, clock: Clock, data_source: str, changes: Sequence[Change]
    ) -> None:
        self._clock = clock
        self._until = 0.0
        self._target = target
        self._writer = writer
        self._parcel = Parcel(data_source, list(changes), [], [])
        self._seen: Mapping[int, Seen] | None = None
        self._failed: SyncError | None = None
        self._lock = threading.Lock()

    def seen(self) -> tuple[Mapping[int, Seen], int]:
        """What the target says, by operation, and the requests that it took now; raises SyncError to all who ask.

        Nothing where too much time has gone by.
        """
        with self._lock:
            if self._failed is not None:
                raise self._failed
            if self._seen is not None:
                return self._seen if self._clock.now() < self._until else {}, 0
            try:
                self._seen = {one.op: one for one in self._target.preview(self._parcel, self._writer)}
            except SyncError as error:
                self._failed = error
                raise
            self._until = self._clock.now() + FRESH
            return self._seen, 1
