"""The memory that a command held at its peak.

What a process held counts for its children until they are programs of their own (Linux keeps the greater of the two),
so a process of tests that is larger than the command would be measured instead. A small one stands between.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_BETWEEN = """
import os, sys
pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, used = os.wait4(pid, 0)
with open(sys.argv[1], "w") as stream:
    print(used.ru_maxrss, used.ru_utime + used.ru_stime, file=stream)
sys.exit(os.waitstatus_to_exitcode(status))
"""


class Peak(NamedTuple):
    """A command that is over."""

    bytes: int
    seconds: float
    """CPU."""
    code: int
    out: str
    err: str


def peak_of(command: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None) -> Peak:
    """Run a command to its end; `env` comes on top of the environment."""
    with tempfile.NamedTemporaryFile("r") as said:
        done = subprocess.run(
            [sys.executable, "-S", "-c", _BETWEEN, said.name, *command],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        most, seconds = said.read().split()
    unit = 1 if sys.platform == "darwin" else 1024
    return Peak(int(most) * unit, float(seconds), done.returncode, done.stdout, done.stderr)
