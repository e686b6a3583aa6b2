"""A hostile project, hostile data, a hostile server: what may be written where, and who is ever spoken to."""

from __future__ import annotations

import csv
import os
import shutil
import socket
import stat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
import requests

from syncengine.errors import Exit
from syncengine.execution import rejects
from syncengine.sandbox.process import Running
from tests.inside import Inside

EVIL = (
    "../evil", "/etc/evil", "a/../../evil", "C:\\evil", "con", "nul.txt", "n" * 300, "~/evil", "$(evil)", "`evil`",
    "a;evil", "-rf", "--out=evil", "evil\u202e", "%2e%2e%2fevil", "..", ".",
)  # fmt: skip
FORMULAS = ("=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", " =1", '"=1', "'=1", "＝1", "＋1", "\n=1", "=cmd|'/C calc'!A0")


def servers(inside: Inside, values: Any) -> None:
    """One server for each value, which is its key and its name."""
    path = inside.write("specs/servers.csv", "")
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["serial", "name", "os"])
        writer.writerows((f"S{number}", value, value) for number, value in enumerate(values))
    inside.write("specs/estate.yaml", SPEC)


SPEC = """\
syncengine: 1
data_source: ImportSet
source: servers.csv
steps:
  servers:
    cmdb: cmdb_ci_linux_server
    key: name
    fields: {name: name, serial_number: serial, short_description: os}
"""


@pytest.mark.covers("SEC-24")
def test_no_name_of_data_or_of_the_server_becomes_a_path(inside: Inside) -> None:
    """Keys, names, and the messages of a server that refuses; all that is written has a name of ours."""
    servers(inside, EVIL)
    outside = {path for path in inside.folder.parent.rglob("*") if inside.folder not in (path, *path.parents)}
    inside.sandbox.seed({"records": {"sys_dictionary": []}, "properties": {"glide.evil": "../../evil"}}, force=True)
    inside.plan().ends()
    inside.sandbox.faults("api=ire, every=1, seed=1, do=item_errors(0.4)")
    inside.apply().ends(Exit.PARTIAL)
    for form in ("json", "html", "markdown", "junit"):
        inside.run("report", "--format", form).ends()
    run = inside.newest()["run"]
    written = {str(path.relative_to(inside.folder)) for path in inside.folder.rglob("*") if path.is_file()}
    own = {"syncengine.yaml", "environments/dev.yaml", "specs/estate.yaml", "specs/servers.csv", "p"}
    state = {name for name in written - own if not name.startswith(".syncengine/state.db")}
    locks = {name for name in state if name.startswith(".syncengine/locks/")}
    assert state - locks == {f".syncengine/runs/{run}/{name}" for name in ("plan", "rejects.csv")}
    assert all(Path(name).stem.isalnum() for name in locks)
    after = {path for path in inside.folder.parent.rglob("*") if inside.folder not in (path, *path.parents)}
    assert {path for path in after - outside if not path.is_relative_to(inside.bench.place / "state")} == set()


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "/etc/passwd", "a/b"])
@pytest.mark.covers("SEC-24")
def test_the_name_of_a_run_is_a_name(inside: Inside, name: str) -> None:
    for command in ("show", "report", "resume", "unlock"):
        assert inside.run(command, name).code in (Exit.SPEC, Exit.STALE)


@pytest.mark.covers("SEC-40")
def test_what_people_open_in_a_spreadsheet_computes_nothing_and_what_machines_read_is_as_it_is(inside: Inside) -> None:
    """Names, keys and what the server says, at the beginning of a cell or behind quotes, spaces and line ends."""
    for formula in FORMULAS:
        assert rejects._inert(formula) == f"'{formula}"
    for text in ("a=1", "3-2", "", "x@y", "'"):
        assert rejects._inert(text) == text
    names = [f"{formula}#{number}".strip() for number, formula in enumerate(FORMULAS)]
    servers(inside, names)
    inside.plan().ends()
    inside.sandbox.faults("api=ire, every=1, do=code(=2+2)")
    inside.apply()
    (path,) = inside.state.glob("runs/*/rejects.csv")
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(names)
    for row in rows:
        assert not [cell for cell in row.values() if cell.lstrip('"\t\n ').startswith(("=", "+", "-", "@", "＝", "＋"))]
    assert {row["key"].removeprefix("'") for row in rows} == set(names)
    assert {row["code"] for row in rows} == {"'=2+2"}
    lines = [orjson.loads(line) for line in inside.run("show", "p", "--all", "--format", "json").out.splitlines()]
    sent = {line["operation"]["values"]["name"] for line in lines if line["kind"] == "operation"}
    assert sent == set(names)


