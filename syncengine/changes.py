"""The words every room speaks: Row, Record, Change, Batch, Outcome.

A source gives rows; mapping makes records of them; a target says what would change; planning orders the changes
into batches; execution settles each with an outcome. Records are made once per row, so they are named tuples:
a frozen dataclass costs three times as much to build. What is made once an operation are msgspec structs, which cost a
tenth of a dataclass and are read from and written to JSON as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec

from syncengine.errors import Place, Problem

Action = Literal[
    "create", "update", "reclassify", "retire", "relate", "attach", "touched", "unchanged", "rejected", "unknown"
]
ACTIONS: tuple[Action, ...] = (
    "create",
    "update",
    "reclassify",
    "retire",
    "relate",
    "attach",
    "touched",
    "unchanged",
    "rejected",
    "unknown",
)
Kind = Literal["cmdb", "relation", "staging", "attach", "4me"]
"""The target keys of the language."""
Basis = Literal["engine", "compared", "predicted", "implied", "unknown"]
Role = Literal["parent", "child"]
IfMissing = Literal["error", "omit", "skip_row"]


class Row(NamedTuple):
    """One row as the source gave it. CSV values are text; JSON values keep their type, numbers keep their digits."""

    values: Mapping[str, Any]
    place: Place


class StepRef(NamedTuple):
    """A record made by a step; `step` is its full name `<spec>.<step>`."""

    step: str
    key: str
    take: str = ""
    """The value of that record that is wanted, known while planning; empty for its id on the target.

    `@key` is its key, `@source` the data source of its step: both are known of every record.
    """
    if_missing: IfMissing = "error"
    """What becomes of the field or the relation where no row of the source is that record."""


class Find(NamedTuple):
    """A record that exists on the instance, found while planning; `where` are exact matches, all must hold."""

    table: str
    where: tuple[tuple[str, str], ...]
    take: str = "sys_id"
    if_missing: IfMissing = "error"


class Link(NamedTuple):
    """A relation that a record names: `other` plays `role`, the record itself plays the other one."""

    type: str
    role: Role
    other: StepRef | Find
    position: str
    """Where the spec says so, as `file:line:column`."""


class Part(NamedTuple):
    """A lookup or related item: a row around the CI that is sent inside its item."""

    class_name: str
    values: dict[str, str]


class Record(NamedTuple):
    """What a target should hold, for one row: identity, class and values as text."""

    step: str
    """Full name of the step, `<spec>.<step>`."""
    key: str
    """The record's name in the source; parts joined with `|`."""
    class_name: str
    values: dict[str, str]
    refs: tuple[tuple[str, StepRef | Find], ...]
    """Fields whose value is the id of another record."""
    lookup: tuple[Part, ...]
    related: tuple[Part, ...]
    links: tuple[Link, ...]
    place: Place
    seen_at: str | None = None
    """When the source saw it, UTC `YYYY-MM-DD hh:mm:ss`."""
    native_key: str = ""
    """What the target remembers it by, where that is not the key."""


class Pair(NamedTuple):
    """What a `relation` step makes of a row: a relation between two records."""

    step: str
    type: str
    parent: StepRef | Find
    child: StepRef | Find
    place: Place


class BadRow(NamedTuple):
    """A row that could not become a record; `level` says what the spec wants done about it."""

    step: str
    key: str
    problem: Problem
    place: Place
    level: Literal["fail", "skip", "warn"] = "fail"


class End(NamedTuple):
    """An end of a relation, or the record a field refers to, inside a plan."""

    op: int
    """The operation that makes or names it."""
    step: str
    key: str
    sys_id: str = ""
    """Empty: known only after that operation is applied."""
    class_name: str = ""


class Change(msgspec.Struct, omit_defaults=True, gc=False, rename={"place": "at"}):
    """One operation of a plan: a record, a relation, or the end of one.

    What is not said is empty: a record has no `type`, a relation no `key`.
    """

    op: int
    kind: Kind | Literal["end"]
    step: int
    """Index into the steps of the plan's header."""
    action: Action = "unknown"
    basis: Basis = "unknown"
    key: str = ""
    native_key: str = ""
    """What the target remembers it by, where that is not the key."""
    class_name: str = ""
    sys_id: str = ""
    values: dict[str, str] = {}
    refs: dict[str, End] = {}
    """Fields that hold the id of another record, known now (`sys_id`) or only after it is applied."""
    names: dict[str, str] = {}
    """What the spec called the records whose ids stand in `values`, for people."""
    follows: tuple[int, ...] = ()
    """Operations that make what this one names or completes: unless they are applied, it is not sent."""
    lookup: tuple[Part, ...] = ()
    related: tuple[Part, ...] = ()
    before: dict[str, str] = {}
    """The present values of the fields that would change."""
    was_class: str = ""
    """The present class, where it would change."""
    parts: tuple[str, ...] = ()
    """What would become of the lookup and related items, in their order: INSERT, UPDATE, NO_CHANGE."""
    masked: tuple[str, ...] = ()
    """Fields that the target's reconciliation rules refuse from this data source."""
    host: int | None = None
    """For a dependent CI: the operation of the CI it lives in."""
    type: str = ""
    parent: End | None = None
    child: End | None = None
    in_unit: bool = False
    """For a relation: it identifies a dependent CI, so it travels in the same request."""
    reason: str = ""
    code: str = ""
    message: str = ""
    owner: str = ""
    """For a touched end: its present discovery source."""
    seen_at: str = ""
    spec: str = ""
    """Where the spec says so, as `file:line:column`."""
    place: Place | None = None
    fix: str = ""
    """What a person can do about it, where the row itself says that."""

    @property
    def pair(self) -> tuple[End, End]:
        """Parent and child of a relation; raises ValueError for a record, which has none."""
        if self.parent is None or self.child is None:
            raise ValueError(f"operation {self.op} is not a relation")
        return self.parent, self.child

    @property
    def is_sent(self) -> bool:
        """Whether apply sends it as itself (and not only as the end of something)."""
        return self.action in SENT or (self.action == "touched" and self.reason in SENT_REASONS)


