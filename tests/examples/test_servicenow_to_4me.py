"""Users and incidents of one service become people and requests of the other; the second run reads what changed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from syncengine.transport.auth import BasicAuth
from syncengine.transport.client import Client
from syncengine.transport.reader import Writer
from syncengine.transport.servicenow import ServiceNow
from tests.command_line import ROOT
from tests.examples.conftest import Examples
from tests.sandboxed import Shared

SECOND = "f1000000000000000000000000000002"


@pytest.fixture
def here(tmp_path: Path) -> Examples:
    """The example, in a folder of its own."""
    shutil.copytree(ROOT / "examples" / "servicenow-to-4me", tmp_path, dirs_exist_ok=True)
    return Examples(tmp_path)


def test_the_example_is_right(here: Examples) -> None:
    """validate and test, offline."""
    here.run("validate").ends(0)
    assert " 0 failed." in here.run("test").ends(0).out


@pytest.mark.usefixtures("unpaced")
def test_the_second_run_reads_only_what_changed(here: Examples, shared: Shared) -> None:
    """One incident changes: one is read, one request is updated, and it still finds its person."""
    running = shared.lend(here.folder)
    assert "5 to create" in here.run("plan", "-o", "p1").ends(0).out
    here.apply("p1")
    running.advance(3600)
    client = Client(running.url, BasicAuth(running.user, lambda: running.password), ServiceNow())
    Writer(client).send(f"/api/now/table/incident/{SECOND}", body={"state": "2"}, method="PATCH")
    client.close()
    told = here.run("plan", "-o", "p2").ends(0).out
    assert "Status: assigned → in_progress" in told
    here.apply("p2")
    third = here.run("plan").ends(0).out
    assert re.search(r"requests +1 ", third), third
    assert "nothing to do" in third
