"""Which attributes a data source may change (documented: pages on reconciliation rules; updates only, never inserts).

A rule that names the attribute beats one for all attributes, a rule of the class beats an inherited one, then the
lower priority number wins. Where a rule exists, sources without one are refused: `maskedAttributes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from syncengine.sandbox.clock import parse_stamp
from syncengine.sandbox.encoded_query import matches, parse
from syncengine.sandbox.engine.payload import Item
from syncengine.sandbox.world import World

LAST_UPDATE = "cmdb_datasource_last_update"
_FREE = frozenset({"discovery_source", "last_discovered", "first_discovered"})


class Standing(NamedTuple):
    """What a source may do with an attribute."""

    priority: int
    may_empty: bool


class Reconciliation:
    """The reconciliation rules of one world, asked for many items."""

    def __init__(self, world: World, source: str) -> None:
        self._world = world
        self._source = source
        self._priorities: dict[tuple[str, str], dict[str, Standing]] = {}

    def mask(self, items: Sequence[Item]) -> None:
        """Take out of the changes what the source is not allowed to write."""
        if not self._world.reconciliation:
            return
        found = [item for item in items if item.record is not None and item.changes]
        last = self._last([item.sys_id for item in found])
        for item in found:
            for name, value in list(item.changes.items()):
                if name not in _FREE and not self._may(item, name, value, last.get((item.sys_id, name))):
                    del item.changes[name]
                    item.masked.append(name)

    def ruled(self, cls: str, name: str, values: dict[str, str]) -> dict[str, Standing]:
        """By source: the standing that the rules of a class give it for one attribute."""
        key = (cls, name)
        if key not in self._priorities:
            self._priorities[key] = {}
            table = self._world.tables[cls]
            ranked: dict[str, tuple[tuple[bool, int, int], Standing]] = {}
            for rule in self._world.reconciliation:
                attributes = [a.strip() for a in rule.get("attributes", "").split(",") if a.strip()]
                if rule.get("applies_to") not in table.path or (attributes and name not in attributes):
                    continue
                condition = rule.get("condition", "")
                if condition and not matches(parse(condition), values):
                    continue
                priority = int(rule.get("priority", "") or rule.get("order", "") or 100)
                empties = name in [a.strip() for a in rule.get("null_update", "").split(",")]
                rank = (not attributes, table.path.index(rule["applies_to"]), priority)
                source = rule.get("discovery_source", "")
                if source not in ranked or rank < ranked[source][0]:
                    ranked[source] = (rank, Standing(priority, empties))
            self._priorities[key] = {source: standing for source, (_rank, standing) in ranked.items()}
        return self._priorities[key]

    def _may(self, item: Item, name: str, value: str, last: tuple[str, str] | None) -> bool:
        assert item.record is not None  # noqa: S101 - selected by the caller
        standing = self.ruled(item.new_class, name, item.record.values)
        if not standing:
            return True
        current = item.record.values.get(name, "")
        if not current and self._world.enabled("glide.reconciliation.override.null"):
            return True  # documented: a lower source may fill what is empty
        mine = standing.get(self._source)
        if mine is None:
            return False
        if not value:
            return mine.may_empty
        if last is None or last[0] == self._source or last[0] not in standing:
            return True
        return mine.priority <= standing[last[0]].priority or self._stale(item.new_class, *last)

    def _stale(self, cls: str, source: str, written: str) -> bool:
        """Documented: a data refresh rule ends the right of a source that was silent too long; 0 is always stale."""
        for rule in self._world.staleness:
            if rule.get("discovery_source") == source and rule.get("applies_to") in self._world.tables[cls].path:
                then = parse_stamp(written)
                age = self._world.clock.time() - then if then is not None else 0.0
                return age >= int(rule.get("effective_duration", "0") or 0)
        return False

    def _last(self, sys_ids: Sequence[str]) -> dict[tuple[str, str], tuple[str, str]]:
        """Who wrote each attribute last, and when."""
        return {
            (r.values["cmdb_ci"], r.values["attribute"]): (r.values["discovery_source"], r.values["last_update"])
            for rows in self._world.store.search(self._world.written_by, set(sys_ids)).values()
            for r in rows
        }

    def remember(self, item: Item) -> list[tuple[str, str]]:
        """(record, attribute) of the ruled attributes that this item writes."""
        if not self._world.reconciliation:
            return []
        return [
            (item.sys_id, name)
            for name in item.changes
            if self.ruled(item.new_class, name, item.values) and name not in _FREE
        ]
