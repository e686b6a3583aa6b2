"""Parts of a plan, and what runs leave behind: nothing that was not asked for, nothing lost."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from syncengine.changes import BadRow
from syncengine.cli import apply, plan, retry
from syncengine.errors import Exit, Place, SpecError
from syncengine.planning.selection import select
from syncengine.spec import find_project, load_specs
from tests.acceptance.project import ROOT
from tests.bench import Bench
from tests.cli.here import SPEC, Here

# ── a part of a plan ────────────────────────────────────────────────────────────────────────────


def test_a_selection_holds_what_was_asked_for_and_what_it_needs(here: Here) -> None:
    """Nothing is on the target yet, so the ends and hosts have to come along."""
    disk = {("servers", "S2"), ("disks", "S2|sda"), ("disks", "S2→S2|sda")}
    for texts, wanted in {
        ("servers=S2",): {("servers", "S2")},
        ("disks=S2|sda",): disk,
        ("uses=S0", "estate.servers=S3"): {("servers", "S0"), ("servers", "S3"), ("apps", "app0"), ("uses", "app0→S0")},
        ("estate.apps",): {("apps", "app0"), ("apps", "app1")},
    }.items():
        assert here.operations(*(part for text in texts for part in ("--select", text))) == wanted


def test_what_is_on_the_target_already_is_not_written_for_the_sake_of_a_selection(here: Here) -> None:
    here.plan()
    here.apply()
    here.write("servers", "serial,name,os", *(f"S{n},srv{n},Alpine" for n in range(4)))
    here.write("disks", "serial,device", *(f"S{n},sda" for n in range(4)), "S2,sdb")
    assert here.operations("--select", "disks=S2|sdb") == {("disks", "S2|sdb"), ("disks", "S2→S2|sdb")}
    told = here.plan("--select", "disks=S2|sdb")
    assert "Only        disks=S2|sdb" in told
    assert "Applied 2 of 2" in here.apply().output
    assert here.bench.rows("cmdb_ci_linux_server", "name=srv2", ("os",))[0]["os"] == "Debian"
    assert here.operations("--select", "servers=S1") == {("servers", "S1")}


def test_the_first_records_of_each_step_are_a_trial(here: Here) -> None:
    assert here.operations("--limit", "1") == {
        ("servers", "S0"),
        ("disks", "S0|sda"),
        ("disks", "S0→S0|sda"),
        ("apps", "app0"),
        ("uses", "app0→S0"),
    }


def test_a_bad_row_stops_only_the_part_that_holds_it(here: Here) -> None:
    """A trial of the first rows works although one far below is not right."""
    here.write("servers", "serial,name,os", "S0,srv0,Debian", ",nameless,Debian", "S2,srv2,Debian")
    assert here.run_main("plan", "--env", "dev") == Exit.SOURCE
    assert here.operations("--select", "servers=S2") == {("servers", "S2")}
    assert ("servers", "S0") in here.operations("--limit", "1", "specs/estate.yaml")
    assert here.run_main("plan", "--env", "dev", "--limit", "2") == Exit.SOURCE


def test_a_selection_that_names_nothing_is_refused_with_all_that_is_wrong(
    here: Here, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = ["--select", "serves", "--select", "estate=S1"]
    assert here.run_main("plan", "--env", "dev", *wrong) == Exit.SPEC
    told = capsys.readouterr().err
    assert 'did you mean "servers"?' in told
    assert "error[ambiguous-selection]" in told
    assert here.run_main("plan", "--env", "dev", "--select", "servers=S", "--select", "disks=S1|sdz") == Exit.SPEC
    told = capsys.readouterr().err
    assert told.count("error[no-such-record]") == 2
    assert "S1|sda" in told


def test_a_part_moves_no_guard_in_percent_and_retires_nothing(here: Here) -> None:
    """One of four records is over thirty percent only when the plan is about all of them; numbers hold."""
    here.spec(SPEC.replace("    key: serial\n", "    key: serial\n    vanished: {do: retire, set: {os: gone}}\n", 1))
    here.plan()
    here.apply()
    here.write("servers", "serial,name,os", "S0,srv0,Alpine")
    here.write("disks", "serial,device", "S0,sda")
    here.write("uses", "app,serial", "app0,S0")
    assert "3 to retire" in here.plan()
    told = here.plan("--select", "servers")
    assert "1 to update." in told
    assert "retire" not in told


def test_the_end_of_a_relation_may_name_records_itself(here: Here) -> None:
    """The servers of another spec name their support group's computer; neither is written, and nothing is refused."""
    (here.folder / "specs" / "base.yaml").write_text(
        "syncengine: 1\ndata_source: T\nsource: {inline: [{n: h1, s: H1, g: c1}]}\nsteps:\n"
        "  sites: {cmdb: cmdb_ci_service, key: g, fields: {name: g}}\n"
        "  hosts:\n    cmdb: cmdb_ci_linux_server\n    key: s\n"
        "    fields: {name: n, serial_number: s, asset_tag: s, managed_by_group: {step: sites, key: g}}\n"
    )
    here.spec(
        "syncengine: 1\ndata_source: T\nsource: {inline: [{app: a1, s: H1}]}\nsteps:\n"
        "  apps:\n    cmdb: cmdb_ci_business_app\n    key: app\n    fields: {name: app}\n"
        '    relations: [{type: "Depends on::Used by", child: {spec: base, step: hosts, key: s}}]\n'
    )
    here.plan("specs/base.yaml")
    assert here.apply().return_value == Exit.OK
    assert "1 to create, 1 to relate." in here.plan("specs/estate.yaml")
    assert here.operations("--select", "estate") == {("apps", "a1"), ("apps", "a1→H1")}


