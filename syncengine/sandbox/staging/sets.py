"""Import sets: their states, their runs, who transforms when, and the cleaner.

Documented: modes; that a single insert without a loading set makes a synchronous one, which closes at midnight; that an
asynchronous set stays as it is until a job transforms it; that sets older than seven days are deleted every day.
Observed: columns and states of rows. Inferred: that each map runs over all rows before the next one does, that a row
shows the result of the last map, that sets are taken in the order in which they came.

Nothing here looks at a real clock: whoever serves calls `step` when it has time, and `due` says when there is work.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import orjson

from syncengine.sandbox.clock import parse_stamp, stamp
from syncengine.sandbox.injected import stuck
from syncengine.sandbox.ledger import Caller, Entry, caller
from syncengine.sandbox.maps import Map
from syncengine.sandbox.staging.load import Loader
from syncengine.sandbox.staging.results import ERRORS, Marks, Result, results
from syncengine.sandbox.staging.targets import Targets
from syncengine.sandbox.staging.transform import Transform
from syncengine.sandbox.store import STAGING, Record
from syncengine.sandbox.tables import Table
from syncengine.sandbox.world import World

log = logging.getLogger("syncengine.sandbox")
SETS, RUNS, MULTI = "sys_import_set", "sys_import_set_run", "sys_multi_import_set"
SLICE = 250
"""Rows that are transformed at a time; other requests are answered in between."""
STUCK, STARTED, DONE = "sandbox_stuck", "sandbox_started", "sandbox_done"
KEPT_DAYS = 7
_DAY = 86400


class ImportSets:
    """The import sets of one sandbox."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._identity = world.resets
        self._loading: dict[str, str] = {}
        self._runs: dict[tuple[str, str], str] = {}
        self._waiting: dict[str, None] = {}
        self._recall()

    # -- rows come in ----------------------------------------------------------------------------------------

    def insert_one(self, table: Table, row: Mapping[str, Any], user: str) -> tuple[str, Record, list[Result]]:
        """Store one row and transform it at once: number of the import set, the row, what each map made of it."""
        world = self._ready(table.name)
        with world.store.transaction():
            one = self._loading_set(table, user)
            number = world.store.last_staged(one.sys_id) + 1
            record = Loader(world, table).load([row], one.sys_id, number, user)[0]
            for each in world.maps.of(table.name):
                run = self._run(one, each)
                self._transform(each, [record], run, user)
                self._close_run(run)
        return one.values["number"], record, results(world, record)

    def insert_many(
        self, table: Table, rows: Sequence[Mapping[str, Any]], user: str, *, run_after: str = "", multi: str = ""
    ) -> tuple[str, str]:
        """Store rows in a set of their own: sys_ids of the set and of its multi import set."""
        world = self._ready(table.name)
        settings = world.maps.multiple.get(table.name, {})
        asynchronous = settings.get("transform", "asynchronous") != "synchronous"
        loader = Loader(world, table, labels=settings.get("column_mapping", "column_label") == "column_label")
        with world.store.transaction():
            if not multi:
                multi = self._make(MULTI, {"number": self._number("MISET")}, user).sys_id
            values = {
                "number": self._number("ISET"),
                "state": "loaded",
                "mode": "asynchronous" if asynchronous else "synchronous",
                "table_name": table.name,
                "load_completed": world.clock.now(),
                "multi_import_set": multi,
            }
            if run_after and asynchronous:
                values["run_after"] = run_after
            if stuck.get():
                values[STUCK] = "true"
            values[STARTED] = str(world.clock.time() + world.settings.number("import.start_seconds"))
            one = self._make(SETS, values, user)
            loader.load(rows, one.sys_id, 1, user)
        if STUCK not in values:
            self._waiting[one.sys_id] = None
            if not asynchronous:
                self._finish(one.sys_id)
        return one.sys_id, multi

    def _ready(self, table: str) -> World:
        if self._identity != self.world.resets:
            self._recall()
        self._new_day()
        self.world.use_staging(table)
        return self.world

    def _recall(self) -> None:
        """Find out from the records what there is to do; after a start and after a reset."""
        self._identity = self.world.resets
        self._loading, self._runs, self._waiting = {}, {}, {}
        for one in self.world.store.all(SETS):
            if one.values.get("state") == "loading":
                self._loading[one.values.get("table_name", "")] = one.sys_id
            elif one.values.get("state") == "loaded" and STUCK not in one.values and STARTED in one.values:
                self._waiting[one.sys_id] = None
        column = str(self.world.settings["import.run_column"])
        for run in self.world.store.all(RUNS):
            self._runs[run.values.get(column, ""), run.values.get("sys_transform_map", "")] = run.sys_id

    def _loading_set(self, table: Table, user: str) -> Record:
        known = self._loading.get(table.name)
        found = self.world.store.get(SETS, known) if known else None
        if found is not None and found.values.get("state") == "loading":
            return found
        values = {
            "number": self._number("ISET"),
            "state": "loading",
            "mode": "synchronous",
            "table_name": table.name,
        }
        made = self._make(SETS, values, user)
        self._loading[table.name] = made.sys_id
        return made

    # -- rows are transformed --------------------------------------------------------------------------------

    def due(self) -> float | None:
        """When there is work again, in the sandbox's time; None: not until something else happens."""
        if self._identity != self.world.resets:
            self._recall()
        if not self._waiting:
            return None
        times = [float(one.values.get(STARTED, "0")) for one in self._loaded() if self._follows(one)]
        if not times:
            return None
        now = self.world.clock.time()
        # where rows take their time, the next is due in a moment
        return max(min(times), now + 0.05) if self.world.settings.number("import.rows_per_second") else min(times)

    def step(self) -> bool:
        """Transform one slice of the set whose turn it is; False when nothing is to be done now."""
        if self._identity != self.world.resets:
            self._recall()
        self._new_day()
        one = self._next()
        if one is None:
            return False
        world = self.world
        mark = caller.set(Caller("transform", one.sys_id, one.values.get("sys_created_by", "system")))
        try:
            with world.store.transaction():
                worked = self._slice(one)
        except Exception:
            # a defect of the sandbox must not come back with every request
            log.exception("import set %s could not be transformed", one.values.get("number"))
            for (sys_id, _), run_id in self._runs.items():
                run = world.store.get(RUNS, run_id) if sys_id == one.sys_id else None
                if run is not None:
                    run.values["state"] = "did_not_complete"
                    world.store.touch_many([run])
            self._end(one, "cancelled")
            worked = True
        finally:
            caller.reset(mark)
        world.refresh()
        return worked

    def run(self) -> None:
        """Transform everything that is due."""
        while self.step():
            pass

    def _follows(self, one: Record) -> bool:
        """Whether the set that it shall run after has ended; one that does not exist is none (inferred)."""
        before = one.values.get("run_after", "")
        record = self.world.store.get(SETS, before) if before else None
        return record is None or record.values.get("state") in ("processed", "cancelled")

    def _loaded(self) -> list[Record]:
        """The sets that wait; somebody may have cancelled or deleted one meanwhile."""
        found = self.world.store.get_many(SETS, self._waiting)
        for sys_id in list(self._waiting):
            if sys_id not in found or found[sys_id].values.get("state") != "loaded":
                del self._waiting[sys_id]
        return [found[sys_id] for sys_id in self._waiting]

    def _next(self) -> Record | None:
        now = self.world.clock.time()
        ready = [one for one in self._loaded() if float(one.values.get(STARTED, "0")) <= now and self._follows(one)]
        # one set after the other: who has begun goes on, then the oldest or the newest
        begun = [one for one in ready if DONE in one.values]
        last = self.world.settings["import.order"] == "newest_first"
        chosen = begun or sorted(ready, key=lambda one: one.rid, reverse=last)
        return chosen[0] if chosen else None

    def _slice(self, one: Record, *, at_once: bool = False) -> bool:
        world, user = self.world, one.values.get("sys_created_by", "system")
        table = one.values.get("table_name", "")
        maps = world.maps.of(table)
        if not maps:
            self._end(one, "processed" if world.settings["import.no_map_state"] == "processed" else "loaded")
            return True
        done = orjson.loads(one.values.get(DONE, "[0, 0]"))
        allowed = SLICE if at_once else self._allowed(one, done, len(maps))
        if allowed <= 0:
            return False
        each = maps[min(done[0], len(maps) - 1)]
        run = self._run(one, each)
        rows = world.store.staged(one.sys_id, done[1], min(SLICE, allowed))
        stopped = self._transform(each, rows, run, user) if rows else False
        if stopped or len(rows) < min(SLICE, allowed):
            self._close_run(run, stopped=stopped)
            done = [done[0] + 1, 0]
        else:
            done = [done[0], int(rows[-1].values["sys_import_row"])]
        if stopped or done[0] >= len(maps):
            self._end(one, "processed")
        else:
            one.values[DONE] = orjson.dumps(done).decode()
            world.store.touch_many([one])
        return True

    def _allowed(self, one: Record, done: Sequence[int], maps: int) -> int:
        rate = self.world.settings.number("import.rows_per_second")
        if not rate:
            return SLICE
        total = self.world.store.last_staged(one.sys_id)
        spent = (self.world.clock.time() - float(one.values.get(STARTED, "0"))) * rate
        # a slice beyond the last row is what ends a run
        return int(spent) - done[0] * total - done[1] if spent < maps * total else SLICE

    def _finish(self, sys_id: str) -> None:
        """Transform a set now, whatever its turn."""
        while (one := self.world.store.get(SETS, sys_id)) is not None and sys_id in self._waiting:
            with self.world.store.transaction():
                self._slice(one, at_once=True)

    def _end(self, one: Record, state: str) -> None:
        now = self.world.clock.now()
        one.values["state"] = state
        for name in (DONE, STARTED):
            one.values.pop(name, None)
        one.values["sys_updated_on"] = now
        self.world.store.touch_many([one])
        self._waiting.pop(one.sys_id, None)

    def _transform(self, each: Map, rows: list[Record], run: Record, user: str) -> bool:
        """One map over some rows, with what the rows and the run say afterwards; True when a script halts it."""
        world = self.world
        targets = Targets(world, user)
        transform = Transform(world, each, targets)
        transform.prepare(rows)
        marks, stopped = Marks(world, each, run), False
        for row in rows:
            outcome = transform.row(row)
            marks.add(row, outcome)
            if outcome.stop:
                stopped = True
                break
        targets.write()
        marks.write()
        run.values["total"] = str(world.store.last_staged(self._set_of(run)))
        world.store.touch_many([run])
        return stopped

    # -- runs ------------------------------------------------------------------------------------------------

    def _run(self, one: Record, each: Map) -> Record:
        key = (one.sys_id, each.sys_id)
        known = self._runs.get(key)
        found = self.world.store.get(RUNS, known) if known else None
        if found is None:
            column = str(self.world.settings["import.run_column"])
            values = {column: one.sys_id, "sys_transform_map": each.sys_id, "state": "running"}
            found = self._make(RUNS, values, one.values.get("sys_created_by", "system"))
            self._runs[key] = found.sys_id
        return found

    def _set_of(self, run: Record) -> str:
        return run.values.get("set") or run.values.get("import_set", "")

    def _close_run(self, run: Record, *, stopped: bool = False) -> None:
        now = self.world.clock.time()
        began = parse_stamp(run.values.get("sys_created_on", "")) or now
        failed = stopped or run.values.get("errors", "0") != "0"
        run.values["state"] = "complete_with_errors" if failed else "complete"
        run.values["completed"] = stamp(now)
        run.values["run_time"] = f"1970-01-01 {stamp(max(0.0, now - began))[11:]}"
        self.world.store.touch_many([run])

    # -- days go by ------------------------------------------------------------------------------------------

    def _new_day(self) -> None:
        """At midnight synchronous sets close, and old sets go."""
        today = int(self.world.clock.time() // _DAY)
        last = self.world.store.meta("import_day")
        if last == str(today):
            return
        with self.world.store.transaction():
            self.world.store.set_meta("import_day", str(today))
            if last is None:
                return
            for sys_id in self._loading.values():
                one = self.world.store.get(SETS, sys_id)
                if one is not None:
                    one.values["state"] = "processed"
                    self.world.store.touch_many([one])
            self._loading.clear()
            mark = caller.set(Caller("cleaner"))
            try:
                self._clean((today - KEPT_DAYS) * _DAY)
            finally:
                caller.reset(mark)

    def _clean(self, before: float) -> None:
        store = self.world.store
        gone = [o for o in store.all(SETS) if (parse_stamp(o.values.get("sys_created_on", "")) or before) < before]
        ids = {one.sys_id for one in gone}
        rows = [row for one in gone for row in store.staged(one.sys_id)]
        runs = [run for run in store.all(RUNS) if self._set_of(run) in ids]
        errors = [error for error in store.all(ERRORS) if error.values.get("sys_import_set") in ids]
        for record in (*rows, *errors, *runs, *gone):
            store.delete(record)
        self._runs = {key: run for key, run in self._runs.items() if key[0] not in ids}
        for sys_id in ids:
            self._waiting.pop(sys_id, None)
        told = [Entry("delete", one.table, one.sys_id, one.sys_id, "") for one in (*rows, *gone)]
        self.world.ledger.write(self.world.clock.now(), told)

    # -- records ---------------------------------------------------------------------------------------------

    def _make(self, table: str, values: dict[str, str], user: str) -> Record:
        now = self.world.clock.now()
        made = {"sys_created_on": now, "sys_updated_on": now, "sys_created_by": user, "sys_updated_by": user}
        return self.world.store.insert(table, table, uuid4().hex, {**values, **made, "sys_mod_count": "0"})

    def _number(self, prefix: str) -> str:
        last = int(self.world.store.meta(f"number:{prefix}") or "10000") + 1
        self.world.store.set_meta(f"number:{prefix}", str(last))
        return f"{prefix}{last:07d}"


def is_staging(world: World, name: str) -> bool:
    """Whether a table is a staging table."""
    return world.tables.isa(name, STAGING) and name != STAGING
