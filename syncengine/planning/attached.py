"""The files that a step attaches: found beside the spec, one record each, with size and hash.

A rendered path is as little trusted as the row it came from: it stays below the folder of the spec, and what it leads
to below the project.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from syncengine.changes import BadRow, Pair, Record
from syncengine.errors import Problem
from syncengine.spec.model import Step
from syncengine.transport.upload import sha256_of

_TYPES = mimetypes.MimeTypes(filenames=())
"""What comes with Python, so that a plan does not depend on the machine."""
_KEPT = 2000


class Attached:
    """Turns records that name files into records of files."""

    def __init__(self, step: Step, folder: Path, root: Path, level: Literal["fail", "skip"] = "fail") -> None:
        self._step = step
        self._level: Literal["fail", "skip"] = level
        self._folder = folder
        self._root = root.resolve()
        self._hashes: dict[Path, tuple[str, int]] = {}
        self._known: dict[int, str] = {}
        """The beginning of the hash of each name on each record, by their hash in this process: rows are many."""
        self.left_out = 0
        """Rows without a file, and files that two rows attach to one record."""

    def of(self, made: Record | Pair | BadRow) -> Iterator[Record | Pair | BadRow]:
        """The records of a record: none, one, or as many as its glob finds."""
        if not isinstance(made, Record):
            yield made
            return
        said = made.values.get("file", "")
        if not said:
            self.left_out += 1
            return
        try:
            files = self._found(said, single=bool(made.values.get("name")))
            if not files:
                yield from self._missing(made, said)
            for file in files:
                yield from self._one(made, said, file)
        except _WrongFile as wrong:
            problem = Problem(wrong.code, wrong.message, self._step.position, said, wrong.fix)
            yield BadRow(made.step, made.key, problem, made.place, self._level)

    def _found(self, said: str, *, single: bool) -> list[Path]:
        parts = said.split("/")
        if said.startswith(("/", "~")) or ".." in parts or "\\" in said or not said.isprintable():
            raise _WrongFile("bad-path", "a path starts at the folder of the spec and stays below it", "")
        path = self._folder / said
        try:
            if path.is_file():
                found = [path]
            elif any(sign in said for sign in "*?["):
                found = sorted(one for one in self._folder.glob(said) if one.is_file())
            else:
                found = []
        except (OSError, ValueError, NotImplementedError) as error:
            raise _WrongFile("bad-path", f"it cannot be looked for: {error}", "") from error
        if single and len(found) > 1:
            raise _WrongFile("one-name", f"it finds {len(found)} files, and they cannot all have one name", "")
        for one in found:
            if not one.resolve().is_relative_to(self._root):
                raise _WrongFile("bad-path", f"{one.name} leads out of the project", "copy the file into the project")
        return found

    def _missing(self, made: Record, said: str) -> Iterator[BadRow]:
        if self._step.options["if_missing"] == "skip":
            self.left_out += 1
            return
        problem = Problem(
            "no-file",
            f"there is no file {said} beside the spec",
            self._step.position,
            said,
            "add the file, or say  attach: {file: …, if_missing: skip}",
        )
        yield BadRow(made.step, made.key, problem, made.place, self._level)

    def _one(self, made: Record, said: str, file: Path) -> Iterator[Record]:
        name = made.values.get("name") or file.name
        if "/" in name or "\\" in name or not name.isprintable() or len(name) > 255:
            raise _WrongFile("bad-name", f"{name[:60]!r} cannot be the name of an attachment", "")
        digest, size = self._hash(file)
        if not size:
            raise _WrongFile("empty-file", f"{file.name} is empty", "have it exported again, or take the row out")
        to = next((ref for field, ref in made.refs if field == "to"), None)
        here = hash((to, name))
        if before := self._known.get(here):
            if before != digest[:16]:
                what = f"{file.name} and another file, with different content, would both be {name} on one record"
                raise _WrongFile("two-files-one-name", what, "say  name:  so that they differ")
            self.left_out += 1
            return
        self._known[here] = digest[:16]
        key = made.key.removesuffix(said) + file.relative_to(self._folder).as_posix()
        values = {
            "file": file.resolve().relative_to(self._root).as_posix(),
            "name": name,
            "content_type": made.values.get("content_type") or _TYPES.guess_type(name)[0] or "application/octet-stream",
            "size": str(size),
            "sha256": digest,
        }
        yield made._replace(key=key, values=values)

    def _hash(self, file: Path) -> tuple[str, int]:
        known = self._hashes.get(file)
        if known is None:
            try:
                known = sha256_of(file)
            except OSError as error:
                raise _WrongFile("no-file", f"{file.name} cannot be read: {error.strerror or error}", "") from error
            if len(self._hashes) < _KEPT:
                self._hashes[file] = known
        return known


class _WrongFile(Exception):
    def __init__(self, code: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.code, self.message, self.fix = code, message, fix
