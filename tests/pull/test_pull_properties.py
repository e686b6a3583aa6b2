"""Whatever an instance is made of: what a sandbox was filled with from a pull is what the next pull says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from syncengine.pull import Wanted, pull, written
from syncengine.sandbox.process import Running, attach
from tests.bench import Bench
from tests.budget import examples

TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=12).filter(
    lambda text: text.strip() == text
) | st.sampled_from(
    ["true", "007", "null", "~", "=x", "a: b", "# no", "- x", "'", '"', "{a}", "2026-11-25", "é\u2028x"]
)
PARENTS = st.sampled_from(["cmdb_ci", "cmdb_ci_hardware", "cmdb_ci_appl", "cmdb_ci_linux_server"])
TYPES = st.sampled_from(["string", "integer", "boolean", "glide_date_time", "reference:cmn_location", "reference:u_a"])
COLUMN = st.fixed_dictionaries(
    {"type": TYPES, "label": TEXT, "length": st.integers(1, 4000)},
    optional={"default": TEXT, "mandatory": st.just(True), "read_only": st.just(True)},
)
COLUMNS = st.dictionaries(st.sampled_from(["u_one", "u_two", "u_three", "u_four"]), COLUMN, min_size=1)
NAMES = ("u_a", "u_b", "u_c")


@st.composite
def instances(draw: st.DrawFn) -> dict[str, Any]:
    """A seed document: classes with columns, rules, dependencies, choices, maps, records."""
    tables = {name: {"label": draw(TEXT), "parent": draw(PARENTS), "columns": draw(COLUMNS)} for name in NAMES}
    columns = {name: sorted(table["columns"]) for name, table in tables.items()}
    some = {name: st.sampled_from([*columns[name], "name"]) for name in NAMES}
    rules = [
        {
            "name": draw(TEXT),
            "applies_to": name,
            "independent": draw(st.booleans()),
            "entries": [
                {
                    "order": 10 * (number + 1),
                    "attributes": draw(st.lists(some[name], min_size=1, max_size=2, unique=True)),
                    **draw(
                        st.fixed_dictionaries({}, optional={"allow_null": st.just(True), "fallback": st.just(True)})
                    ),
                }
                for number in range(draw(st.integers(1, 3)))
            ],
        }
        for name in draw(st.sets(st.sampled_from(NAMES)))
    ]
    ends = st.sampled_from([*NAMES, "cmdb_ci_server"])
    kind = "Feeds::Fed by"
    dependency = st.fixed_dictionaries(
        {"parent": ends, "type": st.just(kind), "child": ends}, optional={"reverse": st.just(True)}
    )
    field = st.fixed_dictionaries(
        {"source": st.sampled_from(["u_x", "u_y"])},
        optional={"coalesce": st.just(True), "choice_action": st.sampled_from(["ignore", "reject"])},
    )
    target = draw(st.sampled_from(NAMES))
    empty = draw(st.booleans())
    fields = draw(st.dictionaries(some[target], field, min_size=1))
    values = {name: st.dictionaries(some[name], TEXT, min_size=1) for name in NAMES}
    return {
        "tables": tables,
        "rules": rules,
        "relation_types": [kind],
        "hosting": draw(st.lists(dependency, max_size=2)),
        "containment": draw(st.lists(dependency, max_size=2)),
        "choices": {
            "cmdb_ci.discovery_source": {"Estate": draw(TEXT)},
            "u_a.name": draw(st.dictionaries(TEXT, TEXT, max_size=3)),
        },
        "staging": {
            "u_in": {
                "label": draw(TEXT),
                "columns": {"u_x": ["string", draw(TEXT), 40], "u_y": "string"},
                "maps": [{"name": draw(TEXT), "target": target, "copy_empty_fields": empty, "fields": fields}],
            }
        },
        "records": {
            name: [
                {**row, "sys_id": f"{n:032x}"}
                for n, row in enumerate(draw(st.lists(values[name], max_size=3)), 10 * NAMES.index(name))
            ]
            for name in NAMES
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The sandbox that is filled."""
    with attach(tmp_path_factory.mktemp("twin"), seeds=[]) as running:
        yield running


WANTED = Wanted(classes=NAMES, read=("cmn_location",), staging=("u_in",), records=50)


def _round(origin: Running, twin: Running, document: dict[str, Any], place: Path) -> None:
    origin.reset()
    twin.reset()
    origin.seed(document)
    there, here = Bench(origin, place / "there"), Bench(twin, place / "here")
    try:
        first = pull(there.connect().reader, WANTED)
        text = written(first.document, "the instance")
        assert yaml.safe_load(text) == first.document
        twin.seed(text.decode())
        second = pull(here.connect().reader, WANTED)
        assert second.document == first.document
        assert written(second.document, "the instance") == text
        tables = first.document["tables"]
        for name in NAMES:
            assert set(tables[name]["columns"]) == set(document["tables"][name]["columns"])
            assert len(first.document.get("records", {}).get(name, ())) == len(document["records"][name])
    finally:
        there.close()
        here.close()


@given(document=instances())
@settings(
    max_examples=2, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
def test_what_is_pulled_is_what_a_sandbox_filled_with_it_tells(
    document: dict[str, Any], origin: Running, twin: Running, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A sample of the sweep below."""
    _round(origin, twin, document, tmp_path_factory.mktemp("round"))


@pytest.mark.long
@given(document=instances())
@settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_pulled_is_what_a_sandbox_filled_with_it_tells_at_length(
    document: dict[str, Any], origin: Running, twin: Running, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Texts, defaults, flags, rules and maps of all kinds."""
    _round(origin, twin, document, tmp_path_factory.mktemp("round"))
