"""The rules in force, read from the tables in which an instance keeps them.

Source: pages on identification rules, hosting and containment rules (documented); how the rows of the two metadata
tables read was observed on an instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from syncengine.sandbox.encoded_query import Query, parse
from syncengine.sandbox.keys import Kind
from syncengine.sandbox.store import Record
from syncengine.sandbox.tables import Tables

KindFor = Callable[[str, tuple[str, ...], bool], Kind]


@dataclass(frozen=True, slots=True)
class Entry:
    """One way to identify; `field` is set for lookup and hybrid entries."""

    sys_id: str
    rule: str
    table: str
    attributes: tuple[str, ...]
    order: int
    allow_null: bool
    exact: bool
    fallback: bool
    condition: Query | None
    condition_text: str
    field: str
    own_attributes: tuple[str, ...]
    kind: Kind
    pointer: Kind | None
    """For lookup entries: rows by the record they point to."""
    own: Kind | None
    """For hybrid entries: records by their own attributes."""

    def attempt(self, result: str) -> dict[str, object]:
        """How an answer reports that this entry was tried."""
        return {
            "identifierName": self.rule,
            "attemptResult": result,
            "attributes": list(self.attributes),
            "searchOnTable": self.table,
            "hybridEntryCiAttributes": list(self.own_attributes),
        }


@dataclass(frozen=True, slots=True)
class Related:
    """A table around the item whose rows are matched by attributes and never identify the item."""

    table: str
    field: str
    attributes: tuple[str, ...]
    kind: Kind
    pointer: Kind


@dataclass(slots=True)
class Rule:
    """The identification rule of a class."""

    sys_id: str
    name: str
    applies_to: str
    independent: bool
    entries: tuple[Entry, ...] = ()
    related: dict[str, Related] = field(default_factory=dict)
    lookups: dict[str, Entry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dependency:
    """`dependent` needs `host`; says which end of the relation it takes."""

    dependent: str
    host: str
    type: str
    """sys_id of the relation type."""
    dependent_is_parent: bool


class Rulebook:
    """All rules, asked by class."""

    def __init__(self, tables: Tables, records: Mapping[str, Iterable[Record]], kind_for: KindFor) -> None:
        self.tables = tables
        self.type_names: dict[str, list[str]] = {}
        self.type_by_id: dict[str, str] = {}
        for record in records["cmdb_rel_type"]:
            self.type_names.setdefault(record.values["name"], []).append(record.sys_id)
            self.type_by_id[record.sys_id] = record.values["name"]
        self._own = self._read_rules(records, kind_for)
        self.dependencies = _read_dependencies(records)
        self._rules: dict[str, Rule | None] = {}
        self._dependent: dict[str, tuple[Dependency, ...]] = {}

    def rule(self, cls: str) -> Rule | None:
        """The rule of the class or of its nearest ancestor; an own rule replaces the inherited one (documented)."""
        if cls not in self._rules:
            table = self.tables.get(cls)
            self._rules[cls] = next((self._own[c] for c in table.path if c in self._own), None) if table else None
        return self._rules[cls]

    def chain(self, rule: Rule) -> tuple[Entry, ...]:
        """Its entries and, where an entry of a dependent rule allows it, those of the parent's rule (documented)."""
        entries = rule.entries
        if not rule.independent and any(entry.fallback for entry in entries):
            parent = self.rule(self.tables[rule.applies_to].parent)
            if parent is not None and not parent.independent:
                entries += self.chain(parent)
        return entries

    def dependencies_of(self, cls: str) -> tuple[Dependency, ...]:
        """The hosts that the class may have, by its own and its ancestors' rules."""
        if cls not in self._dependent:
            path = self.tables[cls].path
            self._dependent[cls] = tuple(d for d in self.dependencies if d.dependent in path)
        return self._dependent[cls]

    def kinds(self) -> set[Kind]:
        """Every search key that some rule asks for."""
        found: set[Kind] = set()
        for rule in self._own.values():
            for entry in rule.entries:
                if rule.independent or entry.field:
                    found.add(entry.kind)
                found.update(kind for kind in (entry.pointer, entry.own) if kind)
            for related in rule.related.values():
                found.add(related.pointer)
        return found

    def _read_rules(self, records: Mapping[str, Iterable[Record]], kind_for: KindFor) -> dict[str, Rule]:
        rules: dict[str, Rule] = {}
        by_id: dict[str, Rule] = {}
        for record in records["cmdb_identifier"]:
            v = record.values
            if v.get("active") == "false" or v.get("applies_to", "") not in self.tables:
                continue
            rule = Rule(record.sys_id, v.get("name", ""), v["applies_to"], v.get("independent") == "true")
            rules[rule.applies_to] = by_id[record.sys_id] = rule
        entries: dict[str, list[Entry]] = {}
        for record in records["cmdb_identifier_entry"]:
            owner = by_id.get(record.values.get("identifier", ""))
            if owner is not None and record.values.get("active") != "false":
                entries.setdefault(record.values["identifier"], []).append(_entry(record, owner, kind_for))
        for sys_id, found in entries.items():
            rule = by_id[sys_id]
            rule.entries = tuple(sorted(found, key=lambda entry: (entry.order, entry.sys_id)))
            for entry in rule.entries:
                if entry.field:
                    rule.lookups.setdefault(entry.table, entry)
        for record in records["cmdb_related_entry"]:
            v = record.values
            owner = by_id.get(v.get("identifier", ""))
            if owner is not None and v.get("active") != "false":
                table, column, attributes = v["related_table"], v["referenced_field"], _split(v.get("attributes", ""))
                owner.related[table] = Related(
                    table, column, attributes, kind_for(table, attributes, True), kind_for(table, (column,), False)
                )
        return rules


def _entry(record: Record, rule: Rule, kind_for: KindFor) -> Entry:
    v = record.values
    table, column, attributes = (
        v.get("table", rule.applies_to),
        v.get("referenced_field", ""),
        _split(v.get("attributes", "")),
    )
    allow_null = v.get("allow_null_attribute") == "true"
    own = _split(v.get("hybrid_entry_ci_criterion_attributes", ""))
    condition = v.get("optional_condition", "")
    return Entry(
        record.sys_id,
        rule.name,
        table,
        attributes,
        int(v.get("order", "100") or 100),
        allow_null,
        v.get("exact_count_match", "true") != "false",
        v.get("allow_fallback") == "true",
        parse(condition) if condition else None,
        condition,
        column,
        own,
        kind_for(table, attributes, allow_null),
        kind_for(table, (column,), False) if column else None,
        kind_for(rule.applies_to, own, False) if own else None,
    )


def _read_dependencies(records: Mapping[str, Iterable[Record]]) -> tuple[Dependency, ...]:
    found = []
    for record in records["cmdb_metadata_hosting"]:
        v = record.values
        found.append(Dependency(v["parent_type"], v["child_type"], v["rel_type"], v.get("is_reverse") != "true"))
    containment = {record.sys_id: record.values for record in records["cmdb_metadata_containment"]}
    for v in containment.values():
        # observed: a row without parent is a root, not a pair
        container = containment.get(v.get("parent_id", ""))
        if container is not None:
            found.append(Dependency(v["ci_type"], container["ci_type"], v["rel_type"], v.get("is_reverse") == "true"))
    return tuple(found)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