SECOND_PASS = "second pass"  # noqa: S105
"""Why a record has a second operation: it writes what could not be said before other records were there."""
SENT_REASONS = frozenset({"adopted", "touch", "along"})
"""Why a record that stays as it is is sent all the same."""
SENT: frozenset[Action] = frozenset({"create", "update", "reclassify", "retire", "relate", "attach", "unknown"})


class Batch(msgspec.Struct, frozen=True, rename={"number": "batch"}):
    """What one request carries. Full records, ends that go by id alone, and relations between them."""

    number: int
    wave: int
    data_source: str
    items: tuple[int, ...]
    ends: tuple[int, ...]
    relations: tuple[int, ...]
    context: tuple[int, ...] = ()
    """Identifying relations that stay as they are, needed to ask for (not to write) the dependents among the items."""
    step: int = 0
    """The step of its first operation; all its steps go through one target."""

    @property
    def ops(self) -> tuple[int, ...]:
        """The operations this batch settles."""
        return self.items + self.relations


class Parcel(msgspec.Struct):
    """A batch with everything its request needs: full records, ends known by id, relations between them."""

    data_source: str
    items: list[Change]
    ends: list[End]
    relations: list[Change]
    context: list[Change] = []
    """Relations that exist and are needed to find the dependents among the items, with `context_ends`."""
    context_ends: list[End] = []


class Seen(msgspec.Struct, gc=False):
    """What the target said about one operation, in a dry run or after a write."""

    op: int
    operation: str = ""
    """The target's own word; empty where it gave none."""
    action: Action = "unknown"
    basis: Basis = "unknown"
    sys_id: str = ""
    class_name: str = ""
    was_class: str = ""
    code: str = ""
    """The error code, where the target refused it."""
    message: str = ""
    reason: str = ""
    before: dict[str, str] = {}
    """The present values of the sent fields that differ."""
    unread: tuple[str, ...] = ()
    """Sent fields of which nobody knows the present value."""
    masked: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    same_as: tuple[int, ...] = ()
    """Other operations of the request that the target merged with this one."""
    trace: str = ""
    """The target's id of this exchange, for its log; never part of a plan."""
    identity: str = ""
    """What a new record will be found by, as the target sees it: two new records with one are the same record."""
    outcome: Outcome | None = None
    """After a write: what became of it, where looking tells exactly that (a row that a transform refused, say)."""


class Owned(NamedTuple):
    """A record that a step has written before: its key in the source and its id on the target."""

    key: str
    sys_id: str


@dataclass(frozen=True, slots=True)
class StepInfo:
    """What a plan keeps of a step: enough to send its records without the spec."""

    name: str
    kind: Kind
    connection: str
    data_source: str
    feed: str
    wave: int = 0
    settings: Mapping[str, bool] = field(default_factory=dict)
    position: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Where the spec says each field, as `file:line:column`."""
    quiet: tuple[str, ...] = ()
    """Fields whose difference is no change (`compare: false`)."""
    sensitive: tuple[str, ...] = ()
    """Fields that are encrypted in the plan and shown nowhere."""
    touch: bool = False
    """Unchanged records are sent, too."""
    stops: bool = False
    """The step goes no further after a row that the target refused (`on_error: stop`)."""
    deferred: tuple[str, ...] = ()
    """Fields that are written in a second pass, when the records that they name are there."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the step says of its kind, as JSON has it."""


TWICE = "delivered twice"
"""The warning of an operation that a look finds more than once: something on the way repeated the request."""


class Outcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What became of one operation of a plan."""

    op: int
    """Number of the operation in the plan."""
    result: Literal["applied", "unchanged", "rejected", "not_sent", "stale", "unknown"]
    sys_id: str = ""
    operation: str = ""
    """The target's own word: INSERT, UPDATE, NO_CHANGE, …"""
    code: str = ""
    """For what was not applied: the target's error code or our reason."""
    message: str = ""
    cause: int | None = None
    """The operation whose failure is the reason for this one."""
    warnings: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    """Fields that the target's reconciliation rules refused."""
    table: str = ""
    """The table of the record, where only the write told it."""
