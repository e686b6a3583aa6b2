"""CMDB Meta API: a class, its columns and its rules (documented: cmdb-meta-api, keys as in its example)."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from syncengine.sandbox.servicenow.errors import ApiError, json_response
from syncengine.sandbox.servicenow.requests import Call
from syncengine.sandbox.tables import Column, Table
from syncengine.sandbox.world import World


def get(call: Call, name: str) -> Response:
    """Everything about one class."""
    call.need_role("itil")
    world = call.world
    table = world.tables.get(name)
    if table is None or table.root != "cmdb":
        raise ApiError(404, "No Record found", f"Class {name} does not exist")
    return json_response(
        {
            "result": {
                "icon_url": "images/app.ngbsm/default.svg",
                "icon": "",
                "is_extendable": True,
                "parent": table.parent,
                "children": sorted(table.children),
                "name": table.name,
                "label": table.label,
                "attributes": [_attribute(table, column) for column in table.columns.values()],
                "relationship_rules": _relationship_rules(world, table),
                "identification_rules": _identification_rules(world, name),
            }
        }
    )


def _attribute(table: Table, column: Column) -> dict[str, str | None]:
    return {
        "is_inherited": str(column.table != table.name).lower(),
        "is_mandatory": str(column.mandatory).lower(),
        "is_read_only": str(column.read_only).lower(),
        "default_value": column.default or None,
        "label": column.label,
        "type": column.type,
        "element": column.name,
        "max_length": str(column.max_length),
        "is_display": str(column.display).lower(),
        **({"reference": column.reference} if column.reference else {}),
    }


def _relationship_rules(world: World, table: Table) -> list[dict[str, str]]:
    rules = []
    for rule in world.rules.dependencies:
        if rule.dependent in table.path or rule.host in table.path:
            parent, child = (rule.dependent, rule.host) if rule.dependent_is_parent else (rule.host, rule.dependent)
            rules.append({"parent": parent, "relation_type": rule.type, "child": child})
    return rules


def _identification_rules(world: World, name: str) -> dict[str, Any]:
    rule = world.rules.rule(name)
    if rule is None:
        return {}
    return {
        "applies_to": rule.applies_to,
        "name": rule.name,
        "description": "",
        "active": True,
        "is_independent": rule.independent,
        "identifiers": [
            {
                "condition": entry.condition_text or None,
                "exact_count_match": bool(entry.field) and entry.exact,
                "referenced_field": entry.field or None,
                "active": True,
                "attributes": ",".join(entry.attributes),
                "allow_fallback": entry.fallback,
                "table": entry.table if entry.field else None,
                "order": entry.order,
                "allow_null_attribute": entry.allow_null,
            }
            for entry in rule.entries
        ],
        "related_rules": [
            {
                "condition": "",
                "exact_count_match": False,
                "referenced_field": related.field,
                "active": True,
                "attributes": ",".join(related.attributes),
                "allow_fallback": False,
                "table": related.table,
                "order": 100 * (number + 1),
                "allow_null_attribute": False,
            }
            for number, related in enumerate(rule.related.values())
        ],
    }
