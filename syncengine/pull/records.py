"""A bounded sample of records, with what identifies them and what they hang on.

For each table the first records by sys_id, in their own class with all columns. Of CIs also: the relations between
them, the hosts of those that live in another, the rows by which they are looked up, who sent them
(sys_object_source), and who wrote which attribute where reconciliation rules ask for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from syncengine.pull.asking import Asking, Row
from syncengine.pull.tables import CMDB, Structure, is_plain

RELATION = ("parent", "child", "type")
SOURCE = ("name", "id", "source_feed", "target_table", "target_sys_id", "last_scan")
WRITTEN = ("cmdb_ci", "attribute", "discovery_source", "last_update")
_PARTS = 10
"""How many rows of a lookup table are taken for each record of the sample, on average."""


class Sample:
    """The records taken so far, by class."""

    def __init__(self, asking: Asking, tables: Structure, most: int) -> None:
        self._asking = asking
        self._tables = tables
        self._most = most
        self.taken: dict[str, dict[str, Row]] = {}
        """By class and sys_id."""

    def take(self, table: str, query: str = "") -> None:
        """The first records of a table; of several classes, each in its own."""
        rows = self._asking.rows(table, query, ("sys_class_name",), what=f"records of {table}", most=self._most)
        self._take(table, rows or ())

    def _take(self, table: str, rows: Sequence[Row]) -> None:
        by_class: dict[str, list[str]] = {}
        for row in rows:
            by_class.setdefault(row.get("sys_class_name") or table, []).append(row["sys_id"])
        self._tables.load(by_class)
        for name, ids in by_class.items():
            known = self.taken.setdefault(name, {})
            columns = self._tables.record_columns(name)
            fields = ("sys_created_on", *columns) if columns else ()
            for row in self._asking.by_ids(name, set(ids) - set(known), fields):
                # with many columns all of a record come, whatever was asked for
                kept = {key for key in row if (key in columns if columns else is_plain(key))}
                known[row["sys_id"]] = {key: row[key] for key in row if key in kept | {"sys_id", "sys_created_on"}}
            if not columns:
                self._tables.infer(name, (key for row in known.values() for key in row))

    @property
    def cis(self) -> list[str]:
        """The sys_ids of all CIs of the sample."""
        return sorted(one for name, rows in self.taken.items() if self._is_ci(name) for one in rows)

    def _is_ci(self, name: str) -> bool:
        return name.startswith("cmdb_ci") or CMDB in self._tables.path(name)

    def hosts(self, dependencies: Sequence[Mapping[str, Any]], types: Mapping[str, str]) -> None:
        """The hosts of records that live in others, twice: documented are two levels."""
        kinds = {types[one["type"]] for one in dependencies if one["type"] in types}
        for _ in range(2):
            ids = set(self.cis)
            rows = [row for row in self._around(ids) if row.get("type") in kinds]
            near = {row["parent"] for row in rows} | {row["child"] for row in rows}
            hosts = self._hosts_of(rows, dependencies, types) - ids
            if not hosts & near:
                return
            self._take("cmdb_ci", self._asking.by_ids("cmdb_ci", hosts, ("sys_class_name",)))

    def _hosts_of(
        self, rows: Sequence[Row], dependencies: Sequence[Mapping[str, Any]], types: Mapping[str, str]
    ) -> set[str]:
        """The far ends of relations in which the near end is one that depends."""
        classes = {sys_id: name for name, records in self.taken.items() for sys_id in records}
        found = set()
        for row in rows:
            for near, far in (("parent", "child"), ("child", "parent")):
                path = self._tables.path(classes[row[near]]) if row[near] in classes else ()
                if any(types.get(one["type"]) == row["type"] and one[near] in path and one["dependent"] == near
                       for one in dependencies):  # fmt: skip
                    found.add(row[far])
        return found

    def _around(self, ids: set[str]) -> list[Row]:
        """Relations that have one of these records at an end."""
        found: dict[str, Row] = {}
        for end in ("parent", "child"):
            for row in self._asking.listed("cmdb_rel_ci", end, ids, RELATION, what="relations", role="role itil") or ():
                found[row["sys_id"]] = row
        return list(found.values())

    def parts(self, table: str, column: str) -> None:
        """Rows of a lookup or related table that point at the sample."""
        most = _PARTS * max(self._most, len(self.cis))
        self._tables.load([table])
        rows = self._asking.listed(table, column, self.cis, ("sys_class_name",), what=f"records of {table}") or []
        rows.sort(key=lambda row: row["sys_id"])
        if len(rows) > most:
            self._asking.note(f"records of {table}", f"{len(rows)} point at the sample, {most} were taken", "--records")
        self._take(table, rows[:most])

    def relations(self) -> list[Row]:
        """The relations between records of the sample."""
        ids = set(self.cis)
        rows = self._asking.listed("cmdb_rel_ci", "parent", ids, RELATION, what="relations", role="role itil") or []
        return [row for row in _sorted(rows) if row.get("child") in ids]

    def sources(self) -> list[Row]:
        """Who sent the records of the sample, under which key."""
        ids = {one for rows in self.taken.values() for one in rows}
        rows = self._asking.listed(
            "sys_object_source", "target_sys_id", ids, SOURCE, what="source keys", role="role itil"
        )
        return _sorted(rows or [])

    def written(self) -> list[Row]:
        """Who wrote which attribute of the sample."""
        rows = self._asking.listed(
            "cmdb_datasource_last_update", "cmdb_ci", self.cis, WRITTEN, what="who wrote which attribute"
        )
        return _sorted(rows or [])

    def section(self) -> dict[str, list[Row]]:
        """The records as a seed has them, oldest first; empty values only where the column has a default."""
        found = {}
        for name in sorted(self.taken):
            defaults = {c for c, column in self._tables.all_columns(name).items() if column.get("default")}
            rows = sorted(self.taken[name].values(), key=lambda row: (row.get("sys_created_on", ""), row["sys_id"]))
            kept = [
                {
                    "sys_id": row["sys_id"],
                    **{
                        key: row[key]
                        for key in sorted(row)
                        if key not in ("sys_id", "sys_created_on") and (row[key] != "" or key in defaults)
                    },
                }
                for row in rows
            ]
            if kept:
                found[name] = kept
        return found


def _sorted(rows: Sequence[Row]) -> list[Row]:
    kept = {row["sys_id"]: {key: value for key, value in row.items() if value != ""} for row in rows}
    return [{"sys_id": one, **{k: v for k, v in sorted(kept[one].items()) if k != "sys_id"}} for one in sorted(kept)]
