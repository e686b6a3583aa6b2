"""A circle of steps is told with every reference in it."""

# ruff: noqa: E501 (files that stand in one line are easier to compare)

from __future__ import annotations

from pathlib import Path

import pytest

from syncengine.errors import Position, SpecError
from syncengine.spec import Project, load_specs
from syncengine.spec.circles import circle
from tests.spec.helpers import HEAD, folder, mapped, spec, values


@pytest.mark.parametrize("size", [2, 3, 500])
@pytest.mark.covers("SPEC-34")
def test_the_shortest_circle_is_written_out(size: int) -> None:
    """With the place of each reference, also beside longer ones."""
    names = [f"s.t{number}" for number in range(size)]
    edges = {name: [(names[(n + 1) % size], Position("s.yaml", n + 1, 9))] for n, name in enumerate(names)}
    found = circle(edges)
    assert found is not None
    assert len(found.message) <= 160
    assert found.place == Position("s.yaml", 1, 9)
    assert "s.t0 → s.t1 at s.yaml:1:9" in found.fix
    if size > 2:
        edges["s.t1"].append(("s.t0", Position("s.yaml", 999, 9)))
        shorter = circle(edges)
        assert shorter is not None
        assert shorter.message == "Steps wait for each other: s.t0 → s.t1 → s.t0"
        assert "s.t1 → s.t0 at s.yaml:999:9" in shorter.fix


def test_what_is_no_circle() -> None:
    """A step that refers to itself takes a second pass; a diamond is an order."""
    at = Position("s.yaml", 1, 1)
    assert circle({"a": [("a", at)], "b": []}) is None
    assert circle({"a": [("b", at), ("c", at)], "b": [("d", at)], "c": [("d", at)], "d": []}) is None


@pytest.mark.covers("SPEC-34")
def test_a_circle_across_specs_is_found_by_validate(tmp_path: Path) -> None:
    """Relations are no reason to wait: only fields are."""
    one = f"{HEAD}source: rows.csv\nsteps:\n  t:\n    cmdb: cmdb_ci\n    key: k\n    fields: {{f: {{spec: OTHER, step: t, key: a}}}}\n"
    linked = one.replace(
        "fields: {f: {spec: OTHER, step: t, key: a}}",
        'fields: {f: a}\n    relations: [{type: "x::y", child: {spec: OTHER, step: t, key: a}}]',
    )
    folder(
        tmp_path,
        {
            "specs/a.yaml": one.replace("OTHER", "b"),
            "specs/b.yaml": one.replace("OTHER", "a"),
            "specs/rows.csv": "k,a\n1,2\n",
        },
    )
    with pytest.raises(SpecError, match=r"Steps wait for each other: a\.t → b\.t → a\.t"):
        load_specs(Project(tmp_path))
    folder(tmp_path, {"specs/b.yaml": linked.replace("OTHER", "a")})
    assert len(load_specs(Project(tmp_path))) == 2


def test_many_cases_are_many_lines_and_not_many_levels(tmp_path: Path) -> None:
    """Three hundred cases of a class, of a value, and of a first."""
    numbers = range(300)
    classes = ", ".join(f"{{when: {{a: x{n}}}, use: cmdb_ci_{n}}}" for n in numbers)
    cases = ", ".join(f"{{when: {{a: x{n}}}, use: {{const: v{n}}}}}" for n in numbers)
    firsts = ", ".join(["e"] * 300)
    text = (f"{HEAD}source: rows.csv\nsteps:\n  t:\n    cmdb: [{classes}]\n    key: k\n"
            f"    fields: {{f: {{cases: [{cases}]}}, g: {{first: [{firsts}, a]}}}}\n")  # fmt: skip
    found, _ = mapped(spec(tmp_path, text, rows_csv="k,a,e\n1,x299,\n2,x0,\n"))
    assert values(found) == [{"f": "v299", "g": "x299"}, {"f": "v0", "g": "x0"}]
    assert [getattr(one, "class_name", "") for one in found] == ["cmdb_ci_299", "cmdb_ci_0"]


@pytest.mark.parametrize("inner", ["-" * 45 + "a", "a" + " | lower" * 45, "(" * 45 + "a" + " ~ 'x')" * 45, "a" + " + 'x'" * 45,
                                   "a or " * 45 + "a", "('y' if a else " * 45 + "'z'" + ")" * 45])  # fmt: skip
def test_a_deep_expression_is_printed_and_run(tmp_path: Path, inner: str) -> None:
    """As deep as the limit allows."""
    text = (
        f'{HEAD}source: rows.csv\nsteps:\n  t:\n    cmdb: cmdb_ci\n    key: k\n    fields: {{f: "{{{{ {inner} }}}}"}}\n'
    )
    found, _ = mapped(spec(tmp_path, text, rows_csv="k,a\n1,q\n"))
    assert len(found) == 1
