"""Servers with disks and applications that use them, in a project whose environment is the shared sandbox."""

from __future__ import annotations

from typing import Any

from tests.inside import Inside
from tests.project import SPEC


class Here(Inside):
    """A project with one spec of four steps."""

    def fill(self) -> None:
        """The spec and its sources."""
        self.spec(SPEC)
        self.source("servers", "serial,name,os", *(f"S{n},srv{n},Debian" for n in range(4)))
        self.source("disks", "serial,device", *(f"S{n},sda" for n in range(4)))
        self.source("apps", "app", "app0", "app1")
        self.source("uses", "app,serial", "app0,S0", "app1,S1")

    def planned(self, *more: str) -> set[tuple[str, str]]:
        """What a plan holds: step and key, relations as both keys."""
        found = set()
        for line in self.run("plan", "--env", "dev", "--format", "json", *more).ends().lines:
            if line["kind"] == "operation" and line["operation"]["kind"] != "end":
                one = line["operation"]
                key = one.get("key") or "→".join(map(_key, (one["parent"], one["child"])))
                found.add((one["step"].rpartition(".")[2], key))
        return found


def _key(end: dict[str, Any]) -> str:
    return str(end.get("key") or end["$later"][1])
