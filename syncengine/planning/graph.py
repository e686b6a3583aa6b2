"""What must come before what → waves. Knows nothing of records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


class Circle(ValueError):
    """Things that wait for each other; `path` names the shortest circle, first and last being the same."""

    def __init__(self, path: tuple[str, ...]) -> None:
        self.path = path
        super().__init__(" → ".join(path))


def waves(things: Iterable[str], needs: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Sets of things in order: each needs only things of earlier sets. Order within a set is that of `things`.

    Things that need themselves are not a circle here: the caller knows what a second pass can do.
    Raises Circle when something cannot be ordered.
    """
    left = list(dict.fromkeys(things))
    known = set(left)
    wanted = {thing: {need for need in needs.get(thing, ()) if need in known and need != thing} for thing in left}
    done: set[str] = set()
    result: list[list[str]] = []
    while left:
        ready = [thing for thing in left if wanted[thing] <= done]
        if not ready:
            raise Circle(_shortest_circle(left, wanted, done))
        result.append(ready)
        done.update(ready)
        left = [thing for thing in left if thing not in done]
    return result


def _shortest_circle(things: Sequence[str], wanted: Mapping[str, set[str]], done: set[str]) -> tuple[str, ...]:
    """The shortest way from a thing back to itself, found breadth first."""
    best: tuple[str, ...] = ()
    for start in things:
        paths: list[tuple[str, ...]] = [(start,)]
        seen: set[str] = set()
        while paths and (not best or len(paths[0]) < len(best)):
            path = paths.pop(0)
            for need in sorted(wanted[path[-1]] - done):
                if need == start:
                    best = (*path, start)
                    paths = []
                    break
                if need not in seen:
                    seen.add(need)
                    paths.append((*path, need))
        if len(best) == 2:
            break
    return best
