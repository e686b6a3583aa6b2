"""What the sections of a seed document say, as rows of tables; and what goes where a section is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from syncengine.sandbox import catalog, maps
from syncengine.sandbox.store import RELATIONS, STAGING, Record
from syncengine.sandbox.world import World

Rows = Iterator[catalog.Row]
CMDB = "cmdb"
"""The root of all classes."""


class SeedError(ValueError):
    """A seed document that cannot be applied."""


def _other_tables(world: World, document: Mapping[str, Any]) -> Iterator[Record]:
    given = document["tables"]
    gone = {
        table.name
        for table in world.tables
        if table.root == CMDB and table.name not in given and not world.store.count(*table.below)
    }
    for record in world.store.all("sys_db_object"):
        if record.values["name"] in given or record.values["name"] in gone:
            yield record
    for record in world.store.all("sys_dictionary"):
        name = record.values["name"]
        if name in gone or "columns" in given.get(name, ()):
            yield record


def _other_choices(world: World, document: Mapping[str, Any]) -> Iterator[Record]:
    columns = document["choices"]
    tables = {name for name, table in document.get("tables", {}).items() if "columns" in table}
    for record in world.store.all("sys_choice"):
        table, element = record.values.get("name", ""), record.values.get("element", "")
        if table in tables or f"{table}.{element}" in columns:
            yield record


def _other_types(world: World, document: Mapping[str, Any]) -> Iterator[Record]:
    given = document["relation_types"]
    return (record for record in world.store.all("cmdb_rel_type") if record.values["name"] not in given)


def _all_of(*tables: str) -> Callable[[World, Mapping[str, Any]], Iterator[Record]]:
    return lambda world, _document: (record for table in tables for record in world.store.all(table))


WHOLE: dict[str, Callable[[World, Mapping[str, Any]], Iterator[Record]]] = {
    "tables": _other_tables,
    "choices": _other_choices,
    "relation_types": _other_types,
    "rules": _all_of("cmdb_identifier", "cmdb_identifier_entry", "cmdb_related_entry"),
    "hosting": _all_of("cmdb_metadata_hosting"),
    "containment": _all_of("cmdb_metadata_containment"),
}


def _choices(_world: World, section: Any) -> Rows:
    for column, values in section.items():
        table, _, element = column.partition(".")
        pairs = values.items() if isinstance(values, Mapping) else ((value, value) for value in values)
        for value, label in pairs:
            yield catalog.choice_row(table, element, as_text(value), as_text(label))


def _properties(_world: World, section: Any) -> Rows:
    for name, value in section.items():
        yield catalog.property_row(name, as_text(value))


def _tables(world: World, section: Any) -> Rows:
    for name, table in section.items():
        parent = table.get("parent", "")
        if parent and parent not in world.tables and parent not in section:
            raise SeedError(f"tables.{name}: there is no table {parent!r} to extend")
        yield from catalog.table_rows(
            name,
            table.get("label", name),
            parent,
            table.get("columns", {}),
            table.get("display", ""),
            table.get("defaults"),
        )


def _staging(world: World, section: Any) -> Rows:
    for name, table in section.items():
        known = world.tables.get(name)
        if known is not None and STAGING not in known.path:
            raise SeedError(f"staging.{name}: this table exists and is no staging table")
        if known is None and not (isinstance(table, Mapping) and table.get("columns")):
            raise SeedError(f"staging.{name}: there is no such table, and no columns are given to make it")
        if isinstance(table, Mapping) and "maps" in table:
            old = {r.sys_id: r for r in world.store.all("sys_transform_map") if r.values.get("source_table") == name}
            for kind in ("sys_transform_entry", "sys_transform_script"):
                for record in list(world.store.all(kind)):
                    if record.values.get("map") in old:
                        world.store.delete(record)
            for record in old.values():
                world.store.delete(record)
        yield from maps.staging_rows(name, table)


def _columns(world: World, section: Any) -> Rows:
    for table, columns in section.items():
        if table not in world.tables:
            raise SeedError(f"columns: there is no table {table!r}")
        yield from catalog.column_rows(table, columns)


def _relation_types(world: World, section: Any) -> Rows:
    """A type with a sys_id takes the place of the one of that name, and what refers to it follows."""
    for name in section:
        sys_id = section[name] if isinstance(section, Mapping) else ""
        for old in world.rules.type_names.get(name, ()) if sys_id else ():
            record = world.store.get("cmdb_rel_type", old)
            if record is not None and old != sys_id:
                world.store.delete(record)
                for table, column in _TYPED:
                    for row in list(world.store.all(table)):
                        if row.values.get(column) == old:
                            yield table, {"sys_id": row.sys_id, column: sys_id}
        if sys_id or name not in world.rules.type_names:
            yield catalog.relation_type_row(name, sys_id)


_TYPED = (("cmdb_metadata_hosting", "rel_type"), ("cmdb_metadata_containment", "rel_type"), (RELATIONS, "type"))


def _rules(world: World, section: Any) -> Rows:
    for rule in section:
        if rule["applies_to"] not in world.tables:
            raise SeedError(f"rules: there is no class {rule['applies_to']!r}")
        old = [r for r in world.store.all("cmdb_identifier") if r.values.get("applies_to") == rule["applies_to"]]
        ids = {record.sys_id for record in old}
        for table in ("cmdb_identifier_entry", "cmdb_related_entry"):
            # a seeded rule replaces the one of its class with all its entries
            old += [record for record in world.store.all(table) if record.values.get("identifier") in ids]
        for record in old:
            world.store.delete(record)
        yield from catalog.rule_rows(rule)


def _hosting(world: World, section: Any) -> Rows:
    yield from catalog.dependency_rows(section, (), _types(world))


def _containment(world: World, section: Any) -> Rows:
    yield from catalog.dependency_rows((), section, _types(world))


def _access(world: World, section: Any) -> Rows:
    for rule in section:
        api, table = rule.get("api", ""), rule.get("table", "")
        if not api and table not in world.tables:
            raise SeedError(f"access: there is no table {table!r}")
        operations = _listed(rule.get("operation", "read"))
        names = [api] if api else [f"{table}.{column}" for column in rule.get("columns", ())] or [table]
        for name in names:
            for operation in ["execute"] if api else operations:
                yield catalog.access_row(
                    name,
                    operation,
                    ",".join(_listed(rule.get("roles", ()))),
                    type="REST_Endpoint" if api else "record",
                    methods=",".join(_listed(rule.get("methods", ()))),
                    condition=rule.get("condition", ""),
                )


def _inclusion(_world: World, section: Any) -> Rows:
    for rule in section:
        values = {"name": "Inclusion", "active": "true", **{name: as_text(value) for name, value in rule.items()}}
        sys_id = catalog.fixed_id("cmdb_ire_inclusion_rule", rule["applies_to"], rule.get("condition", ""))
        yield "cmdb_ire_inclusion_rule", {"sys_id": sys_id, **values}


def _listed(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else [str(one) for one in given]


def _types(world: World) -> dict[str, str]:
    return {name: ids[0] for name, ids in world.rules.type_names.items()}


SECTIONS: dict[str, Callable[[World, Any], Rows]] = {
    "tables": _tables,
    "staging": _staging,
    "columns": _columns,
    "choices": _choices,
    "properties": _properties,
    "relation_types": _relation_types,
    "rules": _rules,
    "hosting": _hosting,
    "containment": _containment,
    "access": _access,
    "inclusion": _inclusion,
}


def as_text(value: object) -> str:
    """What a seed says, as a column keeps it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
