"""Steps that wait for each other: a field of one holds the id of a record of the other, and the other way round."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from syncengine.errors import Position, Problem

Edge = tuple[str, Position]


def circle(edges: Mapping[str, Sequence[Edge]]) -> Problem | None:
    """The shortest circle, written out with the place of each reference; a step that refers to itself is none."""
    best: list[tuple[str, Position]] = []
    for start in edges:
        found = _back_to(start, edges, len(best) or len(edges) + 1)
        if found and (not best or len(found) < len(best)):
            best = found
        if len(best) == 2:
            break
    if not best:
        return None
    names = [name for name, _ in best]
    path = " → ".join([*names, names[0]])
    if len(path) > 120:
        path = " → ".join([*names[:2], f"... {len(names) - 3} more ...", names[-1], names[0]])
    places = [
        f"{name} → {other} at {position}" for (name, position), other in zip(best, [*names[1:], names[0]], strict=True)
    ]
    fix = "\n".join(["Break it at one of these fields:", *places[:20]])
    return Problem("circle", f"Steps wait for each other: {path}"[:160], best[0][1], fix=fix)


def _back_to(start: str, edges: Mapping[str, Sequence[Edge]], limit: int) -> list[tuple[str, Position]]:
    """The shortest way from a step back to itself, as steps with the place where each refers to the next."""
    came: dict[str, tuple[str, Position]] = {}
    waiting = deque([(start, 0)])
    while waiting:
        name, length = waiting.popleft()
        if length >= limit:
            break
        for other, position in edges.get(name, ()):
            if other == name:
                continue
            if other == start:
                way = [(name, position)]
                while way[0][0] != start:
                    before, place = came[way[0][0]]
                    way.insert(0, (before, place))
                return way
            if other not in came:
                came[other] = (name, position)
                waiting.append((other, length + 1))
    return []
