"""Parts of a plan, and what runs leave behind: nothing that was not asked for, nothing lost."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from syncengine import pipeline
from syncengine.changes import BadRow
from syncengine.errors import Exit, Place, SpecError
from syncengine.planning.selection import select
from syncengine.spec import find_project, load_specs
from tests.bench import Bench
from tests.cli.here import Here
from tests.command_line import ROOT
from tests.project import SPEC

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
        assert here.planned(*(part for text in texts for part in ("--select", text))) == wanted


def test_what_is_on_the_target_already_is_not_written_for_the_sake_of_a_selection(here: Here) -> None:
    here.plan()
    here.apply()
    here.source("servers", "serial,name,os", *(f"S{n},srv{n},Alpine" for n in range(4)))
    here.source("disks", "serial,device", *(f"S{n},sda" for n in range(4)), "S2,sdb")
    assert here.planned("--select", "disks=S2|sdb") == {("disks", "S2|sdb"), ("disks", "S2→S2|sdb")}
    told = here.plan("--select", "disks=S2|sdb").told
    assert "Only        disks=S2|sdb" in told
    assert "Applied 2 of 2" in here.apply().told
    assert here.bench.rows("cmdb_ci_linux_server", "name=srv2", ("os",))[0]["os"] == "Debian"
    assert here.planned("--select", "servers=S1") == {("servers", "S1")}


def test_the_first_records_of_each_step_are_a_trial(here: Here) -> None:
    assert here.planned("--limit", "1") == {
        ("servers", "S0"),
        ("disks", "S0|sda"),
        ("disks", "S0→S0|sda"),
        ("apps", "app0"),
        ("uses", "app0→S0"),
    }


@pytest.mark.parametrize(
    ("source", "more"),
    [
        ("apps.csv", ""),
        ("{servicenow: {table: cmn_location, fields: [name]}}", ""),
        ("apps.csv", "guards: {min_rows: 1200}\n"),
        ("{sql: {query: SELECT name FROM 'apps.csv'}}", ""),
    ],
)
def test_a_trial_of_the_first_records_is_the_same_whether_the_rest_is_read_or_not(
    here: Here, monkeypatch: pytest.MonkeyPatch, source: str, more: str
) -> None:
    """Operations, hashes of files and guards; only the number of rows that were read is another one."""
    here.source("apps", "name", *(f"app{n:04}" for n in range(1_999)), "app0000")
    places = [{"name": f"app{n:04}", "sys_id": f"{n:032x}"} for n in range(1_999)]
    here.bench.sandbox.seed({"records": {"cmn_location": places}}, force=True)
    step = "{cmdb: cmdb_ci_business_app, key: name, fields: {name: name}}"
    here.spec(f"syncengine: 1\ndata_source: ImportSet\nsource: {source}\nsteps: {{apps: {step}}}\n{more}")
    short = trial(here)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "enough", lambda *_: {})
        whole = trial(here)
    assert len(short["operations"]) == 3
    assert short["operations"] == whole["operations"]
    assert short["guards"] == whole["guards"] == []
    if "servicenow" not in source:
        assert short["inputs"] == whole["inputs"]
    rows = 2_000 if "sql" in source else 1_500 if more else 500
    assert (short["rows"], whole["rows"]) == (rows, 1_999 if "servicenow" in source else 2_000)


def trial(here: Here) -> dict[str, Any]:
    """A plan of the first three records."""
    header, *operations, summary = here.plan("--limit", "3", "--format", "json").ends().lines
    return {
        "inputs": [(one["name"], one["sha256"]) for one in header["header"]["inputs"]],
        "operations": [one["operation"] for one in operations],
        "guards": summary["guards"],
        "rows": summary["counts"]["estate.apps"]["rows"],
    }


def test_a_bad_row_stops_only_the_part_that_holds_it(here: Here) -> None:
    """A trial of the first rows works although one far below is not right."""
    here.source("servers", "serial,name,os", "S0,srv0,Debian", ",nameless,Debian", "S2,srv2,Debian")
    here.run("plan", "--env", "dev").ends(Exit.SOURCE)
    assert here.planned("--select", "servers=S2") == {("servers", "S2")}
    assert ("servers", "S0") in here.planned("--limit", "1", "specs/estate.yaml")
    here.run("plan", "--env", "dev", "--limit", "2").ends(Exit.SOURCE)


def test_a_selection_that_names_nothing_is_refused_with_all_that_is_wrong(here: Here) -> None:
    wrong = ["--select", "serves", "--select", "estate=S1"]
    told = here.run("plan", "--env", "dev", *wrong).ends(Exit.SPEC).err
    assert 'did you mean "servers"?' in told
    assert "error[ambiguous-selection]" in told
    told = here.run("plan", "--env", "dev", "--select", "servers=S", "--select", "disks=S1|sdz").ends(Exit.SPEC).err
    assert told.count("error[no-such-record]") == 2
    assert "S1|sda" in told


def test_a_part_moves_no_guard_in_percent_and_retires_nothing(here: Here) -> None:
    """One of four records is over thirty percent only when the plan is about all of them; numbers hold."""
    here.spec(SPEC.replace("    key: serial\n", "    key: serial\n    vanished: {do: retire, set: {os: gone}}\n", 1))
    here.plan()
    here.apply()
    here.source("servers", "serial,name,os", "S0,srv0,Alpine")
    here.source("disks", "serial,device", "S0,sda")
    here.source("uses", "app,serial", "app0,S0")
    assert "3 to retire" in here.plan().told
    told = here.plan("--select", "servers").told
    assert "1 to update." in told
    assert "retire" not in told


def test_the_end_of_a_relation_may_name_records_itself(here: Here) -> None:
    """The servers of another spec name their support group's computer; neither is written, and nothing is refused."""
    (here.folder / "specs" / "base.yaml").write_text(
        "syncengine: 1\ndata_source: ImportSet\nsource: {inline: [{n: h1, s: H1, g: c1}]}\nsteps:\n"
        "  sites: {cmdb: cmdb_ci_service, key: g, fields: {name: g}}\n"
        "  hosts:\n    cmdb: cmdb_ci_linux_server\n    key: s\n"
        "    fields: {name: n, serial_number: s, asset_tag: s, managed_by_group: {step: sites, key: g}}\n"
    )
    here.spec(
        "syncengine: 1\ndata_source: ImportSet\nsource: {inline: [{app: a1, s: H1}]}\nsteps:\n"
        "  apps:\n    cmdb: cmdb_ci_business_app\n    key: app\n    fields: {name: app}\n"
        '    relations: [{type: "Depends on::Used by", child: {spec: base, step: hosts, key: s}}]\n'
    )
    here.plan("specs/base.yaml")
    here.apply().ends()
    assert "1 to create, 1 to relate." in here.plan("specs/estate.yaml").told
    assert here.planned("--select", "estate") == {("apps", "a1"), ("apps", "a1→H1")}


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
    here.source("servers", "serial,name,os", *(f"S{n},srv{n},Debian" for n in range(4)), "S9,srv3,Debian")
    here.source("uses", "app,serial", "app0,S0", "app1,S9")
    told = here.plan().told
    assert "5 operations rejected" in told, told
    done = here.apply()
    run = here.newest()["run"]
    done.ends(Exit.PARTIAL)
    assert f"syncengine retry {run} --yes" in done.told
    again = {("servers", "S3"), ("servers", "S9"), ("disks", "S3|sda"), ("disks", "S3→S3|sda"), ("uses", "app1→S9")}
    assert here.planned("--again", run) == again
    here.source("servers", "serial,name,os", *(f"S{n},srv{n},Debian" for n in range(4)), "S9,srv9,Debian")
    done = here.run("retry", "--yes").ends()
    assert "Applied 5 of 5" in done.told
    assert here.planned() == set()
    done = here.run("retry", "--yes")
    assert (done.code, done.told) == (Exit.OK, "No run has left a row behind; nothing to do.\n")


