"""What holds for every type: what was imported comes back, and importing it again changes nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncengine.sandbox.clock import Clock
from syncengine.sandbox.fourme import groups, seeding
from syncengine.sandbox.fourme.importing import Fault
from syncengine.sandbox.fourme.service import Fourme
from syncengine.sandbox.fourme.types import Column, Type, types
from syncengine.sandbox.world import World
from tests.budget import examples

KNOWN = [kind for kind in types().values() if kind.header != "unknown" and kind.columns]
NAMES = {"Primary Email": "ann@x.com", "Reference": "ref"}
LINES = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), include_characters="\n\t"), max_size=30)


class Twin:
    """A service without HTTP."""

    def __init__(self) -> None:
        self.world = World(None, Clock(lambda: 1_750_000_000.0))
        self.fourme = Fourme(self.world)
        self._ids: dict[str, str] = {}

    def load(self, kind: str, rows: list[dict[str, str]]) -> dict[str, Any]:
        """Import rows to their end; the counters, with the lines of the log."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        jobs, account = self.fourme.jobs, self.fourme.logins.main
        token = jobs.add_import(kind, account, account, text.getvalue().encode(), Fault(), "")
        jobs.run()
        job = jobs.get("import", token)
        assert job is not None
        log = b"".join(self.fourme.files.parts(f"log:{token}")).decode().splitlines()
        return {**{name: n for name, n in job.body["counts"].items() if n}, **({"log": log} if log else {})}

    def exported(self, kind: str) -> list[dict[str, str]]:
        """The rows of a full export."""
        jobs, account = self.fourme.jobs, self.fourme.logins.main
        body = {"types": [kind], "since": None, "line_separator": "lf"}
        token = jobs.add_export(account, body, Fault())
        jobs.run()
        text = b"".join(self.fourme.files.parts(f"export:{token}")).decode()
        return list(csv.DictReader(io.StringIO(text, newline="")))

    def target(self, column: Column) -> str:
        """How a record of a type is written in a column, made if need be, with what it needs itself."""
        key = f"{column.to}.{column.by}"
        if key not in self._ids:
            self._ids[key] = self._made(column)
        return self._ids[key]

    def _made(self, column: Column) -> str:
        kind = types()[column.to]
        values = self.required(kind)
        if column.by != "ID":
            name = NAMES.get(column.by, f"the {column.to}")
            values[column.by] = name
        with self.world.store.transaction():
            seeding.apply(self.fourme, {"records": {column.to: [values]}})
        newest = self.fourme.records.all(column.to, self.fourme.logins.main)[-1]
        return str(newest.id) if column.by == "ID" else str(values[column.by])

    def required(self, kind: Type) -> dict[str, str]:
        """What a record of a type needs."""
        return {name: self.value(kind.columns[name]) for name in kind.required}

    def value(self, column: Column) -> str:
        """Some value of a column."""
        if column.refers:
            return self.target(column)
        match column.kind:
            case "enum":
                return column.values[0]
            case "integer" | "duration":
                return "5"
            case "decimal":
                return "1.5"
            case "date":
                return "2026-05-04"
            case "datetime":
                return "2026-05-04T24:00"
            case "timestamp":
                return "2026-05-04T10:00:00Z"
            case "time_of_day":
                return "24:00"
            case "boolean":
                return "true"
            case "currency":
                return "eur"
            case "country":
                return "NL"
            case "time_zone":
                return "Amsterdam"
            case "custom_fields":
                return '[{"id":"rack","value":7}]'
        return f"some {column.name}"[: column.longest or None]


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    """One for all types: each finds what the others have left."""
    found = Twin()
    yield found
    found.world.store.close()


def full_row(twin: Twin, kind: Type) -> dict[str, str]:
    """A row with every column of an import that can be told apart afterwards."""
    left_out = {"ID", "Created At", "Updated At", "Disabled", "Deleted", "Hours"}
    row = {c.name: twin.value(c) for c in kind.exported if c.name not in left_out and c.kind != "helper"}
    if kind.name == "ci_relations":
        row = {name: "" if name.endswith(("Source", "Source ID")) else value for name, value in row.items()}
    return row


@pytest.mark.parametrize("kind", [k for k in KNOWN if k.name != "trusted_organizations"], ids=lambda kind: kind.name)
def test_every_type_comes_back_as_it_was_imported(twin: Twin, kind: Type) -> None:
    """Every column of every type; the same file again changes nothing; so does the export itself."""
    row = full_row(twin, kind)
    before = len(twin.exported(kind.name))
    first = twin.load(kind.name, [row])
    assert first == {"created": 1}, first
    exported = twin.exported(kind.name)
    assert len(exported) == before + 1
    assert {name: exported[-1][name] for name in row if row[name]} == {name: cell for name, cell in row.items() if cell}
    if not kind.identify:
        return
    again = twin.load(kind.name, [row])
    keyed = "Source ID" in row or kind.identify != (("ID",),)
    replaced = kind.name in groups.DETAILS
    assert again == ({"unchanged": 1} if keyed else {"created": 1, "deleted": 1} if replaced else {"created": 1}), again
    if "ID" in exported[-1]:
        whole = twin.exported(kind.name)
        counted = twin.load(
            kind.name, [{n: c for n, c in one.items() if n not in ("Created At", "Updated At")} for one in whole]
        )
        assert counted == {"unchanged": len(whole)}, counted


@cache
def one_twin() -> Twin:
    """One for all examples, emptied for each."""
    return Twin()


@settings(max_examples=examples(40), deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"Name": st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)},
            optional={
                "Location": LINES,
                "Information": LINES,
                "VIP": st.sampled_from(["1", "0", "yes", "TRUE", "", "whatever"]),
                "Cost Per Hour": st.decimals(0, 9999, places=2).map(str),
                "Manager": st.sampled_from(["", "api.user@sandbox.example"]),
            },
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_people_come_back_and_a_second_import_changes_nothing(people: list[dict[str, str]]) -> None:
    """Text as it was sent, save a tab before = + - @; whatever the columns, the export imports as unchanged."""
    twin = one_twin()
    twin.fourme.reset()
    twin.fourme.ready()
    columns = sorted({name for person in people for name in person})
    rows = [
        {**{c: p.get(c, "") for c in columns}, "Primary Email": f"p{n}@x.com", "Source": "H", "Source ID": str(n)}
        for n, p in enumerate(people)
    ]
    rows = [row for row in rows if row["Name"].strip()]
    if not rows:
        return
    assert twin.load("people", rows) == {"created": len(rows)}
    shown = {row["Source ID"]: row for row in twin.exported("people")}
    for row in rows:
        for name in ("Name", "Location", "Information"):
            sent = row.get(name, "")
            sent = sent if sent.strip() else ""
            tab = "\t" if sent[:1] in ("=", "+", "-", "@") and sent else ""
            assert shown[row["Source ID"]][name] == tab + sent
    entries = twin.world.ledger.last
    assert twin.load("people", rows) == {"unchanged": len(rows)}
    assert twin.world.ledger.last == entries
