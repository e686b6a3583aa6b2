"""Whether the classes of the specs exist, have their columns, and can be identified by what the specs fill."""

from __future__ import annotations

from collections.abc import Iterator

from syncengine.doctor.finding import Finding
from syncengine.doctor.visit import Visit
from syncengine.errors import Exit
from syncengine.spec.model import Step
from syncengine.transport.instance import ClassInfo, column_fix


def look(visit: Visit) -> Iterator[Finding]:
    """One line per step and class, or one per thing that is wrong with it."""
    for step in visit.steps:
        for name in step.classes if step.kind == "cmdb" else ():
            info = visit.instance.describe(name)
            if info is None:
                fix = visit.instance.class_fix(name)
                message = f'the instance has no class "{name}", or this user may not see it'
                place = str(next((one.position for one in step.class_said), step.position))
                yield Finding("class", "problem", message, fix, place, Exit.SPEC)
                continue
            wrong = [*_columns(step, info), *_identification(step, info), *_parts(step, info)]
            yield from wrong or [Finding("class", "ok", f"{name}: {_said(step, info)}")]


def _columns(step: Step, info: ClassInfo) -> Iterator[Finding]:
    for field in step.fields:
        if info.columns and field.name not in info.columns:
            message = f'{info.name} has no column "{field.name}"'
            yield Finding("column", "problem", message, column_fix(info, field.name), str(field.position), Exit.SPEC)


def _identification(step: Step, info: ClassInfo) -> Iterator[Finding]:
    place = str(step.position)
    if info.is_independent is None or not info.entries:
        message = f"{info.name} has no identification rule: the engine refuses its records"
        fix = f"ask the admin for an identification rule for {info.name} with fields that the source has"
        yield Finding("identification", "problem", message, fix, place, Exit.SPEC)
    elif not _usable(step, info):
        wanted = " or ".join("+".join(entry.attributes) for entry in info.entries if not entry.is_lookup)
        message = f"step {step.full_name} fills no identification entry of {info.name}: new records cannot be made"
        yield Finding("identification", "warning", message, f"fill {wanted}" if wanted else "", place)


def _usable(step: Step, info: ClassInfo) -> list[str]:
    """The identification entries that the step fills."""
    filled = {field.name for field in step.fields} | {"sys_class_name"}
    parts = [(part.class_name, {field.name for field in part.fields}) for part in step.recipe.lookup]
    return [
        "+".join(entry.attributes) + (f" of {entry.table}" if entry.is_lookup else "")
        for entry in info.entries
        if (not entry.is_lookup and filled.issuperset(entry.attributes))
        or (entry.is_lookup and any(name == entry.table and has.issuperset(entry.attributes) for name, has in parts))
    ]


def _parts(step: Step, info: ClassInfo) -> Iterator[Finding]:
    for word, parts in (("lookup", step.recipe.lookup), ("related", step.recipe.related)):
        for part in parts:
            if info.parts and part.class_name not in info.parts:
                message = f"the identification rule of {info.name} has no {word} entry for {part.class_name}"
                fix = f"take the {word} item out, or ask the admin for the entry"
                yield Finding("identification", "problem", message, fix, str(part.position), Exit.SPEC)


def _said(step: Step, info: ClassInfo) -> str:
    return f"{len(step.fields)} columns, identified by {' or '.join(_usable(step, info))}"
