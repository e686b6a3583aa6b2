"""Limits that a plan may not pass without being told to, by name and number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from syncengine.errors import Problem, many
from syncengine.planning.plan import GuardResult, Manifest, Note, StepCounts
from syncengine.spec.model import GUARDS, Environment, Limit, Spec, Step

WAIVABLE = {
    "creates": "max_creates",
    "updates": "max_updates",
    "retires": "max_retires",
    "reclassified": "max_reclassified",
    "bad_rows": "max_bad_rows",
    "touched_foreign": "max_touched_foreign",
}
_SHORT = {guard: name for name, guard in WAIVABLE.items()}


class Bound(msgspec.Struct, frozen=True):
    """A limit as written: a number, or a share of the records owned; `floor` is the least it means."""

    number: int | None = None
    percent: float | None = None
    floor: int = 0
    said: str = ""
    position: str = ""
    of_rows: bool = False
    """The share is one of the rows read, not of the records owned."""

    def limit(self, owned: int, rows: int) -> int | None:
        """The number it means; None where it does not apply (a share of nothing)."""
        if self.percent is None:
            return self.number
        if self.of_rows:
            return int(rows * self.percent / 100)
        if not owned:
            return None
        return max(self.floor, int(owned * self.percent / 100))


Bounds = Mapping[str, tuple[Bound, ...]]
"""By guard, all limits that hold: the spec's and the environment's. Which one is tighter depends on what is owned."""

DEFAULTS: Bounds = {
    "max_updates": (Bound(percent=30, floor=10, said="30%"),),
    "max_retires": (Bound(percent=10, floor=5, said="10%"),),
    "max_reclassified": (Bound(number=0, said="0"),),
    "max_bad_rows": (Bound(number=0, said="0"),),
    "min_rows": (Bound(number=1, said="1"),),
}


def counted(counts: StepCounts, bad_rows: int, foreign: int) -> dict[str, int]:
    """What each guard looks at, for one step."""
    of = counts.actions.get
    return {
        "max_creates": of("create", 0),
        "max_updates": of("update", 0),
        "max_retires": of("retire", 0),
        "max_reclassified": of("reclassify", 0),
        "max_bad_rows": bad_rows,
        "max_touched_foreign": foreign,
    }


def judge(
    step: str,
    counts: StepCounts,
    found: Mapping[str, int],
    bounds: Bounds,
    waivers: Mapping[str, int],
) -> list[GuardResult]:
    """Hold a step's counts against its limits; a waiver counts only for exactly the number that was seen."""
    results = []
    for guard in WAIVABLE.values():
        limits = [(bound.limit(counts.owned, counts.rows), bound) for bound in bounds.get(guard, ())]
        held = [(limit, bound) for limit, bound in limits if limit is not None]
        if not held:
            continue
        limit, bound = min(held, key=lambda one: one[0])
        count = found[guard]
        if count <= limit:
            continue
        whole = counts.rows if bound.of_rows else counts.owned
        result = GuardResult(step, guard, count, limit, whole, "refused", bound.said, bound.of_rows)
        results.append(waived(result, waivers))
    least = least_rows(bounds)
    if counts.rows < least:
        results.append(GuardResult(step, "min_rows", counts.rows, least, counts.owned, "refused", str(least)))
    return results


def least_rows(bounds: Bounds) -> int:
    """The number of rows that every limit of a step is content with."""
    return max((bound.number or 0 for bound in bounds.get("min_rows", ())), default=0)


def names_of(step: str, short: str) -> tuple[str, str]:
    """What a guard of a step may be called in a waiver; the first counts where both are given."""
    return f"{step}.{short}", f"{step.rpartition('.')[2]}.{short}"


def waived(result: GuardResult, waivers: Mapping[str, int]) -> GuardResult:
    """A guard that said no, with the waiver for it: one for exactly its number lets it pass, another one is told."""
    given = next((name for name in _names(result) if name in waivers), None)
    if given is None:
        return result
    if waivers[given] == result.count:
        return replace(result, state="waived", given="")
    return replace(result, given=f"{given}={waivers[given]}")


def _names(result: GuardResult) -> tuple[str, ...]:
    return names_of(result.step, _SHORT[result.guard]) if result.guard in _SHORT else ()


def unneeded(results: Sequence[GuardResult], waivers: Mapping[str, int]) -> list[Note]:
    """Waivers that let nothing pass which would have been refused, and name no refused guard either."""
    notes = []
    for name, number in waivers.items():
        over = [result for result in results if name in _names(result)]
        if any(result.state == "refused" or result.count == number for result in over):
            continue
        step, _, short = name.rpartition(".")
        why = f"the {short.replace('_', ' ')} of {step} are over no limit"
        if over:
            why = f"the plan lets {over[0].count:,} pass already"
        notes.append(Note("waiver-not-needed", f"--allow {name}={number} was not needed: {why}", fix="leave it out"))
    return notes


def refusals(manifest: Manifest, positions: Mapping[str, str]) -> list[Problem]:
    """The guards that said no, with both ways past each."""
    problems = []
    for result in manifest.guards:
        if result.state != "refused":
            continue
        place = positions.get(f"{result.step}.{result.guard}", "") or positions.get(result.step, "")
        if result.guard == "min_rows":
            message = f'"{result.step}" has {many(result.count, "row")}; at least {result.limit} are wanted'
            fix = "look at the source; lower min_rows under guards: if so few are right"
        else:
            what = result.guard.removeprefix("max_").replace("_", " ")
            if result.count == 1 and what.endswith("s"):
                what = what[:-1]
            of = "rows" if result.of_rows else "owned"
            share = f" ({result.said} of {result.owned:,} {of})" if result.said.endswith("%") else ""
            message = f'"{result.step}" has {result.count:,} {what}; the limit is {result.limit or 0:,}{share}'
            fix = (
                f"if that is right: set {result.guard} under guards:, or once:"
                f"  --allow {result.step}.{_SHORT[result.guard]}={result.count}"
            )
        found = f"--allow {result.given}, which is another number" if result.given else ""
        problems.append(Problem(f"guard-{result.guard.replace('_', '-')}", message, place, found, fix))
    return problems


def bounds_of(spec: Spec, step: Step, environment: Environment) -> Bounds:
    """The limits of a step: the spec's before the project's, and the environment's beside them; else the usual ones."""
    bounds: dict[str, tuple[Bound, ...]] = {}
    own = spec.guards.over(spec.project.guards)
    for guard in GUARDS:
        name = step.source if guard == "min_rows" else step.name
        for limit in (own.limit(guard, name), environment.guards.limit(guard, name)):
            if limit is not None:
                bounds[guard] = (*bounds.get(guard, ()), _bound(guard, limit))
    if spec.sources[step.source].bad_rows == "skip" and "max_bad_rows" not in bounds:
        bounds["max_bad_rows"] = (Bound(percent=10, said="10%", of_rows=True),)
    return {**DEFAULTS, **bounds}


def _bound(guard: str, limit: Limit) -> Bound:
    said, position = str(limit), str(limit.position)
    if limit.percent:
        floor = DEFAULTS[guard][0].floor if guard in DEFAULTS else 0
        return Bound(None, limit.value, floor, said, position, of_rows=guard == "max_bad_rows")
    return Bound(int(limit.value), None, 0, said, position)
