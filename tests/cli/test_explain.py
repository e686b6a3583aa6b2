"""One record followed from its row: what stands in the file, in the spec, on the target and in the journal."""

from __future__ import annotations

import shutil
from typing import Any

import orjson
import pytest

from syncengine.errors import Exit
from tests.cli.here import Here
from tests.command_line import ROOT
from tests.project import SPEC

FOLLOWED = SPEC.replace(
    "    fields: {name: name, serial_number: serial, os: os}\n",
    "    when: {os: {not: none}}\n"
    "    fields:\n"
    "      name: name\n"
    "      serial_number: serial\n"
    '      os: "{{ os | upper }}"\n'
    "      comments: {const: by hand, sensitive: SENSITIVE}\n",
)


@pytest.fixture
def followed(here: Here) -> Here:
    """A project whose servers have a condition and an expression."""
    here.spec(FOLLOWED.replace("SENSITIVE", "false"))
    return here


def known(here: Here, *arguments: str) -> dict[str, Any]:
    done = here.run("explain", *arguments, "--env", "dev", "--format", "json")
    found: dict[str, Any] = done.lines[0]
    return found


def test_a_record_is_followed_from_its_row_to_what_became_of_it(followed: Here) -> None:
    followed.plan()
    followed.apply()
    followed.source("servers", "serial,name,os", "S0,srv0,Debian", "S1,srv1,Alpine")
    told = followed.run("explain", "estate", "servers", "S1", "--env", "dev").told
    expected = [
        "Row       specs/servers.csv row 2, line 3",
        "  os      Alpine",
        "Mapped    cmdb_ci_linux_server S1",
        "  os = ALPINE",
        '      os: "{{ os | upper }}"  (specs/estate.yaml:17:11)',
        ": update (by the",
        "  os: DEBIAN → ALPINE",
        "create: applied (INSERT)",
    ]
    at = [told.index(part) for part in expected]
    assert at == sorted(at), told
    assert all(len(line) <= 80 for line in told.splitlines())
    assert followed.bench.rows("cmdb_ci_linux_server", "name=srv1", ("os",))[0]["os"] == "DEBIAN", "nothing was written"


def test_what_a_record_needs_and_the_relations_at_it_are_told(followed: Here) -> None:
    told = known(followed, "specs/estate.yaml", "disks", "S2|sda")
    assert [(one["action"], one["basis"]) for one in told["operations"]] == [("create", "engine"), ("relate", "engine")]
    assert [(one["action"], one["key"]) for one in told["along"]] == [("create", "S2")]
    assert told["made"][0]["relations"][0]["parent"] == "estate.servers S2"
    uses = known(followed, "estate", "uses", "app1")
    assert [(one["parent"], one["child"]) for one in uses["made"]] == [("estate.apps app1", "estate.servers S1")]


def test_a_row_that_makes_no_record_is_told_with_the_reason(followed: Here) -> None:
    """Left out by a condition, refused by a rule, or not there at all."""
    followed.source("servers", "serial,name,os", "S0,srv0,none", f"S1,{'n' * 300},Debian", "S2,srv2,Debian")
    told = known(followed, "estate", "servers", "S0")
    assert told["left_out"]["text"] == "{not: none}" or "not: none" in told["left_out"]["text"]
    assert told["rows"][0]["values"]["os"] == "none"
    assert (told["made"], told["operations"]) == ([], [])
    said = followed.run("explain", "estate", "servers", "S22", "--env", "dev").ends(Exit.SPEC)
    assert "error[no-such-record]" in said.err
    assert "keys of this step: S2" in said.err
    followed.spec(SPEC.replace("os: os}", 'os: "{{ os | int }}"}'))
    told = known(followed, "estate", "servers", "S2")
    assert told["made"][0]["bad"]["code"]
    assert told["made"][0]["rule"]["at"].startswith("specs/estate.yaml:13:")


def test_a_refused_record_is_told_with_the_words_of_the_target(followed: Here) -> None:
    """Two servers that one serial number identifies: alone, each is right; the run refused both."""
    followed.source("servers", "serial,name,os", "S0,srv0,Debian", "S9,srv0,Debian")
    followed.source("disks", "serial,device")
    followed.source("uses", "app,serial")
    followed.spec(FOLLOWED.replace("SENSITIVE", "false") + "guards: {min_rows: 0}\n")
    followed.plan()
    followed.apply()
    told = known(followed, "estate", "servers", "S9")
    (run,) = told["runs"]
    assert run["run"] == followed.newest()["run"]
    (one,) = run["operations"]
    assert (one["action"], one["result"]) == ("rejected", "rejected")
    assert one["message"]
    shown = followed.run("explain", "estate", "servers", "S9", "--env", "dev").out
    assert f"  {run['run']}  rejected\n" in shown


def test_what_is_sensitive_is_not_told(followed: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor the row, any column of which may hold it."""
    monkeypatch.setenv("SYNCENGINE_PLAN_KEY", "a key of a plan that is long enough")
    followed.spec(FOLLOWED.replace("by hand", "CANARY-9d1").replace("SENSITIVE", "true"))
    done = followed.run("explain", "estate", "servers", "S1", "--env", "dev", "--format", "json")
    assert '"value":"***"' in done.told
    assert '"os":"***"' in done.told
    assert '"serial":"***"' in done.told
    values = [field["value"] for field in orjson.loads(done.out)["made"][0]["fields"] if field["name"] == "comments"]
    assert values == ["***"]


def test_names_that_are_nearly_right_are_corrected(followed: Here) -> None:
    assert 'did you mean "estate"?' in followed.run("explain", "estat", "servers", "S1").ends(Exit.SPEC).err
    assert 'did you mean "servers"?' in followed.run("explain", "estate", "server", "S1").ends(Exit.SPEC).err


def test_a_record_without_a_key_is_named_by_its_row(here: Here) -> None:
    """Rows for a staging table need none."""
    (here.folder / "specs" / "estate.yaml").unlink()
    for name in ("users.yaml", "users.csv"):
        shutil.copy(ROOT / "examples" / "users-staging" / name, here.folder / "specs" / name)
    here.plan()
    here.apply().ends()
    told = known(here, "users", "users", "2")
    assert {field["name"]: field["value"] for field in told["made"][0]["fields"]}["user_id"] == "irene.vine"
    assert [(one["action"], one["basis"]) for one in told["operations"]] == [("unchanged", "predicted")]
    assert [one["result"] for one in told["runs"][0]["operations"]] == ["applied"]
    said = here.run("explain", "users", "users", "irene.vine", "--env", "dev").ends(Exit.SPEC).err
    assert "rows of this step, whose records have no key: 1, 2" in said
    said = here.run("plan", "--select", "users.users=irene.vine", "--env", "dev").ends(Exit.SPEC).err
    assert "cannot be selected by a key" in said
