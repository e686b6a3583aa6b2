"""What the files of a project say, typed and frozen: Project, Environment, Spec, Source, Step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from syncengine import sources
from syncengine.changes import Kind, Role
from syncengine.credentials import SecretSource
from syncengine.errors import Position
from syncengine.mapping.model import Level, Recipe, RowRules
from syncengine.sources.servicenow import Options as TableOptions

Dialect = Literal["enhanced", "classic"]
OnError = Literal["continue", "stop"]


class Limit(msgspec.Struct, frozen=True):
    """A number, or a percentage of the records that we own."""

    value: float
    percent: bool
    position: Position

    def __str__(self) -> str:
        return f"{self.value:g}%" if self.percent else f"{self.value:g}"


class GuardLimits(msgspec.Struct, frozen=True):
    """One guard: a limit for all steps, or limits by name of step (or source, for `min_rows`)."""

    default: Limit | None = None
    steps: Mapping[str, Limit] = msgspec.field(default_factory=dict)

    def of(self, name: str) -> Limit | None:
        """The limit of a step."""
        return self.steps.get(name, self.default)


GUARDS = (
    "min_rows",
    "max_creates",
    "max_updates",
    "max_retires",
    "max_reclassified",
    "max_bad_rows",
    "max_errors",
    "max_touched_foreign",
)


class Guards(msgspec.Struct, frozen=True):
    """Limits that a file sets; None where it is silent."""

    min_rows: GuardLimits | None = None
    max_creates: GuardLimits | None = None
    max_updates: GuardLimits | None = None
    max_retires: GuardLimits | None = None
    max_reclassified: GuardLimits | None = None
    max_bad_rows: GuardLimits | None = None
    max_errors: GuardLimits | None = None
    max_touched_foreign: GuardLimits | None = None

    def limit(self, guard: str, name: str) -> Limit | None:
        """The limit of a guard for a step (or source, for `min_rows`); None where the file is silent."""
        limits: GuardLimits | None = getattr(self, guard)
        return None if limits is None else limits.of(name)

    def over(self, weaker: Guards) -> Guards:
        """These guards, and the other's where these are silent."""
        return Guards(**{name: getattr(self, name) or getattr(weaker, name) for name in GUARDS})


class Defaults(msgspec.Struct, frozen=True):
    """What holds for all steps that do not say it themselves."""

    if_empty: Literal["omit", "clear", "error", "skip_row"] = "omit"
    on_error: OnError = "continue"
    timezone: str | None = None
    send: Literal["single", "multiple"] = "single"
    """How rows reach staging tables."""
    vanished: Vanished | None = None


class Destination(msgspec.Struct, frozen=True):
    """Where an environment's tables go, where that differs from what the project says."""

    name: str | None = None
    """A destination of dlt."""
    options: Mapping[str, SecretSource] = msgspec.field(default_factory=dict)


