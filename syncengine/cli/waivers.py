"""`--allow`: what was given, and whether it means anything here; a waiver that counts for nothing is never silent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from syncengine.cli.inputs import CHANGED
from syncengine.errors import Problem, SpecError
from syncengine.planning.guards import WAIVABLE, names_of


def parse(allow: Sequence[str], command: str) -> dict[str, int]:
    """`STEP.GUARD=N` as a mapping; raises SpecError for what is no waiver, or not one of this command."""
    waivers: dict[str, int] = {}
    for text in allow:
        if text == CHANGED and command == "apply":
            continue
        name, _, number = text.partition("=")
        guard = name.rpartition(".")[2]
        place = f"syncengine {command}"
        if text == CHANGED:
            said = f"--allow {CHANGED} is for apply: a plan is made of its inputs as they are"
            raise SpecError(Problem("waiver", said, place, fix="leave it out"))
        if guard not in WAIVABLE or not number.isdecimal() or "." not in name:
            guards = f"guards that can be waived: {', '.join(WAIVABLE)}; N is the number that the plan shows"
            raise SpecError(Problem("waiver", f"--allow {text} is not STEP.GUARD=N", place, fix=guards))
        if waivers.get(name, int(number)) != int(number):
            said = f"--allow gives {name} two numbers: {waivers[name]} and {int(number)}"
            raise SpecError(Problem("waiver", said, place, fix="keep the number that the plan shows"))
        waivers[name] = int(number)
    return waivers


def check_steps(waivers: Mapping[str, int], steps: Collection[str]) -> None:
    """Refuse waivers of steps that are not there; raises SpecError with all of them."""
    wrong = []
    for name, number in waivers.items():
        step, _, guard = name.rpartition(".")
        if all(name not in names_of(one, guard) for one in steps):
            import difflib  # only on this path

            short = [one.rpartition(".")[2] for one in steps]
            near = difflib.get_close_matches(step, [*steps, *short], 1)
            fix = f"--allow {near[0]}.{guard}={number}" if near else f"one of: {', '.join(sorted(steps)[:12])}"
            wrong.append(Problem("waiver", f'no step is called "{step}"', f"--allow {name}={number}", fix=fix))
    if wrong:
        raise SpecError(wrong)
