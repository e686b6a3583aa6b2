"""The process dies while rows are staged or files are sent; resume finishes it, and nothing is there twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peak import peak_of
from tests.project import Project, kill_when
from tests.sandboxed import Shared

PEOPLE, ASSETS = 6, 230
"""Six single inserts, two import sets, six files."""
MIB = 1024 * 1024


@pytest.fixture
def project(shared: Shared, tmp_path: Path) -> Project:
    """The example of people, assets and files, with more rows."""
    made = Project(tmp_path / "project")
    shared.lend(made.folder)
    made.copy("people-assets")
    people = (f"E{n},F{n},L{n},p{n}@x.org,Paris,," for n in range(PEOPLE))
    made.source("data/people", "employee,first,last,mail,site,team lead,left", *people)
    assets = (f"A-{n},Model,SN{n},E{n % PEOPLE}" for n in range(ASSETS))
    made.source("data/assets", "tag,model,serial,owner", *assets)
    for n in range(6):
        (made.folder / "specs" / "data" / "labels" / f"A-{n}.txt").write_text(f"label {n}")
    spec = made.folder / "specs" / "people.yaml"
    text = spec.read_text().replace(
        '"data/labels/{{ tag }}.txt"', '{file: "data/labels/{{ tag }}.txt", if_missing: skip}'
    )
    spec.write_text(text)
    return made


def finished(project: Project) -> None:
    """Nothing is left to do, and every row and file came once."""
    project.run("plan", "-o", "p2", "--detailed-exitcode").ends()
    with project.sandbox() as sandbox:
        counts = sandbox.counts()
    assert counts["stage"] == {"u_people_import": PEOPLE, "u_asset_import": ASSETS}
    assert (counts["insert"]["sys_user"], counts["insert"]["cmdb_ci_computer"]) == (PEOPLE, ASSETS)
    assert counts["attach"] == {"sys_attachment": 6}


POINTS = [
    ("request.before", 1),
    ("answer.checked", 2),
    ("request.before", PEOPLE + 1),
    ("started.fsync", 1),
    ("answer.checked", PEOPLE + 3),
    ("result.fsync", PEOPLE + 2),
    ("request.before", PEOPLE + 3),
    ("answer.checked", PEOPLE + 6),
    ("intent.fsync", PEOPLE + 4),
]
SAMPLE = {("answer.checked", PEOPLE + 6)}


@pytest.mark.covers("PROC-04")
@pytest.mark.parametrize(
    ("point", "number"), [one if one in SAMPLE else pytest.param(*one, marks=pytest.mark.long) for one in POINTS]
)
def test_a_process_killed_at_a_crash_point_is_resumed(project: Project, point: str, number: int) -> None:
    """Whether the row, the import set or the file had left, came back, or was written down."""
    with project.sandbox():
        project.run("plan", "-o", "p1").ends()
        project.process("apply", "p1", "--yes", env={"CRASH_AT": f"{point}:{number}=kill"}).ends(-9)
        project.run("resume").ends()
        finished(project)


def test_a_process_killed_while_an_import_set_waits_goes_on_with_the_same_set(project: Project) -> None:
    """The set's id was on disk before anybody waited; its rows are not sent again."""
    with project.sandbox() as sandbox:
        project.run("plan", "-o", "p1").ends()
        sandbox.settings(**{"import.start_seconds": 600})
        with project.start("apply", "p1", "--yes") as process:
            kill_when(process, lambda: sandbox.counts().get("stage", {}).get("u_asset_import", 0) >= 200)
        sandbox.settings(**{"import.start_seconds": 0})
        sandbox.advance(700)
        project.run("resume").ends()
        finished(project)


def peak(project: Project, *arguments: str) -> int:
    """The most memory that a command held, in bytes."""
    call, environment = project.command(*arguments)
    done = peak_of(call, project.folder, environment)
    assert done.code == 0, done.err
    return done.bytes


@pytest.mark.covers("ATT-09")
@pytest.mark.parametrize("size", [32 * MIB, pytest.param(200 * MIB, marks=pytest.mark.long)])
def test_a_large_file_takes_no_memory(project: Project, size: int) -> None:
    """Hashed and sent from disk: the run of a large file holds less than 50 MB more than that of a small one."""
    project.source("data/assets", "tag,model,serial,owner", *(f"A-{n},M,S{n},E1" for n in (1, 9)))
    with project.sandbox():
        project.run("plan", "-o", "p1").ends()
        small = peak(project, "apply", "p1", "--yes")
        with (project.folder / "specs" / "data" / "labels" / "A-9.txt").open("wb") as stream:
            for block in range(size // MIB):
                stream.write(block.to_bytes(4, "big") * (MIB // 4))
        planned = peak(project, "plan", "-o", "p2")
        sent = peak(project, "apply", "p2", "--yes")
        assert max(planned, sent) - small < min(50 * MIB, size * 3 // 4)
