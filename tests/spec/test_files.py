"""Reading files: encodings, sizes, what is no file, random bytes; projects, environments, references between specs."""

# ruff: noqa: E501 (files that stand in one line are easier to compare)

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncengine.credentials import FromEnv, Plain
from syncengine.errors import Position, SpecError
from syncengine.spec import Project, check_specs, find_project, load_environment, load_specs, references
from syncengine.spec.documents import compose, decode
from syncengine.spec.model import BasicAuth, GuardLimits, TokenAuth
from syncengine.spec.nodes import ListNode, MapNode, Scalar
from tests.budget import examples
from tests.spec.helpers import HEAD, folder

GOOD = f"{HEAD}source: rows.csv\nsteps:\n  t: {{cmdb: cmdb_ci, key: k, fields: {{f: a}}}}\n"


def codes(path: Path, data: bytes) -> list[str]:
    """The codes of the problems of one file."""
    (path / "s.yaml").write_bytes(data)
    return [one.code for one in check_specs(Project(path), [path / "s.yaml"]).problems if one.severity == "error"]


@pytest.mark.covers("SPEC-27")
def test_bom_and_line_ends(tmp_path: Path) -> None:
    """Line numbers stay right whatever ends a line."""
    assert codes(tmp_path, b"\xef\xbb\xbf" + GOOD.encode()) == []
    for end in ("\r\n", "\r", "\n"):
        (tmp_path / "s.yaml").write_bytes((GOOD + "wrong: 1\n").replace("\n", end).encode())
        (problem,) = [
            one for one in check_specs(Project(tmp_path), [tmp_path / "s.yaml"]).problems if one.severity == "error"
        ]
        assert problem.place == Position("s.yaml", 6, 1)


@pytest.mark.covers("SPEC-30", "SPEC-55")
def test_a_file_that_is_none(tmp_path: Path) -> None:
    """Too big, a directory, missing, a FIFO, a device: one sentence with the path."""
    assert codes(tmp_path, b"a: " + b"x" * 1024 * 1024) == ["file-too-big"]
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "closed.yaml").write_text(GOOD)
    for path, code in ((tmp_path / "none.yaml", "file-not-found"), (tmp_path / "pipe.yaml", "unreadable-file"),
                       (Path("/dev/zero"), "unreadable-file")):  # fmt: skip
        (problem,) = check_specs(Project(tmp_path), [path]).problems
        assert problem.code == code
        assert path.name in problem.message


@pytest.mark.covers("SPEC-09", "SPEC-10", "SPEC-31", "SPEC-57")
def test_a_bomb_ends_at_once(tmp_path: Path) -> None:
    """Counted before anything is expanded."""
    before = time.process_time()
    deep = b"x-a: " + b"[" * 20_000
    assert codes(tmp_path, deep) == ["too-deep"]
    lists = b"syncengine: 1\nx-a: &a [z,z,z,z,z,z,z,z,z]\n"
    for one, other in zip("bcdefghi", "abcdefgh", strict=True):
        lists += f"x-{one}: &{one} [{','.join([f'*{other}'] * 9)}]\n".encode()
    assert codes(tmp_path, lists) == ["too-many-nodes"]
    assert time.process_time() - before < 2


