"""A plan that reads several tables reads them side by side; what it is made of is the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from syncengine.errors import Exit
from syncengine.transport import servicenow
from tests.inside import Inside

SPEC = """\
syncengine: 1
data_source: ImportSet
sources:
  places: {servicenow: {table: cmn_location, query: nameSTARTSWITHPlace, fields: [name, city]}}
  people: {servicenow: {table: sys_user, query: user_nameSTARTSWITHu, fields: [user_name, title]}}
steps:
  apps: {source: places, cmdb: cmdb_ci_business_app, key: name, fields: {name: name, short_description: city}}
  more: {source: people, cmdb: cmdb_ci_service, key: user_name, fields: {name: user_name, short_description: title}}
"""
ROWS = {
    "cmn_location": [{"name": f"Place {n}", "city": "Oslo", "sys_id": f"{n:032x}"} for n in range(1, 6)],
    "sys_user": [{"user_name": f"u{n}", "title": "Clerk", "sys_id": f"{n:032x}"} for n in range(1, 4)],
}


@pytest.fixture
def project(inside: Inside) -> Inside:
    inside.sandbox.seed({"records": ROWS}, force=True)
    inside.spec(SPEC)
    return inside


def keys(project: Inside) -> list[str]:
    """What the plan holds, in its order."""
    return [one["key"] for one in project.operations() if one["kind"] != "end"]


def test_no_table_waits_for_another(project: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reads its first row only when the other has begun, too; the plan is in the order of the steps."""
    both = threading.Barrier(2, timeout=60)
    read = servicenow.table_rows

    def together(reader: Any, table: str, *more: Any, **named: Any) -> Iterator[dict[str, Any]]:
        if table in ROWS:
            both.wait()
        yield from read(reader, table, *more, **named)

    monkeypatch.setattr(servicenow, "table_rows", together)
    project.plan().ends()
    assert keys(project) == [*(f"Place {n}" for n in range(1, 6)), *(f"u{n}" for n in range(1, 4))]


def test_a_table_that_cannot_be_read_is_told_as_ever(project: Inside) -> None:
    """With its line, whichever comes first; nothing is left running."""
    for wrong, place in (("sys_user,", "specs/estate.yaml:5:32"), ("cmn_location,", "specs/estate.yaml:4:32")):
        project.spec(SPEC.replace(wrong, f"u_{wrong}"))
        ran = project.plan().ends(Exit.REMOTE)
        assert ran.has_five_parts("unknown-table")
        assert f"at {place}" in ran.err
        assert "effect: Nothing was written." in ran.err
        assert not [one for one in threading.enumerate() if one.name.startswith("read")]
