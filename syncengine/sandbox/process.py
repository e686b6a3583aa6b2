"""Start a sandbox as a child process, or attach to the one that runs; it ends with the last attached command.

One sandbox belongs to one directory. Whoever attaches holds a shared lock on a file in it; the server ends when it
could have had that lock alone for a moment, so also after a `kill -9` of the command.
"""

from __future__ import annotations

import fcntl
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
from filelock import FileLock

START_TIMEOUT = 30.0
WRONG_SEED = 3
"""What the child process ends with when a seed cannot be applied; the last line of its output says which and why."""


class SandboxError(RuntimeError):
    """The sandbox cannot be started or does not answer."""


class RefusedError(SandboxError):
    """The sandbox does not take what it was given: an unknown setting, a fault rule that is none, a wrong seed."""

    def __init__(self, said: str, seed: Path | None = None) -> None:
        super().__init__(said)
        self.seed = seed
        """The file with the wrong seed."""


@dataclass(frozen=True, slots=True)
class FourmeLogin:
    """How a client gets into the 4me side: an account, and a personal access token or an OAuth client."""

    account: str
    token: str
    client: str
    secret: str


@dataclass(frozen=True, slots=True)
class Running:
    """A sandbox that answers."""

    url: str
    user: str
    password: str
    token: str
    identity: str
    ca: Path | None
    pid: int
    fourme: FourmeLogin

    def ledger(self, *, start: int = 1, kind: str = "", table: str = "") -> list[dict[str, Any]]:
        """Every write that took effect, oldest first."""
        query = urlencode({"from": start, "kind": kind, "table": table})
        entries: list[dict[str, Any]] = self.control("GET", f"ledger?{query}")["entries"]
        return entries

    def counts(self) -> dict[str, dict[str, int]]:
        """How many writes of each kind took effect, by table."""
        counts: dict[str, dict[str, int]] = self.control("GET", "ledger/counts")["counts"]
        return counts

    def faults(self, *rules: str) -> list[dict[str, Any]]:
        """Put fault rules in force; without one, list those in force."""
        answer = self.control("POST", "faults", list(rules)) if rules else self.control("GET", "faults")
        found: list[dict[str, Any]] = answer["rules"]
        return found

    def met(self) -> list[dict[str, str]]:
        """Every fault that took place."""
        found: list[dict[str, str]] = self.control("GET", "faults")["met"]
        return found

    def clear_faults(self) -> None:
        """Take all fault rules away."""
        self.control("DELETE", "faults")

    def advance(self, seconds: float) -> str:
        """Move the sandbox's clock; returns its new time."""
        moved: str = self.control("POST", "clock", {"advance": seconds})["time"]
        return moved

    def run_imports(self) -> None:
        """Do every job that is due to its end: transforms of import sets, imports and exports of 4me."""
        self.control("POST", "imports", {})

    def reset(self) -> None:
        """Empty it to what a new sandbox holds."""
        self.control("POST", "reset", {})

    def seed(self, document: Mapping[str, Any] | str, *, force: bool = False) -> bool:
        """Apply a seed document; False when the same content was applied before."""
        return self.seeded(document, force=force)[0]

    def seeded(self, document: Mapping[str, Any] | str, *, force: bool = False) -> tuple[bool, list[str]]:
        """The same, and what in its transform maps cannot be meant."""
        body = document.encode() if isinstance(document, str) else orjson.dumps(document)
        answer = self.control("POST", f"seed{'?force=true' if force else ''}", body)
        return answer["applied"], answer["doubts"]

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change settings (`answer__style="older"`), or list them all."""
        if not changes:
            found: dict[str, Any] = self.control("GET", "settings")
            return found
        changed: dict[str, Any] = self.control(
            "POST", "settings", {k.replace("__", "."): v for k, v in changes.items()}
        )
        return changed

    def control(self, method: str, path: str, body: Any = None, timeout: float = 60.0) -> Any:
        """One control request."""
        parts = urlsplit(self.url)
        connection: HTTPConnection
        if self.ca is not None:
            context = ssl.create_default_context(cafile=str(self.ca))
            connection = HTTPSConnection(parts.hostname or "", parts.port, timeout=timeout, context=context)
        else:
            connection = HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
        content = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        try:
            connection.request(method, f"/__sandbox/{path}", content, {"X-Sandbox-Token": self.token})
            response = connection.getresponse()
            answer = orjson.loads(response.read())
        except (OSError, HTTPException, ValueError) as fault:
            raise SandboxError(f"the sandbox at {self.url} does not answer: {fault}") from fault
        finally:
            connection.close()
        if response.status != 200:
            raise RefusedError(answer.get("error", f"status {response.status}"))
        return answer


def running(directory: Path) -> Running | None:
    """The sandbox of a directory, if one runs and answers."""
    try:
        given = orjson.loads((directory / "run.json").read_bytes())
        os.kill(given["pid"], 0)
    except (OSError, ValueError, KeyError):
        return None
    ca = Path(given["ca"]) if given["ca"] else None
    try:
        login = FourmeLogin(**given["fourme"])
    except (KeyError, TypeError):
        return None
    found = Running(
        given["url"], given["user"], given["password"], given["token"], given["identity"], ca, given["pid"], login
    )
    try:
        # a process id may have been given to another program since
        answer = found.control("GET", "identity", timeout=10.0)
    except SandboxError:
        return None
    return found if answer["identity"] == found.identity else None


@contextmanager
def attach(
    directory: Path, *, seeds: Sequence[Path] = (), tls: bool = False, faults: Sequence[str] = ()
) -> Iterator[Running]:
    """The sandbox of a directory, started if none runs; it ends after the last command attached to it.

    Seeds whose content was applied before are not applied again.
    """
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    handle = os.open(directory / "attached.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        with FileLock(directory / "start.lock", timeout=START_TIMEOUT):
            found = running(directory)
            if found is None:
                found = _start(directory, seeds, tls, faults)
            else:
                for path in seeds:
                    try:
                        found.seed(path.read_text("utf-8"))
                    except RefusedError as fault:
                        raise RefusedError(str(fault), path) from fault
                if faults:
                    found.faults(*faults)
                if tls and found.ca is None:
                    raise SandboxError(f"the sandbox at {found.url} runs without TLS; end it first")
        yield found
    finally:
        os.close(handle)


def _start(directory: Path, seeds: Sequence[Path], tls: bool, faults: Sequence[str]) -> Running:
    (directory / "run.json").unlink(missing_ok=True)
    options = {
        "directory": str(directory),
        "tls": tls,
        "seeds": [str(path.resolve()) for path in seeds],
        "faults": list(faults),
    }
    log = directory / "server.log"
    with log.open("wb") as output:
        child = subprocess.Popen(  # noqa: S603 - this very interpreter and module
            [sys.executable, "-m", "syncengine.sandbox", orjson.dumps(options).decode()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if (directory / "run.json").exists():
            found = running(directory)
            if found is not None:
                # the child outlives this command on purpose; nothing may wait for it or warn about it
                child.returncode = 0
                return found
        if child.poll() is not None:
            tail = log.read_text("utf-8", "replace").strip().splitlines()[-1:] or ["no output"]
            if child.returncode == WRONG_SEED:
                wrong = orjson.loads(tail[0])
                raise RefusedError(wrong["said"], Path(wrong["seed"]))
            raise SandboxError(f"the sandbox ended while it started: {tail[0]}")
        time.sleep(0.005)
    child.kill()
    raise SandboxError(f"the sandbox was not ready after {START_TIMEOUT:.0f} s; its output is in {log}")
