"""What a user meets at the command line: exit classes, five-part errors, and nothing sent that was not meant."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import orjson
import pytest

from syncengine.cli import COMMANDS
from syncengine.errors import Exit
from tests.inside import ESTATE, Inside
from tests.project import Project
from tests.sandboxed import Shared

ENVIRONMENT = """\
syncengine: 1
kind: environment
connections:
  servicenow:
    kind: servicenow
    url: {url}
    settle: 1s
    auth: {{user: admin, password: {{env: TEST_PASSWORD}}}}
"""


@pytest.fixture
def untouched(tmp_path: Path) -> Project:
    """A project that has called no command yet and has no sandbox."""
    made = Project(tmp_path / "project")
    made.fill(20, apps=3)
    return made


@pytest.fixture
def project(untouched: Project, shared: Shared) -> Project:
    shared.lend(untouched.folder)
    return untouched


def environment(project: Project, name: str, url: str, more: str = "") -> None:
    (project.folder / "environments").mkdir(exist_ok=True)
    (project.folder / "environments" / f"{name}.yaml").write_text(ENVIRONMENT.format(url=url) + more)


def test_the_main_job_plans_applies_and_has_nothing_left_to_do(untouched: Project) -> None:
    """In processes of their own, with a sandbox that each command starts and ends."""
    untouched.process("plan", "-o", "p1", "--detailed-exitcode").ends(2)
    done = untouched.process("apply", "p1", "--yes").ends()
    assert "Applied" in done.out
    again = untouched.process("plan", "--detailed-exitcode").ends()
    assert "nothing to do" in again.out


def test_a_plan_is_the_same_after_everything_but_the_sandbox_is_forgotten(project: Project) -> None:
    project.run("sync", "--yes")
    project.source("apps", "app", "app1", "app9")
    first = project.run("plan", "-o", "p1").ends()
    for path in (project.folder / ".syncengine").iterdir():
        if path.name != "sandbox":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    second = project.run("plan", "-o", "p2").ends()
    assert project.summary("p1") == project.summary("p2")
    assert _hash(first.out) == _hash(second.out)


def _hash(stdout: str) -> str:
    return next(line.split()[1] for line in stdout.splitlines() if line.startswith("Plan "))


@pytest.mark.covers("SPEC-39")
def test_a_misspelt_column_is_a_spec_error_before_anything_is_contacted(untouched: Project) -> None:
    project = untouched
    spec = project.folder / "specs" / "estate.yaml"
    spec.write_text(spec.read_text().replace("os: os", "os: oss"))
    done = project.run("plan").ends(3)
    assert done.has_five_parts()
    assert 'Did you mean "os"?' in done.err
    assert "specs/estate.yaml:13:" in done.err
    assert not (project.folder / ".syncengine").exists()


@pytest.mark.covers("NET-02")
def test_a_dead_server_is_told_with_its_address(project: Project) -> None:
    environment(project, "dead", "http://127.0.0.1:9")
    done = project.run("plan", "--env", "dead", env={"TEST_PASSWORD": "CANARY-7f3a"}).ends(6)
    assert done.has_five_parts()
    assert "127.0.0.1:9" in done.err
    assert "CANARY" not in done.err + done.out


def test_an_environment_called_sandbox_leads_to_no_other_machine(project: Project) -> None:
    """It is what a command takes that was given none; a real address there would be written to unasked."""
    environment(project, "sandbox", "https://acme.service-now.com")
    for command in (["plan"], ["sync", "--yes"], ["doctor"]):
        done = project.run(*command, env={"TEST_PASSWORD": "x"}).ends(3)
        assert done.has_five_parts()
        assert "error[not-a-sandbox]" in done.err
        assert "https://acme.service-now.com" in done.err
    environment(project, "sandbox", "http://127.0.0.1:9")
    project.run("plan", env={"TEST_PASSWORD": "x"}).ends(6)


@pytest.mark.covers("NET-15", "SEC-02")
def test_a_wrong_password_is_told_with_the_user_and_never_shown(project: Project) -> None:
    with project.sandbox() as sandbox:
        environment(project, "local", sandbox.url)
        done = project.run("plan", "--env", "local", env={"TEST_PASSWORD": "CANARY-7f3a"}).ends(5)
    assert done.has_five_parts()
    assert "admin" in done.err
    assert "CANARY" not in done.err + done.out


@pytest.mark.covers("SPEC-47")
def test_a_secret_that_is_not_set_is_named(project: Project) -> None:
    environment(project, "dead", "http://127.0.0.1:9")
    done = project.run("plan", "--env", "dead").ends(3)
    assert "TEST_PASSWORD" in done.err


def test_a_refused_row_leaves_the_rest_applied_and_stands_in_a_file(project: Project) -> None:
    project.source("servers", "serial,name,os", "S0,srv0,Debian", "S1,srv0,Debian")
    project.source("disks", "serial,device", "S0,sda")
    project.source("uses", "app,serial")
    spec = project.folder / "specs" / "estate.yaml"
    spec.write_text(spec.read_text() + "guards: {min_rows: 0}\n")
    planned = project.run("plan", "-o", "p1").ends()
    assert "DUPLICATE_PAYLOAD_RECORDS" in planned.out
    done = project.run("apply", "p1", "--yes").ends(7)
    assert done.has_five_parts()
    (rejects,) = (project.folder / ".syncengine").glob("runs/*/rejects.csv")
    text = rejects.read_text()
    assert "S0" in text
    assert "S1" in text
    header = text.splitlines()[0].split(",")
    assert "advice" in header
    assert {"serial", "name", "os"} <= set(header), "the columns of the source"
    assert stat.S_IMODE(rejects.stat().st_mode) == 0o600


def test_a_plan_with_a_flipped_byte_is_refused(project: Project) -> None:
    project.run("plan", "-o", "p1")
    path = project.folder / "p1"
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + bytes([whole[200] ^ 4]) + whole[201:])
    done = project.run("apply", "p1", "--yes").ends(8)
    assert done.has_five_parts()


@pytest.mark.covers("PROC-28")
def test_a_plan_for_another_system_is_refused(project: Project) -> None:
    project.run("plan", "-o", "p1")
    with project.sandbox() as sandbox:
        environment(project, "sandbox", sandbox.url)
        done = project.run("apply", "p1", "--yes", env={"TEST_PASSWORD": sandbox.password}).ends(8)
    assert "another-system" in done.err


@pytest.mark.covers("PROC-29", "SRC-38")
def test_inputs_that_are_here_and_differ_are_refused_and_absent_ones_are_said(project: Project) -> None:
    project.run("plan", "-o", "p1")
    apps = project.folder / "specs" / "apps.csv"
    before = apps.read_text()
    apps.write_text(before + "late\n")
    done = project.run("apply", "p1", "--yes").ends(8)
    assert "apps.csv" in done.err
    apps.write_text(before)
    spec = project.folder / "specs" / "estate.yaml"
    spec.write_text(spec.read_text() + "vars: {later: more}\n")
    project.run("apply", "p1", "--yes").ends(8)
    spec.unlink()
    done = project.run("apply", "p1", "--yes").ends()
    assert "specs/estate.yaml" in done.err


def test_a_reviewed_plan_of_other_inputs_is_applied_where_that_is_allowed(project: Project) -> None:
    """By the words that the refusal names; what was planned is what is sent."""
    project.run("plan", "-o", "p1")
    spec = project.folder / "specs" / "estate.yaml"
    spec.write_text(spec.read_text().replace("os: os", "os: name"))
    done = project.run("apply", "p1", "--yes").ends(8)
    assert "error[input-changed]: the spec estate is not what the plan was made from" in done.err
    assert "--allow changed-inputs" in done.err
    project.run("apply", "p1", "--yes", "--allow", "changed-inputs").ends()
    assert "20 to update" in project.run("plan").out


def test_what_no_plan_depends_on_may_change_in_a_spec_after_the_review(project: Project) -> None:
    """A remark, a description, a test; nobody needs to review the plan again, or to allow changed inputs."""
    project.run("plan", "-o", "p1")
    spec = project.folder / "specs" / "estate.yaml"
    test = "tests: {empty: {given: {apps: []}, expect: {apps: []}}}\n"
    spec.write_text(f"# a remark\n{spec.read_text()}description: later\n{test}")
    project.run("validate").ends()
    project.run("apply", "p1", "--yes").ends()


def test_a_plan_depends_on_the_variables_of_its_environment(inside: Inside) -> None:
    """A reviewed plan is not what would be planned now; nothing is sent until it is as it was, or that is allowed."""
    inside.estate(1)
    inside.spec(ESTATE.replace("os: os", 'os: "{{ os }} {{ vars.zone }}"') + "vars: {zone: here}\n")
    inside.dial(inside.sandbox.url, more="vars: {zone: north}\n")
    inside.run("plan", "--env", "dev", "-o", "p").ends()
    inside.dial(inside.sandbox.url, more="vars: {zone: south}\n")
    done = inside.run("apply", "p", "--yes").ends(Exit.STALE)
    assert "error[input-changed]: the spec estate is not what the plan was made from" in done.err
    assert inside.sandbox.ledger() == []
    inside.dial(inside.sandbox.url, more="vars: {zone: north}\n")
    inside.run("apply", "p", "--yes").ends()
    assert [row["os"] for row in inside.bench.rows("cmdb_ci_linux_server")] == ["Debian north"]


@pytest.mark.covers("SEC-51")
def test_apply_takes_only_the_plan_whose_hash_was_reviewed(project: Project) -> None:
    printed = _hash(project.run("plan", "-o", "p1").out)
    project.run("apply", "p1", "--yes", "--plan-hash", "0" * 16).ends(8)
    project.run("apply", "p1", "--yes", "--plan-hash", printed).ends()


def test_a_guard_ends_unsafe_names_the_way_past_and_the_waiver_is_in_the_plan(project: Project) -> None:
    spec = project.folder / "specs" / "estate.yaml"
    spec.write_text(spec.read_text() + "guards: {max_creates: {servers: 5}}\n")
    done = project.run("plan", "-o", "p1").ends(10)
    assert "--allow estate.servers.creates=20" in done.err
    project.run("apply", "p1", "--yes").ends(10)
    project.run("plan", "-o", "p2", "--allow", "estate.servers.creates=20").ends()
    assert project.summary("p2")["waivers"] == {"estate.servers.creates": 20}
    project.run("apply", "p2", "--yes").ends()


def test_a_waiver_that_does_not_match_is_told_with_the_number_that_would(project: Project) -> None:
    """At plan and at apply; for exactly the number alone a guard steps aside."""
    spec = project.folder / "specs" / "estate.yaml"
    spec.write_text(spec.read_text() + "guards: {max_creates: {servers: 5}}\n")
    done = project.run("plan", "-o", "p1", "--allow", "servers.creates=19").ends(10)
    assert "found: --allow servers.creates=19, which is another number" in done.err
    assert "--allow estate.servers.creates=20" in done.err
    assert "--allow servers.creates=19 names another number" in " ".join(done.out.split())
    done = project.run("apply", "p1", "--yes", "--allow", "estate.servers.creates=21").ends(10)
    assert "found: --allow estate.servers.creates=21, which is another number" in done.err
    project.run("apply", "p1", "--yes", "--allow", "estate.servers.creates=20").ends()


def test_a_waiver_of_what_is_over_no_limit_is_told(project: Project) -> None:
    """Where a reviewer sees it; nothing else changes by it."""
    done = project.run("plan", "-o", "p1", "--allow", "estate.servers.creates=20").ends()
    assert "warning[waiver-not-needed]: --allow estate.servers.creates=20 was not needed" in done.out
    done = project.run("apply", "p1", "--yes", "--allow", "servers.updates=3").ends()
    assert "--allow servers.updates=3 was not needed: the updates of servers are over no limit" in done.err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["estate.server.creates=1"], "fix: --allow estate.servers.creates=1"),
        (["srvers.creates=1"], "fix: --allow servers.creates=1"),
        (["estate.servers.creates=1", "estate.servers.creates=2"], "two numbers: 1 and 2"),
        (["estate.servers.creates=²"], "is not STEP.GUARD=N"),
        (["changed-inputs"], "changed-inputs is for apply"),
    ],
)
def test_a_waiver_that_means_nothing_is_refused_before_anybody_is_asked(
    untouched: Project, given: list[str], said: str
) -> None:
    """A step that is not there, two numbers for one guard, no number."""
    done = untouched.run("plan", "-o", "p1", *(part for one in given for part in ("--allow", one))).ends(3)
    assert said in done.err
    assert not (untouched.folder / ".syncengine" / "sandbox").exists()


APPS = """\
syncengine: 1
data_source: ImportSet
source: more.csv
steps:
  more:
    cmdb: cmdb_ci_business_app
    key: app
    fields: {name: app}
    relations:
      - {type: "Depends on::Used by", child: {spec: estate, step: servers, key: serial}}
