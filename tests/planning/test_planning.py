"""Plans made of the target's own answers, against the real engine of the sandbox."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from syncengine.changes import Find, IfMissing, Link, Pair, Record, StepRef
from syncengine.errors import Place, SpecError
from syncengine.planning.guards import Bound, Bounds
from tests.bench import CONTAINS, DEPENDS, Bench, actions, app, disk, of_action, server, uses


def test_a_first_plan_creates_everything_and_the_next_one_nothing(bench: Bench) -> None:
    made: list[Record | Pair] = [
        *(server(n) for n in range(3)),
        *(disk(n, "sda") for n in range(3)),
        app(1),
        uses(1, 2),
    ]
    plan = bench.plan(*made)
    assert actions(plan) == {"create": 7, "relate": 4}
    assert bench.apply(plan).exit == 0
    again = bench.plan(*made)
    assert actions(again) == {"unchanged": 11}
    assert again.manifest.changes == 0
    assert again.manifest.batches == 0


def test_one_changed_value_is_one_update_with_before_and_after(bench: Bench) -> None:
    bench.sync(*(server(n, os="Debian") for n in range(5)))
    plan = bench.plan(*(server(n, os="Fedora" if n == 3 else "Debian") for n in range(5)))
    (change,) = of_action(plan, "update")
    assert (change.key, change.before, change.values["os"]) == ("S3", {"os": "Debian"}, "Fedora")
    assert actions(plan) == {"update": 1, "unchanged": 4}


def test_one_added_relation_is_one_relate_between_touched_ends(bench: Bench) -> None:
    bench.sync(server(1), app(1))
    plan = bench.plan(server(1), app(1), uses(1, 1))
    assert actions(plan) == {"relate": 1, "touched": 2}
    assert bench.apply(plan).exit == 0
    assert actions(bench.plan(server(1), app(1), uses(1, 1))) == {"unchanged": 3}


def test_a_relation_that_is_gone_from_the_source_is_no_change(bench: Bench) -> None:
    bench.sync(server(1), app(1), uses(1, 1))
    plan = bench.plan(server(1), app(1))
    assert plan.manifest.changes == 0


def test_a_new_dependent_of_an_existing_host_goes_with_the_host_as_an_end(bench: Bench) -> None:
    bench.sync(server(1))
    plan = bench.plan(server(1), disk(1, "sda"))
    assert actions(plan) == {"touched": 1, "create": 1, "relate": 1}
    assert bench.apply(plan).exit == 0
    assert actions(bench.plan(server(1), disk(1, "sda"))) == {"unchanged": 3}


def test_a_changed_dependent_is_found_again_under_its_host(bench: Bench) -> None:
    bench.sync(server(1), disk(1, "sda", short_description="small"))
    plan = bench.plan(server(1), disk(1, "sda", short_description="big"))
    assert actions(plan) == {"update": 1, "unchanged": 2}
    assert bench.apply(plan).exit == 0
    assert bench.plan(server(1), disk(1, "sda", short_description="big")).manifest.changes == 0


@pytest.mark.covers("IRE-10")
def test_a_relation_to_a_record_that_exists_only_on_the_instance(bench: Bench) -> None:
    found = bench.connect().writer.send("/api/now/table/cmdb_ci_service", body={"name": "Payroll"})
    assert found.answer is not None
    made = Pair(
        "s.uses", DEPENDS, StepRef("s.apps", "A1"), Find("cmdb_ci_service", (("name", "Payroll"),)), Place("u", 1, 0)
    )
    plan = bench.plan(app(1), made)
    assert actions(plan) == {"create": 1, "relate": 1, "touched": 1}
    (foreign,) = of_action(plan, "touched")
    assert (foreign.kind, foreign.class_name) == ("end", "cmdb_ci_service")
    assert bench.apply(plan).exit == 0
    assert bench.plan(app(1), made).manifest.changes == 0


def test_an_end_that_is_nowhere_rejects_the_relation_and_nothing_else(bench: Bench) -> None:
    plan = bench.plan(app(1), uses(1, 99))
    (rejected,) = of_action(plan, "rejected")
    assert rejected.code == "missing-endpoint"
    assert "S99" in rejected.message
    assert bench.apply(plan).total("applied") == 1


def test_a_record_that_matches_but_is_not_ours_is_adopted_once(bench: Bench) -> None:
    body = {"name": "srv1", "serial_number": "SN1"}
    bench.connect().writer.send("/api/now/table/cmdb_ci_linux_server", body=body)
    plan = bench.plan(server(1))
    (adopted,) = of_action(plan, "touched")
    assert adopted.reason == "adopted"
    assert plan.manifest.changes == 1
    bench.apply(plan)
    assert bench.plan(server(1)).manifest.changes == 0


def test_a_record_that_another_step_wrote_is_adopted_by_the_one_that_has_its_row_now(bench: Bench) -> None:
    """Guards and vanished count by step: what one step wrote is not yet the other's."""
    moved = server(1)._replace(step="t.servers")
    bench.sync(server(1), server(2))
    plan = bench.plan(server(2), moved)
    assert [(one.step, one.key, one.reason) for one in of_action(plan, "touched")] == [(1, "S1", "adopted")]
    bench.apply(plan)
    assert bench.plan(server(2), moved).manifest.changes == 0


