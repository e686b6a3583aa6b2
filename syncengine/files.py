"""The one room that writes to disk: durable, private, and able to fail on purpose.

Every file of the product (plan, journal, report, rejects) is written here, mode 0600 in directories of 0700. Named
crash points let a test end the process at an exact place (see docs/testing.md): `arm("intent.fsync:2=kill")`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import signal
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from syncengine.errors import Problem, StateError

_armed: dict[str, tuple[int, str]] = {}
_reached: Counter[str] = Counter()


def arm(spec: str) -> None:
    """Arm a crash point: `name[:n]=kill|term|int|raise|memory|enospc|eio`, n being the n-th time it is reached."""
    name, _, action = spec.partition("=")
    name, _, nth = name.partition(":")
    _armed[name] = (int(nth or 1), action or "kill")
    _reached.clear()


def reach(name: str) -> None:
    """A named place where a test may end the process; does nothing unless armed."""
    if not _armed:
        return
    _reached[name] += 1
    nth, action = _armed.get(name, (0, ""))
    if nth != _reached[name]:
        return
    if action in ("kill", "term", "int"):
        os.kill(os.getpid(), {"kill": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}[action])
    elif action in ("enospc", "eio"):
        raise OSError(getattr(errno, action.upper()), os.strerror(getattr(errno, action.upper())))
    elif action == "memory":
        raise MemoryError
    else:
        raise RuntimeError(f"crash point {name}")


def private_directory(path: Path) -> Path:
    """Make a directory that only its owner can read, and its parents; existing ones are left as they are.

    Raises StateError where that is refused, or where a link or somebody else's directory stands in its place: what is
    written there would be written elsewhere, or be read by others.
    """
    try:
        missing = [one for one in (path, *path.parents) if not one.exists() and not one.is_symlink()]
        for one in reversed(missing):
            one.mkdir(mode=0o700, exist_ok=True)
            sync_directory(one.parent)
        found = path.lstat()
    except OSError as error:
        raise _refused(path, error) from error
    if stat.S_ISLNK(found.st_mode):
        raise _foreign(path, "is a link")
    if not stat.S_ISDIR(found.st_mode):
        raise _refused(path, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)))
    if os.geteuid() and found.st_uid not in (os.geteuid(), 0):  # root reads what it is given, as in a container
        raise _foreign(path, "belongs to another user")
    return path


def refuse_links(directory: Path) -> None:
    """Raise StateError where something in a directory of ours is a link: writing to it would write elsewhere."""
    try:
        with os.scandir(directory) as entries:
            planted = next((entry.path for entry in entries if entry.is_symlink()), None)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _refused(directory, error) from error
    if planted is not None:
        raise _foreign(Path(planted), "is a link")


def _foreign(path: Path, what: str) -> StateError:
    fix = "look at what it is and where it leads, then remove it"
    return StateError(Problem("not-ours", f"{path} {what}; nothing is written through it", str(path), fix=fix))


_HELP = {
    errno.ENOENT: "make the folder, or name another one",
    errno.ENOTDIR: "make the folder, or name another one",
    errno.EISDIR: "name a file, not a folder",
}


def _refused(path: Path, error: OSError) -> StateError:
    return StateError(
        Problem(
            "disk-refused",
            f"cannot write {path}: {error.strerror or error}",
            place=str(path),
            fix=_HELP.get(error.errno or 0, "free space or give write permission, then run the command again"),
        )
    )


def sync_directory(path: Path) -> None:
    """Make a rename in a directory durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def replacing(path: Path, point: str) -> Iterator[BinaryIO]:
    """Write a whole file or none: temporary name beside it, fsync, rename, fsync of the directory.

    Raises StateError when the disk refuses; the old file is then still there.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            with os.fdopen(handle, "wb") as stream:
                yield stream
                reach(f"{point}.write")
                stream.flush()
                os.fsync(stream.fileno())
            reach(f"{point}.rename")
            temporary.replace(path)
            sync_directory(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _refused(path, error) from error
