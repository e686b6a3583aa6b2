"""Every type that REST reads: what it says of a record is what an export says of it."""

from __future__ import annotations

import pytest

from syncengine.spec.import_types import ImportColumn, import_types
from syncengine.targets.fourme.base import Base, place_of
from syncengine.targets.fourme.compare import is_same
from syncengine.targets.fourme.rest import OverRest, unreadable
from tests.targets.fourme.desk import Desk

VALUES = {
    "string": "Alpha",
    "text": "two\nlines",
    "integer": "7",
    "decimal": "12.50",
    "boolean": "true",
    "date": "2026-11-25",
    "datetime": "2026-11-25T14:30",
    "timestamp": "2026-11-25T14:30:00+01:00",
    "time_of_day": "08:30",
    "duration": "1:30",
    "time_zone": "Paris",
    "currency": "eur",
    "uri": "https://widget.example/p.png",
    "custom_fields": '[{"id":"rack","value":"R7"}]',
}
NEEDY = (
    "project_tasks",
    "project_templates",
    "reservations",
    "shop_order_lines",
    "slas",
    "tasks",
    "time_entries",
)
"""Types whose records need others that the vendor's pages do not describe, or that an import makes by itself."""
READ = sorted(
    name
    for name, kind in import_types().items()
    if kind.header != "unknown"
    and name not in NEEDY
    and kind.rest is not None
    and kind.has_pair
    and not unreadable(name, kind)
)
FEW = ["cis", "knowledge_articles", "people", "services"]
TARGETS = {
    "organizations": {"Name": "Widget"},
    "people": {"Name": "Ana", "Primary Email": "ana@widget.example"},
    "sites": {"Name": "Paris", "Country": "FR", "Time Zone": "Paris"},
    "teams": {"Name": "Ops"},
    "services": {"Name": "Mail", "Provider": "Widget"},
    "product_categories": {"Name": "Server", "Group": "Computer", "Rule Set": "server", "Reference": "computer/server"},
    "products": {"Name": "DL380", "Brand": "HPE", "Category": "computer/server"},
    "cis": {"Label": "srv-1", "Name": "srv-1", "Product": "DL380", "Status": "in_production"},
    "service_instances": {"Name": "Mail EU", "Service": "Mail", "Status": "in_production"},
    "calendars": {"Name": "Work"},
    "agile_boards": {"Name": "Board"},
    "product_backlogs": {"Name": "Backlog"},
    "scrum_workspaces": {
        "Name": "Space",
        "Agile Board": "Board",
        "Product Backlog": "Backlog",
        "Sprint Length": "2",
        "Team": "Ops",
    },
    "risk_severities": {"Name": "High"},
}


def value(column: ImportColumn) -> str:
    """Something that a column takes."""
    if column.to:
        target = TARGETS.get(column.to, {})
        return target.get(column.by, "")
    return column.values[0] if column.values else VALUES.get(column.kind, "")


@pytest.mark.parametrize("name", [one if one in FEW else pytest.param(one, marks=pytest.mark.long) for one in READ])
def test_rest_says_what_an_export_says(desk: Desk, name: str) -> None:
    """In each column that REST gives, which are most; a row that was sent is unchanged for both."""
    kind = import_types()[name]
    cells = {
        header: said
        for header, column in kind.columns.items()
        if header not in ("ID", "Created At", "Updated At") and (said := value(column)) and not column.more
    }
    cells |= {"Source": "HR", "Source ID": "k1"}
    records = {one: [given] for one, given in TARGETS.items()}
    desk.sandbox.seed({"4me": {"records": {**records, name: [*records.get(name, ()), cells]}}}, force=True)
    reader = desk.connect().reader
    base = Base(place_of(desk.place / "exports", "one"), name, kind)
    base.refresh(reader)
    over = OverRest(name, reader, desk.said.append, desk.sandbox.fourme.account, "it is spent")
    over.read_all_of({"HR"})
    over.fetch([cells])
    assert not over.why_not
    exported, read = base.records.by_pair("HR", "k1"), over.records.by_pair("HR", "k1")
    assert exported is not None
    assert read is not None
    unread = [one for one in cells if read.cells.get(one) is None]
    assert read.id.isdigit()
    assert len(unread) <= (14 if name == "workflow_templates" else 4)  # nobody says what REST calls a recurrence
    for header, sent in cells.items():
        if header not in unread:
            column, there = kind.columns[header], exported.cells.get(header)
            assert there is None or is_same(column, sent, there, "sandbox"), (header, sent, there)
            assert is_same(column, sent, read.cells[header] or "", "sandbox"), (header, sent, read.cells[header])
