"""The import types: columns, keys, and how REST calls them (documented: the import and REST field pages)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

from syncengine.sandbox.catalog import data

ID, SOURCE, SOURCE_ID = "ID", "Source", "Source ID"
PAIR = (SOURCE, SOURCE_ID)
EMAIL = "Primary Email"
TIMES = ("Created At", "Updated At")
PEOPLE = "people"

# documented: names (and the like) that other types write to refer to a record are unique in its account
_UNIQUE_NAMES = frozenset({
    "calendars", "holidays", "sites", "organizations", "teams", "skill_pools", "services", "service_categories",
    "service_instances", "service_offerings", "slas", "sla_notification_schemes", "first_line_support_agreements",
    "products", "contracts", "pdf_designs", "project_task_templates", "project_task_template_assignments",
    "project_templates", "scrum_workspaces", "waiting_for_customer_follow_ups",
})  # fmt: skip
_UNIQUE = {
    PEOPLE: (EMAIL,),
    "cis": ("Label",),
    "product_categories": ("Reference",),
    "custom_collections": ("Reference",),
}
# besides the column that a page names: software versions by name (documented); the others are seen in examples
_OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "cis": ("Name",),
    "task_templates": ("Subject", ID),
    "project_task_templates": ("Subject", ID),
    "risk_severities": ("Reference",),
}
# documented: REST names that are no plain translation of the column
_REST_NAMES = {
    "Parent Organization": "parent", "PO Number": "po_nr", "Invoice Number": "invoice_nr", "Change": "workflow",
    "Changes": "workflows", "Change Type": "workflow_type", "Configuration items": "cis", "Configuration Items": "cis",
    "Configuration Item": "cis", "Nr. of Business Days": "business_days",
}  # fmt: skip
# how enumerations are called (documented: request.status), where the type's name is not its plural in s
_SINGULAR = {"people": "person", "cis": "ci", "product_categories": "product_category"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a type."""

    name: str
    kind: str
    longest: int = 0
    """Characters; 0: not said."""
    values: tuple[str, ...] = ()
    to: str = ""
    """Of references: the type of the record."""
    by: str = ""
    """Of references: the column of the record that is written."""
    suffix: bool = False
    more: bool = False
    """Not in the page's own example."""
    examples: tuple[str, ...] = ()
    """Of enumerations: values that only a published example has."""

    @property
    def several(self) -> bool:
        """It holds any number of records."""
        return self.kind == "refs"

    @property
    def refers(self) -> bool:
        """It names other records."""
        return bool(self.to)

    @property
    def rest(self) -> str:
        """What REST calls it: `Primary Email` is `primary_email`, `Source ID` is `sourceID`."""
        if self.name in _REST_NAMES:
            return _REST_NAMES[self.name]
        words = self.name.replace(".", "").replace("-", "_").split()
        text = "_".join(word.lower() for word in words)
        return text[: -len("_id")] + "ID" if len(words) > 1 and words[-1] == ID else text


@dataclass(frozen=True, slots=True)
class Rest:
    """How REST reads a type."""

    path: str
    filters: frozenset[str]
    sort: frozenset[str]
    predefined: tuple[str, ...]


