"""Limits of a spec and of its environment hold side by side: the tighter one counts, whichever that is."""

from __future__ import annotations

import pytest

from syncengine.errors import Exit
from syncengine.planning.plan import Manifest
from tests.inside import ESTATE, Inside


@pytest.mark.parametrize(
    ("spec", "environment", "limit"),
    [
        ("max_updates: 4", "max_updates: 50%", 4),
        ("max_updates: 50%", "max_updates: 4", 4),
        ("max_updates: 30", "max_updates: 25%", 10),
        ("max_updates: 25%", "max_updates: 30%", 10),
        ("max_updates: 9", "max_updates: 3", 3),
        ("min_rows: 10", "min_rows: 50", 50),
        ("min_rows: 50", "min_rows: 10", 50),
    ],
)
def test_the_tighter_of_two_limits_counts(inside: Inside, spec: str, environment: str, limit: int) -> None:
    """Forty records of ours, of which twelve change; a share of them is at least ten."""
    inside.estate(40)
    inside.run("sync", "--env", "dev", "--yes").ends()
    inside.estate(40, os_name="Ubuntu")
    lines = (inside.folder / "specs" / "servers.csv").read_text().splitlines()
    inside.source("servers", *(line if n < 13 else line.replace("Ubuntu", "Debian") for n, line in enumerate(lines)))
    inside.spec(f"{ESTATE}guards: {{{spec}}}\n")
    inside.dial(inside.sandbox.url, more=f"guards: {{{environment}}}\n")
    said = inside.run("plan", "--env", "dev", "-o", "p").ends(Exit.UNSAFE).err
    assert (f"the limit is {limit}" in said) or (f"at least {limit} are wanted" in said), said


@pytest.mark.parametrize(
    ("number", "percent", "sent", "allowed"),
    [
        (None, None, 100, 20),
        (None, None, 900, 90),
        (5, None, 900, 5),
        (None, 1.0, 9000, 90),
        (50, 10.0, 900, 50),
        (50, 10.0, 100, 20),
    ],
)
def test_refused_rows_are_allowed_by_number_and_by_share(
    number: int | None, percent: float | None, sent: int, allowed: int
) -> None:
    assert Manifest(max_errors=number, max_errors_percent=percent).errors_allowed(sent) == allowed
