"""What can be written to: one file per kind of target, five verbs each. The folder is the registry.

A target turns records into what would change and batches into outcomes; it knows operations, never plans. The name of
a module is the name of its room; the kinds of step it serves stand in its `kinds`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from syncengine.changes import Change, Outcome, Owned, Parcel, Seen, StepInfo
from syncengine.errors import Problem, SyncError
from syncengine.transport.clock import Clock
from syncengine.transport.reader import Reader, Writer


class Answered(msgspec.Struct, frozen=True):
    """A write that the target answered: what became of each operation."""

    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()
    """What the target did beside the plan, e.g. `committed beside the plan: cmdb_ci_ip_address`."""
    stop: Problem | None = None
    """Why the steps of this write go no further, where their next rows would fare the same."""
    later: frozenset[int] = frozenset()
    """Operations that were refused because somebody else is writing the same records: they may be sent again."""


class Unclear(msgspec.Struct, frozen=True):
    """A write whose outcome is not known: it has to be settled by looking."""

    why: str
    is_late: bool = False
    """Time ran out, so the server may still be working on it."""


class Refused(msgspec.Struct, frozen=True):
    """A write that the server did not take: surely nothing of it is done."""

    problem: Problem
    stop: SyncError | None = None
    """Set where nothing more can be sent there."""
    status: int = 0
    named: tuple[Outcome, ...] = ()
    """What the target named as the reason; it may take the rest without it."""
    later: frozenset[int] = frozenset()
    """Of what is named: what somebody else is writing at this moment; it may be sent again."""
    for_a_part: bool = False
    """Something in it was refused and took the rest along, and nobody says what: halves may tell."""


class Started(msgspec.Struct, frozen=True):
    """A write that the target took and does in its own time; `token` is what it is asked about by.

    It stands in the journal before anybody waits, so that a run that is interrupted goes on with the same work.
    """

    token: str


class Running(msgspec.Struct, frozen=True):
    """Work that was started is not at its end, and the run is: who resumes it asks again."""

    why: str


class Watch(msgspec.Struct, frozen=True):
    """How to wait for work that was started: by whose clock, who is told, and when to let go."""

    clock: Clock
    say: Callable[[str], None]
    """Told how far it is, on one line."""
    is_over: Callable[[], bool]
    """Whether the run is being stopped; then `Running` is the answer."""


class Manner(msgspec.Struct, frozen=True):
    """How a target is to talk to its connection."""

    pin: bool = True
    """A record that was matched while planning goes by its id."""
    source_info: bool = True
    dialect: str = "enhanced"
    import_jobs: int = 1
    """Imports that an account takes at a time."""
    rest_requests: int = 3600
    """The most that rows of owners may take, where no export of them is to be had."""
    insert_multiple: str = "labels"
    account: str = ""
    system: str = ""
    """Which data are there, where that is more than an address says: the sandbox's go with it."""
    run: str = ""
    """The run that writes; empty while planning."""
    root: Path | None = None
    """The folder of the project: files are named from there."""
    state: Path | None = None
    """Where the target may keep what it read, for the next plan."""
    say: Callable[[str], None] = lambda _said: None
    """Told what takes long, before it begins."""


class Together(msgspec.Struct, frozen=True):
    """What the rows of one owner mean for each other."""

    along: Sequence[int] = ()
    """Operations that stay as they are and have to be sent all the same, for the sake of others."""
    held: Sequence[int] = ()
    """Operations that cannot be sent, since a row that is not right would be removed by them."""