def test_whatever_a_target_refuses_at_random_comes_with_the_retries(here: Here) -> None:
    """Records, what lives in them, relations at them: rounds of refusals, then none; nothing is left or doubled."""
    here.spec(SPEC + "guards: {max_errors: 500}\n")
    here.source("servers", "serial,name,os", *(f"S{n},srv{n},Debian" for n in range(12)))
    here.source("disks", "serial,device", *(f"S{n},sd{d}" for n in range(12) for d in "ab"))
    here.source("apps", "app", *(f"app{n}" for n in range(6)))
    here.source("uses", "app,serial", *(f"app{n % 6},S{n}" for n in range(12)))
    here.plan()
    here.sandbox.faults("api=ire, do=item_errors(0.3)")
    here.apply().ends(Exit.PARTIAL)
    for _ in range(2):
        here.run("retry", "--yes")
    here.sandbox.clear_faults()
    here.run("retry", "--yes").ends()
    assert here.planned() == set()
    inserts = here.bench.inserts()
    assert (inserts["cmdb_ci_linux_server"], inserts["cmdb_ci_disk"], inserts["cmdb_ci_business_app"]) == (12, 24, 6)


def test_a_row_without_a_key_and_one_whose_key_was_corrected_are_found_by_their_number(here: Here) -> None:
    spec = SPEC.replace("  servers: servers.csv\n", "  servers: {file: servers.csv, bad_rows: skip}\n")
    here.spec(spec + "guards: {max_bad_rows: 5}\n")
    here.source("servers", "serial,name,os", "S0,srv0,Debian", ",srv1,Debian", "S2,srv0,Debian", "S3,srv3,Debian")
    here.plan()
    here.apply().ends(Exit.PARTIAL)
    here.source("servers", "serial,name,os", "S0,srv0,Debian", "S1,srv1,Debian", "S8,srv8,Debian", "S3,srv3,Debian")
    found = here.planned("--again", here.newest()["run"])
    assert {key for step, key in found if step == "servers"} == {"S0", "S1", "S8"}


