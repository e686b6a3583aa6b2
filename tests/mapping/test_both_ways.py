"""Compiled Python and Jinja2 give the same records, for any template of the allow list and any row."""

# ruff: noqa: E501 (specs and rows that stand in one line are easier to compare)

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncengine.changes import BadRow, Record, Row
from syncengine.errors import Place, Position
from syncengine.mapping import Mapper
from syncengine.mapping.model import FieldRule, Recipe, RowRules, Template
from syncengine.mapping.templates import Parsed, parse
from syncengine.sources.file.values import Number
from tests.budget import examples

AT = Position("spec.yaml", 7, 11)
COLUMNS = ("a", "b", "c", "d")

_texts = st.text(alphabet="aZ9 .-:éß\n'\"{%|", max_size=8)
_scalars = st.one_of(
    st.none(),
    _texts,
    st.sampled_from(
        ["", "NULL", "n/a", "0064", "9.10", "1E5", "NO", "12:30", "1_000", "10.1.0.11", "00:55:51:21:26:2F"]
    ),
    st.integers(-(10**6), 10**20),
    st.booleans(),
    st.sampled_from(["1.0", "9.10", "1E5", "-0.5"]).map(Number),
)
_rows = st.fixed_dictionaries(
    {"a": _scalars, "b": _scalars, "c": st.one_of(_scalars, st.lists(_scalars, max_size=3)), "d": st.one_of(
        _scalars, st.dictionaries(st.sampled_from(["x", "y", "items"]), _scalars, max_size=2))}
)  # fmt: skip
_text_rows = st.fixed_dictionaries({name: st.one_of(_texts, st.sampled_from(["", "NULL", "0064"])) for name in COLUMNS})

_names = st.sampled_from(["a", "b", "c", "d", "row['a']", "d.x", "d['items']", "c[0]", "vars.zone", "run.date"])
_literals = st.sampled_from(["'x'", "''", "'a b'", "0", "3", "1.5", "true", "none", "['p', 'q']"])
_plain_filters = ["lower", "upper", "trim", "title", "capitalize", "string", "length", "first", "last", "slug", "short_host",
                  "list", "unique", "sum", "min", "max", "abs", "int", "float", "mac", "ip", "fqdn"]  # fmt: skip
