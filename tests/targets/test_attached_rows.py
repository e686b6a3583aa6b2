"""Rows that name files, from the command line: what is wrong with a file is found by the plan, its name arrives."""

from __future__ import annotations

import csv
import hashlib
import io
import os

import pytest

from syncengine.changes import Record
from syncengine.errors import Exit, Place
from tests.bench import Bench
from tests.inside import Inside
from tests.targets import test_attach
from tests.targets.rows import FIELDS, person, table

SPEC = """\
syncengine: 1
sources:
  people: {inline: [{who: P1}]}
  files: {file: files.csv, bad_rows: skip}
guards: {max_bad_rows: 100%}
steps:
  people:
    source: people
    staging: {table: u_people_import, marker: u_mark}
    key: who
    fields: {u_mail: "{{ who }}@x.org", u_first: who}
  files:
    source: files
    attach: {file: "{{ path }}", name: title}
    to: {step: people, key: who}
"""
LONG = "n" * 250 + ".txt"


def rows(inside: Inside, *named: tuple[str, str]) -> None:
    """The spec, and rows that name a file and a title for it."""
    table(inside.bench)
    inside.write("specs/s.yaml", SPEC)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([("who", "path", "title"), *(("P1", *one) for one in named)])
    inside.write("specs/files.csv", text.getvalue())


def codes(inside: Inside) -> dict[str, str]:
    """Why files were refused, by the key of their operation."""
    return {one["key"].partition("|")[2]: one["code"] for one in inside.operations() if one["action"] == "rejected"}


@pytest.mark.covers("SRC-42")
def test_what_is_wrong_with_a_file_is_found_by_the_plan_and_the_rest_goes_on(inside: Inside) -> None:
    inside.sandbox.seed({"properties": {"com.glide.attachment.max_size": "1"}}, force=True)
    inside.write("specs/in/good.txt", "good")
    inside.write("specs/in/empty.txt", "")
    inside.write("specs/in/big.txt", b"x" * (1024 * 1024 + 1))
    names = {
        "slash": "a/b.txt",
        "back": "a\\b.txt",
        "line": "a\nb.txt",
        "tab": "a\tb",
        "long": "n" * 300,
        "bom": "\ufeffa",
    }
    for name in names:
        inside.write(f"specs/in/{name}.txt", name)
    wrong = [(f"in/{name}.txt", title) for name, title in names.items()]
    rows(inside, ("in/good.txt", "good.txt"), ("in/none.txt", ""), ("in/empty.txt", ""), ("in/big.txt", ""), *wrong)
    inside.plan().ends()
    found = codes(inside)
    assert (found.pop("in/none.txt"), found.pop("in/empty.txt")) == ("no-file", "empty-file")
    assert found.pop("in/big.txt") == "too-large"
    assert found == {f"in/{name}.txt": "bad-name" for name in names}
    big = next(one for one in inside.operations() if one.get("code") == "too-large")
    assert "the instance takes 1 MB (com.glide.attachment.max_size)" in big["message"]
    inside.apply().ends(Exit.PARTIAL)
    assert [one["file_name"] for one in test_attach.there(inside.bench)] == ["good.txt"]


@pytest.mark.covers("SRC-42", "SEC-25")
def test_a_name_arrives_letter_for_letter_and_adds_no_header(inside: Inside) -> None:
    """Quotes, percent signs, letters of anywhere, what looks like a header or a parameter, and a long one."""
    names = [
        "größe 100%.txt",
        'a"; filename="b.txt',
        "a%0d%0aX-Evil: 1",
        "日本.txt",
        "'; DROP.txt",
        "a&b=c#d?.txt",
        LONG,
    ]
    for number, _ in enumerate(names):
        inside.write(f"specs/in/{number}.txt", f"content {number}")
    rows(inside, *((f"in/{number}.txt", name) for number, name in enumerate(names)))
    inside.plan().ends()
    inside.apply().ends()
    arrived = {one["file_name"]: one["sys_id"] for one in test_attach.there(inside.bench)}
    assert set(arrived) == set(names)
    for number, name in enumerate(names):
        assert test_attach.content(inside.bench, arrived[name]) == f"content {number}".encode()


OUTSIDE = (
    "../../secret.txt",
    "in/../../../secret.txt",
    "/etc/passwd",
    "~/secret.txt",
    "%2e%2e/%2e%2e/secret.txt",
    "..\\..\\secret.txt",
    "C:\\secret.txt",
    "\\\\host\\share\\secret.txt",
    "in/link.txt",
    "in/folder.txt",
    "in/pipe.txt",
    "../../secret.txt.",
    "file:///etc/passwd",
    "in/a.txt\u202e",
)


