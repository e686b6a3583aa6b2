"""Rows for staging tables against a sandbox: what is foretold, what is sent, what is lost and found."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncengine.changes import Change, Parcel, Record
from syncengine.errors import Exit, SpecError
from syncengine.execution.summary import Summary
from syncengine.planning.plan_file import PlanFile
from syncengine.targets.staging import StagingTarget, following
from syncengine.transport.clock import Clock
from tests.bench import Bench, actions, of_action
from tests.budget import examples
from tests.targets.rows import COLUMNS, FIELDS, LABELS, TABLE, people, person, row, step, table

MARKED = {"marker": "u_mark"}
KINDS = ["single", "multiple"]


def plan(bench: Bench, *rows: Record, send: str = "single", user: str = "", **options: Any) -> PlanFile:
    """A plan of people through the staging table."""
    return bench.plan(*rows, steps={"s.people": step(send=send, **options)}, user=user)


def staged(bench: Bench) -> int:
    """How many rows came into the staging table."""
    return bench.sandbox.counts().get("stage", {}).get(TABLE, 0)


def notes(made: PlanFile) -> set[str]:
    """The codes of a plan's notes."""
    return {note.code for note in made.manifest.notes}


def settled(bench: Bench, summary: Summary, number: int) -> None:
    """Every row is applied, is on the target once, and the next plan has nothing to do."""
    assert summary.exit is Exit.OK, summary
    assert summary.total("applied") == number
    assert len(people(bench)) == number
    assert bench.inserts()["sys_user"] == number


# ── the check before sending ──────────────────────────────────────────────────────────────────────


def test_single_rows_are_checked_many_at_a_time_and_only_what_moved_alone(bench: Bench) -> None:
    """One request a row in place of two; what somebody changed since the plan is stopped all the same."""
    table(bench)
    settled(bench, bench.apply(plan(bench, *(person(n) for n in range(100)))), 100)
    made = plan(bench, *(person(n, u_last="Newer") for n in range(100)))
    bench.change(people(bench)["p40@x.org"]["sys_id"], "sys_user", last_name="Other")
    summary = bench.apply(made)
    assert (summary.total("stale"), summary.total("applied")) == (1, 99)
    assert {row["last_name"] for row in people(bench).values()} == {"Newer", "Other"}
    looks = summary.requests - 99
    assert looks <= 4, "one for 64 rows, one for the others, one for the row that moved"


def test_a_look_that_is_old_counts_no_more(bench: Bench) -> None:
    """Something held the rows up: each of the others is asked about when it is sent."""
    table(bench)
    made = plan(bench, *(person(n) for n in range(10)))
    ticks = itertools.count(step=60)
    summary = bench.apply(made, permits=1, clock=Clock(now=lambda: float(next(ticks))))
    assert summary.total("applied") == 10
    assert summary.requests == 10 + 1 + 9, "ten rows, a look for all, and one for each behind the first"


# ── what is foretold ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("send", KINDS)
@pytest.mark.covers("IMP-02", "IMP-13")
def test_rows_are_created_then_unchanged_then_updated_field_by_field(bench: Bench, send: str) -> None:
    """Predicted from the map; what somebody else changes on the target shows in the next plan."""
    table(bench)
    rows = [person(n) for n in range(5)]
    first = plan(bench, *rows, send=send, **MARKED)
    assert {(c.action, c.basis, c.class_name) for c in first.changes()} == {("create", "predicted", "sys_user")}
    settled(bench, bench.apply(first), 5)
    again = plan(bench, *rows, send=send, **MARKED)
    assert actions(again) == {"unchanged": 5}
    assert again.manifest.batches == 0
    bench.change(people(bench)["p3@x.org"]["sys_id"], "sys_user", first_name="Somebody")
    third = plan(bench, *rows, send=send, **MARKED)
    (changed,) = of_action(third, "update")
    assert (changed.key, changed.before) == ("P3", {"u_first": "Somebody"})
    assert bench.apply(third).exit is Exit.OK
    assert people(bench)["p3@x.org"]["first_name"] == "First3"


def test_a_record_that_moved_since_the_plan_is_not_sent(bench: Bench) -> None:
    """The maps are asked again, on the rows of the plan, just before each is sent."""
    table(bench)
    bench.apply(plan(bench, person(1), person(2)))
    made = plan(bench, person(1, u_last="New"), person(2, u_last="New"))
    bench.change(people(bench)["p1@x.org"]["sys_id"], "sys_user", last_name="Else")
    summary = bench.apply(made)
    assert (summary.exit, summary.total("stale"), summary.total("applied")) == (Exit.STALE, 1, 1)
    assert people(bench)["p1@x.org"]["last_name"] == "Else"


