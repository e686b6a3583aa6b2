"""Steps for 4me: headers, types, values and references, checked before anything is uploaded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from syncengine.errors import Problem
from syncengine.mapping.model import RecordRef
from syncengine.spec import Project, check_specs
from syncengine.spec.import_types import ImportType, import_types
from syncengine.spec.model import Step
from tests.spec.helpers import folder

EXACT = sorted(name for name, kind in import_types().items() if kind.header == "exact")


def checked(tmp_path: Path, steps: str) -> tuple[list[Problem], dict[str, Step]]:
    """The problems and the steps of a spec."""
    head = "syncengine: 1\ndata_source: HR\nsources: {rows: {inline: [{a: x, b: y}]}}\n"
    folder(tmp_path, {"s.yaml": f"{head}steps:\n{steps}"})
    found = check_specs(Project(tmp_path), [tmp_path / "s.yaml"])
    return found.problems, dict(found.specs[0].steps) if found.specs else {}


def fields_of(kind: ImportType, names: Iterable[str]) -> str:
    """Columns of a type, each from the source's column a; no record is named."""
    return "".join(f"      {name}: a\n" for name in names if kind.columns[name].kind != "helper")


def key_of(kind: ImportType) -> str:
    """The key where the type wants one."""
    return "    key: a\n" if kind.has_pair else ""


def own(kind: ImportType) -> list[str]:
    """The columns that a spec may fill."""
    hidden = {"Source"} if "CI Source" not in kind.columns else set()
    return [name for name in kind.columns if name not in {"Source ID", *hidden}]


def test_there_are_79_types_whose_header_is_known() -> None:
    """And 8 that are inferred, 9 that nobody has published."""
    kinds = [kind.header for kind in import_types().values()]
    assert (kinds.count("exact"), kinds.count("inferred"), kinds.count("unknown")) == (79, 8, 9)


@pytest.mark.parametrize("name", EXACT)
def test_each_column_of_each_type_is_taken_and_a_wrong_one_refused(name: str, tmp_path: Path) -> None:
    """With the right name beside it."""
    kind = import_types()[name]
    right = own(kind)
    problems, _ = checked(tmp_path, f"  s:\n    4me: {name}\n{key_of(kind)}    fields:\n{fields_of(kind, right)}")
    assert not problems
    first = next(one for one in right if kind.columns[one].kind != "helper" and one != "ID")
    wrong = f"  s:\n    4me: {name}\n{key_of(kind)}    fields:\n      {first.replace('e', 'ee', 1)}x: a\n"
    problems, _ = checked(tmp_path, wrong)
    assert [one.code for one in problems] == ["unknown-header"]
    assert first in problems[0].fix


def test_types_that_are_guessed_need_the_word_of_the_spec_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    """`accept_inferred` opens the first kind, never the second."""
    step = "  s:\n    4me: {name}\n    key: a\n{more}    fields: {{Name: a}}\n"
    for name, more, expected in (
        ("surveys", "", ["inferred-header"]),
        ("surveys", "    accept_inferred: true\n", []),
        ("short_urls", "", ["unknown-header"]),
        ("short_urls", "    accept_inferred: true\n", ["unknown-header"]),
    ):
        problems, _ = checked(tmp_path, step.format(name=name, more=more))
        assert [one.code for one in problems] == expected, name


@pytest.mark.parametrize(
    ("fields", "code", "fix"),
    [
        ("{Status: {const: In Production}}", "bad-value", "in_production"),
        ("{Status: {from: a, map: {live: in_productoin}}}", "bad-value", "in_production"),
        ("{Purchase Value: {const: '1,50'}}", "bad-value", "decimal"),
        ("{In Use Since: {const: 03/02/2024}}", "bad-value", "date"),
        ("{Custom Fields: {const: '{\"a\": 1}'}}", "bad-value", "id"),
        ("{Source: a}", "set-by-product", "data_source"),
        ("{Source ID: a}", "set-by-product", "key"),
        ("{Has CI Relations: a}", "unknown-header", "Remove"),
        ("{Label: {step: s, key: a}}", "bad-reference", "Label: COLUMN"),
        ("{Site: {find_in: cmn_location, where: {name: a}}}", "bad-reference", "Site: COLUMN"),
    ],
)
def test_what_no_row_can_make_right_is_refused(tmp_path: Path, fields: str, code: str, fix: str) -> None:
    """Constants, maps, columns that the product fills, references to nowhere."""
    problems, _ = checked(tmp_path, f"  s:\n    4me: cis\n    key: a\n    fields: {fields}\n")
    assert [one.code for one in problems] == [code]
    assert fix in problems[0].fix


