"""Whether the data sources of the specs are choices of cmdb_ci.discovery_source: the engine takes no other."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from syncengine.doctor.finding import Finding
from syncengine.doctor.visit import Visit
from syncengine.errors import Exit


def look(visit: Visit) -> Iterator[Finding]:
    """One line per data source."""
    wanted: dict[str, str] = {}
    for step in visit.steps:
        if step.data_source and step.kind in ("cmdb", "relation"):
            wanted.setdefault(step.data_source, str(step.position))
    if not wanted:
        return
    choices = visit.instance.data_sources()
    if not choices:
        fix = visit.ask_for("read access to sys_choice")
        yield Finding("data source", "warning", "the choices of cmdb_ci.discovery_source cannot be read", fix)
        return
    for name, place in wanted.items():
        if name in choices:
            yield Finding("data source", "ok", f'"{name}" is a choice of cmdb_ci.discovery_source')
            continue
        same = next((one for one in choices if one.lower() == name.lower()), "")
        near = [same] if same else difflib.get_close_matches(name, sorted(choices), 1)
        fix = f"data_source: {near[0]}   or " if near else ""
        fix += f'ask the admin to add the choice "{name}" to cmdb_ci.discovery_source'
        if visit.is_sandbox:
            fix = f'sandbox/seed.yaml:  choices: {{cmdb_ci.discovery_source: ["{name}"]}}'
        message = f'"{name}" is no choice of cmdb_ci.discovery_source: every record would be refused'
        yield Finding("data source", "problem", message, fix, place, Exit.SPEC)
