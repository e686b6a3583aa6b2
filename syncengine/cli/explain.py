"""`syncengine explain`: one record, from its row to what became of it."""

from __future__ import annotations

import difflib
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from syncengine.cli import connect, places
from syncengine.cli.complaints import complain
from syncengine.cli.explained import describe, runs_of
from syncengine.cli.making import Inputs, planning
from syncengine.errors import NOTHING_WRITTEN, Exit, Problem, SpecError, visible
from syncengine.pipeline import explain
from syncengine.reports import TOUCHED
from syncengine.spec import check_specs, load_specs, references
from syncengine.spec.model import Project, Spec, Step

WIDTH = 80
BASES = {
    "engine": "by the target's own rules",
    "compared": "read there and compared",
    "predicted": "from the transform maps of the target",
    "implied": "follows from another change of this plan",
    "unknown": "the target does not tell before it is sent",
}
"""How it is known, in words."""


@click.command(name="explain")
@click.argument("spec_name", metavar="SPEC")
@click.argument("step_name", metavar="STEP")
@click.argument("key", metavar="KEY")
@places.env_option
@places.env_file_option
@places.permits_option
@click.option("--format", "form", type=click.Choice(["human", "json"]), default="human", show_default=True)
def command(
    spec_name: str, step_name: str, key: str, env_name: str, env_file: Path | None, permits: int | None, form: str
) -> int:
    """Follow one record: its row, what the spec makes of it, what the target says, what became of it.

    SPEC is the name or the file of a spec, STEP one of its steps, KEY what names the record in the source (parts
    joined with |); of a relation step, the key of either end; of a step without keys, the number of the row. The
    target is asked, and nothing is written.

    \b
    syncengine explain estate servers CZ1234AB --env dev
    syncengine explain specs/estate.yaml disks 'CZ1234AB|sda'
    """
    project = places.project()
    spec = _spec(project, spec_name)
    step = _step(spec, step_name)
    env = connect.environment(project, env_name, env_file)
    others = references(project, [spec], [project.root / spec.path])
    inputs = Inputs(project, env, [spec], others, {}, {}, {}, None)
    with tempfile.TemporaryDirectory(prefix="syncengine-") as place, planning(inputs, permits, "Following") as of:
        told, plan = explain(of, spec, step, key, Path(place) / "plan")
        known = describe(project, env, told, plan)
    known["runs"] = runs_of(project, env, told)
    if form == "json":
        click.echo(orjson.dumps(known).decode())
    else:
        for line in lines(known):
            click.echo(line)
    if told.found or told.left_out is not None:
        return int(Exit.OK)
    what = "rows of this step, whose records have no key" if told.is_keyless else "keys of this step"
    near = f"{what}: {', '.join(told.near)}" if told.near else "the step makes no record at all"
    said = f"{step.full_name}={key}"
    complain(
        SpecError(
            Problem(
                "no-such-record", f'no row makes the record "{key}" of {step.full_name}', said, found=key, fix=near
            ),
            effect=NOTHING_WRITTEN,
        )
    )
    return int(Exit.SPEC)


def _spec(project: Project, name: str) -> Spec:
    """A spec by its name or its file; raises SpecError, with the one that was meant."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return load_specs(project, [path])[0]
    checked = check_specs(project, [])
    found = next((spec for spec in checked.specs if spec.name == name), None)
    if found is not None:
        return found
    names = [spec.name for spec in checked.specs]
    near = difflib.get_close_matches(name, names, 1)
    said = f'there is no spec "{name}"' + (f', did you mean "{near[0]}"?' if near else "")
    wrong = [one for one in checked.problems if one.severity == "error"]
    fix = f"one of: {', '.join(names[:10])}" if names else "syncengine validate"
    raise SpecError([Problem("no-such-spec", said, "syncengine explain", name, fix), *wrong])


def _step(spec: Spec, name: str) -> Step:
    short = name.removeprefix(f"{spec.name}.")
    if short in spec.steps:
        return spec.steps[short]
    near = difflib.get_close_matches(short, list(spec.steps), 1)
    said = f'{spec.path} has no step "{name}"' + (f', did you mean "{near[0]}"?' if near else "")
    raise SpecError(Problem("no-such-step", said, str(spec.path), name, f"one of: {', '.join(spec.steps)}"))


# ── for people ──────────────────────────────────────────────────────────────────────────────────


def lines(known: dict[str, Any]) -> Iterator[str]:
    """Five parts, in the order in which a record is made: row, mapping, what the target says, fields, runs."""
    yield f"{known['step']} {visible(known['key'])} in {known['environment']}  ({known['at']})"
    yield from _rows(known)
    for made in known["made"]:
        yield from _made(made)
    yield from _target(known)
    yield from _runs(known["runs"])


def _head(title: str, said: str = "") -> Iterator[str]:
    yield ""
    yield from _wrapped(f"{title:<9} {visible(said)}".rstrip(), " " * 10)


def _wrapped(text: str, deep: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=deep, break_long_words=False, break_on_hyphens=False)


def _pairs(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Names and values, values below each other."""
    width = min(max((len(name) for name, _ in pairs), default=0), 30)
    for name, value in pairs:
        yield f"  {visible(name):<{width}}  {_cut(value) or '(empty)'}"


