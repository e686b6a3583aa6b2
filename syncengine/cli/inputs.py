"""Whether the specs and sources that a plan was made from are still the same, as far as they are here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from syncengine.changes import Row
from syncengine.errors import Problem, SourceError, SpecError, StaleError
from syncengine.execution.rejects import Originals, Where
from syncengine.planning.plan import Input
from syncengine.planning.plan_file import PlanFile
from syncengine.spec import load_specs, open_source
from syncengine.spec.model import Project, Spec
from syncengine.spec.pinned import in_environment

CHANGED = "changed-inputs"
"""What `--allow` calls it to apply a plan although its inputs are different now."""


@dataclass(slots=True)
class Inputs:
    """What a plan was made from, as far as it is here."""

    absent: list[str] = field(default_factory=list)
    same: list[tuple[Spec, str]] = field(default_factory=list)
    """Sources that are as they were."""
    variables: Mapping[str, str] = field(default_factory=dict)

    def originals(self, wanted: set[Where]) -> Mapping[Where, Mapping[str, str]]:
        """The columns of some rows, as the sources have them."""
        found: dict[Where, Mapping[str, str]] = {}
        files = {file for _, file, _ in wanted}
        for spec, name in self.same:
            steps = [step.full_name for step in spec.steps.values() if step.source == name]
            for row in open_source(spec, name, self.variables).rows():
                if row.place.file not in files or not isinstance(row, Row):
                    continue
                for where in ((step, row.place.file, row.place.row) for step in steps):
                    if where in wanted:
                        found[where] = {column: _text(value) for column, value in row.values.items()}
        return found


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def check_inputs(project: Project, plan: PlanFile, variables: Mapping[str, str], *, allowed: bool) -> Inputs:
    """Compare what is here with what the plan was made from.

    Raises StaleError with every input that differs, unless that is allowed.
    """
    inputs = Inputs(variables=variables)
    absent = inputs.absent
    differs: list[Problem] = []
    specs = [one for one in plan.header.inputs if one.kind == "spec"]
    here = [one for one in specs if (project.root / one.path).is_file()]
    absent += [one.path for one in specs if one not in here]
    loaded = _load(project, here)
    for said in here:
        spec = loaded.get(said.name)
        if spec is None or in_environment(spec.digest, variables) != said.sha256:
            differs.append(_differs(said))
            continue
        for source in plan.header.inputs:
            if source.kind == "source" and source.name.rpartition(".")[0] == said.name:
                found = _digest(spec, source.name.rpartition(".")[2], variables)
                if found is None:
                    absent.append(source.path)
                elif found != source.sha256:
                    differs.append(_differs(source))
                else:
                    inputs.same.append((spec, source.name.rpartition(".")[2]))
    if differs and not allowed:
        raise StaleError(differs)
    return inputs


def originals_of(project: Project, plan: PlanFile, variables: Mapping[str, str]) -> Originals:
    """Gives source rows when they are asked for: only runs that left rows behind read the sources again."""
    return lambda wanted: check_inputs(project, plan, variables, allowed=True).originals(wanted)


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
        return open_source(spec, name, variables).sha256()
    except SourceError:
        return None


def _differs(said: Input) -> Problem:
    counts = ""
    if said.kind == "spec":
        counts = " (shared files, syncengine.yaml and the environment's vars count, tests and comments do not)"
    return Problem(
        "input-changed",
        f"the {said.kind} {said.name} is not what the plan was made from",
        said.path,
        fix=f"plan anew{counts}, or apply the reviewed plan all the same:  --allow {CHANGED}",
    )
