"""A part of a plan: whatever is asked for, it is a part of the whole plan and can be applied alone."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncengine.changes import Change, Pair, Record
from syncengine.planning.plan_file import PlanFile
from syncengine.planning.selection import Selection, Wanted
from tests.bench import Bench, app, disk, server, uses

SERVERS, APPS = range(4), range(3)
relations = st.sets(st.tuples(st.sampled_from(APPS), st.sampled_from(SERVERS)), min_size=1, max_size=6)


def estate(related: set[tuple[int, int]]) -> list[Record | Pair]:
    """Servers with two disks each, applications, and which of them use which servers."""
    disks = [disk(number, name) for number in SERVERS for name in ("sda", "sdb")]
    return [*map(server, SERVERS), *disks, *map(app, APPS), *(uses(*pair) for pair in sorted(related))]


def named(plan: PlanFile) -> set[tuple[str, str, str]]:
    """What a plan does: action, step and name of each operation that is sent."""
    steps = plan.header.steps
    return {(one.action, steps[one.step].name, _name(one)) for one in plan.changes() if one.is_sent}


def _name(change: Change) -> str:
    return " → ".join(end.key for end in change.pair) if change.kind == "relation" else change.key


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data(), related=relations, limit=st.none() | st.integers(1, 3), before=st.booleans())
def test_a_part_is_a_part_of_the_whole_and_can_be_applied_alone(
    bench: Bench, data: st.DataObject, related: set[tuple[int, int]], limit: int | None, before: bool
) -> None:
    """Nothing of it is refused or waits for what was not asked for; the rest is the rest of the whole plan."""
    bench.sandbox.reset()
    made = estate(related)
    if before:
        bench.sync(*made[:2])
    keys = {one.key: one.step for one in made if isinstance(one, Record)}
    wanted: dict[str, Wanted] = {}
    if limit is not None:
        wanted = {step: Wanted(everything=True) for step in ("s.servers", "s.disks", "s.apps", "s.uses")}
    else:
        for key in data.draw(st.sets(st.sampled_from(sorted(keys)), min_size=1, max_size=4)):
            of = wanted.get(keys[key], Wanted())
            wanted[keys[key]] = Wanted(keys={**of.keys, key: None})
    whole = named(bench.plan(*made))
    part = bench.plan(*made, selection=Selection(("a part",), wanted, limit))
    assert named(part) <= whole
    asked = {(keys[key], key) for step in wanted.values() for key in step.keys}
    assert asked <= {(step, key) for _, step, key in named(part)} | {("s.servers", f"S{n}") for n in (0, 1) if before}
    summary = bench.apply(part)
    assert summary.exit == 0
    assert summary.total("applied") == len(named(part))
    left = bench.plan(*made)
    assert named(left) == whole - named(part)
    assert bench.apply(left).exit == 0
    assert named(bench.plan(*made)) == set()