class Target(ABC):
    """One kind of target; built for the steps of a plan, all of them, so that `Change.step` is an index into them."""

    kinds: tuple[str, ...]
    batch_limit: int
    """The most records one request carries."""

    def __init__(self, steps: Sequence[StepInfo], manner: Manner | None = None) -> None:
        self.steps = steps
        self.manner = manner or Manner()

    @abstractmethod
    def owned(self, step: StepInfo, reader: Reader) -> Iterator[Owned]:
        """The records that this step has written before, by the target's own account."""

    @abstractmethod
    def preview(self, parcel: Parcel, reader: Reader) -> list[Seen]:
        """What would become of each operation of a parcel; writes nothing."""

    @abstractmethod
    def send(self, parcel: Parcel, writer: Writer) -> Answered | Refused | Unclear | Started:
        """Write a parcel once."""

    def follow(self, token: str, parcel: Parcel, writer: Writer, watch: Watch) -> Answered | Unclear | Running:
        """See work to its end that `send` started; also in a later process, which knows only the token."""
        raise NotImplementedError

    @abstractmethod
    def settle(self, parcel: Parcel, reader: Reader) -> dict[int, Seen]:
        """Look at the target for what an unclear write has done.

        An operation that is `unchanged` is done, one with an `outcome` ended so, one that is `unknown` cannot be
        looked up and is never sent again; any other is not done, and is.
        """

    def alone(self, step: StepInfo) -> str:
        """A name that only one batch at a time may hold; empty where batches of the step may go side by side."""
        del step
        return ""

    def looks_ahead(self, step: StepInfo) -> bool:
        """Whether a batch of the step is one row, so that the check before sending looks for many batches at once."""
        del step
        return False


class FlatTarget(Target):
    """A target whose records stand alone: no units, no relations; each is asked about and sent as one row."""

    ask_size: int = 500
    """The most records that one preview looks at."""

    @classmethod
    def order(cls, steps: Sequence[StepInfo]) -> Iterable[tuple[str, str]]:
        """Names of steps, the first of which should come before the second where nothing else says otherwise."""
        del steps
        return ()

    @classmethod
    def replaces(cls, options: Mapping[str, object], data_source: str) -> str:
        """What steps have in common whose rows replace all that their owner has; empty where rows replace nothing.

        None of these rows can be left out, and those of one owner travel in one request, whichever step makes them.
        """
        del options, data_source
        return ""

    def owned(self, step: StepInfo, reader: Reader) -> Iterator[Owned]:
        """Nothing, where a target does not remember who wrote a record."""
        del step, reader
        return iter(())

    def prepare(self, steps: Sequence[StepInfo], reader: Reader) -> list[Problem]:
        """Read what previews need, once, before the first one; warnings are what a reviewer should know of it.

        A problem that is no warning stops the plan.
        """
        del steps, reader
        return []

    def completed(self, step: StepInfo, reader: Reader) -> StepInfo:
        """The step with what `prepare` found out and `apply` has to know; it stands in the plan."""
        del reader
        return step

    def coming(self, step: StepInfo, changes: Iterator[Change]) -> None:
        """These records of a step are looked at next; told before the first preview of a wave."""
        del step, changes

    def remarks(self) -> list[Problem]:
        """What previews came across that a reviewer should know beside the operations, counted; asked at the end."""
        return []

    def together(self, step: StepInfo, changes: Iterator[Change], *, is_whole: bool) -> Together:
        """What others of a step are for each operation, where rows replace each other.

        Of a step, or of all that have in common with it what `replaces` says; `is_whole` where no row of theirs is bad.
        """
        del step, changes, is_whole
        return Together()

    def cuts(self, step: StepInfo, changes: Iterator[Change]) -> Iterator[list[Change]]:
        """The changes of a step that are sent, in source order, cut to what one request carries."""
        del step
        cut: list[Change] = []
        for change in changes:
            cut.append(change)
            if len(cut) == self.batch_limit:
                yield cut
                cut = []
        if cut:
            yield cut


@functools.cache
def find(kind: str) -> type[Target]:
    """The target that serves a kind of step; raises KeyError when no module of this folder does.

    The module of that name is looked into first, then those that are there already: a plan imports what it needs.
    """
    modules = [f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)]
    for name in sorted(modules, key=lambda name: (name != f"{__name__}.{kind}", name not in sys.modules)):
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, type) and issubclass(value, Target) and kind in getattr(value, "kinds", ()):
                return value
    raise KeyError(kind)
