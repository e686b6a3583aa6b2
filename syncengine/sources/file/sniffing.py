"""What a file that nobody has described yet probably is; a guess to be written down, never one to run on."""

from __future__ import annotations

import codecs
import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from syncengine.sources.file.bytes import CHUNK, refuse_foreign, stop
from syncengine.sources.file.unpacking import BROKEN, inner, open_unpacked

DELIMITERS = (",", ";", "\t", "|")
ENCODINGS = ("utf-8", "cp1252", "latin-1")
SAMPLE = 256 * 1024
MAX_DOCUMENT = 64 * 1024 * 1024
_SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}


@dataclass(frozen=True, slots=True)
class Guess:
    """What a spec must say about a file; None where the default is right."""

    format: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    rows: str | None = None


def sniff(path: Path) -> Guess:
    """Format, delimiter, encoding and the list inside a document; raises SourceError for what is no text."""
    try:
        with open_unpacked(path) as file:
            head = file.read(SAMPLE)
            refuse_foreign(head, path.name, None)
            encoding = _encoding(head, file)
    except BROKEN as error:
        why = getattr(error, "strerror", "") or error
        raise stop("unreadable-file", f"{path} cannot be read: {why}", str(path)) from None
    text = head.decode(encoding or "utf-8-sig", "ignore")
    known = _SUFFIXES.get(inner(path).suffix.lower())
    form = known or _format(text)
    said = None if known else form
    if encoding in {"utf-16", "utf-8-sig"}:
        encoding = None
    if form == "jsonl":
        return Guess(said, encoding=encoding)
    if form == "json":
        return Guess(said, encoding=encoding, rows=_rows(path, encoding))
    usual = "\t" if form == "tsv" else ","
    found = _delimiter(text, usual, whole=len(head) < SAMPLE)
    return Guess(said, None if found == usual else found, encoding)


def _encoding(head: bytes, rest: IO[bytes]) -> str | None:
    """The first encoding that all bytes are in; None for UTF-8."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    decoders = {name: codecs.getincrementaldecoder(name)("strict") for name in ENCODINGS}
    data = head
    while True:
        for name in list(decoders):
            try:
                decoders[name].decode(data, final=not data)
            except UnicodeDecodeError:
                del decoders[name]
        if not data:
            break
        data = rest.read(CHUNK)
    found = next(iter(decoders))
    return None if found == "utf-8" else found


def _format(text: str) -> str:
    start = text.lstrip()
    if not start.startswith(("{", "[")):
        return "csv"
    first = start.partition("\n")[0]
    try:
        json.loads(first)
    except ValueError:
        return "json"
    return "jsonl" if first.startswith("{") and start.strip() != first.strip() else "json"


def _delimiter(text: str, usual: str, *, whole: bool) -> str:
    """The sign that cuts the lines into most columns, the same number in nearly all of them."""
    lines = text.splitlines(keepends=True)
    if not whole and len(lines) > 1:
        lines = lines[:-1]
    best = (0.0, 1, usual)
    for sign in (usual, *(one for one in DELIMITERS if one != usual)):
        widths = []
        try:
            widths = [len(cells) for cells in csv.reader(lines[:200], delimiter=sign) if cells]
        except csv.Error:
            continue
        if not widths or widths[0] < 2:
            continue
        fits = sum(one == widths[0] for one in widths) / len(widths)
        if (round(fits, 1), widths[0]) > best[:2]:
            best = (round(fits, 1), widths[0], sign)
    return best[2]


def _rows(path: Path, encoding: str | None) -> str | None:
    """The path to the first list of objects in a document; None where the document is the list."""
    if path.stat().st_size > MAX_DOCUMENT:
        return None
    try:
        with open_unpacked(path) as file:
            document = json.loads(file.read(MAX_DOCUMENT).decode(encoding or "utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    level: list[tuple[str, Any]] = [("", document)]
    for _ in range(4):
        for name, value in level:
            if isinstance(value, list) and any(isinstance(one, dict) for one in value):
                return name or None
        level = [
            (f"{name}.{key}".lstrip("."), inner)
            for name, value in level
            if isinstance(value, dict)
            for key, inner in value.items()
            if key and not set(key) & set(".[]")
        ]
    return None


_DOUBLED = re.compile(r"(?:[ÃÂ][\u0080-\u00bf]|â[\u0080€][\u0080-\u00bf\u2018-\u2122œž])+")


def doubled(path: Path, encoding: str | None) -> tuple[int, int, str] | None:
    """Signs that text was encoded twice (Ã© for é) at the beginning of a file: how many, the first line, the first."""
    if encoding is not None and encoding.lower().replace("_", "-") not in {"utf-8", "utf8"}:
        return None
    try:
        with open_unpacked(path) as file:
            head = file.read(SAMPLE)
    except BROKEN:
        return None
    if b"\xc3\x83\xc2" not in head and b"\xc3\x82\xc2" not in head and b"\xc3\xa2" not in head:
        return None
    text = head.decode("utf-8", "ignore")
    found = list(_DOUBLED.finditer(text))
    if not found:
        return None
    first = found[0]
    line = text.count("\n", 0, first.start()) + 1
    around = text[max(0, first.start() - 10) : first.end() + 10].splitlines()[0]
    return len(found), line, around.strip()
