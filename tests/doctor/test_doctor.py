"""`doctor` against a sandbox with many things wrong: all of it is told in one run, with what to do."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from syncengine.doctor import Finding, Visit, examine, worst_of
from syncengine.errors import Exit
from syncengine.sandbox.clock import parse_stamp
from syncengine.sandbox.process import Running, attach
from syncengine.spec import check_specs, find_project
from syncengine.transport.auth import BasicAuth
from syncengine.transport.client import Client
from syncengine.transport.servicenow import ServiceNow
from tests.project import Project
from tests.sandboxed import Shared

ENVIRONMENT = """\
syncengine: 1
kind: environment
connections:
  servicenow:
    kind: servicenow
    url: {url}
    {more}
    auth: {auth}
"""
BASIC = "{user: USER, password: {env: TEST_PASSWORD}}"
ILL = """\
syncengine: 1
data_source: importset
sources: {servers: servers.csv, apps: apps.csv}
steps:
  columns:
    source: servers
    cmdb: cmdb_ci_linux_server
    key: serial
    fields: {name: name, serial_numbr: serial}
    lookup:
      - {class: cmdb_key_value, fields: {key: serial}}
  classes:
    source: servers
    cmdb: cmdb_ci_lunix_server
    key: serial
    native_key: "class-{{ serial }}"
    fields: {name: name}
  nameless:
    source: servers
    cmdb: cmdb_ci_win_server
    key: serial
    native_key: "nameless-{{ serial }}"
    fields: {os: os}
    relations:
      - {type: "Used by::Depends on", parent: {find_in: u_nowhere, where: {name: name}}}
  ruleless:
    source: apps
    cmdb: cmdb_ci_ruleless
    key: app
    fields: {name: app}
