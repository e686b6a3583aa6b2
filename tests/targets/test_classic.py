"""The plain pair of calls, which do all of a request or nothing: against the real engine of the sandbox."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from msgspec.structs import replace

from syncengine.changes import Batch, Pair, Part, Record
from syncengine.errors import Exit
from syncengine.execution.summary import Summary
from syncengine.pipeline import Connected
from syncengine.planning.plan_file import PlanFile
from syncengine.sandbox.process import Running
from tests.bench import Bench, actions, app, disk, of_action, serial, server, uses
from tests.project import Project

Made = list[Record | Pair]


class ClassicBench(Bench):
    """A workbench whose instance has the plain pair only."""

    dialect = "classic"

    def connect(self, *args: Any, **how: Any) -> Connected:
        """A connection that calls the plain pair."""
        made = super().connect(*args, **how)
        return replace(made, manner=replace(made.manner, dialect=self.dialect))


@pytest.fixture(params=["named", "unnamed", "older"])
def classic(request: pytest.FixtureRequest, sandbox: Running, tmp_path: Path) -> Iterator[ClassicBench]:
    """A bench on an instance that names what was bad, on one that does not, and on one with older answers."""
    sandbox.settings(
        calls__enhanced_pair=False,
        answer__plain_names=request.param != "unnamed",
        answer__style="older" if request.param == "older" else "newer",
        answer__collateral_errors=request.param != "older",
    )
    made = ClassicBench(sandbox, tmp_path)
    yield made
    made.close()


pytestmark = pytest.mark.usefixtures("small_batches")


def nameless(number: int) -> Record:
    """A server that fills no identification entry."""
    return server(number)._replace(values={"os": "Debian"})


def accounted(plan: PlanFile, summary: Summary) -> bool:
    """Every operation that the plan sends, and every one it rejects, has exactly one outcome."""
    wanted = sum(change.is_sent or change.action == "rejected" for change in plan.changes())
    return summary.operations == wanted


def only_once(bench: Bench) -> bool:
    """No key was inserted or related twice."""
    keys = [entry["key"] for kind in ("insert", "relate") for entry in bench.sandbox.ledger(kind=kind)]
    return len(keys) == len(set(keys))


def lines(plan: PlanFile) -> list[dict[str, Any]]:
    """The operations of a plan; what names one single answer (its trace, a new item's text) is left out."""
    found = [structs.asdict(change) for change in plan.changes()]
    for one in found:
        one["message"] = re.sub(r" \(log context \w+\)|\"ire_received_time\":\"[^\"]*\"", "", one["message"])
    return found


def batches(plan: PlanFile) -> list[Batch]:
    """What each request of a plan carries."""
    return [one for one in plan.read() if isinstance(one, Batch)]


def test_a_plan_is_done_and_the_next_one_is_empty(classic: ClassicBench) -> None:
    made: Made = [*(server(n) for n in range(3)), *(disk(n, "sda") for n in range(3)), app(1), uses(1, 2)]
    plan = classic.plan(*made)
    assert actions(plan) == {"create": 7, "relate": 4}
    summary = classic.apply(plan)
    assert (summary.exit, summary.total("applied")) == (Exit.OK, 11)
    assert accounted(plan, summary)
    assert actions(classic.plan(*made)) == {"unchanged": 11}


@pytest.mark.covers("IRE-05", "IRE-10")
def test_bad_rows_in_the_middle_reject_neither_the_previews_nor_the_writes_of_the_others(classic: ClassicBench) -> None:
    made: Made = [*(nameless(n) if n in (7, 23, 24) else server(n) for n in range(60))]
    made += [*(disk(n, name) for n in range(60) for name in ("sda", "sdb")), app(1), uses(1, 7), uses(1, 8)]
    plan = classic.plan(*made)
    rejected = {change.key for change in of_action(plan, "rejected") if change.key}
    assert rejected == {f"S{n}{rest}" for n in (7, 23, 24) for rest in ("", "|sda", "|sdb")}
    assert actions(plan) == {"create": 57 * 3 + 1, "relate": 57 * 2 + 1, "rejected": 3 * 5 + 1}
    summary = classic.apply(plan)
    assert summary.total("applied") == 57 * 5 + 2
    assert accounted(plan, summary)
    assert only_once(classic)
    assert classic.plan(*made).manifest.changes == 0


def test_one_bad_dependent_leaves_its_host_and_its_siblings_alone(classic: ClassicBench) -> None:
    bad = disk(1, "sdc")._replace(values={"short_description": "no name"})
    made: Made = [server(1), disk(1, "sda"), disk(1, "sdb"), bad, disk(1, "sdd")]
    plan = classic.plan(*made)
    assert {change.key for change in of_action(plan, "rejected")} == {"S1|sdc", ""}
    assert actions(plan) == {"create": 4, "relate": 3, "rejected": 2}
    assert classic.apply(plan).total("applied") == 7
    assert classic.plan(*made).manifest.changes == 0


@pytest.mark.covers("IRE-14")
def test_rows_that_only_the_commit_refuses_are_told_one_by_one_and_the_good_ones_are_written(
    classic: ClassicBench,
) -> None:
    made: Made = [*(server(n) for n in range(30)), *(disk(n, "sda") for n in range(30)), app(1), uses(1, 4)]
    plan = classic.plan(*made)
    rule = {"discovery_source": "ImportSet", "applies_to": "cmdb_ci_business_app"}
    classic.sandbox.seed({"records": {"cmdb_ire_data_source_rule": [rule]}})
    summary = classic.apply(plan, stale_check=False)
    assert summary.exit == Exit.PARTIAL
    assert (summary.total("rejected"), summary.total("not_sent")) == (1, 1)
    assert summary.total("applied") == 90
    assert accounted(plan, summary)
    assert only_once(classic)


def test_a_host_that_only_the_commit_refuses_takes_what_lives_in_it_along_and_nothing_else(
    classic: ClassicBench,
) -> None:
    made: Made = [*(server(n) for n in range(8)), *(disk(n, name) for n in range(8) for name in ("sda", "sdb"))]
    made[3] = server(3)._replace(class_name="cmdb_ci_win_server")
    plan = classic.plan(*made)
    rule = {"discovery_source": "ImportSet", "applies_to": "cmdb_ci_win_server"}
    classic.sandbox.seed({"records": {"cmdb_ire_data_source_rule": [rule]}})
    summary = classic.apply(plan, stale_check=False)
    assert summary.total("applied") == 7 * 5
    assert summary.total("rejected") + summary.total("not_sent") == 5
    assert accounted(plan, summary)
    assert classic.inserts() == {"cmdb_ci_linux_server": 7, "cmdb_ci_disk": 14}


LOST = [
    "api=ire, at=1, do=commit_then_reset",
    "api=ire, at=1, do=reset",
    "api=ire, at=2, do=commit_then_status(500)",
    "api=ire, at=2, do=status(500)",
    "api=ire, at=1, do=truncate(100)",
    "api=ire, at=1, do=reorder",
]


@pytest.mark.covers("NET-06", "NET-12", "NET-30", "NET-31", "IRE-12")
@pytest.mark.parametrize("fault", LOST)
def test_a_lost_answer_is_settled_by_looking_also_beside_a_bad_row(classic: ClassicBench, fault: str) -> None:
    made: Made = [*(nameless(n) if n == 30 else server(n) for n in range(60))]
    made += [*(disk(n, "sda") for n in range(0, 60, 3)), app(1), uses(1, 1)]
    plan = classic.plan(*made)
    classic.sandbox.faults(fault)
    summary = classic.apply(plan)
    assert classic.sandbox.met(), "the fault was never met"
    classic.sandbox.clear_faults()
    assert summary.exit == Exit.PARTIAL, summary.problem
    assert accounted(plan, summary)
    assert (summary.total("rejected"), summary.total("unknown")) == (3, 0)
    assert only_once(classic)
    assert classic.plan(*made).manifest.changes == 0


def test_a_record_that_vanished_stops_only_its_own(classic: ClassicBench) -> None:
    classic.sync(*(server(n, os="a") for n in range(9)))
    plan = classic.plan(*(server(n, os="b" if n < 3 else "a") for n in range(9)))
    gone = of_action(plan, "update")[1]
    path = f"/api/now/table/cmdb_ci_linux_server/{gone.sys_id}"
    classic.connect().writer.send(path, method="DELETE", expect="nothing")
    summary = classic.apply(plan, stale_check=False)
    assert (summary.total("applied"), summary.total("rejected")) == (2, 1)
    assert classic.inserts()["cmdb_ci_linux_server"] == 9


def test_both_dialects_give_one_plan(classic: ClassicBench) -> None:
    some: Made = [*(server(n, os="a")._replace(lookup=(serial(n),)) for n in range(20)), disk(3, "sda"), app(1)]
    classic.sync(*some)
    made: Made = [*(server(n, os="b" if n in (2, 5) else "a")._replace(lookup=(serial(n),)) for n in range(25))]
    made[4] = made[4]._replace(lookup=(serial(4), serial(1004)))  # type: ignore[call-arg]
    made += [disk(3, "sda"), disk(3, "sdb"), disk(24, "sda"), app(1), uses(1, 2), uses(1, 24), nameless(31)]
    made += [disk(31, "sda"), uses(1, 31)]
    plan = classic.plan(*made)
    classic.dialect = "enhanced"
    classic.sandbox.settings(calls__enhanced_pair=True, answer__style="newer")
    other = classic.plan(*made)
    assert [(one["op"], one["action"], one["key"]) for one in lines(plan)] == [
        (one["op"], one["action"], one["key"]) for one in lines(other)
    ]
    if classic.sandbox.settings()["answer.plain_names"]["value"]:
        assert lines(plan) == lines(other)
        assert (batches(plan), plan.manifest) == (batches(other), other.manifest)


def test_a_new_lookup_row_of_a_record_that_stays_as_it_is_is_seen(classic: ClassicBench) -> None:
    one = server(1)._replace(lookup=(serial(1),))
    classic.sync(one)
    assert classic.plan(one).manifest.changes == 0
    two = one._replace(lookup=(serial(1), Part("cmdb_serial_number", {**serial(2).values})))
    plan = classic.plan(two)
    (change,) = of_action(plan, "update")
    assert (change.reason, change.parts) == ("parts", ("NO_CHANGE", "INSERT"))
    assert classic.apply(plan).exit == Exit.OK
    assert classic.plan(two).manifest.changes == 0


def _estate(seed: int, *, twins: bool) -> Made:
    """Servers with disks, applications on them; some of each without what identifies them, some that are one record."""
    chance = random.Random(seed)
    made: Made = []
    for number in range(chance.randint(5, 40)):
        bad = chance.random() < 0.15
        made.append(nameless(number) if bad else server(number, os=chance.choice("ab")))
        for name in ("sda", "sdb", "sdc")[: chance.randint(0, 3)]:
            one = disk(number, name)
            made.append(one._replace(values={"short_description": "x"}) if chance.random() < 0.15 else one)
    if twins:
        made.append(server(3)._replace(key="TWIN", values={"name": "srv3", "serial_number": "SN3"}))
    made += [app(number) for number in range(5)]
    made += [uses(number, chance.randint(0, 40)) for number in range(5)]
    return made


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(one, marks=pytest.mark.long) for one in (2, 3, 4))])
def test_both_dialects_do_the_same_with_any_estate(classic: ClassicBench, seed: int) -> None:
    """The same actions planned, the same outcomes, the same records made.

    Twins are left out where halving tells them apart: the instance takes each alone, so only the plan refuses them.
    """
    twins = bool(classic.sandbox.settings()["answer.plain_names"]["value"])
    found = []
    for dialect in ("classic", "enhanced"):
        classic.dialect = dialect
        classic.sandbox.reset()
        classic.sandbox.settings(calls__enhanced_pair=dialect == "enhanced")
        seen: list[object] = []
        for made in (_estate(seed, twins=twins)[::2], _estate(seed, twins=twins)):
            plan = classic.plan(*made)
            summary = classic.apply(plan)
            assert accounted(plan, summary)
            assert only_once(classic)
            assert classic.plan(*made).manifest.changes == 0
            seen += [[(change.op, change.action) for change in plan.changes()], summary.steps]
        found.append([*seen, classic.inserts()])
    assert found[0] == found[1]


