"""Projects, environments and specs, read and checked against each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from syncengine.errors import Place, Position, Problem, SpecError
from syncengine.spec.circles import circle
from syncengine.spec.columns import Headers
from syncengine.spec.discovery import ANOTHER_PROJECT, PROJECT_FILE, mapping_of, read_file, shown_path, spec_files
from syncengine.spec.environments import read_environment
from syncengine.spec.files import file_kind, read_project
from syncengine.spec.model import Environment, Project, Spec
from syncengine.spec.names import Names, unique_names
from syncengine.spec.nodes import MapNode
from syncengine.spec.report import Wrong
from syncengine.spec.specs import Read
from syncengine.spec.wording import WIDTH, near, wrapped
from syncengine.spec.writers import one_source, two_writers


def find_project(start: Path) -> Project:
    """The project of a folder: the nearest `syncengine.yaml` upwards, else the folder itself."""
    start = start.resolve()
    for folder in (start, *start.parents):
        file = folder / PROJECT_FILE
        if file.is_file():
            node, report = mapping_of(file, PROJECT_FILE)
            project = read_project(node, folder, file, report)
            _raise(report.problems)
            return project
    return Project(start, name=start.name)


def load_environment(project: Project, name: str, file: Path | None = None) -> Environment:
    """`environments/<name>.yaml` of the project, or another file; SpecError with all that is wrong with it."""
    path = file if file is not None else project.root / "environments" / f"{name}.yaml"
    if file is None and not path.is_file():
        folder = project.root / "environments"
        known = tuple(sorted(one.stem for one in folder.glob("*.yaml"))) if folder.is_dir() else ()
        fix = near(name, known) or (f"There are: {', '.join(known)}" if known else "The built-in one is: sandbox")
        raise SpecError(
            Problem("no-environment", f'There is no environment "{name[:60]}"', f"environments/{name}.yaml", fix=fix)
        )
    node, report = mapping_of(path, shown_path(path, project.root))
    try:
        if file_kind(node, report.file, report) != "environment":
            raise report.stop("wrong-kind", f"{report.file} is no environment", node.position, "kind: environment")
        environment = read_environment(node, name, path, report)
    except Wrong:
        raise SpecError(report.problems) from None
    _raise(report.problems)
    return environment


def load_specs(project: Project, paths: Sequence[Path] = ()) -> list[Spec]:
    """The specs of files or folders, without paths all of the project; raises one error with all problems."""
    checked = check_specs(project, paths)
    _raise(checked.problems, also=ANOTHER_PROJECT)
    return checked.specs


def references(project: Project, specs: Sequence[Spec], paths: Sequence[Path] = ()) -> list[Spec]:
    """Specs that are not planned but whose records are ends of what is: read, asked for, and not written."""
    known = {spec.name for spec in specs}
    wanted = _named(specs) - known
    if not wanted:
        return []
    folders = [path if path.is_dir() else path.parent for path in paths]
    others: dict[str, Spec] = {}
    for places_of_specs in (folders, [project.root]):
        # A spec elsewhere that is not right does not stop the plan of one that is.
        found = check_specs(project, places_of_specs).specs if places_of_specs else []
        others.update({spec.name: spec for spec in found if spec.name not in known and spec.name not in others})
        if wanted <= others.keys():
            break
    result: list[Spec] = []
    while wanted:
        name = min(wanted)
        wanted.discard(name)
        if name in others and others[name] not in result:
            result.append(others[name])
            wanted |= _named([others[name]]) - known - {spec.name for spec in result}
    return result


def _named(specs: Sequence[Spec]) -> set[str]:
    """The specs whose steps are referred to."""
    return {
        ref.step.rpartition(".")[0]
        for spec in specs
        for step in spec.steps.values()
        for ref in step.references
        if ref.step is not None
    }


@dataclass(slots=True)
class Checked:
    """Specs that are right, and all problems, warnings included."""

    specs: list[Spec] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    """Source files that could not be read, so that no column of theirs was checked."""


def check_specs(project: Project, paths: Sequence[Path] = ()) -> Checked:
    """Reads and checks; raises nothing that a file is to blame for."""
    found = Checked()
    reads: list[Read] = []
    for path, explicit in spec_files(project, paths, found.problems):
        shown = shown_path(path, project.root)
        try:
            read = read_file(path, shown, project, found.problems, explicit=explicit)
        except SpecError as error:
            found.problems.extend(error.problems)
            found.files.append(shown)
            continue
        if read is not None:
            reads.append(read)
            found.files.append(shown)
    unique_names(reads, found.problems)
    Names(project, reads).check()
    found.problems.extend(_circles(reads))
    known = _environment_vars(project) if any(read.note.vars for read in reads) else frozenset()
    for read in reads:
        _check_vars(read, project, known)
        headers = Headers(project.root, read.sources, read.note)
        headers.check(read.note.columns)
        found.unread.extend(headers.unread)
        wrong = any(one.severity == "error" for one in read.note.problems)
        found.problems.extend(read.note.problems)
        if read.spec is not None and not wrong:
            found.specs.append(read.spec)
    twice = two_writers(found.specs)
    twice += one_source(found.specs, lambda: check_specs(project).specs if paths else ())
    found.problems.extend(twice)
    files = {one.place.file for one in twice if isinstance(one.place, Position) and one.severity == "error"}
    found.specs = [spec for spec in found.specs if str(spec.path) not in files]
    found.problems = sorted(dict.fromkeys(_fitting(found.problems)), key=_order)
    return found


def _fitting(problems: Iterable[Problem]) -> Iterator[Problem]:
    """The same, with fixes in lines that fit a terminal; a line of the file with its caret stays as it is."""
    for one in problems:
        long = one.code != "yaml-syntax" and any(len(line) > WIDTH for line in one.fix.split("\n"))
        yield replace(one, fix=wrapped(one.fix)) if long else one


def _circles(reads: Sequence[Read]) -> list[Problem]:
    edges = {
        step.full_name: [
            (one.step, one.position)
            for one in step.references
            # What can be written in a second pass waits for nothing.
            if one.role is None and one.step and not (step.defers and one.type not in step.never_defer)
        ]
        for read in reads
        if read.spec is not None
        for step in read.spec.steps.values()
    }
    found = circle(edges)
    return [] if found is None else [found]


def _order(problem: Problem) -> tuple[str, int, int, str]:
    place = problem.place
    if isinstance(place, Position):
        return place.file, place.line, place.column, problem.code
    if isinstance(place, Place):
        return place.file, place.line, 0, problem.code
    return place, 0, 0, problem.code


def _raise(problems: Sequence[Problem], also: str = "") -> None:
    """Raises what is wrong, behind the warnings of one code that may explain it."""
    errors = sorted(_fitting(one for one in problems if one.severity == "error"), key=_order)
    if errors:
        raise SpecError([*_fitting(one for one in problems if one.severity != "error" and one.code == also), *errors])


def _environment_vars(project: Project) -> frozenset[str]:
    """Variables that some environment of the project sets."""
    folder = project.root / "environments"
    names: set[str] = set()
    for path in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
        try:
            node, _ = mapping_of(path, path.name)
        except SpecError:
            continue
        inner = node.get("vars")
        if isinstance(inner, MapNode):
            names.update(key.text for key, _ in inner.pairs)
    return frozenset(names)


def _check_vars(read: Read, project: Project, environments: frozenset[str]) -> None:
    known = {*read.vars, *project.vars, *environments}
    for name, position in read.note.vars:
        if name not in known:
            fix = near(name, tuple(known)) or f"vars: {{{name}: ...}}"
            read.note.add("unknown-variable", f'There is no variable "{name[:60]}" in vars', position, fix, name)
