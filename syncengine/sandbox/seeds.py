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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import orjson
import yaml

from syncengine.sandbox import catalog
from syncengine.sandbox.accounts import Accounts
from syncengine.sandbox.fourme import seeding
from syncengine.sandbox.fourme.service import Fourme
from syncengine.sandbox.ledger import content_hash
from syncengine.sandbox.seed_sections import SECTIONS, WHOLE, Rows, SeedError, as_text
from syncengine.sandbox.store import Record
from syncengine.sandbox.world import World

_OTHERS = {"users", "clients", "api_keys", "certificates", "settings", "records", "4me", "whole"}


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
    if not isinstance(whole, list) or any(section not in WHOLE for section in whole):
        raise SeedError(f"whole: a list of sections out of {', '.join(sorted(WHOLE))}")
    unknown = sorted(set(document) - set(SECTIONS) - _OTHERS)
    if unknown:
        known = ", ".join(sorted({*SECTIONS, *_OTHERS}))
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
            for section, rows_of in SECTIONS.items():
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
        _put(
            world, list(_named(world, table, [{k: as_text(v) for k, v in record.items()} for record in records or ()]))
        )
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
    for record in list(WHOLE[section](world, document)):
        world.store.delete(record)
