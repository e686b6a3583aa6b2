"""One run at a time of a set of specs and a target.

The lock is one of the operating system, so it goes with its process; the file beside it only says who that is. Where it
stays all the same (a file system of a network whose holder is gone, say), a person lets go of it by the run's name.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import filelock
import msgspec
import orjson

from syncengine.errors import LockedError, Problem
from syncengine.execution.journal import State
from syncengine.files import private_directory, reach, refuse_links, replacing
from syncengine.planning.plan_file import PlanFile


class Holder(msgspec.Struct, frozen=True):
    """Who holds a lock, as it said itself."""

    run: str = "?"
    pid: int = 0
    host: str = "?"

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Whether a process of this machine has its number: itself, unless the number was given out again."""
        if not self.is_here or self.pid <= 0:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def __str__(self) -> str:
        return f"run {self.run} (process {self.pid or '?'} on {self.host})"


def lock_name(plan: PlanFile) -> str:
    """One run per set of specs and target: what they have in common is the name of the lock."""
    specs = sorted(one.name for one in plan.header.inputs if one.kind == "spec")
    targets = sorted((one.kind, one.url) for one in plan.header.connections.values())
    return hashlib.blake2b(orjson.dumps([specs, targets]), digest_size=12).hexdigest()


@contextlib.contextmanager
def locked(state: State, plan: PlanFile, run: str) -> Iterator[None]:
    """Hold the lock of a plan's specs and target; raises LockedError, saying who holds it."""
    place = private_directory(state.directory / "locks")
    refuse_links(place)
    path = lock_of(state.directory, plan)
    lock = filelock.FileLock(path, mode=0o600)
    said = path.with_suffix(".json")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        holder = _said(said)
        fix = "wait for it to end"
        if not holder.is_alive:
            fix += f"; if you know that it is gone:\nsyncengine unlock {holder.run}"
        message = f"{holder} is writing the same specs to the same target, since {_since(said)}"
        raise LockedError(Problem("locked", message, str(said), fix=fix)) from None
    try:
        with replacing(said, "lock") as stream:
            stream.write(orjson.dumps({"run": run, "pid": os.getpid(), "host": socket.gethostname()}))
        reach("lock.taken")
        yield
    finally:
        reach("lock.release")
        said.unlink(missing_ok=True)
        lock.release()


def _said(path: Path) -> Holder:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return Holder()


def _since(path: Path) -> str:
    try:
        return dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except OSError:
        return "a moment ago"


def holders(directory: Path) -> dict[Path, Holder]:
    """Who says to hold which lock of a project; a process that was killed still says so, and holds none."""
    return {path.with_suffix(".lock"): _said(path) for path in sorted((directory / "locks").glob("*.json"))}


def lock_of(directory: Path, plan: PlanFile) -> Path:
    """The lock of a plan's specs and target."""
    return directory / "locks" / f"{lock_name(plan)}.lock"


def is_held(path: Path) -> Holder | None:
    """Who holds a lock now; None when nobody does."""
    if not path.is_file():
        return None
    lock = filelock.FileLock(path, mode=0o600)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return _said(path.with_suffix(".json"))
    lock.release()
    return None


def let_go(path: Path) -> None:
    """Forget a lock: the next run takes a new one, whoever holds the old one."""
    for one in (path.with_suffix(".json"), path):
        one.unlink(missing_ok=True)
