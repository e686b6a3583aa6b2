"""Waiting for what is to happen: tests wait for events, never for a time that a busy machine exceeds."""

import time
from collections.abc import Callable


def wait_for(is_so: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is the case; fail when it never is."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "it was never the case"
        time.sleep(0.01)
