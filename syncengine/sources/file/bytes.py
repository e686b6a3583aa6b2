"""The bytes of a file: opened without following links, hashed while they are read, refused where they are no text."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from pathlib import Path

from syncengine.errors import Place, Problem, SourceError
from syncengine.files import reach

CHUNK = 1024 * 1024
MAX_FIELD = 8 * 1024 * 1024
"""Bytes that one field, or one line, may have."""

_MAGIC = (
    (b"\x1f\x8b", "a gzip file"),
    (b"PK\x03\x04", "an Excel or zip file"),
    (b"PK\x05\x06", "an empty zip file"),
    (b"PK\x07\x08", "a part of a zip file"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file"),
    (b"%PDF", "a PDF file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"BZh", "a bzip2 file"),
)


def stop(code: str, message: str, place: Place | str, found: str = "", fix: str = "") -> SourceError:
    """A source that cannot be read."""
    return SourceError(Problem(code, message[:160], place, found, fix), effect="Nothing was written.")


class Reading(io.RawIOBase):
    """A regular file that is hashed as it is read; `finish` says whether it changed meanwhile."""

    def __init__(self, path: Path, shown: str) -> None:
        self.shown = shown
        self._hash = hashlib.sha256()
        self.size = 0
        flags = os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        try:
            self._handle = os.open(path, flags)
        except FileNotFoundError:
            raise stop("file-not-found", f"There is no file {shown}", shown) from None
        except OSError as error:
            raise stop("unreadable-file", f"{shown} cannot be read: {error.strerror}", shown) from None
        self._before = os.fstat(self._handle)
        if not stat.S_ISREG(self._before.st_mode):
            os.close(self._handle)
            what = "a directory" if stat.S_ISDIR(self._before.st_mode) else "not a regular file"
            raise stop("unreadable-file", f"{shown} is {what}", shown)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            reach("source.read")
            data = os.read(self._handle, len(buffer))
        except OSError as error:
            raise stop("unreadable-file", f"{self.shown} cannot be read: {error.strerror}", self.shown) from None
        self._hash.update(data)
        self.size += len(data)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Does nothing: readers built on this one close it when they are collected, before `finish`."""

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)
        super().close()

    def finish(self) -> str:
        """The hash of all bytes; an error where the file is not the one that was opened."""
        after = os.fstat(self._handle)
        before = self._before
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns) or self.size != after.st_size:
            raise stop(
                "file-changed", f"{self.shown} was changed while it was read", self.shown, fix="Run the command again."
            )
        return self._hash.hexdigest()

    @property
    def modified(self) -> float:
        """When the file was last written, in seconds."""
        return self._before.st_mtime


def refuse_foreign(head: bytes, shown: str, encoding: str | None) -> None:
    """Refuses what the first bytes show to be no text of ours."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            fix = f"Name it {shown}.gz." if name == "a gzip file" else "Export it as CSV or JSON."
            raise stop("not-text", f"{shown} is {name}, not text", shown, fix=fix)
    start = head[:200].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise stop("not-text", f"{shown} is a web page, not data", shown, fix="Look at it: it may be a login page.")
    if encoding is None and not head.startswith((b"\xff\xfe", b"\xfe\xff")) and len(head) >= 8:
        even, odd = head[0::2], head[1::2]
        if odd.count(0) > len(odd) * 0.8:
            raise stop("encoding", f"{shown} looks like UTF-16LE", shown, fix="encoding: utf-16-le")
        if even.count(0) > len(even) * 0.8:
            raise stop("encoding", f"{shown} looks like UTF-16BE", shown, fix="encoding: utf-16-be")


def encoding_of(head: bytes, encoding: str | None) -> str:
    """How the text is encoded: as the spec says, else by its BOM, else UTF-8."""
    if encoding is not None:
        return "utf-8-sig" if encoding.lower().replace("_", "-") in {"utf-8", "utf8"} else encoding
    return "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
