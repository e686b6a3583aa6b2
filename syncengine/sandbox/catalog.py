"""What a new sandbox holds: the shipped tables, rules, choices and relation types, as records.

The files in `data/` carry facts and where they come from; here they become rows of the tables in which an instance
keeps them, so that a client reads them as it would read an instance's, and a seed can change them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import md5
from importlib import resources
from typing import Any

import yaml

Row = tuple[str, dict[str, str]]
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SYSTEM_COLUMNS: dict[str, str] = {
    "sys_id": "GUID",
    "sys_created_on": "glide_date_time",
    "sys_created_by": "string",
    "sys_updated_on": "glide_date_time",
    "sys_updated_by": "string",
    "sys_mod_count": "integer",
    "sys_tags": "related_tags",
}
# inferred: the defaults that the shipped dictionary gives a new item
_DEFAULTS = {("cmdb_ci", "install_status"): "1", ("cmdb_ci", "operational_status"): "1"}


@cache
def data(name: str) -> Any:
    """One file of the shipped data; read once, never changed."""
    return yaml.load((resources.files("syncengine.sandbox") / "data" / f"{name}.yaml").read_text("utf-8"), _LOADER)  # noqa: S506


def calculated(table: str) -> Mapping[str, list[str]]:
    """Columns that the service makes of others, with those."""
    found: Mapping[str, list[str]] = data("tables").get(table, {}).get("calculated", {})
    return found


def fixed_id(*parts: str) -> str:
    """A sys_id that is the same in every sandbox."""
    return md5("|".join(parts).encode(), usedforsecurity=False).hexdigest()


HARDWARE_FOURTH_ENTRY = fixed_id("cmdb_identifier_entry", "cmdb_ci_hardware", "3")


def rows() -> Iterator[Row]:
    """Every shipped record as (table, values); values hold the sys_id."""
    yield from _tables()
    yield from _relation_types()
    yield from _rules()
    yield from _dependencies()
    yield from _lists()


def table_rows(
    name: str,
    label: str,
    parent: str,
    columns: Mapping[str, Any],
    display: str = "",
    defaults: Mapping[str, str] | None = None,
) -> Iterator[Row]:
    """The rows that make a table: sys_db_object and sys_dictionary."""
    values = {"sys_id": fixed_id("sys_db_object", name), "name": name, "label": label, "is_extendable": "true"}
    if parent:
        values["super_class"] = fixed_id("sys_db_object", parent)
    yield "sys_db_object", values
    if not parent:
        columns = {**_SYSTEM_COLUMNS, **columns}
    yield from column_rows(name, columns, display, defaults or {})


def column_rows(
    table: str, columns: Mapping[str, Any], display: str = "", defaults: Mapping[str, str] | None = None
) -> Iterator[Row]:
    """The dictionary rows of some columns: `name: type[:reference]`, `name: [type, label, max_length]`, or a mapping.

    A mapping says everything: `{type, label, length, default, mandatory, read_only, display}`; what it leaves out is
    not so.
    """
    for element, given in columns.items():
        told: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
        if told:
            kind, label, length = told["type"], told.get("label"), told.get("length")
        else:
            kind, label, length = given if isinstance(given, list) else (given, None, None)
        kind, _, reference = kind.partition(":")
        values = {
            "sys_id": fixed_id("sys_dictionary", table, element),
            "name": table,
            "element": element,
            "column_label": label or element.replace("_", " ").capitalize(),
            "internal_type": kind,
            "max_length": str(length or (32 if kind in ("reference", "GUID") else 40)),
            "active": "true",
            "mandatory": _text(told.get("mandatory", False)),
            "read_only": _text(told.get("read_only", element in _SYSTEM_COLUMNS)),
        }
        if reference:
            values["reference"] = reference  # observed: the column holds the name of the table, not its sys_id
        if element == display or told.get("display"):
            values["display"] = "true"
        usual = "" if told else _DEFAULTS.get((table, element), "")
        default = told.get("default") or (defaults or {}).get(element) or usual
        if default:
            values["default_value"] = default
        yield "sys_dictionary", values


def _tables() -> Iterator[Row]:
    columns = data("columns")
    for name, (label, parent, _basis) in data("classes").items():
        own = columns.get(name, {})
        if name == "cmdb_ci":
            yield from table_rows(
                name, label, parent, {c: t for c, t in own.items() if c not in _SYSTEM_COLUMNS}, "name"
            )
        else:
            yield from table_rows(name, label, parent or "", own)
    for name, table in data("tables").items():
        yield from table_rows(
            name,
            table["label"],
            table.get("parent", ""),
            table["columns"],
            table.get("display", ""),
            table.get("defaults"),
        )


@cache
def _type_ids() -> dict[str, str]:
    return {t["name"]: t.get("sys_id") or fixed_id("cmdb_rel_type", t["name"]) for t in data("relation_types")}


def relation_type_row(name: str, sys_id: str = "") -> Row:
    """The row of one relation type; parent and child descriptors are the halves of its name."""
    parent, _, child = name.partition("::")
    values = {"name": name, "parent_descriptor": parent, "child_descriptor": child}
    return "cmdb_rel_type", {"sys_id": sys_id or fixed_id("cmdb_rel_type", name), **values}


def _relation_types() -> Iterator[Row]:
    for name, sys_id in _type_ids().items():
        yield relation_type_row(name, sys_id)


def rule_rows(rule: Mapping[str, Any]) -> Iterator[Row]:
    """The rows of one identification rule: the rule, its entries, its related entries."""
    cls = rule["applies_to"]
    identifier = rule.get("sys_id") or fixed_id("cmdb_identifier", cls)
    yield (
        "cmdb_identifier",
        {
            "sys_id": identifier,
            "name": rule["name"],
            "applies_to": cls,
            "independent": _text(rule["independent"]),
            "active": _text(rule.get("active", True)),
        },
    )
    for number, entry in enumerate(rule["entries"]):
        values = {
            "sys_id": entry.get("sys_id") or fixed_id("cmdb_identifier_entry", cls, str(number)),
            "identifier": identifier,
            "table": entry.get("table", cls),
            "attributes": ",".join(entry["attributes"]),
            "order": str(entry["order"]),
            "active": _text(entry.get("active", True)),
            "allow_null_attribute": _text(entry.get("allow_null", False)),
            "allow_fallback": _text(entry.get("fallback", False)),
            "exact_count_match": _text(entry.get("exact", True)),
        }
        for key, column in (("field", "referenced_field"), ("condition", "optional_condition")):
            if entry.get(key):
                values[column] = entry[key]
        if entry.get("own_attributes"):
            values["hybrid_entry_ci_criterion_attributes"] = ",".join(entry["own_attributes"])
        yield "cmdb_identifier_entry", values
    for number, entry in enumerate(rule.get("related", ())):
        yield (
            "cmdb_related_entry",
            {
                "sys_id": entry.get("sys_id") or fixed_id("cmdb_related_entry", cls, entry["table"]),
                "identifier": identifier,
                "related_table": entry["table"],
                "referenced_field": entry["field"],
                "attributes": ",".join(entry["attributes"]),
                "order": str(entry.get("order", 100 * (number + 1))),
                "active": _text(entry.get("active", True)),
            },
        )


def _rules() -> Iterator[Row]:
    for rule in data("rules"):
        yield from rule_rows(rule)


def dependency_rows(hosting: Any, containment: Any, types: Mapping[str, str]) -> Iterator[Row]:
    """Hosting rows are pairs; a containment row names another row as its parent (observed on an instance)."""
    for rule in hosting:
        yield (
            "cmdb_metadata_hosting",
            {
                "sys_id": fixed_id("cmdb_metadata_hosting", rule["parent"], rule["type"], rule["child"]),
                "parent_type": rule["parent"],
                "child_type": rule["child"],
                "rel_type": types[rule["type"]],
                "is_reverse": _text(rule.get("reverse", False)),
            },
        )
    for rule in containment:
        # one root row per container keeps the pairs apart: longer chains meet in the class, not in the row
        root = fixed_id("cmdb_metadata_containment", rule["parent"])
        yield "cmdb_metadata_containment", {"sys_id": root, "ci_type": rule["parent"], "is_reverse": "false"}
        yield (
            "cmdb_metadata_containment",
            {
                "sys_id": fixed_id("cmdb_metadata_containment", rule["parent"], rule["type"], rule["child"]),
                "ci_type": rule["child"],
                "parent_id": root,
                "rel_type": types[rule["type"]],
                "is_reverse": _text(rule.get("reverse", False)),
            },
        )


def _dependencies() -> Iterator[Row]:
    rules = data("dependencies")
    seen = set()
    for table, values in dependency_rows(rules["hosting"], rules["containment"], _type_ids()):
        if values["sys_id"] not in seen:
            seen.add(values["sys_id"])
            yield table, values


def choice_row(table: str, element: str, value: str, label: str) -> Row:
    """One choice of one column."""
    return (
        "sys_choice",
        {
            "sys_id": fixed_id("sys_choice", table, element, value),
            "name": table,
            "element": element,
            "value": value,
            "label": label,
            "language": "en",
            "inactive": "false",
        },
    )


def property_row(name: str, value: str) -> Row:
    """One system property."""
    return "sys_properties", {"sys_id": fixed_id("sys_properties", name), "name": name, "value": value}


def access_row(name: str, operation: str, roles: str, **more: str) -> Row:
    """One access rule; who has none of the roles (comma list) does not get through it."""
    parts = (name, operation, roles, more.get("condition", ""), more.get("methods", ""))
    values = {"name": name, "type": "record", "operation": operation, "roles": roles, "active": "true", **more}
    return "sys_security_acl", {"sys_id": fixed_id("sys_security_acl", *parts), **values}


def _lists() -> Iterator[Row]:
    for column, choices in data("choices").items():
        table, element = column.split(".")
        for value, label in choices.items():
            yield choice_row(table, element, value, label)
    for name, value in data("properties").items():
        yield property_row(name, value)
    for role in ("admin", "itil", "asset", "import_transformer", "import_admin", "rest_api_explorer", "snc_read_only"):
        yield "sys_user_role", {"sys_id": fixed_id("sys_user_role", role), "name": role}
    for table, roles in data("access").items():
        # who may import is up to the staging table, not to who may read its rows
        for operation in ("read",) if "import_set" in table else ("read", "create", "write", "delete"):
            yield access_row(table, operation, roles)


def _text(value: bool | str) -> str:
    return value if isinstance(value, str) else str(value).lower()