@pytest.mark.covers("SEC-10")
@pytest.mark.parametrize("planted", [".", "state.db", "state.db-wal", "locks", "runs", "locks/x.lock"])
def test_nothing_is_written_through_a_link_that_came_with_a_project(inside: Inside, planted: str) -> None:
    """As in a repository of somebody else: the file it leads to stays as it is, and nothing is sent."""
    inside.estate(2)
    inside.plan()
    shutil.rmtree(inside.state, ignore_errors=True)
    aim = inside.folder.parent / "aim"
    is_folder = planted in (".", "locks", "runs")
    aim.mkdir() if is_folder else aim.write_text("precious")
    link = inside.state / planted
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(aim)
    said = inside.apply().ends(Exit.STATE)
    assert "error[not-ours]" in said.err
    assert "is a link; nothing is written through it" in said.err
    assert "effect: Nothing was sent." in said.err
    assert list(aim.iterdir()) == [] if is_folder else aim.read_text() == "precious"
    assert inside.sandbox.counts() == {}


@pytest.mark.covers("SEC-10")
def test_a_folder_of_somebody_else_keeps_no_state_of_ours(inside: Inside) -> None:
    if os.geteuid():
        pytest.skip("only root can make folders of others")
    inside.estate(2)
    inside.plan()
    (inside.state).mkdir(exist_ok=True)
    os.chown(inside.state, 12345, 12345)
    inside.monkeypatch.setattr(os, "geteuid", lambda: 4321)
    said = inside.apply()
    assert (said.code, "belongs to another user" in said.err) == (Exit.STATE, True)


@pytest.mark.covers("SEC-10")
def test_the_names_of_unfinished_files_cannot_be_foretold(inside: Inside) -> None:
    """And one that is there all the same, or a link in the place of the result, is not written through."""
    inside.estate(2)
    precious = inside.folder.parent / "precious"
    precious.write_text("precious")
    (inside.folder / "p").symlink_to(precious)
    inside.plan().ends()
    assert precious.read_text() == "precious"
    assert not (inside.folder / "p").is_symlink()


