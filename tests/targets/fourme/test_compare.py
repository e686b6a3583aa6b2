"""Values that were imported, as exports and REST show them: the same is the same, and a change is seen.

The sandbox is the witness: it reads, keeps and writes values by itself, in each of the forms that are known.
"""

from __future__ import annotations

import itertools
import json
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from syncengine.sandbox.fourme import kinds
from syncengine.sandbox.fourme.types import Column, types
from syncengine.spec.import_types import ImportColumn, import_types
from syncengine.spec.import_values import BadValueError, written
from syncengine.targets.fourme.compare import is_same, shown
from syncengine.targets.fourme.told import plain
from tests.budget import examples

FORMS = [
    kinds.Forms(*one)
    for one in itertools.product(("1", "true", "TRUE"), ("minutes", "h:mm"), ("Z", "+02:00", "-05:30"))
]
EARLY, LATE = datetime.fromisoformat("1971-01-01"), datetime.fromisoformat("2200-01-01")
ZONES = ["Europe/Paris", "Paris", "Madrid", "Amsterdam", "Etc/UTC", "UTC", "America/New_York", "Tokyo", "Asia/Kolkata"]
LINES = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"), max_size=30)
MOMENTS = st.builds(
    lambda when, hours: when.replace(microsecond=0, tzinfo=timezone(timedelta(hours=hours))).isoformat(),
    st.datetimes(EARLY, LATE),
    st.integers(-12, 14),
)
NUMBERS = st.from_regex(r"[-+]?[0-9]{1,17}", fullmatch=True)
VALUES: dict[str, st.SearchStrategy[str]] = {
    "boolean": st.sampled_from(["1", "0", "true", "FALSE", "Yes", "no", "t", "F", "on", "OFF"]),
    "integer": NUMBERS,
    "decimal": st.from_regex(r"[-+]?[0-9]{1,40}(\.[0-9]{0,12})?", fullmatch=True),
    "date": st.dates(date(1900, 1, 1), date(2200, 1, 1)).map(str),
    "datetime": st.one_of(
        st.datetimes(EARLY, LATE).map(lambda when: when.strftime("%Y-%m-%d %H:%M")),
        st.dates(date(1971, 1, 1), date(2200, 1, 1)).map(lambda day: f"{day}T24:00"),
    ),
    "timestamp": st.one_of(MOMENTS, st.sampled_from(["best_effort", "no_target", "clock_stopped"])),
    "time_of_day": st.builds(
        lambda hour, minute, pad: f"{hour:{pad}}:{minute:02}",
        st.integers(0, 23),
        st.integers(0, 59),
        st.sampled_from(["", "02"]),
    ),
    "duration": st.one_of(
        st.sampled_from(["0", "00", "000:30", "0:00"]),
        st.from_regex(r"[0-9]{1,6}", fullmatch=True),
        st.from_regex(r"[0-9]{1,4}:[0-5][0-9]", fullmatch=True),
    ),
    "time_zone": st.sampled_from(ZONES),
    "currency": st.from_regex(r"[A-Za-z]{3}", fullmatch=True),
    "custom_fields": st.dictionaries(
        st.text("abc_", min_size=1, max_size=3), st.one_of(st.none(), st.booleans(), st.integers(), LINES), max_size=3
    ).map(lambda found: json.dumps([{"id": name, "value": value} for name, value in found.items()])),
}


def columns() -> list[tuple[str, ImportColumn, Column]]:
    """Every column of every type whose value is no reference, as the product and as the sandbox have it."""
    return [
        (f"{name}: {header}", column, types()[name].columns[header])
        for name, kind in import_types().items()
        for header, column in kind.columns.items()
        if header in types()[name].columns
        and column.kind not in ("helper", "ref", "refs")
        and types()[name].columns[header].kind in kinds._READERS.keys() | kinds._TEXT
    ]


def values(column: ImportColumn, twin: Column) -> st.SearchStrategy[str]:
    """What a source may say in a column."""
    if twin.kind == "country":
        return st.sampled_from(["FR", "fr", "NL"])
    if column.kind == "enum":
        return st.sampled_from(sorted({*column.values} & {*twin.values}) or ["x"])
    return VALUES.get(column.kind, LINES)


COLUMNS = columns()
BY_KIND = sorted({column.kind for _, column, _ in COLUMNS})


