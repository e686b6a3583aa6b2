"""Tables as an instance has them: who extends whom, columns, choices.

From sys_db_object, sys_dictionary and sys_choice, of which the first two usually need more than itil (inferred); where
they cannot be read, classes come from the CMDB Meta API, which is documented for itil. Columns of the three tables:
observed in public clients.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from syncengine.pull.asking import Asking, Row

CMDB = "cmdb"
STAGING = "sys_import_set_row"
OWN = frozenset({STAGING, "sys_db_object", "sys_dictionary", "sys_choice", "sys_properties", "sys_object_source",
                 "sys_rel_source", "cmdb_rel_ci", "cmdb_rel_type", "sys_transform_map", "sys_transform_entry",
                 "sys_transform_script", "sys_rest_insert_multiple", "sys_robust_import_set_transformer",
                 "sys_import_set", "sys_import_set_run", "sys_import_set_row_error", "sys_multi_import_set",
                 "sys_attachment", "sys_attachment_doc", "sys_security_acl", "sys_rate_limit_rules", "sys_script",
                 "sys_user_role", "sys_user_has_role", "reconcile_duplicate_task", "cmdb_identifier",
                 "cmdb_identifier_entry", "cmdb_related_entry", "cmdb_metadata_hosting", "cmdb_metadata_containment",
                 "cmdb_reconciliation_definition", "cmdb_datasource_precedence", "cmdb_datasource_staleness",
                 "cmdb_datasource_last_update", "cmdb_ire_data_source_rule", "cmdb_ire_reclassification_restriction",
                 "cmdb_ire_partial_payloads", "cmdb_ire_incomplete_payloads",
                 "cmdb_ire_inclusion_rule"})  # fmt: skip
"""Tables that a sandbox itself works with: their structure stays as it is there."""
SYSTEM = frozenset({"sys_id", "sys_created_on", "sys_created_by", "sys_updated_on", "sys_updated_by", "sys_mod_count",
                    "sys_tags"})  # fmt: skip
_SECRET = ("password", "encrypted")
"""What is in the types of columns that hold secrets."""
_SECRET_NAMES = ("password", "passwd", "secret", "token", "credential", "api_key")
_DICTIONARY = ("name", "element", "column_label", "internal_type", "max_length", "reference", "mandatory", "read_only",
               "display", "default_value", "active")  # fmt: skip


class Structure:
    """The tables that were asked for, each with its ancestors."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        rows = asking.rows("sys_db_object", "", ("name", "label", "super_class"), what="the class tree", ships=True)
        self.tree_read = rows is not None
        names = {row["sys_id"]: row.get("name", "") for row in rows or ()}
        self.labels = {row["name"]: row.get("label", "") for row in rows or () if row.get("name")}
        self._parents = {
            row["name"]: names.get(row.get("super_class", ""), "") for row in rows or () if row.get("name")
        }
        self.columns: dict[str, dict[str, dict[str, Any]]] = {}
        """Own columns by table, as a seed has them; tables whose columns cannot be read are not there."""
        self._asked: set[str] = set()
        self._meta: dict[str, dict[str, Any] | None] = {}

    def meta(self, name: str) -> dict[str, Any] | None:
        """A class as the CMDB Meta API has it."""
        if name not in self._meta:
            self._meta[name] = self._asking.meta(name)
        return self._meta[name]

    def path(self, name: str) -> tuple[str, ...]:
        """A table and its ancestors, nearest first; nothing for a table that the instance does not have."""
        path: list[str] = []
        while name and name not in path and (parent := self._parent(name)) is not None:
            path.append(name)
            name = parent
        return tuple(path)

    def _parent(self, name: str) -> str | None:
        if name in self._parents:
            return self._parents[name]
        if self.tree_read:
            return None
        found = self.meta(name) if name.startswith((CMDB, "u_")) else None
        if found is not None:
            self.labels[name] = str(found.get("label") or name)
            self._parents[name] = str(found.get("parent") or "")
        else:
            self._parents[name] = ""  # nothing is known of it but its name
        return self._parents[name]

    def is_staging(self, name: str) -> bool:
        """Whether a table is a staging table."""
        return STAGING in self.path(name)[1:]

    def mark_staging(self, name: str) -> None:
        """Know by other means that a table is a staging table."""
        if not self.tree_read:
            self._parents[name] = STAGING

    def load(self, names: Iterable[str]) -> None:
        """Read the columns of some tables and of their ancestors."""
        new = {one for name in names for one in self.path(name)} - self._asked - OWN
        if not new:
            return
        self._asked |= new
        rows = self._asking.listed(
            "sys_dictionary",
            "name",
            new,
            _DICTIONARY,
            query="elementISNOTEMPTY",
            what="columns",
            ships=not self.columns,
        )
        if rows is None:
            for name in sorted(new):
                self._from_meta(name)
            return
        for name in new:
            self.columns[name] = {}
        for row in sorted(rows, key=lambda one: one.get("element", "")):
            element = row.get("element", "")
            if row.get("name") in new and element and element not in SYSTEM and row.get("active") != "false":
                self.columns[row["name"]].setdefault(element, _column(row))

    def _from_meta(self, name: str) -> None:
        found = self.meta(name) if name.startswith(CMDB) or CMDB in self.path(name) else None
        if found is None:
            return
        self.columns[name] = {
            str(one["element"]): _column(
                {
                    "internal_type": str(one.get("type") or "string"),
                    "column_label": str(one.get("label") or ""),
                    "max_length": str(one.get("max_length") or ""),
                    "reference": str(one.get("reference") or ""),
                    "mandatory": str(one.get("is_mandatory") or ""),
                    "read_only": str(one.get("is_read_only") or ""),
                    "display": str(one.get("is_display") or ""),
                    "default_value": str(one.get("default_value") or ""),
                }
            )
            for one in sorted(found.get("attributes") or (), key=lambda one: str(one.get("element")))
            if one.get("element") not in SYSTEM and str(one.get("is_inherited")).lower() != "true"
        }

    def infer(self, table: str, names: Iterable[str]) -> None:
        """Give a table, of which nothing else is known, columns of the names that it was seen to have."""
        if table not in self.columns and table not in OWN:
            self._asking.note(
                f"columns of {table}",
                "taken from what was seen of it: all text",
                "ask the admin for read access to sys_dictionary",
            )
            self.columns[table] = {name: {"type": "string", "length": 4000} for name in sorted(set(names) - SYSTEM)}

    def all_columns(self, table: str) -> dict[str, dict[str, Any]]:
        """Own and inherited columns."""
        found: dict[str, dict[str, Any]] = {}
        for name in reversed(self.path(table)):
            found |= self.columns.get(name, {})
        return found

    def record_columns(self, table: str) -> list[str]:
        """The columns of which a sample may hold values: no system columns, no passwords."""
        return [
            name
            for name, column in self.all_columns(table).items()
            if is_plain(name) and not any(word in column["type"] for word in _SECRET)
        ]

    def section(self) -> dict[str, Any]:
        """All classes with label and parent, and the columns of the tables that were asked for."""
        classes = {name for name in self.labels if self.tree_read and CMDB in self.path(name)}
        asked = {one for name in self._asked | set(self.columns) for one in self.path(name)}
        found = {}
        for name in sorted((classes | asked) - OWN):
            table: dict[str, Any] = {"label": self.labels.get(name) or name}
            parent = self._parents.get(name, "")
            if parent:
                table["parent"] = parent
            if name in self.columns:
                table["columns"] = self.columns[name]
            found[name] = table
        return found

    def choices(self) -> dict[str, dict[str, str]] | None:
        """Active choices of the tables that were asked for, and of cmdb_ci, by column."""
        names = (self._asked | set(self.columns) | {"cmdb_ci"}) - OWN
        fields = ("name", "element", "value", "label", "language", "inactive")
        rows = self._asking.listed("sys_choice", "name", names, fields, what="choices and data sources")
        if not rows:
            self._asking.note(
                "choices and data sources", "no row of sys_choice can be seen", "ask for read access to sys_choice"
            )
            return None
        by_column: dict[str, list[Row]] = {}
        for row in rows:
            if row.get("inactive") != "true" and row.get("value") and row.get("element"):
                by_column.setdefault(f"{row['name']}.{row['element']}", []).append(row)
        return {name: _choices(by_column[name]) for name in sorted(by_column)}


def is_plain(name: str) -> bool:
    """Whether a sample may hold values of a column, by its name: no system column, no secret."""
    return not name.startswith("sys_") and not any(word in name for word in _SECRET_NAMES)


def _choices(rows: list[Row]) -> dict[str, str]:
    # an instance with several languages has a row for each; without English, any is right
    english = [row for row in rows if row.get("language", "en") in ("en", "")]
    found = {row["value"]: row.get("label") or row["value"] for row in reversed(english or rows)}
    return {value: found[value] for value in sorted(found)}


def _column(row: Mapping[str, str]) -> dict[str, Any]:
    reference = row.get("reference", "")
    kind = row.get("internal_type") or "string"
    made: dict[str, Any] = {"type": f"{kind}:{reference}" if reference else kind}
    if row.get("column_label"):
        made["label"] = row["column_label"]
    if row.get("max_length", "").isdigit():
        made["length"] = int(row["max_length"])
    default = row.get("default_value", "")
    if default and not default.lstrip().lower().startswith("javascript:"):
        made["default"] = default  # a script gives none here
    for name in ("mandatory", "read_only", "display"):
        if row.get(name, "").lower() == "true":
            made[name] = True
    return made
