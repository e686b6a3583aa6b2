"""`syncengine graph`: which step reads what, and which records refer to which."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from syncengine.errors import visible
from syncengine.spec import Spec, find_project, load_specs
from syncengine.spec.model import Reference, Source, Step


@click.command(name="graph", short_help="Draw steps and their references")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path), metavar="[PATH]...")
@click.option("--format", "form", type=click.Choice(("text", "mermaid")), default="text", show_default=True)
def command(paths: tuple[Path, ...], *, form: str) -> None:
    """Draw the steps of specs: what each reads and makes, and which records it refers to."""
    specs = load_specs(find_project(Path.cwd()), paths)
    for line in text(specs) if form == "text" else mermaid(specs):
        click.echo(line)


def text(specs: Sequence[Spec]) -> Iterator[str]:
    """One block a step."""
    for spec in specs:
        yield visible(f"{spec.name}  ({spec.path})")
        for step in spec.steps.values():
            yield visible(f"  {step.name}: {makes(step)} from {read_by(spec.sources[step.source])}")
            for said in dict.fromkeys(sentence(step, reference) for reference in step.references):
                yield visible(f"    {said}")


def read_by(source: Source) -> str:
    """Where rows come from: a file as the project sees it, a table, a query, the spec itself."""
    if source.path_said:
        return os.path.normpath(source.path_said)
    return {"inline": "rows of the spec", "sql": "a query"}.get(source.kind) or str(
        getattr(source.options, "shown", "")
    )


def makes(step: Step) -> str:
    """What a step makes, in few words."""
    if step.kind == "relation":
        return f"relations {step.relation_type}"
    if step.kind == "attach":
        return "attachments"
    classes = " | ".join(step.classes)
    return classes if step.kind == "cmdb" else f"{step.kind} {classes}"


def sentence(step: Step, reference: Reference) -> str:
    """A reference, read aloud: `Runs on srv.servers`."""
    other = reference.step or f"{reference.table} on the instance"
    if reference.role is None:
        return f"{named(step, reference)} -> {other}"
    if step.kind == "relation":
        return f"{reference.role}: {other}"
    down, _, up = reference.type.partition("::")
    return f"{down if reference.role == 'child' else up or reference.type} {other}"


def named(step: Step, reference: Reference) -> str:
    """A field as the spec writes it: an end of a relation of 4me stands in two columns of the import."""
    if step.kind == "4me" and step.classes == ("ci_relations",):
        return reference.type.removesuffix(" ID").removesuffix(" Source")
    return reference.type


def mermaid(specs: Sequence[Spec]) -> Iterator[str]:
    """A flowchart for Markdown."""
    names: dict[str, str] = {}

    def node(name: str) -> str:
        return names.setdefault(name, f"n{len(names)}")

    yield "flowchart LR"
    for spec in specs:
        for step in spec.steps.values():
            yield f"  {node(step.full_name)}[{_quoted(f'{step.full_name}<br>{makes(step)}')}]"
    for spec in specs:
        for step in spec.steps.values():
            ends = ((one.step or f"{one.table} on the instance", named(step, one)) for one in step.references)
            for other, said in dict.fromkeys(ends):
                known = other in names
                target = node(other)
                if not known:
                    yield f"  {target}([{_quoted(other)}])"
                yield f"  {node(step.full_name)} -->|{_quoted(said)}| {target}"


def _quoted(label: str) -> str:
    """A label that cannot end its own quotes."""
    return '"' + visible(label).replace('"', "#quot;") + '"'