"""


def test_a_reference_to_a_spec_that_is_not_planned_takes_what_is_there_and_makes_nothing(project: Project) -> None:
    (project.folder / "specs" / "more.yaml").write_text(APPS)
    project.source("more", "app,serial", "portal,S3")
    project.run("plan", "specs/more.yaml", "-o", "p1").ends()
    codes = [one["code"] for one in project.operations("p1") if one["action"] == "rejected"]
    assert codes == ["missing-endpoint"]
    project.run("sync", "specs/estate.yaml", "--yes")
    project.run("plan", "specs/more.yaml", "-o", "p2").ends()
    actions = sorted(one["action"] for one in project.operations("p2"))
    assert actions == ["create", "relate", "touched"]
    project.run("apply", "p2", "--yes").ends()
    project.run("plan", "--detailed-exitcode").ends()


def test_apply_asks_and_without_a_person_wants_yes(project: Project) -> None:
    project.run("plan", "-o", "p1")
    done = project.run("apply", "p1").ends(3)
    assert "--yes" in done.err


@pytest.mark.covers("SEC-08")
def test_sensitive_values_are_nowhere_but_on_the_target(project: Project) -> None:
    spec = project.folder / "specs" / "estate.yaml"
    spec.write_text(spec.read_text().replace("os: os", "os: {from: os, sensitive: true}"))
    refused = project.run("plan", "-o", "p1").ends(3)
    assert "SYNCENGINE_PLAN_KEY" in refused.err
    key = {"SYNCENGINE_PLAN_KEY": "a key of more than sixteen"}
    planned = project.run("plan", "-o", "p1", "--all", env=key).ends()
    shown = planned.out + "".join(
        project.run("show", "p1", "--all", "--format", form).out for form in ("human", "json", "markdown")
    )
    assert "Debian" not in shown
    project.run("apply", "p1", "--yes", env={"SYNCENGINE_PLAN_KEY": "another key, as long"}).ends(8)
    project.run("apply", "p1", "--yes", env=key).ends()
    project.run("plan", "--detailed-exitcode", env=key).ends()


def test_a_connection_over_https_with_a_ca_of_its_own(project: Project) -> None:
    folder = project.folder / "elsewhere"
    folder.mkdir()
    with project.start("sandbox", "serve", "--tls", "--data", folder) as process:
        line = process.stdout.readline() if process.stdout else ""
        url = line.split()[2].rstrip(",")
        assert url.startswith("https://"), line
        known = orjson.loads((folder / "run.json").read_bytes())
        environment(project, "tls", url, f"    ca_bundle: {known['ca']}\n")
        secret = {"TEST_PASSWORD": known["password"]}
        project.run("plan", "--env", "tls", "-o", "p1", env=secret).ends()
        project.run("apply", "p1", "--yes", env=secret).ends()
        environment(project, "bare", url)
        refused = project.run("plan", "--env", "bare", env=secret).ends(6)
        assert "ca_bundle" in refused.err
        process.terminate()
        process.communicate()


def test_help_is_there_for_every_command(untouched: Project) -> None:
    project = untouched
    listing = project.run("--help").out
    for name in ("validate", "plan", "show", "apply", "sync", "resume", "status", "sandbox", "schema"):
        assert name in listing
        done = project.run(name, "--help").ends()
        assert "Usage: syncengine" in done.out


def test_help_fits_a_terminal_and_is_what_a_bare_call_says(untouched: Project) -> None:
    project = untouched
    for name in (*COMMANDS, "sandbox serve", "sandbox seed", "sandbox settings", "sandbox faults add"):
        lines = project.run(*name.split(), "--help").out.splitlines()
        assert [line for line in lines if len(line) > 80] == [], name
    for group in ((), ("sandbox",), ("sandbox", "faults")):
        bare = project.run(*group)
        assert (bare.code, bare.err) == (0, "")
        assert bare.out == project.run(*group, "--help").out


def test_fault_rules_need_a_sandbox_that_runs(untouched: Project) -> None:
    """They would be gone with the one that a command starts for itself."""
    for words in (["list"], ["add", "do=reset"], ["clear"]):
        done = untouched.run("sandbox", "faults", *words).ends(3)
        assert done.has_five_parts()
        assert "syncengine sandbox serve" in done.err


def test_the_sandbox_says_what_it_does_not_take(project: Project) -> None:
    rule = project.run("sandbox", "faults", "add", "do=foo")
    name = project.run("sandbox", "settings", "answer.stile=older")
    value = project.run("sandbox", "settings", "answer.style=oldest")
    changed = project.run("sandbox", "settings", "answer.style=older")
    every = project.run("sandbox", "settings")
    for done in (rule, name, value):
        done.ends(3)
        assert done.has_five_parts()
    assert "fix: there are: " in rule.err
    assert "commit_then_reset" in rule.err
    assert 'Did you mean "answer.style"' in name.err
    assert "newer, older" in value.err
    assert changed.out.startswith('answer.style = "older"  (changed)\n')
    assert changed.out.count(" = ") == 1
    assert every.out.count(" = ") > 50
    assert max(map(len, every.out.splitlines())) <= 80


def test_a_class_is_listed_for_people(project: Project) -> None:
    done = project.run("schema", "--class", "cmdb_ci_linux_server", "--fields").ends()
    assert "below cmdb_ci_server" in done.out.splitlines()[0]
    assert "serial_number" in done.out.splitlines()[1]
    assert any(line.startswith("location ") and "cmn_location" in line for line in done.out.splitlines())
    asked = project.run("schema", "--class", "cmdb_ci_linux_server", "--fields", "--env", "sandbox")
    assert "location" in asked.out.splitlines()
    near = project.run("schema", "--class", "cmdb_ci_lunix_server", "--fields").ends(3)
    assert "cmdb_ci_linux_server" in near.err
    project.run("schema", "--fields").ends(3)


def test_a_class_field_or_relation_type_that_is_not_there_is_told_with_near_ones(project: Project) -> None:
    spec = project.folder / "specs" / "estate.yaml"
    good = spec.read_text()
    spec.write_text(good.replace("cmdb_ci_linux_server", "cmdb_ci_lunix_server"))
    wrong = project.run("plan").ends(3)
    line = next(number for number, one in enumerate(spec.read_text().splitlines(), 1) if "cmdb_ci_lunix" in one)
    assert f"at specs/estate.yaml:{line}:" in wrong.err
    assert "cmdb_ci_linux_server?" in wrong.err
    spec.write_text(good.replace("Depends on::Used by", "Lives at::Is home of"))
    wrong = project.run("plan").ends(3)
    assert "unknown-relation-type" in wrong.err
    assert "Runs on::Runs" in wrong.err
    assert "seed it" in project.run("doctor").out


def test_a_usage_error_is_a_spec_error_with_the_way_to_help(project: Project) -> None:
    done = project.run("plan", "--nonsense").ends(3)
    assert done.has_five_parts()
    project.run("plam").ends(3)


def test_values_that_a_map_lacks_are_one_problem_with_their_numbers(project: Project) -> None:
    """One message for all rows, at the line of the map; not one a row."""
    (project.folder / "specs" / "estate.yaml").write_text(
        "syncengine: 1\ndata_source: ImportSet\nsource: servers.csv\nsteps:\n"
        "  servers: {cmdb: cmdb_ci_server, key: k, fields: {name: k, install_status: {from: s, map: {active: 1}}}}\n"
    )
    project.source("servers", "k,s", *(f"a{n},on order" for n in range(12)), "b,xx")
    done = project.run("plan").ends(4)
    assert done.err.count("error[") == 1
    assert "2 values are not in the map" in done.err
    assert "on order (12 rows)" in done.err


def test_a_data_source_that_the_instance_does_not_know_is_one_error(project: Project) -> None:
    """Not one rejected row after the other, and not a plan that has nothing to do."""
    spec = project.folder / "specs" / "estate.yaml"
    spec.write_text(spec.read_text().replace("data_source: ImportSet", "data_source: Imported"))
    done = project.run("plan").ends(3)
    assert "error[unknown-data-source]" in done.err
    assert "choices: {cmdb_ci.discovery_source: [Imported]}" in done.err
    assert done.has_five_parts()


def test_an_empty_source_is_not_told_as_a_target_that_is_as_wanted(project: Project) -> None:
    """min_rows refuses it, and the last line says so."""
    project.source("apps", "app")
    done = project.run("plan", "specs").ends(10)
    assert done.out.rstrip().endswith("A guard refuses it, so nothing of it will be sent.")
    assert "as the specs want it" not in done.out


def test_a_share_of_bad_rows_is_told_as_one_of_rows(project: Project) -> None:
    """The limit counts rows that were read, not records that are ours."""
    (project.folder / "specs" / "estate.yaml").write_text(
        "syncengine: 1\ndata_source: ImportSet\nsource: {file: servers.csv, bad_rows: skip}\n"
        "steps:\n  servers: {cmdb: cmdb_ci_server, key: k, fields: {name: k, ram: {from: r, type: integer}}}\n"
    )
    project.source("servers", "k,r", "a,1", "b,much", "c,more", "d,2")
    done = project.run("plan", "--all").ends(10)
    assert "the limit is 0 (10% of 4 rows)" in done.err
    assert "much" in done.out
