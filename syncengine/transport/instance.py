"""What an instance says about itself: classes, identification entries, dependency rules, data sources, relation types.

Classes come from the CMDB Meta API; dependency rules from cmdb_metadata_hosting and cmdb_metadata_containment
(c_ServiceRulesMetadata, cmdb-meta-api, Australia). Each answer is asked for once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from syncengine.errors import Problem, RemoteError
from syncengine.transport.reader import Reader
from syncengine.transport.servicenow import table_rows

ROOT = "cmdb_ci"


@dataclass(frozen=True, slots=True)
class Entry:
    """One way to recognise a CI of a class."""

    table: str
    attributes: tuple[str, ...]
    is_lookup: bool
    """The attributes are those of a lookup item of this table, not of the CI."""


@dataclass(frozen=True, slots=True)
class ClassInfo:
    """A CI class as the instance describes it."""

    name: str
    parent: str
    columns: frozenset[str]
    is_independent: bool | None
    """None: the class has no identification rule, not even an inherited one."""
    entries: tuple[Entry, ...]
    parts: Mapping[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    """Tables of lookup and related rows: the column that names the CI, and those that tell its rows apart."""


@dataclass(frozen=True, slots=True)
class DependencyRule:
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
        attributes = str(entry.get("attributes") or "").split(",")
        is_lookup = bool(entry.get("referenced_field"))
        table = str(entry.get("table") or rules.get("applies_to") or name)
        entries.append(Entry(table, tuple(one.strip() for one in attributes if one.strip()), is_lookup))
    parts: dict[str, tuple[str, tuple[str, ...]]] = {}
    for entry in (*(rules.get("identifiers") or ()), *(rules.get("related_rules") or ())):
        if entry.get("referenced_field") and entry.get("table"):
            attributes = str(entry.get("attributes") or "").split(",")
            parts.setdefault(str(entry["table"]), (str(entry["referenced_field"]), tuple(map(str.strip, attributes))))
    columns = frozenset(str(attribute["element"]) for attribute in result.get("attributes") or ())
    return ClassInfo(
        name,
        str(result.get("parent") or ""),
        columns,
        None if independent is None else str(independent).lower() == "true",
        tuple(entries),
        parts,
    )