def test_rows_that_replace_each_other_are_planned_all_or_none(tmp_path: Path) -> None:
    """The phone numbers of a person are one group in 4me: to send one of them is to remove the others."""
    shutil.copytree(ROOT / "examples" / "service-desk-4me", tmp_path / "desk")
    specs = load_specs(find_project(tmp_path / "desk"), [tmp_path / "desk" / "desk.yaml"])
    with pytest.raises(SpecError) as refused:
        select(specs, ["work_phones=1002"], None)
    assert refused.value.problems[0].code == "whole-step"
    trial = select(specs, [], 1)
    assert "desk.work_phones" in trial.whole
    assert "desk.people" not in trial.whole
    alone = BadRow("desk.work_phones", "", refused.value.problems[0], Place("people.csv", 9, 0))
    assert trial.wants(alone, 8), "a row that is not right would be missing from its group"
    assert not trial.wants(alone._replace(step="desk.people"), 8)


# ── what a run left behind ──────────────────────────────────────────────────────────────────────


def test_what_was_refused_comes_again_when_it_is_corrected(here: Here) -> None:
    """S3 and S9 are one to the engine: both are refused, with what lives in them."""
    here.write("servers", "serial,name,os", *(f"S{n},srv{n},Debian" for n in range(4)), "S9,srv3,Debian")
    here.write("uses", "app,serial", "app0,S0", "app1,S9")
    told = here.plan()
    assert "5 operations rejected" in told, told
    done = here.apply()
    run = here.newest()
    assert done.return_value == Exit.PARTIAL
    assert f"syncengine retry {run} --yes" in done.output
    again = {("servers", "S3"), ("servers", "S9"), ("disks", "S3|sda"), ("disks", "S3→S3|sda"), ("uses", "app1→S9")}
    assert here.operations("--again", run) == again
    here.write("servers", "serial,name,os", *(f"S{n},srv{n},Debian" for n in range(4)), "S9,srv9,Debian")
    done = here.run(retry.command, "--yes")
    assert done.return_value == Exit.OK, done.output
    assert "Applied 5 of 5" in done.output
    assert here.operations() == set()
    done = here.run(retry.command, "--yes")
    assert (done.return_value, done.output) == (Exit.OK, "No run has left a row behind; nothing to do.\n")


