"""Seed documents: what a sandbox should hold besides what ships, written in YAML.

choices: {cmdb_ci.discovery_source: [DC Inventory]}
properties: {glide.class.switch.enabled: "false"}
settings: {update.empty_clears: true}
tables: {u_rack_import: {label: Rack import, columns: {u_name: string}}}
staging:
  u_asset_import: {columns: {u_tag: string}, maps: [{name: Assets, target: alm_asset, fields: {asset_tag: u_tag}}]}
columns: {cmdb_ci_server: {u_team: string}}
relation_types: ["Feeds::Fed by"]                     # or, with the sys_ids of an instance, {"Feeds::Fed by": 0123…}
whole: [tables, choices, relation_types, rules, hosting, containment]
rules: [{name: Team, applies_to: cmdb_ci_team, independent: true, entries: [{order: 100, attributes: [name]}]}]
hosting: [{parent: cmdb_ci_disk, type: "Contains::Contained by", child: cmdb_ci_computer, reverse: true}]
containment: [{parent: cmdb_ci_rack, type: "Contains::Contained by", child: cmdb_ci_server}]
users: {reader: {password: secret, roles: [itil]}}
clients: {sync: {secret: s3cret, user: reader, scopes: ["table:GET"], jwt_key: "-----BEGIN PUBLIC KEY-----…"}}
api_keys: {k3y: reader}
certificates: {reader-laptop: reader}
inclusion: [{applies_to: cmdb_ci_server, condition: "install_status!=7"}]
access: [{table: cmdb_ci_server, columns: [u_cost], operation: read, roles: [finance], condition: "u_region=EMEA"}]
records:
  cmn_location: [{name: Paris, sys_id: 0123…}]
4me: {records: {people: [{Name: Ann, Primary Email: ann@example.com}]}}   # see fourme/seeding.py

`whole` names the sections that are complete: what ships and is not given there goes. Of `tables` these are the classes
below cmdb that are not given, and the columns of each table that is given with columns; of `choices` those of the
columns that are given and of the tables given with columns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import orjson
import yaml

from syncengine.sandbox import catalog, maps
from syncengine.sandbox.accounts import Accounts
from syncengine.sandbox.fourme import seeding
from syncengine.sandbox.fourme.service import Fourme
from syncengine.sandbox.ledger import content_hash
from syncengine.sandbox.store import RELATIONS, STAGING, Record
from syncengine.sandbox.world import World

Rows = Iterator[catalog.Row]
_OTHERS = {"users", "clients", "api_keys", "certificates", "settings", "records", "4me", "whole"}
CMDB = "cmdb"
"""The root of all classes."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML whose numbers stay text where a number would say it otherwise: `0064`, `9.10`, a sys_id of digits only."""


def _number(_loader: Any, node: yaml.ScalarNode) -> int | str:
    text = str(node.value)
    return int(text) if len(text) < 19 and text.isdecimal() and str(int(text)) == text else text


def _decimal(_loader: Any, node: yaml.ScalarNode) -> float | str:
    text = str(node.value)
    try:
        return float(text) if repr(float(text)) == text else text
    except ValueError:
        return text


_Loader.add_constructor("tag:yaml.org,2002:int", _number)
_Loader.add_constructor("tag:yaml.org,2002:float", _decimal)


class SeedError(ValueError):
    """A seed document that cannot be applied."""


def read(text: str) -> dict[str, Any]:
    """A seed document as YAML (or JSON)."""
    try:
        document = orjson.loads(text)  # thirty times as fast for the many records of a test
    except ValueError:
        try:
            document = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
        except yaml.YAMLError as fault:
            raise SeedError(f"not YAML: {fault}") from fault
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise SeedError("a seed is a mapping of sections")
    whole = document.get("whole", [])
    if not isinstance(whole, list) or any(section not in _WHOLE for section in whole):
        raise SeedError(f"whole: a list of sections out of {', '.join(sorted(_WHOLE))}")
    unknown = sorted(set(document) - set(_SECTIONS) - _OTHERS)
    if unknown:
        known = ", ".join(sorted({*_SECTIONS, *_OTHERS}))
        raise SeedError(f"unknown section {unknown[0]!r}; there are: {known}")
    return document


def apply(
    world: World,
    accounts: Accounts,
    document: Mapping[str, Any],
    *,
    force: bool = False,
    fourme: Fourme | None = None,
) -> bool:
    """Apply a document once: the same content again changes nothing, unless forced."""
    mark = f"seed:{content_hash(document)}"
    if not force and world.store.meta(mark):
        return False
    try:
        with world.store.transaction():
            for section, rows_of in _SECTIONS.items():
                if section in document:
                    with _reading(section):
                        if section in document.get("whole", ()):
                            _make_room(world, section, document)
                        _put(world, list(rows_of(world, document[section])))
                    world.refresh()
            with _reading("records"):
                _records(world, document.get("records", {}))
            _accounts(accounts, document)
            with _reading("settings"):
                for name, value in document.get("settings", {}).items():
                    world.settings.set(name, value)
            if "settings" in document:
                world.save_settings()
            if "4me" in document:
                with _reading("4me"):
                    seeding.apply(fourme or Fourme(world), document["4me"])
            world.store.set_meta(mark, "applied")
    except BaseException:
        world.recall()
        raise
    if "settings" in document:
        world.derive()
    return True


