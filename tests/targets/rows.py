"""Staging tables for tests: a table with a map, steps that fill it, and rows for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncengine.changes import Find, Record, StepInfo, StepRef
from syncengine.errors import Place
from tests.bench import Bench

TABLE = "u_people_import"
COLUMNS = {
    "u_mail": ["string", "Mail", 100],
    "u_first": ["string", "First name", 40],
    "u_last": ["string", "Last name", 40],
    "u_title": ["string", "Title", 12],
    "u_place": ["string", "Place", 100],
    "u_active": ["string", "Active", 40],
    "u_mark": ["string", "Mark", 80],
}
FIELDS: dict[str, Any] = {
    "email": {"source": "u_mail", "coalesce": True},
    "first_name": "u_first",
    "last_name": "u_last",
    "title": "u_title",
    "location": "u_place",
    "active": "u_active",
}
LABELS = {name: column[1] for name, column in COLUMNS.items()}


def table(bench: Bench, *maps: Mapping[str, Any], name: str = TABLE, **more: Any) -> None:
    """Make the staging table with its maps; without any, the map of people onto sys_user."""
    given = maps or ({"name": "People", "target": "sys_user", "fields": FIELDS},)
    bench.sandbox.seed({"staging": {name: {"columns": COLUMNS, "maps": list(given), **more}}}, force=True)


def step(
    name: str = "s.people", *, send: str = "single", fields: Mapping[str, str] | None = None, **options: Any
) -> StepInfo:
    """A step that fills the staging table; further options as in a spec, e.g. `marker`."""
    said = {one: f"s.yaml:9:{at}" for at, one in enumerate(fields or FIELDS_OF)}
    more = {"labels": LABELS} if send == "multiple" and "labels" not in options else {}
    settings = {"table": TABLE, "send": send, **more, **options}
    return StepInfo(name, "staging", "servicenow", "", name, fields=said, position="s.yaml:5:3", options=settings)


FIELDS_OF = [name for name in COLUMNS if name != "u_mark"]


def person(number: int, step: str = "s.people", **values: str) -> Record:
    """A row of a person; values replace or add columns."""
    said = {"u_mail": f"p{number}@x.org", "u_first": f"First{number}", "u_last": "Last", **values}
    return row(number, step, None, **said)


def row(number: int, step: str = "s.people", to: StepRef | Find | None = None, **values: str) -> Record:
    """A row with exactly these values."""
    refs = (("u_place", to),) if to is not None else ()
    return Record(step, f"P{number}", TABLE, values, refs, (), (), (), Place("p.csv", number, 0))


def people(bench: Bench) -> dict[str, dict[str, str]]:
    """The users on the target that came by import, by mail."""
    found = bench.rows("sys_user", "emailISNOTEMPTY")
    return {one["email"]: one for one in found if one["email"].endswith("@x.org")}