def test_whatever_a_target_refuses_at_random_comes_with_the_retries(here: Here) -> None:
    """Records, what lives in them, relations at them: rounds of refusals, then none; nothing is left or doubled."""
    here.spec(SPEC + "guards: {max_errors: 500}\n")
    here.write("servers", "serial,name,os", *(f"S{n},srv{n},Debian" for n in range(12)))
    here.write("disks", "serial,device", *(f"S{n},sd{d}" for n in range(12) for d in "ab"))
    here.write("apps", "app", *(f"app{n}" for n in range(6)))
    here.write("uses", "app,serial", *(f"app{n % 6},S{n}" for n in range(12)))
    here.plan()
    here.bench.sandbox.faults("api=ire, do=item_errors(0.3)")
    assert here.apply().return_value == Exit.PARTIAL
    for _ in range(2):
        here.run(retry.command, "--yes")
    here.bench.sandbox.clear_faults()
    assert here.run(retry.command, "--yes").return_value == Exit.OK
    assert here.operations() == set()
    inserts = here.bench.inserts()
    assert (inserts["cmdb_ci_linux_server"], inserts["cmdb_ci_disk"], inserts["cmdb_ci_business_app"]) == (12, 24, 6)


def test_a_row_without_a_key_and_one_whose_key_was_corrected_are_found_by_their_number(here: Here) -> None:
    spec = SPEC.replace("  servers: servers.csv\n", "  servers: {file: servers.csv, bad_rows: skip}\n")
    here.spec(spec + "guards: {max_bad_rows: 5}\n")
    here.write("servers", "serial,name,os", "S0,srv0,Debian", ",srv1,Debian", "S2,srv0,Debian", "S3,srv3,Debian")
    here.plan()
    assert here.apply().return_value == Exit.PARTIAL
    here.write("servers", "serial,name,os", "S0,srv0,Debian", "S1,srv1,Debian", "S8,srv8,Debian", "S3,srv3,Debian")
    found = here.operations("--again", here.newest())
    assert {key for step, key in found if step == "servers"} == {"S0", "S1", "S8"}


def test_a_row_that_is_gone_is_told_and_the_others_come_again(here: Here) -> None:
    here.write("servers", "serial,name,os", *(f"S{n},srv{n},Debian" for n in range(4)), "S9,srv3,Debian")
    here.plan()
    assert here.apply().return_value == Exit.PARTIAL
    run = here.newest()
    here.write("servers", "serial,name,os", *(f"S{n},srv{n},Debian" for n in range(4)))
    told = here.run(plan.command, "--again", run).output
    assert "warning[row-gone]" in told
    assert "estate.servers=S9" in told
    assert here.operations("--again", run) == {("servers", "S3"), ("disks", "S3|sda"), ("disks", "S3→S3|sda")}


def test_what_somebody_changed_is_planned_anew_as_the_effect_says(
    here: Here, capsys: pytest.CaptureFixture[str]
) -> None:
    here.plan()
    here.apply()
    here.write("servers", "serial,name,os", "S0,srv0,Alpine", "S1,srv1,Alpine", "S2,srv2,Debian", "S3,srv3,Debian")
    here.plan()
    sys_id = here.bench.rows("cmdb_ci_linux_server", "name=srv1", ("sys_id",))[0]["sys_id"]
    here.bench.change(sys_id, "cmdb_ci_linux_server", os="Arch")
    assert here.run_main("apply", "p", "--yes") == Exit.STALE
    run = here.newest()
    told = capsys.readouterr().err
    effect = "1 of 2 rows changed on the target and were not sent; plan them anew with: "
    assert f"effect: {effect}syncengine plan --again {run}" in told
    assert "os: Arch → Alpine" in here.run(plan.command, "--again", run, "-o", "p2").output
    assert here.run_main("apply", "p", "--yes") == Exit.STALE
    assert f"fix: syncengine plan --again {run}" in capsys.readouterr().err
    assert here.run(apply.command, "p2", "--yes").return_value == Exit.OK
    assert here.operations() == set()


