"""What the commands share: the project, the wall clock, run names, seeds of the sandbox."""

from __future__ import annotations

import datetime as dt
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from syncengine.spec import find_project
from syncengine.spec.model import Project, Spec

PULLED = "pulled.yaml"
"""What was pulled from an instance."""
DETAILS = 20
"""Operations of each kind and step that are written out unless --all asks for every one."""
SEEDS = (PULLED, "seed.yaml")
"""Files of a folder `sandbox`, in the order they are applied."""
ENV_HELP = "Environment: environments/NAME.yaml of the project; `sandbox` needs no file."

env_option = click.option("--env", "env_name", default="sandbox", show_default=True, metavar="NAME", help=ENV_HELP)
env_file_option = click.option(
    "--env-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read the environment from this file instead.",
)
permits_option = click.option("--permits", type=click.IntRange(1, 64), help="Requests in flight at once (default: 4).")
format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["human", "json", "markdown", "html", "github", "junit"]),
    default="human",
    show_default=True,
    help="How it is told on stdout; html is one page, github are annotations.",
)
paths_argument = click.argument("paths", nargs=-1, type=click.Path(path_type=Path))


def project() -> Project:
    """The project of the working directory."""
    return find_project(Path.cwd())


def wall() -> str:
    """The time of day, for people: UTC, to the second."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment() -> str:
    """The time of day to the millisecond: tells plans apart that were made in one second."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def today() -> str:
    """The date that templates see as `run.date`."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%d")


def run_name() -> str:
    """A new run's name: sorts by time, and is short enough to type."""
    return dt.datetime.now(dt.UTC).strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2)


def seeds(of: Project, specs: Sequence[Spec]) -> list[Path]:
    """Seed files for the built-in sandbox: those of the project, and those beside the specs that are planned."""
    folders = [of.root, *(path for spec in specs for path in _folders(of.root, (of.root / spec.path).parent))]
    found = [folder / "sandbox" / name for folder in dict.fromkeys(folders) for name in SEEDS]
    return [path for path in found if path.is_file()]


def _folders(root: Path, folder: Path) -> list[Path]:
    """The folder and those above it, up to the project."""
    chain = [folder]
    while folder != root and folder.parent != folder and root in folder.parents:
        folder = folder.parent
        chain.append(folder)
    return list(reversed(chain))


def is_terminal() -> bool:
    """Whether progress may be drawn."""
    return sys.stderr.isatty() and not os.environ.get("CI")
