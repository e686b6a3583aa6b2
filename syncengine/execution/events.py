"""What can happen while a plan is applied, as small frozen values; nothing here prints."""

from __future__ import annotations

from dataclasses import dataclass

from syncengine.errors import Exit
from syncengine.execution.summary import Summary


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run began, or goes on."""

    run: str
    operations: int
    settled: int
    """Operations that an earlier part of this run has settled."""


@dataclass(frozen=True, slots=True)
class BatchSettled:
    """Every operation of a batch has its outcome, and it is on disk."""

    batch: int
    operations: int
    rejected: int
    stale: int


@dataclass(frozen=True, slots=True)
class Settling:
    """An unclear answer is being settled by looking at the target."""

    batch: int
    why: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """The target works on a batch in its own time; `said` is how far it is."""

    batch: int
    said: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run ended; `exit` is the class the process ends with."""

    run: str
    exit: Exit
    summary: Summary


Event = RunStarted | BatchSettled | Settling | Waiting | RunFinished
