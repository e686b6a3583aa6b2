"""Specs put together at random from the words of the language: right or refused, and what is right runs."""

# ruff: noqa: E501 (the words of the language stand side by side)

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncengine.changes import BadRow, Pair, Record
from syncengine.errors import Position
from syncengine.spec import Project, check_specs
from tests.budget import examples
from tests.spec.helpers import folder, mapped

CSV = "k,a,b,n\n1,x,2024-02-03,5\n2,,03/02/2024,\n3,NULL,x;y,9.10\n3,X,yes,0064\n"
JSON = '[{"k": 1, "a": "x", "l": [{"d": "p", "n": 1.50}, {"d": "q"}, 3, null], "o": {"b": true}}, {"k": 2, "a": null, "l": null}, {"k": [1], "a": {"z": 1}}]'

_words = st.sampled_from(
    ["k", "a", "k", "a", "k", "a", "b", "n", "0064", "true", *["a"] * 40, *["k"] * 40, "l[0].d", "", "x y"]
)
_templates = st.sampled_from(["{{ a }}", "{{ a | upper }}", "{{ k }}-{{ a }}", "{{ k | int + 1 }}", "{% if a %}y{% endif %}", "{{ a | default('z') }}",
                              "{{ a.z }}", "{{ row['k'] }}", "{{ vars.v }}", "{{ run.date }}", "{% for x in a %}{{ x }}{% endfor %}"] * 5 + ["{{ a", "{{ a | lowr }}"])  # fmt: skip
_tests = st.one_of(st.sampled_from(["x", 3, True]), st.lists(st.sampled_from(["x", "y"]), min_size=1, max_size=2),
                   st.sampled_from([{"not": "x"}, {"contains": ["x", "y"]}, {"starts_with": "x"}, {"matches": "[xX]+"}, {"empty": True}, {"empty": False},
                                    {"above": 3}, {"below": 2.5}, {"not": ["x"], "empty": False}]))  # fmt: skip
_conditions = st.one_of(st.dictionaries(st.sampled_from(["k", "a"]), _tests, min_size=1, max_size=2), _templates)


_MODIFIERS: list[dict[str, Any]] = [
    {}, {}, {"split": ";"}, {"split": ",", "join": "+"}, {"map": {"x": 1}}, {"map": "m", "unmapped": "keep"}, {"map": {"x": "z"}, "unmapped": "empty", "default": "d"},
    {"type": "integer"}, {"type": "decimal"}, {"type": "boolean"}, {"type": "date"}, {"type": "datetime", "timezone": "Europe/Paris"}, {"type": "text"},
    {"type": "date", "format": "%d/%m/%Y"}, {"join": ", "}, {"default": 7}, {"max_length": 1}, {"max_length": 3, "too_long": "cut"}, {"if_empty": "clear"},
    {"if_empty": "error"}, {"if_empty": "skip_row"}, {"split": ";", "map": {"x": 1}, "type": "integer", "join": "|", "max_length": 4},
    {"map": "none"}, {"type": "float"}, {"max_length": 0},
]  # fmt: skip