"""
SEED: dict[str, Any] = {
    "tables": {"cmdb_ci_ruleless": {"label": "Ruleless", "parent": "cmdb", "columns": {"u_team": "string"}}},
    "records": {"sys_rate_limit_rules": [{"name": "Tight", "resource": "import", "limit": "60", "active": "true"}]},
    "users": {"plain": {"password": "pw", "roles": []}},
}


@pytest.fixture
def sick(shared: Shared, tmp_path: Path) -> tuple[Running, Project]:
    """A sandbox that lacks what the specs want, and a project whose specs want it."""
    sandbox = shared.on_time()
    sandbox.seed(SEED, force=True)
    project = Project(tmp_path / "project")
    project.fill(3)
    (project.folder / "specs" / "estate.yaml").write_text(ILL)
    return sandbox, project


def environment(project: Project, url: str, *, auth: str = BASIC, user: str = "admin", more: str = "") -> None:
    """Write the environment `ill`."""
    (project.folder / "environments").mkdir(exist_ok=True)
    text = ENVIRONMENT.format(url=url, auth=auth.replace("USER", user), more=more)
    (project.folder / "environments" / "ill.yaml").write_text(text)


def doctor(project: Project, password: str, *more: str) -> tuple[int, list[Finding]]:
    """Run the command; its exit class and findings."""
    env = {"TEST_PASSWORD": password, "HTTPS_PROXY": ""}
    done = project.run("doctor", "--env", "ill", "--format", "json", *more, env=env)
    assert "Traceback" not in done.err
    assert password not in done.out + done.err
    said = json.loads(done.out)
    assert said["exit"] == done.code
    return done.code, [Finding(**{**one, "exit": Exit(one["exit"])}) for one in said["findings"]]


def wrong(findings: list[Finding]) -> list[Finding]:
    """Problems and warnings."""
    return [one for one in findings if one.level in ("problem", "warning")]


def has(findings: list[Finding], check: str, *words: str) -> bool:
    """Whether a finding of this check holds these words, in its message or in what to do."""
    return any(one.check == check and all(word in f"{one.message} {one.fix}" for word in words) for one in findings)


def ten_things(sandbox: Running) -> None:
    """What is wrong beside the specs."""
    sandbox.settings(calls__enhanced_pair=False)
    sandbox.faults(
        "api=table_read, path=cmdb_metadata_hosting, every=1, do=status(403)",
        "api=table_read, path=sys_object_source, every=1, do=status(403)",
        "api=table_read, path=cmdb_ci_win_server, every=1, do=status(403)",
    )


def test_twelve_things_that_are_wrong_are_found_in_one_run(sick: tuple[Running, Project]) -> None:
    sandbox, project = sick
    ten_things(sandbox)
    environment(project, sandbox.url)
    before = len(sandbox.ledger())
    code, findings = doctor(project, sandbox.password)
    found = wrong(findings)
    assert has(found, "data source", '"importset" is no choice', "data_source: ImportSet", "ask the admin")
    assert has(found, "class", 'no class "cmdb_ci_lunix_server"')
    assert has(found, "column", 'no column "serial_numbr"', 'did you mean "serial_number"?')
    assert has(found, "identification", "step estate.nameless fills no identification entry", "serial_number")
    assert has(found, "identification", "cmdb_ci_ruleless has no identification rule")
    assert has(found, "identification", "has no lookup entry for cmdb_key_value")
    assert has(found, "relation type", '"Used by::Depends on"', 'did you mean "Depends on::Used by"?')
    assert has(found, "dependency rules", "cannot be read", "cmdb_metadata_hosting", "itil", "user admin")
    assert has(found, "dialect", "does not have the calls of dialect enhanced", "dialect: classic")
    assert has(found, "rights", "table cmdb_ci_win_server cannot be read", "read access to table cmdb_ci_win_server")
    assert has(found, "rights", "table u_nowhere does not exist")
    assert has(found, "owned records", "cannot be read", "read access to sys_object_source")
    assert has(found, "limits", "Tight", "60 requests an hour")
    assert not [one for one in found if one.level == "problem" and not one.fix]
    assert code == Exit.AUTH
    assert len(sandbox.ledger()) == before


def test_every_finding_about_a_spec_names_its_line(sick: tuple[Running, Project]) -> None:
    sandbox, project = sick
    environment(project, sandbox.url)
    _, findings = doctor(project, sandbox.password)
    for check in ("column", "class", "data source", "relation type", "identification"):
        places = [one.place for one in wrong(findings) if one.check == check]
        assert places, check
        assert all(place.startswith("specs/estate.yaml:") for place in places)


@pytest.mark.covers("NET-19")
def test_a_user_without_the_role_is_told_per_api_what_to_ask_for_and_what_cannot_be_checked(
    sick: tuple[Running, Project],
) -> None:
    sandbox, project = sick
    environment(project, sandbox.url, user="plain")
    code, findings = doctor(project, "pw")
    found = wrong(findings)
    assert code == Exit.AUTH
    assert has(found, "rights", "CMDB Meta API, GET", "403", "itil", "user plain")
    assert has(found, "rights", "IdentifyReconcile, POST", "403", "itil or asset", "method POST")
    assert has(found, "data source", "importset")
    assert has(found, "relation type", "Used by")
    assert has([one for one in findings if one.level == "skipped"], "class", "not checked: CMDB Meta API")


@pytest.mark.covers("NET-15", "NET-17")
def test_a_wrong_password_is_tried_twice_at_most_and_the_rest_is_said_to_be_impossible(
    sick: tuple[Running, Project],
) -> None:
    sandbox, project = sick
    environment(project, sandbox.url)
    sandbox.faults("api=*, every=1000000, do=delay(0)")
    code, findings = doctor(project, "CANARY-7f3a")
    assert code == Exit.AUTH
    assert has(wrong(findings), "login", "user admin", "refused")
    assert {one.check for one in findings if one.level == "skipped"} >= {"rights", "class", "relation", "data source"}
    assert sum(rule["seen"] for rule in sandbox.faults()) <= 2


def test_a_scoped_client_is_let_in_and_told_which_api_lacks_its_scope(sick: tuple[Running, Project]) -> None:
    sandbox, project = sick
    sandbox.seed({"clients": {"sync": {"secret": "s3cret", "user": "admin"}}}, force=True)
    environment(project, sandbox.url, auth="{client_id: sync, client_secret: {env: TEST_PASSWORD}}")
    sandbox.faults("api=meta, every=1, do=status(401)", "api=ire_query, every=1, do=status(401)")
    code, findings = doctor(project, "s3cret")
    found = wrong(findings)
    assert code == Exit.AUTH
    assert has(findings, "login", "sync", "let in")
    assert has(found, "rights", "CMDB Meta API, GET", "401", "auth scope")
    assert has(found, "rights", "IdentifyReconcile, POST", "401", "auth scope", "method POST")
    assert has(found, "data source", "importset")


@pytest.mark.covers("NET-02")
def test_a_dead_server_is_told_and_nothing_else_is_tried(sick: tuple[Running, Project]) -> None:
    _, project = sick
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment(project, f"http://127.0.0.1:{port}")
    code, findings = doctor(project, "secret-word")
    assert code == Exit.REMOTE
    assert has(wrong(findings), "reach", "no connection", "url")
    assert all(one.level == "skipped" for one in findings if one.check not in ("specs", "name", "reach"))


@pytest.mark.covers("NET-01")
def test_a_name_that_nobody_knows_is_told(sick: tuple[Running, Project]) -> None:
    _, project = sick
    environment(project, "https://nowhere.invalid")
    code, findings = doctor(project, "secret-word")
    assert code == Exit.REMOTE
    assert has(wrong(findings), "name", "nowhere.invalid is not a known name", "environments/ill.yaml")


@pytest.mark.covers("NET-04")
def test_a_certificate_that_is_not_trusted_is_told_with_its_reason_and_a_trusted_one_is_fine(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.fill(3)
    with attach(tmp_path / "box", seeds=[], tls=True) as box:
        environment(project, box.url)
        code, findings = doctor(project, box.password)
        assert code == Exit.REMOTE
        assert has(wrong(findings), "reach", "no trusted encrypted connection", "ca_bundle")
        environment(project, box.url, more=f"ca_bundle: {box.ca}")
        code, findings = doctor(project, box.password)
        assert code == Exit.OK
        assert has(findings, "reach", "https, certificate trusted")


@pytest.mark.covers("NET-34")
def test_a_sleeping_instance_is_told_to_be_woken(sick: tuple[Running, Project]) -> None:
    sandbox, project = sick
    environment(project, sandbox.url)
    sandbox.faults("api=*, every=1, do=hibernate")
    code, findings = doctor(project, sandbox.password)
    assert code == Exit.REMOTE
    assert has(wrong(findings), "reach", "wake the instance")


@pytest.mark.covers("NET-46")
def test_a_clock_that_is_an_hour_off_is_told_with_its_direction(sick: tuple[Running, Project]) -> None:
    sandbox, project = sick
    theirs = parse_stamp(sandbox.advance(0)) or 0.0
    auth = BasicAuth(sandbox.user, lambda: sandbox.password)
    specs = check_specs(find_project(project.folder)).specs
    visit = Visit(lambda: Client(sandbox.url, auth, ServiceNow()), specs, lambda: theirs + 3600, "basic")
    assert has(wrong(list(examine(visit))), "clock", "behind this machine's", "NTP")


def test_a_healthy_environment_is_in_order_and_exits_with_zero(shared: Shared, tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    shared.lend(project.folder)
    project.fill(3)
    done = project.run("doctor").ends()
    assert "0 problems, 0 warnings" in done.out
    assert "sandbox/seed.yaml" in done.out


def test_the_worst_problem_names_the_exit_and_warnings_do_not() -> None:
    spec = Finding("class", "problem", "m", exit=Exit.SPEC)
    remote = Finding("reach", "problem", "m", exit=Exit.REMOTE)
    login = Finding("login", "problem", "m", exit=Exit.AUTH)
    assert worst_of([spec, remote, login]) is Exit.AUTH
    assert worst_of([spec, remote]) is Exit.REMOTE
    assert worst_of([spec]) is Exit.SPEC
    assert worst_of([Finding("limits", "warning", "m"), Finding("class", "skipped", "m")]) is Exit.OK


IMPORTS = """\
syncengine: 1
source: apps.csv
steps:
  people:
    staging: {table: u_people_import, send: multiple}
    fields: {u_nmae: app}
  things:
    staging: {table: u_things_import, repeat_safe: coalesce}
    fields: {u_name: app}
  papers:
    attach: "paper.txt"
    to: {find_in: sys_user, where: {user_name: app}}