@pytest.mark.covers("IRE-07")
def test_two_keys_of_one_record_are_both_refused(bench: Bench) -> None:
    bench.sync(server(1))
    twin = server(1)._replace(key="OTHER")
    plan = bench.plan(server(1), *(server(n) for n in range(2, 700)), twin)
    rejected = of_action(plan, "rejected")
    assert [(change.key, change.code) for change in rejected] == [
        ("S1", "two-keys-one-record"),
        ("OTHER", "two-keys-one-record"),
    ]
    assert "S1 and OTHER" in rejected[0].message


def test_what_is_new_in_a_record_that_two_keys_claim_is_refused_with_it(bench: Bench) -> None:
    """Its host exists but is not sent, so nothing says where it lives."""
    bench.sync(server(1), disk(1, "sda"))
    twin = server(1)._replace(key="OTHER")
    plan = bench.plan(server(1), disk(1, "sda"), disk(1, "sdb"), *(server(n) for n in range(2, 700)), twin)
    rejected = {change.key: change.code for change in of_action(plan, "rejected") if change.key}
    assert rejected == {"S1": "two-keys-one-record", "OTHER": "two-keys-one-record", "S1|sdb": "host-rejected"}
    assert bench.apply(plan).total("stale") == 0


@pytest.mark.covers("IRE-07")
def test_two_keys_of_one_record_in_one_request_are_refused_by_the_engine_itself(bench: Bench) -> None:
    """Its message names both by their keys: where they stood in a request tells nobody anything."""
    plan = bench.plan(server(3), server(1), server(1)._replace(key="OTHER"))
    rejected = of_action(plan, "rejected")
    assert {change.code for change in rejected} == {"DUPLICATE_PAYLOAD_RECORDS"}
    assert {change.message.partition(", using")[0] for change in rejected} == {
        "Found duplicate items in the payload (S1 and OTHER)"
    }


@pytest.mark.covers("IRE-07")
@pytest.mark.usefixtures("small_batches")
def test_new_records_that_are_equal_on_an_identification_entry_are_refused_across_batches(bench: Bench) -> None:
    same_name = [server(n, name=f"srv{n % 60}") for n in range(61)]
    plan = bench.plan(*same_name)
    assert {change.key for change in of_action(plan, "rejected")} == {"S0", "S60"}


@pytest.mark.usefixtures("small_batches")
def test_two_new_records_whose_names_differ_in_their_case_are_one(bench: Bench) -> None:
    """The instance compares without it, also where they go in different requests."""
    made = [*(server(n) for n in range(60)), server(60, name=" SRV0 ")]
    rejected = {change.key: change.code for change in of_action(bench.plan(*made), "rejected")}
    assert rejected == {"S0": "same-identity", "S60": "same-identity"}


@pytest.mark.usefixtures("small_batches")
def test_a_relation_to_a_record_that_only_the_whole_plan_refuses_is_refused_with_it(bench: Bench) -> None:
    """Its own request would have been taken."""
    made: list[Record | Pair] = [*(server(n) for n in range(60)), server(60, name="srv0"), app(1), uses(1, 0)]
    plan = bench.plan(*made, uses(1, 1))
    rejected = [(change.key, change.code) for change in of_action(plan, "rejected")]
    assert rejected == [("S0", "same-identity"), ("S60", "same-identity"), ("", "end-rejected")]
    assert actions(plan)["relate"] == 1


def test_one_native_key_in_two_steps_is_refused_before_anything_is_asked(bench: Bench) -> None:
    with pytest.raises(SpecError) as caught:
        bench.plan(server(1), app(1)._replace(key="S1"))
    assert caught.value.problems[0].code == "doubled-native-key"


