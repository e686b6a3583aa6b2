"""A plan on disk: one zstd frame of JSON lines, then a trailer line.

    frame     header · one line per operation in source order · one line per batch · manifest
    trailer   {"syncengine-plan": 1, "made_at": …, "frame": bytes, "sha256": of the frame, "seal": of the trailer}

The plan hash is the SHA-256 of the uncompressed lines; no time stands in them, so equal inputs have equal hashes.
The hashes prove damage, not authorship: whoever may write the file may write its hash, too; `apply --plan-hash` pins
the one that was reviewed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import zstandard

from syncengine.changes import Batch, Change
from syncengine.errors import Problem, StaleError
from syncengine.files import replacing
from syncengine.planning.lines import Head, batch_from_line, batch_to_line, change_from_line, change_to_line, head
from syncengine.planning.plan import FORMAT, Header, Manifest, header_from, manifest_from

TRAILER = re.compile(rb'\n(\{"syncengine-plan":[^\n]{1,2000}\})\n\Z')
TRAILER_MAX = 2100
LINE_MAX = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Seal:
    """What the trailer says, checked."""

    made_at: str
    content: str
    """SHA-256 of the frame."""
    plan_hash: str
    """SHA-256 of the uncompressed lines: the identity of what is planned."""
    frame: int
    """Bytes of the frame."""

    @property
    def file_id(self) -> str:
        """The identity of this file: equal plans that were made at different times are different files."""
        return hashlib.sha256(_trailer(self)).hexdigest()


class PlanWriter:
    """Writes a plan line by line; memory does not grow with it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._out = stream
        self._frame = hashlib.sha256()
        self._lines = hashlib.sha256()
        self._size = 0
        self._compress = zstandard.ZstdCompressor(level=1, write_checksum=True).compressobj()
        self._buffer: list[bytes] = []
        self._buffered = 0

    def _line(self, line: bytes) -> None:
        self._buffer += (line, b"\n")
        self._buffered += len(line) + 1
        if self._buffered > 256 * 1024:
            self._flush()

    def _flush(self) -> None:
        block = b"".join(self._buffer)
        self._buffer.clear()
        self._buffered = 0
        self._lines.update(block)
        self._emit(self._compress.compress(block))

    def _emit(self, data: bytes) -> None:
        if data:
            self._frame.update(data)
            self._size += len(data)
            self._out.write(data)

    def header(self, header: Header) -> None:
        """The first line."""
        self._line(orjson.dumps({"plan": FORMAT, **asdict(header)}))

    def change(self, change: Change) -> None:
        """One operation."""
        self._line(change_to_line(change))

    def batch(self, batch: Batch) -> None:
        """One batch; all operations must be written before."""
        self._line(batch_to_line(batch))

    def manifest(self, manifest: Manifest) -> None:
        """The last line."""
        self._line(orjson.dumps({"manifest": asdict(manifest)}))

    def close(self, made_at: str) -> Seal:
        """End the frame and write the trailer."""
        self._flush()
        self._emit(self._compress.flush())
        seal = Seal(made_at, self._frame.hexdigest(), self._lines.hexdigest(), self._size)
        self._out.write(b"\n" + _trailer(seal) + b"\n")
        return seal


def _trailer(seal: Seal) -> bytes:
    said = {
        "syncengine-plan": FORMAT,
        "made_at": seal.made_at,
        "frame": seal.frame,
        "sha256": seal.content,
        "plan_hash": seal.plan_hash,
    }
    return orjson.dumps({**said, "seal": hashlib.sha256(orjson.dumps(said)).hexdigest()})


def refuse(path: Path, why: str) -> StaleError:
    """The error for a file that is not an undamaged plan."""
    return StaleError(
        Problem(
            "plan-damaged",
            f"{path.name} is not a complete, unchanged plan: {why}",
            place=str(path),
            fix="make the plan again:  syncengine plan … -o FILE",
        )
    )


