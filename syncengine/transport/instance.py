"""What an instance says about itself: classes, identification entries, dependency rules, data sources, relation types.

Classes come from the CMDB Meta API; dependency rules from cmdb_metadata_hosting and cmdb_metadata_containment
(c_ServiceRulesMetadata, cmdb-meta-api, Australia). Each answer is asked for once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from syncengine.errors import AuthError, Problem, RemoteError
from syncengine.transport.reader import Reader
from syncengine.transport.servicenow import table_rows

ROOT = "cmdb_ci"
COMMON_TYPES = (
    "Depends on::Used by",
    "Runs on::Runs",
    "Hosted on::Hosts",
    "Contains::Contained by",
    "Connects to::Connected by",
    "Members::Member of",
)
"""Relation types that most specs need (product knowledge); shown where one is not known."""


class Entry(msgspec.Struct, frozen=True):
    """One way to recognise a CI of a class."""

    table: str
    attributes: tuple[str, ...]
    is_lookup: bool
    """The attributes are those of a lookup item of this table, not of the CI."""


class ClassInfo(msgspec.Struct, frozen=True):
    """A CI class as the instance describes it."""

    name: str
    parent: str
    columns: frozenset[str]
    is_independent: bool | None
    """None: the class has no identification rule, not even an inherited one."""
    entries: tuple[Entry, ...]
    parts: Mapping[str, tuple[str, tuple[str, ...]]] = msgspec.field(default_factory=dict)
    """Tables of lookup and related rows: the column that names the CI, and those that tell its rows apart."""
    references: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Columns that hold the sys_id of a record, with its table."""
    integers: frozenset[str] = frozenset()


def column_fix(info: ClassInfo, name: str) -> str:
    """What to do about a column that a class does not have."""
    near = get_close_matches(name, sorted(info.columns), 1)
    return f'did you mean "{near[0]}"?' if near else f"its columns:  syncengine schema --class {info.name} --fields"


class DependencyRule(msgspec.Struct, frozen=True):
    """A class that lives in another: `parent type child` with one of the two depending on the other."""

    parent: str
    type: str
    child: str
    dependent: str
    """`parent` or `child`."""