def test_a_column_and_a_class_that_the_instance_lacks_are_all_named_at_once(bench: Bench) -> None:
    with pytest.raises(SpecError) as caught:
        bench.plan(server(1, oss="Debian", serail="x"), app(1)._replace(class_name="cmdb_ci_bussiness_app"))
    problems = caught.value.problems
    assert [problem.code for problem in problems] == ["unknown-field", "unknown-field", "unknown-class"]
    assert 'did you mean "os"?' in problems[0].fix


def test_an_unknown_relation_type_is_refused_with_the_reversed_one(bench: Bench) -> None:
    wrong = uses(1, 1)._replace(type="Used by::Depends on")
    with pytest.raises(SpecError) as caught:
        bench.plan(server(1), app(1), wrong)
    assert DEPENDS in caught.value.problems[0].fix


@pytest.mark.covers("IRE-01")
def test_a_refused_record_takes_what_lives_in_it_and_its_relations_along(bench: Bench) -> None:
    nameless = server(1)._replace(values={"os": "Debian"})
    plan = bench.plan(nameless, disk(1, "sda"), app(1), uses(1, 1))
    codes = {change.key or change.type: change.code for change in of_action(plan, "rejected")}
    assert codes["S1"] == "MISSING_MATCHING_ATTRIBUTES"
    assert set(codes) == {"S1", "S1|sda", CONTAINS, DEPENDS}
    assert bench.apply(plan).total("applied") == 1


def test_a_guard_refuses_the_plan_and_a_waiver_of_exactly_its_count_lets_it_pass(bench: Bench) -> None:
    bounds: dict[str, Bounds] = {"s.servers": {"max_creates": (Bound(number=2, said="2"),)}}
    made: list[Record | Pair] = [server(n) for n in range(3)]
    assert bench.plan(*made, bounds=bounds).manifest.is_refused
    assert bench.plan(*made, bounds=bounds, waivers={"s.servers.creates": 4}).manifest.is_refused
    assert not bench.plan(*made, bounds=bounds, waivers={"servers.creates": 3}).manifest.is_refused


@pytest.mark.covers("SEC-50")
def test_a_third_of_the_owned_records_may_not_change_unasked(bench: Bench) -> None:
    bench.sync(*(server(n, os="a") for n in range(40)))
    plan = bench.plan(*(server(n, os="b") for n in range(40)))
    (guard,) = plan.manifest.guards
    assert (guard.guard, guard.count, guard.limit, guard.state) == ("max_updates", 40, 12, "refused")


@pytest.mark.parametrize(("changed", "state"), [(10, []), (11, ["refused"])])
def test_of_few_records_ten_may_change(bench: Bench, changed: int, state: list[str]) -> None:
    """A third of a handful would refuse what every estate begins with."""
    bench.sync(*(server(n, os="a") for n in range(20)))
    plan = bench.plan(*(server(n, os="b" if n < changed else "a") for n in range(20)))
    assert [guard.state for guard in plan.manifest.guards] == state


@pytest.mark.covers("IRE-03")
def test_a_change_of_class_is_shown_and_refused_by_default(bench: Bench) -> None:
    bench.sync(server(1))
    plan = bench.plan(server(1)._replace(class_name="cmdb_ci_win_server"))
    (change,) = of_action(plan, "reclassify")
    assert (change.was_class, change.class_name) == ("cmdb_ci_linux_server", "cmdb_ci_win_server")
    assert plan.manifest.is_refused


def test_a_unit_beyond_the_limit_of_a_request_is_cut_and_its_host_sent_again(bench: Bench) -> None:
    made: list[Record | Pair] = [server(1), *(disk(1, f"sd{n}") for n in range(1200))]
    plan = bench.plan(*made)
    assert actions(plan) == {"create": 1201, "relate": 1200}
    assert bench.apply(plan).exit == 0
    assert bench.inserts()["cmdb_ci_disk"] == 1200
    assert bench.plan(*made).manifest.changes == 0


def test_a_component_of_two_thousand_joined_records(bench: Bench) -> None:
    servers, apps = [server(n) for n in range(1000)], [app(n) for n in range(1000)]
    chain = [uses(n, n) for n in range(1000)] + [uses(n, n + 1) for n in range(999)]
    plan = bench.plan(*servers, *apps, *chain)
    assert actions(plan) == {"create": 2000, "relate": 1999}
    assert bench.apply(plan).exit == 0
    assert bench.plan(*servers, *apps, *chain).manifest.changes == 0


