"""Steps that would write the same fields of the same records, one over the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace

from syncengine.errors import Problem
from syncengine.mapping.mapper import key_text
from syncengine.sources import Options
from syncengine.sources.file import Options as FileOptions
from syncengine.spec.model import Spec, Step


def two_writers(specs: Iterable[Spec]) -> list[Problem]:
    """Steps of one source and one key that have a class and a field in common.

    Within a spec that is an error. Across specs it is a warning: they may never be planned together. A step with a
    condition may mean other rows than its twin, so it is left alone.
    """
    found: list[Problem] = []
    seen: dict[tuple[str, str, str, str], list[Step]] = {}
    for spec in specs:
        for step in spec.steps.values():
            if step.kind != "cmdb" or step.recipe.when is not None:
                continue
            each = step.recipe.each.text if step.recipe.each is not None else ""
            mark = (_rows(spec.sources[step.source].options), each, key_text(step.recipe), step.data_source)
            for other in seen.setdefault(mark, []):
                common = [one.name for one in step.fields if one.name in {two.name for two in other.fields}]
                if common and set(step.classes) & set(other.classes):
                    found.append(_problem(step, other, common))
                    break
            seen[mark].append(step)
    return found


def one_source(specs: Iterable[Spec], project: Callable[[], Iterable[Spec]]) -> list[Problem]:
    """Steps that retire records of a 4me type and Source which another spec of the project writes, too.

    4me keeps the Source of a record and not who wrote it, so a plan of one spec would retire what the other has made.
    `project` gives all specs; it is asked only where a step retires or reports.
    """
    watching = [(spec, step) for spec in specs for step in spec.steps.values() if _watches(step)]
    if not watching:
        return []
    found = []
    every = {spec.name: spec for spec in (*project(), *specs)}
    for spec, step in watching:
        steps = (two for name, one in sorted(every.items()) if name != spec.name for two in one.steps.values())
        other = next((two for two in steps if _share(step, two)), None)
        if other is not None:
            said = f'"{step.full_name}" and "{other.full_name}" make {step.options["type"]} of one data source:'
            fix = (
                f"The other one is at {other.position}.\nGive one of them a  data_source:  of its own, or put both in"
                " one spec, or remove  vanished:"
            )
            where = step.vanished.position or step.position
            said += " each would retire the other's"
            found.append(Problem("shared-data-source", said[:160], where, step.data_source, fix=fix))
    return found


def _watches(step: Step) -> bool:
    return step.kind == "4me" and step.vanished.do != "keep"


def _share(step: Step, other: Step) -> bool:
    """Whether the target could not tell their records apart."""
    if other.kind != "4me" or (step.connection and other.connection and step.connection != other.connection):
        return False
    return (step.data_source, step.options["type"]) == (other.data_source, other.options["type"])


def _rows(options: Options) -> str:
    """Which rows these are, whatever the folder of the spec."""
    if isinstance(options, FileOptions):
        options = replace(options, file=os.path.normpath(f"{options.folder}/{options.file}"), folder="")
    return repr(options)


def _problem(step: Step, other: Step, common: list[str]) -> Problem:
    alone = step.full_name.rpartition(".")[0] == other.full_name.rpartition(".")[0]
    names = (step.name, other.name) if alone else (step.full_name, other.full_name)
    said = f'"{names[0]}" and "{names[1]}" write {", ".join(common[:3])} of the same CIs: one would undo the other'
    fix = f"The other one is at {other.position}.\nKeep the field in one of them, or say  when:  for both."
    return Problem("two-writers", said[:160], step.position, fix=fix, severity="error" if alone else "warning")
