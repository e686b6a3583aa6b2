"""Which step comes before which, and which fields wait for a second pass; nobody writes an order by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from syncengine.changes import StepInfo
from syncengine.errors import NOTHING_WRITTEN, Problem, SpecError
from syncengine.planning import graph
from syncengine.spec.model import Spec, Step
from syncengine.targets import FlatTarget, find


@dataclass(slots=True)
class Order:
    """The wave of each step, by full name, and the fields that its records get only when all others are there."""

    waves: Mapping[str, int] = field(default_factory=dict)
    deferred: dict[str, set[str]] = field(default_factory=dict)


def order_of(specs: Sequence[Spec]) -> Order:
    """Order the steps: one whose fields name the records of another comes after it.

    A circle is broken where a target can write the field in a second pass (`Step.defers`); any other raises SpecError.
    """
    steps = {step.full_name: step for spec in specs for step in spec.steps.values()}
    order = Order()
    needs: dict[str, dict[str, set[str]]] = {}
    for name, step in steps.items():
        wanted = needs.setdefault(name, {})
        for reference in step.references:
            if reference.role is None and reference.step:
                wanted.setdefault(reference.step, set()).add(reference.type)
        for first in step.run_after:
            wanted.setdefault(first, set())
        if step.defers:
            for other in [other for other, fields in wanted.items() if fields and fields <= step.must_defer]:
                _defer(order, needs, name, other)
            if wanted.get(name):
                _defer(order, needs, name, name)
    _refuse_selfish(steps, needs)
    customary = _customary(steps, needs)
    shared = _shared(steps)
    while True:
        both = {name: [*wanted, *customary.get(name, ())] for name, wanted in needs.items()}
        _join(both, shared)
        try:
            ordered = graph.waves(steps, both)
        except graph.Circle as circle:
            _break(circle, steps, needs, customary, order)
        else:
            order.waves = {name: number for number, wave in enumerate(ordered) for name in wave}
            return order


def _defer(order: Order, needs: Mapping[str, dict[str, set[str]]], name: str, other: str) -> None:
    order.deferred.setdefault(name, set()).update(needs[name].pop(other))


def _customary(steps: Mapping[str, Step], needs: Mapping[str, Mapping[str, set[str]]]) -> dict[str, set[str]]:
    """What targets say should come first, where references do not say the contrary."""
    found: dict[str, set[str]] = {}
    for kind in sorted({step.kind for step in steps.values()}):
        target = find(kind)
        if issubclass(target, FlatTarget):
            infos = [
                StepInfo(
                    name,
                    step.kind,
                    "",
                    step.data_source,
                    step.feed,
                    options=step.options,
                    fields={one.name: str(one.position) for one in step.fields},
                )
                for name, step in steps.items()
                if step.kind == kind
            ]
            for first, second in target.order(infos):
                if second not in needs[first]:
                    found.setdefault(second, set()).add(first)
    return found


def _shared(steps: Mapping[str, Step]) -> list[list[str]]:
    """Steps that come at one time, since rows of one owner travel together, whichever step makes them."""
    found: dict[str, list[str]] = {}
    for name, step in steps.items():
        target = find(step.kind)
        common = target.replaces(step.options, step.data_source) if issubclass(target, FlatTarget) else ""
        if common:
            found.setdefault(common, []).append(name)
    return [names for names in found.values() if len(names) > 1]


def _join(needs: dict[str, list[str]], shared: Sequence[Sequence[str]]) -> None:
    """Let steps that come at one time need the same."""
    for names in shared:
        wanted = [one for one in dict.fromkeys(one for name in names for one in needs[name]) if one not in names]
        needs.update(dict.fromkeys(names, wanted))


def _refuse_selfish(steps: Mapping[str, Step], needs: Mapping[str, Mapping[str, set[str]]]) -> None:
    selfish = [name for name, wanted in needs.items() if name in wanted]
    if selfish:
        raise SpecError(
            [
                Problem(
                    "self-reference",
                    f"a field of {name} refers to {name} itself; which record comes first cannot be known",
                    steps[name].position,
                    fix="say it as a relation, or look for the other record with find_in",
                )
                for name in selfish
            ],
            effect=NOTHING_WRITTEN,
        )


def _break(
    circle: graph.Circle,
    steps: Mapping[str, Step],
    needs: Mapping[str, dict[str, set[str]]],
    customary: Mapping[str, set[str]],
    order: Order,
) -> None:
    """Take one edge out of a circle: a custom before a field; raises SpecError where nothing can give way."""
    edges = list(zip(circle.path, circle.path[1:], strict=False))
    for name, other in edges:
        if other in customary.get(name, ()) and other not in needs[name]:
            customary[name].discard(other)
            return
    for name, other in edges:
        if steps[name].defers and needs[name].get(other) and not needs[name][other] & steps[name].never_defer:
            _defer(order, needs, name, other)
            return
    place = steps[circle.path[0]].position
    problem = Problem("circle", f"steps wait for each other: {circle}", place, fix="break it at one of its fields")
    raise SpecError(problem, effect=NOTHING_WRITTEN)