@pytest.mark.covers("SEC-21", "SEC-23")
def test_a_cell_reads_no_file_outside_the_project(inside: Inside) -> None:
    """Each such row is rejected; what it leads to is neither in the plan nor sent."""
    secret = inside.folder.parent / "secret.txt"
    secret.write_text("CANARY of the machine")
    inside.write("specs/in/a.txt", "fine")
    (inside.folder / "specs" / "in" / "link.txt").symlink_to(secret)
    (inside.folder / "specs" / "in" / "folder.txt").mkdir()
    os.mkfifo(inside.folder / "specs" / "in" / "pipe.txt")
    rows(inside, ("in/a.txt", ""), *((path, "") for path in OUTSIDE))
    inside.plan().ends()
    found = codes(inside)
    assert set(found) == set(OUTSIDE)
    assert set(found.values()) == {"bad-path", "no-file"}
    assert hashlib.sha256(secret.read_bytes()).hexdigest() not in inside.run("show", "p", "--format", "json").out
    inside.apply().ends(Exit.PARTIAL)
    assert [one["file_name"] for one in test_attach.there(inside.bench)] == ["a.txt"]


DECIDED = """\
syncengine: 1
source: {inline: [{who: P1, mail: a}]}
steps:
  people:
    staging: {table: u_people_import, marker: u_mark}
    key: who
    fields: {u_mail: "{{ who }}@x.org", u_first: who}
  files:
    attach: {file: in/a.txt, if_exists: HOW}
    to: {step: people, key: who}
"""


def decided(inside: Inside, how: str = "skip") -> None:
    """A script decides what becomes of the row, so no plan knows the record that its file is for."""
    script = {"when": "onBefore", "if": "u_first=nobody", "do": "error", "message": "no"}
    table(inside.bench, {"name": "People", "target": "sys_user", "fields": FIELDS, "scripts": [script]})
    inside.write("specs/s.yaml", DECIDED.replace("HOW", how))
    inside.write("specs/in/a.txt", "one")


@pytest.mark.parametrize("more", [(), ("--no-stale-check",)])
def test_a_file_that_its_record_has_is_no_drift_where_the_plan_could_not_know_the_record(
    inside: Inside, more: tuple[str, ...]
) -> None:
    """It is compared while applying, for the first time: there already, and not attached again."""
    decided(inside)
    for _ in range(2):
        inside.plan().ends()
        assert [one["action"] for one in inside.operations()] == ["unknown", "attach"]
        inside.apply(*more).ends()
    assert len(test_attach.there(inside.bench)) == 1


@pytest.mark.parametrize(
    ("how", "ends", "contents"),
    [("skip", Exit.PARTIAL, {b"one"}), ("replace", Exit.OK, {b"two"}), ("add", Exit.OK, {b"one", b"two"})],
)
def test_another_content_on_such_a_record_does_what_the_spec_says(
    inside: Inside, how: str, ends: Exit, contents: set[bytes]
) -> None:
    decided(inside, how)
    inside.plan().ends()
    inside.apply().ends()
    inside.write("specs/in/a.txt", "two")
    inside.plan().ends()
    inside.apply().ends(ends)
    files = [test_attach.content(inside.bench, one["sys_id"]) for one in test_attach.there(inside.bench)]
    assert (len(files), set(files)) == (len(contents), contents)
    if how == "skip":
        assert "other-content" in inside.run("report").out


@pytest.mark.covers("SEC-46")
@pytest.mark.parametrize("name", ["../secret.txt", "/etc/hostname", "link.txt"])
def test_a_plan_does_not_choose_a_file_outside_the_project(bench: Bench, name: str) -> None:
    """Even where whoever wrote it knows the file's hash: what is sent lies in the folder that apply runs in."""
    table(bench)
    (bench.place.parent / "secret.txt").write_text("secret")
    (bench.place / "link.txt").symlink_to(bench.place.parent / "secret.txt")
    content = (bench.place / name).read_bytes()
    values = {
        "file": name,
        "name": "x.txt",
        "content_type": "text/plain",
        "size": str(len(content)),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    stolen = Record("s.files", "P1|x", "attachment", values, (("to", test_attach.TO),), (), (), (), Place("p", 1, 0))
    summary = bench.apply(test_attach.plan(bench, person(1), stolen))
    assert (summary.exit, summary.total("rejected"), summary.total("applied")) == (Exit.PARTIAL, 1, 1)
    assert {one.code for one in bench.outcomes(summary.run).values()} == {"", "bad-path"}
    assert not test_attach.there(bench)
