"""What is wrong with an environment, all of it in one go: one file per thing that is looked at.

Nothing here writes: a look reads, and asks the engine with an empty payload. A look that fails hides no other, except
those that cannot be made without it, which then say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from syncengine.doctor import (
    attachments,
    classes,
    dialect,
    limits,
    login,
    owned,
    reach,
    relations,
    rights,
    sources,
    staging,
)
from syncengine.doctor.finding import Finding
from syncengine.doctor.visit import Visit
from syncengine.errors import AuthError, Exit, RemoteError, worst

LOOKS: tuple[tuple[str, Callable[[Visit], Iterator[Finding]], tuple[str, ...]], ...] = (
    ("reach", reach.look, ()),
    ("login", login.look, ("reach",)),
    ("limits", limits.look, ("reach",)),
    ("rights", rights.look, ("login",)),
    ("dialect", dialect.look, ("login",)),
    ("data source", sources.look, ("login", "table")),
    ("class", classes.look, ("login", "meta")),
    ("relation", relations.look, ("login", "table")),
    ("owned records", owned.look, ("login", "table")),
    ("staging", staging.look, ("login", "table")),
    ("attachments", attachments.look, ("login",)),
)
"""What is looked at, in order, and what has to be open for it."""

__all__ = ["LOOKS", "Finding", "Visit", "examine", "worst_of"]


def examine(visit: Visit) -> Iterator[Finding]:
    """Look at everything; findings as they are made."""
    for name, look, needs in LOOKS:
        if name in visit.closed:
            continue  # known before, and told
        closed = next((need for need in needs if need in visit.closed), None)
        if closed is not None:
            yield Finding(name, "skipped", f"not checked: {visit.closed[closed]}")
            continue
        try:
            yield from look(visit)
        except (AuthError, RemoteError) as error:
            for problem in error.problems:
                yield Finding(name, "problem", problem.message, problem.fix, str(problem.place), error.exit)


def worst_of(findings: list[Finding]) -> Exit:
    """The exit class of the worst problem; warnings and what was skipped have none."""
    return worst(one.exit for one in findings if one.level == "problem")
