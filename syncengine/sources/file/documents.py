"""A list inside a JSON document, element by element: the document is never in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from json import JSONDecodeError
from typing import Any, TextIO

from syncengine.changes import BadRow, Row
from syncengine.errors import Place, Problem, SourceError
from syncengine.sources.file.bytes import stop
from syncengine.sources.file.values import Refused, refuse_escapes, scan

FILL = 256 * 1024
MAX_ELEMENT = 64 * 1024 * 1024
"""Characters that one element of the list may have."""

_SPACE = " \t\r\n"


class _Text:
    """A window that moves over the text of a document."""

    def __init__(self, file: TextIO, shown: str) -> None:
        self._file = file
        self.shown = shown
        self.buffer = ""
        self.at = 0
        self.line = 1
        self._counted = 0
        self.ended = False
        self.row = 0

    def fill(self, size: int = FILL) -> bool:
        """Reads on; False at the end of the file."""
        self.here()
        self.buffer = self.buffer[self.at :]
        self.at = self._counted = 0
        more = self._file.read(size)
        self.buffer += more
        self.ended = not more
        return bool(more)

    def here(self) -> int:
        """The line of the present place."""
        self.line += self.buffer.count("\n", self._counted, self.at)
        self._counted = self.at
        return self.line

    def place(self) -> Place:
        return Place(self.shown, self.row, self.here())

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            while self.at < len(self.buffer):
                character = self.buffer[self.at]
                if character not in _SPACE:
                    return character
                self.at += 1
            if not self.fill():
                return ""

    def expect(self, character: str) -> None:
        found = self.peek()
        if found != character:
            raise self.wrong(f"expected {character}", found)
        self.at += 1

    def wrong(self, said: str, found: str = "") -> SourceError:
        if not found and self.ended:
            said = "the file ends in the middle"
        column = self.at - (self.buffer.rfind("\n", 0, self.at) + 1) + 1
        return stop("json", f"This is not JSON: {said} (column {column})", self.place(), found)

    def value(self) -> Any:
        """The value at the present place."""
        self.peek()
        size = FILL
        while True:
            try:
                value, end = scan(self.buffer, self.at)
            except StopIteration as stopped:
                where = int(stopped.value) if stopped.value is not None else len(self.buffer)
                said = "expected a value"
            except JSONDecodeError as error:
                where, said = error.pos, error.msg[:1].lower() + error.msg[1:]
                if error.msg.startswith("Unterminated"):
                    where = len(self.buffer)
            except Refused as refused:
                raise stop(refused.code, refused.message, self.place()) from None
            except RecursionError:
                raise stop("too-deep", "The value is nested too deeply", self.place()) from None
            else:
                if end < len(self.buffer) or (self.ended or not self.fill()):
                    return self._take(value, end)
                continue
            if where < len(self.buffer) - 64 or len(self.buffer) > MAX_ELEMENT or not self.fill(size):
                self.at = max(self.at, min(where, len(self.buffer)))
                raise self.wrong(said, self.buffer[self.at : self.at + 20])
            size *= 2

    def _take(self, value: Any, end: int) -> Any:
        if self.buffer.find("\\u", self.at, end) >= 0:
            try:
                refuse_escapes(self.buffer[self.at : end], value)
            except Refused as refused:
                raise stop(refused.code, refused.message, self.place()) from None
        self.at = end
        return value


def rows(file: TextIO, shown: str, path: str | None, first: int) -> Iterator[Row | BadRow]:
    """The elements of the list at `path`, a dotted path into the document."""
    text = _Text(file, shown)
    if not text.peek():
        raise stop("empty-file", f"{shown} is empty", shown)
    for name in path.split(".") if path else ():
        _enter(text, name)
    found = text.peek()
    if found != "[":
        kind = {"{": "an object", '"': "a text", "n": "null"}.get(found, "no list")
        within = f"{path}." if path else ""
        fix = f"rows: {' or '.join(within + name for name in _lists(text))}" if found == "{" else ""
        where = f'At "{path}" there is {kind}' if path else f"The document is {kind}"
        raise stop("not-a-list", f"{where}; rows must lead to a list", text.place(), fix=fix)
    text.at += 1
    text.row = first - 1
    if text.peek() == "]":
        text.at += 1
        _finish(text, path)
        return
    while True:
        text.row += 1
        text.peek()
        place = text.place()
        value = text.value()
        if value.__class__ is dict:
            yield Row(value, place)
        else:
            yield BadRow("", "", Problem("not-an-object", "A row must be an object", place, str(value)[:80]), place)
        found = text.peek()
        text.at += 1
        if found == "]":
            break
        if found != ",":
            text.at -= 1
            raise text.wrong("expected , or ]", found)
    _finish(text, path)


def _enter(text: _Text, name: str) -> None:
    """Moves to the value of a key of the object at the present place."""
    if text.peek() != "{":
        raise stop("no-such-list", f'There is no object that has the key "{name}"', text.place())
    text.at += 1
    seen: list[str] = []
    if text.peek() == "}":
        raise stop("no-such-list", f'There is no "{name}" in {text.shown}: the object is empty', text.place())
    while True:
        if text.peek() != '"':
            raise text.wrong("expected a key", text.peek())
        key = str(text.value())
        text.expect(":")
        if key == name:
            return
        seen.append(key)
        text.value()
        found = text.peek()
        text.at += 1
        if found == "}":
            close = get_close_matches(name, seen, 1)
            fix = f"Did you mean {close[0]}?" if close else ""
            said = f'There is no "{name}" in {text.shown}; its keys are {", ".join(seen)}'
            raise stop("no-such-list", said, text.place(), fix=fix)
        if found != ",":
            text.at -= 1
            raise text.wrong("expected , or }", found)


def _lists(text: _Text) -> list[str]:
    """The keys of the object at the present place that hold lists, as far as they can be read."""
    try:
        value = text.value()
    except SourceError:
        return ["KEY"]
    return [key for key, one in value.items() if isinstance(one, list)] or ["KEY"]


def _finish(text: _Text, path: str | None) -> None:
    """Reads the rest, so that damage after the list is found and the hash is of the whole file."""
    for _ in path.split(".") if path else ():
        while (found := text.peek()) == ",":
            text.at += 1
            text.value()
            text.expect(":")
            text.value()
        if found != "}":
            raise text.wrong("expected , or }", found)
        text.at += 1
    found = text.peek()
    if found:
        raise text.wrong("there is more after the end", found)