@settings(max_examples=examples(200), deadline=None)
@given(st.one_of(st.binary(max_size=300), st.integers(0, len(GOOD) * 8).flatmap(
    lambda bit: st.binary(max_size=6).map(lambda more: GOOD.encode()[: bit // 8] + more + GOOD.encode()[bit // 8 + 1 :]))))  # fmt: skip
@pytest.mark.covers("SPEC-57")
def test_random_bytes_are_a_spec_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Never another exception, and every problem has a place."""
    path = tmp_path_factory.mktemp("fuzz")
    (path / "s.yaml").write_bytes(data)
    for one in check_specs(Project(path), [path / "s.yaml"]).problems:
        assert one.place


@given(st.text(alphabet="ab1:-#'\"{}[]&*!|>%@` \n,?~", max_size=40))
@settings(max_examples=examples(300), deadline=None)
def test_a_tree_keeps_texts_and_places(text: str) -> None:
    """Every scalar's place is inside the text."""
    try:
        root = compose(decode(text.encode(), "f"), "f")
    except SpecError:
        return
    waiting: list[Scalar | ListNode | MapNode] = [root]
    while waiting:
        node = waiting.pop()
        assert 1 <= node.position.line <= text.count("\n") + 1
        if isinstance(node, MapNode):
            waiting += [one for pair in node.pairs for one in pair]
        elif isinstance(node, ListNode):
            waiting += node.items


def test_anchors_and_merges_work_inside_a_file(tmp_path: Path) -> None:
    """A key of its own wins over a merged one."""
    text = (f"{HEAD}x-step: &step {{cmdb: cmdb_ci, key: k, fields: {{f: a}}}}\nsource: rows.csv\n"
            "steps:\n  t: {<<: *step, cmdb: cmdb_ci_server}\n  u: *step\n")  # fmt: skip
    folder(tmp_path, {"s.yaml": text, "rows.csv": "k,a\n1,2\n"})
    (made,) = load_specs(Project(tmp_path), [tmp_path / "s.yaml"])
    assert [step.classes for step in made.steps.values()] == [("cmdb_ci_server",), ("cmdb_ci",)]


def test_a_project_is_the_nearest_folder_upwards(tmp_path: Path) -> None:
    """Its defaults and guards hold for all specs; a folder without file is a project, too."""
    project = ("syncengine: 1\nkind: project\nname: inventory\ndata_source: From Project\ndefaults: {timezone: UTC, if_empty: clear, send: multiple, vanished: report}\n"
               "guards: {max_creates: 7, max_retires: 3}\nvars: {zone: z}\n")  # fmt: skip
    text = "syncengine: 1\nsource: rows.csv\nguards: {max_creates: {t: 9}}\nsteps:\n  t: {cmdb: cmdb_ci, key: k, fields: {f: a}}\n"
    folder(tmp_path, {"syncengine.yaml": project, "specs/team/s.yaml": text, "specs/team/rows.csv": "k,a\n1,2\n"})
    found = find_project(tmp_path / "specs" / "team")
    assert (found.root, found.name) == (tmp_path, "inventory")
    (made,) = load_specs(found)
    assert made.name == "team/s"
    step = made.steps["t"]
    assert (step.full_name, step.feed, step.data_source) == ("team/s.t", "team/s.t", "From Project")
    assert step.recipe.if_empty == "clear"
    assert step.vanished.do == "report"
    assert str(made.guards.limit("max_creates", "t")) == "9"
    assert made.guards.limit("max_creates", "other") is None
    assert str(made.guards.limit("max_retires", "t")) == "3"
    assert find_project(tmp_path.parent / "nowhere").file is None
    staged = "syncengine: 1\nsource: rows.csv\nsteps:\n  t: {staging: imp_user, fields: {f: a}}\n"
    folder(tmp_path, {"specs/team/s.yaml": staged})
    assert load_specs(found)[0].steps["t"].options["send"] == "multiple"


ENVIRONMENT = """syncengine: 1
kind: environment
connections:
  servicenow:
    kind: servicenow
    url: HTTPS://Acme.service-now.com./
    auth: {user: sync, password: {env: SN_PASSWORD}}
    permits: 8
    settle: 2s
  xurrent:
    kind: 4me
    url: https://api.4me.com
    account: acme
    auth: {token: {file: token}}
vars: {data_dir: /srv}
protect: {apply_needs_plan: true}
guards: {max_retires: 2%}
show_values: false
"""


def test_an_environment_names_systems(tmp_path: Path) -> None:
    """Typed, with its defaults; a secret is only named."""
    folder(tmp_path, {"environments/prod.yaml": ENVIRONMENT})
    found = load_environment(Project(tmp_path), "prod")
    connection = found.connections["servicenow"]
    assert (connection.name, connection.kind, connection.url) == (
        "servicenow",
        "servicenow",
        "https://acme.service-now.com",
    )
    assert (connection.permits, connection.settle, connection.pin, connection.dialect) == (8, 2.0, True, "enhanced")
    assert isinstance(connection.auth, BasicAuth)
    assert isinstance(connection.auth.user, Plain)
    assert isinstance(connection.auth.password, FromEnv)
    assert isinstance(found.connections["xurrent"].auth, TokenAuth)
    assert (found.protect_apply_needs_plan, found.show_values, found.vars) == (True, False, {"data_dir": "/srv"})
    assert found.guards.max_retires == GuardLimits(found.guards.limit("max_retires", "t"))
    with pytest.raises(SpecError, match='There is no environment "prd"') as caught:
        load_environment(Project(tmp_path), "prd")
    assert caught.value.problems[0].fix == 'Did you mean "prod"?'


@pytest.mark.parametrize(
    ("line", "code", "fix"),
    [
        ("url: acme.service-now.com", "bad-url", "url: https://acme.service-now.com"),
        ("url: http://acme.service-now.com", "plain-http", "url: https://acme.service-now.com"),
        ("url: http://localhost.evil.example", "plain-http", "url: https://localhost.evil.example"),
        ("url: https://acme.service-now.com/now/nav", "bad-url", "url: https://acme.service-now.com"),
        ("url: https://acme.service-now.com?x=1", "bad-url", "url: https://acme.service-now.com"),
        ("url: https://user:CANARY@acme.service-now.com", "secret-in-file", ""),
        ("url: https://acme.service-now.com:0", "bad-url", "url: https://acme.service-now.com"),
        ("url: https://acme.service-now.com:99999", "bad-url", "url: https://acme.service-now.com"),
        ("url: ftp://acme.service-now.com", "bad-url", "url: https://acme.service-now.com"),
        ("url: https://", "bad-url", "url: https://acme.service-now.com"),
        ("auth: {user: a, password: CANARY}", "secret-in-file", "password: {env: SN_PASSWORD}\nIf this file was ever pushed, change the password."),
        ("auth: {user: a}", "bad-auth", "auth: {user: {env: SN_USER}, password: {env: SN_PASSWORD}}"),
        ("auth: {user: a, password: {env: A, file: b}}", "bad-secret", ""),
        ("auth: {user: a, password: {env: A B}}", "bad-name", ""),
        ("permits: 100", "out-of-range", ""),
        ("kind: snow", "unknown-word", ""),
    ],
)  # fmt: skip
@pytest.mark.covers("SPEC-46", "SPEC-50", "SEC-01", "SEC-11", "SEC-12")
def test_a_connection_that_is_wrong(tmp_path: Path, line: str, code: str, fix: str) -> None:
    """Refused with the corrected form; no secret is repeated."""
    key = line.partition(":")[0]
    lines = {
        "kind": "kind: servicenow",
        "url": "url: https://acme.service-now.com",
        "auth": "auth: {user: a, password: {env: A}}",
    }
    lines[key] = line
    text = "syncengine: 1\nkind: environment\nconnections:\n  sn:\n" + "".join(f"    {one}\n" for one in lines.values())
    folder(tmp_path, {"environments/e.yaml": text})
    with pytest.raises(SpecError) as caught:
        load_environment(Project(tmp_path), "e")
    (problem,) = caught.value.problems
    assert (problem.code, problem.fix) == (code, fix)
    assert "CANARY" not in repr(problem)


@pytest.mark.parametrize(
    "url", ["http://localhost:8080", "http://127.0.0.1:1", "https://[::1]:8443", "https://münchen.example"]
)
@pytest.mark.covers("SPEC-50")
def test_a_url_that_is_right(tmp_path: Path, url: str) -> None:
    """Loopback may be plain; a name in letters is written as it is sent."""
    text = f"syncengine: 1\nkind: environment\nconnections:\n  sn: {{kind: servicenow, url: '{url}', auth: {{user: a, password: {{env: A}}}}}}\n"
    folder(tmp_path, {"environments/e.yaml": text})
    found = load_environment(Project(tmp_path), "e").connections["sn"].url
    assert found == url.replace("münchen", "xn--mnchen-3ya")


def test_a_spec_refers_to_another_one(tmp_path: Path) -> None:
    """By name, or by its file beside it; the other one is found when it is not among the planned ones."""
    other = f"{HEAD}source: rows.csv\nsteps:\n  servers: {{cmdb: cmdb_ci_server, key: [k, a], fields: {{f: a}}}}\n"
    text = f"{HEAD}source: rows.csv\nsteps:\n  t:\n    relation: a::b\n    parent: {{spec: SPEC, step: servers, key: [k, a]}}\n    child: {{find_in: cmdb_ci, where: {{name: a}}}}\n"
    for name in ("team/other", "other"):
        folder(
            tmp_path,
            {
                "specs/team/other.yaml": other,
                "specs/team/s.yaml": text.replace("SPEC", name),
                "specs/team/rows.csv": "k,a\n1,2\n",
            },
        )
        project = Project(tmp_path)
        (made,) = load_specs(project, [tmp_path / "specs/team/s.yaml"])
        assert made.steps["t"].references[0].step == "team/other.servers"
        assert [one.name for one in references(project, [made])] == ["team/other"]
        assert references(project, load_specs(project)) == []


@pytest.mark.covers("SPEC-33")
def test_two_specs_of_one_name_are_refused(tmp_path: Path) -> None:
    """Both files are named."""
    folder(tmp_path, {"specs/a.yaml": GOOD + "name: same\n", "specs/b.yaml": GOOD + "name: same\n"})
    with pytest.raises(SpecError, match=r"Two specs are named .same.: specs/a.yaml and this one"):
        load_specs(Project(tmp_path))


def test_shared_maps_and_variables(tmp_path: Path) -> None:
    """A shared file gives maps, and is part of the digest; a variable must be set somewhere."""
    shared = "syncengine: 1\nkind: shared\nmaps: {status: {live: 1}}\n"
    text = f"{HEAD}use: shared/maps.yaml\nvars: {{zone: z}}\nsource: '{{{{ vars.folder }}}}/rows.csv'\nsteps:\n  t: {{cmdb: cmdb_ci, key: k, fields: {{f: {{from: a, map: status}}}}}}\n"
    environment = ENVIRONMENT.replace("data_dir", "folder")
    folder(tmp_path, {"s.yaml": text, "shared/maps.yaml": shared, "environments/e.yaml": environment})
    (one,) = load_specs(Project(tmp_path), [tmp_path / "s.yaml"])
    folder(tmp_path, {"shared/maps.yaml": shared.replace("live: 1", "live: 2")})
    (other,) = load_specs(Project(tmp_path), [tmp_path / "s.yaml"])
    assert one.digest != other.digest
    folder(tmp_path, {"environments/e.yaml": ENVIRONMENT})
    with pytest.raises(SpecError, match='There is no variable "folder" in vars'):
        load_specs(Project(tmp_path), [tmp_path / "s.yaml"])


def test_fifty_specs_are_read_together(tmp_path: Path) -> None:
    """Folders are walked in order; environments, tests and other YAML are left alone."""
    files = {f"specs/team{n % 5}/s{n:02}.yaml": GOOD for n in range(50)}
    files |= {f"specs/team{n}/rows.csv": "k,a\n1,2\n" for n in range(5)}
    folder(
        tmp_path,
        {**files, "environments/e.yaml": ENVIRONMENT, "specs/team1/.hidden.yaml": "a: [", "specs/tests/x.yaml": "a: ["},
    )
    before = time.process_time()
    found = load_specs(Project(tmp_path), [tmp_path])
    assert time.process_time() - before < 5
    assert [one.name for one in found] == sorted(f"team{n % 5}/s{n:02}" for n in range(50))


@pytest.mark.covers("SPEC-45", "SPEC-53", "SPEC-56")
def test_what_a_spec_cannot_be_without_or_go_beyond(tmp_path: Path) -> None:
    """Shared files name no further files; a CI step has a key; the digest is of what was read, not of what the file is later."""
    shared = "syncengine: 1\nkind: shared\nuse: again.yaml\nmaps: {status: {live: 1}}\n"
    folder(tmp_path, {"shared/again.yaml": shared, "rows.csv": "k,a\n1,2\n"})
    assert codes(tmp_path, (GOOD + "use: [shared/again.yaml, shared/again.yaml]\n").encode()) == [
        "duplicate-name",
        "unknown-key",
    ]
    assert codes(tmp_path, GOOD.replace("key: k, ", "").encode()) == ["missing-key"]
    assert codes(tmp_path, GOOD.encode()) == []
    (one,) = load_specs(Project(tmp_path), [tmp_path / "s.yaml"])
    (tmp_path / "s.yaml").write_text(GOOD + "vars: {a: b}\n")
    (other,) = load_specs(Project(tmp_path), [tmp_path / "s.yaml"])
    assert one.digest != other.digest


@pytest.mark.covers("SRC-04")
def test_a_column_that_is_not_there_is_found_before_the_plan(tmp_path: Path) -> None:
    """Missing or renamed: with what was probably meant; a further column is no fault."""
    folder(tmp_path, {"rows.csv": "k,A1,extra\n1,2,3\n"})
    (tmp_path / "s.yaml").write_text(GOOD)
    (problem,) = check_specs(Project(tmp_path), [tmp_path / "s.yaml"]).problems
    assert problem.code == "unknown-column"
    folder(tmp_path, {"rows.csv": "k,a,extra\n1,2,3\n"})
    assert check_specs(Project(tmp_path), [tmp_path / "s.yaml"]).problems == []
    (tmp_path / "rows.csv").unlink()
    (problem,) = check_specs(Project(tmp_path), [tmp_path / "s.yaml"]).problems
    assert (problem.code, problem.severity) == ("file-not-found", "warning")


@pytest.mark.covers("SPEC-54")
def test_more_calls_at_a_time_than_an_instance_can_take_are_refused(tmp_path: Path) -> None:
    """The limit is in the message; sizes of batches are nobody's to write, the engine keeps them within the limits."""
    head = "syncengine: 1\nkind: environment\nconnections:\n  sn:\n    kind: servicenow\n"
    login = "    url: https://acme.service-now.com\n    auth: {user: a, password: {env: A}}\n"
    folder(tmp_path, {"environments/e.yaml": f"{head}{login}    permits: 200\n    batch_size: 5000\n"})
    with pytest.raises(SpecError) as caught:
        load_environment(Project(tmp_path), "e")
    said = {one.code: one.message for one in caught.value.problems}
    assert "from 1 to 64, found 200" in said["out-of-range"]
    assert "batch_size" in said["unknown-key"]
