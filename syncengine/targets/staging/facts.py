"""What an instance says about a staging table: its columns, its transform maps, and the tables that these write.

Columns of sys_transform_map, sys_transform_entry and sys_transform_script: observed in exported maps, their meanings
documented (fluent-import-sets-api, Australia). Without import_transformer their lists come back empty, not refused, so
"no map" and "may not read" are told apart here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from syncengine.errors import AuthError, RemoteError
from syncengine.transport.import_set import ROLE, is_seen
from syncengine.transport.reader import Reader
from syncengine.transport.servicenow import table_rows

ROWS = "sys_import_set_row"
"""The parent of all staging tables."""
Mandatory = Literal["no", "mapped", "all"]
Mode = Literal["labels", "names", ""]
_SCRIPTED = "[Script]"
"""What old maps have as source of a scripted entry (inferred)."""
_DECIDES = ("onStart", "onBefore", "onAfter")
"""Scripts of a map that can change or refuse a row; the others only learn of it."""
_NOT_THERE = frozenset({"not-found", "bad-request"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the dictionary has it."""

    name: str
    type: str = "string"
    label: str = ""
    reference: str = ""
    """The table it refers to."""
    max_length: int = 0
    mandatory: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One field map: from a staging column to a column of the target."""

    source: str
    target: str
    coalesce: bool = False
    case_sensitive: bool = False
    coalesce_empty: bool = False
    choice_action: str = "create"
    """create, ignore or reject: what a value does that no choice or record has."""
    by: str = ""
    """The column by which a referenced record is found; empty for its display column."""
    date_format: str = ""
    is_scripted: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A table that a map writes."""

    name: str
    columns: Mapping[str, Column] = field(default_factory=dict)
    choices: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """Value and label of each choice, by column; columns without choices are not there."""
    path: tuple[str, ...] = ()
    """The table and its ancestors, nearest first."""


@dataclass(frozen=True, slots=True)
class TransformMap:
    """One active transform map of a staging table."""

    name: str
    target: Target
    entries: tuple[Entry, ...]
    order: int = 100
    copy_empty: bool = False
    create_on_empty: bool = False
    mandatory: Mandatory = "no"
    undecidable: str = ""
    """Why nobody can say what it makes of a row; empty where that can be said."""
    displays: Mapping[str, str] = field(default_factory=dict)
    """Display column of each table that its entries refer to."""

    @property
    def coalesce(self) -> tuple[Entry, ...]:
        """The entries by which the target's record is found."""
        return tuple(one for one in self.entries if one.coalesce)


@dataclass(frozen=True, slots=True)
class Staging:
    """A staging table as far as this login may see it."""

    name: str
    exists: bool = True
    columns: Mapping[str, Column] = field(default_factory=dict)
    """Empty where the dictionary cannot be read."""
    maps: tuple[TransformMap, ...] = ()
    maps_readable: bool = True
    """Whether any transform map of the instance can be seen."""
    rows_readable: bool = True
    """Whether staging rows can be read back."""
    robust: bool = False
    """A robust transformer works on it, which no field map describes."""
    mode: Mode = ""
    """What insertMultiple takes as keys, where the instance tells."""

    @property
    def makes_others(self) -> bool:
        """Whether a row may make records beside its own, as far as can be known: what later rows find depends on it."""
        return bool(self.undecidable) or any(
            entry.choice_action == "create" and (column := one.target.columns.get(entry.target)) and column.reference
            for one in self.maps
            for entry in one.entries
        )

    @property
    def undecidable(self) -> str:
        """Why nothing can be said about any row; empty where something can."""
        if self.robust:
            return "a robust transformer works on this table; it cannot be foretold"
        if not self.maps_readable:
            return f"transform maps cannot be read (role {ROLE})"
        return next((one.undecidable for one in self.maps if one.undecidable), "")


