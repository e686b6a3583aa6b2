"""How far the sources of a part of a plan are read: no further than the part wants, and it is the same part."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncengine.planning.enough import enough
from syncengine.planning.selection import select
from syncengine.spec import load_specs
from syncengine.spec.model import Project

HEAD = "syncengine: 1\ndata_source: T\nsource: {inline: [{a: x, b: y}]}\nsteps:\n"
APPS = "  apps: {cmdb: cmdb_ci_business_app, key: a, fields: {name: a}}\n"
ROWS = "  rows: {staging: u_rows, fields: {u_a: a}}\n"
MORE = "  more: {staging: u_more, fields: {u_b: b}}\n"
LIVING = (
    "  disks: {cmdb: cmdb_ci_disk, key: b, fields: {name: b},"
    ' relations: [{type: "Contains::Contained by", parent: {step: apps, key: a}}]}\n'
)
OWNED = "  owners: {cmdb: cmdb_ci_business_app, key: b, fields: {name: b, owned_by: {step: apps, key: a}}}\n"
PAIRS = "  pairs: {relation: Uses::Used by, parent: {step: apps, key: a}, child: {step: apps, key: b}}\n"


@pytest.mark.parametrize(
    ("steps", "selected", "limit", "expected"),
    [
        (APPS, [], 3, {"apps": 3}),
        (ROWS + MORE, [], 3, {"rows": 3, "more": 3}),
        (ROWS + MORE, ["rows"], None, {"more": 0}),
        (ROWS + MORE, ["rows"], 3, {"rows": 3, "more": 0}),
        (APPS + ROWS, ["apps=x"], None, {"rows": 0}),
        (APPS + ROWS, ["apps", "apps=x"], 3, {"rows": 0}),
        # any row may be what another one refers to, or say in what a record lives
        (APPS + LIVING, [], 3, {}),
        (APPS + PAIRS, ["apps"], None, {}),
        # native keys are compared between the steps of one data source
        (APPS + OWNED, [], 3, {}),
        (APPS + ROWS.replace("u_a: a", "u_a: {step: apps, key: a}"), [], 3, {"rows": 3}),
    ],
)
def test_sources_are_read_no_further_than_a_part_wants(
    tmp_path: Path, steps: str, selected: list[str], limit: int | None, expected: dict[str, int]
) -> None:
    (tmp_path / "s.yaml").write_text(HEAD + steps)
    specs = load_specs(Project(tmp_path), [tmp_path / "s.yaml"])
    found = enough(specs, (), select(specs, selected, limit))
    assert found == {f"s.{name}": number for name, number in expected.items()}
