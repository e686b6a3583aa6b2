"""Processes that tests start."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def started(call: Sequence[str | Path], **how: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that is over when the block is, also where a test fails: it would work on beside the next one."""
    with subprocess.Popen(call, text=True, **how) as process:
        try:
            yield process
        finally:
            process.kill()