def test_again_is_refused_in_words_where_it_makes_no_sense(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.plan()
    here.apply()
    run = here.newest()
    for arguments, code in {
        ("--again", "20200101-000000-0000"): "no-such-run",
        ("--again", run): "nothing-left",
        ("--again", run, "--select", "servers"): "again-and-more",
        ("--again", run, "specs"): "again-and-more",
    }.items():
        assert here.run_main("plan", *arguments) == Exit.SPEC
        assert f"error[{code}]" in capsys.readouterr().err
    assert here.run_main("retry", run, "--yes") == Exit.OK


def test_again_wants_the_environment_and_the_specs_of_its_run(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.write("uses", "app,serial", "app0,S0", "app1,S77")
    here.plan()
    here.apply()
    run = here.newest()
    assert here.run_main("plan", "--again", run, "--env", "sandbox") == Exit.SPEC
    assert "error[another-environment]" in capsys.readouterr().err
    (here.folder / "environments" / "dev.yaml").write_text(here.environment + "protect: {apply_needs_plan: true}\n")
    assert here.run_main("retry", run, "--yes") == Exit.UNSAFE
    assert f"syncengine plan --again {run} -o FILE" in capsys.readouterr().err
    (here.folder / "specs" / "estate.yaml").unlink()
    assert here.run_main("plan", "--again", run) == Exit.SPEC
    assert "error[spec-gone]" in capsys.readouterr().err


def test_a_run_that_is_open_is_resumed_first(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.plan()
    here.bench.sandbox.faults("api=ire, do=unauthorized")
    assert here.run_main("apply", "p", "--yes") == Exit.AUTH
    here.bench.sandbox.clear_faults()
    run = here.newest()
    assert here.run_main("retry", run, "--yes") == Exit.SPEC
    assert f"fix: syncengine resume {run}" in capsys.readouterr().err
    assert here.run_main("resume", run) == Exit.OK


INCREMENTAL = """\
syncengine: 1
data_source: T
sources:
  people:
    servicenow: {table: sys_user, query: emailISNOTEMPTY, fields: [user_name, title, email], incremental: {lag: 1m}}
steps:
  apps:
    source: people
    cmdb: cmdb_ci_business_app
    key: user_name
    fields: {name: user_name, short_description: title}
"""


class Window(Here):
    """A project with one incremental source."""

    def people(self) -> None:
        rows = [
            {"user_name": f"u{n}", "email": f"u{n}@x.example", "title": "old", "sys_id": f"{n:032x}"}
            for n in range(1, 6)
        ]
        self.bench.sandbox.seed({"records": {"sys_user": rows}}, force=True)
        self.spec(INCREMENTAL)
        self.plan()
        self.apply()

    def change(self, number: int, **values: str) -> None:
        """A user changes, an hour after all else and an hour before anything else."""
        self.bench.sandbox.advance(3600)
        self.bench.change(f"{number:032x}", "sys_user", **values)
        self.bench.sandbox.advance(3600)

    def refuse(self, number: int, title: str) -> str:
        """A change that the target refuses, and a newer one, of u5, that the spec does not read; returns the run."""
        self.change(number, title=title)
        self.change(5, last_name=title)
        self.bench.sandbox.faults("api=ire, do=item_errors(1)")
        self.plan()
        assert self.apply().return_value == Exit.PARTIAL
        self.bench.sandbox.clear_faults()
        return self.newest()

    def description(self, number: int) -> str:
        return self.bench.rows("cmdb_ci_business_app", f"name=u{number}", ("short_description",))[0][
            "short_description"
        ]


@pytest.fixture
def window(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Window:
    made = Window(bench, tmp_path, monkeypatch)
    made.people()
    return made


def test_the_window_moves_over_a_refused_row_and_retry_brings_it_back(window: Window) -> None:
    """Later windows do not read it, every plan names the run until it is done, and retry reads where that run read."""
    run = window.refuse(4, "x")
    for title in ("y", "z"):
        window.change(5, title=title)
        told = window.plan()
        assert f"note: run {run} did not apply 1 operation of estate;" in told
        assert re.search(r"apps +\d .*\n\nPlan: 1 to update\.", told)
        assert window.apply().return_value == Exit.OK
    assert (window.description(4), window.description(5)) == ("old", "z")
    assert "note: run" in window.plan()
    done = window.run(retry.command, run, "--yes")
    assert done.return_value == Exit.OK, done.output
    assert "Applied 1 of 1" in done.output
    assert window.description(4) == "x"
    assert "note: run" not in window.plan()


def test_what_a_retry_leaves_behind_again_comes_with_the_next_one(window: Window) -> None:
    first = window.refuse(4, "x")
    window.bench.sandbox.faults("api=ire, do=item_errors(1)")
    assert window.run(retry.command, first, "--yes").return_value == Exit.PARTIAL
    window.bench.sandbox.clear_faults()
    second = window.newest()
    window.change(1, title="later")
    told = window.plan()
    assert f"note: run {second} did not apply" in told
    assert f"note: run {first} did not apply" not in told
    window.apply()
    assert window.run(retry.command, "--yes").return_value == Exit.OK
    assert window.description(4) == "x"
    assert window.operations() == set()


def test_a_retry_moves_no_window(window: Window) -> None:
    """What changed since is left to the next plan, which reads from where the last one ended."""
    run = window.refuse(4, "x")
    window.change(5, title="y")
    assert window.run(retry.command, run, "--yes").return_value == Exit.OK
    assert window.description(5) == "old"
    assert "1 to update" in window.plan()


def test_a_row_that_a_later_window_reads_all_the_same_is_forgotten(window: Window) -> None:
    """The newest change of a window is the first one of the next; so is a row that changed again."""
    run = window.refuse(4, "x")
    window.change(4, title="z")
    assert f"note: run {run}" in window.plan()
    assert window.apply().return_value == Exit.OK
    assert window.description(4) == "z"
    assert "note: run" not in window.plan()


def test_a_plan_from_the_start_takes_up_what_was_left_behind(window: Window) -> None:
    window.refuse(4, "x")
    assert "note: run" not in window.plan("--full"), "it reads the row itself"
    window.apply()
    assert window.description(4) == "x"
    assert "note: run" not in window.plan()


def test_a_row_without_a_key_brings_back_the_window_that_it_was_in(window: Window) -> None:
    """A table has no numbers of rows that stay, and a rule that a row breaks leaves it without its key."""
    rule = "incremental: {lag: 1m}}\n    bad_rows: skip\n    columns: {title: {required: true}}\n"
    text = INCREMENTAL.replace("incremental: {lag: 1m}}\n", rule) + "guards: {max_bad_rows: 5}\n"
    window.spec(text)
    window.plan()
    assert window.apply().return_value == Exit.OK
    window.change(4, title="")
    window.change(5, last_name="newer")
    window.plan()
    assert window.apply().return_value == Exit.PARTIAL
    run = window.newest()
    window.change(4, title="x")
    window.change(5, last_name="newest")
    window.plan("--select", "apps=u1")
    assert window.run(retry.command, run, "--yes").return_value == Exit.OK
    assert window.description(4) == "x"


def test_a_corrected_spec_reads_the_window_of_the_run_again(window: Window) -> None:
    run = window.refuse(4, "x")
    window.spec(INCREMENTAL.replace("short_description: title", "short_description: title, comments: email"))
    assert window.operations("--again", run) == {("apps", "u4")}
    assert "people: since" in window.run(plan.command, "--again", run).output