def test_a_row_that_is_gone_is_told_and_the_others_come_again(here: Here) -> None:
    here.source("servers", "serial,name,os", *(f"S{n},srv{n},Debian" for n in range(4)), "S9,srv3,Debian")
    here.plan()
    here.apply().ends(Exit.PARTIAL)
    run = here.newest()["run"]
    here.source("servers", "serial,name,os", *(f"S{n},srv{n},Debian" for n in range(4)))
    told = here.run("plan", "--again", run).told
    assert "warning[row-gone]" in told
    assert "estate.servers=S9" in told
    assert here.planned("--again", run) == {("servers", "S3"), ("disks", "S3|sda"), ("disks", "S3→S3|sda")}


def test_what_somebody_changed_is_planned_anew_as_the_effect_says(here: Here) -> None:
    here.plan()
    here.apply()
    here.source("servers", "serial,name,os", "S0,srv0,Alpine", "S1,srv1,Alpine", "S2,srv2,Debian", "S3,srv3,Debian")
    here.plan()
    sys_id = here.bench.rows("cmdb_ci_linux_server", "name=srv1", ("sys_id",))[0]["sys_id"]
    here.bench.change(sys_id, "cmdb_ci_linux_server", os="Arch")
    told = here.apply().ends(Exit.STALE).err
    run = here.newest()["run"]
    effect = "1 of 2 rows changed on the target and were not sent; plan them anew with: "
    assert f"effect: {effect}syncengine plan --again {run}" in told
    assert "os: Arch → Alpine" in here.run("plan", "--again", run, "-o", "p2").told
    assert f"fix: syncengine plan --again {run}" in here.run("apply", "p", "--yes").ends(Exit.STALE).err
    here.run("apply", "p2", "--yes").ends()
    assert here.planned() == set()


def test_again_is_refused_in_words_where_it_makes_no_sense(here: Here) -> None:
    here.plan()
    here.apply()
    run = here.newest()["run"]
    for arguments, code in {
        ("--again", "20200101-000000-0000"): "no-such-run",
        ("--again", run): "nothing-left",
        ("--again", run, "--select", "servers"): "again-and-more",
        ("--again", run, "specs"): "again-and-more",
    }.items():
        assert f"error[{code}]" in here.run("plan", *arguments).ends(Exit.SPEC).err
    here.run("retry", run, "--yes").ends()


def test_again_wants_the_environment_and_the_specs_of_its_run(here: Here) -> None:
    here.source("uses", "app,serial", "app0,S0", "app1,S77")
    here.plan()
    here.apply()
    run = here.newest()["run"]
    assert "error[another-environment]" in here.run("plan", "--again", run, "--env", "sandbox").ends(Exit.SPEC).err
    here.dial(here.sandbox.url, more="protect: {apply_needs_plan: true}\n")
    assert f"syncengine plan --again {run} -o FILE" in here.run("retry", run, "--yes").ends(Exit.UNSAFE).err
    (here.folder / "specs" / "estate.yaml").unlink()
    assert "error[spec-gone]" in here.run("plan", "--again", run).ends(Exit.SPEC).err


def test_a_run_that_is_open_is_resumed_first(here: Here) -> None:
    here.plan()
    here.sandbox.faults("api=ire, do=unauthorized")
    here.run("apply", "p", "--yes").ends(Exit.AUTH)
    here.sandbox.clear_faults()
    run = here.newest()["run"]
    assert f"fix: syncengine resume {run}" in here.run("retry", run, "--yes").ends(Exit.SPEC).err
    here.run("resume", run).ends()


