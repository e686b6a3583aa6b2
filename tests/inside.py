"""The command line inside the test's own process: for what it says and does, where the process is not the point."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
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


ESTATE = """\
syncengine: 1
data_source: ImportSet
source: servers.csv
steps:
  servers:
    cmdb: cmdb_ci_linux_server
    key: serial
    fields: {name: name, serial_number: serial, os: os}
"""
ROOT = Path(__file__).parents[1]


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
        self.mask = 0o077
        """What `main` sets; another one shows what does not depend on it."""
        self._started: list[subprocess.Popen[str]] = []
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
        mask = os.umask(self.mask)
        try:
            code = run([str(one) for one in arguments])
        finally:
            os.umask(mask)
        said = self._capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Said(code, said.out, said.err)

    def estate(self, servers: int, *, os_name: str = "Debian", first: int = 0) -> None:
        """One step: so many servers."""
        numbers = range(first, first + servers)
        self.write("specs/servers.csv", "serial,name,os\n" + "".join(f"S{n},srv{n},{os_name}\n" for n in numbers))
        self.write("specs/estate.yaml", ESTATE)

    def start(
        self, *arguments: str | Path, env: Mapping[str, str | None] | None = None, more: Sequence[str] = (), **how: Any
    ) -> subprocess.Popen[str]:
        """Start a command in a process of its own; `env` None takes a variable away."""
        said = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **(env or {})}
        call = [sys.executable, *more, "-m", "syncengine", *map(str, arguments)]
        how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        if "preexec_fn" in how:  # a limit of the size of files would cut those of compiled modules, too
            said["PYTHONDONTWRITEBYTECODE"] = "1"
        environment = {name: value for name, value in said.items() if value is not None}
        started = subprocess.Popen(call, cwd=self.folder, env=environment, text=True, **how)
        self._started.append(started)
        return started

    def close(self) -> None:
        """End what a failed test has left running: it would write into the sandbox of the next one."""
        for one in self._started:
            if one.poll() is None:
                one.kill()
                one.communicate()

    def process(self, *arguments: str | Path, timeout: float = 60, **how: Any) -> Said:
        """Run a command in a process of its own."""
        started = self.start(*arguments, **how)
        out, err = started.communicate(timeout=timeout)
        assert "Traceback" not in (out or "") + (err or "")
        return Said(started.returncode, out or "", err or "")

    def settled(self, servers: int) -> None:
        """What was planned is on the target, once; nothing is left to do."""
        assert self.bench.inserts().get("cmdb_ci_linux_server") == servers
        said = self.plan("--detailed-exitcode")
        assert said.code == 0, said.out

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
        found: dict[str, Any] = orjson.loads(self.call("status", "-n", "1", "--format", "json").out.splitlines()[0])
        return found
