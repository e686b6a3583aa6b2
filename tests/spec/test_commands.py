"""The commands that work on specs: validate, test, schema, graph, init."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from syncengine.cli import graph, init, schema, test, validate
from syncengine.errors import Exit, SpecError
from tests.spec.helpers import HEAD, folder

GOOD = f"""{HEAD}source: rows.csv
steps:
  t:
    cmdb: cmdb_ci
    key: k
    fields: {{f: a, location: {{find_in: cmn_location, where: {{name: a}}}}}}
    relations: [{{type: "Runs on::Runs", child: {{step: t, key: a}}}}]
tests:
  it works:
    given: {{source: [{{k: 1, a: 0064}}]}}
    find: {{cmn_location: [{{name: 0064, sys_id: abc}}]}}
    expect: {{t: [{{key: 1, class: cmdb_ci, fields: {{f: 0064, location: abc}}, relations: [{{child: 0064}}]}}]}}
  no key:
    given: {{source: [{{a: x}}]}}
    expect_error: has no key
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one spec; the working directory is in it."""
    folder(tmp_path, {"specs/s.yaml": GOOD, "specs/rows.csv": "k,a\n1,2\n"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: object, *args: str) -> Result:
    """A command, in this process."""
    return CliRunner().invoke(command, args)  # type: ignore[arg-type]


def test_validate_says_that_all_is_right(project: Path) -> None:
    """On stdout, with counts."""
    done = run(validate.command)
    assert (done.exit_code, done.stdout) == (0, "1 spec with 1 step: right.\n")


def test_validate_tells_problems_in_every_format(project: Path) -> None:
    """Machine formats end with the exit class; the human one raises for the command line to show."""
    folder(project, {"specs/s.yaml": GOOD.replace("f: a", "f: '::set-env%0A'")})
    done = run(validate.command)
    assert isinstance(done.exception, SpecError)
    found = json.loads(run(validate.command, "--format", "json").stdout)
    (problem,) = found["problems"]
    assert (problem["code"], problem["file"], problem["line"], problem["column"]) == (
        "unknown-column",
        "specs/s.yaml",
        8,
        17,
    )
    assert (found["valid"], found["effect"]) == (False, "Nothing was sent.")
    github = run(validate.command, "--format", "github")
    assert github.exit_code == Exit.SPEC
    assert github.stdout.startswith(
        "::error file=specs/s.yaml,line=8,col=17,title=unknown-column::f: ::set-env%250A  reads"
    )
    assert github.stdout.count("\n") == 1
    suite = ElementTree.fromstring(run(validate.command, "--format", "junit").stdout)
    assert suite.attrib["failures"] == "1"
    assert suite.find("testcase/failure") is not None


def test_tests_run_and_say_what_differs(project: Path) -> None:
    """A difference names step, field, what was expected and what was found."""
    done = run(test.command)
    assert done.exit_code == 0
    assert done.stdout == "ok   s: it works\nok   s: no key\n2 passed, 0 failed.\n"
    folder(
        project, {"specs/s.yaml": GOOD.replace("fields: {f: 0064,", "fields: {f: 64,").replace("has no key", "is blue")}
    )
    done = run(test.command)
    assert isinstance(done.exception, SpecError)
    assert "t.fields.f: expected 64, found 0064" in done.stdout
    assert 'expected an error with "is blue", found: The row has no key (k)' in done.stdout
    assert [str(one.place) for one in done.exception.problems] == ["specs/s.yaml:11:3", "specs/s.yaml:15:3"]


def test_tests_may_stand_in_a_file_of_their_own(project: Path) -> None:
    """`kind: tests`"""
    suite = (
        "syncengine: 1\nkind: tests\nspec: ../specs/s.yaml\ntests:\n  none: {given: {source: []}, expect: {t: []}}\n"
    )
    folder(project, {"tests/s.test.yaml": suite})
    assert run(test.command).stdout.splitlines()[-2:] == ["ok   s: none", "3 passed, 0 failed."]
    assert run(test.command, "tests").stdout.splitlines()[-1] == "1 passed, 0 failed."


def test_a_schema_is_printed_written_and_checked(project: Path) -> None:
    """`--check` fails on a stale or missing file."""
    assert json.loads(run(schema.command, "environment").stdout)["title"] == "syncengine environment"
    assert isinstance(run(schema.command, "--check").exception, SpecError)
    assert run(schema.command, "--write").exit_code == 0
    assert run(schema.command, "--check").exit_code == 0
    (project / "schemas" / "spec.json").write_text("{}")
    done = run(schema.command, "--check")
    assert isinstance(done.exception, SpecError)
    assert len(done.exception.problems) == 1


def test_a_graph_is_text_or_mermaid(project: Path) -> None:
    """Relations are read aloud."""
    assert run(graph.command).stdout.splitlines() == [
        "s  (specs/s.yaml)",
        "  t: cmdb_ci from specs/rows.csv",
        "    Runs on s.t",
        "    location -> cmn_location on the instance",
    ]
    drawn = run(graph.command, "--format", "mermaid").stdout
    assert 'n0["s.t<br>cmdb_ci"]' in drawn
    assert 'n0 -->|"Runs on::Runs"| n0' in drawn


HEADERS = [
    "Host Name,Serial Number,OS,IP,RAM (GB)\nh,s,l,1,2\n",
    'name,2024,true,a.b,it\'s,"q""q",{{x}}\n1,2,3,4,5,6,7\n',
    "x\n1\n",
]


@pytest.mark.parametrize("header", HEADERS)
def test_a_first_spec_is_right_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: str) -> None:
    """Whatever the header is; files that exist are kept."""
    folder(tmp_path, {"data/My Servers.csv": header})
    monkeypatch.chdir(tmp_path)
    done = run(init.command, "--from", "data/My Servers.csv", "--class", "cmdb_ci_server")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "specs" / "my_servers.yaml").read_text()
    uncommented = text.replace("      # FIELD: ", "      u_field: ") if text.count("# FIELD") == 1 else text
    (tmp_path / "specs" / "my_servers.yaml").write_text(uncommented)
    checked = run(validate.command)
    assert checked.stdout == "1 spec with 1 step: right.\n", checked.exception
    again = run(init.command)
    assert again.stdout.count("kept") == 10
