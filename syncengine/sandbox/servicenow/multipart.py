"""Multipart bodies, read from disk to disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from syncengine.sandbox.body import Spool
from syncengine.sandbox.servicenow.errors import ApiError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


class Part(NamedTuple):
    """One part that is a file."""

    file_name: str
    content_type: str
    content: Spool


class Form(NamedTuple):
    """What a multipart body holds."""

    fields: dict[str, str]
    file: Part | None
    file_is_last: bool


class _Reader:
    """Takes the parser's events."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self.file: Part | None = None
        self.last = False
        self._headers: dict[str, str] = {}
        self._name, self._value = b"", b""
        self._field = ""
        self._text = b""
        self._content: Spool | None = None

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self.begin,
            "on_header_field": self.header_field,
            "on_header_value": self.header_value,
            "on_header_end": self.header_end,
            "on_headers_finished": self.headers_finished,
            "on_part_data": self.data,
            "on_part_end": self.end,
        }

    def begin(self) -> None:
        self._headers, self._text, self._content = {}, b"", None

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._name, self._value = b"", b""

    def headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", ""))
        self._field = _text(options.get(b"name", b""))
        self.last = b"filename" in options
        if self.last:
            self._content = Spool()
            self.file = Part(_text(options[b"filename"]), self._headers.get("content-type", ""), self._content)

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._content is not None:
            self._content.write(data[start:end])
        else:
            self._text += data[start:end]

    def end(self) -> None:
        if self._content is None:
            self.fields[self._field] = self._text.decode("utf-8", "replace")


def _text(name: bytes) -> str:
    """A name as HTML writes it: UTF-8, with three characters as %xx."""
    text = name.decode("utf-8", "replace")
    return text.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def read(body: Spool, content_type: str) -> Form:
    """A multipart body; raises ApiError for what is none."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise ApiError(400, "Exception while reading request", "the Content-Type has no boundary")
    reader = _Reader()
    parser = MultipartParser(boundary, reader.callbacks())
    try:
        for part in body.parts():
            parser.write(part)
        parser.finalize()
    except MultipartParseError as fault:
        raise ApiError(400, "Exception while reading request", str(fault)) from fault
    return Form(reader.fields, reader.file, reader.last)