def test_scripts_decide_per_step_and_per_field(bench: Bench) -> None:
    """A script on the map makes everything unknown; one on a field only that field."""
    fields = {**FIELDS, "title": {"script": "{u_title|upper}"}}
    table(bench, {"name": "People", "target": "sys_user", "fields": fields})
    made = plan(bench, person(1, u_title="boss"))
    (created,) = of_action(made, "create")
    assert created.reason == "a script decides title"
    assert "scripted-fields" in notes(made)
    bench.apply(made)
    (unsure,) = of_action(plan(bench, person(1, u_title="boss")), "unknown")
    assert unsure.reason == "a script decides title"
    table(bench, {"name": "P", "target": "sys_user", "fields": FIELDS, "scripts": [{"if": "u_last=x", "do": "ignore"}]})
    whole = plan(bench, person(1), person(2))
    assert {c.action for c in whole.changes()} == {"unknown"}
    assert 'a script decides: the map "P" has onBefore' in of_action(whole, "unknown")[0].reason
    assert "not-foretold" in notes(whole)
    assert bench.apply(whole).exit is Exit.OK


def test_no_role_and_no_map_are_told_apart(bench: Bench) -> None:
    """Lists come back empty without the role: then nothing is foretold; without a map nothing can be made."""
    table(bench)
    bench.sandbox.seed({"users": {"clerk": {"password": "secret", "roles": ["itil"]}}}, force=True)
    made = plan(bench, person(1), user="clerk")
    assert {c.action for c in made.changes()} == {"unknown"}
    assert "role import_transformer" in of_action(made, "unknown")[0].reason
    bench.sandbox.seed({"staging": {TABLE: {"columns": COLUMNS, "maps": []}}}, force=True)
    with pytest.raises(SpecError, match="no active transform map"):
        plan(bench, person(1))


def test_records_that_access_rules_hide_are_not_foretold_as_new(bench: Bench) -> None:
    """The server counts them and shows none: whether the row's record is there cannot be told."""
    table(bench)
    bench.apply(plan(bench, person(1)))
    access = [{"table": "sys_user", "roles": ["admin"], "condition": "email=p1@x.org"}]
    reader = {"clerk": {"password": "secret", "roles": ["itil", "import_transformer"]}}
    bench.sandbox.seed({"users": reader, "access": access}, force=True)
    made = plan(bench, person(1), person(2), user="clerk")
    assert {c.action for c in made.changes()} == {"unknown"}
    assert "are hidden from this user" in of_action(made, "unknown")[0].reason


def test_misspelt_fields_are_refused_since_the_instance_ignores_them(bench: Bench) -> None:
    """With the nearest column; the table itself, too."""
    table(bench)
    info = step(fields={"u_frist": "x"})
    with pytest.raises(SpecError, match="has no column") as told:
        bench.plan(row(1, u_frist="A"), steps={"s.people": info})
    assert told.value.problems[0].fix == 'did you mean "u_first"?'
    with pytest.raises(SpecError, match="does not exist"):
        plan(bench, person(1), table="u_nothing")


def test_the_plan_says_what_cannot_be_settled_and_what_copy_empty_does(bench: Bench) -> None:
    """No marker and no repeat_safe; a clear that no map copies; a map that clears what is not sent."""
    table(bench)
    assert notes(plan(bench, person(1, u_title=""))) == {"no-settling"}
    assert "no-settling" not in notes(plan(bench, person(1), **MARKED))
    bench.apply(plan(bench, person(1, u_title="boss")))
    bare = plan(bench, person(1, u_title=""))
    assert (actions(bare), notes(bare)) == ({"unchanged": 1}, {"no-settling", "clear-has-no-effect"})
    table(bench, {"name": "People", "target": "sys_user", "copy_empty_fields": True, "fields": FIELDS})
    only = dict.fromkeys(("u_mail", "u_first", "u_last"), "x")
    clearing = bench.plan(person(1), steps={"s.people": step(fields=only)})
    assert "clears-unsent" in notes(clearing)
    assert of_action(clearing, "update")[0].before == {"u_title": "boss"}


