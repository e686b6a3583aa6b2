"""Secrets are found where the environment says, and never shown."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from syncengine.credentials import FromCommand, FromEnv, FromFile, Plain, Secret, SecretSource, resolve
from syncengine.errors import Position, SpecError

AT = Position("environments/e.yaml", 7, 3)
CANARY = "CANARY-7f3a"


def test_a_secret_is_never_printed() -> None:
    """Not by repr, str, format, or a pickle."""
    secret = Secret(CANARY)
    assert CANARY not in f"{secret} {secret!r} {secret!s} {[secret]} {secret:>20}"
    assert secret.reveal() == CANARY
    with pytest.raises(TypeError):
        pickle.dumps(secret)


@pytest.mark.covers("SEC-06")
def test_where_secrets_come_from(tmp_path: Path) -> None:
    """The environment, then .env; a file; a command; and a user name as it stands."""
    (tmp_path / ".env").write_text("FROM_DOTENV='${HOME} x'\nBOTH=file\n")
    (tmp_path / "token").write_text(f"{CANARY}\n")
    (tmp_path / "token").chmod(0o600)
    environ = {"FROM_ENV": CANARY, "BOTH": "environment"}
    for source, expected in (
        (FromEnv("FROM_ENV", AT), CANARY),
        (FromEnv("BOTH", AT), "environment"),
        (FromEnv("FROM_DOTENV", AT), "${HOME} x"),
        (FromFile(Path("token"), AT), CANARY),
        (FromCommand(("printf", f"{CANARY}\\n"), AT), CANARY),
        (Plain("sync", AT), "sync"),
    ):
        assert resolve(source, tmp_path, environ).reveal() == expected


@pytest.mark.covers("SPEC-47", "SEC-07")
def test_a_secret_that_is_not_there(tmp_path: Path) -> None:
    """The source is named, and its place; a value never."""
    (tmp_path / "open").write_text(CANARY)
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "lines").write_text(f"{CANARY}\n{CANARY}\n")
    (tmp_path / "lines").chmod(0o600)
    cases: list[tuple[SecretSource, str, str]] = [
        (FromEnv("NOWHERE", AT), "no-secret", "The environment variable NOWHERE is not set"),
        (FromEnv("EMPTY", AT), "empty-secret", "The environment variable EMPTY is empty"),
        (FromEnv("LINES", AT), "bad-secret", "LINES holds a line end"),
        (FromFile(Path("none"), AT), "no-secret", "none cannot be read"),
        (FromFile(Path(), AT), "no-secret", "cannot be read"),
        (FromFile(Path("open"), AT), "open-secret", "Everybody can read open"),
        (FromFile(Path("lines"), AT), "bad-secret", "lines holds a line end"),
        (FromCommand(("false",), AT), "no-secret", "The command false ended with 1"),
        (FromCommand(("no-such-command",), AT), "no-secret", "The command no-such-command cannot be run"),
        (FromCommand(("true",), AT), "empty-secret", "What the command true prints is empty"),
    ]
    for source, code, said in cases:
        with pytest.raises(SpecError) as caught:
            resolve(source, tmp_path, {"EMPTY": "", "LINES": f"{CANARY}\nx"})
        (problem,) = caught.value.problems
        assert problem.code == code
        assert said in problem.message
        assert problem.place == AT
        assert CANARY not in repr(problem)