@pytest.mark.covers("SEC-52")
def test_a_plan_writes_nothing(bench: Bench) -> None:
    bench.sync(server(1), app(1))
    before = len(bench.sandbox.ledger())
    bench.plan(server(1, os="x"), server(2), app(1), uses(1, 2))
    assert len(bench.sandbox.ledger()) == before


def _three_levels() -> list[Record | Pair]:
    found = server(1)._replace(links=(Link(DEPENDS, "child", StepRef("s.apps", "A1"), "s.yaml:7:7"),))
    return [found, *(server(n) for n in range(2, 400)), *(disk(n, "sda") for n in range(1, 400)), app(1), uses(1, 3)]


def test_plans_are_equal_whatever_the_permits_and_the_order_of_answers(bench: Bench) -> None:
    made = _three_levels()
    bench.sync(*made[:200])
    hashes = {bench.plan(*made, permits=permits).seal.plan_hash for permits in (1, 8)}
    bench.sandbox.faults("api=ire_query, every=1, do=reorder", "api=*, rate=0.5, seed=7, do=delay(0..0.05)")
    hashes |= {bench.plan(*made, permits=permits).seal.plan_hash for permits in (8, 8, 3)}
    assert len(hashes) == 1


def test_plans_are_equal_under_another_hash_seed(tmp_path: Path) -> None:
    """The lines hold nothing that depends on the process: hashes of text are salted per process."""
    code = (
        "import sys; from pathlib import Path; from syncengine.sandbox.process import attach\n"
        "from tests.bench import *\n"
        "with attach(Path(sys.argv[1]) / 'box', seeds=[]) as running:\n"
        "    bench = Bench(running, Path(sys.argv[1]))\n"
        "    made = [*(server(n) for n in range(50)), *(disk(n, 'sda') for n in range(50)), app(1), uses(1, 1)]\n"
        "    print(bench.plan(*made).seal.plan_hash)\n"
    )
    root = Path(__file__).parents[2]
    hashes = set()
    for seed in ("1", "4711"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], env=env, capture_output=True, text=True, check=True
        )
        hashes.add(done.stdout.strip())
    assert len(hashes) == 1


def test_a_difference_in_a_quiet_field_is_no_change(bench: Bench) -> None:
    bench.sync(server(1, os="a", short_description="seen at 1"))
    plan = bench.plan(server(1, os="a", short_description="seen at 2"), quiet=("short_description",))
    assert plan.manifest.changes == 0
    both = bench.plan(server(1, os="b", short_description="seen at 2"), quiet=("short_description",))
    (change,) = of_action(both, "update")
    assert change.before == {"os": "a"}
    assert change.values["short_description"] == "seen at 2"


def test_a_step_that_touches_sends_what_stays_as_it_is_without_calling_it_a_change(bench: Bench) -> None:
    bench.sync(server(1))
    plan = bench.plan(server(1), touched=("s.servers",))
    assert actions(plan) == {"touched": 1}
    assert plan.manifest.changes == 0
    assert bench.apply(plan).total("applied") == 1


def test_without_pins_a_dependent_is_found_again_by_the_engines_own_rules(bench: Bench) -> None:
    bench.sync(server(1), disk(1, "sda", short_description="small"))
    plan = bench.plan(server(1), disk(1, "sda", short_description="big"))
    assert bench.apply(plan, pin=False).exit == 0
    assert bench.plan(server(1), disk(1, "sda", short_description="big")).manifest.changes == 0


def located(number: int, place: str, if_missing: IfMissing = "error") -> Record:
    """A server in a place that is looked for on the instance."""
    find = Find("cmn_location", (("name", place),), if_missing=if_missing)
    return server(number)._replace(refs=(("location", find),))


def test_a_field_takes_the_id_of_a_record_found_on_the_instance(bench: Bench) -> None:
    bench.sandbox.seed({"records": {"cmn_location": [{"name": "Paris"}]}}, force=True)
    plan = bench.plan(located(1, "Paris"))
    (created,) = of_action(plan, "create")
    assert len(created.values["location"]) == 32
    assert bench.apply(plan).exit == 0
    assert bench.plan(located(1, "Paris")).manifest.changes == 0