def test_references_are_found_made_or_left_by_the_field_map(bench: Bench) -> None:
    """A missing place is created by default, and the plan says so; the present one is shown by its name."""
    table(bench)
    made = plan(bench, person(1, u_place="Atlantis"), person(2, u_place="Atlantis"))
    note = next(note for note in made.manifest.notes if note.code == "makes-references")
    assert "2 rows with records of cmn_location that are not there" in note.message
    bench.apply(made)
    (moved,) = of_action(plan(bench, person(1, u_place="Mu"), person(2, u_place="Atlantis")), "update")
    assert moved.before == {"u_place": "Atlantis"}


def test_rows_whose_map_makes_referenced_records_go_in_turn(bench: Bench) -> None:
    """What one row makes, the next one finds; side by side they would make it twice. Other rows need no turn."""
    table(bench)
    made = plan(bench, *(person(n, u_place=f"Place {n // 4}") for n in range(16)), **MARKED)
    assert made.header.steps[0].options["in_turn"] is True
    settled(bench, bench.apply(made, permits=8), 16)
    assert bench.inserts()["cmn_location"] == 4
    fields = {**FIELDS, "location": {"source": "u_place", "choice_action": "ignore"}}
    table(bench, {"name": "People", "target": "sys_user", "fields": fields})
    assert "in_turn" not in plan(bench, person(1)).header.steps[0].options


@pytest.mark.covers("IMP-14")
def test_two_rows_of_one_record_are_both_refused(bench: Bench) -> None:
    """New or there already: which of them is right, only a person knows. Two targets for one row are not guessed at."""
    table(bench)
    rows = [person(1), person(2, u_mail="P1@X.org"), person(3)]
    made = plan(bench, *rows)
    assert {c.code for c in of_action(made, "rejected")} == {"same-identity"}
    assert actions(made) == {"rejected": 2, "create": 1}
    for _ in range(2):
        bench.connect().writer.send("/api/now/table/sys_user", body={"email": "p1@x.org"})
    (unsure,) = plan(bench, person(1)).changes()
    assert (unsure.action, unsure.reason.split(";")[0]) == ("unknown", "2 records of sys_user have its key")


@pytest.mark.covers("IMP-06")
def test_two_maps_make_two_records_of_a_row(bench: Bench) -> None:
    """Each result counts; where one map fails, the row is rejected in that map's words."""
    asset = {
        "name": "Tags",
        "target": "alm_asset",
        "order": 200,
        "fields": {"asset_tag": {"source": "u_first", "coalesce": True}},
    }
    table(bench, {"name": "People", "target": "sys_user", "fields": FIELDS}, asset)
    summary = bench.apply(plan(bench, person(1), **MARKED))
    assert (summary.exit, bench.inserts()["sys_user"], bench.inserts()["alm_asset"]) == (Exit.OK, 1, 1)
    assert actions(plan(bench, person(1))) == {"unchanged": 1}


def test_of_several_maps_a_row_shows_the_last(bench: Bench) -> None:
    """Many at once: where the last one skips a row, the runs or the target tell that another took it."""
    tags = {"source": "u_title", "coalesce": True}
    asset = {"name": "Tags", "target": "alm_asset", "order": 200, "fields": {"asset_tag": tags}}
    table(bench, {"name": "People", "target": "sys_user", "fields": FIELDS}, asset)
    summary = bench.apply(plan(bench, person(1), person(2), send="multiple", **MARKED))
    assert (summary.exit, summary.total("applied")) == (Exit.OK, 2)
    bench.connect().writer.send("/api/now/table/sys_user", body={"email": "p4@x.org"})
    made = plan(bench, person(3), person(4), person(5, u_mail="p5@x.org", u_place="x"), send="multiple", **MARKED)
    assert bench.apply(made).exit is Exit.OK


@pytest.mark.covers("IMP-01")
def test_a_list_is_never_given_to_the_single_insert(bench: Bench) -> None:
    """It would take the first row and drop the others without a word."""
    table(bench)
    made = plan(bench, person(1), person(2))
    assert made.manifest.batches == 2
    target = StagingTarget(made.header.steps)
    with pytest.raises(ValueError, match="takes one row"):
        target.send(Parcel("", list(made.changes()), [], []), bench.connect().writer)


@pytest.mark.covers("IMP-12")
def test_values_longer_than_their_staging_column_are_counted(bench: Bench) -> None:
    """The instance cuts them without a word; the plan does not."""
    table(bench)
    made = plan(bench, person(1, u_title="x" * 30), person(2, u_title="y" * 13))
    note = next(note for note in made.manifest.notes if note.code == "cut-by-staging")
    assert "u_title: 2 rows with more than its staging column holds" in note.message
    assert bench.apply(made).exit is Exit.OK
    assert people(bench)["p1@x.org"]["title"] == "x" * 12


