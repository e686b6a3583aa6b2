"""A server that takes its time is waited for: below the deadline nothing is taken for lost."""

from __future__ import annotations

import pytest

from syncengine.changes import Pair, Record
from syncengine.errors import Exit
from tests.bench import Bench, app, server, uses


@pytest.mark.covers("NET-48")
@pytest.mark.parametrize("fault", ["do=delay(0.3)", "do=drip(15000B/s)"])
def test_calls_below_the_deadline_are_no_timeouts_however_many_there_are(bench: Bench, fault: str) -> None:
    """Slow to begin, or slow to end."""
    made: list[Record | Pair] = [*(server(n) for n in range(4)), app(1), uses(1, 1)]
    plan = bench.plan(*made)
    bench.sandbox.faults(f"api=*, every=1, {fault}")
    summary = bench.apply(plan, seconds=20)
    assert len(bench.sandbox.met()) >= 3
    bench.sandbox.clear_faults()
    assert summary.exit is Exit.OK, summary.problem
    assert (summary.retries, summary.total("applied")) == (0, 6)
    assert summary.seconds > 0.6
    assert bench.inserts()["cmdb_ci_linux_server"] == 4
