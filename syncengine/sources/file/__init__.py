"""`file`: CSV, TSV, JSON and JSON lines, plain or in gzip; one file, or all that a glob finds, in sorted order."""

from __future__ import annotations

import csv
import hashlib
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from syncengine import sources
from syncengine.changes import BadRow, Row
from syncengine.errors import Place, SourceError
from syncengine.sources.file import delimited, documents, lines
from syncengine.sources.file.bytes import CHUNK, Reading, encoding_of, refuse_foreign, stop
from syncengine.sources.file.decoding import not_decodable
from syncengine.sources.file.unpacking import Unpacking, inner, is_packed

Format = Literal["csv", "tsv", "json", "jsonl"]
SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
SAMPLE = 1_000
"""Rows that are looked at to learn the columns of JSON."""


@dataclass(frozen=True, slots=True)
class Options(sources.Options):
    """A file or a glob, relative to the folder of the spec."""

    file: str
    folder: str = ""
    """Folder of the spec, relative to the project."""
    format: Format | None = None
    rows: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    max_age: float | None = None
    """Seconds; an older file is refused."""
    allowed: tuple[Path, ...] = ()
    """Folders outside the project that may be read."""
    kind: str = "file"


def format_of(path: Path) -> Format | None:
    """What a file holds, by its suffix; a `.gz` behind it does not matter."""
    return SUFFIXES.get(inner(path).suffix.lower())


