"""A project of its own against the 4me side of the shared sandbox, empty, without limits on bursts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncengine.sandbox.process import Running
from tests.targets.fourme.desk import Desk


@pytest.fixture
def desk(_sandbox: Running, tmp_path: Path) -> Iterator[Desk]:
    """Plans and applies specs; what a test changes of the settings is taken back."""
    _sandbox.clear_faults()
    _sandbox.reset()
    before = {name: said["value"] for name, said in _sandbox.settings().items() if name.startswith("fourme.")}
    _sandbox.settings(fourme__burst_requests=0)
    made = Desk(_sandbox, tmp_path)
    yield made
    made.close()
    _sandbox.clear_faults()
    _sandbox.settings(**before)
