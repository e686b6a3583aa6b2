"""Records whose rows are gone: told, retired when they are due, never by a change of filter or a broken source."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncengine.sandbox.process import Running
from tests.project import Project
from tests.sandboxed import Shared

SPEC = """\
syncengine: 1
data_source: ImportSet
source: {{file: servers.csv, bad_rows: skip}}
guards: {{max_retires: 5, max_bad_rows: 5}}
steps:
  servers:
    cmdb: cmdb_ci_linux_server
    key: serial
    when: {{os: {{not: Windows}}}}
    fields: {{name: name, serial_number: serial}}
    vanished: {rule}
"""
RETIRE = '{do: retire, set: {install_status: "7"}'


class Estate:
    """Servers that a spec has written, one of which will go."""

    def __init__(self, project: Project, running: Running) -> None:
        self.project = project
        self.running = running

    def spec(self, rule: str) -> None:
        """What becomes of vanished records."""
        (self.project.folder / "specs" / "estate.yaml").write_text(SPEC.format(rule=rule))

    def servers(self, *rows: tuple[str, str, str]) -> None:
        """What the source has."""
        self.project.source("servers", "serial,name,os", *map(",".join, rows))

    def plan(self) -> tuple[list[tuple[str, str]], list[str]]:
        """Action and key of every operation that changes something; codes and texts of the notes."""
        self.project.run("plan", "-o", "p").ends()
        said = self.project.operations("p")
        changes = [(one["action"], one.get("key", "")) for one in said if one["action"] not in ("unchanged", "touched")]
        return changes, [f"{note['code']}: {note['message']}" for note in self.project.summary("p")["notes"]]

    def apply(self) -> None:
        """Apply the last plan."""
        self.project.run("apply", "p", "--yes").ends()


THREE = (("S1", "a", "Debian"), ("S2", "b", "Debian"), ("S3", "c", "Debian"))


@pytest.fixture
def estate(shared: Shared, tmp_path: Path) -> Estate:
    """Three servers on the target."""
    project = Project(tmp_path / "project")
    made = Estate(project, shared.lend(project.folder))
    made.spec(RETIRE + "}")
    made.servers(*THREE)
    made.plan()
    made.apply()
    return made


def test_a_record_whose_row_is_gone_is_retired_once(estate: Estate) -> None:
    """With what a retired record looks like, as a change that a reviewer sees; then there is nothing left to do."""
    estate.servers(*THREE[:2])
    changes, _ = estate.plan()
    assert changes == [("retire", "S3")]
    shown = estate.project.run("show", "p").out
    assert "- cmdb_ci_linux_server S3" in shown
    assert "install_status" in shown
    estate.apply()
    assert estate.plan()[0] == []
    estate.servers(*THREE)
    assert estate.plan()[0] == []


def test_a_row_that_a_filter_leaves_out_is_not_gone_unless_that_is_said(estate: Estate) -> None:
    """Changing a filter must not retire half a CMDB."""
    estate.servers(*THREE[:2], ("S3", "c", "Windows"))
    assert estate.plan() == ([], [])
    estate.spec(RETIRE + ", include_filtered: true}")
    assert estate.plan()[0] == [("retire", "S3")]


def test_a_source_with_broken_rows_retires_nothing_and_says_so(estate: Estate) -> None:
    """A row without its key may be the one that is missing."""
    estate.servers(*THREE[:2], ("", "c", "Debian"))
    changes, notes = estate.plan()
    assert [change for change in changes if change[0] == "retire"] == []
    assert any(note.startswith("vanished-unknown") for note in notes)


def test_what_is_only_reported_is_named_and_kept(estate: Estate) -> None:
    """vanished: report."""
    estate.spec("report")
    estate.servers(*THREE[:2])
    changes, notes = estate.plan()
    assert changes == []
    assert notes == ["vanished: 1 records of estate.servers are no longer in the source and are kept: S3"]


def test_a_record_is_retired_only_after_the_runs_that_the_spec_wants(estate: Estate) -> None:
    """Runs are counted in the state of the project; a row that comes back starts anew."""
    estate.spec(RETIRE + ", after: 3 runs}")
    estate.servers(*THREE[:2])
    for _ in range(2):
        changes, notes = estate.plan()
        assert changes == []
        assert notes[0].endswith("are kept until they are missing in 3 runs: S3")
        estate.apply()
    assert estate.plan()[0] == [("retire", "S3")]
    estate.servers(*THREE)
    estate.plan()
    estate.apply()
    estate.servers(*THREE[:2])
    assert estate.plan()[0] == []


def test_a_record_that_has_another_key_now_is_not_retired(estate: Estate) -> None:
    """The source renamed it; the target still finds it by what identifies it."""
    estate.spec(RETIRE + "}")
    spec = estate.project.folder / "specs" / "estate.yaml"
    spec.write_text(spec.read_text().replace("key: serial", 'key: "new-{{ serial }}"'))
    changes, _ = estate.plan()
    assert [change for change in changes if change[0] in ("retire", "rejected")] == []


def test_too_many_that_have_vanished_stop_the_plan(estate: Estate) -> None:
    """The guard counts them before anything is written."""
    spec = estate.project.folder / "specs" / "estate.yaml"
    spec.write_text(spec.read_text().replace("max_retires: 5", "max_retires: 1"))
    estate.servers(THREE[0])
    done = estate.project.run("plan", "-o", "p").ends(10)
    assert "max_retires" in done.err


UPLINKS = """\
syncengine: 1
data_source: ImportSet
source: servers.csv
guards: {{max_retires: 5}}
steps:
  servers:
    cmdb: cmdb_ci_linux_server
    key: serial
    fields: {{name: name, serial_number: serial}}
    vanished: {{do: retire, set: {{install_status: "7"}}}}
    relations:
      - {{type: "Connects to::Connected by", child: {{step: servers, key: os{more}}}}}
"""


def test_a_relation_to_what_has_no_row_any_more_is_told_the_same_way_before_and_after_it_is_retired(
    estate: Estate,
) -> None:
    """Rejected, in words that are true; or left out, where the spec says so."""
    spec = estate.project.folder / "specs" / "estate.yaml"
    spec.write_text(UPLINKS.format(more=""))
    estate.servers(("S1", "a", ""), ("S2", "b", "S1"), ("S3", "c", "S1"))
    estate.plan()
    estate.apply()
    estate.servers(("S2", "b", "S1"), ("S3", "c", ""))
    for expected in ([("rejected", ""), ("retire", "S1")], [("rejected", "")]):
        changes, _ = estate.plan()
        assert sorted(changes) == expected
        shown = " ".join(estate.project.run("show", "p").out.split())
        assert "child S1 has no row in its source any more (the target still has the record)" in shown
        assert "if_missing: omit" in shown
        estate.project.run("apply", "p", "--yes").ends(7)
    spec.write_text(UPLINKS.format(more=", if_missing: omit"))
    assert estate.plan()[0] == []
    spec.write_text(UPLINKS.format(more=", if_missing: skip_row"))
    assert estate.plan()[0] == []
    assert estate.project.summary("p")["counts"]["estate.servers"]["filtered"] == 1
