"""YAML text to typed specs, projects and environments; every problem has file, line and column."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from syncengine import sources
from syncengine.changes import BadRow, Row
from syncengine.errors import Problem, SpecError
from syncengine.mapping import Mapper
from syncengine.mapping.lookups import Tables
from syncengine.sources.file import Options as FileOptions
from syncengine.spec.loader import Checked, check_specs, find_project, load_environment, load_specs, references
from syncengine.spec.model import Connection, Environment, Guards, Limit, Project, Source, Spec, Step

__all__ = [
    "Checked",
    "Connection",
    "Environment",
    "Guards",
    "Limit",
    "Open",
    "Project",
    "Source",
    "Spec",
    "Step",
    "check_specs",
    "find_project",
    "load_environment",
    "load_specs",
    "mapper",
    "open_source",
    "references",
]


Open = Callable[[Spec, str], sources.Source]
"""Opens a source of a spec by its name."""


def open_source(
    spec: Spec, name: str, variables: Mapping[str, str] | None = None, access: sources.Access | None = None
) -> sources.Source:
    """A source of a spec, with the variables of its path filled in; nothing is read yet.

    Without `access` rows that are on an instance cannot be read. SpecError for a path whose variables are not set.
    """
    source = spec.sources[name]
    options = source.options
    if isinstance(options, FileOptions) and "{{" in options.file:
        known = {**spec.vars, **(variables or {})}

        def fill(found: re.Match[str]) -> str:
            if found[1] not in known:
                fix = f"vars: {{{found[1]}: ...}}   in the environment"
                raise SpecError(
                    Problem("unknown-variable", f'There is no variable "{found[1]}"', source.position, fix=fix)
                )
            return known[found[1]]

        options = replace(options, file=re.sub(r"\{\{ *vars\.([a-z_][a-z0-9_]*) *\}\}", fill, options.file))
    return sources.open_source(options, access or sources.Access(spec.project.root))


def mapper(
    spec: Spec, step: Step, *, run_date: str, variables: Mapping[str, str] | None = None, opening: Open | None = None
) -> Mapper:
    """The compiled step; its `records(rows)` may run once.

    Lookups read the other sources of the spec when needed, as `opening` opens them.
    """

    def rows(name: str) -> Iterator[Row]:
        source = opening(spec, name) if opening is not None else open_source(spec, name, variables)
        return (row for row in source.rows() if not isinstance(row, BadRow))

    tables = Tables(rows, lambda name: spec.sources[name].rules.no_value)
    return Mapper(step.recipe, run_date=run_date, vars={**spec.vars, **(variables or {})}, tables=tables)
