"""Every error code of the engine and every pitfall that it has been seen with: what the product says and does."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from syncengine.changes import Pair, Record
from syncengine.errors import Exit, SyncError
from syncengine.transport.identification import ADVICE
from syncengine.transport.identification import PASSING as LOCKS
from tests.bench import Bench, app, of_action, server, uses

CODES = sorted(name for name in ADVICE if name.isupper() and name not in LOCKS)


@pytest.mark.covers("IRE-06")
@pytest.mark.parametrize("code", [*CODES, "A_CODE_OF_TOMORROW"])
def test_a_refused_item_is_told_with_its_code_the_targets_words_and_what_to_do(bench: Bench, code: str) -> None:
    plan = bench.plan(server(1), server(2), app(1), uses(1, 1))
    bench.sandbox.faults(f"api=ire, at=1, key=SN1, do=code({code})")
    summary = bench.apply(plan)
    assert summary.exit in (Exit.PARTIAL, Exit.OK), summary.problem
    assert summary.operations == 4
    with Path(summary.rejects).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    refused = [row for row in rows if row["code"] == code]
    assert refused
    assert all(row["message"] for row in refused)
    if code in ADVICE:
        assert all(row["advice"] == ADVICE[code] for row in refused)
    assert summary.total("applied") + len(rows) == 4
    assert summary.total("unknown") == 0


@pytest.mark.parametrize("code", ["MULTI_MATCH", "LOCK_TIMEOUT", "RECLASSIFICATION_NOT_ALLOWED"])
def test_what_the_dry_run_refuses_stands_in_the_plan_and_is_not_sent(bench: Bench, code: str) -> None:
    bench.sandbox.faults(f"api=ire_query, every=1, key=SN1, do=code({code})")
    plan = bench.plan(server(1), app(1))
    bench.sandbox.clear_faults()
    assert code in {change.code for change in of_action(plan, "rejected")}
    bench.apply(plan)
    assert "cmdb_ci_linux_server" not in bench.inserts()


PASSING = {
    4: "api=*, every=4, do=drop202",
    6: "api=table_read, at=1, do=truncate(40)",
    8: "api=ire_query, every=1, do=reorder",
    16: "api=ire, at=1, do=commit_then_reset",
    17: "api=*, at=3, do=unauthorized",
    20: "api=*, at=2, times=2, do=status(429), retry_after=0",
}
"""Pitfalls that a run has to get over by itself, by the number they are known under."""


@pytest.mark.covers("NET-26", "NET-36")
@pytest.mark.parametrize("pitfall", PASSING)
def test_a_pitfall_that_passes_is_got_over(bench: Bench, pitfall: int) -> None:
    made: list[Record | Pair] = [*(server(n) for n in range(20)), app(1), uses(1, 1)]
    bench.sandbox.faults(PASSING[pitfall])
    summary = bench.apply(bench.plan(*made))
    bench.sandbox.clear_faults()
    assert summary.exit is Exit.OK, summary.problem
    assert bench.inserts()["cmdb_ci_linux_server"] == 20
    assert bench.plan(*made).manifest.changes == 0


TELLING = {
    5: ("api=*, every=1, do=hibernate", "wake the instance"),
    14: ("api=ire_query, every=1, do=code(INVALID_INPUT_DATA)", "INVALID_INPUT_DATA"),
    22: ("api=ire_query, every=1, do=op(INSERT_AS_PARTIAL)", "parked"),
}
"""Pitfalls that only a person can end: what must be said."""


@pytest.mark.covers("NET-34", "IRE-02")
@pytest.mark.parametrize("pitfall", TELLING)
def test_a_pitfall_that_lasts_is_told_and_nothing_is_written(bench: Bench, pitfall: int) -> None:
    fault, words = TELLING[pitfall]
    bench.sandbox.faults(fault)
    try:
        plan = bench.plan(server(1))
        said = " ".join(f"{change.code} {change.message}" for change in of_action(plan, "rejected"))
    except SyncError as error:
        said = " ".join(f"{one.message} {one.found} {one.fix}" for one in error.problems)
    bench.sandbox.clear_faults()
    assert words in said
    assert bench.inserts() == {}
