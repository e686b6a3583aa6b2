"""Secrets: where they are found, and a type that never prints them."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import msgspec

from syncengine.errors import Position, Problem, SpecError

COMMAND_SECONDS = 30
MAX_SECRET = 64 * 1024


class Secret:
    """A value that is shown as `***` wherever it is printed; `reveal` gives it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, _: str) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not stored")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class FromEnv(msgspec.Struct, frozen=True):
    """`{env: NAME}`"""

    name: str
    position: Position


class FromFile(msgspec.Struct, frozen=True):
    """`{file: path}`"""

    path: Path
    position: Position


class FromCommand(msgspec.Struct, frozen=True):
    """`{command: [..]}`: what the command prints, without the last line end."""

    command: tuple[str, ...]
    position: Position


class Plain(msgspec.Struct, frozen=True):
    """A text in the file itself; only for what is no secret, such as a user name."""

    text: str
    position: Position


SecretSource = FromEnv | FromFile | FromCommand | Plain


def reference(source: SecretSource) -> str:
    """Where a secret comes from, for people: as an environment file writes it, and the place there; never a value."""
    match source:
        case FromEnv():
            said = f"{{env: {source.name}}}"
        case FromFile():
            said = f"{{file: {source.path}}}"
        case FromCommand():
            more = ", …" if len(source.command) > 1 else ""
            said = f"{{command: [{source.command[0]}{more}]}}"  # what follows may be nobody's business
        case Plain():
            said = "the text"
    return f"{said} at {source.position}"


def resolve(source: SecretSource, root: Path, environ: Mapping[str, str] | None = None) -> Secret:
    """The secret; raises `SpecError` that names the source, never a value."""
    match source:
        case Plain():
            return Secret(source.text)
        case FromEnv():
            return _of_environment(source, root, os.environ if environ is None else environ)
        case FromFile():
            return _of_file(source, root)
        case FromCommand():
            return _of_command(source, root)


def _stop(code: str, message: str, position: Position, fix: str = "") -> NoReturn:
    raise SpecError(Problem(code, message[:160], position, fix=fix))


def _checked(value: str, what: str, position: Position) -> Secret:
    if not value:
        _stop("empty-secret", f"{what} is empty", position)
    if any(character in value for character in "\r\n\0"):
        _stop("bad-secret", f"{what} holds a line end; a password is one line", position)
    return Secret(value)


def _of_environment(source: FromEnv, root: Path, environ: Mapping[str, str]) -> Secret:
    value = environ.get(source.name)
    if value is None:
        file = root / ".env"
        if file.is_file():
            from dotenv import dotenv_values  # only where there is one

            value = dotenv_values(file, interpolate=False, encoding="utf-8").get(source.name)
    if value is None:
        said = f"The environment variable {source.name} is not set"
        _stop("no-secret", said, source.position, f"export {source.name}=...   (or a line in .env)")
    return _checked(value, f"The environment variable {source.name}", source.position)


def _of_file(source: FromFile, root: Path) -> Secret:
    path = root / source.path.expanduser()
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                _stop("no-secret", f"{source.path} is not a regular file", source.position)
            if mode & (stat.S_IROTH | stat.S_IWOTH):
                said = f"Everybody can read {source.path}"
                _stop("open-secret", said, source.position, f"chmod 600 {source.path}")
            text = file.read(MAX_SECRET).decode("utf-8")
    except OSError as error:
        _stop("no-secret", f"{source.path} cannot be read: {error.strerror}", source.position)
    except UnicodeDecodeError:
        _stop("bad-secret", f"{source.path} is not UTF-8", source.position)
    return _checked(text.removesuffix("\n").removesuffix("\r"), str(source.path), source.position)


def _of_command(source: FromCommand, root: Path) -> Secret:
    name = source.command[0]
    try:
        done = subprocess.run(  # noqa: S603 (the command stands in the environment file of the project)
            source.command,
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except (OSError, ValueError):
        _stop("no-secret", f"The command {name} cannot be run", source.position)
    except subprocess.TimeoutExpired:
        _stop("no-secret", f"The command {name} took longer than {COMMAND_SECONDS} s", source.position)
    if done.returncode:
        _stop("no-secret", f"The command {name} ended with {done.returncode}", source.position)
    try:
        text = done.stdout.decode("utf-8")
    except UnicodeDecodeError:
        _stop("bad-secret", f"What the command {name} prints is not UTF-8", source.position)
    return _checked(text.removesuffix("\n").removesuffix("\r"), f"What the command {name} prints", source.position)
