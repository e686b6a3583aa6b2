"""Reads of single records and collections.

Documented: filters with their operators, `fields`, `per_page` from 1 to 100, cursor links, pagination headers, the
form of references, decimals as text, blank fields as null, relations as collections of their own. Inferred: which
fields a collection gives by itself (all but custom fields and long texts), and which sub-collections there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from starlette.responses import Response

from syncengine.sandbox.fourme.errors import ApiError, json_response
from syncengine.sandbox.fourme.filters import Filter, filters_of
from syncengine.sandbox.fourme.kinds import stamp
from syncengine.sandbox.fourme.logins import Logins
from syncengine.sandbox.fourme.records import Record, Records
from syncengine.sandbox.fourme.types import EMAIL, PEOPLE, SOURCE_ID, TIMES, Column, Type, types

SHARED = frozenset({PEOPLE, "organizations", "sites"})
"""Documented: collections that list the directory account as well."""
_INACTIVE = {
    "cis": ("removed", "archived", "to_be_removed", "lost_or_stolen"),
    "service_instances": ("discontinued",),
    "problems": ("solved",),
}
_CONTROL = frozenset({"per_page", "page", "fields", "sort", "search_after", "search_before"})
_WHOLE = 1000
Keep = Callable[[Record], bool]


class Page(NamedTuple):
    """Which part of a collection is wanted."""

    per_page: int
    after: str
    before: str
    number: int


class Reads:
    """REST over the records."""

    def __init__(self, records: Records, logins: Logins) -> None:
        self._records = records
        self._logins = logins

    # -- which records -----------------------------------------------------------------------------------------

    def collection(self, kind: Type, account: str, parameters: Mapping[str, str], url: str, word: str = "") -> Response:
        """A page of a collection; `word` is a predefined filter of its path."""
        rest = kind.rest
        if rest is None or (word and word not in rest.predefined):
            raise ApiError(404)
        accounts = self._accounts(kind, account, word)
        filters = filters_of(kind, {k: v for k, v in parameters.items() if k not in _CONTROL})
        keep = self._predefined(kind, word)
        where = ["type=?", f"account IN ({','.join('?' * len(accounts))})"]
        values: list[Any] = [kind.name, *accounts]
        rest_of: list[Filter] = []
        for one in filters:
            told = one.sql()
            if told is None:
                rest_of.append(one)
            else:
                where.append(told[0])
                values += told[1]

        def meets(record: Record) -> bool:
            return keep(record) and all(one.meets(record, self._field) for one in rest_of)

        plain = not rest_of and not word
        order = parameters.get("sort", "")
        if order:
            found = self._sorted(
                kind, order, [r for r in self._records.select(" AND ".join(where), values) if meets(r)]
            )
            return self._listed(kind, account, found, len(found), parameters, url)
        page = _page(parameters)
        total = (
            self._records.number(" AND ".join(where), values)
            if plain
            else sum(meets(r) for r in self._records.select(" AND ".join(where), values))
        )
        found = list(self._slice(where, values, page, meets))
        return self._listed(kind, account, found, total, parameters, url, sliced=True)

    def _slice(self, where: list[str], values: list[Any], page: Page, meets: Keep) -> Iterator[Record]:
        """The records of one page, and one more that says whether there is another."""
        cursor = int(page.after) if page.after.isdigit() else 0
        skip = (page.number - 1) * page.per_page if not page.after else 0
        left = page.per_page + 1
        back = page.before.isdigit()
        while left > 0:
            edge, direction = ("id<?", "DESC") if back else ("id>?", "ASC")
            start = int(page.before) if back and not cursor else cursor
            condition = f"{' AND '.join([*where, edge])} ORDER BY id {direction} LIMIT {_WHOLE}"
            batch = list(self._records.select(condition, [*values, start]))
            for record in batch:
                if meets(record):
                    if skip:
                        skip -= 1
                        continue
                    yield record
                    left -= 1
                    if not left:
                        return
            if len(batch) < _WHOLE:
                return
            cursor = batch[-1].id

    def _accounts(self, kind: Type, account: str, word: str) -> list[str]:
        directory = self._logins.directory
        if kind.name not in SHARED or not directory or directory == account or word == "support_domain":
            return [account]
        return [directory] if word == "directory" else [account, directory]

    def _predefined(self, kind: Type, word: str) -> Keep:
        match word:
            case "disabled":
                return lambda record: bool(record.values.get("Disabled"))
            case "enabled":
                return lambda record: not record.values.get("Disabled")
            case "active":
                return lambda record: record.values.get("Status") not in _INACTIVE.get(kind.name, ())
            case "inactive":
                return lambda record: record.values.get("Status") in _INACTIVE.get(kind.name, ())
            case "completed" | "solved" | "closed" | "finished":
                return lambda record: record.values.get("Status") in ("completed", word)
            case "open":
                return lambda record: record.values.get("Status") not in ("completed", "closed", "finished", "canceled")
            case "" | "directory" | "support_domain":
                return lambda _record: True
        raise ApiError(501, f"The sandbox does not know what the predefined filter {word!r} leaves out")

    def _sorted(self, kind: Type, order: str, records: list[Record]) -> list[Record]:
        rest = kind.rest
        for name in reversed(order.split(",")):
            field = name.removeprefix("-").strip()
            if rest is None or field not in rest.sort:
                raise ApiError(400, f"Sorting not allowed on fields: {field}")
            records.sort(key=lambda record: _sort_key(self._field(record, field)), reverse=name.startswith("-"))
        return records

    def _field(self, record: Record, name: str) -> Any:
        """A field's plain value, for filters and order."""
        if name == "id":
            return record.id
        if name in ("created_at", "updated_at"):
            return stamp(record.created if name == "created_at" else record.updated)
        column = next((c for c in types()[record.type].columns.values() if c.rest == name), None)
        value = None if column is None else record.values.get(column.name)
        return bool(value) if column is not None and column.kind == "boolean" else value

    # -- how they are told -------------------------------------------------------------------------------------

    def one(self, kind: Type, account: str, record_id: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """One record, with every field; raises 404."""
        record = self.record(kind, account, record_id)
        fields = [name for name in parameters.get("fields", "").split(",") if name]
        return self._told(record, account, fields or None, whole=True)

    def record(self, kind: Type, account: str, record_id: str) -> Record:
        """A record that the account sees; raises 404."""
        record = self._records.get(int(record_id)) if record_id.isdigit() and len(record_id) < 19 else None
        if record is None or record.type != kind.name or record.account not in self._accounts(kind, account, ""):
            raise ApiError(404)
        return record

    def below(
        self, kind: Type, account: str, record_id: str, name: str, parameters: Mapping[str, str], url: str
    ) -> Response:
        """A collection that belongs to one record: members, contacts, addresses, permissions, relations."""
        record = self.record(kind, account, record_id)
        column = next((c for c in kind.columns.values() if c.several and c.rest == name), None)
        if column is not None:
            ids = [one[0] if isinstance(one, list) else one for one in record.values.get(column.name, ())]
            found = self._records.get_many(ids)
            return self._listed(
                types()[column.to], account, [found[i] for i in ids if i in found], None, parameters, url
            )
        if (kind.name, name) == (PEOPLE, "teams"):
            teams = [t for t in self._records.all("teams", account) if record.id in t.values.get("Members", ())]
            return self._listed(types()["teams"], account, teams, None, parameters, url)
        owned = _owned(kind, name)
        if owned is None:
            raise ApiError(404)
        detail, owner, fields, needed = owned
        found_ids = self._records.find(types()[detail], record.account, (owner,), (record.id,), exact=True)
        rows = [r for r in self._records.get_many(found_ids).values() if not needed or r.values.get(needed)]
        return self._listed(types()[detail], account, rows, None, parameters, url, fields)

    def _listed(
        self,
        kind: Type,
        account: str,
        records: Sequence[Record],
        total: int | None,
        parameters: Mapping[str, str],
        url: str,
        columns: Mapping[str, str] | None = None,
        *,
        sliced: bool = False,
    ) -> Response:
        page = _page(parameters)
        size, more = page.per_page, False
        total = len(records) if total is None else total
        if not sliced:
            offset = int(page.after) if page.after.isdigit() else (page.number - 1) * size
            more = len(records) > offset + size
            records = records[offset : offset + size]
            cursor = str(offset + size)
        else:
            more = len(records) > size
            records = list(records[:size])
            if page.before:
                records.reverse()
            cursor = str(records[-1].id) if records else ""
        fields = [name for name in parameters.get("fields", "").split(",") if name] or None
        if fields:
            known = {c.rest for c in kind.columns.values()} | {"id", "created_at", "updated_at", "account"}
            unknown = [name for name in fields if name not in known]
            if unknown:
                raise ApiError(400, f"Unknown fields: {', '.join(unknown)}")
        told = [
            self._renamed(record, account, columns) if columns else self._told(record, account, fields)
            for record in records
        ]
        kept = {k: v for k, v in parameters.items() if k not in ("search_after", "search_before", "page")}
        links = [f'<{_url(url, kept)}>; rel="first"']
        if more:
            links.append(f'<{_url(url, {**kept, "search_after": cursor})}>; rel="next"')
        headers = {
            "link": ", ".join(links),
            "x-pagination-per-page": str(size),
            "x-pagination-current-page": str(page.number),
            "x-pagination-total-pages": str(math.ceil(total / size)),
            "x-pagination-total-entries": str(total),
        }
        return json_response(told, 200, headers)

    def _told(
        self, record: Record, account: str, fields: Sequence[str] | None, *, whole: bool = False
    ) -> dict[str, Any]:
        told: dict[str, Any] = {"id": record.id}
        for column in types()[record.type].columns.values():
            name = column.rest
            if name == "id" or column.kind == "helper" or column.several or column.name in TIMES:
                continue
            if fields is not None:
                if name not in fields:
                    continue
            elif not whole and column.kind in ("custom_fields", "text", "notes"):
                continue
            told[name] = self._json(column, record.values.get(column.name), account)
        for name, seconds in (("created_at", record.created), ("updated_at", record.updated)):
            if fields is None or name in fields:
                told[name] = stamp(seconds)
        if (fields is None or "account" in fields) and record.account != account:
            told["account"] = self._account(record.account)
        return told

    def _renamed(self, record: Record, account: str, columns: Mapping[str, str]) -> dict[str, Any]:
        kind = types()[record.type]
        told = {
            name: self._json(kind.columns[column], record.values.get(column), account)
            for name, column in columns.items()
        }
        return {"id": record.id, **told, "updated_at": stamp(record.updated)}

    def _json(self, column: Column, value: Any, account: str) -> Any:
        if column.kind == "boolean":
            return bool(value)
        if value is None:
            return None
        return self.reference(value, account) if column.refers else value

    def reference(self, record_id: int, account: str) -> dict[str, Any] | None:
        """A record as others show it (documented)."""
        record = self._records.get(record_id)
        if record is None:
            return None
        kind, v = types()[record.type], record.values
        label = {"people": "name", "cis": "label"}.get(kind.name, kind.columns[kind.title].rest)
        told: dict[str, Any] = {"id": record.id, label: v.get("Label" if label == "label" else kind.title)}
        if kind.name == "cis":
            told["name"] = v.get("Name")
        if v.get(SOURCE_ID):
            told["sourceID"] = v[SOURCE_ID]
        if v.get("Disabled"):
            told["disabled"] = True
        if record.account != account:
            told["account"] = self._account(record.account)
        return told

    def _account(self, name: str) -> dict[str, str]:
        return {"id": name, "name": str(self._logins.accounts.get(name, {}).get("name", name))}

    def me(self, email: str, home: str, account: str) -> dict[str, Any]:
        """The person that a token stands for."""
        found = self._records.find(types()[PEOPLE], home, (EMAIL,), (email,), exact=False)
        record = self._records.get(found[0]) if found else None
        if record is None:
            return {"id": 0, "name": email, "primary_email": email, "account": self._account(home)}
        return self._told(record, account, None, whole=True) | {"account": self._account(home)}

    def account(self, name: str) -> dict[str, Any]:
        """An account."""
        said = self._logins.accounts.get(name, {})
        directory = self._logins.directory
        told: dict[str, Any] = {**self._account(name), "time_zone": "UTC"}
        if directory and directory != name:
            told["directory_account"] = self._account(directory)
        return {**told, "disabled": bool(said.get("disabled"))}

    def enums(self) -> dict[str, list[dict[str, str]]]:
        """Every enumeration (documented form; the texts are made of the ids)."""
        found = {
            f"{kind.singular}.{column.rest}": _entries(column.values)
            for kind in types().values()
            for column in kind.columns.values()
            if column.values
        }
        return {**found, "account.currency": _entries(("eur", "gbp", "usd", "chf", "aud"))}


def _owned(kind: Type, name: str) -> tuple[str, str, dict[str, str], str] | None:
    """A sub-collection of rows with an owner: their type, the owner's column, the fields, the column that is filled."""
    contacts = {"protocol": "Contact Protocol", "label": "Contact Label", "uri": "Contact URI"}
    addresses = {field.lower(): f"Address {field}" for field in ("Label", "Address", "City", "State", "Zip", "Country")}
    if kind.name in (PEOPLE, "organizations"):
        detail, owner = f"{kind.name}_contact_details", "Person" if kind.name == PEOPLE else "Organization"
        if name == "contacts":
            return detail, owner, {**contacts, "integration": "Integration"}, "Contact URI"
        if name == "addresses":
            return detail, owner, {**addresses, "integration": "Integration"}, "Address Address"
    if (kind.name, name) == (PEOPLE, "permissions"):
        columns = types()["people_roles"].columns
        return "people_roles", "Person", {c.rest: c.name for c in columns.values() if c.name != "Person"}, ""
    if (kind.name, name) == ("cis", "ci_relations"):
        return name, "CI Label", {"ci": "Related CI Label", "relation_type": "Relation Type", "source": "Source"}, ""
    return None


def _page(parameters: Mapping[str, str]) -> Page:
    def number(name: str, default: int, highest: int) -> int:
        text = parameters.get(name, str(default))
        value = int(text) if text.removeprefix("-").isdigit() else 0
        if value < 1:
            raise ApiError(400, f"Parameter '{name}' cannot be less than 1")  # documented
        if value > highest:
            raise ApiError(400, f"Parameter '{name}' cannot be greater than {highest}")
        return value

    return Page(
        number("per_page", 20, 100),
        parameters.get("search_after", ""),
        parameters.get("search_before", ""),
        number("page", 1, 10**9),
    )


def _url(url: str, parameters: Mapping[str, str]) -> str:
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='=!<>')}" for name, value in parameters.items())
    return f"{url}?{query}" if query else url


def _entries(values: Sequence[str]) -> list[dict[str, str]]:
    return [{"id": value, "txt": value.replace("_", " ").capitalize()} for value in values]


def _sort_key(value: Any) -> tuple[bool, str]:
    return value is None, f"{value:020}" if isinstance(value, int) else str(value).casefold()
