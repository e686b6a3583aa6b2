"""A project of its own against the 4me side of the shared sandbox, empty, without limits on bursts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncengine.sandbox.process import Running
from tests.targets.fourme.desk import Desk


@pytest.fixture
def desk(sandbox: Running, tmp_path: Path, unpaced: None) -> Iterator[Desk]:
    """Plans and applies specs."""
    sandbox.settings(fourme__burst_requests=0)
    made = Desk(sandbox, tmp_path)
    yield made
    made.close()
