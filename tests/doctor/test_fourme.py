"""doctor examines an account of 4me: login, account, role, limits; nothing is written."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from syncengine.cli import fourme
from syncengine.cli.logins import Hidden
from syncengine.doctor.finding import Finding
from syncengine.doctor.fourme import look
from syncengine.sandbox.process import Running
from syncengine.spec import Project
from syncengine.spec.loader import load_environment
from tests.command_line import CommandLine
from tests.sandboxed import Shared


@pytest.fixture
def sandbox(shared: Shared) -> Running:
    """Empty, on time, without limits on bursts."""
    made = shared.on_time()
    made.settings(fourme__burst_requests=0)
    return made


def found(sandbox: Running, **login: str) -> dict[str, Finding]:
    """What it says of the sandbox's account, by check."""
    meant = replace(sandbox, fourme=replace(sandbox.fourme, **login))
    with contextlib.ExitStack() as stack:
        client = fourme.to_sandbox(meant, 1, None, stack)
        return {one.check: one for one in look(client, meant.fourme.account, (), "e.yaml:4:5")}


def test_a_right_account_is_in_order(sandbox: Running) -> None:
    """Four looks."""
    said = found(sandbox)
    assert {check: one.level for check, one in said.items()} == dict.fromkeys(
        ("4me login", "4me account", "4me role", "4me limits"), "ok"
    )
    assert not sandbox.ledger(kind="update")


def test_a_wrong_token_and_a_missing_role_are_told_with_what_to_ask_for(sandbox: Running) -> None:
    """Each with the words for the admin."""
    assert found(sandbox, token="nobody")["4me login"].level == "problem"
    reader = {"email": "api.user@sandbox.example", "account": "sandbox", "roles": []}
    sandbox.seed({"4me": {"tokens": {"reader-token-1": reader}}}, force=True)
    role = found(sandbox, token="reader-token-1")["4me role"]
    assert role.level == "problem"
    assert "Account Administrator" in role.fix


def test_client_credentials_go_to_the_host_of_tokens(
    sandbox: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment with an OAuth client works like one with a token."""
    monkeypatch.setenv("ME_CLIENT", sandbox.fourme.client)
    monkeypatch.setenv("ME_SECRET", sandbox.fourme.secret)
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "dev.yaml").write_text(
        "syncengine: 1\nkind: environment\nconnections:\n  me:\n    kind: 4me\n"
        f"    url: {sandbox.url}\n    account: {sandbox.fourme.account}\n"
        "    auth: {client_id: {env: ME_CLIENT}, client_secret: {env: ME_SECRET}}\n"
    )
    project = Project(tmp_path)
    env = load_environment(project, "dev", None)
    with contextlib.ExitStack() as stack:
        client = fourme.dialled(project, env.connections["me"], 1, None, stack, Hidden())
        assert {one.level for one in look(client, sandbox.fourme.account, (), "")} == {"ok"}


SPEC = """syncengine: 1
data_source: Widget HR
source: orgs.csv
steps:
  orgs: {4me: organizations, key: name, fields: {Name: name}}
"""
TICKETS = """syncengine: 1
data_source: Widget HR
source: {servicenow: {table: incident, fields: [number, sys_id]}}
steps:
  requests: {4me: requests, key: sys_id, fields: {Subject: number, Category: {const: incident}}}
"""


def examined(project: CommandLine, *more: str, exit_class: int = 0) -> dict[str, list[dict[str, str]]]:
    """The findings by check."""
    said: dict[str, list[dict[str, str]]] = {}
    for one in json.loads(project.run("doctor", "--format", "json", *more).ends(exit_class).out)["findings"]:
        said.setdefault(one["check"], []).append(one)
    return said


def test_specs_for_4me_alone_want_nothing_of_servicenow(shared: Shared, tmp_path: Path) -> None:
    """Their data source is a Source there and no choice of cmdb_ci.discovery_source, and no problem."""
    project = CommandLine(tmp_path / "project")
    project.write("specs/orgs.yaml", SPEC)
    project.write("specs/orgs.csv", "name\nWidget\n")
    shared.lend(project.folder)
    assert not {"data source", "rights", "login"} & examined(project).keys()
    project.write("specs/tickets.yaml", TICKETS)
    said = examined(project)
    assert "data source" not in said
    assert "table incident can be read" in [one["message"] for one in said["rights"]]


def test_a_token_that_is_not_there_is_a_finding_and_hides_no_other_account(sandbox: Running, tmp_path: Path) -> None:
    """The second account is examined, although nothing can log in to the first."""
    project = CommandLine(tmp_path)
    project.write("specs/orgs.yaml", SPEC.replace("  orgs: {", "  orgs: {connection: there, "))
    project.write("specs/orgs.csv", "name\nWidget\n")
    connection = "  {name}: {{kind: 4me, url: '{url}', account: sandbox, auth: {{token: {{env: {env}}}}}}}\n"
    made = [
        connection.format(name=name, url=sandbox.url, env=env) for name, env in (("no", "NONE"), ("there", "TOKEN"))
    ]
    project.write("environments/two.yaml", "syncengine: 1\nkind: environment\nconnections:\n" + "".join(made))
    project.write(".env", f"TOKEN={sandbox.fourme.token}\n")
    said = examined(project, "--env", "two", exit_class=3)
    assert [one["level"] for one in said["4me login"]] == ["problem", "ok"]
    assert "export NONE" in said["4me login"][0]["fix"]
    assert [one["level"] for one in said["4me role"]] == ["ok"]
