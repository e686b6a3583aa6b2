"""From what is wanted to one seed document."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from syncengine.pull import maps, rules
from syncengine.pull.asking import Asking, Missing, Row
from syncengine.pull.records import Sample
from syncengine.pull.tables import CMDB, OWN, Structure
from syncengine.transport.reader import Reader

USERS = "sys_user"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to pull."""

    classes: Collection[str] = ()
    """CI classes that specs write."""
    parts: Collection[str] = ()
    """Tables of lookup and related items that specs write."""
    read: Collection[str] = ()
    """Tables in which specs look records up."""
    staging: Collection[str] = ()
    """Staging tables that specs write."""
    tables: Mapping[str, str] = field(default_factory=dict)
    """Tables that a person named, each with an encoded query that chooses its records."""
    records: int = 20
    """How many records of each table."""

    @property
    def is_nothing(self) -> bool:
        """Whether no table is wanted at all."""
        return not (self.classes or self.parts or self.read or self.staging or self.tables)


@dataclass(frozen=True, slots=True)
class Pulled:
    """A seed document, and what it lacks."""

    document: Mapping[str, Any]
    missing: Sequence[Missing]
    unknown: Sequence[str]
    """Wanted tables that the instance does not have, or does not show."""

    def counts(self) -> dict[str, int]:
        """How much there is of what."""
        document = self.document
        tables = document.get("tables", {})
        records = document.get("records", {})
        entries = [one for table in document.get("staging", {}).values() for one in table.get("maps", ())]
        data = {name: rows for name, rows in records.items() if name not in OWN}
        return {
            "tables": len(tables),
            "tables with columns": sum("columns" in table for table in tables.values()),
            "columns": sum(len(table.get("columns", ())) for table in tables.values()),
            "choices": sum(map(len, document.get("choices", {}).values())),
            "data sources": len(document.get("choices", {}).get("cmdb_ci.discovery_source", ())),
            "relation types": len(document.get("relation_types", ())),
            "identification rules": len(document.get("rules", ())),
            "dependency rules": len(document.get("hosting", ())) + len(document.get("containment", ())),
            "reconciliation and other rules": sum(len(records.get(name, ())) for name in rules.CONFIGURATION),
            "properties": len(document.get("properties", ())),
            "transform maps": len(entries),
            "field maps": sum(len(one["fields"]) for one in entries),
            "records": sum(map(len, data.values())),
            "relations": len(records.get("cmdb_rel_ci", ())),
            "source keys": len(records.get("sys_object_source", ())),
        }


