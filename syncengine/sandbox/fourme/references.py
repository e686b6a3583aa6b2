"""Records that cells name.

Documented: by which column of its target each reference is written, and ` @account` for a record of another account.
Inferred: without it only the own account is searched; a line of a cell may end in `;`.
"""

from __future__ import annotations

import re
from typing import Any

from syncengine.sandbox.fourme.kinds import Bad
from syncengine.sandbox.fourme.records import Record, Records
from syncengine.sandbox.fourme.types import EMAIL, ID, Column, names_of, types
from syncengine.sandbox.settings import Settings

_ELSEWHERE = re.compile(r"(?P<name>.+) @(?P<account>[A-Za-z0-9][\w.-]*)", re.DOTALL)


class References:
    """Finds the records that the cells of one import name."""

    def __init__(self, records: Records, settings: Settings, account: str, accounts: frozenset[str]) -> None:
        self._records = records
        self._account = account
        self._accounts = accounts
        self._exact_email = settings["fourme.email"] == "exact"
        self._exact = settings["fourme.references"] == "exact"
        self._refuse_disabled = settings["fourme.disabled_targets"] == "failure"
        self._known: dict[tuple[str, str, str], Record] = {}

    def read(self, column: Column, cell: str, own: str, before: Any) -> Any:
        """A cell as ids; raises Bad for a name that nobody has. `own` is the type of the row."""
        if not column.several:
            found = self._one(column, cell.strip(), own)
            self._check(found, cell.strip(), {before})
            return found.id
        ids: dict[Any, None] = {}
        linked = {one[0] if isinstance(one, list) else one for one in before or ()}
        for piece in cell.replace("\r", "").split("\n"):
            text = piece.strip().removesuffix(";").strip()
            if text:
                name, _, word = text.rpartition(" / ") if column.suffix and " / " in text else (text, "", "")
                found = self._one(column, name.strip(), own)
                self._check(found, text, linked)
                ids[(found.id, word) if column.suffix else found.id] = None
        return [list(one) for one in sorted(ids)] if column.suffix else sorted(ids)

    def find(self, column: Column, text: str, own: str) -> Record:
        """The record that one name stands for; raises Bad."""
        return self._one(column, text, own)

    def _check(self, found: Record, text: str, linked: set[Any]) -> None:
        if self._refuse_disabled and found.values.get("Disabled") and found.id not in linked:
            raise Bad(f'"{text}" is disabled')

    def _one(self, column: Column, text: str, own: str) -> Record:
        key = (column.to, column.by, text)
        if key in self._known:
            return self._known[key]
        name, account = text, self._account
        match = _ELSEWHERE.fullmatch(text)
        if match is not None and match["account"] in self._accounts:
            name, account = match["name"], match["account"]
        found = next((one for by in names_of(column) if (one := self._by(column.to, by, name, account))), None)
        if found is None:
            raise Bad(f'"{text}" not found')
        if column.to != own:
            # records of the row's own type change while it is read
            self._known[key] = found
        return found

    def _by(self, to: str, by: str, name: str, account: str) -> Record | None:
        if by == ID:
            record = self._records.get(int(name)) if name.isdigit() and len(name) < 19 else None
            return record if record is not None and (record.type, record.account) == (to, account) else None
        exact = self._exact_email if by == EMAIL else self._exact
        for one in self._records.find(types()[to], account, (by,), (name,), exact=exact):
            record = self._records.get(one)
            if record is not None and (to != "cis" or by != "Name" or self._software(record)):
                return record
        return None

    def _software(self, ci: Record) -> bool:
        """Whether a CI is referred to by its name (documented: software versions)."""
        product = self._records.get(ci.values.get("Product", 0))
        category = self._records.get(product.values.get("Category", 0)) if product else None
        return category is not None and category.values.get("Rule Set") == "software"