"""
IMPORTS_SEED: dict[str, Any] = {
    "users": {"clerk": {"password": "pw", "roles": ["itil"]}},
    "staging": {
        "u_people_import": {
            "columns": {"u_name": ["string", "Name", 40]},
            "maps": [{"name": "P", "target": "sys_user", "fields": {"name": "u_name"}}],
        },
        "u_things_import": {"columns": {"u_name": "string"}, "maps": []},
    },
}


def test_staging_tables_and_attachments_are_examined_and_no_map_is_not_no_role(sick: tuple[Running, Project]) -> None:
    """What is wrong in a map needs the role to be seen; without it the role is what to ask for."""
    sandbox, project = sick
    sandbox.seed(IMPORTS_SEED, force=True)
    (project.folder / "specs" / "estate.yaml").write_text(IMPORTS)
    (project.folder / "specs" / "paper.txt").write_text("paper")
    environment(project, sandbox.url)
    code, findings = doctor(project, sandbox.password)
    found = wrong(findings)
    assert code == Exit.SPEC
    assert has(found, "staging", 'u_people_import has no column "u_nmae"', 'did you mean "u_name"?')
    assert has(found, "staging", "gives none", "labels: {u_nmae: ...}")
    assert has(found, "staging", "u_things_import has no active transform map")
    assert has(findings, "attachments", "files of up to 1024 MB")
    assert not has(found, "rights", "CMDB Meta API")
    environment(project, sandbox.url, user="clerk")
    code, findings = doctor(project, "pw")
    assert has(findings, "staging", "transform maps cannot be read", "ask the admin for the role import_transformer")
    assert not has(findings, "staging", "no active transform map")


def test_a_login_that_is_not_there_hides_nothing_that_needs_none(shared: Shared, tmp_path: Path) -> None:
    """The way to the server is examined without it; what needs it is told as not checked."""
    project = Project(tmp_path / "project")
    project.fill(2)
    sandbox = shared.lend(project.folder)
    folder = project.folder / "environments"
    folder.mkdir(exist_ok=True)
    (folder / "local.yaml").write_text(ENVIRONMENT.format(url=sandbox.url, more="settle: 1s", auth=BASIC))
    done = project.run("doctor", "--env", "local", "--format", "json").ends(3)
    findings = json.loads(done.out)["findings"]
    of = {(one["check"], one["level"]) for one in findings}
    assert {("login", "problem"), ("reach", "ok"), ("rights", "skipped"), ("dialect", "skipped")} <= of
    (login,) = [one for one in findings if one["check"] == "login"]
    assert "TEST_PASSWORD" in login["message"]
    assert "export TEST_PASSWORD" in login["fix"]
