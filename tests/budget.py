"""How much a property is tried: a sample by default, all of it with --long."""

from __future__ import annotations

import os

LONG = "TESTS_ARE_LONG"
"""In the environment of a run with --long; the processes among which tests are spread inherit it."""
SHARE = 4
LEAST = 5


def is_long() -> bool:
    """Whether the full sweeps were asked for."""
    return LONG in os.environ


def examples(number: int) -> int:
    """This many examples with --long, else a quarter of them."""
    return number if is_long() else max(LEAST, number // SHARE)
