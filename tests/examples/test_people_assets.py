"""People by single inserts, assets many at once, a file for each asset: the whole road on the command line."""

from __future__ import annotations

from tests.examples.conftest import Examples

FOLDER = "examples/people-assets"


def test_people_assets_and_files_are_planned_applied_and_then_as_wanted(project: Examples) -> None:
    """The second plan has nothing to do; a row that changes in the source is one update."""
    project.run("validate", FOLDER).ends(0)
    first = project.plan(FOLDER, "first.plan", 2)
    assert (first.total("create"), first.total("attach")) == (6, 3)
    assert {line["basis"] for line in first.of("create")} == {"predicted"}
    project.apply("first.plan", 0)
    second = project.plan(FOLDER, "second.plan", 0)
    assert second.total("unchanged") == 9
    assets = project.folder / FOLDER / "data" / "assets.csv"
    assets.write_text(assets.read_text().replace("ThinkPad X1,PF3K1A02,E1002", "ThinkPad T14,PF3K1A02,E1003"))
    third = project.plan(FOLDER, "third.plan", 2)
    (change,) = third.of("update")
    assert change["before"] == {"u_model": "ThinkPad X1", "u_owner": "bo.chen@company.com"}
    project.apply("third.plan", 0)
    assert project.plan(FOLDER, "fourth.plan", 0).total("unchanged") == 9


def test_a_file_that_is_not_there_is_told_with_its_row(project: Examples) -> None:
    """All of them at once; `if_missing: skip` leaves them out. Paths of the source lead nowhere else."""
    folder = project.folder / FOLDER
    (folder / "data" / "labels" / "A-0002.txt").unlink()
    said = project.run("plan", FOLDER).ends(4).err
    assert "error[no-file]: there is no file data/labels/A-0002.txt beside the spec" in said
    assert "assets.csv row 2" in said
    spec = folder / "people.yaml"
    text = spec.read_text()
    said = 'attach: {file: "data/labels/{{ tag }}.txt", if_missing: skip}'
    spec.write_text(text.replace('attach: "data/labels/{{ tag }}.txt"', said))
    assert project.plan(FOLDER, "first.plan", 2).total("attach") == 2
    (folder / "data" / "assets.csv").write_text("tag,model,serial,owner\n../../../x,M,S,E1001\n")
    assert "error[bad-path]" in project.run("plan", FOLDER).ends(4).err


def test_a_glob_attaches_all_that_it_finds(project: Examples) -> None:
    """One operation each, in the order of their names; a folder that leads out of the project is refused."""
    folder = project.folder / FOLDER
    labels = folder / "data" / "labels"
    for name in ("A-0001-back.txt", "A-0001-front.txt"):
        (labels / name).write_text(name)
    spec = folder / "people.yaml"
    spec.write_text(spec.read_text().replace('"data/labels/{{ tag }}.txt"', '"data/labels/{{ tag }}*.txt"'))
    plan = project.plan(FOLDER, "first.plan", 2)
    names = [line["values"]["name"] for line in plan.of("attach")]
    assert names == ["A-0001-back.txt", "A-0001-front.txt", "A-0001.txt", "A-0002.txt", "A-0003.txt"]
    project.apply("first.plan", 0)
    assert project.plan(FOLDER, "second.plan", 0).total("unchanged") == 11
    (labels / "A-0003.txt").unlink()
    (labels / "A-0003.txt").symlink_to("/etc/hostname")
    assert "leads out of the project" in project.run("plan", FOLDER).ends(4).err