@st.composite
def cases(draw: st.DrawFn, kind: str) -> tuple[ImportColumn, Column, str, str]:
    """A column of a kind and two cells that an import takes."""
    of_kind = [(column, twin) for _, column, twin in COLUMNS if column.kind == kind]
    column, twin = draw(st.sampled_from(of_kind))
    sent = []
    for _ in range(2):
        try:
            cell = written(column, draw(values(column, twin)))
            assume(cell.strip())
            kinds.read(twin, cell)
        except (BadValueError, kinds.Bad):
            assume(False)
        sent.append(cell)
    return column, twin, sent[0], sent[1]


def told(column: ImportColumn, twin: Column, sent: str, form: kinds.Forms) -> list[str]:
    """What was imported, as an export and as REST give it back."""
    value = kinds.read(twin, sent)
    cell = form.cell(twin, value)
    over = plain(column, value)
    assert over is not None
    return [shown(f"\t{cell}" if cell[:1] in ("=", "+", "-", "@") else cell), over]


def test_every_kind_of_column_is_tried() -> None:
    """Those whose values are references are compared by name, see below."""
    assert set(BY_KIND) == set(VALUES) | {"enum", "special", "string", "text", "uri"}
    assert len(COLUMNS) > 700


@pytest.mark.parametrize("kind", BY_KIND)
@settings(max_examples=examples(40), deadline=None)
@given(data=st.data(), form=st.sampled_from(FORMS))
def test_what_was_imported_compares_as_unchanged(kind: str, data: st.DataObject, form: kinds.Forms) -> None:
    """In every form that an export is known to write it in, and as REST gives it."""
    column, twin, sent, _ = data.draw(cases(kind))
    for cell in told(column, twin, sent, form):
        assert is_same(column, sent, cell, "acme")


@pytest.mark.parametrize("kind", BY_KIND)
@settings(max_examples=examples(40), deadline=None)
@given(data=st.data(), form=st.sampled_from(FORMS))
def test_a_change_is_seen(kind: str, data: st.DataObject, form: kinds.Forms) -> None:
    """Values that 4me keeps as different ones differ, but for blanks around a text and zones of one offset."""
    column, twin, one, other = data.draw(cases(kind))
    first, second = kinds.read(twin, one), kinds.read(twin, other)
    if column.kind == "custom_fields":
        first, second = ({field["id"]: field["value"] or "" for field in value} for value in (first, second))
        assume(any(second.get(name, "") != value for name, value in first.items()))
    elif column.kind == "time_zone":
        assume("/" not in one)
        assume(first != second)
    elif column.kind == "decimal":
        assume(Decimal(first) != Decimal(second))
    elif isinstance(first, str):
        assume(first.strip() != second.strip())
    else:
        assume(first != second)
    for cell in told(column, twin, other, form):
        assert not is_same(column, one, cell, "acme")


NAME = st.text(st.characters(categories=("L", "N"), include_characters=" .,&@-"), min_size=1, max_size=12).map(
    str.strip
)
REFS = ImportColumn("refs", to="people", by="Primary Email")


@given(st.lists(NAME.filter(bool), max_size=5), st.randoms(use_true_random=False))
@settings(max_examples=examples(60), deadline=None)
def test_references_are_a_set_of_names(names: list[str], random: object) -> None:
    """In any order and case; those of the account itself with or without its name."""
    shuffled = sorted(names, key=lambda _: random.random())  # type: ignore[attr-defined]
    cell = "\n".join(f"{name.swapcase()} @acme" for name in shuffled)
    assume(all(name.casefold() == name.swapcase().casefold() for name in names))
    assert is_same(REFS, "\n".join(names), cell, "acme")


@given(st.lists(NAME.filter(bool), min_size=1, max_size=5, unique_by=str.casefold), NAME.filter(bool))
@settings(max_examples=examples(60), deadline=None)
def test_one_reference_more_or_less_or_of_another_account_is_a_change(names: list[str], more: str) -> None:
    """Also where its name is the same."""
    assume(more.casefold() not in map(str.casefold, names))
    assert not is_same(REFS, "\n".join(names), "\n".join([*names, more]), "acme")
    assert not is_same(REFS, "\n".join([*names, more]), "\n".join(names), "acme")
    assert not is_same(REFS, "\n".join(names), "\n".join([f"{names[0]} @wna", *names[1:]]), "acme")