@pytest.mark.parametrize(
    ("field", "said", "fix"),
    [
        ("Category: {step: kinds, key: a}", "Reference, which", "Category: COLUMN"),
        ("Supplier: {step: kinds, key: a}", "a record of organizations; the step", "makes organizations"),
        ("Supplier: {step: servers, key: a}", "makes none of 4me", "makes organizations"),
    ],
)
def test_a_reference_that_no_row_can_follow_is_refused(tmp_path: Path, field: str, said: str, fix: str) -> None:
    """To a record of another type, or by a column that its step does not write: nobody knows what 4me makes it."""
    problems, _ = checked(
        tmp_path,
        "  kinds: {4me: product_categories, key: a, fields: {Name: a, Rule Set: {const: server}}}\n"
        "  servers: {cmdb: cmdb_ci_server, key: a, data_source: D, fields: {name: a}}\n"
        f"  goods: {{4me: products, key: a, fields: {{Name: a, Brand: a, {field}}}}}\n",
    )
    assert [one.code for one in problems] == ["bad-reference"]
    assert said in problems[0].message
    assert fix in problems[0].fix


def test_a_reference_takes_the_text_by_which_the_type_is_known(tmp_path: Path) -> None:
    """Name, Primary Email, Label; an end of a relation goes by its pair."""
    problems, steps = checked(
        tmp_path,
        "  orgs: {4me: organizations, key: a, fields: {Name: a, Manager: {step: people, key: b}}}\n"
        "  people: {4me: people, key: b, fields: {Primary Email: b, Name: b, Organization: {step: orgs, key: a}}}\n"
        "  cis: {4me: cis, key: a, fields: {Label: a, Status: {const: installed}, Users: {step: people, key: b}}}\n"
        "  rel: {4me: ci_relations, fields: {CI: {step: cis, key: a}, Related CI: b, Relation Type: {const: child}}}\n",
    )
    assert not problems
    taken = {
        f"{step.name}.{rule.name}": rule.value.take if isinstance(rule.value, RecordRef) else ""
        for step in steps.values()
        for rule in step.recipe.fields
    }
    assert taken["orgs.Manager"] == taken["cis.Users"] == "Primary Email"
    assert taken["people.Organization"] == "Name"
    assert [name for name in taken if name.startswith("rel.")] == [
        "rel.CI Source",
        "rel.CI Source ID",
        "rel.Related CI Label",
        "rel.Relation Type",
    ]
    assert steps["orgs"].must_defer >= {"Manager", "Substitute"}


def test_what_vanished_records_become_is_checked_like_any_field(tmp_path: Path) -> None:
    """A column that the type does not have, a word that it does not take."""
    step = "  s: {4me: cis, key: a, fields: {Label: a}, vanished: {do: retire, set: {Disabled: true}}}\n"
    assert [one.code for one in checked(tmp_path, step)[0]] == ["unknown-header"]
    step = "  s: {4me: cis, key: a, fields: {Label: a}, vanished: {do: retire, set: {Status: gone}}}\n"
    assert [one.code for one in checked(tmp_path, step)[0]] == ["bad-value"]


SHARING = """syncengine: 1
data_source: {source}
source: {{inline: [{{a: x}}]}}
steps:
  s: {{4me: people, key: a, fields: {{Name: a, Primary Email: a}}{vanished}}}
"""


@pytest.mark.parametrize("planned", [["a.yaml"], ["a.yaml", "b.yaml"], []])
def test_who_retires_shares_its_source_with_no_other_spec_of_the_project(tmp_path: Path, planned: list[str]) -> None:
    """Also where the other spec is not planned: 4me keeps a Source, not which spec has written a record."""
    mine, other = SHARING.format(source="HR", vanished=", vanished: report"), SHARING.format(source="HR", vanished="")
    folder(tmp_path, {"specs/a.yaml": mine, "specs/b.yaml": other})
    (problem,) = check_specs(Project(tmp_path), [tmp_path / "specs" / name for name in planned]).problems
    assert (problem.code, str(problem.place)[:15], problem.found) == ("shared-data-source", "specs/a.yaml:5:", "HR")
    assert '"b.s"' in problem.message
    assert "specs/b.yaml:5:3" in problem.fix


@pytest.mark.parametrize(
    ("source", "vanished"), [("CRM", ", vanished: report"), ("HR", ""), ("HR", ", vanished: keep")]
)
def test_another_source_or_nothing_retired_is_no_matter(tmp_path: Path, source: str, vanished: str) -> None:
    """So two specs may make people of one Source as long as neither looks for what has gone."""
    other = SHARING.format(source="HR", vanished="")
    folder(tmp_path, {"specs/a.yaml": SHARING.format(source=source, vanished=vanished), "specs/b.yaml": other})
    assert not check_specs(Project(tmp_path), [tmp_path / "specs" / "a.yaml"]).problems


def test_what_has_vanished_of_calendars_cannot_be_told(tmp_path: Path) -> None:
    """Several rows are one calendar, and each row has a key of its own."""
    step = "  s: {4me: calendars, key: [a, b], fields: {Source ID: a, Weekday: {const: mon}}, vanished: report}\n"
    problems, _ = checked(tmp_path, step)
    assert [one.code for one in problems] == ["bad-vanished"]