def read_seal(path: Path) -> Seal:
    """Check every byte of a plan file and return its identity; raises StaleError when one of them differs."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, io.SEEK_END)
            stream.seek(max(0, size - TRAILER_MAX))
            tail = stream.read()
            found = TRAILER.search(tail)
            if found is None:
                raise refuse(path, "its end is missing" if size else "it is empty")
            try:
                said = orjson.loads(found[1])
                frame = int(said["frame"])
                seal = Seal(str(said["made_at"]), str(said["sha256"]), str(said["plan_hash"]), frame)
            except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
                raise refuse(path, "its end cannot be read") from error
            if said.get("syncengine-plan") != FORMAT:
                raise refuse(path, f"it has format {said.get('syncengine-plan')}, this product reads {FORMAT}")
            if found[1] != _trailer(seal):
                raise refuse(path, "its trailer was changed")
            if frame != size - len(found[0]):
                raise refuse(path, "it is truncated or has something added")
            stream.seek(0)
            digest = hashlib.sha256()
            left = frame
            while left:
                block = stream.read(min(left, 1 << 20))
                digest.update(block)
                left -= len(block)
    except OSError as error:
        raise StaleError(
            Problem("plan-unreadable", f"cannot read the plan: {error.strerror}", place=str(path))
        ) from error
    if digest.hexdigest() != seal.content:
        raise refuse(path, "its content was changed")
    return seal


class _Frame(io.RawIOBase):
    """The first `left` bytes of a stream."""

    def __init__(self, stream: BinaryIO, left: int) -> None:
        self._stream = stream
        self._left = left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._stream.read(min(len(buffer), self._left))
        self._left -= len(block)
        buffer[: len(block)] = block
        return len(block)


def _lines(path: Path, size: int) -> Iterator[str]:
    """The uncompressed lines of a frame."""
    return itertools.chain.from_iterable(block.decode().split("\n") for block in _blocks(path, size))


def _blocks(path: Path, size: int) -> Iterator[bytes]:
    """Some whole lines at a time; one longer than LINE_MAX is refused, so a crafted file cannot fill memory."""
    with path.open("rb") as stream:
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
            io.BufferedReader(_Frame(stream, size))
        )
        rest = b""
        while block := reader.read(1 << 20):
            lines, end, rest = (rest + block).rpartition(b"\n")
            if end:
                yield lines
            if len(rest) > LINE_MAX:
                raise refuse(path, "a line is longer than 64 MiB")
        if rest:
            raise refuse(path, "its last line is cut")


@dataclass(slots=True)
class PlanFile:
    """A plan that was read: identity and header at once, lines as a stream."""

    path: Path
    seal: Seal
    header: Header
    manifest: Manifest

    def changes(self, wanted: Callable[[Head], bool] = lambda _head: True) -> Iterator[Change]:
        """The operations, in source order; of those that are not wanted no more is read than their heads."""
        lines = _lines(self.path, self.seal.frame)
        next(lines)
        for line in lines:
            if not line.startswith('{"op":'):
                return
            if wanted(head(line)):
                yield change_from_line(line)

    def read(self) -> Iterator[Change | Batch]:
        """The operations, then the batches."""
        yield from self._read()

    def raw(self) -> Iterator[tuple[str, Head]]:
        """Operations and batches as their text and what they are, for who stores them before use."""
        lines = _lines(self.path, self.seal.frame)
        next(lines)
        for line in lines:
            said = head(line)
            if said.op is None and said.batch is None:
                return
            yield line, said

    def _read(self) -> Iterator[Change | Batch]:
        lines = _lines(self.path, self.seal.frame)
        next(lines)
        for line in lines:
            if line.startswith('{"op":'):
                yield change_from_line(line)
            elif line.startswith('{"batch":'):
                yield batch_from_line(line)
            else:
                return


def open_plan(path: Path) -> PlanFile:
    """Check a plan file whole and read its header and manifest; raises StaleError when it is not as it was written."""
    seal = read_seal(path)
    digest = hashlib.sha256()
    first = last = b""
    try:
        for lines in _blocks(path, seal.frame):
            digest.update(lines)
            digest.update(b"\n")
            first = first or lines.partition(b"\n")[0]
            last = lines.rpartition(b"\n")[2]
        if digest.hexdigest() != seal.plan_hash:
            raise refuse(path, "its lines do not have its hash")
        data = orjson.loads(first)
        if data.pop("plan") != FORMAT:
            raise refuse(path, "its header has another format")
        return PlanFile(path, seal, header_from(data), manifest_from(orjson.loads(last)["manifest"]))
    except (zstandard.ZstdError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise refuse(path, "its lines cannot be read") from error


@contextlib.contextmanager
def write_plan(path: Path) -> Iterator[PlanWriter]:
    """Write a plan file whole or not at all; raises StateError when the disk refuses."""
    with replacing(path, "plan") as stream:
        yield PlanWriter(stream)