def test_an_environment_says_the_dialect_and_the_command_line_obeys(sandbox: Running, tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.fill(30)
    project.source("disks", "serial,device", *(f"S{n},sda" for n in range(30)), "S7,sdb")
    (project.folder / "environments").mkdir()
    sandbox.settings(calls__enhanced_pair=False)
    for name, more in (("new", ""), ("old", "dialect: classic")):
        said = "{user: admin, password: {env: TEST_PASSWORD}}"
        (project.folder / "environments" / f"{name}.yaml").write_text(
            f"syncengine: 1\nkind: environment\nconnections:\n  servicenow:\n    kind: servicenow\n"
            f"    url: {sandbox.url}\n    settle: 1s\n    auth: {said}\n    {more}\n"
        )
    env = {"TEST_PASSWORD": sandbox.password}
    project.run("plan", "--env", "new", env=env).ends(Exit.REMOTE)
    project.run("sync", "--env", "old", "--yes", env=env).ends()
    again = project.run("plan", "--env", "old", "--detailed-exitcode", env=env)
    assert (again.code, "nothing to do" in again.out) == (Exit.OK, True)
    assert sandbox.counts()["insert"]["cmdb_ci_disk"] == 31


@pytest.mark.covers("IRE-09")
def test_what_another_writer_holds_takes_the_others_along_only_until_it_lets_go(classic: ClassicBench) -> None:
    """One that holds a record for two tries, then one that never ends."""
    made: Made = [*(server(n) for n in range(30)), disk(1, "sda"), app(1), uses(1, 1)]
    plan = classic.plan(*made)
    classic.sandbox.faults("api=ire, key=SN1, times=2, do=code(LOCK_TIMEOUT)")
    summary = classic.apply(plan, settle=0.05)
    assert len(classic.sandbox.met()) == 2
    classic.sandbox.clear_faults()
    assert (summary.exit, summary.total("applied")) == (Exit.OK, len(made) + 1)
    assert classic.plan(*made).manifest.changes == 0
    lasting = classic.plan(server(100), server(101))
    classic.sandbox.faults("api=ire, every=1, key=SN100, do=code(LOCK_TIMEOUT)")
    summary = classic.apply(lasting, settle=0.05)
    classic.sandbox.clear_faults()
    assert (summary.exit, summary.total("rejected") + summary.total("applied")) == (Exit.PARTIAL, 2)
    assert summary.total("rejected") >= 1
