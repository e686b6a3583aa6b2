"""The command line, called in this process: what it prints and how it ends, without the start of an interpreter.

What a test kills, measures or limits runs in a process of its own instead.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess
from unittest import mock

from syncengine.cli import main


def called(folder: Path, *arguments: str | Path, env: Mapping[str, str] | None = None) -> CompletedProcess[str]:
    """Call `syncengine` in a folder, as its script does, with nobody at the keyboard."""
    words = list(map(str, arguments))
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    code: str | int | None = 0
    umask, threshold = os.umask(0o077), gc.get_threshold()
    try:
        with (
            mock.patch.dict(os.environ, {"NO_COLOR": "1", **(env or {})}),
            mock.patch.object(sys, "stdin", io.StringIO()),
            contextlib.chdir(folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            main(words)
    except SystemExit as ending:
        code = ending.code
    finally:
        os.umask(umask)
        gc.set_threshold(*threshold)
    assert isinstance(code, int)
    said, complained = (stream.buffer.getvalue().decode() for stream in (out, err))
    return CompletedProcess(words, code, said, complained)