class FileSource(sources.Source):
    """All rows of all files of a pattern."""

    def __init__(self, options: Options, base: Path, clock: Callable[[], float] = time.time) -> None:
        self._options = options
        self._base = base
        self._clock = clock
        self._digest: sources.Digest | None = None

    def files(self) -> list[tuple[Path, str]]:
        """The files, with the names that messages show."""
        pattern = self._options.file
        if "\0" in pattern or pattern.startswith("~"):
            raise stop("bad-path", "A path may not start with ~ or contain NUL", pattern)
        folder = self._base / self._options.folder
        if not any(sign in pattern for sign in "*?["):
            return [self._inside(folder / pattern, pattern)]
        found: list[Path] = []
        try:
            if Path(pattern).is_absolute():
                anchor = Path(Path(pattern).anchor)
                found = sorted(anchor.glob(str(Path(pattern).relative_to(anchor))))
            else:
                found = sorted(folder.glob(pattern))
        except (ValueError, NotImplementedError, OSError):
            raise stop("bad-path", f"{pattern} is not a pattern for files", pattern) from None
        files = [self._inside(path, pattern) for path in found if path.is_file()]
        if not files:
            raise stop("no-file", f"No file fits {pattern}", pattern)
        return files

    def _inside(self, path: Path, written: str) -> tuple[Path, str]:
        root = self._base.resolve()
        try:
            real = path.resolve()
        except (OSError, RuntimeError, ValueError):
            raise stop("bad-path", f"{written} leads nowhere", written) from None
        if real.is_relative_to(root):
            return real, str(real.relative_to(root))
        if any(real.is_relative_to(folder) for folder in self._options.allowed):
            return real, str(real)
        raise stop(
            "outside-project",
            f"{written} is outside the project",
            written,
            fix=f"Allow it in syncengine.yaml:  allow_paths: [{real.parent}]",
        )

    def format(self, path: Path) -> Format:
        """By the option, else by the suffix."""
        if self._options.format is not None:
            return self._options.format
        known = format_of(path)
        if known is None:
            raise stop("unknown-format", f"What {path.name} holds is not clear", path.name, fix="format: csv")
        return known

    def columns(self) -> tuple[str, ...] | None:
        names: dict[str, None] = {}
        for path, shown in self.files():
            form = self.format(path)
            if form in {"csv", "tsv"}:
                names.update(dict.fromkeys(self._header(path, shown, form)))
            else:
                names.update(dict.fromkeys(self._sampled(path, shown, form)))
        return tuple(names)

    def _header(self, path: Path, shown: str, form: Format) -> list[str]:
        with Reading(path, shown) as reading:
            text, delimiter = self._text(_stream(reading, path), form, shown), self._delimiter(form)
            try:
                return delimited.header(csv.reader(text, delimiter=delimiter, strict=True), shown, delimiter)
            except UnicodeDecodeError:
                raise self._undecodable(path, shown, text.encoding) from None

    def _sampled(self, path: Path, shown: str, form: Format) -> list[str]:
        names: dict[str, None] = {}
        with Reading(path, shown) as reading:
            for count, row in enumerate(self._of_file(_stream(reading, path), path, shown, form, 1)):
                if isinstance(row, Row):
                    names.update(dict.fromkeys(row.values))
                if count >= SAMPLE:
                    break
        return list(names)

    def rows(self) -> Iterator[Row | BadRow]:
        whole = hashlib.sha256()
        size = count = 0
        for path, shown in self.files():
            form = self.format(path)
            with Reading(path, shown) as reading:
                self._check_age(reading)
                stream = _stream(reading, path)
                place: Place | None = None
                try:
                    for row in self._of_file(stream, path, shown, form, count + 1):
                        place = row.place
                        yield row
                    while stream.read(CHUNK):
                        pass
                except SourceError as error:
                    raise _after(error, place) from None
                count = place.row if place else count
                whole.update(f"{shown}\0{reading.finish()}\0".encode())
                size += reading.size
        self._digest = sources.Digest(whole.hexdigest(), size, count)

    def _of_file(
        self, stream: io.RawIOBase, path: Path, shown: str, form: Format, first: int
    ) -> Iterator[Row | BadRow]:
        if form == "jsonl":
            raw = io.BufferedReader(stream, CHUNK)
            refuse_foreign(raw.peek(4096)[:4096], shown, "utf-8")
            yield from lines.rows(raw, shown, first)
            return
        text = self._text(stream, form, shown)
        try:
            if form == "json":
                yield from documents.rows(text, shown, self._options.rows, first)
            else:
                yield from delimited.rows(text, shown, self._delimiter(form), first)
        except UnicodeDecodeError:
            raise self._undecodable(path, shown, text.encoding) from None

    def _text(self, stream: io.RawIOBase, form: Format, shown: str) -> io.TextIOWrapper:
        raw = io.BufferedReader(stream, CHUNK)
        head = raw.peek(4096)[:4096]
        refuse_foreign(head, shown, self._options.encoding)
        encoding = encoding_of(head, self._options.encoding)
        if "16" not in encoding and "32" not in encoding:
            nul = head.find(b"\0")
            if nul >= 0:
                line = head.count(b"\n", 0, nul) + 1
                raise stop("nul", "There is a NUL byte", Place(shown, max(line - 1, 1), line))
        if form == "json":
            return io.TextIOWrapper(raw, encoding=encoding, errors="strict")
        return delimited.text_of(raw, encoding)

    def _delimiter(self, form: Format) -> str:
        return self._options.delimiter or ("\t" if form == "tsv" else ",")

    def _check_age(self, reading: Reading) -> None:
        limit = self._options.max_age
        if limit is None:
            return
        age = self._clock() - reading.modified
        if age > limit:
            said = f"{reading.shown} is {_hours(age)} old; at most {_hours(limit)} are allowed"
            raise stop("too-old", said, reading.shown, fix="Export it again, or raise max_age.")

    def _undecodable(self, path: Path, shown: str, encoding: str) -> SourceError:
        name = "UTF-8" if encoding.startswith("utf-8") else encoding
        return not_decodable(path, shown, encoding, name)

    def sha256(self) -> str:
        """Of the bytes of the files; nothing is parsed."""
        whole = hashlib.sha256()
        for path, shown in self.files():
            with Reading(path, shown) as reading:
                while reading.read(CHUNK):
                    pass
                whole.update(f"{shown}\0{reading.finish()}\0".encode())
        return whole.hexdigest()

    def digest(self) -> sources.Digest:
        if self._digest is None:
            for _ in self.rows():
                pass
        return self._digest or sources.Digest("", 0, 0)


def _stream(reading: Reading, path: Path) -> io.RawIOBase:
    return Unpacking(reading) if is_packed(path) else reading


def _after(error: SourceError, place: Place | None) -> SourceError:
    """The same error, with the last row that was read where it does not know a row itself."""
    first = error.problems[0]
    if place is None or len(error.problems) > 1 or isinstance(first.place, Place):
        return error
    found = first.found or f"read up to row {place.row}" + (f", line {place.line}" if place.line else "")
    return SourceError(replace(first, place=place, found=found), effect=error.effect)


def _hours(seconds: float) -> str:
    if seconds >= 172_800:
        return f"{seconds / 86_400:.0f} days"
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.0f} minutes"


def open_options(options: Options, access: sources.Access) -> FileSource:
    """The kind's door; nothing is opened yet."""
    return FileSource(options, access.base)
