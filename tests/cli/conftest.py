"""What the tests of commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import Bench
from tests.cli.here import Here


@pytest.fixture
def here(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """A project with one spec: servers with disks, applications that use them."""
    made = Here(bench, tmp_path, monkeypatch)
    made.fill()
    return made
