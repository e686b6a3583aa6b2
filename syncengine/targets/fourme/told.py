"""What REST says of a record, in the words of an import.

Documented: references as `{id, name, account}`, the account only where it is another one, null for what is blank.
Inferred: what a column is called in REST, where no page says so; what a record does not have under that name counts
as not readable, never as empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from syncengine.spec.import_types import ID, ImportColumn, import_types
from syncengine.transport.collection import PAGE, Collections, is_id

_NAMES = {
    "Parent Organization": "parent", "PO Number": "po_nr", "Invoice Number": "invoice_nr", "Change": "workflow",
    "Changes": "workflows", "Change Type": "workflow_type", "Configuration items": "cis", "Configuration Items": "cis",
    "Configuration Item": "cis", "Nr. of Business Days": "business_days",
}  # fmt: skip
"""Documented names that are no plain translation of the column."""


def rest_name(column: str) -> str:
    """`Primary Email` is `primary_email`, `Source ID` is `sourceID`."""
    if column in _NAMES:
        return _NAMES[column]
    text = "_".join(re.sub(r"[.]", "", column).replace("-", " ").lower().split())
    return f"{text[:-3]}ID" if text.endswith("_id") else text


def rest_path(name: str) -> str:
    """The collection of a type."""
    rest = import_types()[name].rest
    return rest.path if rest else f"/v1/{name}"


def plain(column: ImportColumn, value: object) -> str | None:
    """A field that is no reference, as an import writes it; None for what no import has."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, (str, int)):
        return str(value)
    if column.kind == "custom_fields" and isinstance(value, list):
        return orjson.dumps(value).decode()
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return "\n".join(value)
    return None


class Told:
    """Turns records into cells; finds out what other records are called that only show their ID and name."""

    def __init__(self, reads: Collections, account: str) -> None:
        self._reads = reads
        self._account = account
        self._texts: dict[tuple[str, str, int], str | None] = {}
        """By what other records are called: their type, the column, their ID."""

    def cells(self, columns: Mapping[str, ImportColumn], found: Sequence[Mapping[str, Any]]) -> list[list[str | None]]:
        """Some records, column by column."""
        for name, column in columns.items():
            if column.kind == "ref":
                self.learn_of(column, [one.get(rest_name(name)) for one in found])
        names = [(rest_name(name), column) for name, column in columns.items()]
        return [
            [self.cell(column, one[field]) if field in one else None for field, column in names]
            for one in found
            if is_id(one.get("id"))
        ]

    def cell(self, column: ImportColumn, value: Any) -> str | None:
        """One field; None for what no import has."""
        if value is not None and column.kind in ("ref", "refs"):
            return self.named(column, value)
        return plain(column, value)

    def named(self, column: ImportColumn, value: Any) -> str | None:
        """A record as an import names it, with the account it lives in where that is another one."""
        if not isinstance(value, dict) or not is_id(value.get("id")):
            return None
        text = value.get(rest_name(column.by)) if column.by != ID else str(value["id"])
        if not isinstance(text, str):
            text = self.text(column.to, column.by, value["id"])
        if text is None:
            return None
        account = value.get("account")
        elsewhere = account.get("id") if isinstance(account, dict) else None
        return f"{text} @{elsewhere}" if elsewhere and elsewhere != self._account else text

    def text(self, name: str, by: str, record_id: int) -> str | None:
        """A column of another record, as far as it was learnt."""
        return self._texts.get((name, by, record_id))

    def learn_of(self, column: ImportColumn, values: Iterable[Any]) -> None:
        """Find out how these references are written, where they do not say it themselves."""
        field = rest_name(column.by)
        if column.by != ID:
            bare = [one["id"] for one in values if isinstance(one, dict) and is_id(one.get("id")) and field not in one]
            self.learn(column.to, column.by, bare)

    def learn(self, name: str, by: str, ids: Iterable[int]) -> None:
        """Read a column of records by their IDs, a hundred at a time (documented: filters take sets of numbers)."""
        kind = import_types()[name]
        wanted = sorted({one for one in ids if (name, by, one) not in self._texts})
        if kind.rest is None or "id" not in kind.rest.filters:
            return
        field = rest_name(by)
        for at in range(0, len(wanted), PAGE):
            some = wanted[at : at + PAGE]
            for page in self._reads.pages(kind.rest.path, {"id": ",".join(map(str, some)), "fields": field}):
                for one in page:
                    if is_id(one.get("id")) and field in one:
                        self._texts[name, by, one["id"]] = str(one[field] or "")
            for one_id in some:
                self._texts.setdefault((name, by, one_id), None)
