"""A planned operation beside what the target says of it now: the same, done already, or moved."""

from __future__ import annotations

from collections.abc import Collection

from syncengine.changes import Change, Seen


def is_uncompared(change: Change) -> bool:
    """Whether it is a file for a record that nobody knew while planning."""
    return change.action == "attach" and change.basis == "implied"


def moved(change: Change, seen: Seen, sensitive: Collection[str] = ()) -> str:
    """Why an operation may not be sent as planned, or empty when the target still says the same."""
    if seen.code:
        return f"the target now refuses it: {seen.code} {seen.message}".strip()
    planned = "update" if change.action == "retire" else change.action
    if planned == "unknown" or seen.action == "unknown":
        return "" if planned == seen.action else f"planned as {planned}, the target now says {seen.action}"
    if planned == "attach":
        return "" if seen.action == "attach" else "the file is there by now"
    if planned == "create":
        which = f" ({seen.sys_id})" if seen.sys_id else ""
        return "" if seen.action == "create" else f"the target has it by now{which}"
    if planned == "relate":
        return "" if seen.action == "relate" else "the relation exists by now"
    if seen.action == "create":
        return f"the record {change.sys_id} is no longer found"
    if seen.sys_id != change.sys_id:
        return f"another record is found now: {seen.sys_id} instead of {change.sys_id}"
    if planned == "touched":
        return "" if seen.action == "unchanged" else f"fields differ by now: {', '.join(sorted(seen.before))}"
    names = sorted({*seen.before, *change.before})
    changed = [name for name in names if seen.before.get(name) != change.before.get(name)]
    if changed:
        return "changed on the target since the plan: " + ", ".join(
            name
            if name in sensitive
            else f"{name} was {change.before.get(name, change.values.get(name, ''))!r},"
            f" is {seen.before.get(name, change.values.get(name, ''))!r}"
            for name in changed[:5]
        )
    if seen.action != planned or seen.was_class != change.was_class:
        return f"planned as {planned}, the target now says {seen.action}"
    return ""


def is_told(change: Change, seen: dict[int, Seen]) -> bool:
    """Whether looking says what became of it."""
    answer = seen.get(change.op)
    return is_done(change, seen) or (answer is not None and answer.outcome is not None)


def is_done(change: Change, seen: dict[int, Seen]) -> bool:
    """Whether asking again would plan nothing for it."""
    answer = seen.get(change.op)
    return answer is not None and not answer.code and answer.action == "unchanged" and change.action != "touched"


def same(first: dict[int, Seen], second: dict[int, Seen]) -> bool:
    """Whether two looks say the same of every operation."""
    return {op: (seen.action, seen.sys_id, seen.outcome) for op, seen in first.items()} == {
        op: (seen.action, seen.sys_id, seen.outcome) for op, seen in second.items()
    }
