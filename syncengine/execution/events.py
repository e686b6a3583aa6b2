"""What can happen while a plan is applied, as small frozen values; nothing here prints."""

from __future__ import annotations

import msgspec

from syncengine.errors import Exit
from syncengine.execution.summary import Summary


class RunStarted(msgspec.Struct, frozen=True):
    """A run began, or goes on."""

    run: str
    operations: int
    settled: int
    """Operations that an earlier part of this run has settled."""


class BatchSettled(msgspec.Struct, frozen=True):
    """Every operation of a batch has its outcome, and it is on disk."""

    batch: int
    operations: int
    rejected: int
    stale: int


class Settling(msgspec.Struct, frozen=True):
    """An unclear answer is being settled by looking at the target."""

    batch: int
    why: str
    seconds: float


class Waiting(msgspec.Struct, frozen=True):
    """The target works on a batch in its own time; `said` is how far it is."""

    batch: int
    said: str


class RunFinished(msgspec.Struct, frozen=True):
    """The run ended; `exit` is the class the process ends with."""

    run: str
    exit: Exit
    summary: Summary


Event = RunStarted | BatchSettled | Settling | Waiting | RunFinished
