"""`syncengine` in a folder: called in this process, or run in a process of its own.

In this process it says and does the same without the start of an interpreter. What a test kills, measures or limits
has a process of its own.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import orjson

from syncengine.cli import main
from tests.processes import started

ROOT = Path(__file__).resolve().parents[1]
MODULE = ("-m", "syncengine")
Environ = Mapping[str, str | None]
"""Variables that are set, or (None) taken away."""


@dataclass(frozen=True)
class Ran:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> str:
        """All that it said."""
        return self.out + self.err

    @property
    def lines(self) -> list[Any]:
        """What it said in JSON, line by line."""
        return [orjson.loads(line) for line in self.out.splitlines()]

    def ends(self, code: int = 0) -> Ran:
        """Itself, when it ended with this code; fails with all that it said otherwise."""
        assert self.code == code, f"exit {self.code} instead of {code}\n{self.told}"
        return self

    def has_five_parts(self, code: str = "") -> bool:
        """Code and sentence, place, what to do, exactly one effect line."""
        parts = (f"error[{code}", "\n  at ", "\n  fix: ")
        return all(part in self.err for part in parts) and self.err.count("\n  effect: ") == 1


class CommandLine:
    """`syncengine` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Ran:
        """Call a command in this process, as its script does, with nobody at the keyboard."""
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        code: str | int | None = 0
        umask, threshold = os.umask(0o077), gc.get_threshold()
        try:
            with (
                mock.patch.dict(os.environ, {"NO_COLOR": "1", **(env or {})}),
                mock.patch.object(sys, "stdin", io.StringIO()),
                contextlib.chdir(self.folder),
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
            ):
                main(list(map(str, arguments)))
        except SystemExit as ending:
            code = ending.code
        finally:
            os.umask(umask)
            gc.set_threshold(*threshold)
            gc.unfreeze()
        assert isinstance(code, int)
        return _ran(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))

    def command(
        self, *arguments: str | Path, env: Environ | None = None, python: Sequence[str] = MODULE
    ) -> tuple[list[str], dict[str, str]]:
        """How a process of its own is called, and with which environment; `python` is what the interpreter is told."""
        said = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **(env or {})}
        environment = {name: value for name, value in said.items() if value is not None}
        return [sys.executable, *python, *map(str, arguments)], environment

    @contextlib.contextmanager
    def start(
        self, *arguments: str | Path, env: Environ | None = None, python: Sequence[str] = MODULE, **how: Any
    ) -> Iterator[subprocess.Popen[str]]:
        """Start a command and leave it running while the block lasts."""
        call, environment = self.command(*arguments, env=env, python=python)
        how = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        if "preexec_fn" in how:  # a limit of the size of files would cut those of compiled modules, too
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
        with started(call, cwd=self.folder, env=environment, **how) as process:
            yield process

    def process(self, *arguments: str | Path, timeout: float = 120, **how: Any) -> Ran:
        """Run a command to its end, in a process of its own; takes what `start` takes."""
        with self.start(*arguments, **how) as process:
            out, err = process.communicate(timeout=timeout)
        return _ran(process.returncode, out or "", err or "")

    def write(self, name: str, text: str | bytes) -> Path:
        """A file of the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        """Change a file of the folder; it must differ afterwards."""
        before = (self.folder / name).read_text("utf-8")
        after = change(before)
        assert after != before
        self.write(name, after)

    def source(self, name: str, *lines: str) -> None:
        """A CSV file beside the specs: its header and its rows."""
        self.write(f"specs/{name}.csv", "".join(f"{line}\n" for line in lines))

    def summary(self, plan: str) -> dict[str, Any]:
        """What a plan adds up to, as machines read it."""
        found: dict[str, Any] = self.run("show", plan, "--format", "json").ends().lines[-1]
        return found

    def operations(self, plan: str = "p") -> list[dict[str, Any]]:
        """The operations of a plan that are not unchanged."""
        lines = self.run("show", plan, "--format", "json").ends().lines
        return [line["operation"] for line in lines if line["kind"] == "operation"]

    def newest(self) -> dict[str, Any]:
        """The newest run, as `status` tells it."""
        found: dict[str, Any] = self.run("status", "-n", "1", "--format", "json").ends().lines[0]
        return found

    @property
    def state(self) -> Path:
        """Where runs are kept."""
        return self.folder / ".syncengine"


def _ran(code: int, out: str, err: str) -> Ran:
    assert "Traceback" not in out + err
    return Ran(code, out, err)
