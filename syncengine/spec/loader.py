"""Files of a project found, read and checked against each other."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from syncengine.errors import Place, Position, Problem, SpecError
from syncengine.spec.circles import circle
from syncengine.spec.columns import Headers
from syncengine.spec.environments import read_environment
from syncengine.spec.files import file_kind, read_project, read_shared
from syncengine.spec.model import Environment, Project, Spec
from syncengine.spec.nodes import MapNode, compose, decode, read_bytes
from syncengine.spec.reader import StepNote
from syncengine.spec.shapes import Report, Wrong
from syncengine.spec.specs import Read, read_spec
from syncengine.spec.wording import WIDTH, near, wrapped
from syncengine.spec.writers import two_writers

PROJECT_FILE = "syncengine.yaml"
ANOTHER_PROJECT = "another-project"
_NOT_SPECS = frozenset({"environments", "sandbox", "shared", "tests", "node_modules", "__pycache__"})


def find_project(start: Path) -> Project:
    """The project of a folder: the nearest `syncengine.yaml` upwards, else the folder itself."""
    start = start.resolve()
    for folder in (start, *start.parents):
        file = folder / PROJECT_FILE
        if file.is_file():
            node, report = _mapping(file, PROJECT_FILE)
            project = read_project(node, folder, file, report)
            _raise(report.problems)
            return project
    return Project(start, name=start.name)


def load_environment(project: Project, name: str, file: Path | None = None) -> Environment:
    """`environments/<name>.yaml` of the project, or another file."""
    path = file if file is not None else project.root / "environments" / f"{name}.yaml"
    if file is None and not path.is_file():
        folder = project.root / "environments"
        known = tuple(sorted(one.stem for one in folder.glob("*.yaml"))) if folder.is_dir() else ()
        fix = near(name, known) or (f"There are: {', '.join(known)}" if known else "The built-in one is: sandbox")
        raise SpecError(
            Problem("no-environment", f'There is no environment "{name[:60]}"', f"environments/{name}.yaml", fix=fix)
        )
    node, report = _mapping(path, _shown(path, project.root))
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


def spec_file(project: Project, name: str) -> Path | None:
    """The file of a spec by its name."""
    root = project.root.resolve()
    for folder in (root / "specs", root):
        for suffix in (".yaml", ".yml"):
            path = folder / f"{name}{suffix}"
            if path.is_file() and path.resolve().is_relative_to(root):
                return path
    return None


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
    for path, explicit in _files(project, paths, found.problems):
        shown = _shown(path, project.root)
        try:
            read = _read(path, shown, project, found.problems, explicit=explicit)
        except SpecError as error:
            found.problems.extend(error.problems)
            found.files.append(shown)
            continue
        if read is not None:
            reads.append(read)
            found.files.append(shown)
    _unique_names(reads, found.problems)
    _Names(project, reads).check()
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


def _shown(path: Path, root: Path) -> str:
    try:
        return str(path.resolve().relative_to(root.resolve()))
    except (ValueError, OSError):
        return str(path)


def _mapping(path: Path, shown: str) -> tuple[MapNode, Report]:
    return compose(decode(read_bytes(path, shown), shown), shown), Report(shown)


def _files(project: Project, paths: Sequence[Path], problems: list[Problem]) -> Iterator[tuple[Path, bool]]:
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
                shown = _shown(folder / PROJECT_FILE, project.root)
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
            node, _ = _mapping(file, file.name)
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


def _read(path: Path, shown: str, project: Project, problems: list[Problem], *, explicit: bool) -> Read | None:
    data = read_bytes(path, shown)
    node = compose(decode(data, shown), shown)
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
        return read_spec(path, shown, project, node, data)
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


def _unique_names(reads: Sequence[Read], problems: list[Problem]) -> None:
    first: dict[str, Read] = {}
    for read in reads:
        other = first.setdefault(read.name, read)
        if other is not read:
            said = f'Two specs are named "{read.name}": {other.shown} and this one'
            problems.append(Problem("duplicate-name", said[:160], Position(read.shown, 1, 1), fix="name: ANOTHER"))


class _Names:
    """References between steps, also of other specs of the project."""

    def __init__(self, project: Project, reads: Sequence[Read]) -> None:
        self._project = project
        self._reads = list(reads)
        self._by_name = {read.name: read for read in reads}
        self._looked: set[Path] = set()

    def check(self) -> None:
        for read in self._reads:
            for note in read.note.steps:
                self._one(read, note)

    def _one(self, read: Read, note: StepNote) -> None:
        target = read
        add = read.note.add
        if note.spec is not None:
            found = self._other(note.spec)
            if found is None:
                fix = (
                    near(note.spec, tuple(self._by_name))
                    or "A spec's name is its path without suffix, or its name: key."
                )
                add("unknown-spec", f'There is no spec "{note.spec[:60]}"', note.position, fix, note.spec)
                return
            target = found
        if note.step not in target.step_names:
            self._unknown(read, target, note)
            return
        step = target.spec.steps.get(note.step) if target.spec is not None else None
        if step is None:
            return
        if step.kind in ("relation", "attach"):
            said = f'"{note.step}" is a{"n" * (step.kind == "attach")} {step.kind} step: it makes no records'
            add("bad-reference", said, note.position)
        elif note.key_parts < 0:
            if step.kind != "staging":
                said = f'run_after names a staging step; "{note.step}" is a {step.kind} step'
                add("bad-reference", said, note.position)
        elif step.key_parts != note.key_parts:
            given = "1 is" if note.key_parts == 1 else f"{note.key_parts} are"
            said = f'"{note.step}" has a key of {step.key_parts} part{_s(step.key_parts)}; here {given} given'
            shown = ", ".join(getattr(one, "text", "VALUE") for one in step.recipe.key)
            add("key-parts", said, note.key_position, f"The key there is [{shown}].")

    def _unknown(self, read: Read, target: Read, note: StepNote) -> None:
        known = tuple(target.step_names)
        where = "this spec" if target is read else f'the spec "{target.name}"'
        what = f"{note.role} refers" if note.role else "This refers"
        said = f'{what} to the step "{note.step}"; {where} has {", ".join(known[:12])}'
        fix = near(note.step, known)
        if not fix and note.spec is None:
            spec = near(note.step, tuple(self._by_name)).removeprefix("Did you mean ").strip('"?')
            if spec in self._by_name:
                step = next(iter(self._by_name[spec].step_names), "STEP")
                fix = f'Did you mean the spec "{spec}"?   {{spec: {spec}, step: {step}, key: ...}}'
        fix = fix or f"Name one of these, or add the step:  step: {known[0] if known else 'STEP'}"
        read.note.add("unknown-step", said, note.position, fix, note.step)

    def _other(self, name: str) -> Read | None:
        found = self._by_name.get(name)
        if found is not None:
            return found
        path = spec_file(self._project, name)
        return self._neighbour(name) if path is None else self._load(path, name)

    def _load(self, path: Path, name: str) -> Read | None:
        problems: list[Problem] = []
        try:
            read = _read(path, _shown(path, self._project.root), self._project, problems, explicit=True)
        except SpecError:
            return None
        if read is not None:
            self._by_name[name] = read
        return read

    def _neighbour(self, name: str) -> Read | None:
        """A spec of that name in a folder of those that are checked; all of these are read, once."""
        for folder in dict.fromkeys(read.path.parent for read in self._reads):
            if folder in self._looked:
                continue
            self._looked.add(folder)
            for path in sorted({*folder.glob("*.yaml"), *folder.glob("*.yml")}):
                problems: list[Problem] = []
                try:
                    read = _read(path, _shown(path, self._project.root), self._project, problems, explicit=False)
                except SpecError:
                    continue
                if read is not None:
                    self._by_name.setdefault(read.name, read)
        return self._by_name.get(name)


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _environment_vars(project: Project) -> frozenset[str]:
    """Variables that some environment of the project sets."""
    folder = project.root / "environments"
    names: set[str] = set()
    for path in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
        try:
            node, _ = _mapping(path, path.name)
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