# ── what the instance says ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("send", KINDS)
@pytest.mark.covers("IMP-05")
def test_rows_that_a_transform_fails_are_rejected_in_its_words(bench: Bench, send: str) -> None:
    """Inside answers of 200 and 201; the rest is applied."""
    table(bench)
    made = plan(bench, *(person(n) for n in range(60)), send=send, **MARKED)
    api = "import_one" if send == "single" else "insert_multiple"
    bench.sandbox.faults(f"api={api}, do=item_errors(0.1), seed=3")
    summary = bench.apply(made)
    assert summary.exit is Exit.PARTIAL
    refused = summary.total("rejected")
    assert 0 < refused < 20
    assert summary.total("applied") == 60 - refused == len(people(bench))
    outcomes = [one for one in bench.outcomes(summary.run).values() if one.result == "rejected"]
    assert {one.code for one in outcomes} == {"row-error"}
    assert all(one.message for one in outcomes)


@pytest.mark.covers("IMP-15")
def test_a_transform_that_fails_every_row_stops_the_run(bench: Bench) -> None:
    """After the threshold, not after all rows."""
    table(bench)
    made = plan(bench, *(person(n) for n in range(80)), **MARKED)
    bench.sandbox.faults("api=import_one, do=item_errors(1.0)")
    summary = bench.apply(made, permits=1)
    assert (summary.exit, summary.total("rejected")) == (Exit.UNSAFE, 21)
    assert staged(bench) == 21


@pytest.mark.covers("IMP-03")
def test_wrong_keys_stop_after_one_batch(bench: Bench) -> None:
    """The rows arrive empty: the run says how many, and what to change; nothing more is sent."""
    table(bench)
    made = plan(bench, *(person(n) for n in range(450)), send="multiple", **MARKED)
    table(bench, insert_multiple={"keys": "names"})
    summary = bench.apply(made)
    assert (summary.exit, summary.total("rejected"), summary.total("not_sent")) == (Exit.UNSAFE, 200, 250)
    assert summary.problem is not None
    assert staged(bench) == 200
    with pytest.raises(SpecError, match="takes column names") as told:
        plan(bench, person(1), send="multiple", **MARKED)
    assert told.value.problems[0].code == "wrong-label-mode"


@pytest.mark.covers("IMP-03")
def test_labels_are_demanded_and_checked_by_the_plan(bench: Bench) -> None:
    """With the line to paste, from the dictionary of the instance."""
    table(bench)
    with pytest.raises(SpecError) as told:
        plan(bench, person(1), send="multiple", labels={})
    assert told.value.problems[0].code == "missing-labels"
    assert "u_first: First name" in told.value.problems[0].fix
    with pytest.raises(SpecError, match=r'label of u_people_import\.u_mail is "Mail"'):
        plan(bench, person(1), send="multiple", labels={**LABELS, "u_mail": "E-Mail"})


@pytest.mark.covers("IMP-10")
def test_import_sets_of_one_table_go_one_after_the_other(bench: Bench) -> None:
    """Each is followed to its end before the next is handed over, whatever the permits."""
    table(bench)
    bench.sandbox.settings(**{"import.start_seconds": 1})
    made = plan(bench, *(person(n) for n in range(450)), send="multiple", **MARKED)
    assert made.manifest.batches == 3
    settled(bench, bench.apply(made, permits=4), 450)
    rows = bench.rows("sys_import_set", f"table_name={TABLE}", ("load_completed", "run_after", "multi_import_set"))
    assert len({one["multi_import_set"] for one in rows}) == 1
    assert sum(bool(one["run_after"]) for one in rows) == 2
    bench.sandbox.settings(**{"import.start_seconds": 0})


