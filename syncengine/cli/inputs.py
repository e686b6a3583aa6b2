"""Whether the specs and sources that a plan was made from are still the same, as far as they are here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from syncengine.errors import Problem, SourceError, SpecError, StaleError
from syncengine.planning.plan import Input
from syncengine.planning.plan_file import PlanFile
from syncengine.spec import load_specs, open_source
from syncengine.spec.model import Project, Spec

CHANGED = "changed-inputs"
"""What `--allow` calls it to apply a plan although its inputs are different now."""


def check_inputs(project: Project, plan: PlanFile, variables: Mapping[str, str], *, allowed: bool) -> list[str]:
    """Compare what is here with what the plan was made from; returns the inputs that are not here.

    Raises StaleError with every input that differs, unless that is allowed.
    """
    absent: list[str] = []
    differs: list[Problem] = []
    specs = [one for one in plan.header.inputs if one.kind == "spec"]
    here = [one for one in specs if (project.root / one.path).is_file()]
    absent += [one.path for one in specs if one not in here]
    loaded = _load(project, here)
    for said in here:
        spec = loaded.get(said.name)
        if spec is None or spec.digest != said.sha256:
            differs.append(_differs(said))
            continue
        for source in plan.header.inputs:
            if source.kind == "source" and source.name.rpartition(".")[0] == said.name:
                found = _digest(spec, source.name.rpartition(".")[2], variables)
                if found is None:
                    absent.append(source.path)
                elif found != source.sha256:
                    differs.append(_differs(source))
    if differs and not allowed:
        raise StaleError(differs)
    return absent


def _load(project: Project, said: Sequence[Input]) -> dict[str, Spec]:
    """The specs by name; together, since one may refer to another. None when they are not right any more."""
    if not said:
        return {}
    try:
        return {spec.name: spec for spec in load_specs(project, [project.root / one.path for one in said])}
    except SpecError:
        return {}


def _digest(spec: Spec, name: str, variables: Mapping[str, str]) -> str | None:
    if name not in spec.sources:
        return ""
    try:
        return open_source(spec, name, variables).digest().sha256
    except SourceError:
        return None


def _differs(said: Input) -> Problem:
    return Problem(
        "input-changed",
        f"the {said.kind} {said.name} is not what the plan was made from",
        said.path,
        fix=f"plan anew, or apply the reviewed plan all the same:  --allow {CHANGED}",
    )
