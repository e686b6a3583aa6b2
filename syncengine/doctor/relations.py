"""Whether the relation types of the specs exist, and the rules that say which CI lives in which can be read."""

from __future__ import annotations

from collections.abc import Iterator

from syncengine.doctor.finding import Finding
from syncengine.doctor.visit import Visit
from syncengine.errors import AuthError, Exit, RemoteError

RULES = "read access to cmdb_metadata_hosting and cmdb_metadata_containment (role itil)"


def look(visit: Visit) -> Iterator[Finding]:
    """One line per relation type, then the dependency rules."""
    wanted: dict[str, str] = {}
    for step in visit.steps:
        if step.relation_type:
            wanted.setdefault(step.relation_type, str(step.position))
        for reference in step.references:
            if reference.role is not None:
                wanted.setdefault(reference.type, str(reference.position))
    if not wanted:
        return
    yield from _types(visit, wanted)
    yield from _rules(visit)


def _types(visit: Visit, wanted: dict[str, str]) -> Iterator[Finding]:
    try:
        types = visit.instance.relation_types()
    except (AuthError, RemoteError) as error:
        fix = visit.ask_for("read access to cmdb_rel_type")
        yield Finding("relation type", "problem", error.problems[0].message, fix, "cmdb_rel_type", Exit.AUTH)
        return
    if not types:
        fix = visit.ask_for("read access to cmdb_rel_type")
        yield Finding("relation type", "problem", "no relation type can be seen", fix, "cmdb_rel_type", Exit.AUTH)
        return
    for name, place in wanted.items():
        if name in types:
            yield Finding("relation type", "ok", f'"{name}"')
            continue
        fix = visit.instance.type_fix(name)
        if visit.is_sandbox:
            fix += f'. Or seed it:  records: {{cmdb_rel_type: [{{name: "{name}"}}]}}'
        else:
            fix += f'. Or ask the admin for the relation type "{name}"'
        message = f'the instance has no relation type "{name}"'
        yield Finding("relation type", "problem", message, fix, place, Exit.SPEC)


def _rules(visit: Visit) -> Iterator[Finding]:
    try:
        rules = visit.instance.dependency_rules()
    except (AuthError, RemoteError) as error:
        exit_class = error.exit if error.problems[0].code != "no-dependency-rules" else Exit.AUTH
        message = f"the rules that say which CI lives in which cannot be read: {error.problems[0].message}"
        place = str(error.problems[0].place)
        yield Finding("dependency rules", "problem", message, visit.ask_for(RULES), place, exit_class)
    else:
        yield Finding("dependency rules", "ok", f"{len(rules)} rules can be read")
