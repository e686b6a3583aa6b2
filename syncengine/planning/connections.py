"""Which connection of the environment each step goes through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from syncengine.errors import NOTHING_WRITTEN, Position, Problem, SpecError
from syncengine.sources.servicenow import Options as TableOptions
from syncengine.spec.model import Spec, Step

SERVICE = {"4me": "4me"}
"""The service of each kind of step that is not ServiceNow's."""


def connections_of(specs: Sequence[Spec], known: Mapping[str, str]) -> dict[str, str]:
    """The connection of each step, by full name; `known` gives the service of each connection of the environment.

    Raises SpecError for all steps whose connection is missing, of another service, or one of several.
    """
    found: dict[str, str] = {}
    problems: list[Problem] = []
    for spec in specs:
        for step in spec.steps.values():
            name = _connection(step, known, problems)
            if name:
                found[step.full_name] = name
    if problems:
        raise SpecError(problems, effect=NOTHING_WRITTEN)
    return found


def source_connections(specs: Sequence[Spec], known: Mapping[str, str]) -> dict[str, str]:
    """The connection of each source whose rows are on an instance, by `<spec>.<source>`; raises SpecError as above."""
    found: dict[str, str] = {}
    problems: list[Problem] = []
    for spec in specs:
        for source in spec.sources.values():
            if isinstance(source.options, TableOptions):
                said = (f"the source {spec.name}.{source.name}", source.options.connection, source.position)
                found[f"{spec.name}.{source.name}"] = _chosen("servicenow", *said, known, problems)
    if problems:
        raise SpecError(problems, effect=NOTHING_WRITTEN)
    return found


def chosen_connection(service: str, who: str, wanted: str | None, known: Mapping[str, str]) -> str:
    """The connection of a service that somebody needs; raises SpecError as above."""
    problems: list[Problem] = []
    name = _chosen(service, who, wanted, Position("the environment", 1, 1), known, problems)
    if problems:
        raise SpecError(problems)
    return name


def _connection(step: Step, known: Mapping[str, str], problems: list[Problem]) -> str:
    service = SERVICE.get(step.kind, "servicenow")
    return _chosen(service, step.full_name, step.connection, step.position, known, problems)


def _chosen(
    service: str,
    who: str,
    wanted: str | None,
    position: Position,
    known: Mapping[str, str],
    problems: list[Problem],
) -> str:
    fitting = [name for name, kind in known.items() if kind == service]
    if wanted is not None:
        if wanted in fitting:
            return wanted
        what = f"is one of {known[wanted]}" if wanted in known else "is not in this environment"
        said = f'the connection "{wanted}" of {who} {what}'
        fix = f"connection: {fitting[0]}" if fitting else f"add a connection of kind {service} to the environment"
        problems.append(Problem("unknown-connection", said, position, fix=fix))
        return ""
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        said = f"the environment has no connection of kind {service}, which {who} needs"
        fix = f"connections: {{{service}: {{kind: {service}, url: .., auth: ..}}}}  in environments/NAME.yaml"
    else:
        said = f"the environment has several connections of kind {service}; {who} must say which"
        fix = f"connection: {fitting[0]}   (or {', '.join(fitting[1:])})"
    problems.append(Problem("connections", said, position, fix=fix))
    return ""