class Instance:
    """Asks an instance about itself, each thing once."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._classes: dict[str, ClassInfo | None] = {}
        self._rules: list[DependencyRule] | None = None
        self._types: dict[str, str] | None = None

    def describe(self, name: str) -> ClassInfo | None:
        """A class, or None when the instance has none of that name; raises RemoteError or AuthError."""
        if name not in self._classes:
            answer = self._reader.get(f"/api/now/cmdb/meta/{name}", allow_missing=True)
            self._classes[name] = None if answer is None else _class_from(name, answer.body)
        return self._classes[name]

    def lineage(self, name: str) -> Iterator[str]:
        """A class and its ancestors, nearest first."""
        while name:
            yield name
            info = self.describe(name)
            name = info.parent if info else ""

    def dependency(self, parent: str, relation: str, child: str) -> str:
        """Which end of a relation depends on the other: `parent`, `child`, or empty when none does."""
        parents, children = set(self.lineage(parent)), set(self.lineage(child))
        for rule in self.dependency_rules():
            if rule.type == relation and rule.parent in parents and rule.child in children:
                info = self.describe(parent if rule.dependent == "parent" else child)
                if info is not None and info.is_independent is False:
                    return rule.dependent
        return ""

    def dependency_rules(self) -> list[DependencyRule]:
        """All hosting and containment rules."""
        if self._rules is None:
            rules = [*self._hosting(), *self._containment()]
            if not rules:
                raise RemoteError(
                    Problem(
                        "no-dependency-rules",
                        "the rules that say which CI lives in which cannot be read",
                        place="GET /api/now/table/cmdb_metadata_hosting",
                        fix="give the user read access to cmdb_metadata_hosting and _containment (role itil)",
                    ),
                    effect="Nothing was written.",
                )
            self._rules = rules
        return self._rules

    def _hosting(self) -> Iterator[DependencyRule]:
        fields = ("sys_id", "parent_type", "child_type", "rel_type", "is_reverse")
        types = self._type_names()
        for row in table_rows(self._reader, "cmdb_metadata_hosting", "", fields):
            relation = types.get(row["rel_type"], row["rel_type"])
            if row["is_reverse"] == "true":
                yield DependencyRule(row["child_type"], relation, row["parent_type"], "child")
            else:
                yield DependencyRule(row["parent_type"], relation, row["child_type"], "parent")

    def _containment(self) -> Iterator[DependencyRule]:
        fields = ("sys_id", "ci_type", "rel_type", "parent_id", "is_reverse")
        types = self._type_names()
        rows = list(table_rows(self._reader, "cmdb_metadata_containment", "", fields))
        owners = {row["sys_id"]: row["ci_type"] for row in rows}
        for row in rows:
            container = owners.get(row["parent_id"])
            if container is None:
                continue
            relation = types.get(row["rel_type"], row["rel_type"])
            if row["is_reverse"] == "true":
                yield DependencyRule(row["ci_type"], relation, container, "parent")
            else:
                yield DependencyRule(container, relation, row["ci_type"], "child")

    def _type_names(self) -> dict[str, str]:
        if self._types is None:
            rows = table_rows(self._reader, "cmdb_rel_type", "", ("sys_id", "name"))
            self._types = {row["sys_id"]: row["name"] for row in rows}
        return self._types

    def relation_types(self) -> frozenset[str]:
        """The names of all relation types."""
        return frozenset(self._type_names().values())

    def class_fix(self, name: str) -> str:
        """What to do about a class that is not there: those that are near, where the list of tables can be read."""
        try:
            rows = table_rows(self._reader, "sys_db_object", "nameSTARTSWITHcmdb_ci", ("sys_id", "name"))
            known = {row["name"].removeprefix("cmdb_ci_"): row["name"] for row in rows}
        except (AuthError, RemoteError):
            known = {}
        near = get_close_matches(name.removeprefix("cmdb_ci_"), sorted(known), 2, 0.7)
        if near:
            return f"did you mean {' or '.join(known[one] for one in near)}?"
        return "use the name of a table below cmdb_ci, as in its class manager"

    def type_fix(self, name: str) -> str:
        """What to do about a relation type that is not there: the one that was meant, or near and common ones."""
        types = sorted(self.relation_types())
        turned = "::".join(reversed(name.split("::"))).lower()
        meant = [one for one in types if one.lower() in (turned, name.lower())]
        if meant:
            verb = meant[0].split("::")[0]
            return f'did you mean "{meant[0]}"? Mind the direction: the parent "{verb}" the child.'
        folded = {one.lower(): one for one in types}
        near = [folded[one] for one in get_close_matches(name.lower(), list(folded), 3, 0.5)]
        listed = [*near, *(one for one in COMMON_TYPES if one in types and one not in near)]
        return f"types that are there: {', '.join(listed)}; all are rows of cmdb_rel_type"

    def data_sources(self) -> frozenset[str]:
        """The choices of cmdb_ci.discovery_source; empty where they cannot be read."""
        query = "name=cmdb_ci^element=discovery_source"
        rows = table_rows(self._reader, "sys_choice", query, ("sys_id", "value"))
        return frozenset(row["value"] for row in rows)


def _class_from(name: str, body: Any) -> ClassInfo:
    result = body["result"]
    rules = result.get("identification_rules") or {}
    independent = rules.get("is_independent")
    entries = []
    for entry in rules.get("identifiers") or ():
        criteria = str(entry.get("attributes") or "").split(",")
        is_lookup = bool(entry.get("referenced_field"))
        table = str(entry.get("table") or rules.get("applies_to") or name)
        entries.append(Entry(table, tuple(one.strip() for one in criteria if one.strip()), is_lookup))
    parts: dict[str, tuple[str, tuple[str, ...]]] = {}
    for entry in (*(rules.get("identifiers") or ()), *(rules.get("related_rules") or ())):
        if entry.get("referenced_field") and entry.get("table"):
            criteria = str(entry.get("attributes") or "").split(",")
            parts.setdefault(str(entry["table"]), (str(entry["referenced_field"]), tuple(map(str.strip, criteria))))
    attributes = result.get("attributes") or ()
    columns = frozenset(str(attribute["element"]) for attribute in attributes)
    references = {str(one["element"]): str(one["reference"]) for one in attributes if one.get("reference")}
    integers = frozenset(str(one["element"]) for one in attributes if one.get("type") == "integer")
    return ClassInfo(
        name,
        str(result.get("parent") or ""),
        columns,
        None if independent is None else str(independent).lower() == "true",
        tuple(entries),
        parts,
        references,
        integers,
    )
