"""What maps made of rows: written into the rows, counted in the run, and told again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from uuid import uuid4

import orjson

from syncengine.sandbox.maps import Map
from syncengine.sandbox.staging.transform import Outcome
from syncengine.sandbox.store import Record
from syncengine.sandbox.world import World

ERRORS = "sys_import_set_row_error"
RESULTS = "sandbox_results"
"""A value of a row that no column shows: what each of several maps made of it."""
_COUNTED = {"inserted": "inserts", "updated": "updates", "ignored": "ignored", "skipped": "skipped", "error": "errors"}
_SHOWN = ("sys_transform_map", "sys_import_state", "sys_target_table", "sys_target_sys_id", "sys_import_state_comment")


class Result(NamedTuple):
    """What one map made of one staging row."""

    map_name: str
    status: str
    table: str
    """The target's table, or the staging table where there is no target."""
    sys_id: str
    message: str
    has_target: bool


class Marks:
    """The outcomes of one map over one slice of rows."""

    def __init__(self, world: World, one: Map, run: Record) -> None:
        self._world = world
        self._map = one
        self._run = run
        self._now = world.clock.now()
        self._rows: list[Record] = []
        self._errors: list[Record] = []
        self._counts = dict.fromkeys(_COUNTED.values(), 0)

    def add(self, row: Record, outcome: Outcome) -> None:
        """Let a row say what became of it."""
        self._counts[_COUNTED[outcome.status]] += 1
        self._rows.append(row)
        v, one = row.values, self._map
        several = v.get("sys_transform_map", one.sys_id) != one.sys_id
        if several or RESULTS in v:
            told = orjson.loads(v[RESULTS]) if RESULTS in v else [[v.get(name, "") for name in _SHOWN]]
            told.append(self._told(row, outcome))
            v[RESULTS] = orjson.dumps(told).decode()
            if several and self._world.settings["staging.row_shows"] == "first":
                return
        v.update(zip(_SHOWN, self._told(row, outcome), strict=True))
        v["import_set_run"] = self._run.sys_id
        v["sys_updated_on"] = self._now
        if outcome.status == "error":
            v["sys_row_error"] = self._error(row, outcome.message)

    def _told(self, row: Record, outcome: Outcome) -> list[str]:
        # documented: with a robust transformer the row does not name its target
        target = None if row.table in self._world.maps.robust else outcome.record
        found = (target.table, target.sys_id) if target is not None else ("", "")
        return [self._map.sys_id, outcome.status, *found, outcome.message]

    def _error(self, row: Record, message: str) -> str:
        values = {
            "import_set_run": self._run.sys_id,
            "import_set_row": row.sys_id,
            "sys_import_set": row.values["sys_import_set"],
            "error_message": message,
            "sys_created_on": self._now,
            "sys_updated_on": self._now,
        }
        error = Record(self._world.store.new_rid(), ERRORS, ERRORS, uuid4().hex, values)
        self._errors.append(error)
        return error.sys_id

    def write(self) -> None:
        """Bring rows, errors and the run's counts into the store."""
        store = self._world.store
        store.insert_many(self._errors)
        store.touch_many(self._rows)
        for name, number in (*self._counts.items(), ("processed", len(self._rows))):
            self._run.values[name] = str(int(self._run.values.get(name, "0")) + number)


def results(world: World, row: Record) -> list[Result]:
    """What each map made of a row; nothing for a row that none has seen."""
    v: Mapping[str, str] = row.values
    if v.get("sys_import_state") == "pending":
        return []
    found = orjson.loads(v[RESULTS]) if RESULTS in v else [[v.get(name, "") for name in _SHOWN]]
    names = world.maps.names
    return [
        Result(names.get(one, ""), status, table or row.table, sys_id or row.sys_id, message, bool(sys_id))
        for one, status, table, sys_id, message in found
    ]
