"""Names that specs refer to each other by: each is there, once, and fits the reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from syncengine.errors import Position, Problem, SpecError
from syncengine.mapping.model import RecordRef, Shaped
from syncengine.spec.discovery import read_file, shown_path, spec_file
from syncengine.spec.import_types import KEY_ITSELF, SOURCE_ITSELF, import_types
from syncengine.spec.model import Project, Step
from syncengine.spec.reader import StepNote
from syncengine.spec.specs import Read
from syncengine.spec.wording import near


def unique_names(reads: Sequence[Read], problems: list[Problem]) -> None:
    """Reports specs that share a name."""
    first: dict[str, Read] = {}
    for read in reads:
        other = first.setdefault(read.name, read)
        if other is not read:
            said = f'Two specs are named "{read.name}": {other.shown} and this one'
            problems.append(Problem("duplicate-name", said[:160], Position(read.shown, 1, 1), fix="name: ANOTHER"))


class Names:
    """References between steps, also of other specs of the project."""

    def __init__(self, project: Project, reads: Sequence[Read]) -> None:
        self._project = project
        self._reads = list(reads)
        self._by_name = {read.name: read for read in reads}
        self._looked: set[Path] = set()

    def check(self) -> None:
        """Reports references that lead nowhere, or to what cannot be referred to, at the spec that has them."""
        for read in self._reads:
            for note in read.note.steps:
                self._one(read, note)
            for step in read.spec.steps.values() if read.spec is not None else ():
                if step.kind == "4me":
                    self._taken(read, step)

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

    def _taken(self, read: Read, step: Step) -> None:
        """A record of 4me is named by one of its columns: of the type that is meant, and one that its step writes."""
        columns = import_types()[str(step.options["type"])].columns
        for rule in step.recipe.fields:
            value = rule.value.origin if isinstance(rule.value, Shaped) else rule.value
            if not isinstance(value, RecordRef):
                continue
            target = self._step(value.step)
            if target is None:
                continue
            wanted = columns[rule.name].to or ("cis" if value.take.startswith("@") else "")
            by = columns[rule.name].by
            makes = str(target.options.get("type", "")) if target.kind == "4me" else ""
            if wanted and makes != wanted and value.take in ("", by, KEY_ITSELF, SOURCE_ITSELF):
                said = (
                    f'{rule.name} names a record of {wanted}; the step "{target.name}" makes {makes or "none of 4me"}'
                )
                read.note.add("bad-reference", said, value.position, f"Name a step that makes {wanted}.")
            elif value.take and value.take[0] != "@" and value.take not in {one.name for one in target.fields}:
                said = f'{rule.name} names a record by its {value.take}, which the step "{target.name}" does not write'
                fix = f"Give that step the field {value.take}, or write the {value.take} itself:  {rule.name}: COLUMN"
                read.note.add("bad-reference", said, value.position, fix)

    def _step(self, full_name: str) -> Step | None:
        """A step of the specs that were read; None where it is none, or one that is told to be wrong."""
        spec, _, name = full_name.rpartition(".")
        read = self._by_name.get(spec)
        return read.spec.steps.get(name) if read is not None and read.spec is not None else None

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
            read = read_file(path, shown_path(path, self._project.root), self._project, problems, explicit=True)
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
                    read = read_file(
                        path, shown_path(path, self._project.root), self._project, problems, explicit=False
                    )
                except SpecError:
                    continue
                if read is not None:
                    self._by_name.setdefault(read.name, read)
        return self._by_name.get(name)


def _s(count: int) -> str:
    return "" if count == 1 else "s"