@pytest.mark.covers("IMP-09")
def test_an_import_set_that_never_moves_is_unknown_and_can_be_resumed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its number; nothing is sent again."""
    monkeypatch.setattr(following, "PATIENCE", 1.0)
    table(bench)
    made = plan(bench, *(person(n) for n in range(5)), send="multiple", **MARKED)
    bench.sandbox.faults("api=insert_multiple, do=job(stuck)")
    summary = bench.apply(made)
    assert (summary.exit, summary.total("unknown")) == (Exit.UNKNOWN, 5)
    assert summary.problem is not None
    assert "ISET" in summary.problem.message
    bench.sandbox.clear_faults()
    again = bench.resume(summary.run, made)
    assert (again.exit, again.total("unknown"), staged(bench)) == (Exit.UNKNOWN, 5, 5)


@pytest.mark.covers("IMP-11", "NET-21")
def test_rows_that_were_cleaned_before_they_were_read_are_unknown(bench: Bench) -> None:
    """Not rejected: they may well have been transformed."""
    table(bench)
    made = plan(bench, *(person(n) for n in range(3)), send="multiple", **MARKED)
    bench.sandbox.faults("api=staging_read, do=status(404)")
    summary = bench.apply(made, stale_check=False)
    assert (summary.exit, summary.total("unknown")) == (Exit.UNKNOWN, 3)


@pytest.mark.parametrize("options", [MARKED, {}])
def test_rows_are_matched_by_mark_or_content(bench: Bench, options: dict[str, Any]) -> None:
    """Each operation has the id of its own record."""
    table(bench)
    made = plan(bench, *(person(n) for n in range(30)), send="multiple", **options)
    summary = bench.apply(made)
    assert summary.exit is Exit.OK
    ids = {one["email"]: one["sys_id"] for one in people(bench).values()}
    outcomes = bench.outcomes(summary.run)
    assert all(outcomes[c.op].sys_id == ids[c.values["u_mail"]] for c in made.changes())


@pytest.mark.covers("IMP-07")
@given(st.permutations(range(12)), st.integers(0, 11), st.integers(5, 40))
@settings(max_examples=examples(60), deadline=None)
def test_no_order_and_no_gap_mislead_the_matching(order: list[int], gone: int, width: int) -> None:
    """Rows in any order, one of them missing, values cut by their column: never the row of another operation."""
    changes = [Change(n, "staging", 0, key=f"P{n}") for n in range(12)]
    sent = {n: {"u_mail": f"p{n}@x.org", "u_last": f"{n:02} is a long name"} for n in range(12)}
    rows = [{name: text[:width] for name, text in sent[n].items()} | {"n": n} for n in order if n != gone]
    found, spare = following.match(changes, sent, rows, ["u_mail", "u_last"], "")
    assert all(row["n"] == op for op, row in found.items())
    assert set(found) == set(range(12)) - {gone}
    assert not spare


def test_a_value_that_lost_its_spaces_is_known_all_the_same() -> None:
    """Some columns trim what they store; a beginning or an end of spaces tells no row from another."""
    changes = [Change(n, "staging", 0, key=f"P{n}") for n in range(2)]
    sent = {0: {"u_last": "  Berg "}, 1: {"u_last": "Bergmann"}}
    found, spare = following.match(changes, sent, [{"u_last": "Berg", "n": 0}], ["u_last"], "")
    assert ({op: row["n"] for op, row in found.items()}, spare) == ({0: 0}, [])


# ── what is lost ────────────────────────────────────────────────────────────────────────────────

LOST = [
    "commit_then_reset",
    "commit_then_status(500)",
    "reset",
    "truncate(20)",
    "status(500)",
    "commit_part(3)_then_reset",
]


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("send", KINDS)
@pytest.mark.covers("NET-08", "NET-09", "NET-11", "NET-12", "NET-31")
def test_a_lost_answer_is_settled_by_the_marker(bench: Bench, send: str, fault: str) -> None:
    """What is there is done, what is absent is sent again, nothing is there twice."""
    table(bench)
    made = plan(bench, *(person(n) for n in range(8)), send=send, **MARKED)
    api = "import_one" if send == "single" else "insert_multiple"
    bench.sandbox.faults(f"api={api}, at={3 if send == 'single' else 1}, times=1, do={fault}")
    settled(bench, bench.apply(made), 8)
    assert staged(bench) == 8


@pytest.mark.parametrize("send", KINDS)
def test_without_a_marker_a_lost_answer_is_unknown_unless_the_target_shows_it(bench: Bench, send: str) -> None:
    """The target is as the row wants it: done. It is not: nobody may send it again."""
    table(bench)
    api = "import_one" if send == "single" else "insert_multiple"
    made = plan(bench, *(person(n) for n in range(3)), send=send)
    bench.sandbox.faults(f"api={api}, at=1, times=1, do=commit_then_reset")
    settled(bench, bench.apply(made), 3)
    made = plan(bench, *(person(n) for n in range(10, 13)), send=send)
    bench.sandbox.faults(f"api={api}, at=1, times=1, do=reset")
    summary = bench.apply(made)
    assert (summary.exit, summary.total("unknown")) == (Exit.UNKNOWN, 1 if send == "single" else 3)
    assert staged(bench) == 3 + (2 if send == "single" else 0)


@pytest.mark.parametrize("send", KINDS)
def test_repeat_safe_rows_are_sent_again(bench: Bench, send: str) -> None:
    """The map finds what is there, so the target has them once."""
    table(bench)
    api = "import_one" if send == "single" else "insert_multiple"
    for number, fault in enumerate(("commit_then_reset", "reset")):
        made = plan(bench, *(person(10 * number + n) for n in range(3)), send=send, repeat_safe="coalesce")
        bench.sandbox.faults(f"api={api}, at=1, times=1, do={fault}")
        assert bench.apply(made).exit is Exit.OK
    assert bench.inserts()["sys_user"] == 6
    table(bench, {"name": "P", "target": "sys_user", "fields": {"first_name": "u_first"}})
    with pytest.raises(SpecError, match="has no coalesce field"):
        plan(bench, person(1), repeat_safe="coalesce")


@pytest.mark.parametrize("send", KINDS)
@pytest.mark.parametrize("fault", ["hang", "commit_then_hang"])
@pytest.mark.covers("NET-08", "NET-09")
def test_no_answer_in_time_is_settled_by_the_marker(bench: Bench, send: str, fault: str) -> None:
    """Before the commit or after it: nothing is lost and nothing is twice."""
    table(bench)
    made = plan(bench, *(person(n) for n in range(3)), send=send, **MARKED)
    api = "import_one" if send == "single" else "insert_multiple"
    bench.sandbox.faults(f"api={api}, at=1, times=1, do={fault}")
    settled(bench, bench.apply(made, seconds=1.0, settle=330, clock=bench.passing()), 3)
    assert staged(bench) == 3


def test_the_mark_of_an_earlier_run_is_not_taken_for_that_of_this_one(bench: Bench) -> None:
    """Operations are numbered anew in every plan; a row that never arrived is sent again all the same."""
    table(bench)
    settled(bench, bench.apply(plan(bench, *(person(n) for n in range(3)), **MARKED)), 3)
    made = plan(bench, *(person(n) for n in range(10, 13)), **MARKED)
    bench.sandbox.faults("api=import_one, at=1, times=1, do=reset")
    summary = bench.apply(made)
    assert (summary.exit, summary.total("applied"), len(people(bench))) == (Exit.OK, 3, 6)


@pytest.mark.covers("NET-10")
def test_a_row_that_arrives_late_is_found(bench: Bench) -> None:
    """The connection breaks, the write takes effect within the settle time."""
    table(bench)
    made = plan(bench, *(person(n) for n in range(3)), **MARKED)
    bench.sandbox.faults("api=import_one, at=2, times=1, do=commit_late(120)")
    summary = bench.apply(made, settle=330, clock=bench.passing())
    bench.later(330)
    settled(bench, summary, 3)
    assert staged(bench) == 3


@pytest.mark.covers("IMP-04")
@pytest.mark.parametrize("word", ["frobnicated"])
def test_a_word_that_is_not_known_is_unknown(bench: Bench, word: str) -> None:
    """Shown as it came."""
    table(bench)
    made = plan(bench, person(1), **MARKED)
    bench.sandbox.faults(f"api=import_one, do=op({word})")
    summary = bench.apply(made)
    assert (summary.exit, summary.total("unknown")) == (Exit.UNKNOWN, 1)
    (outcome,) = bench.outcomes(summary.run).values()
    assert word in outcome.message


@pytest.mark.covers("IMP-08")
def test_an_ignored_row_has_no_id_of_a_target(bench: Bench) -> None:
    """The id in the answer is the staging row's own."""
    scripts = [{"if": "u_last=skip me", "do": "ignore"}]
    table(bench, {"name": "P", "target": "sys_user", "fields": FIELDS, "scripts": scripts})
    summary = bench.apply(plan(bench, person(1, u_last="skip me"), person(2), **MARKED))
    _, (first, second) = zip(*sorted(bench.outcomes(summary.run).items()), strict=True)
    assert (first.operation, first.sys_id) == ("ignored", "")
    assert (second.operation, len(second.sys_id)) == ("inserted", 32)
    assert summary.exit is Exit.OK
