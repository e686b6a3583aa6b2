"""The section `4me` of a seed document.

4me:
  accounts: {wdc: {name: Widget Data Center}, widget: {name: Widget, directory: true}}   # the first is the main one
  tokens: {"t0ken": {email: howard.tanner@widget.com, account: wdc, roles: [account_administrator]}}
  clients: {client-id: {secret: s3cret, email: howard.tanner@widget.com, roles: {wdc: [account_administrator]}}}
  custom_fields: {Server details: [rack, unit]}       # what a UI extension defines
  records:
    organizations: [{Name: Widget, Source: HR, Source ID: o-1, Manager: howard.tanner@widget.com}]
    people @widget: [{Name: Howard Tanner, Primary Email: howard.tanner@widget.com}]
  generate: {people: 200000, organizations: 200, sites: 50, source: HR}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from syncengine.sandbox.fourme import groups, rows
from syncengine.sandbox.fourme.records import Record
from syncengine.sandbox.fourme.references import References
from syncengine.sandbox.fourme.rows import Context, Refused
from syncengine.sandbox.fourme.service import Fourme
from syncengine.sandbox.fourme.types import EMAIL, PEOPLE, SOURCE, SOURCE_ID, Type, types

SECTIONS = ("accounts", "tokens", "clients", "custom_fields", "records", "generate")
BATCH = 5000
_TITLES = ("Engineer", "Analyst", "Manager", "Consultant", "Clerk", "Technician", "Architect")
_CITIES = ("Paris", "Oslo", "Lima", "Austin", "Osaka", "Bern", "Cork", "Delft")


class SeedError(ValueError):
    """A section that cannot be applied."""


def apply(fourme: Fourme, section: Any) -> None:
    """Apply the section, in a transaction of the caller; raises SeedError, and then nothing of it counts."""
    try:
        _apply(fourme, section)
    except BaseException:
        fourme.recall()
        raise


def _apply(fourme: Fourme, section: Any) -> None:
    if not isinstance(section, Mapping):
        raise SeedError("4me: is a mapping of sections")
    unknown = sorted(set(section) - set(SECTIONS))
    if unknown:
        raise SeedError(f"4me: unknown section {unknown[0]!r}; there are: {', '.join(SECTIONS)}")
    logins, meta = fourme.logins, fourme.world.store
    if "accounts" in section:
        logins.set_accounts({name: account or {"name": name} for name, account in section["accounts"].items()})
        logins.own()
    fourme.ready()
    for token, login in section.get("tokens", {}).items():
        logins.set_token(str(token), login)
    for client, login in section.get("clients", {}).items():
        logins.set_client(str(client), str(login["secret"]), {k: v for k, v in login.items() if k != "secret"})
    if "custom_fields" in section:
        known = orjson.loads(meta.meta("me:custom_fields") or "{}")
        meta.set_meta("me:custom_fields", orjson.dumps({**known, **section["custom_fields"]}).decode())
    fourme.records.quiet = True
    try:
        if "generate" in section:
            _generate(fourme, section["generate"])
        _records(fourme, section.get("records", {}))
    finally:
        fourme.records.quiet = False


def _records(fourme: Fourme, section: Mapping[str, Any]) -> None:
    """Records as an import would write them; references that do not exist yet come in a second pass."""
    every = []
    order = {name: number for number, name in enumerate(types())}
    for key, given in section.items():
        name, _, account = str(key).partition(" @")
        if name not in types():
            raise SeedError(f"4me.records: there is no type {name!r}")
        context = _context(fourme, types()[name], account or fourme.logins.main)
        every.append((order[name], context, given))
    later: list[tuple[Context, Record, dict[str, str], str]] = []
    for _number, context, given in sorted(every, key=lambda one: one[0]):
        kind, writer = context.kind, groups.writer(context)
        for number, row in enumerate(given, 1):
            cells = _cells(kind, row)
            place = f"4me.records.{kind.name}, record {number}"
            try:
                if kind.group or type(writer) is not groups.Plain:
                    if writer.begins(cells):
                        writer.end()
                    writer.take(cells)
                    continue
                now, rest = _split(kind, cells, order)
                record = rows.write(context, now)[1]
                if rest:
                    later.append((context, record, rest, place))
            except Refused as refused:
                raise SeedError(f"{place}: {refused}") from refused
        writer.end()
    for context, record, cells, place in later:
        try:
            current = fourme.records.get(record.id)
            rows.put(context, current, rows.read(context, cells, current))
        except Refused as refused:
            raise SeedError(f"{place}: {refused}") from refused


def _split(kind: Type, cells: dict[str, str], order: Mapping[str, int]) -> tuple[dict[str, str], dict[str, str]]:
    """What can be written at once, and references to records that come with or after this one."""
    rest = {
        name: cell
        for name, cell in cells.items()
        if kind.columns[name].refers and order[kind.columns[name].to] >= order[kind.name] and name not in kind.required
    }
    return {name: cell for name, cell in cells.items() if name not in rest}, rest


def _cells(kind: Type, row: Mapping[str, Any]) -> dict[str, str]:
    unknown = sorted(set(row) - set(kind.columns))
    if unknown:
        raise SeedError(f"4me.records.{kind.name}: there is no column {unknown[0]!r}")
    return {name: _cell(value) for name, value in row.items()}


def _cell(value: Any) -> str:
    if isinstance(value, list):
        if any(isinstance(one, Mapping) for one in value):
            return orjson.dumps(value).decode()
        return "\n".join(_cell(one) for one in value)
    if isinstance(value, bool):
        return "1" if value else "0"
    return "" if value is None else str(value)


def _context(fourme: Fourme, kind: Type, account: str) -> Context:
    accounts = frozenset(fourme.logins.accounts)
    if account not in accounts:
        raise SeedError(f"4me: there is no account {account!r}; there are: {', '.join(sorted(accounts))}")
    world = fourme.world
    references = References(fourme.records, world.settings, account, accounts)
    definitions = orjson.loads(world.store.meta("me:custom_fields") or "{}")
    return Context(world, fourme.records, references, kind, account, account, definitions)


def _generate(fourme: Fourme, section: Mapping[str, Any]) -> None:
    """Many people, with their organizations and sites, always the same."""
    unknown = sorted(set(section) - {PEOPLE, "organizations", "sites", "source"})
    if unknown:
        raise SeedError(f"4me.generate: {unknown[0]!r} is not people, organizations, sites or source")
    source, records = str(section.get("source", "Generated")), fourme.records
    now, account = fourme.world.clock.time(), fourme.logins.main

    def record(kind: str, number: int, **values: Any) -> Record:
        pair = {SOURCE: source, SOURCE_ID: f"{kind}-{number:06}"}
        return Record(records.new_id(), account, kind, now, now, {**pair, **values})

    organizations = [
        record("organizations", n, Name=f"Organization {n:04}")
        for n in range(1, int(section.get("organizations", 0)) + 1)
    ]
    sites = [
        record("sites", n, Name=f"Site {n:04}", City=_CITIES[n % len(_CITIES)])
        for n in range(1, int(section.get("sites", 0)) + 1)
    ]
    records.insert(organizations)
    records.insert(sites)
    bosses: list[int] = []
    batch: list[Record] = []
    for n in range(1, int(section.get(PEOPLE, 0)) + 1):
        values: dict[str, Any] = {
            EMAIL: f"person{n:06}@example.com",
            "Name": f"Person {n:06}",
            "Job Title": _TITLES[n % len(_TITLES)],
            "Employee ID": f"E{n:06}",
            "Location": f"Room {n % 900 + 100}",
        }
        if organizations:
            values["Organization"] = organizations[n % len(organizations)].id
        if sites:
            values["Site"] = sites[n % len(sites)].id
        if bosses:
            values["Manager"] = bosses[n % len(bosses)]
        one = record(PEOPLE, n, **values)
        batch.append(one)
        if len(bosses) < 100:
            bosses.append(one.id)
        if len(batch) == BATCH:
            records.insert(batch)
            batch = []
    records.insert(batch)