class Extract(msgspec.Struct, frozen=True):
    """What `syncengine extract` reads, and where it goes."""

    destination: str = "duckdb"
    dataset: str = "servicenow"
    options: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Settings of the destination, as dlt names them."""
    tables: Mapping[str, TableOptions] = msgspec.field(default_factory=dict)


class Project(msgspec.Struct, frozen=True):
    """The folder that everything is relative to, and what holds for all specs in it."""

    root: Path
    file: Path | None = None
    name: str = ""
    data_source: str | None = None
    defaults: Defaults = msgspec.field(default_factory=Defaults)
    guards: Guards = msgspec.field(default_factory=Guards)
    spec_globs: tuple[str, ...] = ("specs/**/*.yaml", "specs/**/*.yml")
    allow_paths: tuple[Path, ...] = ()
    vars: Mapping[str, str] = msgspec.field(default_factory=dict)
    extract: Extract = msgspec.field(default_factory=Extract)
    digest: str = ""
    """Of what it says about every spec."""


class BasicAuth(msgspec.Struct, frozen=True):
    """User and password."""

    user: SecretSource
    password: SecretSource
    kind: Literal["basic"] = "basic"


class TokenAuth(msgspec.Struct, frozen=True):
    """One token in a header."""

    token: SecretSource
    header: str = "Authorization"
    kind: Literal["token"] = "token"


class ClientAuth(msgspec.Struct, frozen=True):
    """OAuth: client id and secret, with user and password for the password grant."""

    client_id: SecretSource
    client_secret: SecretSource
    user: SecretSource | None = None
    password: SecretSource | None = None
    kind: Literal["oauth"] = "oauth"


class CertificateAuth(msgspec.Struct, frozen=True):
    """A client certificate."""

    certificate: Path
    key: Path | None = None
    kind: Literal["certificate"] = "certificate"


Auth = BasicAuth | TokenAuth | ClientAuth | CertificateAuth


class Connection(msgspec.Struct, frozen=True):
    """A system that is written to or read from."""

    name: str
    kind: Literal["servicenow", "4me"]
    url: str
    auth: Auth
    position: Position
    dialect: Dialect = "enhanced"
    permits: int = 4
    settle: float = 330.0
    """Seconds after which a request without answer is taken to have ended on the server."""
    pin: bool = True
    source_info: bool = True
    insert_multiple: Literal["labels", "names"] = "labels"
    import_jobs: int = 1
    rest_requests: int = 3600
    account: str | None = None
    ca_bundle: Path | None = None


class Environment(msgspec.Struct, frozen=True):
    """Where specs are applied: connections, variables, tighter guards; no mapping."""

    name: str
    file: Path | None
    connections: Mapping[str, Connection]
    vars: Mapping[str, str] = msgspec.field(default_factory=dict)
    protect_apply_needs_plan: bool = False
    guards: Guards = msgspec.field(default_factory=Guards)
    state: str | None = None
    show_values: bool = True
    extract: Destination = msgspec.field(default_factory=Destination)


class Source(msgspec.Struct, frozen=True):
    """A named source of a spec."""

    name: str
    options: sources.Options
    rules: RowRules
    position: Position
    optional: frozenset[str] = frozenset()
    """Columns that may be absent everywhere."""

    @property
    def kind(self) -> str:
        """The module of `sources/` that reads it."""
        return self.options.kind

    @property
    def path_said(self) -> str:
        """The path as the spec writes it, from the project; empty where the rows stand in the spec."""
        folder = getattr(self.options, "folder", "")
        file = getattr(self.options, "file", "")
        if self.kind != "file":
            return ""
        return file if folder in {"", "."} else f"{folder}/{file}"

    @property
    def bad_rows(self) -> Level:
        """What a broken rule does to a row."""
        return self.rules.bad_rows


class Reclassify(msgspec.Struct, frozen=True):
    """Which changes of class the engine may make."""

    upgrade: bool = True
    downgrade: bool = True
    switch: bool = True


class Vanished(msgspec.Struct, frozen=True):
    """What becomes of records that we sent earlier and that the source no longer has."""

    do: Literal["keep", "report", "retire"] = "keep"
    set: Mapping[str, str] = msgspec.field(default_factory=dict)
    after: int = 1
    """Runs that a record must be missing."""
    include_filtered: bool = False
    position: Position | None = None


class FieldInfo(msgspec.Struct, frozen=True):
    """A field of a step, for plans and reports."""

    name: str
    position: Position
    sensitive: bool = False
    compare: bool = True


class Reference(msgspec.Struct, frozen=True):
    """A record that a step's records point to: a relation end, or a field's value."""

    role: Role | None
    """None for a field."""
    type: str
    """Name of the relation, or of the field."""
    step: str | None
    """Full name of the step whose record it is; None for `find_in`."""
    table: str | None
    """Table of `find_in`."""
    key_parts: int
    position: Position


class Step(msgspec.Struct, frozen=True):
    """One kind of record that is made from one source."""

    name: str
    full_name: str
    kind: Kind
    source: str
    position: Position
    recipe: Recipe
    data_source: str = ""
    feed: str = ""
    classes: tuple[str, ...] = ()
    relation_type: str = ""
    reclassify: Reclassify = msgspec.field(default_factory=Reclassify)
    touch: bool = False
    on_error: OnError = "continue"
    vanished: Vanished = msgspec.field(default_factory=Vanished)
    verify: bool = False
    accept_inferred: bool = False
    connection: str | None = None
    fields: tuple[FieldInfo, ...] = ()
    class_said: tuple[FieldInfo, ...] = ()
    """Where the class of its records is said, as if it were a field (which it is: sys_class_name)."""
    references: tuple[Reference, ...] = ()
    key_parts: int = 0
    options: Mapping[str, object] = msgspec.field(default_factory=dict)
    """What is said of its kind, as JSON has it; goes into the plan."""
    run_after: tuple[str, ...] = ()
    """Full names of steps that it waits for, whatever its fields name."""
    defers: bool = False
    """Whether fields that name records can be written in a second pass."""
    must_defer: frozenset[str] = frozenset()
    """Fields that are always written in a second pass."""
    never_defer: frozenset[str] = frozenset()
    """Fields without which its records cannot be made."""

    @property
    def compare_false(self) -> frozenset[str]:
        """Fields that are sent, but whose difference is no change."""
        return frozenset(one.name for one in self.fields if not one.compare)

    @property
    def sensitive(self) -> frozenset[str]:
        """Fields whose values are not shown."""
        return frozenset(one.name for one in self.fields if one.sensitive)


class TestCase(msgspec.Struct, frozen=True):
    """A unit test of a spec: rows given, records expected."""

    title: str
    position: Position
    given: Mapping[str, tuple[Mapping[str, object], ...]]
    expect: Mapping[str, tuple[Mapping[str, object], ...]]
    expect_error: str | None = None
    exactly: bool = False
    vars: Mapping[str, str] = msgspec.field(default_factory=dict)
    now: str | None = None
    find: Mapping[str, tuple[Mapping[str, object], ...]] = msgspec.field(default_factory=dict)


class Spec(msgspec.Struct, frozen=True):
    """One spec file, read and checked."""

    name: str
    path: Path
    """As messages show it: relative to the project."""
    digest: str
    """SHA-256 of what plans depend on, shared files and the project's included (`pinned`)."""
    project: Project
    data_source: str | None
    sources: Mapping[str, Source]
    steps: Mapping[str, Step]
    guards: Guards = msgspec.field(default_factory=Guards)
    tests: tuple[TestCase, ...] = ()
    description: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    vars: Mapping[str, str] = msgspec.field(default_factory=dict)
