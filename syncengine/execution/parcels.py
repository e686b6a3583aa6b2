"""Parcels with something taken out: what is settled, what may not be sent, or the half that was too much."""

from __future__ import annotations

from collections.abc import Mapping

from syncengine.changes import Change, End, Outcome, Parcel


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


def halves(parcel: Parcel) -> tuple[Parcel, Parcel]:
    """A parcel in two; hosts stand before what lives in them, so the second may need ids that the first one makes."""
    if len(parcel.items) < 2:
        middle = len(parcel.relations) // 2
        first = Parcel(parcel.data_source, parcel.items, parcel.ends, parcel.relations[:middle])
        second = Parcel(parcel.data_source, [], parcel.ends, parcel.relations[middle:])
    else:
        middle = len(parcel.items) // 2
        early = {change.op for change in parcel.items[:middle]} | {end.op for end in parcel.ends}
        now = [change for change in parcel.relations if all(end.op in early for end in change.pair)]
        later = [change for change in parcel.relations if any(end.op not in early for end in change.pair)]
        first = Parcel(parcel.data_source, parcel.items[:middle], parcel.ends, now)
        second = Parcel(parcel.data_source, parcel.items[middle:], parcel.ends, later)
    second.ends = [*second.ends, *(_as_end(change, change.sys_id) for change in first.items)]
    for half in (first, second):
        needed = {end.op for change in half.relations for end in change.pair}
        half.ends = [end for end in half.ends if end.op in needed]
        half.context, half.context_ends = parcel.context, parcel.context_ends
    return first, second


def fill_ends(parcel: Parcel, made: Mapping[int, Outcome]) -> list[Outcome]:
    """Ids that an earlier half made; says what cannot be sent because one is missing."""
    parcel.ends = [
        end if end.sys_id or end.op not in made else end._replace(sys_id=made[end.op].sys_id) for end in parcel.ends
    ]
    missing = {end.op for end in parcel.ends if not end.sys_id}
    names = {end.op: end.key for end in parcel.ends}
    relations, stopped = [], []
    for change in parcel.relations:
        cause = next((end.op for end in change.pair if end.op in missing), None)
        if cause is None:
            relations.append(change)
        else:
            stopped.append(_stopped(change, cause, names, "was not applied"))
    parcel.relations = relations
    parcel.ends = [end for end in parcel.ends if end.sys_id]
    return stopped
