"""Records of a type read over REST, for as long as no export of it is to be had: no more than rows need."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from syncengine.errors import Problem, UnsafeError, many
from syncengine.spec.import_types import ID, SOURCE, SOURCE_ID, ImportColumn, ImportType, import_types
from syncengine.targets.fourme.below import PLACES, Below
from syncengine.targets.fourme.records import Held, Records, natural_of, owner_of
from syncengine.targets.fourme.told import Told, rest_name, rest_path
from syncengine.transport.collection import HOURLY, Collections, cost, is_plain, pages_of
from syncengine.transport.reader import Reader

QUIET = 20
"""Requests that are not worth a word."""
EVERY = 15.0
"""Seconds between words on how far it is."""


def unreadable(name: str, kind: ImportType) -> str:
    """Why REST is no help with a type; empty where it is."""
    if kind.group == SOURCE_ID:
        return "REST does not give the hours of calendars"
    if kind.rest is None and name not in PLACES:
        return f"REST has no collection of {name}"
    return ""


class OverRest:
    """One type of one account; what was read stays read, so each look at the account as it is now takes a new one."""

    how = "REST does not give"

    def __init__(
        self, name: str, reader: Reader, say: Callable[[str], None], account: str, why: str, most: int = HOURLY
    ) -> None:
        """`why` is the reason why no export is read; `most` the requests that rows of owners may take."""
        self.name = name
        self.kind = import_types()[name]
        self.records = Records(self.kind)
        self._columns = self.kind.columns
        if self.kind.rest is not None:  # a few types import no ID, and their records have one all the same
            self._columns = {ID: ImportColumn("integer"), **self.kind.columns}
            self.records.take(self._columns)
        self.records.clear()
        self.why = why
        self.why_not = ""
        """Why nothing can be compared after all."""
        self.needed = 0
        """The requests that would be needed, where they are more than the most."""
        self._most = most
        self._coming = 0
        """Owners that a plan reads."""
        self._reads = Collections(reader)
        self._told = Told(self._reads, account)
        self._below = Below(name, self._reads, self._told) if name in PLACES else None
        self._say = say
        self._is_said = False
        self._clock = reader.clock
        self._said_at = self._clock.now()
        self._lock = threading.Lock()
        self._fields: tuple[str, ...] | None = None
        self._is_whole = False
        self._sources: set[str] = set()
        """Sources all records of which were read."""
        self._asked: set[str] = set()
        """What was looked for by itself: pairs, natural keys, IDs, owners, relations of a record."""
        self._barren: set[str] = set()
        """Relations of which there is no collection."""

    @property
    def requests(self) -> int:
        """What it has cost so far."""
        return self._reads.requests

    # ── how much ────────────────────────────────────────────────────────────────────────────────

    def read_all_of(self, sources: Collection[str]) -> None:
        """For a plan: every record of these sources, or of the type where that costs little more or nothing else does.

        A guard and `vanished` need all that is owned; natural keys and IDs of other records are found at once then.
        """
        if self.kind.rest is None:
            return
        with self._lock:
            path = self.kind.rest.of_account
            total = pages_of(self._reads.count(path, {}))
            can = "source" in self.kind.rest.filters and self.kind.has_pair and all(map(is_plain, sources))
            own = sum(pages_of(self._reads.count(path, {"source": source})) for source in sources) if can else total
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

    def coming(self, owners: int) -> None:
        """A plan looks at rows of so many more owners next; where that is too much, at none."""
        below = self._below
        if below is None or self.why_not:
            return
        with self._lock:
            self._coming += owners
            requests = below.cost(self._coming, self._coming * len(below.place.parts))
            if requests > self._most:
                self.needed, self.why_not = requests, f"{self.why}, and {self._too_many(self._coming, requests)}"
                return
            self._tell(requests)
            self._is_said = True
            below.expect(self._coming)

    def _too_many(self, owners: int, requests: int) -> str:
        spent = cost(requests, self._reads.left)
        return f"to read {many(owners, 'owner')} over REST takes {spent}; rest_requests allows {self._most:,}"

    def _tell(self, requests: int, more: str = "") -> None:
        """What it costs, before it is spent."""
        if requests > QUIET and not self._is_said:
            self._say(f"{self.name}: {self.why}; it is compared over REST: {cost(requests, self._reads.left)}{more}")

    def _tell_how_far(self) -> None:
        now = self._clock.now()
        if now - self._said_at >= EVERY:
            self._said_at = now
            self._say(f"{self.name}: {self.requests:,} requests so far")

    # ── what rows need ──────────────────────────────────────────────────────────────────────────

    def fetch(self, rows: Sequence[Mapping[str, str]], *, is_planning: bool = True, is_check: bool = False) -> None:
        """Read what these rows will find, as far as it was not read; their cells are those of an import.

        A plan wants all that their owners have, since that is replaced. Raises UnsafeError where a check of owners
        takes more requests than it may.
        """
        with self._lock:
            if self._below is not None:
                if not self.why_not:
                    self._fetch_owners(self._below, rows, is_planning=is_planning, is_check=is_check)
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
        can_filter = all(is_plain(text) for params in wanted.values() for text in params.values())
        if len(wanted) > QUIET or not can_filter:
            listed = {"source": source} if self._can_list(source) else {}
            pages = pages_of(self._reads.count(self.kind.rest.of_account, listed))
            if pages < len(wanted) or not can_filter:
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
                found = self._reads.get(f"{self.kind.rest.path}/{params[ID]}", {})
                self._keep([found] if isinstance(found, dict) else [])
            else:
                for page in self._reads.pages(self.kind.rest.of_account, {**params, **self._chosen()}):
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
        return rest is not None and bool(source) and "source" in rest.filters and is_plain(source)

    def _read_whole(self) -> None:
        self._is_whole = True
        self._read({})

    def _read_source(self, source: str) -> None:
        self._sources.add(source)
        self._read({"source": source})

    def _read(self, params: Mapping[str, str]) -> None:
        if self.kind.rest is not None:
            for page in self._reads.pages(self.kind.rest.of_account, {**params, **self._chosen()}):
                self._keep(page)

    def _chosen(self) -> dict[str, str]:
        """The fields of the type, learnt from one record, which has them all: an unknown one would be refused."""
        if self._fields is None and self.kind.rest is not None:
            first = self._reads.get(self.kind.rest.of_account, {"per_page": "1", "fields": "id"})
            found = [one for one in first if isinstance(one, dict)] if isinstance(first, list) else []
            whole = self._reads.get(f"{self.kind.rest.path}/{found[0].get('id')}", {}) if found else None
            present = set(whole) if isinstance(whole, dict) else set()
            names = [rest_name(name) for name, column in self.kind.columns.items() if column.kind != "refs"]
            self._fields = tuple(name for name in dict.fromkeys(names) if name in present)
        return {"fields": ",".join(self._fields)} if self._fields else {}

    def _keep(self, found: Sequence[Mapping[str, Any]]) -> None:
        if self.kind.has_pair and any("source" not in one for one in found):
            self.why_not = f"{self.why}, and REST does not give the Source of {self.name}"
        self.records.add(self._told.cells(self._columns, found), replace=True)
        self._tell_how_far()

    # ── rows of owners, and relations ───────────────────────────────────────────────────────────

    def _fetch_owners(
        self, below: Below, rows: Sequence[Mapping[str, str]], *, is_planning: bool, is_check: bool
    ) -> None:
        owners: dict[str, list[Mapping[str, str]]] = {}
        for row in rows:
            if (owner := owner_of(self.kind, row)) and owner not in self._asked:
                owners.setdefault(owner, []).append(row)
        parts = {one: below.place.parts if is_planning else below.place.parts_of(own) for one, own in owners.items()}
        if not is_planning:
            requests = below.cost(len(owners), sum(map(len, parts.values())))
            if is_check and requests > self._most:
                raise self._too_dear(len(owners), requests)
            self._tell(requests)
            below.expect(len(owners))
        for owner, own in owners.items():
            self._asked.add(owner)
            self.records.add(list(below.rows(own[0], parts[owner])))
            self._tell_how_far()

    def _too_dear(self, owners: int, requests: int) -> UnsafeError:
        """Rows are not sent unseen, and nobody waits for hours without having said so."""
        said = f"{self.name} is not checked: {self._too_many(owners, requests)}"
        fix = (
            f"allow it: rest_requests: {requests} under the connection, then resume;"
            "\nor resume tomorrow, when 4me gives an export again"
        )
        return UnsafeError(Problem("too-many-requests", said, "rest_requests", self.why, fix))

    def _fetch_relations(self, rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> None:
        """Columns of several references are collections below their record: one request for each."""
        found = {held.id: held for row in rows if (held := self._held(row)) is not None}
        wanted = [(one, name) for one in found for name in columns if f"{name}\x1f{one}" not in self._asked]
        self._tell(len(wanted))
        for record_id, name in wanted:
            self._asked.add(f"{name}\x1f{record_id}")
            if name not in self._barren:
                found[record_id].cells[name] = self._several(name, record_id)
        read = [found[one] for one in dict.fromkeys(one for one, _ in wanted)]
        self.records.add([[one.cells[name] for name in self.records.columns] for one in read], replace=True)

    def _held(self, row: Mapping[str, str]) -> Held | None:
        if row.get(ID):
            return self.records.by_id(row[ID])
        found = self.records.by_pair(row.get(SOURCE, ""), row.get(SOURCE_ID, ""))
        return found or self.records.by_natural(natural_of(self.kind, row))

    def _several(self, name: str, record_id: str) -> str | None:
        column = self.kind.columns[name]
        items: list[Mapping[str, Any]] = []
        path = f"{rest_path(self.name)}/{record_id}/{rest_name(name)}"
        for page in self._reads.pages(path, {}, missing=lambda: self._barren.add(name)):
            items += page
        if name in self._barren:
            return None
        self._told.learn_of(column, items)
        texts = [self._told.named(column, one) for one in items]
        return None if None in texts else "\n".join(text for text in texts if text)
