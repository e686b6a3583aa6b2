"""Transform maps, read from their records: what a map does with a row, and by which keys records are found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from syncengine.sandbox.keys import Kind
from syncengine.sandbox.maps import standin
from syncengine.sandbox.store import Record
from syncengine.sandbox.tables import Column, Table, Tables

KindOf = Callable[[str, tuple[str, ...], bool, bool], Kind]
"""(table, attributes, empty ones count, case of letters counts) → the key by which records are found."""
SCRIPTED = "[Script]"
"""What old maps have as source of a scripted entry (inferred)."""


class Entry(NamedTuple):
    """One field of a map."""

    source: str
    target: str
    column: Column | None
    """None where the target table has no such column: the entry does nothing (inferred)."""
    coalesce: bool
    case_sensitive: bool
    coalesce_empty: bool
    choice_action: str
    """create, ignore or reject: what becomes of a value that no choice or record has."""
    date_format: str
    by: Kind | None
    """Of a reference: the key by which its record is found; None where the value must be a sys_id."""
    template: str | None
    """Stand-in of a script."""
    scripted: bool


class Map(NamedTuple):
    """One transform map."""

    sys_id: str
    name: str
    order: int
    target: Table | None
    """None where the target table does not exist."""
    target_name: str
    entries: tuple[Entry, ...]
    copy_empty: bool
    create_on_empty: bool
    mandatory: str
    """no, onlymappedfields or allfields."""
    business_rules: bool
    coalesce: tuple[Entry, ...]
    """Entries by which the target record is found."""
    by: Kind | None
    before: tuple[standin.Form, ...]
    after: tuple[standin.Form, ...]
    """Of scripts that run after the record was written, and change it once more."""


class Maps:
    """The active maps by staging table, in the order they run."""

    def __init__(
        self, tables: Tables, records: Mapping[str, Iterable[Record]], used: set[str], kind_of: KindOf
    ) -> None:
        self._tables = tables
        self._kind_of = kind_of
        self._kinds: set[Kind] = set()
        entries: dict[str, list[Record]] = {}
        for record in records["sys_transform_entry"]:
            entries.setdefault(record.values.get("map", ""), []).append(record)
        scripts: dict[str, list[Record]] = {}
        for record in records["sys_transform_script"]:
            if record.values.get("active") != "false":
                scripts.setdefault(record.values.get("map", ""), []).append(record)
        self._by_table: dict[str, list[Map]] = {}
        self.names: dict[str, str] = {}
        """Names of all maps by sys_id."""
        for record in records["sys_transform_map"]:
            self.names[record.sys_id] = record.values.get("name", "")
            source = record.values.get("source_table", "")
            if record.values.get("active") != "false" and source in used:
                own = entries.get(record.sys_id, [])
                self._by_table.setdefault(source, []).append(self._map(record, own, scripts.get(record.sys_id, [])))
        for maps in self._by_table.values():
            # of equal order the name decides (inferred)
            maps.sort(key=lambda one: (one.order, one.name))
        self.multiple = {
            record.values.get("source_table", ""): record.values
            for record in records["sys_rest_insert_multiple"]
            if record.values.get("active") != "false"
        }
        """Settings of insertMultiple by staging table."""
        self.robust = {
            record.values.get("source_table", "")
            for record in records["sys_robust_import_set_transformer"]
            if record.values.get("active") != "false"
        }
        """Staging tables that a robust transformer works on."""

    def of(self, table: str) -> list[Map]:
        """The maps of a staging table that has been used."""
        return self._by_table.get(table, [])

    def kinds(self) -> set[Kind]:
        """All keys by which the maps find records."""
        return self._kinds

    def _map(self, record: Record, entries: list[Record], scripts: list[Record]) -> Map:
        v = record.values
        target = self._tables.get(v.get("target_table", ""))
        made = [self._entry(one.values, target) for one in entries]
        coalesce = tuple(one for one in made if one.coalesce and one.column is not None)
        by = None
        if target is not None and coalesce and not any(one.target == "sys_id" for one in coalesce):
            # where only some columns are case-sensitive, the rest is compared afterwards
            exact = all(one.case_sensitive for one in coalesce)
            empty = any(one.coalesce_empty for one in coalesce) or len(coalesce) > 1
            by = self._key(target.name, tuple(sorted(one.target for one in coalesce)), empty, exact)
        before: list[standin.Form] = []
        after: list[standin.Form] = []
        for script in sorted(scripts, key=lambda one: _number(one.values.get("order", ""))):
            form, when = standin.form(script.values.get("script", "")), script.values.get("when", "onBefore")
            if form is not None and when == "onBefore":
                before.append(form)
            elif form is not None and when == "onAfter":
                after.append(form)
        whole = standin.form(v.get("script", "")) if v.get("run_script") == "true" else None
        if whole is not None:
            before.append(whole)
        return Map(
            record.sys_id,
            v.get("name", ""),
            _number(v.get("order", "100")),
            target,
            v.get("target_table", ""),
            # documented: the fields by which the target is found come first
            tuple(sorted(made, key=lambda one: not one.coalesce)),
            v.get("copy_empty_fields") == "true",
            v.get("create_new_record_on_empty_coalesce_fields") == "true",
            "".join(c for c in v.get("enforce_mandatory_fields", "No").lower() if c.isalpha()),
            v.get("run_business_rules") != "false",
            coalesce,
            by,
            tuple(before),
            tuple(after),
        )

    def _entry(self, v: Mapping[str, str], target: Table | None) -> Entry:
        name = v.get("target_field", "")
        column = target.columns.get(name) if target is not None else None
        by = None
        if column is not None and column.reference:
            referenced = self._tables.get(column.reference)
            field = v.get("reference_value_field", "") or (referenced.display if referenced is not None else "")
            if referenced is not None and field != "sys_id":
                by = self._key(referenced.name, (field,), False, False)
        scripted = v.get("use_source_script") == "true" or v.get("source_field") == SCRIPTED
        return Entry(
            v.get("source_field", ""),
            name,
            column,
            v.get("coalesce") == "true",
            v.get("coalesce_case_sensitive") == "true",
            v.get("coalesce_empty_fields") == "true",
            v.get("choice_action", "create") or "create",
            v.get("date_format", ""),
            by,
            standin.template(v.get("source_script", "")) if scripted else None,
            scripted,
        )

    def _key(self, table: str, attributes: tuple[str, ...], empty: bool, exact: bool) -> Kind:
        kind = self._kind_of(table, attributes, empty, exact)
        self._kinds.add(kind)
        return kind


def _number(text: str) -> int:
    try:
        return int(text or "100")
    except ValueError:
        return 100
