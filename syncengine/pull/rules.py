"""The rules of the engine: who identifies what, who lives in whom, whose values count.

Tables: documented by name (c_IdentificationRules, c_ServiceRulesMetadata, create-reconciliation-rule, Australia);
columns of cmdb_metadata_hosting and _containment observed on an instance, those of the others inferred. Where
identification rules cannot be read, those of the chosen classes come from the CMDB Meta API (documented).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from syncengine.pull.asking import ADMIN, Asking, Row
from syncengine.pull.tables import Structure

CONFIGURATION: Mapping[str, Sequence[str]] = {
    "cmdb_reconciliation_definition": ("applies_to", "discovery_source", "attributes", "order", "priority", "active",
                                       "condition", "null_update"),
    "cmdb_datasource_precedence": ("applies_to", "discovery_source", "order", "active"),
    "cmdb_datasource_staleness": ("applies_to", "discovery_source", "effective_duration", "active"),
    "cmdb_ire_data_source_rule": ("applies_to", "discovery_source", "operation", "active"),
    "cmdb_ire_reclassification_restriction": ("name", "from_class", "to_class", "restriction", "active"),
    "cmdb_ire_inclusion_rule": ("name", "applies_to", "condition", "active"),
}  # fmt: skip
"""Tables of rules that are pulled row by row; none ships, so an empty list may be the truth."""
PROPERTIES = ("glide.identification_engine.", "glide.class.", "glide.reconciliation.", "glide.required.attribute.",
              "com.glide.attachment.max_size", "glide.attachment.extensions")  # fmt: skip
"""Beginnings of the properties that change what a plan says (properties-id-reconciliation)."""
_RULE = ("name", "applies_to", "independent", "active")
_ENTRY = ("identifier", "table", "attributes", "order", "active", "allow_null_attribute", "allow_fallback",
          "optional_condition", "exact_count_match", "referenced_field",
          "hybrid_entry_ci_criterion_attributes")  # fmt: skip
_RELATED = ("identifier", "related_table", "attributes", "referenced_field", "order", "active")
_ITIL = "role itil"


def relation_types(asking: Asking) -> dict[str, str] | None:
    """Names of relation types with their sys_id."""
    rows = asking.rows("cmdb_rel_type", "", ("name",), what="relation types", role=_ITIL, ships=True)
    if rows is None:
        return None
    found: dict[str, str] = {}
    for row in rows:
        if row.get("name"):
            found.setdefault(row["name"], row["sys_id"])
    return {name: found[name] for name in sorted(found)}


def hosting(asking: Asking, types: Mapping[str, str]) -> list[dict[str, Any]] | None:
    """Hosting rules as a seed has them."""
    fields = ("parent_type", "child_type", "rel_type", "is_reverse")
    rows = asking.rows("cmdb_metadata_hosting", "", fields, what="hosting rules", role=_ITIL, ships=True)
    if rows is None:
        return None
    names = {sys_id: name for name, sys_id in types.items()}
    pairs = [(row.get("parent_type", ""), row.get("rel_type", ""), row.get("child_type", ""), row) for row in rows]
    return _dependencies(pairs, names)


def containment(asking: Asking, types: Mapping[str, str]) -> list[dict[str, Any]] | None:
    """Containment rules as a seed has them: pairs, whose container stands in another row."""
    fields = ("ci_type", "rel_type", "parent_id", "is_reverse")
    rows = asking.rows("cmdb_metadata_containment", "", fields, what="containment rules", role=_ITIL, ships=True)
    if rows is None:
        return None
    names = {sys_id: name for name, sys_id in types.items()}
    owners = {row["sys_id"]: row.get("ci_type", "") for row in rows}
    pairs = [(owners.get(row.get("parent_id", ""), ""), row.get("rel_type", ""), row["ci_type"], row) for row in rows]
    return _dependencies(pairs, names)


def _dependencies(pairs: Sequence[tuple[str, str, str, Row]], names: Mapping[str, str]) -> list[dict[str, Any]]:
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for parent, kind, child, row in pairs:
        name = names.get(kind, "")
        if parent and child and name:
            rule: dict[str, Any] = {"parent": parent, "type": name, "child": child}
            if row.get("is_reverse") == "true":
                rule["reverse"] = True
            found.setdefault((parent, name, child), rule)
    return [found[key] for key in sorted(found)]


def identification(asking: Asking, tables: Structure, chosen: Collection[str]) -> tuple[list[dict[str, Any]], bool]:
    """Identification rules as a seed has them, and whether these are all that the instance has."""
    what = "identification rules"
    rules = asking.rows("cmdb_identifier", "", _RULE, what=what, ships=True)
    entries = None if rules is None else asking.rows("cmdb_identifier_entry", "", _ENTRY, what=what, ships=True)
    if rules is None or entries is None:
        return _from_meta(tables, chosen), False
    related = asking.rows("cmdb_related_entry", "", _RELATED, what="related entries")
    made = {}
    for row in rules:
        if row.get("active") == "false" or not row.get("applies_to"):
            continue
        own = [one for one in entries if one.get("identifier") == row["sys_id"]]
        around = [one for one in related or () if one.get("identifier") == row["sys_id"]]
        made[row["applies_to"]] = {
            "name": row.get("name", ""),
            "applies_to": row["applies_to"],
            "sys_id": row["sys_id"],
            "independent": row.get("independent") == "true",
            "entries": [_entry(one, row["applies_to"]) for one in _in_force(own)],
            **({"related": [_related(one) for one in _in_force(around)]} if around else {}),
        }
    return [made[name] for name in sorted(made)], related is not None


def _in_force(rows: Sequence[Row]) -> list[Row]:
    active = [row for row in rows if row.get("active") != "false"]
    return sorted(active, key=lambda row: (_number(row.get("order")), row["sys_id"]))


def _entry(row: Row, applies_to: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "order": _number(row.get("order")),
        "attributes": _split(row.get("attributes", "")),
        "sys_id": row["sys_id"],
    }
    if row.get("table") not in (None, "", applies_to):
        made["table"] = row["table"]
    for key, column in (("field", "referenced_field"), ("condition", "optional_condition")):
        if row.get(column):
            made[key] = row[column]
    if row.get("hybrid_entry_ci_criterion_attributes"):
        made["own_attributes"] = _split(row["hybrid_entry_ci_criterion_attributes"])
    made |= {
        key: True
        for key, column in (("allow_null", "allow_null_attribute"), ("fallback", "allow_fallback"))
        if row.get(column) == "true"
    }
    if row.get("exact_count_match") == "false":
        made["exact"] = False
    return made


def _related(row: Row) -> dict[str, Any]:
    return {
        "table": row.get("related_table", ""),
        "field": row.get("referenced_field", ""),
        "attributes": _split(row.get("attributes", "")),
        "order": _number(row.get("order")),
        "sys_id": row["sys_id"],
    }


def _from_meta(tables: Structure, chosen: Collection[str]) -> list[dict[str, Any]]:
    made: dict[str, dict[str, Any]] = {}
    for name in sorted(chosen):
        found = (tables.meta(name) or {}).get("identification_rules") or {}
        applies_to = str(found.get("applies_to") or "")
        if not applies_to or applies_to in made:
            continue
        entries, related = [], []
        for one in found.get("identifiers") or ():
            row = {
                "sys_id": "",
                "order": str(one.get("order") or ""),
                "attributes": str(one.get("attributes") or ""),
                "table": str(one.get("table") or ""),
                "referenced_field": str(one.get("referenced_field") or ""),
                "optional_condition": str(one.get("condition") or ""),
                "allow_null_attribute": str(one.get("allow_null_attribute")).lower(),
                "allow_fallback": str(one.get("allow_fallback")).lower(),
                # the documented example says false for entries without rows to count
                "exact_count_match": str(one.get("exact_count_match")).lower() if one.get("referenced_field") else "",
            }
            entries.append({key: value for key, value in _entry(row, applies_to).items() if key != "sys_id"})
        for one in found.get("related_rules") or ():
            part = {"table": str(one.get("table") or ""), "field": str(one.get("referenced_field") or "")}
            related.append({**part, "attributes": _split(str(one.get("attributes") or ""))})
        made[applies_to] = {
            "name": str(found.get("name") or ""),
            "applies_to": applies_to,
            "independent": str(found.get("is_independent")).lower() == "true",
            "entries": entries,
            **({"related": related} if related else {}),
        }
    return [made[name] for name in sorted(made)]


def configuration(asking: Asking) -> dict[str, list[Row]]:
    """Active reconciliation rules and what belongs to them, by table."""
    found = {}
    for table, fields in CONFIGURATION.items():
        rows = asking.rows(table, "", fields, what=table, role=f"{_ITIL} or {ADMIN}")
        kept = [{k: v for k, v in row.items() if v != ""} for row in rows or () if row.get("active") != "false"]
        if kept:
            found[table] = kept
    return found


def properties(asking: Asking) -> dict[str, str]:
    """System properties that change what a plan says."""
    query = "^OR".join(f"nameSTARTSWITH{name}" for name in PROPERTIES)
    rows = asking.rows("sys_properties", query, ("name", "value"), what="properties of the engine")
    if rows is not None and not rows:
        asking.note(
            "properties of the engine",
            "no row of sys_properties can be seen: the documented defaults hold",
            f"ask the admin for read access to sys_properties: {ADMIN}",
        )
    return {row["name"]: row.get("value", "") for row in sorted(rows or (), key=lambda one: one.get("name", ""))}


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 100
