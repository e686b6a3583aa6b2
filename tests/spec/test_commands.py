"""The commands that work on specs: validate, test, schema, graph, init."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from syncengine.cli import graph, init, schema, test, validate
from syncengine.errors import Exit, SpecError
from syncengine.spec import find_project, load_specs
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


def test_a_project_without_specs_says_where_to_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spec that lies beside the project file, a project further down, or the command that starts one."""

    def fix() -> str:
        error = run(validate.command).exception
        assert isinstance(error, SpecError)
        return error.problems[0].fix

    monkeypatch.chdir(tmp_path)
    assert "syncengine init --from FILE" in fix()
    folder(tmp_path, {"inner/syncengine.yaml": "syncengine: 1\nkind: project\n"})
    assert fix().endswith("cd inner")
    folder(tmp_path, {"spec.yaml": GOOD})
    assert fix().endswith("syncengine plan spec.yaml")


def test_a_project_that_is_named_from_above_is_told_to_be_ignored(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its data source, defaults and guards do not hold there."""
    text = GOOD.replace("data_source: Tests\n", "")
    folder(project, {"syncengine.yaml": "syncengine: 1\nkind: project\ndata_source: Tests\n", "specs/s.yaml": text})
    assert run(validate.command, "specs").exit_code == 0
    monkeypatch.chdir(project.parent)
    for path in (project.name, f"{project.name}/specs/s.yaml"):
        error = run(validate.command, path).exception
        assert isinstance(error, SpecError)
        assert [one.code for one in error.problems if one.severity == "warning"] == ["another-project"]
        with pytest.raises(SpecError) as found:
            load_specs(find_project(project.parent), [Path(path)])
        assert found.value.problems[0].fix == f"cd {project.name}"


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


def test_validate_without_the_data_does_not_call_the_columns_right(project: Path) -> None:
    """It is a warning, since specs can be checked without data; the last line says what was not checked."""
    (project / "specs" / "rows.csv").unlink()
    done = run(validate.command)
    assert done.exit_code == 0
    assert "file-not-found" in done.stderr
    assert "fix: Put the file there" in done.stderr
    assert (
        done.stdout
        == "1 spec with 1 step: no mistake found, but 1 source file could not be read: its columns are not checked.\n"
    )
    assert json.loads(run(validate.command, "--format", "json").stdout)["unread"] == ["specs/rows.csv"]


def test_a_file_in_another_encoding_is_told_with_all_that_the_source_needs(project: Path) -> None:
    """Delimiter and encoding at once, not one after the other."""
    (project / "specs" / "rows.csv").write_bytes("k;a\n1;Zürich\n".encode("cp1252"))
    done = run(validate.command)
    assert 'delimiter: ";"' in done.stderr
    assert 'encoding: "cp1252"' in done.stderr
    assert "right" not in done.stdout


def test_no_tests_yet_is_no_failure(project: Path) -> None:
    """A project that has just begun has none, and its CI runs this."""
    folder(project, {"specs/s.yaml": GOOD.partition("tests:")[0]})
    done = run(test.command)
    assert (done.exit_code, done.exception) == (0, None)
    assert "no tests here yet" in done.stdout


def test_a_row_that_is_an_error_is_not_a_row_that_is_left_out(project: Path) -> None:
    """`expect: {t: []}` holds for rows that `when` leaves out, not for rows that break."""
    text = GOOD.replace("source: rows.csv", "source: {file: rows.csv, bad_rows: skip}")
    folder(project, {"specs/s.yaml": text.replace("expect_error: has no key", "expect: {t: []}")})
    done = run(test.command)
    assert isinstance(done.exception, SpecError)
    assert "t: row 1 is an error: The row has no key (k)" in done.stdout


def test_columns_that_tests_give_are_those_of_the_source(project: Path) -> None:
    """In a spec and in a file of its own; what no source has proves nothing."""
    suite = "syncengine: 1\nkind: tests\nspec: ../specs/s.yaml\ntests:\n"
    case = "  none: {given: {source: [{k: 1, aa: 2}]}, expect: {t: []}}\n"
    folder(project, {"tests/s.test.yaml": suite + case})
    done = run(test.command, "tests")
    assert isinstance(done.exception, SpecError)
    (problem,) = done.exception.problems
    assert (problem.code, str(problem.place)) == ("unknown-column", "tests/s.test.yaml:5:34")
    folder(project, {"specs/s.yaml": GOOD + case})
    done = run(test.command, "specs")
    assert isinstance(done.exception, SpecError)
    assert 'There is no column "aa"' in done.exception.problems[0].message


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


def test_a_graph_names_what_a_spec_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table as source, a file by its path in the project, an end of a relation of 4me once."""
    folder(
        tmp_path,
        {
            "specs/s.yaml": """syncengine: 1
data_source: HR
sources: {servers: {servicenow: {table: cmdb_ci_server, fields: [name]}}, pairs: ../data/pairs.csv}
steps:
  cis:
    source: servers
    4me: cis
    key: name
    fields: {Label: name, Product: {const: P}, Status: {const: in_production}}
  pairs:
    source: pairs
    4me: ci_relations
    fields: {CI: {step: cis, key: a}, Related CI: {step: cis, key: b}, Relation Type: {const: child}}
""",
            "data/pairs.csv": "a,b\nx,y\n",
        },
    )
    monkeypatch.chdir(tmp_path)
    assert run(graph.command).stdout.splitlines()[1:] == [
        "  cis: 4me cis from table cmdb_ci_server",
        "  pairs: 4me ci_relations from data/pairs.csv",
        "    CI -> s.cis",
        "    Related CI -> s.cis",
    ]
    assert run(graph.command, "--format", "mermaid").stdout.count("Related CI") == 1


NESTED = """{"vms": [
{"vm": {"name": "vm-1", "guest": {"os": "Linux, old"}}, "disks": [{"label": "1"}], "power": "on"},
{"vm": {"name": "vm-2", "guest": null}, "disks": [], "power": "on"}]}
"""


def test_a_first_spec_follows_objects_in_rows_by_their_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No object is taken for a text or a key; a list of objects is named as what it is."""
    folder(tmp_path, {"vms.json": NESTED})
    monkeypatch.chdir(tmp_path)
    assert run(init.command, "--from", "vms.json").exit_code == 0
    text = (tmp_path / "specs" / "vms.yaml").read_text()
    assert "key: vm.name\n    fields:\n      name: vm.name\n      os: vm.guest.os\n" in text
    assert "bad_rows" not in text
    assert "# disks is a list: a step of its own with  each: disks" in text
    assert run(validate.command).stdout == "1 spec with 1 step: right.\n"
    assert run(test.command).stdout.startswith("ok   vms: a row becomes a CI\n")


def test_the_column_that_is_called_a_name_and_is_the_key_is_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path, {"s.csv": "Switch Name,Serial No.\nsw-1,S1\nsw-2,S2\nsw-3,\n"})
    monkeypatch.chdir(tmp_path)
    assert run(init.command, "--from", "s.csv", "--class", "cmdb_ci_ip_switch").exit_code == 0
    assert "name: Switch Name\n      serial_number: Serial No.\n" in (tmp_path / "specs" / "s.yaml").read_text()


def test_a_data_source_that_is_not_the_projects_stands_in_the_spec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that exist stay as they are, and what was asked for is not dropped."""
    folder(tmp_path, {"a.csv": "name\nx\n", "b.csv": "name\ny\n", "c.csv": "name\nz\n"})
    monkeypatch.chdir(tmp_path)
    run(init.command, "--from", "a.csv", "--data-source", "Network")
    told = run(init.command, "--from", "b.csv", "--data-source", "vCenter").stdout
    run(init.command, "--from", "c.csv")
    specs = {name: (tmp_path / "specs" / f"{name}.yaml").read_text() for name in "abc"}
    assert {name for name, text in specs.items() if "data_source" in text} == {"b"}
    assert "data_source: vCenter\n" in specs["b"]
    assert "note     vCenter is not in sandbox/seed.yaml yet" in told


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
