"""A box on the way repeats a request: what it doubled is seen by looking, and told with its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncengine.errors import Exit
from syncengine.execution.summary import Summary
from tests.bench import Bench, app, server, uses
from tests.middle_box import between
from tests.targets import test_attach
from tests.targets.rows import TABLE, person, step, table


def doubled(summary: Summary, key: str) -> None:
    """It is told, with its key, and is no success without a word."""
    assert summary.exit is Exit.PARTIAL, summary
    assert summary.problem is not None
    assert (summary.problem.code, key in summary.problem.found) == ("delivered-twice", True)
    assert summary.total("unknown") == 0


@pytest.mark.covers("NET-45")
@pytest.mark.parametrize("send", ["single", "multiple"])
def test_a_staging_row_that_arrived_twice_is_told_with_its_key(bench: Bench, send: str) -> None:
    table(bench)
    with between(bench.sandbox, "/api/now/import/", swallows=True) as box:
        behind = Bench(box.running, bench.place / "behind")
        made = behind.plan(person(1), steps={"s.people": step(send=send, marker="u_mark")})
        summary = behind.apply(made)
        behind.close()
    assert box.repeated == 1
    assert bench.sandbox.counts()["stage"] == {TABLE: 2}
    assert bench.inserts()["sys_user"] == 1
    doubled(summary, "P1")


@pytest.mark.covers("NET-45")
def test_a_file_that_arrived_twice_is_told_with_its_key(bench: Bench) -> None:
    table(bench)
    with between(bench.sandbox, "/api/now/attachment/", swallows=True) as box:
        behind = Bench(box.running, Path(bench.place))
        summary = behind.apply(test_attach.plan(behind, person(1), test_attach.file(behind, "a.txt")))
        behind.close()
    assert (box.repeated, len(test_attach.there(bench))) == (1, 2)
    doubled(summary, "P1|a.txt")


@pytest.mark.covers("NET-45")
def test_the_engine_takes_the_second_delivery_for_what_it_is(bench: Bench) -> None:
    """It finds what the first one made. Its answer says update where the plan said create: that is told as drift."""
    with between(bench.sandbox, "/api/now/identifyreconcile/enhanced") as box:
        behind = Bench(box.running, bench.place / "behind")
        summary = behind.apply(behind.plan(server(1), app(1), uses(1, 1)))
        behind.close()
    assert box.repeated
    assert (summary.exit, summary.total("unknown")) == (Exit.STALE, 0)
    assert bench.inserts()["cmdb_ci_linux_server"] == 1
    assert sum(bench.sandbox.counts()["relate"].values()) <= 1
