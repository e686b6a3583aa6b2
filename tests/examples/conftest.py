"""The examples as a user has them: copied into a folder of one's own, run through the real command line."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from syncengine.sandbox.process import attach
from tests.command_line import ROOT, CommandLine, Ran
from tests.sandboxed import Shared


@dataclass(frozen=True)
class Operations:
    """What a plan would do, as its JSON report says."""

    lines: list[dict[str, Any]]
    counts: dict[str, dict[str, int]]

    def of(self, action: str) -> list[dict[str, Any]]:
        """The operations of an action."""
        return [line for line in self.lines if line["action"] == action]

    def total(self, action: str) -> int:
        """How many operations of an action there are, the unchanged ones included."""
        return sum(actions.get(action, 0) for actions in self.counts.values())


class Examples(CommandLine):
    """The examples, in a folder of their own."""

    def plan(self, specs: str, file: str, code: int) -> Operations:
        """Plan into a file, with --detailed-exitcode; returns what the plan would do."""
        command = ("plan", specs, "--env", "sandbox", "-o", file, "--detailed-exitcode", "--format", "json")
        shown = self.run(*command).ends(code).lines
        lines = [line["operation"] for line in shown if line["kind"] == "operation"]
        counts = {name: step["actions"] for name, step in shown[-1]["counts"].items()}
        return Operations([line for line in lines if line["kind"] != "end"], counts)

    def apply(self, file: str, code: int = 0) -> Ran:
        """Apply a plan file."""
        return self.run("apply", file, "--yes").ends(code)


def copied(folder: Path) -> Examples:
    """The examples and specs, in a folder of their own."""
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "specs", folder / "specs")
    return Examples(folder)


@pytest.fixture
def project(shared: Shared, tmp_path: Path) -> Examples:
    """The examples and specs, in a folder of their own, with an empty sandbox."""
    shared.lend(tmp_path)
    return copied(tmp_path)


@pytest.fixture(scope="session")
def _applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data centre applied, once for all tests, and its sandbox at rest."""
    made = copied(tmp_path_factory.mktemp("applied"))
    place = made.folder / ".syncengine" / "sandbox"
    with attach(place):
        made.plan("examples/datacentre", "first.plan", 2)
        made.apply("first.plan")
    until = time.monotonic() + 60
    while (place / "run.json").exists() or (place / "data.db-wal").exists():
        assert time.monotonic() < until, "the sandbox did not end"
        time.sleep(0.05)
    return made.folder


@pytest.fixture
def applied(_applied: Path, tmp_path: Path) -> Iterator[Examples]:
    """The data centre, planned and applied once, in a folder of its own, with a sandbox of its own."""
    shutil.copytree(_applied, tmp_path, dirs_exist_ok=True)
    with attach(tmp_path / ".syncengine" / "sandbox"):
        yield Examples(tmp_path)
