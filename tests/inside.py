"""A project whose environment `dev` is the shared sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import Bench
from tests.command_line import CommandLine, Ran

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


class Inside(CommandLine):
    """A project of its own, with the shared sandbox as its environment `dev`."""

    def __init__(self, bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder)
        self.bench = bench
        self.sandbox = bench.sandbox
        self.monkeypatch = monkeypatch
        self.write("syncengine.yaml", "syncengine: 1\nkind: project\n")
        self.dial(bench.sandbox.url)
        monkeypatch.setenv(PASSWORD, bench.sandbox.password)
        monkeypatch.chdir(folder)

    def dial(self, url: str, settle: str = "1s", more: str = "") -> None:
        """Where the environment leads."""
        said = ENVIRONMENT.format(url=url, settle=settle, user=self.sandbox.user)
        self.write("environments/dev.yaml", said + more)

    def log_in(self, user: str, password: str) -> None:
        """As whom the environment asks from here on."""
        said = (self.folder / "environments" / "dev.yaml").read_text()
        self.write("environments/dev.yaml", said.replace(f"user: {self.sandbox.user},", f"user: {user},"))
        self.monkeypatch.setenv(PASSWORD, password)

    def spec(self, text: str) -> None:
        """Write the spec."""
        self.write("specs/estate.yaml", text)

    def estate(self, servers: int, *, os_name: str = "Debian", first: int = 0) -> None:
        """One step: so many servers."""
        self.source("servers", "serial,name,os", *(f"S{n},srv{n},{os_name}" for n in range(first, first + servers)))
        self.spec(ESTATE)

    def settled(self, servers: int) -> None:
        """What was planned is on the target, once; nothing is left to do."""
        assert self.bench.inserts().get("cmdb_ci_linux_server") == servers
        self.plan("--detailed-exitcode").ends()

    def plan(self, *more: str) -> Ran:
        """Make the plan `p`."""
        return self.run("plan", "--env", "dev", "-o", "p", *more)

    def apply(self, *more: str) -> Ran:
        """Apply the plan `p`."""
        return self.run("apply", "p", "--yes", *more)