class Facts:
    """Asks one instance, each thing once; may be asked from several threads."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._lock = threading.RLock()
        self._tables: dict[str, Staging] = {}
        self._targets: dict[str, Target] = {}
        self._parents: dict[str, str] | None = None
        self._displays: dict[str, str] = {}
        self.found: dict[tuple[str, str, str], list[str]] = {}
        """References that were found, by table, column and value: records that are referred to seldom go."""

    @property
    def base_url(self) -> str:
        """Where the instance is."""
        return self._reader.base_url

    def staging(self, name: str) -> Staging:
        """A staging table with its maps."""
        with self._lock:
            if name not in self._tables:
                self._tables[name] = self._staging(name)
            return self._tables[name]

    def rows(
        self, table: str, query: str, fields: Sequence[str], *, hidden: list[int] | None = None
    ) -> list[dict[str, Any]] | None:
        """The rows of a query; None where the table is not there or not to be read.

        How many were counted and not shown is added to `hidden`: access rules leave rows out without a word.
        """
        told = hidden.append if hidden is not None else None
        try:
            return list(table_rows(self._reader, table, query, fields, on_hidden=told))
        except AuthError as error:
            if error.problems[0].code == "login-refused":
                raise
            return None
        except RemoteError as error:
            if error.problems[0].code not in _NOT_THERE:
                raise
            return None

    def count(self, table: str, query: str) -> int | None:
        """How many rows a query has; None where the instance does not count."""
        params = {"sysparm_limit": "1", "sysparm_fields": "sys_id", "sysparm_query": query}
        answer = self._reader.get(f"/api/now/table/{table}", params, allow_missing=True)
        text = answer.headers.get("x-total-count", "") if answer is not None else ""
        return int(text) if text.isascii() and text.isdigit() else None

    def _staging(self, name: str) -> Staging:
        try:
            answer = self._reader.get(
                f"/api/now/table/{name}", {"sysparm_limit": "1", "sysparm_fields": "sys_id"}, allow_missing=True
            )
        except AuthError as error:
            if error.problems[0].code == "login-refused":
                raise
            exists, seen = True, False
        except RemoteError as error:
            if error.problems[0].code not in _NOT_THERE:
                raise
            exists = seen = False
        else:
            exists = answer is not None
            seen = answer is not None and bool(answer.body.get("result"))
        if not exists:
            return Staging(name, exists=False)
        maps_seen = is_seen(self._reader, "sys_transform_map")
        maps = tuple(self._maps(name)) if maps_seen else ()
        return Staging(
            name,
            columns=self._columns(self._path(name)),
            maps=maps,
            maps_readable=maps_seen,
            rows_readable=seen or maps_seen or is_seen(self._reader, ROWS),
            robust=self._is_robust(name),
            mode=self._mode(name),
        )

    def _is_robust(self, name: str) -> bool:
        found = self.rows("sys_robust_import_set_transformer", f"source_table={name}^active=true", ("sys_id",))
        return bool(found)

    def _mode(self, name: str) -> Mode:
        """The table's row of sys_rest_insert_multiple; its columns are not documented, so its values are looked at."""
        for row in self.rows("sys_rest_insert_multiple", "", ()) or ():
            texts = [str(value).lower() for key, value in row.items() if not key.startswith("sys_")]
            if name in texts and str(row.get("active", "true")) != "false":
                if any(text in ("column_name", "column_names", "name", "names", "column name") for text in texts):
                    return "names"
                if any("label" in text for text in texts):
                    return "labels"
        return ""

    # ── columns ─────────────────────────────────────────────────────────────────────────────────

    def _columns(self, path: Sequence[str]) -> dict[str, Column]:
        """The columns of a table and its ancestors; the nearest definition wins."""
        fields = ("sys_id", "name", "element", "column_label", "internal_type", "reference", "max_length", "mandatory")
        rows = self.rows("sys_dictionary", f"nameIN{','.join(path)}^elementISNOTEMPTY", fields) or []
        found: dict[str, Column] = {}
        for table in reversed(path):
            for row in rows:
                if row["name"] == table and row["element"]:
                    found[row["element"]] = Column(
                        row["element"],
                        str(row.get("internal_type") or "string"),
                        str(row.get("column_label") or ""),
                        str(row.get("reference") or ""),
                        _number(row.get("max_length"), 0),
                        str(row.get("mandatory")) == "true",
                    )
        return found

    def _path(self, name: str) -> tuple[str, ...]:
        """A table and its ancestors."""
        if self._parents is None:
            rows = self.rows("sys_db_object", "", ("sys_id", "name", "super_class")) or []
            names = {row["sys_id"]: row["name"] for row in rows}
            self._parents = {row["name"]: names.get(str(row.get("super_class") or ""), "") for row in rows}
        path = [name]
        while (parent := self._parents.get(path[-1], "")) and parent not in path:
            path.append(parent)
        return tuple(path)

    def target(self, name: str) -> Target:
        """A table that maps write."""
        if name not in self._targets:
            path = self._path(name)
            self._targets[name] = Target(name, self._columns(path), self._choices(path), path)
        return self._targets[name]

    def _choices(self, path: Sequence[str]) -> dict[str, tuple[tuple[str, str], ...]]:
        fields = ("sys_id", "name", "element", "value", "label", "inactive")
        found: dict[str, dict[str, list[tuple[str, str]]]] = {}
        for row in self.rows("sys_choice", f"nameIN{','.join(path)}", fields) or ():
            if str(row.get("inactive")) != "true":
                choice = (str(row["value"]), str(row["label"]))
                found.setdefault(row["element"], {}).setdefault(row["name"], []).append(choice)
        return {
            element: tuple(dict.fromkeys(next(by_table[table] for table in path if table in by_table)))
            for element, by_table in found.items()
        }

    def display(self, table: str) -> str:
        """The column that names a record of a table: the one the dictionary marks, else name or number."""
        if table not in self._displays:
            path = self._path(table)
            query = f"nameIN{','.join(path)}^display=true"
            rows = self.rows("sys_dictionary", query, ("sys_id", "name", "element")) or []
            marked = {row["name"]: row["element"] for row in rows}
            columns = self.target(table).columns
            found = next((marked[one] for one in path if one in marked), "")
            self._displays[table] = found or next((one for one in ("name", "u_name", "number") if one in columns), "")
        return self._displays[table]

    # ── maps ────────────────────────────────────────────────────────────────────────────────────

    def _maps(self, table: str) -> Iterable[TransformMap]:
        fields = (
            "sys_id", "name", "active", "order", "target_table", "enforce_mandatory_fields", "copy_empty_fields",
            "create_new_record_on_empty_coalesce_fields", "run_script",
        )  # fmt: skip
        rows = self.rows("sys_transform_map", f"source_table={table}^active=true", fields) or []
        rows.sort(key=lambda row: (_number(row.get("order"), 100), str(row.get("name"))))
        seen: list[TransformMap] = []
        for row in rows:
            made = self._map(row, seen)
            seen.append(made)
            yield made

    def _map(self, row: Mapping[str, Any], earlier: Sequence[TransformMap]) -> TransformMap:
        name, table = str(row.get("name") or "?"), str(row.get("target_table") or "")
        entries = self._entries(row["sys_id"])
        target = self.target(table)
        used = [target.columns[one.target].reference for one in entries if one.target in target.columns]
        referenced = [one for one in used if one]
        return TransformMap(
            name,
            target,
            entries,
            _number(row.get("order"), 100),
            str(row.get("copy_empty_fields")) == "true",
            str(row.get("create_new_record_on_empty_coalesce_fields")) == "true",
            _mandatory(str(row.get("enforce_mandatory_fields") or "")),
            self._undecidable(row, name, target, entries, referenced, earlier),
            {one: self.display(one) for one in dict.fromkeys(referenced)},
        )

    def _entries(self, sys_id: str) -> tuple[Entry, ...]:
        fields = (
            "sys_id", "source_field", "target_field", "coalesce", "coalesce_case_sensitive", "coalesce_empty_fields",
            "choice_action", "reference_value_field", "date_format", "use_source_script",
        )  # fmt: skip
        made = []
        for row in self.rows("sys_transform_entry", f"map={sys_id}", fields) or ():
            source = str(row.get("source_field") or "")
            made.append(
                Entry(
                    source,
                    str(row.get("target_field") or ""),
                    str(row.get("coalesce")) == "true",
                    str(row.get("coalesce_case_sensitive")) == "true",
                    str(row.get("coalesce_empty_fields")) == "true",
                    str(row.get("choice_action") or "create"),
                    str(row.get("reference_value_field") or ""),
                    str(row.get("date_format") or ""),
                    str(row.get("use_source_script")) == "true" or source == _SCRIPTED,
                )
            )
        return tuple(sorted(made, key=lambda one: (not one.coalesce, one.target, one.source)))

    def _undecidable(
        self,
        row: Mapping[str, Any],
        name: str,
        target: Target,
        entries: Sequence[Entry],
        referenced: Sequence[str],
        earlier: Sequence[TransformMap],
    ) -> str:
        """Why a map cannot be foretold as a whole."""
        if str(row.get("run_script")) == "true":
            return f'a script decides: the map "{name}" runs one on every row'
        scripts = self.rows("sys_transform_script", f"map={row['sys_id']}^active=true", ("sys_id", "when")) or []
        deciding = sorted({str(one.get("when")) for one in scripts if str(one.get("when")) in _DECIDES})
        if deciding:
            return f'a script decides: the map "{name}" has {" and ".join(deciding)}'
        scripted = [one.target for one in entries if one.coalesce and one.is_scripted]
        if scripted:
            return f'a script decides: the map "{name}" finds records by a scripted {scripted[0]}'
        if not target.columns:
            return f"the columns of {target.name or 'no table'} cannot be read (sys_dictionary)"
        touched = {one for each in (target.name, *referenced) for one in self._path(each)}
        for other in earlier:
            if other.target.name in touched or target.name in other.target.path:
                return f'the map "{name}" reads what the map "{other.name}" of the same row writes'
        return ""


def _mandatory(stored: str) -> Mandatory:
    """`No` is what is stored for none; how the others are stored was not found, so their words are looked for."""
    text = stored.lower()
    if "mapped" in text or "only" in text:
        return "mapped"
    return "all" if "all" in text else "no"


def _number(value: object, otherwise: int) -> int:
    text = str(value or "").strip()
    return int(text) if text.isascii() and text.isdigit() else otherwise
