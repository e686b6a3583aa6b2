"""A file as the body of a request: read from disk as it is sent, counted and hashed on the way.

Raw, or as the last part of a form: the Attachment API wants the fields that name the record before the file
(c_AttachmentAPI, Australia).
"""

from __future__ import annotations

import hashlib
import io
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

_BLOCK = 256 * 1024


class Upload(io.RawIOBase):
    """An open file between two short texts; as often as it is sent, it is read from its beginning."""

    def __init__(self, file: BinaryIO, size: int, head: bytes = b"", tail: bytes = b"") -> None:
        super().__init__()
        self._file = file
        self._size = size
        self._head, self._tail = head, tail
        self._at = 0
        self._hash = hashlib.sha256()
        self.content_type = "application/octet-stream"

    @property
    def length(self) -> int:
        """Bytes of the whole body."""
        return len(self._head) + self._size + len(self._tail)

    @property
    def sha256(self) -> str:
        """Of the bytes of the file that were read for the last attempt."""
        return self._hash.hexdigest()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Back to the beginning; anywhere else is nowhere."""
        if offset or whence:
            raise io.UnsupportedOperation("it is only read from its beginning")
        self._at = 0
        self._hash = hashlib.sha256()
        self._file.seek(0)
        return 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes; never more of the file than was announced."""
        if size is None or size < 0:
            size = _BLOCK
        at, head, end = self._at, len(self._head), len(self._head) + self._size
        if at < head:
            data = self._head[at : at + size]
        elif at < end:
            data = self._file.read(min(size, end - at))
            if not data:
                raise OSError("the file became shorter while it was sent")
            self._hash.update(data)
        else:
            data = self._tail[at - end : at - end + size]
        self._at += len(data)
        return data


def raw(file: BinaryIO, size: int, content_type: str) -> Upload:
    """The file alone."""
    made = Upload(file, size)
    made.content_type = content_type
    return made


def form(file: BinaryIO, size: int, name: str, content_type: str, fields: Mapping[str, str]) -> Upload:
    """Fields, then the file as the last part (RFC 7578); `name` has to be `is_plain`."""
    boundary = f"syncengine-{secrets.token_hex(16)}"
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{text}\r\n'
        for field, text in fields.items()
    )
    head += f'--{boundary}\r\nContent-Disposition: form-data; name="uploadFile"; filename="{name}"\r\n'
    head += f"Content-Type: {content_type}\r\n\r\n"
    made = Upload(file, size, head.encode(), f"\r\n--{boundary}--\r\n".encode())
    made.content_type = f"multipart/form-data; boundary={boundary}"
    return made


def is_plain(name: str) -> bool:
    """Whether a form has one spelling for this file name: servers differ about quotes and letters beyond ASCII."""
    return name.isascii() and name.isprintable() and not set(name) & set('"\\%')


def sha256_of(path: Path) -> tuple[str, int]:
    """Hash and size of a file, read in pieces; raises OSError."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size