@contextmanager
def _reading(section: str) -> Iterator[None]:
    try:
        yield
    except SeedError:
        raise
    except ValueError as fault:
        # who says where, has said it
        raise SeedError(str(fault) if str(fault).startswith(section) else f"{section}: {fault}") from fault
    except (KeyError, TypeError, AttributeError) as fault:
        raise SeedError(f"{section}: this is not how it is written in a seed ({fault})") from fault


def _records(world: World, section: Any) -> None:
    for table, records in section.items():
        if table not in world.tables:
            raise SeedError(f"records: there is no table {table!r}")
        _put(world, list(_named(world, table, [{k: _text(v) for k, v in record.items()} for record in records or ()])))
        world.refresh()


def _named(world: World, table: str, records: list[dict[str, str]]) -> Rows:
    """The records of a table; one without a sys_id is known by its content, so a seed that grew does not make it twice.

    What has become of it since is left alone. Equal ones in one document are as many records.
    """
    met: Counter[str] = Counter()
    for record in records:
        if record.get("sys_id"):
            yield table, record
            continue
        content = orjson.dumps(record, option=orjson.OPT_SORT_KEYS).decode()
        sys_id = catalog.fixed_id("seed", table, content, str(met[content]))
        met[content] += 1
        if world.store.get(world.tables[table].root, sys_id) is None:
            yield table, {**record, "sys_id": sys_id}


def _accounts(accounts: Accounts, document: Mapping[str, Any]) -> None:
    with _reading("users"):
        for name, user in document.get("users", {}).items():
            only = bool(user.get("web_service_only"))
            accounts.set(name, str(user["password"]), user.get("roles", ()), web_service_only=only)
    with _reading("clients"):
        for name, client in document.get("clients", {}).items():
            secret, key = str(client["secret"]), str(client.get("jwt_key", ""))
            accounts.set_client(name, secret, client["user"], client.get("scopes"), key)
    with _reading("api_keys"):
        for key, user_name in document.get("api_keys", {}).items():
            accounts.set_api_key(str(key), user_name)
    with _reading("certificates"):
        for name, user_name in document.get("certificates", {}).items():
            accounts.set_certificate(str(name), user_name)


def _put(world: World, rows: list[catalog.Row]) -> None:
    """Insert rows; one whose sys_id exists is changed instead. What is given empty is empty, whatever the default."""
    now = world.clock.now()
    new: dict[tuple[str, str], Record] = {}
    changed = []
    for table_name, given in rows:
        table = world.tables[table_name]
        values = dict(given)
        sys_id = values.pop("sys_id", "") or uuid4().hex
        if (table.root, sys_id) in new:
            again = new[table.root, sys_id]
            again.values = _filled({**again.values, **values})
            continue
        existing = world.store.get(table.root, sys_id)
        if existing is not None:
            before = dict(existing.values)
            existing.values = _filled({**existing.values, **values})
            if existing.values == before:
                continue  # nothing has to be derived anew
            changed.append((existing, existing.table, before))
            continue
        values = _filled({**table.defaults, **values})
        if "sys_class_name" in table.columns:
            values["sys_class_name"] = table_name
        for name in ("sys_created_on", "sys_updated_on"):
            values.setdefault(name, now)
        for name in ("sys_created_by", "sys_updated_by"):
            values.setdefault(name, "seed")
        values.setdefault("sys_mod_count", "0")
        new[table.root, sys_id] = Record(world.store.new_rid(), table.root, table_name, sys_id, values)
    world.store.insert_many(list(new.values()))
    world.store.update_many(changed)


def _filled(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value != ""}


def _make_room(world: World, section: str, document: Mapping[str, Any]) -> None:
    """Take away what a whole section does not give; what refers to a relation type goes by its name meanwhile."""
    for record in list(_WHOLE[section](world, document)):
        world.store.delete(record)


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


_WHOLE: dict[str, Callable[[World, Mapping[str, Any]], Iterator[Record]]] = {
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
            yield catalog.choice_row(table, element, _text(value), _text(label))


def _properties(_world: World, section: Any) -> Rows:
    for name, value in section.items():
        yield catalog.property_row(name, _text(value))


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
        values = {"name": "Inclusion", "active": "true", **{name: _text(value) for name, value in rule.items()}}
        sys_id = catalog.fixed_id("cmdb_ire_inclusion_rule", rule["applies_to"], rule.get("condition", ""))
        yield "cmdb_ire_inclusion_rule", {"sys_id": sys_id, **values}


def _listed(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else [str(one) for one in given]


def _types(world: World) -> dict[str, str]:
    return {name: ids[0] for name, ids in world.rules.type_names.items()}


_SECTIONS: dict[str, Callable[[World, Any], Rows]] = {
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


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
