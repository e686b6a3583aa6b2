"""What a spec calls sensitive is shown nowhere: not by us, and not by a target that repeats what it was sent."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncengine.errors import Exit
from syncengine.parcels import hushed
from tests.cli.here import Here
from tests.project import SPEC

CANARY = 'CANARY-4f "quoted" é'
FIELD = "comments: {from: os, sensitive: true}"
SECRET = SPEC.replace("os: os}", f"{FIELD}}}").replace("fields: {name: device}", f"fields: {{name: device, {FIELD}}}")
FORMATS = ("human", "json", "markdown", "html", "github", "junit")


@pytest.fixture
def secret(here: Here, monkeypatch: pytest.MonkeyPatch) -> Here:
    """Servers and disks with a comment that nobody may read."""
    monkeypatch.setenv("SYNCENGINE_PLAN_KEY", "a key that is long enough")
    here.spec(SECRET)
    cell = '"' + CANARY.replace('"', '""') + '"'
    here.source("servers", "serial,name,os", *(f"S{n},srv{n},{cell}" for n in range(3)), f"S9,srv2,{cell}")
    here.source("disks", "serial,device,os", *(f"S{n},sda,{cell}" for n in range(3)))
    here.source("uses", "app,serial", "app0,S0", "app1,S9")
    return here


KEYS = (("servers", "S9"), ("disks", "S2|sda"))


@pytest.mark.covers("SEC-08")
def test_a_target_that_repeats_what_it_was_sent_is_hushed(secret: Here) -> None:
    """The engine says whole items of the payload when it abandons what depends on a refused one."""
    told = secret.plan().told
    assert "Abandoning processing payload item" in told
    told += secret.apply().ends(Exit.PARTIAL).told
    run = secret.newest()["run"]
    for command in ("report", "show"):
        told += "".join(secret.run(command, run, "--format", form).told for form in FORMATS)
    for step, key in KEYS:
        told += secret.run("explain", "estate", step, key, "--env", "dev").told
    told += (secret.folder / ".syncengine" / "runs" / run / "rejects.csv").read_text()
    assert "***" in told
    assert "CANARY" not in told
    stored = secret.bench.rows("cmdb_ci_linux_server", "name=srv0", ("comments",))
    assert stored[0]["comments"] == CANARY


@pytest.mark.covers("SEC-08")
def test_a_row_that_is_not_right_is_told_without_its_values(secret: Here) -> None:
    """Which of them is the sensitive one, a rule does not know."""
    secret.spec(SECRET.replace(f"{FIELD}}}", "comments: {from: os, sensitive: true, max_length: 5}}", 1))
    told = secret.plan().ends(Exit.SOURCE).told
    assert "error[too-long]" in told
    assert "found: ***" in told
    assert "CANARY" not in told


@given(st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=3, max_size=20), st.text(max_size=10))
def test_a_message_keeps_a_value_neither_as_it_is_nor_as_json_writes_it(value: str, around: str) -> None:
    written = json.dumps(value)
    said = hushed(f'{around}{{"comments":{written},"x":"{value}"}} {value}{around}', [value])
    assert value not in said
    assert written[1:-1] not in said


def test_a_very_short_value_is_hushed_where_it_stands_alone() -> None:
    """It stands in every other word by chance."""
    assert hushed('{"pin":"7","name":"srv-17"}', ["7"]) == '{"pin":"***","name":"srv-17"}'