def _long(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    shaped = st.one_of(
        st.fixed_dictionaries({"from": st.one_of(_words, _templates)}),
        st.fixed_dictionaries({"const": st.sampled_from(["x", 1, True, "x;y", "NULL"])}),
        st.fixed_dictionaries({"first": st.lists(inner, min_size=1, max_size=3)}),
        st.builds(lambda cases, last: {"cases": [*cases, {"otherwise": last}]},
                  st.lists(st.fixed_dictionaries({"when": _conditions, "use": inner}), max_size=2), inner),
        st.fixed_dictionaries({"lookup_in": st.just("source"), "where": st.fixed_dictionaries({"k": inner}), "take": st.sampled_from(["k", "a"]),
                               "many": st.sampled_from(["first", "list", "error"])}, optional={"if_missing": st.sampled_from(["omit", "error", "skip_row"])}),
    )  # fmt: skip
    references = st.one_of(
        st.fixed_dictionaries({"step": st.just("t"), "key": inner}, optional={"if_missing": st.just("omit")}),
        st.fixed_dictionaries(
            {
                "find_in": st.just("cmn_location"),
                "where": st.dictionaries(st.sampled_from(["name", "u_x"]), inner, min_size=1, max_size=2),
            }
        ),
        st.just({"clear": True}),
    )
    return st.one_of(
        st.builds(lambda one, more: {**one, **more}, shaped, st.sampled_from(_MODIFIERS)), shaped, references
    )


_plain = st.one_of(_words, _templates, st.sampled_from([1, 9.5, True]))
_values = st.one_of(_plain, st.recursive(_plain, _long, max_leaves=3))
_fields = st.one_of(
    st.dictionaries(st.sampled_from(["f", "g", "h"]), _values, min_size=1, max_size=3), st.just(["k", "a"])
)
_parts = st.lists(
    st.fixed_dictionaries(
        {"class": st.just("cmdb_part"), "fields": _fields}, optional={"each": _words, "when": _conditions}
    ),
    max_size=2,
)
_links = st.lists(
    st.fixed_dictionaries(
        {"type": st.just("x::y"), "child": _values}, optional={"when": _conditions, "if_missing": st.just("omit")}
    ),
    max_size=2,
)
_classes = st.one_of(st.just("cmdb_ci"), st.fixed_dictionaries({"from": _words, "map": st.just({"x": "cmdb_ci"})}, optional={"default": st.just("cmdb_ci_x")}),
                     st.lists(st.one_of(st.fixed_dictionaries({"when": _conditions, "use": st.just("cmdb_ci")}), st.just({"otherwise": "cmdb_ci_y"})), min_size=1, max_size=2))  # fmt: skip
_steps = st.fixed_dictionaries(
    {"cmdb": _classes, "key": st.one_of(st.just("k"), st.just("{{ k }}-{{ a }}"), _plain, st.lists(_plain, min_size=2, max_size=2)), "fields": _fields},
    optional={"when": _conditions, "distinct": _words, "lookup": _parts, "related": _parts, "relations": _links, "seen_at": _values,
              "if_empty": st.sampled_from(["omit", "clear", "skip_row"]), "native_key": _values, "vanished": st.sampled_from(["keep", "report"])},
)  # fmt: skip


@settings(max_examples=examples(400), deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.fixed_dictionaries({"t": _steps}), source=st.sampled_from(["rows.csv", "rows.json"]),
       level=st.sampled_from(["fail", "skip", "warn"]))  # fmt: skip
@pytest.mark.covers("SPEC-57", "SRC-26")
def test_a_spec_is_refused_with_places_or_runs(
    tmp_path_factory: pytest.TempPathFactory, steps: dict[str, Any], source: str, level: str
) -> None:
    """Never another exception; each row becomes records, or has its reasons."""
    path = tmp_path_factory.mktemp("any")
    text = json.dumps({"syncengine": 1, "data_source": "Tests", "source": {"file": source, "bad_rows": level},
                       "maps": {"m": {"x": "y"}}, "vars": {"v": "1"}, "steps": steps})  # fmt: skip
    _check(path, text)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(step=_steps, path=st.sampled_from(["l", "o", "a", "nowhere"]), inner=st.sampled_from(["l", "parent.l", "z"]))
def test_a_list_of_a_row_is_refused_or_runs(
    tmp_path_factory: pytest.TempPathFactory, step: dict[str, Any], path: str, inner: str
) -> None:
    """`each`, of the step and of an item in it."""
    folder_ = tmp_path_factory.mktemp("each")
    words = {"k": "parent.k", "a": "d"}
    text = json.dumps(
        {**step, "each": path, "lookup": [{"class": "cmdb_part", "each": inner, "fields": {"f": "parent.d", "g": "d"}}]}
    )
    for old, new in words.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    spec_text = f'{{"syncengine": 1, "data_source": "Tests", "source": "rows.json", "maps": {{"m": {{"x": "y"}}}}, "vars": {{"v": "1"}}, "steps": {{"t": {text}}}}}'
    _check(folder_, spec_text)


def _check(path: Path, text: str) -> None:
    folder(path, {"s.yaml": text, "rows.csv": CSV, "rows.json": JSON})
    checked = check_specs(Project(path), [path / "s.yaml"])
    for problem in checked.problems:
        assert isinstance(problem.place, Position), problem
        assert 0 < len(problem.message) <= 160
    for made in checked.specs:
        for name in made.steps:
            found, worker = mapped(made, name)
            assert all(isinstance(one, (Record, Pair, BadRow)) for one in found)
            assert worker.counts.rows in {3, 4}
            for one in found:
                if isinstance(one, Record):
                    assert all(value.__class__ is str for value in one.values.values()), one
                    assert all(value not in {"NULL", "<EMPTY_STRING>"} for value in one.values.values())
                    assert one.key