_argued = ["default('z')", "default(b)", "default_if_blank('w')", "replace('a', 'b')", "int(0)", "float(0)", "join('-')",
           "split('.')", "truncate(3)", "round(1)", "regex('[0-9]+')", "regex('(a)(b)?', 2)", "map('x')", "d('q', true)"]  # fmt: skip


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(["~", "+", "-", "*", "/", "//", "%", "==", "!=", "<", ">=", "and", "or", "in", "not in"])
    return st.one_of(
        st.builds("({} | {})".format, inner, st.sampled_from(_plain_filters + _argued)),
        st.builds("({} {} {})".format, inner, binary, inner),
        st.builds("(not {})".format, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("({} if {})".format, inner, inner),
        st.builds("(({}) is {})".format, inner, st.sampled_from(["defined", "none", "string", "number", "odd"])),
        st.builds("({})[{}]".format, inner, st.sampled_from(["0", "-1", "'x'", "1:3", ":2"])),
        st.builds("[{}, {}]".format, inner, inner),
    )


_expressions = st.recursive(st.one_of(_names, _literals), _grow, max_leaves=6)
_templates = st.one_of(
    _expressions.map("{{{{ {} }}}}".format),
    st.builds("{{{{ {} }}}} and {{{{ {} }}}}".format, _expressions, _expressions),
    st.builds("pre-{{{{ {} }}}}".format, _expressions),
)


def recipe(texts: list[str], *, text_only: bool) -> Recipe:
    """A step with one field per template."""
    fields = tuple(FieldRule(f"f{n}", Template(one, AT), AT) for n, one in enumerate(texts))
    return Recipe("s.t", AT, "source", RowRules(text_only=text_only), class_rule="cmdb_ci", fields=fields)


def run(made: Recipe, rows: list[dict[str, Any]], *, python: bool) -> list[Any]:
    """What a mapper makes of rows: values, or the code of what is wrong."""
    mapper = Mapper(made, run_date="2026-11-20", vars={"zone": "z1"}, python=python)
    given_rows = [Row(one, Place("f", n, n)) for n, one in enumerate(rows, 1)]
    found: list[Any] = []
    for one in mapper.records(given_rows):
        if isinstance(one, Record):
            found.append(one.values)
        elif isinstance(one, BadRow):
            found.append((one.problem.code, one.problem.message))
    return found


def same(made: Recipe, rows: list[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    """Both ways; of several faults in one row each may name another one."""
    ways = [run(made, rows, python=python) for python in (True, False)]
    first, second = ([one if isinstance(one, dict) else "fault" for one in way] for way in ways)
    return first, second


def _allowed(texts: list[str]) -> bool:
    return all(isinstance(parse(Template(one, AT), 0), Parsed) for one in texts)


@settings(
    max_examples=examples(250), deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
@given(st.lists(_templates, min_size=1, max_size=3), st.lists(_rows, min_size=1, max_size=3))
def test_python_and_jinja_agree_on_json_rows(texts: list[str], rows: list[dict[str, Any]]) -> None:
    """Values and faults, whatever the types of the columns."""
    if not _allowed(texts):
        return
    made = recipe(texts, text_only=False)
    python, jinja = same(made, rows)
    assert python == jinja


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(_templates, min_size=1, max_size=3), st.lists(_text_rows, min_size=1, max_size=3))
def test_python_and_jinja_agree_on_text_rows(texts: list[str], rows: list[dict[str, Any]]) -> None:
    """The written-out operations on text do what the operations do."""
    if not _allowed(texts):
        return
    made = recipe(texts, text_only=True)
    python, jinja = same(made, rows)
    assert python == jinja


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(_rows, min_size=1, max_size=4))
def test_a_batch_gives_what_its_rows_give_alone(rows: list[dict[str, Any]]) -> None:
    """No row of a batch sees another one, also when one of them fails."""
    texts = [
        "{% for x in c %}{{ x }};{% endfor %}",
        "{% if a %}{{ a | int }}{% else %}none{% endif %}",
        "{{ b | lower }}",
    ]
    made = recipe(texts, text_only=False)
    together = run(made, rows, python=True)
    assert together == [one for row in rows for one in run(made, [row], python=True)]


@pytest.mark.parametrize(
    ("template", "row", "expected"),
    [
        ("{{ a | lower }}", {"a": None}, None),
        ("{{ a | lower }}", {"a": "NULL"}, None),
        ("{{ a | int }}", {"a": ""}, None),
        ("{{ a | int }}", {"a": "0064"}, "64"),
        ("{{ a or b }}", {"a": None, "b": "x"}, "x"),
        ("{{ 'x' if a else 'y' }}", {"a": None}, "y"),
        ("{{ a | default('') }}", {"a": None}, None),
        ("{{ a | default('-') }}{{ b }}", {"a": None, "b": "1"}, "-1"),
        ("{{ a }} {{ b }}", {"a": "x", "b": None}, None),
        ("{{ a }}", {"a": Number("9.10")}, "9.10"),
        ("{{ a }}", {"a": Number("1E5")}, "1E5"),
        ("{{ a }}", {"a": True}, "true"),
        ("{{ a }}", {"a": 999999999999999.0}, "999999999999999"),
        ("{{ a }}", {"a": 1e16}, "1e+16"),
        ("{{ a * 1024 }}", {"a": 64}, "65536"),
        ("{{ a | int * 1024 }}", {"a": "64"}, "65536"),
        ("{{ a + 1 }}", {"a": Number("0.1")}, "1.1"),
        ("{{ a[0].x }}", {"a": [{"x": "deep"}]}, "deep"),
        ("{{ a.items }}", {"a": {"items": "data"}}, "data"),
        ("{{ items }}", {"items": "a column"}, "a column"),
        ("{{ row['__class__'] }}", {"__class__": "text"}, "text"),
        ("{{ a }}", {"a": "{{ 7*7 }}"}, "{{ 7*7 }}"),
        ("{{ a }}", {"a": "${env:HOME} %(x)s"}, "${env:HOME} %(x)s"),
        ("{{ a | map('n') | join(', ') }}", {"a": [{"n": "p"}, {"n": "q"}]}, "p, q"),
        ("{% for x in a %}{{ loop.index }}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}", {"a": ["p", "q"]}, "1p,2q"),
        ("{% set y = a | upper %}{{ y }}!", {"a": "x"}, "X!"),
        ("{{ a | mac }}", {"a": "0055.5121.262F"}, "00:55:51:21:26:2f"),
        ("{{ a | ip }}", {"a": "10.0.0.1/24"}, "10.0.0.1"),
        ("{{ a | fqdn('acme.example') }}", {"a": "SRV-1"}, "srv-1.acme.example"),
        ("{{ a | short_host }}", {"a": "SRV-1.acme.example"}, "srv-1"),
        ("{{ a | slug }}", {"a": "Café de Paris!"}, "cafe-de-paris"),
        ("{{ a | regex('([0-9]+) GB', 1) }}", {"a": "64 GB"}, "64"),
        ("{{ a | regex('x') }}", {"a": "64 GB"}, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("python", [True, False])
@pytest.mark.covers("SPEC-41", "SEC-47")
def test_a_template_yields(template: str, row: dict[str, Any], expected: str | None, *, python: bool) -> None:
    """No value propagates as in SQL; a column is data, whatever it is called and whatever it holds."""
    made = recipe([template], text_only=False)
    assert run(made, [row], python=python) == [{} if expected is None else {"f0": expected}]


@pytest.mark.parametrize("python", [True, False])
@pytest.mark.parametrize(
    ("template", "row", "code"),
    [
        ("{{ a | int }}", {"a": "many"}, "not-a-number"),
        ("{{ a * 2 }}", {"a": "64"}, "not-a-number"),
        ("{{ a / 0 }}", {"a": 1}, "division-by-zero"),
        ("{{ a ~ a ~ a }}", {"a": "x" * 30_000}, "result-too-long"),
        ("{{ a | replace('x', b) }}", {"a": "x" * 1000, "b": "y" * 10_000}, "result-too-long"),
        ("{{ a | join(b) }}", {"a": ["p"] * 100, "b": "y" * 10_000}, "result-too-long"),
        ("{{ a }}", {"a": [1, 2]}, "nested-value"),
        ("{{ a }}", {"a": {"b": 1}}, "nested-value"),
        ("{{ a | regex('(x|xx)+[yz]') }}", {"a": "x" * 60}, "slow-pattern"),
        ("{% for x in a %}{% for y in a %}{% for z in a %}.{% endfor %}{% endfor %}{% endfor %}", {"a": ["x"] * 100}, "template-too-slow"),
        ("{{ a * a * a * a * a * a * a * a }}", {"a": 10**150}, "number-too-big"),
    ],
)  # fmt: skip
@pytest.mark.covers("SPEC-42", "SPEC-48", "SEC-48", "SRC-28")
def test_a_template_that_goes_too_far_ends_its_row_only(
    template: str, row: dict[str, Any], code: str, *, python: bool
) -> None:
    """The row has a reason; the rows around it are made."""
    made = recipe([template, "{{ n }}"], text_only=False)
    found = run(made, [{"n": 1, "a": None}, {"n": 2, **row}, {"n": 3, "a": None}], python=python)
    assert found[0] == {"f1": "1"}
    assert found[1][0] == code
    assert found[2] == {"f1": "3"}


def test_a_decimal_keeps_its_digits() -> None:
    """A number that a source wrote is sent as it was written."""
    assert str(Number("1E5")) == "1E5"
    assert f"{Number('9.10')}" == "9.10"
    assert Number("9.10") == Decimal("9.1")
