"""Random rows and files, random faults: every run and its resumes end with each row and file there exactly once."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncengine.changes import StepRef
from syncengine.errors import Exit
from tests.bench import Bench, actions
from tests.budget import is_long
from tests.targets.rows import people, person, table
from tests.targets.test_attach import file
from tests.targets.test_attach import plan as plan_of

FAULTS = (
    "api=import_one, rate=0.25, seed={seed}, do=commit_then_reset",
    "api=import_one, rate=0.25, seed={seed}, do=reset",
    "api=insert_multiple, rate=0.3, seed={seed}, do=commit_part(2)_then_reset",
    "api=insert_multiple, rate=0.3, seed={seed}, do=commit_then_status(500)",
    "api=insert_multiple, rate=0.3, seed={seed}, do=truncate(10)",
    "api=attach_upload, rate=0.3, seed={seed}, do=commit_then_reset",
    "api=attach_upload, rate=0.3, seed={seed}, do=status(502)",
    "api=attach_list, rate=0.2, seed={seed}, do=status(502)",
    "api=staging_read, rate=0.2, seed={seed}, do=status(502)",
    "api=staging_read, rate=0.2, seed={seed}, do=truncate(30)",
)

relaxed = settings(
    max_examples=150 if is_long() else 6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.timeout(900)
@pytest.mark.covers("NET-47")
@given(
    numbers=st.sets(st.integers(0, 8), min_size=1, max_size=6),
    files=st.sets(st.integers(0, 8), max_size=4),
    faults=st.sets(st.sampled_from(FAULTS), min_size=1, max_size=3),
    seed=st.integers(1, 10_000),
    many=st.booleans(),
)
@relaxed
def test_each_row_and_file_is_there_once(
    bench: Bench, numbers: set[int], files: set[int], faults: set[str], seed: int, many: bool
) -> None:
    """Nothing is lost, nothing is twice, nothing is invented, and the next plan has nothing to do."""
    bench.sandbox.clear_faults()
    bench.sandbox.reset()
    table(bench)
    rows = [person(n) for n in sorted(numbers)]
    papers = [file(bench, f"{n}.txt", f"{n}".encode(), to=person_of(n)) for n in sorted(files & numbers)]
    made = plan_of(bench, *rows, *papers, send="multiple" if many else "single")
    bench.sandbox.faults(*(one.format(seed=seed) for one in sorted(faults)))
    summary = bench.apply(made, settle=0.05)
    for _ in range(3):
        assert summary.operations == len(rows) + len(papers)
        if summary.exit is Exit.OK:
            break
        bench.sandbox.clear_faults()
        summary = bench.resume(summary.run, made, settle=0.05)
    bench.sandbox.clear_faults()
    assert summary.exit is Exit.OK, summary
    counts = bench.sandbox.counts()
    assert sum(counts["stage"].values()) == counts["insert"]["sys_user"] == len(people(bench)) == len(rows)
    assert sum(counts.get("attach", {}).values()) == len(papers)
    again = plan_of(bench, *rows, *papers, send="multiple" if many else "single")
    assert actions(again) == {"unchanged": len(rows) + len(papers)}


def person_of(number: int) -> StepRef:
    """The person of a number."""
    return StepRef("s.people", f"P{number}")
