"""The file of an import, byte for byte, as the vendor's pages describe it: one for each kind of type and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncengine.changes import Change, StepInfo
from syncengine.spec.import_types import import_types
from syncengine.targets.fourme.sheet import cells_of, sheet

GOLDEN = Path(__file__).parent / "golden"
ROWS: dict[str, list[tuple[str, dict[str, str]]]] = {
    "organizations": [
        ("o-1", {"Name": "Widget", "Business Unit": "yes"}),
        ("o-2", {"Name": 'Say "hi", Ltd', "Business Unit": "no"}),
    ],
    "sites": [
        ("s-1", {"Name": "Paris DC1", "City": "Paris", "Country": "FR", "Time Zone": "Paris", "Remarks": "two\nlines"})
    ],
    "people": [
        (
            "1001",
            {
                "Name": "Ana López",
                "Primary Email": "ana@x.example",
                "VIP": "TRUE",
                "Cost Per Hour": "120.50",
                "Disabled": "",
            },
        )
    ],
    "people_contact_details": [
        (
            "",
            {
                "Person": "ana@x.example",
                "Contact Protocol": "telephone",
                "Contact Label": "work",
                "Contact URI": "+33 1",
                "Integration": "1",
            },
        ),
        ("", {"Person": "ana@x.example", "Address Label": "home", "Address City": "Paris", "Integration": "1"}),
    ],
    "teams": [("t-1", {"Name": "Ops", "Members": "ana@x.example\n\n bo@x.example @wna", "Time Zone": "Paris"})],
    "services": [("mail", {"Name": "E-mail", "Provider": "Widget", "Keywords": "mail, post"})],
    "product_categories": [("c-1", {"Name": "Server", "Group": "Computer", "Rule Set": "server"})],
    "products": [
        ("p-1", {"Name": "DL380", "Brand": "HPE", "Category": "computer/server", "Useful Life": "+060", "Rate": "33.3"})
    ],
    "cis": [
        ("CZ1", {"Label": "srv-1", "Status": "in_production", "In Use Since": "20240203", "Purchase Value": "8450.00"})
    ],
    "ci_relations": [
        (
            "",
            {
                "CI Source": "HR",
                "CI Source ID": "CZ1",
                "Related CI Source": "HR",
                "Related CI Source ID": "CZ2",
                "Relation Type": "child",
            },
        )
    ],
    "contracts": [
        (
            "C-7",
            {"Name": "Care", "Customer": "Widget", "Expiry Date": "2027-12-31", "Configuration items": "srv-1\nsrv-2"},
        )
    ],
    "holidays": [
        ("h-1", {"Name": "New Year", "Start At": "2027-01-01 00:00", "End At": "2027-01-01T24:00", "Calendars": "Work"})
    ],
    "time_entries": [("e-1", {"Time Spent": "1:30", "Date": "2026-11-25"})],
    "notes": [("", {"Text": "=SUM(A1)"})],
}


@pytest.mark.parametrize("name", sorted(ROWS))
def test_the_file_of_a_type_is_as_it_was_written_by_hand(name: str) -> None:
    """Headers in the spelling and order of the page, values as the column wants them."""
    kind = import_types()[name]
    step = StepInfo("s.x", "4me", "4me", "HR", "s.x", options={"type": name})
    rows = []
    for key, values in ROWS[name]:
        cells, bad = cells_of(Change(1, "4me", 0, key=key, values=values), step, kind)
        assert not bad
        rows.append(cells)
    assert sheet(kind, rows).content.decode() == (GOLDEN / f"{name}.csv").read_text()
