"""One sandbox: its records, and what is derived from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from uuid import uuid4

import orjson

from syncengine.sandbox import catalog
from syncengine.sandbox.access import Access
from syncengine.sandbox.clock import Clock
from syncengine.sandbox.encoded_query import matches, parse
from syncengine.sandbox.keys import Kind
from syncengine.sandbox.ledger import Ledger
from syncengine.sandbox.maps import STOCK, Maps, map_id
from syncengine.sandbox.rulebook import Rulebook
from syncengine.sandbox.settings import SETTINGS, Settings
from syncengine.sandbox.shipped import shipped
from syncengine.sandbox.store import Record, Store
from syncengine.sandbox.tables import Table, Tables

DICTIONARY = ("sys_db_object", "sys_dictionary")
RULES = (
    "cmdb_identifier",
    "cmdb_identifier_entry",
    "cmdb_related_entry",
    "cmdb_metadata_hosting",
    "cmdb_metadata_containment",
    "cmdb_rel_type",
)
LISTS = (
    "sys_choice",
    "sys_properties",
    "cmdb_ire_data_source_rule",
    "cmdb_ire_reclassification_restriction",
    "cmdb_reconciliation_definition",
    "cmdb_datasource_staleness",
    "sys_rate_limit_rules",
    "sys_security_acl",
    "sys_script",
    "cmdb_ire_inclusion_rule",
)
MAPS = ("sys_transform_map", "sys_transform_entry", "sys_transform_script", "sys_rest_insert_multiple",
        "sys_robust_import_set_transformer")  # fmt: skip
DERIVED_FROM = frozenset((*DICTIONARY, *RULES, *LISTS, *MAPS))
_STOCK: dict[str, Tables] = {}
"""The dictionary that ships, by its variant; nobody changes one that was read."""


class World:
    """Records, dictionary, rules, settings, clock and ledger of one sandbox."""

    def __init__(self, path: Path | None = None, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.store = Store(path)
        self.settings = Settings()
        self.resets = 0
        """How often it was emptied; who remembers records looks at it."""
        self._open()

    def _open(self) -> None:
        is_new = self.store.meta("identity") is None
        if is_new:
            with self.store.transaction():
                self.store.set_meta("identity", uuid4().hex)
                self._fill()
        self._read_settings()
        self.clock.offset = float(self.store.meta("clock") or "0")
        self.ledger = Ledger(self.store)
        if is_new:
            self._derive_stock()
        else:
            self.derive()

    def _read_settings(self) -> None:
        self.settings = Settings(orjson.loads(self.store.meta("settings") or "{}"))

    def recall(self) -> None:
        """Go by what is stored, after a change that was taken back."""
        self._read_settings()
        self.derive()

    def _fill(self) -> None:
        now = self.clock.now()
        made = {"sys_created_on": now, "sys_updated_on": now, "sys_created_by": "system", "sys_updated_by": "system"}
        self.store.insert_many(
            [
                Record(self.store.new_rid(), root, table, sys_id, {**values, **made, "sys_mod_count": "0"})
                for root, table, sys_id, values in shipped()
            ]
        )

    # -- what is derived -------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Derive anew what the last writes have changed."""
        if self.store.changed and not self.store.changed.isdisjoint(DERIVED_FROM):
            self.derive(dictionary=not self.store.changed.isdisjoint(DICTIONARY))
        self.store.changed.clear()

    def _derive_stock(self) -> None:
        """Derive from what ships: its dictionary is read once for each variant, for that is most of a reset."""
        self._choose_variants()
        variant = str(self.settings["import.run_column"])
        if variant not in _STOCK:
            _STOCK[variant] = self._read_dictionary()
        self.tables = _STOCK[variant]
        self.derive(dictionary=False)

    def _read_dictionary(self) -> Tables:
        return Tables(self.store.all("sys_db_object"), self.store.all("sys_dictionary"))

    def derive(self, *, dictionary: bool = True) -> None:
        """Read the dictionary, if it changed, and rules, choices and properties from their records."""
        store = self.store
        self._choose_variants()
        self.store.changed.clear()
        if dictionary:
            self.tables = self._read_dictionary()
        self.rules = Rulebook(self.tables, {name: list(store.all(name)) for name in RULES}, self._kind)
        self.properties = {r.values.get("name", ""): r.values.get("value", "") for r in store.all("sys_properties")}
        self.choices: dict[tuple[str, str], dict[str, str]] = {}
        for record in store.all("sys_choice"):
            v = record.values
            if v.get("inactive") != "true":
                self.choices.setdefault((v.get("name", ""), v.get("element", "")), {})[v.get("value", "")] = v.get(
                    "label", ""
                )
        self.source_rules = self._active("cmdb_ire_data_source_rule")
        self.restrictions = self._active("cmdb_ire_reclassification_restriction")
        self.reconciliation = self._active("cmdb_reconciliation_definition")
        self.rate_limits = [r for r in store.all("sys_rate_limit_rules") if r.values.get("active") != "false"]
        self.staleness = self._active("cmdb_datasource_staleness")
        self.inclusion = self._active("cmdb_ire_inclusion_rule")
        self.business_rules = list(store.all("sys_script"))
        self.access = Access(self.tables, store.all("sys_security_acl"))
        # who wrote which attribute, by record
        self.written_by = self._kind("cmdb_datasource_last_update", ("cmdb_ci",), False)
        used = set(orjson.loads(store.meta("staging") or "[]"))
        self.maps = Maps(self.tables, {name: list(store.all(name)) for name in MAPS}, used, self._query_kind)
        self._index()

    def use_staging(self, table: str) -> None:
        """Read the maps of a staging table from now on; what nobody imports into needs no search keys."""
        used = set(orjson.loads(self.store.meta("staging") or "[]"))
        if table not in used:
            self.store.set_meta("staging", orjson.dumps(sorted({*used, table})).decode())
            self.derive(dictionary=False)

    def _choose_variants(self) -> None:
        """Shipped records of which the sources give two variants follow their setting, unless somebody changed them."""
        name = "rules.hardware_fourth_entry"
        self._choose(name, "cmdb_identifier_entry", catalog.HARDWARE_FOURTH_ENTRY, "attributes")
        column = catalog.fixed_id("sys_dictionary", "sys_import_set_run", "set")
        self._choose("import.run_column", "sys_dictionary", column, "element")
        by = self.settings["import.imp_user_coalesce"]
        for target, source in (("email", "email"), ("user_name", "user_id")):
            entry = catalog.fixed_id("sys_transform_entry", map_id("imp_user", 0, STOCK), target)
            self._write_variant("sys_transform_entry", entry, "coalesce", str(source == by).lower(), ("true", "false"))

    def _choose(self, setting: str, table: str, sys_id: str, column: str) -> None:
        known = tuple(str(choice) for choice in SETTINGS[setting].choices)
        self._write_variant(table, sys_id, column, str(self.settings[setting]), known)

    def _write_variant(self, table: str, sys_id: str, column: str, wanted: str, known: tuple[str, ...]) -> None:
        record = self.store.get(table, sys_id)
        if record is not None and record.values.get(column) in known and record.values[column] != wanted:
            before = dict(record.values)
            record.values[column] = wanted
            self.store.update_many([(record, record.table, before)])

    def _active(self, table: str) -> list[dict[str, str]]:
        return [r.values for r in self.store.all(table) if r.values.get("active") != "false"]

    def _kind(self, table: str, attributes: tuple[str, ...], allow_null: bool) -> Kind:
        return self._numbered(Kind(0, table, attributes, allow_null, self.settings["identify.compare"] == "exact"))

    def _numbered(self, kind: Kind) -> Kind:
        db = self.store.db
        row = db.execute("SELECT number FROM kind WHERE spec=?", (kind.spec(),)).fetchone()
        if row is None:
            row = db.execute("INSERT INTO kind (spec) VALUES (?) RETURNING number", (kind.spec(),)).fetchone()
            db.execute("DELETE FROM search WHERE kind=?", row)
        return kind._replace(number=int(row[0]))

    def _query_kind(self, table: str, attributes: tuple[str, ...], empty: bool, exact: bool) -> Kind:
        return self._numbered(Kind(0, table, attributes, empty, exact, query=True))

    def _index(self) -> None:
        """Give new kinds of search keys their rows, and take those of old kinds away."""
        kinds = self.rules.kinds() | {self.written_by} | self.maps.kinds()
        by_table: dict[str, list[Kind]] = {}
        for kind in kinds:
            by_table.setdefault(kind.table, []).append(kind)
        cache: dict[str, tuple[Kind, ...]] = {}
        tables = self.tables

        def kinds_of(name: str) -> tuple[Kind, ...]:
            if name not in cache:
                table = tables.get(name)
                cache[name] = tuple(k for t in (table.path if table else ()) for k in by_table.get(t, ()))
            return cache[name]

        self.store.kinds_of = kinds_of
        indexed = set(orjson.loads(self.store.meta("indexed") or "[]"))
        wanted = {kind.number for kind in kinds}
        if indexed == wanted:
            return
        with self.store.transaction():
            for number in indexed - wanted:
                self.store.db.execute("DELETE FROM search WHERE kind=?", (number,))
            for kind in kinds:
                if kind.number not in indexed and kind.table in tables:
                    rows = [
                        (kind.number, key, record.rid)
                        for record in self.store.all(*tables[kind.table].below)
                        if (key := kind.key(_with_class(record))) is not None
                    ]
                    self.store.db.executemany("INSERT OR IGNORE INTO search VALUES (?,?,?)", rows)
            self.store.set_meta("indexed", orjson.dumps(sorted(wanted)).decode())

    # -- questions -------------------------------------------------------------------------------------------

    def enabled(self, name: str) -> bool:
        """A system property that is true or false."""
        return self.properties.get(name, "").strip().lower() == "true"

    def aborted(self, table: Table, action: str, values: Mapping[str, str]) -> str:
        """What the service says when a business rule aborts a write (observed); nothing when none does."""
        for rule in self.business_rules:
            v = rule.values
            if (
                v.get("active") != "false"
                and v.get("abort_action") == "true"
                and v.get(f"action_{action}") == "true"
                and v.get("collection", "") in table.path
                and (not v.get("filter_condition") or matches(parse(v["filter_condition"]), values))
            ):
                name = f"{v.get('name', '')}^{rule.sys_id}"
                return f"Operation against file '{table.name}' was aborted by Business Rule '{name}'"
        return ""

    def calculate(self, table: Table, values: dict[str, str]) -> None:
        """Fill the columns that the service makes of others (observed: a user's name)."""
        for column, parts in catalog.calculated(table.name).items():
            made = " ".join(text for part in parts if (text := values.get(part, "")))
            if made:
                values[column] = made

    def sources(self) -> Iterable[str]:
        """The data sources that the engine accepts: choices of cmdb_ci.discovery_source (documented)."""
        return self.choices.get(("cmdb_ci", "discovery_source"), {})

    @property
    def identity(self) -> str:
        """The sandbox's own id, kept with its data."""
        return self.store.meta("identity") or ""

    def save_settings(self) -> None:
        """Keep changed settings with the data."""
        self.store.set_meta("settings", orjson.dumps(self.settings.changed()).decode())

    def advance(self, seconds: float) -> None:
        """Move the clock; a later start continues from there."""
        self.clock.advance(seconds)
        self.store.set_meta("clock", str(self.clock.offset))

    def reset(self) -> None:
        """Empty it to what a new sandbox holds; identity, settings and clock stay."""
        with self.store.transaction():
            for table in ("record", "search", "relation", "source", "staged", "attached", "content", "ledger"):
                self.store.db.execute(f"DELETE FROM {table}")
            self.store.db.execute("DELETE FROM meta WHERE name LIKE 'seed:%' OR name IN ('indexed', 'staging')")
            self._fill()
        self.ledger = Ledger(self.store)
        self.resets += 1
        self._derive_stock()


def _with_class(record: Record) -> dict[str, str]:
    return record.values if "sys_class_name" in record.values else {**record.values, "sys_class_name": record.table}
