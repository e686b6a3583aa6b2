"""Rows of replace groups over REST: they stand in collections below their owner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from syncengine.spec.import_types import ID, SOURCE, SOURCE_ID, import_types
from syncengine.targets.fourme.told import Told, rest_name, rest_path
from syncengine.transport.collection import Collections, is_id, is_plain, pages_of


class Place(msgspec.Struct, frozen=True):
    """Where the rows of an owner are read."""

    owner: str
    """The type of the owner."""
    by: str
    """The column that names it."""
    parts: tuple[tuple[str, str], ...]
    """Collections below it, and what the columns of their rows begin with."""

    def parts_of(self, rows: Sequence[Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
        """The collections in which these rows of an owner can stand: an address is no contact."""
        filled = {name for row in rows for name, value in row.items() if value}
        found = tuple(one for one in self.parts if any(name.startswith(one[1]) for name in filled))
        return found or self.parts


FEW = 20
"""Owners of whom it is not worth asking how many there are."""
_DETAILS = (("contacts", "Contact "), ("addresses", "Address "))
PLACES = {
    "people_contact_details": Place("people", "Primary Email", _DETAILS),
    "organizations_contact_details": Place("organizations", "Name", _DETAILS),
    "people_roles": Place("people", "Primary Email", (("permissions", ""),)),
    "ci_relations": Place("cis", "Label", (("ci_relations", ""),)),
}


class Below:
    """The rows of owners of one type."""

    def __init__(self, name: str, reads: Collections, told: Told) -> None:
        self.place = PLACES[name]
        self._kind = import_types()[name]
        self._reads = reads
        self._told = told
        self._owners: dict[str, list[int]] | None = None
        """All owners there are, where a filter did not take one or many are wanted."""
        self._pages: int | None = None
        """The requests that listing them takes."""

    def cost(self, owners: int, parts: int) -> int:
        """The requests for so many owners, so many collections of each: who they are, and what they have.

        Who they are is listed a hundred at a time where that takes fewer requests than asking for each.
        """
        return owners + parts if owners <= FEW or self._owners is not None else min(owners, self._listing()) + parts

    def expect(self, owners: int) -> None:
        """So many owners are read next: they are listed where that is cheaper."""
        if owners > FEW and self._listing() < owners:
            self._listed()

    def _listing(self) -> int:
        if self._pages is None:
            self._pages = pages_of(self._reads.count(rest_path(self.place.owner), {}))
        return self._pages

    def rows(self, row: Mapping[str, str], parts: Sequence[tuple[str, str]]) -> Iterator[list[str | None]]:
        """The rows of the owner of a row, who is called what that row calls it."""
        for number in self._owner_ids(row):
            for part, prefix in parts:
                for page in self._reads.pages(f"{rest_path(self.place.owner)}/{number}/{part}", {}):
                    yield from self._cells(page, row, prefix)

    def _owner_ids(self, row: Mapping[str, str]) -> list[int]:
        """The records whose rows they are: an owner that is not there has none."""
        if self._kind.group == "CI" and row.get("CI Source") and row.get("CI Source ID"):
            params = {"source": row["CI Source"], "sourceID": row["CI Source ID"]}
        else:
            text = row.get("CI Label" if self._kind.group == "CI" else self._kind.group, "").strip()
            params = {rest_name(self.place.by): text.rpartition(" @")[0] or text}
        if self._owners is None and all(map(is_plain, params.values())):
            pages = self._reads.pages(rest_path(self.place.owner), {**params, "fields": "id"})
            return [one["id"] for page in pages for one in page if is_id(one.get("id"))]
        key = "\x1f".join(params.values())
        return self._listed().get(key if len(params) > 1 else self._folded(key), [])

    def _folded(self, name: str) -> str:
        """Filters of people's addresses fold case, those of names do not (documented)."""
        return name.casefold() if self.place.by == "Primary Email" else name

    def _listed(self) -> Mapping[str, list[int]]:
        """All owners: a comma makes a set of a filter, and a set of texts is refused (documented)."""
        if self._owners is None:
            self._owners = {}
            name = rest_name(self.place.by)
            for page in self._reads.pages(rest_path(self.place.owner), {"fields": f"{name},source,sourceID"}):
                for one in page:
                    for key in (self._folded(str(one.get(name))), f"{one.get('source')}\x1f{one.get('sourceID')}"):
                        self._owners.setdefault(key, []).append(one["id"])
        return self._owners

    def _cells(
        self, page: Sequence[Mapping[str, Any]], row: Mapping[str, str], prefix: str
    ) -> Iterator[list[str | None]]:
        owner = {name: row.get(name, "") for name in self._kind.owners}
        ends = [end for one in page if (end := _end(one)) is not None]
        for column in (SOURCE, SOURCE_ID, "Label"):
            self._told.learn("cis", column, ends)
        for one in page:
            yield [owner[name] if name in owner else self._cell(name, one, prefix) for name in self._kind.columns]

    def _cell(self, name: str, one: Mapping[str, Any], prefix: str) -> str | None:
        if name == ID:
            return str(one.get("id", ""))
        if name.startswith(("Contact ", "Address ")) and not name.startswith(prefix):
            return ""
        if name.startswith("Related CI "):
            end = _end(one)
            return None if end is None else self._told.text("cis", name.removeprefix("Related CI "), end)
        if name == "Role Account" and isinstance(one.get("account"), dict):
            return str(one["account"].get("id", ""))
        field = rest_name(name.removeprefix(prefix))
        return self._told.cell(self._kind.columns[name], one[field]) if field in one else None


def _end(one: Mapping[str, Any]) -> int | None:
    """The other end of a relation of CIs."""
    found = one["ci"].get("id") if isinstance(one.get("ci"), dict) else None
    return found if isinstance(found, int) else None
