"""Every way to log in that an environment file can say, through plan and apply, over real HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project import Project
from tests.sandboxed import Shared

SEED = """\
users: {robot: {password: robot-password, roles: [itil]}, guest: {password: guest-password, roles: []}}
clients: {sync: {secret: client-secret, user: robot}}
api_keys: {key-of-the-robot: robot}
"""
AUTH = {
    "basic": "{user: robot, password: {env: BASIC}}",
    "key": "{token: {env: KEY}, header: x-sn-apikey}",
    "credentials": "{client_id: sync, client_secret: {env: CLIENT}}",
    "password": "{client_id: sync, client_secret: {env: CLIENT}, user: robot, password: {env: BASIC}}",
    "file": "{user: robot, password: {file: password.txt}}",
    "command": '{user: robot, password: {command: [printf, "%s", robot-password]}}',
}
SECRETS = {"BASIC": "robot-password", "KEY": "key-of-the-robot", "CLIENT": "client-secret"}


@pytest.fixture
def project(shared: Shared, tmp_path: Path) -> Project:
    made = Project(tmp_path / "project")
    shared.lend(made.folder)
    made.fill(5, apps=2)
    (made.folder / "sandbox").mkdir()
    (made.folder / "sandbox" / "seed.yaml").write_text(SEED)
    (made.folder / "environments").mkdir()
    secret = made.folder / "password.txt"
    secret.write_text("robot-password\n")
    secret.chmod(0o600)
    made.run("plan").ends()
    return made


def write(project: Project, name: str, url: str, auth: str) -> None:
    (project.folder / "environments" / f"{name}.yaml").write_text(
        "syncengine: 1\nkind: environment\nconnections:\n  servicenow:\n    kind: servicenow\n"
        f"    url: {url}\n    settle: 1s\n    auth: {auth}\n"
    )


@pytest.mark.covers("NET-16", "SEC-02")
def test_every_login_plans_and_applies_and_leaves_no_secret_behind(project: Project) -> None:
    with project.sandbox() as sandbox:
        for name, auth in AUTH.items():
            write(project, name, sandbox.url, auth)
            project.source("apps", "app", f"app of {name}")
            project.source("uses", "app,serial", f"app of {name},S1")
            project.run("plan", "--env", name, "-o", f"{name}.plan", env=SECRETS).ends()
            project.run("apply", f"{name}.plan", "--yes", env=SECRETS).ends()
    written = b"".join(
        path.read_bytes()
        for path in project.folder.rglob("*")
        if path.is_file() and "sandbox" not in path.parts and path.name != "password.txt" and path.suffix != ".yaml"
    )
    for secret in SECRETS.values():
        assert secret.encode() not in written


@pytest.mark.covers("NET-19")
def test_a_user_without_the_role_is_told_what_is_missing(project: Project) -> None:
    with project.sandbox() as sandbox:
        write(project, "guest", sandbox.url, "{user: guest, password: {env: GUEST}}")
        done = project.run("plan", "--env", "guest", env={"GUEST": "guest-password"}).ends(5)
    assert "guest-password" not in done.err
    assert "error[" in done.err
    assert "effect:" in done.err


@pytest.mark.parametrize(("secret", "why"), [("as", "is so short"), ("refuse", "stands inside a word")])
def test_a_secret_that_hides_whole_messages_is_named_and_not_shown(project: Project, secret: str, why: str) -> None:
    """Once, by where it comes from; otherwise nobody could tell why the message is gone."""
    with project.sandbox() as sandbox:
        write(project, "short", sandbox.url, "{user: nobody, password: {env: SHORT}}")
        done = project.run("plan", "--env", "short", env={"SHORT": secret})
        report = project.run("doctor", "--env", "short", env={"SHORT": secret})
    assert done.code == 5
    assert "]: ***" in done.err
    told = "note: a message is hidden as ***, since the secret {env: SHORT} at environments/short.yaml:8:36"
    assert done.err.count(f"{told} {why}") == 1
    short = "secrets: the secret {env: SHORT} at environments/short.yaml:8:36 has fewer than 4 characters"
    assert (short in report.out) == (len(secret) < 4)