@pytest.mark.covers("SEC-09")
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_files_are_private_from_their_first_moment_whatever_the_mask(
    inside: Inside, mask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file that is opened for writing gets its mode when it is made, never afterwards."""
    made: list[tuple[str, int]] = []
    real = os.open

    def opened(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        if flags & os.O_CREAT:
            made.append((str(path), mode & ~mask))
        return real(path, flags, mode, **more)

    inside.estate(30)
    inside.plan()
    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "chmod", lambda *_: pytest.fail("a mode is changed afterwards"))
    inside.sandbox.faults("api=ire, every=1, seed=1, do=item_errors(0.2)")
    umask = os.umask
    monkeypatch.setattr(os, "umask", lambda _: mask)  # which a command would set for itself
    before = umask(mask)
    try:
        inside.apply().ends(Exit.PARTIAL)
        inside.plan("-o", "q").ends()
    finally:
        umask(before)
    assert len(made) >= 3
    assert {mode for _, mode in made} <= {0o600}
    kept = [inside.folder / "q", *inside.state.rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept if path.is_dir()} <= {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept if path.is_file()} == {0o600}


# ── who is spoken to ────────────────────────────────────────────────────────────────────────────


@pytest.mark.covers("SEC-56")
def test_nobody_is_spoken_to_but_the_configured_host(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a good run, in one that is refused, and in one that breaks."""
    met: set[Any] = set()
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def connected(self: socket.socket, address: Any) -> None:
        met.add(address)
        connect(self, address)

    def resolved(host: Any, port: Any, *more: Any, **named: Any) -> Any:
        met.add((host, port))
        return resolve(host, port, *more, **named)

    monkeypatch.setattr(socket.socket, "connect", connected)
    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    inside.estate(10)
    for command in (
        ["validate"],
        ["plan", "--env", "dev", "-o", "p"],
        ["apply", "p", "--yes"],
        ["doctor", "--env", "dev"],
    ):
        inside.run(*command)
    inside.run("report")
    monkeypatch.setattr("syncengine.cli.plan.planned", lambda *_, **__: 1 / 0)
    inside.run("plan", "--env", "dev").ends(Exit.BUG)
    host = urlsplit(inside.sandbox.url)
    assert met <= {(host.hostname, host.port)}
    assert met


# ── the sandbox ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.covers("SEC-53")
def test_the_sandbox_listens_on_this_machine_only_and_to_its_own_name(sandbox: Running) -> None:
    """Another address of the machine, a name that was rebound to it, another origin, and its controls."""
    parts = urlsplit(sandbox.url)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9)) if _has_route() else None
        own = probe.getsockname()[0]
    if not own.startswith(("127.", "0.")):
        with pytest.raises(OSError), socket.create_connection((own, parts.port or 0), timeout=2):
            pass
    listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    mine = [line.split()[1] for line in listening.splitlines() if f":{parts.port:04X} " in line.split()[1] + " "]
    assert {address.split(":")[0] for address in mine if address} <= {"0100007F"}
    login = (sandbox.user, sandbox.password)
    path = f"{sandbox.url}/api/now/table/cmdb_ci?sysparm_limit=1"
    for host in ("evil.example", f"evil.example:{parts.port}", "127.0.0.1.evil.example", "169.254.169.254"):
        assert requests.get(path, auth=login, headers={"Host": host}, timeout=5).status_code == 421
        control = {"Host": host, "X-Sandbox-Token": sandbox.token}
        assert requests.get(f"{sandbox.url}/__sandbox/ledger", headers=control, timeout=5).status_code == 421
    for method in ("GET", "OPTIONS"):
        answer = requests.request(method, path, auth=login, headers={"Origin": "http://evil.example"}, timeout=5)
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    for name in ("faults", "ledger", "clock", "settings", "identity", "imports", "seed", "reset", "ledger/counts"):
        for token in ({}, {"X-Sandbox-Token": "guess"}, {"X-Sandbox-Token": sandbox.password}):
            for method in ("GET", "POST", "DELETE"):
                answer = requests.request(
                    method, f"{sandbox.url}/__sandbox/{name}", headers=token, auth=login, timeout=5
                )
                assert answer.status_code == 401, (method, name)


def _has_route() -> bool:
    return len(Path("/proc/net/route").read_text().splitlines()) > 1


@pytest.mark.covers("SEC-54")
def test_the_sandbox_is_never_taken_for_the_real_thing_nor_the_reverse(inside: Inside) -> None:
    """A mark in every answer, good or bad, of both services; its plans are for it alone, and it is named."""
    urls = ["/api/now/table/cmdb_ci?sysparm_limit=1", "/api/now/nothing", "/v1/people", "/", "/__sandbox/ledger"]
    for url in urls:
        assert requests.get(inside.sandbox.url + url, timeout=5).headers["x-sandbox"] == "syncengine"
    inside.estate(2)
    inside.plan()
    environment = inside.folder / "environments" / "dev.yaml"
    environment.write_text(environment.read_text().replace(inside.sandbox.url, "https://acme.service-now.com"))
    said = inside.apply()
    assert (said.code, "another-system" in said.err) == (Exit.STALE, True)
    assert "effect: Nothing was sent." in said.err
    assert inside.sandbox.counts() == {}
