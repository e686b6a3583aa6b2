"""A project in a folder of its own: what it syncs, and the built-in sandbox that it syncs into."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from syncengine.sandbox.process import Running, attach
from tests.command_line import ROOT, CommandLine

SPEC = """\
syncengine: 1
data_source: ImportSet
sources:
  servers: servers.csv
  disks: disks.csv
  apps: apps.csv
  uses: uses.csv
steps:
  servers:
    source: servers
    cmdb: cmdb_ci_linux_server
    key: serial
    fields: {name: name, serial_number: serial, os: os}
  disks:
    source: disks
    cmdb: cmdb_ci_disk
    key: [serial, device]
    fields: {name: device}
    relations:
      - {type: "Contains::Contained by", parent: {step: servers, key: serial}}
  apps:
    source: apps
    cmdb: cmdb_ci_business_app
    key: app
    fields: {name: app}
  uses:
    source: uses
    relation: Depends on::Used by
    parent: {step: apps, key: app}
    child: {step: servers, key: serial}
"""


class Project(CommandLine):
    """Specs, sources and the sandbox of one folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.spec(SPEC)

    def spec(self, text: str) -> None:
        """Write the spec."""
        self.write("specs/estate.yaml", text)

    def fill(self, servers: int, *, disks: int = 1, apps: int = 10) -> None:
        """Write sources: servers with disks, applications that use them."""
        self.source("servers", "serial,name,os", *(f"S{n},srv{n},Debian" for n in range(servers)))
        self.source("disks", "serial,device", *(f"S{n},sd{d}" for n in range(servers) for d in range(disks)))
        self.source("apps", "app", *(f"app{n}" for n in range(apps)))
        self.source("uses", "app,serial", *(f"app{n % apps},S{n}" for n in range(min(servers, apps * 20))))

    def copy(self, example: str) -> None:
        """Take the specs and data of an example instead."""
        shutil.rmtree(self.folder / "specs")
        shutil.copytree(ROOT / "examples" / example, self.folder / "specs")

    @contextmanager
    def sandbox(self) -> Iterator[Running]:
        """The sandbox that the commands use."""
        with attach(self.folder / ".syncengine" / "sandbox", seeds=[]) as running:
            yield running


def kill_when(
    process: subprocess.Popen[str], is_time: Any, *, number: int = signal.SIGKILL, seconds: float = 60
) -> None:
    """Send a signal as soon as something is the case."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise AssertionError(f"it ended before it could be killed: {process.communicate()}")
        if is_time():
            process.send_signal(number)
            process.communicate()
            return
        time.sleep(0.01)
    process.kill()
    raise AssertionError("it was never time")


def written_twice(running: Running) -> list[str]:
    """Keys that the ledger shows more than one insert for."""
    seen: dict[str, int] = {}
    for kind in ("insert", "relate"):
        for entry in running.ledger(kind=kind):
            if entry.get("key"):
                seen[entry["key"]] = seen.get(entry["key"], 0) + 1
    return [key for key, number in seen.items() if number > 1]
