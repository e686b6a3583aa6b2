"""Random estates, random drift, random faults: plan and apply always end where the specs want the target to be."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncengine.changes import Batch, Change, Pair, Record
from syncengine.planning.plan_file import PlanFile
from tests.bench import Bench, app, disk, server, uses
from tests.budget import is_long

numbers = st.integers(0, 6)
systems = st.sampled_from(["Debian", "Fedora", "SUSE"])


@st.composite
def estates(draw: st.DrawFn) -> list[Record | Pair]:
    """Servers with disks, applications, and who uses whom; ends may be missing."""
    hosts = draw(st.dictionaries(numbers, systems, max_size=6))
    disks = draw(st.sets(st.tuples(numbers, st.sampled_from(["sda", "sdb"])), max_size=6))
    apps = draw(st.sets(numbers, max_size=4))
    links = draw(st.sets(st.tuples(numbers, numbers), max_size=6))
    made: list[Record | Pair] = [server(n, os=os) for n, os in sorted(hosts.items())]
    made += [disk(n, name) for n, name in sorted(disks) if n in hosts]
    made += [app(n) for n in sorted(apps)]
    made += [uses(a, n) for a, n in sorted(links)]
    return made


FAULTS = (
    "api=ire, rate=0.3, seed={seed}, do=commit_then_reset",
    "api=ire, rate=0.3, seed={seed}, do=reset",
    "api=ire_query, rate=0.3, seed={seed}, do=status(502)",
    "api=*, every=2, do=reorder",
)

relaxed = settings(
    max_examples=300 if is_long() else 8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def batched(plan: PlanFile) -> None:
    """Batches together are exactly the operations that are sent: none twice, none too large, waves in order."""
    changes = {change.op: change for change in plan.changes()}
    batches = [line for line in plan.read() if isinstance(line, Batch)]
    sent = [op for batch in batches for op in batch.ops]
    assert len(sent) == len(set(sent))
    assert set(sent) == {op for op, change in changes.items() if change.is_sent}
    assert [batch.wave for batch in batches] == sorted(batch.wave for batch in batches)
    wave_of = {op: batch.wave for batch in batches for op in batch.ops}
    for batch in batches:
        assert len(batch.items) + len(batch.ends) <= 500
        for op in batch.relations:
            for end in changes[op].pair:
                made_here = end.op in batch.items
                assert made_here or end.sys_id or wave_of[end.op] < batch.wave


def wanted(change: Change) -> bool:
    """Whether an operation can be done at all."""
    return change.action != "rejected"


@relaxed
@given(states=st.lists(estates(), min_size=1, max_size=3))
def test_after_any_sequence_of_estates_the_next_plan_is_empty(bench: Bench, states: list[list[Record | Pair]]) -> None:
    bench.sandbox.reset()
    for made in states:
        if not made:
            continue
        plan = bench.plan(*made)
        batched(plan)
        summary = bench.apply(plan)
        assert summary.operations == sum(1 for change in plan.changes() if change.is_sent or not wanted(change))
        again = bench.plan(*made)
        assert again.manifest.changes == 0
        assert bench.plan(*made).seal.plan_hash == again.seal.plan_hash


@pytest.mark.covers("NET-47")
@relaxed
@given(made=estates(), seed=st.integers(0, 10_000), fault=st.sampled_from(FAULTS))
def test_under_random_faults_nothing_is_lost_or_written_twice(
    bench: Bench, made: list[Record | Pair], seed: int, fault: str
) -> None:
    bench.sandbox.clear_faults()
    bench.sandbox.reset()
    if not made:
        return
    plan = bench.plan(*made)
    bench.sandbox.faults(fault.format(seed=seed))
    summary = bench.apply(plan, settle=0.05)
    for _ in range(3):
        if not (summary.total("unknown") or summary.total("not_sent")):
            break
        bench.sandbox.clear_faults()
        summary = bench.resume(summary.run, plan, settle=0.05)
    bench.sandbox.clear_faults()
    written = [entry for entry in bench.sandbox.ledger() if entry["kind"] in ("insert", "relate")]
    keys = [entry["key"] for entry in written if entry.get("key")]
    assert len(keys) == len(set(keys))
    assert summary.operations == sum(1 for change in plan.changes() if change.is_sent or not wanted(change))
    assert summary.total("applied") == sum(1 for change in plan.changes() if change.is_sent)
    assert bench.plan(*made).manifest.changes == 0
