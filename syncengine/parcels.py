"""Parcels with something taken out: what is settled, what may not be sent, or the half that was too much."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate

from syncengine.changes import Change, End, Outcome, Parcel, StepInfo

HUSHED = "***"
SHORTEST_SECRET = 3
"""What is shorter stands in any text by chance."""


def _as_end(change: Change, sys_id: str) -> End:
    return End(change.op, "", change.key, sys_id, change.class_name)


def keep(parcel: Parcel, applied: Mapping[int, Outcome]) -> None:
    """Take applied operations out; those that others need stay as ends, known by id now."""
    gone = [change for change in parcel.items if change.op in applied]
    parcel.items = [change for change in parcel.items if change.op not in applied]
    parcel.relations = [change for change in parcel.relations if change.op not in applied]
    needed = {end.op for change in parcel.relations for end in change.pair}
    parcel.ends += [_as_end(change, applied[change.op].sys_id) for change in gone if change.op in needed]
    for change in parcel.items:
        for name, end in change.refs.items():
            if not end.sys_id and end.op in applied:
                change.refs[name] = end._replace(sys_id=applied[end.op].sys_id)


def without(parcel: Parcel, ops: set[int], why: str) -> list[Outcome]:
    """Take stopped operations out, with all that needs them; says what else was stopped, each with its cause.

    A record that exists already can still be an end: only what a stopped operation would have made is missing.
    """
    taken = {change.op: change for change in parcel.items if change.op in ops}
    missing = {op for op, change in taken.items() if not change.sys_id}
    names = {op: change.key for op, change in taken.items()}
    stopped: list[Outcome] = []
    left: list[Change] = []
    for change in parcel.items:
        if change.op in ops:
            continue
        cause = _needs(change, missing)
        if cause is None:
            left.append(change)
        else:
            names[change.op] = change.key
            stopped.append(_stopped(change, cause, names, why))
            if not change.sys_id:
                missing.add(change.op)
            taken[change.op] = change
    parcel.items = left
    relations: list[Change] = []
    needed: set[int] = set()
    for change in parcel.relations:
        if change.op in ops:
            continue
        cause = next((end.op for end in change.pair if end.op in missing), None)
        if cause is None:
            relations.append(change)
            needed.update(end.op for end in change.pair)
        else:
            stopped.append(_stopped(change, cause, names, why))
    parcel.relations = relations
    have = {end.op for end in parcel.ends}
    parcel.ends += [_as_end(change, change.sys_id) for op, change in taken.items() if op in needed and op not in have]
    parcel.ends = [end for end in parcel.ends if end.op in needed]
    return stopped


def _needs(change: Change, missing: set[int]) -> int | None:
    if change.host in missing and not change.sys_id:
        return change.host
    return next((end.op for end in change.refs.values() if end.op in missing and not end.sys_id), None)


def _stopped(change: Change, cause: int, names: Mapping[int, str], why: str) -> Outcome:
    message = f"it needs {names.get(cause, cause)}, which {why}"
    return Outcome(change.op, "not_sent", code="needs-another", message=message, cause=cause)


def reduced(parcel: Parcel, ops: Collection[int]) -> Parcel:
    """A parcel to ask about without these operations."""
    return Parcel(
        parcel.data_source,
        [one for one in parcel.items if one.op not in ops],
        [one for one in parcel.ends if one.op not in ops],
        [one for one in parcel.relations if one.op not in ops],
        [one for one in parcel.context if one.op not in ops],
        [one for one in parcel.context_ends if one.op not in ops],
    )


def halves(parcel: Parcel) -> tuple[Parcel, Parcel]:
    """A parcel in two, for writing: the second may need ids that the first one makes.

    A CI and what lives in it stay together where that is possible; where it is not, the host stands in the first half.
    """
    if len(parcel.items) < 2:
        middle = len(parcel.relations) // 2
        first = Parcel(parcel.data_source, parcel.items, parcel.ends, parcel.relations[:middle])
        second = Parcel(parcel.data_source, [], parcel.ends, parcel.relations[middle:])
    else:
        first, second = _cut(parcel, _middle(parcel.items, range(len(parcel.items))))
    _with_ends(parcel, first, second)
    return first, second


def halves_to_ask(parcel: Parcel, own: Collection[int]) -> tuple[Parcel, Parcel]:
    """A parcel in two, for a dry run: the second brings along in full what it needs of the first.

    `own` are the operations that are asked about; the others are there for their sake.
    """
    at = [number for number, change in enumerate(parcel.items) if change.op in own]
    if len(at) < 2:
        middle = sum(change.op in own for change in parcel.relations) // 2
        asked = [change for change in parcel.relations if change.op in own]
        first = Parcel(parcel.data_source, parcel.items, parcel.ends, asked[:middle])
        second = Parcel(parcel.data_source, [], parcel.ends, asked[middle:])
    else:
        first, second = _cut(parcel, _middle(parcel.items, at))
    _with_ends(parcel, first, second)
    before = {change.op: change for change in parcel.items}
    brought: dict[int, Change] = {}
    wanted = [change.host for change in second.items if change.host is not None]
    wanted += [end.op for end in second.ends if not end.sys_id]
    here = {change.op for change in second.items}
    while wanted:
        op = wanted.pop()
        if op in before and op not in here and op not in brought:
            brought[op] = before[op]
            host = before[op].host
            wanted += [] if host is None else [host]
    second.items = [*(change for change in parcel.items if change.op in brought), *second.items]
    second.ends = [end for end in second.ends if end.sys_id and end.op not in brought]
    _bring_relations(parcel, second, brought)
    return first, second


def _bring_relations(parcel: Parcel, second: Parcel, brought: Collection[int]) -> None:
    """The relations by which what was brought along is found itself."""
    known = {end.op: end for end in parcel.ends}
    here = {change.op for change in second.items}
    have = {change.op for change in second.relations}
    for change in parcel.relations:
        ops = [end.op for end in change.pair]
        if change.op in have or not change.in_unit or not any(op in brought for op in ops):
            continue
        if all(op in here or op in known for op in ops):
            second.relations.append(change)
            ends = {end.op for end in second.ends}
            second.ends += [known[op] for op in ops if op in known and op not in ends]


def _middle(items: Sequence[Change], at: Sequence[int]) -> int:
    """Where to cut so that half of those `at` these places stand before it, and no CI leaves its host if possible."""
    middle = at[len(at) // 2]
    place = {change.op: number for number, change in enumerate(items)}
    torn = [0] * (len(items) + 1)
    for number, change in enumerate(items):
        host = place.get(change.host, number) if change.host is not None else number
        if host < number:
            torn[host + 1] += 1
            torn[number + 1] -= 1
    lives = list(accumulate(torn))
    clean = [cut for cut in range(at[0] + 1, at[-1] + 1) if not lives[cut]]
    return min(clean, key=lambda cut: abs(cut - middle), default=middle)


def _cut(parcel: Parcel, middle: int) -> tuple[Parcel, Parcel]:
    early = {change.op for change in parcel.items[:middle]} | {end.op for end in parcel.ends}
    now = [change for change in parcel.relations if all(end.op in early for end in change.pair)]
    later = [change for change in parcel.relations if any(end.op not in early for end in change.pair)]
    first = Parcel(parcel.data_source, parcel.items[:middle], parcel.ends, now)
    return first, Parcel(parcel.data_source, parcel.items[middle:], parcel.ends, later)


def _with_ends(parcel: Parcel, first: Parcel, second: Parcel) -> None:
    second.ends = [*second.ends, *(_as_end(change, change.sys_id) for change in first.items)]
    for half in (first, second):
        needed = {end.op for change in half.relations for end in change.pair}
        half.ends = [end for end in half.ends if end.op in needed]
        half.context, half.context_ends = parcel.context, parcel.context_ends


def fill_ends(parcel: Parcel, made: Mapping[int, Outcome], earlier: Collection[int]) -> list[Outcome]:
    """Ids that an earlier half made; says what cannot be sent because one is missing, or a host of that half is."""
    parcel.ends = [
        end if end.sys_id or end.op not in made else end._replace(sys_id=made[end.op].sys_id) for end in parcel.ends
    ]
    missing = {end.op for end in parcel.ends if not end.sys_id}
    names = {end.op: end.key for end in parcel.ends}
    items, relations, stopped = [], [], []
    for change in parcel.items:
        if (
            change.host is not None
            and not change.sys_id
            and (change.host in missing or (change.host in earlier and change.host not in made))
        ):
            missing.add(change.op)
            names[change.op] = change.key
            stopped.append(_stopped(change, change.host, names, "was not applied"))
        else:
            items.append(change)
    parcel.items = items
    for relation in parcel.relations:
        cause = next((end.op for end in relation.pair if end.op in missing), None)
        if cause is None:
            relations.append(relation)
        else:
            stopped.append(_stopped(relation, cause, names, "was not applied"))
    parcel.relations = relations
    parcel.ends = [end for end in parcel.ends if end.sys_id]
    return stopped


def secrets_of(parcel: Parcel, steps: Sequence[StepInfo]) -> tuple[str, ...]:
    """The sensitive values that a parcel carries, longest first: a target may say the whole payload in a message."""
    found: set[str] = set()
    for change in parcel.items:
        for name in steps[change.step].sensitive:
            found.update((change.values.get(name, ""), change.before.get(name, "")))
    return tuple(sorted(found - {""}, key=len, reverse=True))


def hushed(text: str, secrets: Sequence[str]) -> str:
    """A message without these values, as they are and as JSON writes them; very short ones only as a whole string."""
    for secret in secrets:
        for form in dict.fromkeys((secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])):
            text = text.replace(f'"{form}"', f'"{HUSHED}"')
            if len(secret) >= SHORTEST_SECRET:
                text = text.replace(form, HUSHED)
    return text