@pytest.mark.covers("SRC-46")
def test_what_a_field_looks_for_and_does_not_find_is_an_error_or_left_out_as_said(bench: Bench) -> None:
    bench.sandbox.seed({"records": {"cmn_location": [{"name": "Lyon"}, {"name": "Lyon"}]}}, force=True)
    plan = bench.plan(located(1, "Nowhere"), located(2, "Nowhere", "omit"), located(3, "Nowhere", "skip_row"))
    (rejected,) = of_action(plan, "rejected")
    assert (rejected.key, rejected.code) == ("S1", "not-found")
    assert "Nowhere" in rejected.message
    (created,) = of_action(plan, "create")
    assert created.key == "S2"
    assert "location" not in created.values
    assert plan.manifest.counts["s.servers"].filtered == 1
    (two,) = of_action(bench.plan(located(1, "Lyon", "omit")), "rejected")
    assert "2 records" in two.message


def test_a_field_refers_to_a_record_that_the_same_plan_makes(bench: Bench) -> None:
    def backed(by: str) -> Record:
        return server(1)._replace(step="s.pairs", key="P1", refs=(("dr_backup", StepRef("s.servers", by)),))

    made = [server(2), backed("S2")]
    plan = bench.plan(*made, waves={"s.pairs": 1})
    assert actions(plan) == {"create": 2}
    assert bench.apply(plan).exit == 0
    assert bench.plan(*made, waves={"s.pairs": 1}).manifest.changes == 0
    other = bench.plan(server(2), server(3), backed("S3"), waves={"s.pairs": 1})
    assert actions(other) == {"create": 1, "unchanged": 1, "update": 1}
    assert bench.apply(other).exit == 0
    assert bench.plan(server(2), server(3), backed("S3"), waves={"s.pairs": 1}).manifest.changes == 0
    lost = bench.plan(server(2), backed("S9"), waves={"s.pairs": 1})
    assert [change.code for change in of_action(lost, "rejected")] == ["missing-endpoint"]


def test_a_plan_with_refused_rows_is_reproducible_too(bench: Bench) -> None:
    made = [server(1), server(1)._replace(key="OTHER"), server(2)._replace(values={"os": "x"}), disk(9, "sda")]
    first = bench.plan(*made)
    bench.sandbox.advance(90)
    second = bench.plan(*made)
    assert {change.code for change in of_action(first, "rejected")} == {
        "DUPLICATE_PAYLOAD_RECORDS",
        "MISSING_MATCHING_ATTRIBUTES",
        "missing-endpoint",
    }
    assert first.seal.plan_hash == second.seal.plan_hash


def test_values_that_are_no_reference_or_no_number_are_told_by_column(bench: Bench) -> None:
    """The engine takes them and answers with a create or an update all the same."""
    made = [
        server(1, owned_by="ann@x.org", operational_status="live"),
        server(2, owned_by="0" * 32, operational_status="1"),
        server(3, owned_by="Bo", ram="64 GB"),
    ]
    notes = bench.plan(*made).manifest.notes
    assert [(note.code, note.message, note.count) for note in notes] == [
        ("no-number", "s.servers: operational_status takes whole numbers; 1 value sent to it is none", 1),
        ("no-reference", "s.servers: owned_by refers to sys_user and takes a sys_id; 2 values sent to it are none", 2),
        ("no-number", "s.servers: ram takes whole numbers; 1 value sent to it is none", 1),
    ]
    assert notes[1].fix == "owned_by: {find_in: sys_user, where: {FIELD: COLUMN}}"


def test_records_that_are_named_by_one_column_are_looked_for_together(bench: Bench) -> None:
    """As exactly as one by one: letter case, several of one value, values that cannot stand in a list, none."""
    names = [f"Place {n}" for n in range(70)] + ["Lyon", "Lyon", "paris", "Oslo, Centre", " Rome"]
    bench.sandbox.seed({"records": {"cmn_location": [{"name": name} for name in names]}}, force=True)
    asked = [*names[:70], "Lyon", "Paris", "Oslo, Centre", "Nowhere", "paris"]
    bench.sandbox.faults("api=table_read, path=cmn_location, do=delay(0)")
    plan = bench.plan(*(located(number, name) for number, name in enumerate(asked)))
    assert len(bench.sandbox.met()) < 10
    bench.sandbox.clear_faults()
    codes = {asked[int(change.key[1:])]: change.code for change in of_action(plan, "rejected")}
    assert codes == {"Lyon": "several-found", "Paris": "not-found", "Nowhere": "not-found"}
    found = {change.values["location"] for change in of_action(plan, "create")}
    assert len(found) == 72
