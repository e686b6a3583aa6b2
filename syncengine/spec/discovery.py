"""Which files of a project are specs, and what they and the others say."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from syncengine.errors import Problem, SpecError
from syncengine.spec.documents import compose, decode, read_bytes
from syncengine.spec.environments import read_environment
from syncengine.spec.files import file_kind, read_project, read_shared
from syncengine.spec.model import Project
from syncengine.spec.nodes import MapNode
from syncengine.spec.report import Report, Wrong
from syncengine.spec.specs import Read, read_spec

PROJECT_FILE = "syncengine.yaml"
ANOTHER_PROJECT = "another-project"
_NOT_SPECS = frozenset({"environments", "sandbox", "shared", "tests", "node_modules", "__pycache__"})


def spec_file(project: Project, name: str) -> Path | None:
    """The file of a spec by its name."""
    root = project.root.resolve()
    for folder in (root / "specs", root):
        for suffix in (".yaml", ".yml"):
            path = folder / f"{name}{suffix}"
            if path.is_file() and path.resolve().is_relative_to(root):
                return path
    return None


def shown_path(path: Path, root: Path) -> str:
    """A path as messages show it: from the project, where it lies in it."""
    try:
        return str(path.resolve().relative_to(root.resolve()))
    except (ValueError, OSError):
        return str(path)


def mapping_of(path: Path, shown: str) -> tuple[MapNode, Report]:
    """The top of a YAML file, and where its problems go; raises SpecError."""
    return compose(decode(read_bytes(path, shown), shown), shown), Report(shown)


def spec_files(project: Project, paths: Sequence[Path], problems: list[Problem]) -> Iterator[tuple[Path, bool]]:
    """Files to read, each once, and whether it was named itself."""
    seen: set[Path] = set()
    if not paths:
        found = sorted({one for glob in project.spec_globs for one in project.root.glob(glob) if one.is_file()})
        if not found:
            said = "There are no specs in this project"
            problems.append(Problem("no-specs", said, str(project.spec_globs[0]), fix=_where_specs_are(project)))
        yield from ((path, False) for path in found)
        return
    for path in paths:
        problems.extend(_of_another(path, project))
        if path.is_dir():
            inner = [one for one in _walk(path) if one not in seen]
            seen.update(inner)
            yield from ((one, False) for one in inner)
        elif path not in seen:
            seen.add(path)
            yield path, True


def _of_another(path: Path, project: Project) -> Iterator[Problem]:
    """A warning for a path of another project: what that one's file says does not hold here."""
    start = path.resolve()
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            if folder != project.root.resolve():
                shown = shown_path(folder / PROJECT_FILE, project.root)
                said = f"{shown} does not hold here: the project is the nearest one upwards from the working directory"
                yield Problem(
                    ANOTHER_PROJECT, said[:160], shown, fix=f"cd {os.path.relpath(folder)}", severity="warning"
                )
            return


def _where_specs_are(project: Project) -> str:
    """The next thing to do where no spec was found: one that lies elsewhere is named, a project further down, too."""
    root = project.root
    for file in sorted([*root.glob("*.yaml"), *root.glob("*.yml")]):
        try:
            node, _ = mapping_of(file, file.name)
        except SpecError:
            continue
        if file.name != PROJECT_FILE and node.get("steps") is not None:
            return f"Name it:  syncengine plan {file.name}"
    for file in sorted([*root.glob(f"*/{PROJECT_FILE}"), *root.glob(f"*/*/{PROJECT_FILE}")]):
        return f"There is a project further down:  cd {file.parent.relative_to(root)}"
    return "Name a file or folder, or begin with one:  syncengine init --from FILE"


def _walk(folder: Path) -> list[Path]:
    """The files of a folder and below; a folder that is a project of its own is left out, and so are its specs."""
    found: list[Path] = []
    for top, folders, files in os.walk(folder):
        folders[:] = sorted(
            one
            for one in folders
            if one not in _NOT_SPECS and not one.startswith(".") and not (Path(top) / one / PROJECT_FILE).is_file()
        )
        found.extend(
            Path(top) / one for one in sorted(files) if one.endswith((".yaml", ".yml")) and not one.startswith(".")
        )
    return found


def read_file(path: Path, shown: str, project: Project, problems: list[Problem], *, explicit: bool) -> Read | None:
    """A file if it is a spec; of another kind it is checked where it was named itself. Raises SpecError."""
    node = compose(decode(read_bytes(path, shown), shown), shown)
    report = Report(shown)
    if not explicit and path.name == PROJECT_FILE:
        return None
    if not explicit and node.get("syncengine") is None and node.get("steps") is None:
        return None
    try:
        kind = file_kind(node, shown, report)
    except Wrong:
        problems.extend(report.problems)
        return None
    if kind == "spec":
        return read_spec(path, shown, project, node)
    if explicit:
        _other(kind, path, node, project, report)
        problems.extend(report.problems)
    return None


def _other(kind: str, path: Path, node: MapNode, project: Project, report: Report) -> None:
    """Checks a file of another kind that was named itself."""
    if kind == "environment":
        read_environment(node, path.stem, path, report)
    elif kind == "project":
        read_project(node, project.root, path, report)
    elif kind == "shared":
        read_shared(node, report)