@dataclass(frozen=True)
class Type:
    """One import type."""

    name: str
    label: str
    header: str
    """exact, inferred, or unknown: an import is refused."""
    identify: tuple[tuple[str, ...], ...]
    required: tuple[str, ...]
    columns: Mapping[str, Column]
    export: str
    group: str = ""
    """The column that names the owner whose rows an import replaces."""
    financial: bool = False
    rest: Rest | None = None
    keys: tuple[tuple[str, ...], ...] = ()
    """Columns whose values find a record, besides its ID."""

    @cached_property
    def unique(self) -> tuple[tuple[str, ...], ...]:
        """Keys of which no two records of an account may have the same (documented; the pair: inferred)."""
        named = (("Name",),) if self.name in _UNIQUE_NAMES else ()
        pair = (PAIR,) if SOURCE_ID in self.columns else ()
        others = tuple((column,) for column in _UNIQUE.get(self.name, ()))
        return tuple(key for key in (*pair, *named, *others) if set(key) <= set(self.columns))

    @cached_property
    def fields(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The keys with the names under which they are kept."""
        return tuple(("|".join(key), key) for key in self.keys)

    @cached_property
    def title(self) -> str:
        """The column that says what a record is called."""
        names = ("Name", "Subject", "Label", "Reference", "Description", "Reason")
        return next((name for name in names if name in self.columns), ID)

    @cached_property
    def singular(self) -> str:
        """What enumerations call it."""
        return _SINGULAR.get(self.name, self.name.removesuffix("s"))

    @cached_property
    def exported(self) -> tuple[Column, ...]:
        """The columns of an export: those of an import, in its order (documented: the same columns)."""
        return tuple(column for column in self.columns.values() if not column.more)

    @cached_property
    def times_count(self) -> bool:
        """Its records are migrated with their own times (inferred): requests, tasks, notes and the like."""
        return self.name in {
            "requests",
            "problems",
            "workflows",
            "tasks",
            "projects",
            "project_tasks",
            "releases",
            "notes",
        }


def names_of(column: Column) -> tuple[str, ...]:
    """The columns by which a reference may name its record, the documented one first."""
    return (column.by, *(name for name in _OTHER_NAMES.get(column.to, ()) if name != column.by))


@cache
def types() -> Mapping[str, Type]:
    """Every type, in the order in which they need each other."""
    raw: dict[str, Any] = data("fourme")
    named: dict[str, set[tuple[str, ...]]] = {name: set() for name in raw}
    columns = {name: dict(_columns(given)) for name, given in raw.items()}
    for those in columns.values():
        for column in those.values():
            if column.refers:
                named[column.to] |= {(name,) for name in names_of(column) if name != ID}
    return {name: _type(name, given, columns[name], named[name]) for name, given in raw.items()}


@cache
def by_path() -> Mapping[str, Type]:
    """Types by the path of their REST collection."""
    return {one.rest.path: one for one in types().values() if one.rest is not None}


@cache
def by_export() -> Mapping[str, Type]:
    """Types by their name in exports (documented: some differ)."""
    return {one.export: one for one in types().values() if one.header != "unknown"}


def _columns(given: Mapping[str, Any]) -> Iterator[tuple[str, Column]]:
    for section in ("columns", "more"):
        for name, said in (given.get(section) or {}).items():
            yield name, _column(name, said, section == "more")


def _column(name: str, said: Any, more: bool) -> Column:
    if isinstance(said, str):
        return Column(name, said, more=more)
    kind, value = next(iter(said.items()))
    if kind == "enum":
        return Column(name, kind, values=tuple(map(str, value)), more=more, examples=tuple(said.get("examples", ())))
    if kind in ("ref", "refs"):
        return Column(name, kind, to=value, by=said["by"], suffix=bool(said.get("suffix")), more=more)
    return Column(name, kind, int(value), more=more)


def _type(name: str, given: Mapping[str, Any], columns: Mapping[str, Column], named: set[tuple[str, ...]]) -> Type:
    identify = tuple(tuple(key) for key in given["identify"])
    rest = given.get("rest")
    found = Type(
        name,
        given["label"],
        given["header"],
        identify,
        tuple(given.get("required", ())),
        columns,
        given.get("export", name),
        given.get("group", ""),
        bool(given.get("financial")),
        Rest(rest["path"], frozenset(rest["filters"]), frozenset(rest["sort"]), tuple(rest.get("predefined", ())))
        if rest
        else None,
    )
    keys = {key for key in identify if key != (ID,) and set(key) <= set(columns)} | named | set(found.unique)
    if found.group:
        keys.add((found.group,))
    return replace(found, keys=tuple(sorted(keys)))
