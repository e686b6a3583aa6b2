"""What is known of one record, as machines read it; values that may not be shown are hidden here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncengine.changes import BadRow, Change, End, Find, Outcome, Pair, Part, Record, Row, StepRef
from syncengine.cli import connect
from syncengine.errors import Position
from syncengine.execution.account import account_of
from syncengine.execution.journal import State
from syncengine.execution.rejects import advice
from syncengine.mapping.model import Condition, Tests
from syncengine.planning.plan_file import PlanFile
from syncengine.planning.sealing import HIDDEN, shown
from syncengine.planning.tracing import Trace
from syncengine.reports import without_values
from syncengine.spec.model import Environment, Project, Step

RUNS = 5
"""Runs that are told of."""
LOOKED_AT = 30
"""Runs that are looked through for them."""


def describe(project: Project, env: Environment, told: Trace, plan: PlanFile | None) -> dict[str, Any]:
    """Everything but the runs; values that are sensitive, or that the environment keeps out of reports, are hidden."""
    step = told.step
    hidden = step.sensitive
    rows = [] if told.left_out is None else [_row(told.left_out, step, env)]
    made = []
    for one in told.found:
        if one.row is not None:
            row = _row(one.row, step, env)
            if row not in rows:
                rows.append(row)
        made.append(_made(project, one.made, told.rules, hidden, env))
    operations = [] if plan is None else _operations(plan, told, env)
    when = step.recipe.when
    return {
        "version": 1,
        "kind": "record",
        "step": step.full_name,
        "step_kind": step.kind,
        "at": str(step.position),
        "key": told.key,
        "environment": env.name,
        "rows": rows,
        "left_out": _rule(project, _position_of(when) or step.position) if told.left_out is not None else None,
        "made": made,
        "operations": [one for one in operations if one["own"]],
        "along": [one for one in operations if not one["own"]],
    }


def _position_of(when: Condition | None) -> Position | None:
    if when is None:
        return None
    return when.tests[0].position if isinstance(when, Tests) else when.position


def _row(row: Row, step: Step, env: Environment) -> dict[str, Any]:
    """A row as the source has it; of a step with sensitive fields nothing of it, since any column may hold one."""
    is_shown = env.show_values and not step.sensitive
    values = {name: "" if value is None else str(value) for name, value in row.values.items()}
    return {"at": str(row.place), "values": {name: value if is_shown else HIDDEN for name, value in values.items()}}


def _made(
    project: Project,
    made: Record | Pair | BadRow,
    rules: Mapping[str, Position],
    hidden: frozenset[str],
    env: Environment,
) -> dict[str, Any]:
    if isinstance(made, BadRow):
        problem = made.problem
        found = problem.found if env.show_values and not hidden else ""
        said = {"code": problem.code, "message": problem.message, "found": found, "fix": problem.fix}
        place = problem.place
        rule = _rule(project, place) if isinstance(place, Position) else {"at": str(place), "text": ""}
        return {"bad": {**said, "level": made.level}, "rule": rule}
    if isinstance(made, Pair):
        ends = {"parent": _named(made.parent), "child": _named(made.child)}
        return {"relation": made.type, **ends, "row": str(made.place)}

    def value_of(name: str, value: str) -> str:
        return HIDDEN if name in hidden or not env.show_values else value

    fields = [
        {"name": name, "value": value_of(name, value), "rule": _rule(project, rules.get(name), name)}
        for name, value in made.values.items()
    ]
    fields += [
        {"name": name, "value": _named(end), "rule": _rule(project, rules.get(name), name)} for name, end in made.refs
    ]
    return {
        "class": made.class_name,
        "class_rule": _rule(project, rules.get("sys_class_name")),
        "key": made.key,
        "native_key": made.native_key,
        "fields": fields,
        "relations": [
            {"type": link.type, link.role: _named(link.other), "rule": _rule(project, _position(link.position))}
            for link in made.links
        ],
        "lookup": [_part(part, env) for part in made.lookup],
        "related": [_part(part, env) for part in made.related],
    }


def _part(part: Part, env: Environment) -> dict[str, Any]:
    values = {name: value if env.show_values else HIDDEN for name, value in part.values.items()}
    return {"class": part.class_name, "values": values}


def _named(end: StepRef | Find) -> str:
    """Another record, as the spec names it."""
    if isinstance(end, StepRef):
        return f"{end.step} {end.key}" + (f" ({end.take.removeprefix('@')})" if end.take not in ("", "sys_id") else "")
    return f"{end.table} where " + ", ".join(f"{name} is {value}" for name, value in end.where)


def _rule(project: Project, position: Position | None, name: str = "") -> dict[str, str] | None:
    """What the spec says there, from the name of the field to the end of the line, or of its part of the line."""
    if position is None:
        return None
    try:
        lines = (project.root / position.file).read_text(encoding="utf-8", errors="replace").splitlines()
        line = lines[position.line - 1]
    except (OSError, IndexError):
        return {"at": str(position), "text": ""}
    start = line.rfind(f"{name}:", 0, position.column) if name else position.column - 1
    return {"at": str(position), "text": _part_of_line(line[max(start, 0) :].strip())[:200]}


def _position(said: str) -> Position:
    file, line, column = said.rsplit(":", 2)
    return Position(file, int(line), int(column))


def _part_of_line(text: str) -> str:
    """The beginning of a line up to the comma or bracket that ends this entry of a mapping written on one line."""
    depth, quote = 0, ""
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
            if depth < 0:
                return text[:at]
        elif char == "," and not depth:
            return text[:at]
    return text


def _operations(plan: PlanFile, told: Trace, env: Environment) -> list[dict[str, Any]]:
    """What the plan has for it, and what it takes along."""
    found = []
    steps = plan.header.steps
    for change in plan.changes():
        name = "" if change.kind == "end" else steps[change.step].name
        own = name == told.step.full_name and _is(change, told)
        found.append({"own": own, **_operation(change, name, env)})
    return found


def _is(change: Change, told: Trace) -> bool:
    if told.is_keyless:
        return change.place is not None and str(change.place.row) == told.key
    return told.key in (change.key, *(end.key for end in (change.parent, change.child) if end is not None))


def _operation(change: Change, step: str, env: Environment) -> dict[str, Any]:
    after = {**change.values, **change.names, **{name: end.key or end.sys_id for name, end in change.refs.items()}}
    said: dict[str, Any] = {"step": step, "kind": change.kind, "action": change.action, "basis": change.basis}
    if change.kind == "relation" and change.parent is not None and change.child is not None:
        said |= {"type": change.type, "parent": _end(change.parent), "child": _end(change.child)}
    else:
        said |= {"key": change.key, "class": change.class_name, "sys_id": change.sys_id, "was_class": change.was_class}

    def value(text: str) -> str:
        return shown(text) if env.show_values else HIDDEN

    said["fields"] = [
        {"name": name, "before": value(before), "after": value(after.get(name, ""))}
        for name, before in change.before.items()
    ]
    said["refused_fields"] = list(change.masked)
    message = change.message if env.show_values else without_values(change.message)
    why = {"reason": change.reason, "code": change.code, "message": message}
    return {**said, **why, "fix": (change.fix or advice(change.code)) if change.code else ""}


def _end(end: End) -> str:
    return end.key or end.sys_id


def runs_of(project: Project, env: Environment, told: Trace) -> list[dict[str, Any]]:
    """What the last runs of the environment made of it, newest first."""
    place = connect.state_directory(project)
    if not (place / "state.db").is_file():
        return []
    state = State(place)
    found: list[dict[str, Any]] = []
    try:
        rows = [row for row in state.runs() if row.environment == env.name][:LOOKED_AT]
        for row in rows:
            if len(found) == RUNS or not (state.directory / "runs" / row.id / "plan").is_file():
                break
            with account_of(state, row) as account:
                numbers = [n for n, one in enumerate(account.plan.header.steps) if one.name == told.step.full_name]
                has = account.operations.of_step(numbers[0], "" if told.is_keyless else told.key) if numbers else ()
                mine = [_became(change, outcome, env) for change, outcome in has if _is(change, told)]
            if mine:
                found.append({"run": row.id, "started_at": row.started_at, "operations": mine})
    finally:
        state.close()
    return found


def _became(change: Change, outcome: Outcome | None, env: Environment) -> dict[str, Any]:
    said = {"action": change.action, "result": "", "operation": "", "code": change.code, "message": change.message}
    if change.kind == "relation" and change.parent is not None and change.child is not None:
        said |= {"relation": f"{_end(change.parent)} {change.type.partition('::')[0]} {_end(change.child)}"}
    if outcome is not None:
        code, message = outcome.code or change.code, outcome.message or change.message
        said |= {"result": outcome.result, "operation": outcome.operation, "code": code, "message": message}
    elif change.action == "rejected":
        said["result"] = "rejected"
    elif change.is_sent:
        said["result"] = "not_sent"
    if not env.show_values:
        said["message"] = without_values(said["message"])
    return {**said, "fields": list(change.before)}
