"""What can be written to: one file per kind of target, five verbs each. The folder is the registry.

A target turns records into what would change and batches into outcomes; it knows operations, never plans. The name of
a module is the name of its room; the kinds of step it serves stand in its `kinds`.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from syncengine.changes import Outcome, Owned, Parcel, Seen, StepInfo
from syncengine.errors import Problem, SyncError
from syncengine.transport.reader import Reader, Writer


@dataclass(frozen=True, slots=True)
class Answered:
    """A write that the target answered: what became of each operation."""

    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()
    """What the target did beside the plan, e.g. `committed beside the plan: cmdb_ci_ip_address`."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """A write whose outcome is not known: it has to be settled by looking."""

    why: str
    is_late: bool = False
    """Time ran out, so the server may still be working on it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A write that the server did not take: surely nothing of it is done."""

    problem: Problem
    stop: SyncError | None = None
    """Set where nothing more can be sent there."""
    status: int = 0
    named: tuple[Outcome, ...] = ()
    """What the target named as the reason; it may take the rest without it."""
    for_a_part: bool = False
    """Something in it was refused and took the rest along, and nobody says what: halves may tell."""


class Target(ABC):
    """One kind of target; built for the steps of a plan."""

    kinds: tuple[str, ...]
    batch_limit: int
    """The most records one request carries."""

    def __init__(
        self, steps: Sequence[StepInfo], *, pin: bool = True, source_info: bool = True, dialect: str = "enhanced"
    ) -> None:
        self.steps = steps
        self.pin = pin
        self.source_info = source_info
        self.dialect = dialect

    @abstractmethod
    def owned(self, step: StepInfo, reader: Reader) -> Iterator[Owned]:
        """The records that this step has written before, by the target's own account."""

    @abstractmethod
    def preview(self, parcel: Parcel, reader: Reader) -> list[Seen]:
        """What would become of each operation of a parcel; writes nothing."""

    @abstractmethod
    def send(self, parcel: Parcel, writer: Writer) -> Answered | Refused | Unclear:
        """Write a parcel once."""

    @abstractmethod
    def settle(self, parcel: Parcel, reader: Reader) -> dict[int, Seen]:
        """Look at the target for what an unclear write has done."""


def find(kind: str) -> type[Target]:
    """The target that serves a kind of step; raises LookupError when no module of this folder does."""
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        for value in vars(loaded).values():
            if isinstance(value, type) and issubclass(value, Target) and value is not Target and kind in value.kinds:
                return value
    raise LookupError(kind)
