"""Everything that a new sandbox holds, with the table at the root of each record's table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from syncengine.sandbox import catalog, maps


@cache
def shipped() -> tuple[tuple[str, str, str, Mapping[str, str]], ...]:
    """Every shipped record as (root, table, sys_id, values); made once, since every reset needs it."""
    every = [*catalog.rows(), *maps.stock()]
    defaults = {name: table.get("defaults", {}) for name, table in catalog.data("tables").items()}
    objects = {values["sys_id"]: values for table, values in every if table == "sys_db_object"}
    parents = {v["name"]: objects.get(v.get("super_class", ""), {}).get("name", "") for v in objects.values()}

    def root(table: str) -> str:
        return root(parents[table]) if parents.get(table) else table

    return tuple((root(t), t, values["sys_id"], {**defaults.get(t, {}), **_filled(values)}) for t, values in every)


def _filled(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value != "" and name != "sys_id"}
