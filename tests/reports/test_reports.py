"""Reports: nothing in the data can break out of its line, its cell or its span; a review comment always fits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncengine.changes import Action, Change, End, StepInfo
from syncengine.errors import Exit, Place
from syncengine.execution.summary import StepSummary, Summary
from syncengine.planning.plan import Header, Identity, Manifest, Note, StepCounts
from syncengine.planning.plan_file import PlanFile, open_plan, write_plan
from syncengine.reports import find, kinds
from syncengine.reports.markdown import COMMENT, code
from tests.budget import examples

STEPS = (StepInfo("s.servers", "cmdb", "servicenow", "DC", "s.servers"),)
letters = [*"ab`|<>*_[]()!@#:{}\"'\\ \n\r\t\x1b\x07\u202e\u2028", "::set-env name=A::", "```", "-->"]
evil = st.lists(st.sampled_from(letters), max_size=30).map("".join)


def plan_of(
    path: Path, changes: list[Change], *, show_values: bool = True, notes: Sequence[Note] = (Note("x", "y"),)
) -> PlanFile:
    counts = StepCounts(rows=len(changes))
    for change in changes:
        counts.add(change.action, change.basis)
    connections = {"servicenow": Identity("servicenow", "sandbox:1", "admin")}
    with write_plan(path) as writer:
        writer.header(Header("0.1.0", "sandbox", connections, (), STEPS, show_values))
        for change in changes:
            writer.change(change)
        writer.manifest(Manifest({"s.servers": counts}, notes=[*notes]))
        writer.close("now")
    return open_plan(path)


def some(key: str, value: str, op: int = 1) -> list[Change]:
    place = Place("f.csv", 1, 2)
    update = Change(op, "cmdb", 0, "update", "engine", key=key, class_name="cmdb_ci_server", values={"name": value})
    update.before, update.place = {"name": key}, place
    refused = Change(op + 1, "cmdb", 0, "rejected", "engine", key=key, code="MULTI_MATCH", message=value)
    linked = Change(op + 2, "relation", 0, "relate", "engine", type="Depends on::Used by")
    linked.parent, linked.child = End(1, "s.servers", key), End(2, "s.servers", value)
    return [update, refused, linked]


@pytest.mark.covers("SEC-43", "SEC-44", "SEC-45")
@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=evil, value=evil)
def test_data_stays_on_its_line_and_never_begins_one(tmp_path: Path, key: str, value: str) -> None:
    plan = plan_of(tmp_path / "p", some(key, value))
    for form in ("human", "markdown"):
        for line in find(form).of_plan(plan, details=10):
            assert line.isprintable()
            assert not line.startswith("::")
    for line in find("json").of_plan(plan, details=10):
        assert isinstance(orjson.loads(line), dict)
        assert "\n" not in line


@pytest.mark.covers("SEC-42")
@given(evil)
def test_a_code_span_cannot_be_left_from_inside(text: str) -> None:
    span = code(text, 200)
    fence = re.match("`+", span)
    assert fence is not None
    assert span.endswith(fence[0])
    inside = span[len(fence[0]) : -len(fence[0])]
    assert fence[0] not in re.findall("`+", inside)
    assert "\n" not in span
    assert not re.search(r"(?<!\\)\|", inside)


def test_a_comment_of_any_plan_fits(tmp_path: Path) -> None:
    changes = [change for n in range(3000) for change in some(f"key-{n}-" + "x" * 40, "value " * 10, op=3 * n + 1)]
    text = "\n".join(find("markdown").of_plan(plan_of(tmp_path / "p", changes), details=10**9))
    assert len(text) < COMMENT
    assert "more: `syncengine show --all PLAN`" in text
    assert "| 3,000 |" in text


@pytest.mark.covers("SEC-08")
def test_an_environment_can_keep_values_out_of_reports(tmp_path: Path) -> None:
    """Of all formats; nor does the message of a target say them, which may repeat what it was sent."""
    update, refused, linked = some("K", "DATACANARY")
    refused.message = 'Abandoning item \'{"values":{"os":"DATACANARY"},"x":{}}\' since it has errors'
    stale = Change(4, "cmdb", 0, "rejected", "engine", key="K", code="stale")
    stale.message = "changed on the target since the plan: os was 'DATACANARY', is \"DATACANARY's\""
    linked.child = End(2, "s.servers", "K2")
    plan = plan_of(tmp_path / "p", [update, refused, linked, stale], show_values=False)
    for form in kinds():
        text = "\n".join(find(form).of_plan(plan, details=10))
        assert "DATACANARY" not in text, form
        if form not in ("github", "junit"):
            assert "name" in text
        assert "since it has errors" in text
        assert "os was" in text


def test_every_format_tells_a_run(tmp_path: Path) -> None:
    summary = Summary("run1", "0" * 64, "sandbox", seconds=1.5)
    step = summary.steps["s.servers"] = StepSummary()
    step.add("applied", "create", 3)
    step.add("rejected", "create", 1)
    assert summary.exit is Exit.PARTIAL
    for form in kinds():
        text = "\n".join(find(form).of_run(summary))
        assert "3" in text
        assert "s" in text
    assert orjson.loads(next(find("json").of_run(summary)))["exit"] == 7


def test_a_format_that_does_not_exist_is_refused() -> None:
    with pytest.raises(LookupError):
        find("docx")


LONG = "somebody else changed what this row is about, and nothing says by what rule it could be found again at all"


def test_everything_that_a_plan_says_fits_a_terminal(tmp_path: Path) -> None:
    """Messages, fixes, warnings; both readings of a relation are there, on two lines where one is too short."""
    place = Place("specs/inventory.csv", 7, 8)
    bad = Change(1, "cmdb", 0, "rejected", code="no-key", message=LONG, place=place, fix=LONG)
    link = Change(2, "relation", 0, "relate", type="Depends on::Used by", place=place)
    link.parent, link.child = End(1, "s.servers", "database-01"), End(2, "s.servers", "application-server-02")
    plan = plan_of(tmp_path / "p", [bad, link], notes=[Note("x", LONG, fix=LONG)])
    lines = list(find("human").of_plan(plan, details=10))
    assert max(map(len, lines)) <= 80
    assert "  ! no record  (inventory.csv row 7, line 8)" in lines
    assert "  → database-01 Depends on application-server-02  (inventory.csv row 7, line 8)" in lines
    assert "      application-server-02 Used by database-01" in lines


def test_a_review_comment_shows_values_and_rows(tmp_path: Path) -> None:
    """What is created with which values, from which row; the name of a record that was found, not its id."""
    made = Change(1, "cmdb", 0, "create", key="S1", class_name="cmdb_ci_server", place=Place("a.csv", 3, 4))
    made.values, made.names = {"name": "srv", "location": "0" * 32}, {"location": "Berlin"}
    bad = Change(2, "cmdb", 0, "rejected", code="no-key", message="The row has no key", place=Place("a.csv", 4, 5))
    plan = plan_of(tmp_path / "p", [made, bad])
    text = "\n".join(find("markdown").of_plan(plan, details=10))
    assert "- `cmdb_ci_server` `S1` (`a.csv row 3, line 4`): `name` = `srv`, `location` = `Berlin`" in text
    assert "- no record (`a.csv row 4, line 5`): `no-key`" in text
    assert "`` " not in text
    assert "location=Berlin" in "\n".join(find("human").of_plan(plan, details=10))


def test_what_is_left_out_says_how_it_is_shown(tmp_path: Path) -> None:
    changes = [Change(n, "cmdb", 0, "create", key=f"S{n}", class_name="cmdb_ci_server") for n in range(1, 9)]
    plan = plan_of(tmp_path / "p", changes)
    assert "  + … 4 more to create in s.servers (--all shows them)" in list(find("human").of_plan(plan, details=20))


def test_a_table_of_many_kinds_of_operations_fits_a_terminal(tmp_path: Path) -> None:
    """The heads go on two lines then, or are glyphs alone; numbers stand under theirs."""
    actions: tuple[Action, ...] = ("create", "update", "retire", "touched", "unchanged", "rejected", "reclassify")
    words: dict[int, Sequence[str]] = {
        2: ["+", "create", "~", "update"],
        6: actions[:6],
        7: ["+", "~", "±", "-", "·", "=", "!"],
    }
    for number, heads in words.items():
        changes = [Change(op, "cmdb", 0, action, key=str(op)) for op, action in enumerate(actions[:number], 1)]
        lines = list(find("human").of_plan(plan_of(tmp_path / f"p{number}", changes), details=0))
        at = next(at for at, line in enumerate(lines) if line.startswith("  s  "))
        assert max(map(len, lines)) <= 80
        assert lines[at].split() == ["s", "rows", "ours", *heads]
        assert lines[at + 1].split() == ["servers", str(number), *(["1"] * number)]
        assert len(lines[at]) == len(lines[at + 1])
        assert lines[at - 1].split() == (["+", "~", "-", "·", "=", "!"] if number == 6 else [])


def test_what_has_one_reason_is_told_a_few_times_and_counted(tmp_path: Path) -> None:
    """Another reason is not lost among them."""
    changes = [
        Change(n, "cmdb", 0, "rejected", key=f"S{n}", code="not-found", message=f"owned_by: no sys_user 'p{n}@x.org'")
        for n in range(1, 31)
    ]
    changes[24].code, changes[24].message = "required", "name is empty"
    lines = list(find("human").of_plan(plan_of(tmp_path / "p", changes), details=20))
    assert [line for line in lines if line.startswith("  !")] == [
        *(f"  ! S{n}" for n in (1, 2, 3, 4, 25)),
        "  ! … 25 more rejected (not-found) in s.servers (--all shows them)",
    ]


def test_long_keys_are_told_apart_in_lines_that_fit(tmp_path: Path) -> None:
    """The place in the source goes below where it has no room."""
    key = "42010000-1111-2222-3333-444455556601|Hard disk "
    changes = [
        Change(n, "cmdb", 0, "create", key=f"{key}{n}", class_name="cmdb_ci_disk", place=Place("vms.json", n, n))
        for n in (1, 2)
    ]
    link = Change(3, "relation", 0, "relate", type="Contains::Contained by", place=Place("vms.json", 1, 1))
    link.parent, link.child = End(1, "s.servers", key + "1"), End(2, "s.servers", key + "2")
    lines = list(find("human").of_plan(plan_of(tmp_path / "p", [*changes, link]), details=20))
    assert max(map(len, lines)) <= 80
    assert [f"  + cmdb_ci_disk {key}{n}" in lines for n in (1, 2)] == [True, True]
    assert lines.count("      (vms.json row 1, line 1)") == 2


def test_what_the_plan_could_not_foretell_and_was_done_is_told_as_done() -> None:
    """Among results, `unknown` is what nobody knows the outcome of."""
    step = StepSummary()
    step.add("applied", "unknown", 3)
    told = "\n".join(find("human").of_run(Summary("r", "h", "dev", {"s.people": step})))
    assert "? applied" in told
    assert "unknown" not in told
