"""doctor examines an account of 4me: login, account, role, limits; nothing is written."""

from __future__ import annotations

import contextlib
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
