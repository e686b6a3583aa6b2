"""Limits that a plan may not pass without being told to, by name and number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from syncengine.errors import Problem, many
from syncengine.planning.plan import GuardResult, Manifest, StepCounts

WAIVABLE = {
    "creates": "max_creates",
    "updates": "max_updates",
    "retires": "max_retires",
    "reclassified": "max_reclassified",
    "bad_rows": "max_bad_rows",
    "touched_foreign": "max_touched_foreign",
}


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


DEFAULTS: Mapping[str, Bound] = {
    "max_updates": Bound(percent=30, floor=10, said="30%"),
    "max_retires": Bound(percent=10, floor=5, said="10%"),
    "max_reclassified": Bound(number=0, said="0"),
    "max_bad_rows": Bound(number=0, said="0"),
    "min_rows": Bound(number=1, said="1"),
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
    bounds: Mapping[str, Bound],
    waivers: Mapping[str, int],
) -> list[GuardResult]:
    """Hold a step's counts against its limits; a waiver counts only for exactly the number that was seen."""
    results = []
    for short, guard in WAIVABLE.items():
        bound = bounds.get(guard)
        if bound is None:
            continue
        limit = bound.limit(counts.owned, counts.rows)
        count = found[guard]
        if limit is None or count <= limit:
            continue
        waived = waivers.get(f"{step}.{short}", waivers.get(f"{step.rsplit('.', 1)[-1]}.{short}"))
        state: Literal["waived", "refused"] = "waived" if waived == count else "refused"
        whole = counts.rows if bound.of_rows else counts.owned
        results.append(GuardResult(step, guard, count, limit, whole, state, bound.said, bound.of_rows))
    least = bounds.get("min_rows")
    if least is not None and least.number is not None and counts.rows < least.number:
        results.append(GuardResult(step, "min_rows", counts.rows, least.number, counts.owned, "refused", least.said))
    return results


def refusals(manifest: Manifest, positions: Mapping[str, str]) -> list[Problem]:
    """The guards that said no, with both ways past each."""
    problems = []
    short = {guard: name for name, guard in WAIVABLE.items()}
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
                f"  --allow {result.step}.{short[result.guard]}={result.count}"
            )
        problems.append(Problem(f"guard-{result.guard.replace('_', '-')}", message, place, fix=fix))
    return problems
