"""Files that rows name: found below the spec, hashed, one of a name on each record."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncengine.changes import BadRow, Record, StepRef
from syncengine.errors import Place
from syncengine.planning.attached import Attached
from syncengine.spec import Project, load_specs

SPEC = """syncengine: 1
source: files.csv
steps:
  people:
    staging: imp_user
    key: who
    fields: {user_id: who}
  files:
    attach: {file: "{{ path }}", name: title, if_missing: skip}
    to: {step: people, key: who}
"""


@pytest.fixture
def files(tmp_path: Path) -> Attached:
    """The files of a spec in the folder `specs`."""
    (tmp_path / "specs" / "in").mkdir(parents=True)
    (tmp_path / "specs" / "s.yaml").write_text(SPEC)
    (tmp_path / "specs" / "files.csv").write_text("who,path,title\n")
    for name, text in (("a.txt", "a"), ("b.txt", "b"), ("c[1].txt", "a")):
        (tmp_path / "specs" / "in" / name).write_text(text)
    (tmp_path / "secret.txt").write_text("secret")
    (spec,) = load_specs(Project(tmp_path), [tmp_path / "specs" / "s.yaml"])
    return Attached(spec.steps["files"], tmp_path / "specs", tmp_path)


def row(path: str, *, name: str = "", who: str = "x") -> Record:
    """A row that names a file."""
    values = {"file": path, **({"name": name} if name else {})}
    refs = (("to", StepRef("s.people", who)),)
    return Record("s.files", f"{who}|{path}", "attachment", values, refs, (), (), (), Place("f.csv", 1, 2))


def code(found: list[object]) -> str:
    """The code of the one bad row."""
    (one,) = found
    assert isinstance(one, BadRow)
    return one.problem.code


def test_a_file_becomes_a_record_with_size_and_hash(files: Attached) -> None:
    """Named from the folder of the project; a name with signs of a glob is a name where it is there."""
    (one,) = files.of(row("in/a.txt"))
    assert isinstance(one, Record)
    assert (one.key, one.values["file"], one.values["size"]) == ("x|in/a.txt", "specs/in/a.txt", "1")
    assert (one.values["name"], one.values["content_type"]) == ("a.txt", "text/plain")
    (other,) = files.of(row("in/c[1].txt"))
    assert isinstance(other, Record)
    assert other.values["name"] == "c[1].txt"


@pytest.mark.parametrize(
    "path", ["../secret.txt", "/etc/hostname", "~/x", "in/../../secret.txt", "in\\a.txt", "in/a\x00"]
)
def test_a_path_of_a_row_leads_nowhere_else(files: Attached, path: str) -> None:
    """It is as little trusted as the row."""
    assert code(list(files.of(row(path)))) == "bad-path"


def test_a_link_out_of_the_project_is_refused(files: Attached, tmp_path: Path) -> None:
    """Whatever its name says."""
    (tmp_path / "specs" / "in" / "link.txt").symlink_to("/etc/hostname")
    assert code(list(files.of(row("in/link.txt")))) == "bad-path"


@pytest.mark.covers("ATT-05")
def test_one_name_on_one_record_is_one_file(files: Attached) -> None:
    """The same content is left out; other content is refused; another record has names of its own."""
    assert len(list(files.of(row("in/a.txt", name="n")))) == 1
    assert not list(files.of(row("in/c[1].txt", name="n")))
    assert files.left_out == 1
    assert code(list(files.of(row("in/b.txt", name="n")))) == "two-files-one-name"
    assert len(list(files.of(row("in/b.txt", name="n", who="y")))) == 1
    assert code(list(files.of(row("in/*.txt", name="all")))) == "one-name"
    assert code(list(files.of(row("in/a.txt", name="a/b")))) == "bad-name"


def test_what_is_not_there_is_left_out_where_the_spec_says_so(files: Attached) -> None:
    """Counted, so that a plan can say how many."""
    assert not list(files.of(row("in/none.txt")))
    assert not list(files.of(row("in/none*.txt")))
    assert files.left_out == 2
