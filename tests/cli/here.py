"""A project whose environment is the shared sandbox, worked on in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import orjson
import pytest
from click.testing import CliRunner, Result

from syncengine.cli import apply, plan, status
from syncengine.cli import run as command_line
from tests.acceptance import project
from tests.bench import Bench

SPEC = project.SPEC.replace("data_source: ImportSet", "data_source: T")


class Here:
    """A project whose environment is the shared sandbox."""

    def __init__(self, bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bench, self.folder = bench, folder
        running = bench.sandbox
        running.seed({"choices": {"cmdb_ci.discovery_source": ["T"]}}, force=True)
        for name in ("specs", "environments"):
            (folder / name).mkdir()
        (folder / "syncengine.yaml").write_text("syncengine: 1\nkind: project\n")
        self.environment = (
            f"syncengine: 1\nkind: environment\nconnections:\n  sn: {{kind: servicenow, url: '{running.url}',"
            f" auth: {{user: {running.user}, password: {{env: SN_PASSWORD}}}}}}\n"
        )
        (folder / "environments" / "dev.yaml").write_text(self.environment)
        monkeypatch.setenv("SN_PASSWORD", running.password)
        monkeypatch.chdir(folder)
        self.spec(SPEC)
        self.write("servers", "serial,name,os", *(f"S{n},srv{n},Debian" for n in range(4)))
        self.write("disks", "serial,device", *(f"S{n},sda" for n in range(4)))
        self.write("apps", "app", "app0", "app1")
        self.write("uses", "app,serial", "app0,S0", "app1,S1")

    def spec(self, text: str) -> None:
        (self.folder / "specs" / "estate.yaml").write_text(text)

    def write(self, name: str, *lines: str) -> None:
        (self.folder / "specs" / f"{name}.csv").write_text("\n".join(lines) + "\n")

    def run(self, command: click.Command, *arguments: str) -> Result:
        return CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False)

    def run_main(self, *arguments: str) -> int:
        """Run the command line as a whole, errors told; returns the exit class."""
        return command_line(list(arguments))

    def plan(self, *more: str) -> str:
        """Plan into the file p; what is shown."""
        return self.run(plan.command, "--env", "dev", "-o", "p", *more).output

    def apply(self) -> Result:
        return self.run(apply.command, "p", "--yes")

    def newest(self) -> str:
        said = orjson.loads(self.run(status.command, "-n", "1", "--format", "json").output.splitlines()[0])
        return str(said["run"])

    def operations(self, *more: str) -> set[tuple[str, str]]:
        """What a plan holds: step and key, relations as both keys."""
        lines = self.run(plan.command, "--env", "dev", "--format", "json", *more).output.splitlines()
        found = set()
        for line in map(orjson.loads, lines):
            if line["kind"] == "operation" and line["operation"]["kind"] != "end":
                one = line["operation"]
                key = one.get("key") or "→".join(map(_key, (one["parent"], one["child"])))
                found.add((one["step"].rpartition(".")[2], key))
        return found


def _key(end: dict[str, Any]) -> str:
    return str(end.get("key") or end["$later"][1])
