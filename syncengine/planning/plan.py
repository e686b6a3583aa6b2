"""A plan: what it was made from, its operations, its batches, its counts and its guards.

The plan is a value. It is written by `plan_file`, shown by `reports`, done by `execution`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from syncengine.changes import Action, Basis, StepInfo

FORMAT = 1
"""Version of the plan's lines; another one is refused."""

CHANGING: frozenset[Action] = frozenset({"create", "update", "reclassify", "retire", "relate", "attach", "unknown"})
"""Actions that make `plan --detailed-exitcode` answer 2; see `StepCounts.changes` for what does beside them."""


@dataclass(frozen=True, slots=True)
class Input:
    """What the plan was made from: a file, or a table of an instance as it was read."""

    kind: Literal["spec", "source", "table"]
    name: str
    path: str
    sha256: str
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """The system a connection of the plan talks to; never a secret, nor a reference to one."""

    kind: str
    url: str
    user: str


@dataclass(frozen=True, slots=True)
class ReadWindow:
    """What an incremental source read, as its own column has it; the next plan goes on at `end`."""

    url: str
    """The system it was read from."""
    table: str
    by: str
    start: str
    """Empty: all rows were read."""
    end: str
    spec: str
    """The hash of the spec: another one reads all rows anew."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the plan was made from and for; stands in the first line."""

    product: str
    environment: str
    connections: Mapping[str, Identity]
    inputs: tuple[Input, ...]
    steps: tuple[StepInfo, ...]
    show_values: bool = True
    """Whether reports may show values, or only the names of changed fields."""
    windows: Mapping[str, ReadWindow] = field(default_factory=dict)
    """By `<spec>.<source>`."""
    key_check: str = ""
    """A known text sealed with the plan's key, where fields are sensitive."""
    selection: tuple[str, ...] = ()
    """What was asked for, where the plan holds only a part of what the specs make."""
    again: str = ""
    """The run whose rows it plans again."""


@dataclass(frozen=True, slots=True)
class GuardResult:
    """One guard that was passed, broken or waived."""

    step: str
    guard: str
    count: int
    limit: int | None
    owned: int
    state: Literal["ok", "refused", "waived"]
    said: str = ""
    """The limit as written, e.g. `30%`."""
    of_rows: bool = False
    """Its share is one of the rows read, not of the records owned; `owned` then is their number."""
    given: str = ""
    """A waiver that names another number than the count, as it was written: it let nothing pass."""


@dataclass(frozen=True, slots=True)
class Note:
    """A warning about the whole plan, counted and kept for the reviewer."""

    code: str
    message: str
    place: str = ""
    count: int = 1
    fix: str = ""


@dataclass(slots=True)
class StepCounts:
    """How many operations of each kind a step has."""

    rows: int = 0
    filtered: int = 0
    owned: int = 0
    actions: dict[str, int] = field(default_factory=dict)
    bases: dict[str, int] = field(default_factory=dict)
    """How many are known by which means: the target's rules, a comparison, a simulation of its configuration, …"""
    adopted: int = 0
    along: int = 0
    """Rows that stay as they are and are sent with others of their owner, which replace what the owner has."""
    unexplained: int = 0
    """Updates that the target announces and no readable field explains."""

    def add(self, action: Action, basis: Basis) -> None:
        """Count one operation."""
        self.actions[action] = self.actions.get(action, 0) + 1
        if action != "rejected":
            self.bases[basis] = self.bases.get(basis, 0) + 1

    @property
    def changes(self) -> int:
        """What would be done on the target."""
        return sum(count for action, count in self.actions.items() if action in CHANGING) + self.adopted + self.along


@dataclass(slots=True)
class Manifest:
    """The last line: counts, guards, waivers, notes."""

    counts: dict[str, StepCounts] = field(default_factory=dict)
    guards: list[GuardResult] = field(default_factory=list)
    waivers: dict[str, int] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    batches: int = 0
    max_errors: int | None = None
    """The least number of refused rows that a step allows; None: the larger of 20 and the percentage.

    With both, the tighter one counts.
    """
    max_errors_percent: float | None = None
    missing: dict[str, list[str]] = field(default_factory=dict)
    """Keys that the source no longer has, of the steps that count in how many runs they are missing."""

    @property
    def is_refused(self) -> bool:
        """Whether a guard said no."""
        return any(guard.state == "refused" for guard in self.guards)

    @property
    def changes(self) -> int:
        """What would be done on the target, over all steps."""
        return sum(counts.changes for counts in self.counts.values())

    def errors_allowed(self, sent: int) -> int:
        """How many rows the target may refuse of those sent so far."""
        if self.max_errors is not None and self.max_errors_percent is None:
            return self.max_errors
        percent = 10.0 if self.max_errors_percent is None else self.max_errors_percent
        share = max(20, int(sent * percent / 100))
        return share if self.max_errors is None else min(share, self.max_errors)

    def total(self, action: str) -> int:
        """The number of operations with an action, over all steps."""
        return sum(counts.actions.get(action, 0) for counts in self.counts.values())


def header_from(data: Mapping[str, Any]) -> Header:
    """Rebuild a header from its line; raises KeyError or TypeError when the line is not one."""
    steps = [
        {**value, **{name: tuple(value[name]) for name in ("quiet", "sensitive", "deferred")}}
        for value in data["steps"]
    ]
    return Header(
        product=data["product"],
        environment=data["environment"],
        connections={name: Identity(**value) for name, value in data["connections"].items()},
        inputs=tuple(Input(**value) for value in data["inputs"]),
        steps=tuple(StepInfo(**value) for value in steps),
        show_values=data["show_values"],
        windows={name: ReadWindow(**value) for name, value in data["windows"].items()},
        key_check=data["key_check"],
        selection=tuple(data["selection"]),
        again=data["again"],
    )


def manifest_from(data: Mapping[str, Any]) -> Manifest:
    """Rebuild a manifest from its line; raises KeyError or TypeError when the line is not one."""
    return Manifest(
        counts={step: StepCounts(**value) for step, value in data["counts"].items()},
        guards=[GuardResult(**value) for value in data["guards"]],
        waivers=dict(data["waivers"]),
        notes=[Note(**value) for value in data["notes"]],
        batches=data["batches"],
        max_errors=data["max_errors"],
        max_errors_percent=data["max_errors_percent"],
        missing=data["missing"],
    )