INCREMENTAL = """\
syncengine: 1
data_source: ImportSet
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
        self.sandbox.seed({"records": {"sys_user": rows}}, force=True)
        self.spec(INCREMENTAL)
        self.plan()
        self.apply()

    def change(self, number: int, **values: str) -> None:
        """A user changes, an hour after all else and an hour before anything else."""
        self.sandbox.advance(3600)
        self.bench.change(f"{number:032x}", "sys_user", **values)
        self.sandbox.advance(3600)

    def refuse(self, number: int, title: str) -> str:
        """A change that the target refuses, and a newer one, of u5, that the spec does not read; returns the run."""
        self.change(number, title=title)
        self.change(5, last_name=title)
        self.sandbox.faults("api=ire, do=item_errors(1)")
        self.plan()
        self.apply().ends(Exit.PARTIAL)
        self.sandbox.clear_faults()
        return str(self.newest()["run"])

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
        told = window.plan().told
        assert f"note: run {run} did not apply 1 operation of estate;" in told
        assert re.search(r"apps +\d .*\n\nPlan: 1 to update\.", told)
        window.apply().ends()
    assert (window.description(4), window.description(5)) == ("old", "z")
    assert "note: run" in window.plan().told
    done = window.run("retry", run, "--yes").ends()
    assert "Applied 1 of 1" in done.told
    assert window.description(4) == "x"
    assert "note: run" not in window.plan().told


def test_what_a_retry_leaves_behind_again_comes_with_the_next_one(window: Window) -> None:
    first = window.refuse(4, "x")
    window.sandbox.faults("api=ire, do=item_errors(1)")
    window.run("retry", first, "--yes").ends(Exit.PARTIAL)
    window.sandbox.clear_faults()
    second = window.newest()["run"]
    window.change(1, title="later")
    told = window.plan().told
    assert f"note: run {second} did not apply" in told
    assert f"note: run {first} did not apply" not in told
    window.apply()
    window.run("retry", "--yes").ends()
    assert window.description(4) == "x"
    assert window.planned() == set()


def test_a_retry_moves_no_window(window: Window) -> None:
    """What changed since is left to the next plan, which reads from where the last one ended."""
    run = window.refuse(4, "x")
    window.change(5, title="y")
    window.run("retry", run, "--yes").ends()
    assert window.description(5) == "old"
    assert "1 to update" in window.plan().told


def test_a_row_that_a_later_window_reads_all_the_same_is_forgotten(window: Window) -> None:
    """The newest change of a window is the first one of the next; so is a row that changed again."""
    run = window.refuse(4, "x")
    window.change(4, title="z")
    assert f"note: run {run}" in window.plan().told
    window.apply().ends()
    assert window.description(4) == "z"
    assert "note: run" not in window.plan().told


def test_a_plan_from_the_start_takes_up_what_was_left_behind(window: Window) -> None:
    window.refuse(4, "x")
    assert "note: run" not in window.plan("--full").told, "it reads the row itself"
    window.apply()
    assert window.description(4) == "x"
    assert "note: run" not in window.plan().told


def test_a_row_without_a_key_brings_back_the_window_that_it_was_in(window: Window) -> None:
    """A table has no numbers of rows that stay, and a rule that a row breaks leaves it without its key."""
    rule = "incremental: {lag: 1m}}\n    bad_rows: skip\n    columns: {title: {required: true}}\n"
    text = INCREMENTAL.replace("incremental: {lag: 1m}}\n", rule) + "guards: {max_bad_rows: 5}\n"
    window.spec(text)
    window.plan()
    window.apply().ends()
    window.change(4, title="")
    window.change(5, last_name="newer")
    window.plan()
    window.apply().ends(Exit.PARTIAL)
    run = window.newest()["run"]
    window.change(4, title="x")
    window.change(5, last_name="newest")
    window.plan("--select", "apps=u1")
    window.run("retry", run, "--yes").ends()
    assert window.description(4) == "x"


def test_a_corrected_spec_reads_the_window_of_the_run_again(window: Window) -> None:
    run = window.refuse(4, "x")
    window.spec(INCREMENTAL.replace("short_description: title", "short_description: title, comments: email"))
    assert window.planned("--again", run) == {("apps", "u4")}
    assert "people: since" in window.run("plan", "--again", run).told
