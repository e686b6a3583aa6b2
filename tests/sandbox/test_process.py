"""The life of the server process: started once, shared, ended with its last command; TLS."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from syncengine.cli.sandbox import command
from syncengine.errors import SpecError
from syncengine.sandbox.process import SandboxError, attach, running
from tests.processes import started
from tests.sandbox.conftest import Http, server


def gone(pid: int, seconds: float = 60.0) -> bool:
    """Whether a process ends in time; what is left of it until somebody asks for its end does not count."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_it_is_started_once_shared_and_ends_with_the_last_command(tmp_path: Path) -> None:
    """run.json is private and goes with the server; the data stay, and the identity with them."""
    with ThreadPoolExecutor(4) as pool:

        def use(number: int) -> tuple[int, str]:
            with attach(tmp_path) as one:
                Http(one).engine("/enhanced", server(f"s{number}"))
                return one.pid, one.identity

        found = set(pool.map(use, range(4)))
    assert len(found) == 1
    pid, identity = found.pop()
    with attach(tmp_path) as again:
        assert again.pid == pid
        assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o600
        assert again.counts() == {"insert": {"cmdb_ci_linux_server": 4}}
    assert gone(pid)
    assert not (tmp_path / "run.json").exists()
    with attach(tmp_path) as later:
        assert later.pid != pid
        assert later.identity == identity
        assert later.counts() == {"insert": {"cmdb_ci_linux_server": 4}}


def test_it_ends_also_when_the_command_was_killed(tmp_path: Path) -> None:
    """kill -9: the kernel lets go of the attachment."""
    script = (
        "import sys, time; from pathlib import Path; from syncengine.sandbox.process import attach\n"
        "with attach(Path(sys.argv[1])) as one: print(one.pid, flush=True); time.sleep(60)\n"
    )
    with started([sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline())
    assert child.returncode == -signal.SIGKILL
    assert gone(pid)


def test_a_write_survives_the_servers_own_death(tmp_path: Path) -> None:
    """kill -9 of the server after an answer: the next start has the record."""
    with attach(tmp_path) as one:
        Http(one).engine("/enhanced", server("a"))
        os.kill(one.pid, signal.SIGKILL)
        assert gone(one.pid)
        with attach(tmp_path) as other:
            assert other.pid != one.pid
            assert other.counts() == {"insert": {"cmdb_ci_linux_server": 1}}


def test_seeds_are_applied_once(tmp_path: Path) -> None:
    """Each content once, also over starts; changed content is applied when a command attaches."""
    seed = tmp_path / "seed.yaml"
    seed.write_text("records: {incident: [{short_description: one}]}")
    with attach(tmp_path / "data", seeds=[seed]) as one, attach(tmp_path / "data", seeds=[seed]):
        assert len(Http(one).get("/table/incident").json()["result"]) == 1
        seed.write_text("records: {incident: [{short_description: two}]}")
        with attach(tmp_path / "data", seeds=[seed]):
            assert len(Http(one).get("/table/incident").json()["result"]) == 2


def test_a_seed_that_cannot_be_applied_is_told(tmp_path: Path) -> None:
    """The start fails with the sentence, not with a time-out."""
    seed = tmp_path / "seed.yaml"
    seed.write_text("record: {}")
    with pytest.raises(SandboxError, match="unknown section 'record'"), attach(tmp_path / "data", seeds=[seed]):
        pass


def test_https_has_its_own_ca(tmp_path: Path) -> None:
    """Clients verify it with the CA file, and refuse without."""
    with attach(tmp_path, tls=True) as one:
        assert one.url.startswith("https://")
        http = Http(one)
        assert http.get("/table/cmdb_rel_type", sysparm_limit=1).status_code == 200
        http.session.verify = True
        with pytest.raises(requests.exceptions.SSLError):
            http.get("/table/cmdb_rel_type")
        one.faults("api=ire, at=1, do=commit_then_reset")
        http.session.verify = str(one.ca)
        with pytest.raises(requests.ConnectionError):
            http.engine("/enhanced", server("a"))
        assert one.counts() == {"insert": {"cmdb_ci_linux_server": 1}}
        assert (tmp_path / "server.key").stat().st_mode & 0o777 == 0o600


def test_a_client_certificate_is_made_by_a_command(tmp_path: Path) -> None:
    """Its key is readable by the owner alone; a name that is no file name is refused."""
    result = CliRunner().invoke(command, ["certificate", "laptop", "--data", str(tmp_path)], catch_exceptions=False)
    made, key = (Path(line.split(": ")[1]) for line in result.output.splitlines())
    assert made.read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert key.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SpecError):
        CliRunner().invoke(command, ["certificate", "../x", "--data", str(tmp_path)], catch_exceptions=False)


def test_tls_is_not_promised_where_the_running_one_has_none(tmp_path: Path) -> None:
    """A command that wants HTTPS does not get HTTP in silence."""
    with attach(tmp_path), pytest.raises(SandboxError, match="without TLS"), attach(tmp_path, tls=True):
        pass


def test_serve_runs_until_it_is_told_to_end(tmp_path: Path) -> None:
    """Commands attach to it and do not end it; a second one is refused."""
    arguments = ["serve", "--data", str(tmp_path), "--user", "ada", "--fault", "api=ire, at=1, do=status(500)"]
    script = "import sys; from syncengine.cli.sandbox import command; command(sys.argv[1:])"
    with started([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert "user ada" in child.stdout.readline()
        with attach(tmp_path) as one:
            assert one.pid == child.pid
            assert Http(one).engine("/enhanced", server("a")).status_code == 500
            with pytest.raises(SpecError, match="already serves"):
                command(["serve", "--data", str(tmp_path)], standalone_mode=False)
        time.sleep(2.6)
        assert running(tmp_path) is not None
        child.send_signal(signal.SIGINT)
        assert child.wait(10) in (0, 130, -signal.SIGINT)
    assert running(tmp_path) is None


def test_the_commands_work_on_a_running_sandbox(tmp_path: Path) -> None:
    """seed, faults, settings, reset."""
    seed = tmp_path / "more.yaml"
    seed.write_text("records: {incident: [{short_description: one}]}")
    data = str(tmp_path / "data")

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(command, [*arguments, "--data", data], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    with attach(tmp_path / "data") as one:
        assert "applied" in run("seed", str(seed))
        assert "was applied before" in run("seed", str(seed))
        run("faults", "add", "api=ire, at=3, do=reset")
        assert "api=ire, at=3, do=reset    (met 0 of 0)" in run("faults", "list")
        run("faults", "clear")
        assert run("faults", "list") == "no rules are in force\n"
        assert 'answer.style = "older"  (changed)' in run("settings", "answer.style=older")
        assert len(Http(one).get("/table/incident").json()["result"]) == 1
        run("reset", "--yes")
        assert Http(one).get("/table/incident").json()["result"] == []
