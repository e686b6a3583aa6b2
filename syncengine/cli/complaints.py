"""Problems as people read them: code and sentence, place, what was found, what to do, and one effect line."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
import textwrap
import traceback
from collections.abc import Iterable
from pathlib import Path

import click

from syncengine.errors import NOTHING_WRITTEN, Exit, Problem, StateError, SyncError, visible

MOST = 50
WIDTH = 80
FOUND_WIDTH = 71
MESSAGE_WIDTH = 160


def paint(text: str, color: str) -> str:
    """Colour on a terminal that wants it."""
    wants = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return click.style(text, fg=color, bold=True) if wants else text


def lines(problems: Iterable[Problem], effect: str = "") -> Iterable[str]:
    """Five parts each: at most fifty problems, then how many more there are."""
    listed = list(problems)
    for problem in listed[:MOST]:
        color = "red" if problem.severity == "error" else "yellow"
        message = visible(problem.message)
        message = message if len(message) <= MESSAGE_WIDTH else message[: MESSAGE_WIDTH - 1] + "…"
        head = f"{problem.severity}[{problem.code}]:"
        first, *rest = _wrapped(f"{head} {message}", "  ")
        yield paint(head[:-1], color) + first[len(head) - 1 :]
        yield from rest
        if problem.place:
            yield f"  at {visible(str(problem.place))}"
        if problem.found:
            found = visible(problem.found)
            yield f"  found: {found if len(found) <= FOUND_WIDTH else found[: FOUND_WIDTH - 1] + '…'}"
        if problem.fix:
            # a line of a file with a caret below it stays as it is
            from syncengine.spec.wording import wrapped  # the whole room of specs: --help does without

            first, *rest = (problem.fix if problem.code == "yaml-syntax" else wrapped(problem.fix)).splitlines()
            yield f"  fix: {visible(first)}"
            yield from (f"       {visible(line)}" for line in rest)
    if len(listed) > MOST:
        yield f"and {len(listed) - MOST} more"
    if effect:
        yield from _wrapped(f"  effect: {effect}", "    ")


def _wrapped(text: str, indent: str) -> list[str]:
    """Lines that fit, on a terminal; elsewhere one line, so that it can be searched for."""
    if not sys.stderr.isatty():
        return [text]
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def say(text: str, *, err: bool = False) -> None:
    """Print during work that must not end because nobody reads any more, or because a disk of logs is full."""
    try:
        click.echo(text, err=err)
    except OSError:
        give_up_output()


def give_up_output() -> None:
    """Let what is printed from now on go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


WRITE = ("apply", "sync", "resume", "retry", "extract")
"""Commands after which something may have changed somewhere."""
_REFUSED = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
)


_NO_MEMORY = ("start new thread", "out of memory", "Allocation error", "failed to map segment", "allocate memory")
"""How threads, SQLite, zstd and the loader of modules say it."""


def of_the_machine(error: BaseException, command: str) -> StateError | None:
    """What memory, disk or limits of this machine refused; None where the fault is our own."""
    found = str(error)
    if isinstance(error, MemoryError) or any(words in found for words in _NO_MEMORY):
        said, fix = "the memory of this process is used up", "give it more memory, or cut the source into parts"
    elif isinstance(error, OSError) and error.errno in _REFUSED:
        said, fix = f"this machine refuses: {error.strerror}", "free space or raise the limit, then run it again"
    elif type(error).__module__ == "sqlite3" and ("disk" in found or "unable to open" in found):
        said, fix = f"this machine refuses: {found}", "free space where temporary files are (TMPDIR), then run it again"
    else:
        return None
    place = str(getattr(error, "filename", None) or "syncengine")
    effect = "What was sent is in the journal: syncengine status" if command in WRITE else NOTHING_WRITTEN
    return StateError(Problem("machine", said, place, fix=fix), effect=effect)


def complain(error: SyncError) -> None:
    """Say on stderr what is wrong."""
    for line in lines(error.problems, error.effect):
        say(line, err=True)


def crashed(error: BaseException) -> int:
    """Write what happened to a private file, without values, and say where; returns the exit class."""
    path = Path(f"syncengine-crash-{secrets.token_hex(4)}.txt")
    frames = traceback.extract_tb(error.__traceback__)
    report = [f"{type(error).__name__}", *(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)]
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as stream:
            stream.write("\n".join(report) + "\n")
        where = str(path)
    except OSError:
        where = "nowhere: the disk refused it"
    problem = Problem(
        "bug",
        f"syncengine itself broke ({type(error).__name__})",
        f"crash report: {where}",
        fix="if a run was going on:  syncengine status;  then report this with the file (it holds no data)",
    )
    for line in lines([problem], "Unknown; what was sent is in the journal: syncengine status"):
        click.echo(line, err=True)
    return int(Exit.BUG)
