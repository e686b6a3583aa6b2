"""A project in a folder of its own, worked on through the command line."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from syncengine.sandbox.process import Running, attach
from tests.called import called
from tests.processes import started

ROOT = Path(__file__).parents[2]
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


class Project:
    """Specs, sources and the sandbox of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "specs").mkdir(parents=True)
        (folder / "specs" / "estate.yaml").write_text(SPEC)

    def fill(self, servers: int, *, disks: int = 1, apps: int = 10) -> None:
        """Write sources: servers with disks, applications that use them."""
        self.write("servers", ["serial", "name", "os"], ((f"S{n}", f"srv{n}", "Debian") for n in range(servers)))
        self.write("disks", ["serial", "device"], ((f"S{n}", f"sd{d}") for n in range(servers) for d in range(disks)))
        self.write("apps", ["app"], ((f"app{n}",) for n in range(apps)))
        self.write("uses", ["app", "serial"], ((f"app{n % apps}", f"S{n}") for n in range(min(servers, apps * 20))))

    def write(self, name: str, header: list[str], rows: Any) -> None:
        """Write a source."""
        with (self.folder / "specs" / f"{name}.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(header)
            writer.writerows(rows)

    def copy(self, example: str) -> None:
        """Take the specs and data of an example instead."""
        shutil.rmtree(self.folder / "specs")
        shutil.copytree(ROOT / "examples" / example, self.folder / "specs")

    def command(self, *arguments: str | Path, env: dict[str, str] | None = None) -> tuple[list[str], dict[str, str]]:
        """How a command is called, and with which environment."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **(env or {})}
        return [sys.executable, "-m", "syncengine", *map(str, arguments)], environment

    def run(self, *arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Call a command in this process."""
        return called(self.folder, *arguments, env=env)

    def process(
        self, *arguments: str | Path, env: dict[str, str] | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, in a process of its own."""
        call, environment = self.command(*arguments, env=env)
        return subprocess.run(
            call, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )

    @contextmanager
    def start(self, *arguments: str | Path, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
        """Start a command and leave it running while the block lasts."""
        call, environment = self.command(*arguments, env=env)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with started(call, cwd=self.folder, env=environment, **pipes) as process:
            yield process

    @contextmanager
    def sandbox(self) -> Iterator[Running]:
        """The sandbox that the commands use."""
        with attach(self.folder / ".syncengine" / "sandbox", seeds=[]) as running:
            yield running

    def summary(self, plan: Path | str) -> dict[str, Any]:
        """What a plan adds up to, as machines read it."""
        done = self.run("show", plan, "--format", "json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
        return found

    def operations(self, plan: Path | str) -> list[dict[str, Any]]:
        """The operations of a plan that are not unchanged."""
        lines = [orjson.loads(line) for line in self.run("show", plan, "--format", "json").stdout.splitlines()]
        return [line["operation"] for line in lines if line["kind"] == "operation"]

    def newest_run(self) -> dict[str, Any]:
        """The newest run, as `status` tells it."""
        found: dict[str, Any] = orjson.loads(self.run("status", "-n", "1", "--format", "json").stdout.splitlines()[0])
        return found


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
