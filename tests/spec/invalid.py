"""The bad specs of `tests/cases/invalid`: what is wrong with each stands beside it, word for word.

`python -m tests.spec.invalid` writes the messages anew; read the difference before you keep it.
"""

from __future__ import annotations

from pathlib import Path

from syncengine.errors import Position, Problem, SpecError, visible
from syncengine.spec import Project, check_specs

FOLDER = Path(__file__).parent.parent / "cases" / "invalid"
CASES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def problems(name: str) -> list[Problem]:
    """What is wrong with a case."""
    project = Project(FOLDER)
    try:
        return check_specs(project, [FOLDER / f"{name}.yaml"]).problems
    except SpecError as error:
        return list(error.problems)


def said(name: str) -> str:
    """The messages of a case, as its file has them."""
    lines = []
    for one in problems(name):
        place = f"{one.place.line}:{one.place.column}" if isinstance(one.place, Position) else str(one.place)
        lines.append(f"{place} {one.severity}[{one.code}]: {visible(one.message)}")
        lines += [f"    fix: {visible(line)}" for line in one.fix.splitlines()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for case in CASES:
        (FOLDER / f"{case}.txt").write_text(said(case), encoding="utf-8")
