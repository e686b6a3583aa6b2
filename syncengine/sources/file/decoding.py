"""Where the first byte stands that is not in a file's encoding."""

from __future__ import annotations

import codecs
from pathlib import Path

from syncengine.errors import Place, SourceError
from syncengine.sources.file.bytes import stop
from syncengine.sources.file.unpacking import open_unpacked


def not_decodable(path: Path, shown: str, encoding: str, name: str) -> SourceError:
    """Where the first byte stands that is not in the encoding; reads the file again."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    with open_unpacked(path) as file:
        for line, data in enumerate(file, 1):
            try:
                decoder.decode(data)
            except UnicodeDecodeError as error:
                byte = error.object[error.start]
                column = error.start + 1
                fix = "encoding: cp1252" if encoding.startswith("utf-8") else "Set the right encoding: in the source."
                said = f"Byte 0x{byte:02X} at position {column} of line {line} is not {name}"
                return stop("encoding", said, Place(shown, max(line - 1, 1), line), fix=fix)
    return stop("encoding", f"{shown} is not {name}", shown, fix="Set  encoding:  in the source.")
