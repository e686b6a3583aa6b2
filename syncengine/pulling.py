"""What a sandbox has to hold to answer like an instance: read there, written as a seed.

The class tree, the dictionary of chosen tables, their choices, rules of identification and reconciliation, dependency
rules, relation types, transform maps, and a few records. A seed names things instead of numbering them, so it can be
read, reviewed, and kept in git. Scripts cannot be taken along; what they would do is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from syncengine.errors import AuthError, RemoteError
from syncengine.transport.dictionary import is_not_readable
from syncengine.transport.reader import Reader
from syncengine.transport.servicenow import table_rows

ROOT = "cmdb_ci"
STAGING = "sys_import_set_row"
_OWN = frozenset({"sys_id", "sys_mod_count", "sys_created_by", "sys_updated_by", "sys_tags", "sys_domain"})
_RECONCILIATION = ("cmdb_reconciliation_definition", "cmdb_datasource_precedence")
_MAP = (
    "active",
    "order",
    "run_business_rules",
    "enforce_mandatory_fields",
    "copy_empty_fields",
    "create_new_record_on_empty_coalesce_fields",
)
_ENTRY = {
    "coalesce": "coalesce",
    "case_sensitive": "coalesce_case_sensitive",
    "coalesce_empty": "coalesce_empty_fields",
    "choice_action": "choice_action",
    "reference_value_field": "reference_value_field",
    "date_format": "date_format",
}
AT_ONCE = 40
"""Names in one query: an address has 2,000 characters."""


@dataclass(slots=True)
class Pulled:
    """A seed, and what could not be taken along."""

    seed: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def pull(reader: Reader, chosen: Sequence[str], records: int, say: Callable[[str, int], None]) -> Pulled:
    """Read what tables and their rules are; with `records`, so many rows of each chosen table.

    Raises RemoteError or AuthError when the tables themselves cannot be read; what else is closed is noted.
    """
    return _Pull(reader, say).all(chosen, records)


class _Pull:
    def __init__(self, reader: Reader, say: Callable[[str, int], None]) -> None:
        self._reader = reader
        self._say = say
        self._pulled = Pulled()
        self._parents: dict[str, str] = {}
        self._labels: dict[str, str] = {}

    def all(self, chosen: Sequence[str], records: int) -> Pulled:
        self._tree()
        wanted: dict[str, None] = {}
        for name in chosen:
            if name not in self._parents:
                self._note(f"there is no table {name}, or it is not visible to this user")
            wanted.update(dict.fromkeys(self._path(name)))
        self._tables(wanted, [name for name in chosen if name in self._parents])
        self._choices(wanted)
        types = self._relation_types()
        self._identification()
        self._dependencies(types)
        staging = [name for name in wanted if STAGING in self._path(name) and name != STAGING]
        self._maps(staging)
        kept = self._pulled.seed.setdefault("records", {})
        for table in _RECONCILIATION:
            rows = self._rows(table)
            if rows:
                kept[table] = [_filled(row) for row in rows]
        for name in chosen:
            if name in self._parents and records:
                kept[name] = [_filled(row) for row in self._rows(name, most=records)]
        seed = {section: value for section, value in self._pulled.seed.items() if value}
        self._pulled.seed = seed
        self._pulled.counts = {section: len(value) for section, value in seed.items()}
        self._pulled.counts["records"] = sum(len(rows) for rows in seed.get("records", {}).values())
        return self._pulled

    def _note(self, text: str) -> None:
        self._pulled.notes.append(text)

    def _rows(self, table: str, query: str = "", fields: Sequence[str] = (), most: int | None = None) -> list[Any]:
        """Rows of a table; none, and a note, where it is closed or not there."""
        hidden: list[int] = []
        page = min(most, 1000) if most else 1000
        rows = table_rows(self._reader, table, query, fields, on_hidden=hidden.append, page=page)
        try:
            found = list(islice(rows, most))
        except (AuthError, RemoteError) as error:
            if not is_not_readable(error):
                raise
            self._note(f"{table} cannot be read: {error.problems[0].found or error.problems[0].message}")
            return []
        if hidden:
            self._note(f"{sum(hidden)} rows of {table} are not visible to this user")
        self._say("rows read", len(found))
        return found

    def _named(self, table: str, column: str, names: Iterable[str], fields: Sequence[str], more: str = "") -> list[Any]:
        listed = sorted(names)
        found: list[Any] = []
        for start in range(0, len(listed), AT_ONCE):
            query = f"{column}IN{','.join(listed[start : start + AT_ONCE])}{more}"
            found += self._rows(table, query, fields)
        return found

    def _tree(self) -> None:
        rows = list(table_rows(self._reader, "sys_db_object", "", ("name", "label", "super_class")))
        names = {row["sys_id"]: row["name"] for row in rows}
        for row in rows:
            self._parents[row["name"]] = names.get(row.get("super_class", ""), "")
            self._labels[row["name"]] = row.get("label", "") or row["name"]
        self._say("rows read", len(rows))

    def _path(self, name: str) -> list[str]:
        """The table and those it extends."""
        found: list[str] = []
        while name and name in self._parents and name not in found:
            found.append(name)
            name = self._parents[name]
        return found

    def _tables(self, wanted: Mapping[str, None], chosen: Sequence[str]) -> None:
        """The whole class tree with names only; columns of the wanted tables, parents before what extends them."""
        classes = [name for name in self._parents if ROOT in self._path(name)]
        known = sorted({*wanted, *classes, *(one for name in classes for one in self._path(name))}, key=self._depth)
        fields = ("name", "element", "internal_type", "column_label", "max_length", "reference", "display")
        columns: dict[str, dict[str, Any]] = {}
        shown: dict[str, str] = {}
        for row in self._named("sys_dictionary", "name", wanted, fields, "^elementISNOTEMPTY^active=true"):
            kind = row.get("internal_type", "") or "string"
            kind += f":{row['reference']}" if row.get("reference") else ""
            length = row.get("max_length", "")
            listed = [kind, row.get("column_label", "") or row["element"], int(length) if length.isdigit() else 40]
            columns.setdefault(row["name"], {})[row["element"]] = listed
            if row.get("display") == "true":
                shown[row["name"]] = row["element"]
        tables: dict[str, Any] = {}
        staging: dict[str, Any] = {}
        for name in known:
            made: dict[str, Any] = {"label": self._labels[name]}
            if columns.get(name):
                made["columns"] = columns[name]
            if name in shown:
                made["display"] = shown[name]
            if self._parents[name] == STAGING and name in chosen:
                staging[name] = {**made, "columns": columns.get(name, {})}
                continue
            if self._parents[name]:
                made["parent"] = self._parents[name]
            tables[name] = made
        self._pulled.seed["tables"] = tables
        self._pulled.seed["staging"] = staging

    def _depth(self, name: str) -> tuple[int, str]:
        return len(self._path(name)), name

    def _choices(self, wanted: Mapping[str, None]) -> None:
        fields = ("name", "element", "value", "label")
        found: dict[str, dict[str, str]] = {}
        for row in self._named("sys_choice", "name", wanted, fields, "^inactive=false^language=en"):
            if row.get("element"):
                found.setdefault(f"{row['name']}.{row['element']}", {})[row["value"]] = row.get("label", "")
        self._pulled.seed["choices"] = found

    def _relation_types(self) -> dict[str, str]:
        rows = self._rows("cmdb_rel_type", "", ("name",))
        self._pulled.seed["relation_types"] = sorted({row["name"] for row in rows if row.get("name")})
        return {row["sys_id"]: row.get("name", "") for row in rows}

    def _identification(self) -> None:
        entries: dict[str, list[Any]] = {}
        for row in self._rows("cmdb_identifier_entry"):
            entries.setdefault(row.get("identifier", ""), []).append(row)
        related: dict[str, list[Any]] = {}
        for row in self._rows("cmdb_related_entry"):
            if row.get("active") != "false":
                related.setdefault(row.get("identifier", ""), []).append(row)
        rules = []
        for row in self._rows("cmdb_identifier"):
            if row.get("applies_to", "") not in self._pulled.seed["tables"]:
                self._note(
                    f"the identification rule {row.get('name', '')} is for a table that is not in the class tree"
                )
                continue
            made = {
                "name": row.get("name", ""),
                "applies_to": row["applies_to"],
                "independent": row.get("independent") != "false",
                "active": row.get("active") != "false",
                "entries": [
                    _entry(one, row["applies_to"]) for one in sorted(entries.get(row["sys_id"], []), key=_order)
                ],
            }
            own = sorted(related.get(row["sys_id"], []), key=_order)
            if own:
                made["related"] = [
                    {
                        "table": one.get("related_table", ""),
                        "field": one.get("referenced_field", ""),
                        "attributes": _listed(one.get("attributes", "")),
                    }
                    for one in own
                ]
            rules.append(made)
        self._pulled.seed["rules"] = sorted(rules, key=lambda rule: str(rule["applies_to"]))

    def _dependencies(self, types: Mapping[str, str]) -> None:
        hosting = [
            _dependency(row.get("parent_type", ""), row, row.get("child_type", ""), types)
            for row in self._rows("cmdb_metadata_hosting")
        ]
        rows = {row["sys_id"]: row for row in self._rows("cmdb_metadata_containment")}
        containment = [
            _dependency(rows[row["parent_id"]].get("ci_type", ""), row, row.get("ci_type", ""), types)
            for row in rows.values()
            if row.get("parent_id") in rows
        ]
        known = self._pulled.seed["tables"]
        for section, found in (("hosting", hosting), ("containment", containment)):
            whole = [one for one in found if one["type"] and one["parent"] in known and one["child"] in known]
            if len(whole) < len(found):
                self._note(f"{len(found) - len(whole)} rules of {section} name a class or type that is not visible")
            self._pulled.seed[section] = sorted(whole, key=str)

    def _maps(self, staging: Sequence[str]) -> None:
        if not staging:
            return
        entries: dict[str, list[Any]] = {}
        maps = self._named("sys_transform_map", "source_table", staging, ())
        for row in self._named("sys_transform_entry", "source_table", staging, ()):
            entries.setdefault(row.get("map", ""), []).append(row)
        scripts = self._named("sys_transform_script", "map", [row["sys_id"] for row in maps], ("map", "active"))
        for row in sorted(maps, key=_order):
            made: dict[str, Any] = {"name": row.get("name", ""), "target": row.get("target_table", "")}
            made |= {name: _plain(row[name]) for name in _MAP if row.get(name)}
            fields: dict[str, Any] = {}
            for one in entries.get(row["sys_id"], ()):
                if one.get("use_source_script") == "true" or one.get("source_field") == "[Script]":
                    self._note(f"map {made['name']}: {one.get('target_field', '')} is made by a script, and left out")
                    continue
                said = {key: _plain(one[column]) for key, column in _ENTRY.items() if one.get(column)}
                fields[one.get("target_field", "")] = {"source": one.get("source_field", ""), **said}
            own = sum(1 for one in scripts if one.get("map") == row["sys_id"] and one.get("active") != "false")
            own += row.get("run_script") == "true"
            if own:
                self._note(f"map {made['name']}: {own} scripts are left out; write stand-ins in sandbox/seed.yaml")
            made["fields"] = fields
            place = self._pulled.seed["staging"].setdefault(row.get("source_table", ""), {})
            place.setdefault("maps", []).append(made)


def _entry(row: Mapping[str, str], table: str) -> dict[str, Any]:
    order = row.get("order", "")
    made: dict[str, Any] = {
        "order": int(order) if order.isdigit() else 100,
        "attributes": _listed(row.get("attributes", "")),
        "active": row.get("active") != "false",
        "allow_null": row.get("allow_null_attribute") == "true",
        "fallback": row.get("allow_fallback") == "true",
        "exact": row.get("exact_count_match") != "false",
    }
    if row.get("table") and row["table"] != table:
        made["table"] = row["table"]
    for key, column in (("field", "referenced_field"), ("condition", "optional_condition")):
        if row.get(column):
            made[key] = row[column]
    if row.get("hybrid_entry_ci_criterion_attributes"):
        made["own_attributes"] = _listed(row["hybrid_entry_ci_criterion_attributes"])
    return made


def _dependency(parent: str, row: Mapping[str, str], child: str, types: Mapping[str, str]) -> dict[str, Any]:
    kind = types.get(row.get("rel_type", ""), "")
    return {"parent": parent, "type": kind, "child": child, "reverse": row.get("is_reverse") == "true"}


def _filled(row: Mapping[str, str]) -> dict[str, str]:
    """A record as a seed has it, with its own sys_id, so that references between pulled records hold."""
    return {name: value for name, value in row.items() if value and (name == "sys_id" or name not in _OWN)}


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _order(row: Mapping[str, str]) -> tuple[int, str]:
    text = row.get("order", "")
    return (int(text) if text.isdigit() else 100), row.get("sys_id", "")


def _plain(text: str) -> Any:
    return {"true": True, "false": False}.get(text, text)
