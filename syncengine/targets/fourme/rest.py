"""Records of a type read over REST, for as long as no export of it is to be had.

Documented: pages of 100, cursors in the `link` header, filters by source, sourceID and the like, sets of ids, fields by
name, every field of a single record, references as `{id, name, account}`, relations as collections below a record.
Inferred: what a column of an import is called in REST, where no page says so; what a record does not have under that
name counts as not readable, never as empty.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
from requests.utils import parse_header_links

from syncengine.spec.import_types import ID, SOURCE, SOURCE_ID, ImportColumn, ImportType, import_types
from syncengine.targets.fourme.records import Records, natural_of, owner_of
from syncengine.transport.fourme import BURST
from syncengine.transport.reader import Reader

PAGE = 100
"""Documented: the most records of a page."""
HOURLY = 3600
"""Documented: requests of a user in an hour."""
QUIET = 20
"""Requests that are not worth a word."""
_NAMES = {
    "Parent Organization": "parent", "PO Number": "po_nr", "Invoice Number": "invoice_nr", "Change": "workflow",
    "Changes": "workflows", "Change Type": "workflow_type", "Configuration items": "cis", "Configuration Items": "cis",
    "Configuration Item": "cis", "Nr. of Business Days": "business_days",
}  # fmt: skip
"""Documented names that are no plain translation of the column."""


@dataclass(frozen=True, slots=True)
class _Below:
    """Where the rows of an owner are read."""

    owner: str
    """The type of the owner."""
    by: str
    """The column that names it."""
    parts: tuple[tuple[str, str], ...]
    """Collections below it, and what the columns of their rows begin with."""


_DETAILS = (("contacts", "Contact "), ("addresses", "Address "))
BELOW = {
    "people_contact_details": _Below("people", "Primary Email", _DETAILS),
    "organizations_contact_details": _Below("organizations", "Name", _DETAILS),
    "people_roles": _Below("people", "Primary Email", (("permissions", ""),)),
    "ci_relations": _Below("cis", "Label", (("ci_relations", ""),)),
}


def unreadable(name: str, kind: ImportType) -> str:
    """Why REST is no help with a type; empty where it is."""
    if kind.group == SOURCE_ID:
        return "REST does not give the hours of calendars"
    if kind.rest is None and name not in BELOW:
        return f"REST has no collection of {name}"
    return ""


def rest_name(column: str) -> str:
    """`Primary Email` is `primary_email`, `Source ID` is `sourceID`."""
    if column in _NAMES:
        return _NAMES[column]
    text = "_".join(re.sub(r"[.]", "", column).replace("-", " ").lower().split())
    return f"{text[:-3]}ID" if text.endswith("_id") else text


class OverRest:
    """One type of one account; what was read stays read, so each look at the account as it is now takes a new one."""

    how = "REST does not give"

    def __init__(self, name: str, reader: Reader, say: Callable[[str], None], account: str, why: str) -> None:
        """`why` is the reason why no export is read."""
        self.name = name
        self.kind = import_types()[name]
        self.records = Records(self.kind)
        self.records.clear()
        self.requests = 0
        self.why_not = ""
        """Why nothing can be compared after all."""
        self._reader = reader
        self._say = say
        self._account = account
        self.why = why
        self._lock = threading.Lock()
        self._left: int | None = None
        self._fields: tuple[str, ...] | None = None
        self._is_whole = False
        self._sources: set[str] = set()
        """Sources all records of which were read."""
        self._asked: set[str] = set()
        """What was looked for by itself: pairs, natural keys, IDs, owners."""
        self._texts: dict[tuple[str, str, int], str | None] = {}
        """By what other records are called: their type, the column, their ID."""
        self._barren: set[str] = set()
        """Relations of which there is no collection."""
        self._owners: dict[str, list[int]] | None = None
        self._is_told = False

    # ── how much ────────────────────────────────────────────────────────────────────────────────

    def read_all_of(self, sources: Collection[str]) -> None:
        """For a plan: every record of these sources, or of the type where that costs little more or nothing else does.

        A guard and `vanished` need all that is owned; natural keys and IDs of other records are found at once then.
        """
        if self.kind.rest is None:
            return
        with self._lock:
            total = _pages(self._count({}))
            can = "source" in self.kind.rest.filters and self.kind.has_pair and all(map(_is_plain, sources))
            own = sum(_pages(self._count({"source": source})) for source in sources) if can else total
            by_nature = [columns for columns in self.kind.natural if self._can_filter(columns)]
            dear = total > 2 * own + 10 and len(by_nature) == len(self.kind.natural)
            is_whole = not can or (bool(self.kind.natural) and not dear)
            others = "" if is_whole or not self.kind.natural else ", and one for each row that is not among them"
            self._tell(total if is_whole else own, others)
            if is_whole:
                self._read_whole()
            else:
                for source in sorted(sources):
                    self._read_source(source)

    def _tell(self, requests: int, more: str = "") -> None:
        """What it costs, before it is spent."""
        if requests <= QUIET or self._is_told:
            return
        self._say(f"{self.name}: {self.why}; it is compared over REST: {cost(requests, self._left)}{more}")

    def coming(self, rows: int) -> None:
        """So many rows of a plan are read next: for rows of owners that is what it costs, at most."""
        if self.kind.rest is None and self.name in BELOW:
            self._tell(rows * (1 + len(BELOW[self.name].parts)), " (fewer where an owner has several rows)")
            self._is_told = True

    # ── what rows need ──────────────────────────────────────────────────────────────────────────

    def fetch(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Read what these rows will find, as far as it was not read; their cells are those of an import."""
        with self._lock:
            if self.kind.rest is None:
                self._fetch_owners(rows)
                return
            self._fetch_records(rows)
            several = {name for row in rows for name in row if self.kind.columns[name].kind == "refs"} - self._barren
            if several:
                self._fetch_relations(rows, sorted(several))

    def _fetch_records(self, rows: Sequence[Mapping[str, str]]) -> None:
        source = next((row[SOURCE] for row in rows if row.get(SOURCE)), "")
        self._ask(dict(one for row in rows for one in self._by_identity(row)), source)
        self._ask(dict(one for row in rows for one in self._by_nature(row)), "")

    def _ask(self, wanted: Mapping[str, Mapping[str, str]], source: str) -> None:
        """Look for records one by one, or list them all where that is cheaper, or no filter takes what they go by."""
        if self.kind.rest is None or not wanted:
            return
        is_plain = all(_is_plain(text) for params in wanted.values() for text in params.values())
        if len(wanted) > QUIET or not is_plain:
            listed = {"source": source} if self._can_list(source) else {}
            pages = _pages(self._count(listed))
            if pages < len(wanted) or not is_plain:
                self._tell(pages)
                if listed:
                    self._read_source(source)
                else:
                    self._read_whole()
                return
        self._tell(len(wanted))
        for what, params in wanted.items():
            self._asked.add(what)
            if ID in params:
                found = self._get(f"{self.kind.rest.path}/{params[ID]}", {})
                self._keep([found] if isinstance(found, dict) else [])
            else:
                for page in self._pages(self.kind.rest.path, {**params, **self._chosen()}):
                    self._keep(page)

    def _by_identity(self, row: Mapping[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
        """What finds the ID or the pair of a row, where that was not looked for."""
        if self._is_whole or self.kind.rest is None:
            return
        source, source_id = row.get(SOURCE, ""), row.get(SOURCE_ID, "")
        if row.get(ID):
            what = f"{ID}\x1f{row[ID]}"
            if what not in self._asked and row[ID].isdigit():
                yield what, {ID: row[ID]}
        elif self.kind.has_pair and source and source_id and source not in self._sources:
            what = f"{source}\x1f{source_id}"
            if what not in self._asked:
                named = {"source": source} if "source" in self.kind.rest.filters else {}
                yield what, {**named, "sourceID": source_id}

    def _by_nature(self, row: Mapping[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
        """What finds the natural key of a row that found nothing by ID or pair."""
        if self._is_whole or row.get(ID) or self.records.by_pair(row.get(SOURCE, ""), row.get(SOURCE_ID, "")):
            return
        natural = natural_of(self.kind, row)
        columns = next((one for one in self.kind.natural if all(map(row.get, one))), ())
        if natural and natural not in self._asked and self._can_filter(columns):
            yield natural, {rest_name(name): row[name] for name in columns}

    def _can_filter(self, columns: Collection[str]) -> bool:
        return self.kind.rest is not None and {rest_name(name) for name in columns} <= set(self.kind.rest.filters)

    def _can_list(self, source: str) -> bool:
        rest = self.kind.rest
        return rest is not None and bool(source) and "source" in rest.filters and _is_plain(source)

    def _read_whole(self) -> None:
        self._is_whole = True
        self._read({})

    def _read_source(self, source: str) -> None:
        self._sources.add(source)
        self._read({"source": source})

    def _read(self, params: Mapping[str, str]) -> None:
        if self.kind.rest is not None:
            for page in self._pages(self.kind.rest.path, {**params, **self._chosen()}):
                self._keep(page)

    def _chosen(self) -> dict[str, str]:
        """The fields of the type, learnt from one record, which has them all: an unknown one would be refused."""
        if self._fields is None and self.kind.rest is not None:
            first = self._get(self.kind.rest.path, {"per_page": "1", "fields": "id"})
            found = [one for one in first if isinstance(one, dict)] if isinstance(first, list) else []
            whole = self._get(f"{self.kind.rest.path}/{found[0].get('id')}", {}) if found else None
            present = set(whole) if isinstance(whole, dict) else set()
            names = [rest_name(name) for name, column in self.kind.columns.items() if column.kind != "refs"]
            self._fields = tuple(name for name in dict.fromkeys(names) if name in present)
        return {"fields": ",".join(self._fields)} if self._fields else {}

    # ── rows of owners ──────────────────────────────────────────────────────────────────────────

    def _fetch_owners(self, rows: Sequence[Mapping[str, str]]) -> None:
        below = BELOW[self.name]
        owners = {owner: row for row in rows if (owner := owner_of(self.kind, row)) and owner not in self._asked}
        each = 1 + len(below.parts)
        self._tell(len(owners) * each)
        for owner, row in owners.items():
            self._asked.add(owner)
            for number in self._owner_ids(below, row):
                for part, prefix in below.parts:
                    path = f"{_path(below.owner)}/{number}/{part}"
                    for page in self._pages(path, {}):
                        self.records.add(self._owned_cells(page, row, prefix))

    def _owner_ids(self, below: _Below, row: Mapping[str, str]) -> list[int]:
        """The records whose rows they are: an owner that is not there has none."""
        if self.kind.group == "CI" and row.get("CI Source") and row.get("CI Source ID"):
            params = {"source": row["CI Source"], "sourceID": row["CI Source ID"]}
        else:
            text = row.get("CI Label" if self.kind.group == "CI" else self.kind.group, "").strip()
            params = {rest_name(below.by): text.rpartition(" @")[0] or text}
        if all(map(_is_plain, params.values())):
            pages = self._pages(_path(below.owner), {**params, "fields": "id"})
            return [one["id"] for page in pages for one in page if _is_id(one.get("id"))]
        if self._owners is None:
            # A comma makes a set of a filter, and a set of texts is refused: then only the whole list tells.
            self._owners = {}
            name = rest_name(below.by)
            for page in self._pages(_path(below.owner), {"fields": f"{name},source,sourceID"}):
                for one in page:
                    for key in (str(one.get(name)).casefold(), f"{one.get('source')}\x1f{one.get('sourceID')}"):
                        self._owners.setdefault(key, []).append(one["id"])
        key = "\x1f".join(params.values())
        return self._owners.get(key if len(params) > 1 else key.casefold(), [])

    def _owned_cells(
        self, page: Sequence[Mapping[str, Any]], row: Mapping[str, str], prefix: str
    ) -> Iterator[list[str | None]]:
        """Rows below an owner, in the words of an import; the owner is called what the row of the plan calls it."""
        owner = {name: row.get(name, "") for name in self.kind.owners}
        if self.name == "ci_relations":
            ends = [one["ci"]["id"] for one in page if isinstance(one.get("ci"), dict) and _is_id(one["ci"].get("id"))]
            for column in (SOURCE, SOURCE_ID, "Label"):
                self._learn("cis", column, ends)
        for one in page:
            cells: dict[str, str | None] = dict(owner)
            for name in self.records.columns:
                if name not in owner:
                    cells[name] = self._owned_cell(name, one, prefix)
            yield [cells[name] for name in self.records.columns]

    def _owned_cell(self, name: str, one: Mapping[str, Any], prefix: str) -> str | None:
        if name == ID:
            return str(one.get("id", ""))
        if name.startswith(("Contact ", "Address ")) and not name.startswith(prefix):
            return ""
        if name.startswith("Related CI "):
            end = one["ci"].get("id") if isinstance(one.get("ci"), dict) else None
            return self._texts.get(("cis", name.removeprefix("Related CI "), end)) if isinstance(end, int) else None
        if name == "Role Account" and isinstance(one.get("account"), dict):
            return str(one["account"].get("id", ""))
        field = rest_name(name.removeprefix(prefix))
        return self._cell(self.kind.columns[name], one[field]) if field in one else None

    # ── relations ───────────────────────────────────────────────────────────────────────────────

    def _fetch_relations(self, rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> None:
        """Columns of several references are collections below their record: one request for each."""
        found = {}
        for row in rows:
            held = self._held(row)
            if held is not None and f"below\x1f{held.id}" not in self._asked:
                found[held.id] = held
        self._tell(len(found) * len(columns))
        for record_id, held in found.items():
            self._asked.add(f"below\x1f{record_id}")
            cells = dict(held.cells)
            for name in columns:
                if name not in self._barren:
                    cells[name] = self._several(name, record_id)
            self.records.add([[cells[name] for name in self.records.columns]], replace=True)

    def _held(self, row: Mapping[str, str]) -> Any:
        if row.get(ID):
            return self.records.by_id(row[ID])
        found = self.records.by_pair(row.get(SOURCE, ""), row.get(SOURCE_ID, ""))
        return found or self.records.by_natural(natural_of(self.kind, row))

    def _several(self, name: str, record_id: str) -> str | None:
        column = self.kind.columns[name]
        path = f"{_path(self.name)}/{record_id}/{rest_name(name)}"
        items: list[Mapping[str, Any]] = []
        for page in self._pages(path, {}, missing=lambda: self._barren.add(name)):
            items += page
        if name in self._barren:
            return None
        self._learn_of(column, items)
        texts = [self._named(column, one) for one in items]
        return None if None in texts else "\n".join(text for text in texts if text)

    # ── what records say ────────────────────────────────────────────────────────────────────────

    def _keep(self, found: Sequence[Mapping[str, Any]]) -> None:
        if self.kind.has_pair and any("source" not in one for one in found):
            self.why_not = f"{self.why}, and REST does not give the Source of {self.name}"
        for name, column in self.kind.columns.items():
            if column.kind == "ref":
                self._learn_of(column, [one.get(rest_name(name)) for one in found])
        self.records.add((self._cells(one) for one in found if _is_id(one.get("id"))), replace=True)

    def _cells(self, record: Mapping[str, Any]) -> list[str | None]:
        cells: list[str | None] = []
        for name, column in self.kind.columns.items():
            field = rest_name(name)
            cells.append(self._cell(column, record[field]) if field in record else None)
        return cells

    def _cell(self, column: ImportColumn, value: Any) -> str | None:
        if value is not None and column.kind in ("ref", "refs"):
            return self._named(column, value)
        return plain(column, value)

    def _named(self, column: ImportColumn, value: Any) -> str | None:
        """A record as an import names it, with the account it lives in where that is another one."""
        if not isinstance(value, dict) or not _is_id(value.get("id")):
            return None
        text = value.get(rest_name(column.by)) if column.by != ID else str(value["id"])
        if not isinstance(text, str):
            text = self._texts.get((column.to, column.by, value["id"]))
        if text is None:
            return None
        account = value.get("account")
        elsewhere = account.get("id") if isinstance(account, dict) else None
        return f"{text} @{elsewhere}" if elsewhere and elsewhere != self._account else text

    def _learn_of(self, column: ImportColumn, values: Iterable[Any]) -> None:
        """Find out what records are called that only show their ID and name."""
        field = rest_name(column.by)
        if column.by != ID:
            bare = [one["id"] for one in values if isinstance(one, dict) and _is_id(one.get("id")) and field not in one]
            self._learn(column.to, column.by, bare)

    def _learn(self, name: str, by: str, ids: Iterable[int]) -> None:
        kind = import_types()[name]
        wanted = sorted({one for one in ids if (name, by, one) not in self._texts})
        if kind.rest is None or "id" not in kind.rest.filters:
            return
        field = rest_name(by)
        for at in range(0, len(wanted), PAGE):
            some = wanted[at : at + PAGE]
            for page in self._pages(kind.rest.path, {"id": ",".join(map(str, some)), "fields": field}):
                for one in page:
                    if _is_id(one.get("id")) and field in one:
                        self._texts[name, by, one["id"]] = str(one[field] or "")
            for one_id in some:
                self._texts.setdefault((name, by, one_id), None)

    # ── asking ──────────────────────────────────────────────────────────────────────────────────

    def _count(self, params: Mapping[str, str]) -> int:
        rest = self.kind.rest
        if rest is None:
            return 0
        self.requests += 1
        answer = self._reader.get(rest.path, {**params, "per_page": "1", "fields": "id"})
        self._note(answer.headers)
        total = answer.headers.get("x-pagination-total-entries", "")
        return int(total) if total.isdigit() else len(answer.body or ())

    def _get(self, path: str, params: Mapping[str, str]) -> Any:
        self.requests += 1
        answer = self._reader.get(path, params, allow_missing=True)
        if answer is None:
            return None
        self._note(answer.headers)
        return answer.body

    def _pages(
        self, path: str, params: Mapping[str, str], missing: Callable[[], None] = lambda: None
    ) -> Iterator[list[dict[str, Any]]]:
        """All pages of a collection; `missing` is called where there is no such collection."""
        following: Mapping[str, str] = {}
        while True:
            self.requests += 1
            asked = {**params, "per_page": str(PAGE), **following}
            answer = self._reader.get(path, asked, allow_missing=True)
            if answer is None:
                missing()
                return
            self._note(answer.headers)
            yield [one for one in answer.body if isinstance(one, dict)] if isinstance(answer.body, list) else []
            following = _following(answer.headers.get("link", ""))
            if not following:
                return

    def _note(self, headers: Mapping[str, str]) -> None:
        left = headers.get("x-ratelimit-remaining", "")
        self._left = int(left) if left.isdigit() else None


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


def cost(requests: int, left: int | None) -> str:
    """What so many requests take of an hour's, in words; `left` is what is left of them."""
    most, seconds = BURST
    over = max(0, requests - (HOURLY if left is None else left))
    time = requests / most * seconds if not over else math.ceil(over / HOURLY) * 3600.0
    words = f"{math.ceil(time / 3600)} h" if time > 5400 else f"{math.ceil(time / 60)} min"
    return f"{requests:,} requests of {HOURLY:,} an hour, {words} at least"


def _following(link: str) -> dict[str, str]:
    """The cursor of the next page; its address is never followed as it stands."""
    for one in parse_header_links(link) if link else []:
        if one.get("rel") == "next":
            said = parse_qs(urlsplit(one.get("url", "")).query)
            return {name: said[name][0] for name in ("search_after", "page") if name in said}
    return {}


def _path(name: str) -> str:
    rest = import_types()[name].rest
    return rest.path if rest else f"/v1/{name}"


def _pages(records: int) -> int:
    return max(1, math.ceil(records / PAGE))


def _is_plain(text: str) -> bool:
    """Whether a filter takes it as it is: no operator at its head, no comma, which makes a set (documented)."""
    return bool(text) and "," not in text and text[0] not in "!<>="


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