def pull(reader: Reader, wanted: Wanted, *, on_rows: Callable[[int], None] = lambda _number: None) -> Pulled:
    """Read an instance; raises AuthError for a refused login, RemoteError for an instance that does not answer.

    What one may not read is noted and left out: the sandbox then keeps what it ships with.
    """
    asking = Asking(reader, on_rows)
    tables = Structure(asking)
    for name in wanted.staging:
        tables.mark_staging(name)
    named = [*wanted.classes, *wanted.parts, *wanted.read, *wanted.staging, *wanted.tables]
    unknown = sorted({name for name in named if not tables.path(name)})
    known = [name for name in dict.fromkeys(named) if name not in unknown]
    if any(CMDB in tables.path(name) or name.startswith("cmdb_") for name in known):
        known.append("cmdb_ci")
    tables.load(known)
    document: dict[str, Any] = {"whole": []}
    whole: list[str] = document["whole"]

    types = rules.relation_types(asking)
    hosting = rules.hosting(asking, types or {}) if types else None
    containment = rules.containment(asking, types or {}) if types else None
    classes = [name for name in known if CMDB in tables.path(name)]
    identification, all_rules = rules.identification(asking, tables, classes)
    configuration = rules.configuration(asking)

    staged = sorted({name for name in known if tables.is_staging(name)})
    staging = maps.staging(asking, staged) if staged else {}
    targets = {one["target"] for table in staging.values() for one in table["maps"] if tables.path(one["target"])}
    tables.load(targets)
    referenced = _referenced(tables, staging)
    tables.load(referenced)
    for name in staged:
        sources = _sources(staging.get(name, {}))
        tables.infer(name, sources)

    sample = Sample(asking, tables, wanted.records)
    pairs = [*_sides(hosting or (), "parent"), *_sides(containment or (), "child")]
    if wanted.records:
        _sample(sample, wanted, tables, [*known, *sorted(targets), *referenced])
        sample.hosts(pairs, types or {})
        for table, column in _parts(identification, sample, tables, wanted):
            if tables.path(table):
                sample.parts(table, column)

    given = tables.section()
    document["tables"] = given
    if tables.tree_read and tables.columns:
        whole.append("tables")
    choices = tables.choices()
    if choices is not None:
        document["choices"] = choices
        whole.append("choices")
    document["properties"] = rules.properties(asking)
    for name, section in (("relation_types", types), ("hosting", hosting), ("containment", containment)):
        if section is not None:
            document[name] = section
            whole.append(name)
    document["rules"] = [rule for rule in identification if rule["applies_to"] in given]
    if all_rules:
        whole.append("rules")
    document["staging"] = {name: table for name, table in staging.items() if name in given}
    records: dict[str, list[Row]] = {**configuration, **sample.section()}
    if wanted.records and sample.cis:
        records["cmdb_rel_ci"] = sample.relations() if types else []
        records["sys_object_source"] = sample.sources()
        if "cmdb_reconciliation_definition" in configuration:
            records["cmdb_datasource_last_update"] = sample.written()
    document["records"] = {name: rows for name, rows in records.items() if rows}
    kept = {name: section for name, section in document.items() if section or name in whole}
    return Pulled(kept, asking.missing, unknown)


def _sample(sample: Sample, wanted: Wanted, tables: Structure, names: Sequence[str]) -> None:
    for name in dict.fromkeys(names):
        is_named = name in wanted.tables
        if name in OWN or tables.is_staging(name) or (name == USERS and not is_named):
            continue
        if is_named or name != "cmdb_ci":
            sample.take(name, wanted.tables.get(name, ""))


def _referenced(tables: Structure, staging: Mapping[str, Any]) -> list[str]:
    """The tables in which the maps look records up."""
    found = []
    for table in staging.values():
        for one in table["maps"]:
            columns = tables.all_columns(one["target"])
            for target in one["fields"]:
                reference = columns.get(target, {}).get("type", "").partition(":")[2]
                if reference:
                    found.append(reference)
    return [name for name in dict.fromkeys(found) if tables.path(name)]


def _sources(table: Mapping[str, Any]) -> list[str]:
    fields = [field for one in table.get("maps", ()) for field in one["fields"].values()]
    return [field if isinstance(field, str) else field["source"] for field in fields if field and "script" not in field]


def _sides(section: Sequence[Mapping[str, Any]], usual: str) -> list[dict[str, Any]]:
    """Dependency rules as relations are: parent, type, child, and which of the two depends on the other.

    A hosting row names the dependent first, a containment row the container; `reverse` turns the relation around.
    """
    found = []
    for rule in section:
        parent, child, dependent = rule["parent"], rule["child"], usual
        if rule.get("reverse"):
            parent, child = child, parent
            dependent = "child" if usual == "parent" else "parent"
        found.append({"parent": parent, "type": rule["type"], "child": child, "dependent": dependent})
    return found


def _parts(
    identification: Sequence[Mapping[str, Any]], sample: Sample, tables: Structure, wanted: Wanted
) -> list[tuple[str, str]]:
    """Tables whose rows identify CIs of the sample, or that specs write beside them, with the column of the CI."""
    paths = {one for name in sample.taken for one in tables.path(name)}
    found: dict[str, str] = {}
    for rule in identification:
        if rule["applies_to"] not in paths:
            continue
        for entry in rule["entries"]:
            if entry.get("field"):
                found.setdefault(entry.get("table", rule["applies_to"]), entry["field"])
        for part in rule.get("related", ()):
            if part["table"] in wanted.parts:
                found.setdefault(part["table"], part["field"])
    return sorted(found.items())
