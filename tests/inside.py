"""The command line inside the test's own process: for what it says and does, where the process is not the point."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from syncengine.cli import run
from tests.bench import Bench

PASSWORD = "INSIDE_PASSWORD"
ENVIRONMENT = """\
syncengine: 1
kind: environment
connections:
  servicenow:
    kind: servicenow
    url: {url}
    settle: {settle}
    auth: {{user: {user}, password: {{env: INSIDE_PASSWORD}}}}
"""


class Said(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str


class Inside:
    """A project of its own, its commands, and the shared sandbox as its environment `dev`."""

    def __init__(
        self, bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.bench = bench
        self.sandbox = bench.sandbox
        self.folder = folder
        self.monkeypatch = monkeypatch
        self._capsys = capsys
        folder.mkdir()
        self.write("syncengine.yaml", "syncengine: 1\nkind: project\n")
        self.dial(bench.sandbox.url)
        monkeypatch.setenv(PASSWORD, bench.sandbox.password)
        monkeypatch.chdir(folder)

    def dial(self, url: str, settle: str = "1s") -> None:
        """Where the environment leads."""
        self.write("environments/dev.yaml", ENVIRONMENT.format(url=url, settle=settle, user=self.sandbox.user))

    def write(self, name: str, text: str | bytes) -> Path:
        """A file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def call(self, *arguments: str | Path) -> Said:
        """Run a command."""
        self._capsys.readouterr()
        mask = os.umask(0o077)
        try:
            code = run([str(one) for one in arguments])
        finally:
            os.umask(mask)
        said = self._capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Said(code, said.out, said.err)

    def plan(self, *more: str) -> Said:
        """Make the plan `p`."""
        return self.call("plan", "--env", "dev", "-o", "p", *more)

    def apply(self, *more: str) -> Said:
        """Apply the plan `p`."""
        return self.call("apply", "p", "--yes", *more)

    def operations(self) -> list[dict[str, Any]]:
        """The operations of the plan `p`."""
        lines = [orjson.loads(line) for line in self.call("show", "p", "--format", "json").out.splitlines()]
        return [line["operation"] for line in lines if line["kind"] == "operation"]

    @property
    def state(self) -> Path:
        """Where runs are kept."""
        return self.folder / ".syncengine"

    def newest(self) -> dict[str, Any]:
        """The newest run, as `status` tells it."""
        found: dict[str, Any] = orjson.loads(self.call("status", "-n", "1", "--format", "json").out)
        return found