def _cut(value: str, width: int = 60) -> str:
    value = visible(value)
    return value if len(value) <= width else value[: width - 1] + "…"


def _rows(known: dict[str, Any]) -> Iterator[str]:
    for row in known["rows"]:
        yield from _head("Row", row["at"])
        yield from _pairs(list(row["values"].items()))
    if known["left_out"] is not None:
        yield from _head("Left out", f"the row makes no record: `when` at {known['left_out']['at']} does not hold")
        yield f"  {_cut(known['left_out']['text'], 76)}"


def _made(made: dict[str, Any]) -> Iterator[str]:
    if "bad" in made:
        bad = made["bad"]
        yield from _head("Refused", f"{bad['code']}: {bad['message']}" + (f" ({bad['found']})" if bad["found"] else ""))
        yield f"  said at {made['rule']['at']}"
        if bad["fix"]:
            yield from _wrapped(f"  fix: {visible(bad['fix'])}", "       ")
        return
    if "relation" in made:
        yield from _head("Mapped", f"{made['parent']} {made['relation']} {made['child']}  ({made['row']})")
        return
    yield from _head("Mapped", " ".join(one for one in (made["class"], made["key"]) if one))
    if made["class_rule"] is not None:
        yield f"  class at {made['class_rule']['at']}"
    for field in made["fields"]:
        yield f"  {visible(field['name'])} = {_cut(field['value']) or '(empty)'}"
        yield from _said(field["rule"])
    for relation in made["relations"]:
        other = next(f"{role} {relation[role]}" for role in ("parent", "child") if role in relation)
        yield f"  {visible(relation['type'])}: {_cut(other)}"
        yield from _said(relation["rule"])
    for word in ("lookup", "related"):
        for part in made[word]:
            values = ", ".join(f"{name}={value}" for name, value in part["values"].items())
            yield from _wrapped(visible(f"  {word} {part['class']}: {values}"), "      ")


def _said(rule: dict[str, str] | None) -> Iterator[str]:
    if rule is not None:
        yield f"      {_cut(rule['text'], 50)}  ({rule['at']})"


def _target(known: dict[str, Any]) -> Iterator[str]:
    for one in known["operations"]:
        yield from _head("Target", _sentence(one))
        if one["code"]:
            yield from _wrapped(f"  {one['code']}: {visible(one['message'])}", "    ")
            if one["fix"]:
                yield from _wrapped(f"  fix: {visible(one['fix'])}", "       ")
        elif one["reason"] and one["basis"] in ("predicted", "compared", "unknown"):
            yield from _wrapped(f"  {visible(one['reason'])}", "    ")
        for field in one["fields"]:
            after = _cut(field["after"], 40) or "(empty)"
            yield f"  {visible(field['name'])}: {_cut(field['before'], 40) or '(empty)'} → {after}"
        if one["refused_fields"]:
            names = ", ".join(one["refused_fields"])
            yield from _wrapped(f"  not authoritative, so refused by reconciliation rules: {names}", "    ")
    beside = [one for one in known["along"] if one["kind"] not in ("end", "relation")]
    if beside:
        yield from _head("Needs", ", ".join(f"{one['action']} {one['step']} {one['key']}" for one in beside))


def _sentence(one: dict[str, Any]) -> str:
    how = BASES[one["basis"]]
    if one["kind"] == "relation":
        verb = one["type"].partition("::")[0]
        word = {"relate": "new", "unchanged": "there already"}.get(one["action"], one["action"])
        return f"{one['parent']} {verb} {one['child']}: {word} ({how})"
    what = f"{one['class']} {one['sys_id']}".strip() or "the record"
    if one["action"] == "rejected":
        return f"rejected{f', for {what}' if one['sys_id'] else ''}"
    if one["action"] == "create":
        return f"no record is identified by this: create ({how})"
    if one["action"] == "reclassify":
        return f"{what}, which is {one['was_class']} now: reclassify ({how})"
    if one["action"] == "touched":
        return f"{what}: it is {TOUCHED.get(one['reason'], 'as wanted')} ({how})"
    return f"{what}: {'it is as wanted' if one['action'] == 'unchanged' else one['action']} ({how})"


def _runs(runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield from _head("Runs", "" if runs else "none of this environment had it")
    for run in runs:
        for one in run["operations"]:
            result = one["result"].replace("_", " ") or "nothing to do"
            what = f"{one['relation']}: " if "relation" in one else ""
            fields = f" of {', '.join(one['fields'])}" if one["fields"] else ""
            became = "" if result == one["action"] else f": {result}"
            answer = f" ({one['operation']})" if one["operation"] else ""
            said = f"  {run['run']}  {what}{one['action']}{fields}{became}{answer}"
            yield from _wrapped(visible(said), "      ")
            if one["code"] and one["result"] not in ("", "applied", "unchanged"):
                yield from _wrapped(visible(f"      {one['code']}: {one['message']}"), "        ")
