"""Rows that come in replace groups: an import of some of an owner's rows removes what else he has of that kind.

So the rows of an owner travel in one file, the unchanged ones along with those that are sent, and none is sent where
one is not right that may stand for a record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from syncengine.changes import Action, Change, StepInfo
from syncengine.errors import Problem, many
from syncengine.spec.import_types import PAIR, SOURCE, SOURCE_ID, ImportType
from syncengine.targets import Together
from syncengine.targets.fourme.matching import IDENTITY, Matcher, is_true, kind_of, type_of
from syncengine.targets.fourme.records import Held, Records, owner_of
from syncengine.targets.fourme.sheet import cells_of

MOST_NAMED = 10
"""Rows that a note names."""


def weigh(
    matcher: Matcher,
    step: StepInfo,
    changes: Iterator[Change],
    known: Records | None,
    matched: Collection[int],
    *,
    is_whole: bool,
) -> tuple[Together, list[str]]:
    """What the rows of an owner mean for each other, and the rows that go with an import of the others.

    Where a row is rejected it may be that of one that would go, so nothing of its owner is sent; `is_whole` says that
    no row of the source is bad. Without `known` records nobody can tell which would go.
    """
    kind = kind_of(step)
    rows: list[tuple[int, str, Action]] = []
    moved: set[str] = set()
    broken: set[str] = set()
    """Owners of whom a row is rejected."""
    replacing: set[str] = set()
    """Owners whose rows replace what is there: those of details say so themselves (documented)."""
    called: dict[str, tuple[str, ...]] = {}
    """How rows name their owners, where that may not be what they are called by now."""
    renames = matcher.coming.concern(kind)
    for change in changes:
        cells, _ = cells_of(change, matcher.steps[change.step], kind)
        owner = owner_of(kind, cells)
        rows.append((change.op, owner, change.action))
        if renames:
            called.setdefault(owner, tuple(cells.get(name, "") for name in kind.owners))
        if "Integration" not in kind.columns or is_true(cells.get("Integration", "")):
            replacing.add(owner)
        if change.is_sent:
            moved.add(owner)
        elif change.action == "rejected":
            broken.add(owner)
    going: list[str] = []
    held: set[str] = set()
    for owner in dict.fromkeys(owner for _, owner, _ in rows if owner in replacing):
        if known is None:
            if owner in broken or not is_whole:
                held.add(owner)
            continue
        named = dict(zip(kind.owners, called[owner], strict=True)) if renames else None
        every = matcher.of_owner(kind, named, known) if named else known.of_owner(owner)
        gone = [one for one in every if _would_go(one, kind, step, matched)]
        if gone and (owner in broken or not is_whole):
            held.add(owner)
        elif gone:
            moved.add(owner)
            going += [_named(one, kind, step) for one in gone]
    along = [op for op, owner, action in rows if action == "unchanged" and owner in moved and owner not in held]
    kept = [op for op, owner, action in rows if action not in ("unchanged", "rejected") and owner in held]
    return Together(along, kept), going


def removed(name: str, rows: Sequence[str]) -> Problem:
    """Which rows go with those of a step that replace them."""
    more = f" and {len(rows) - MOST_NAMED:,} more" if len(rows) > MOST_NAMED else ""
    return Problem(
        "rows-go",
        f"{name}: the plan has no row for {many(len(rows), 'row')} of owners whose rows are sent, so the"
        f" import removes {'it' if len(rows) == 1 else 'them'}: {'; '.join(rows[:MOST_NAMED])}{more}",
        fix="give a row that is to stay a row of the source",
        severity="warning",
    )


def cuts(steps: Sequence[StepInfo], kind: ImportType, changes: Iterator[Change], most: int) -> Iterator[list[Change]]:
    """Files of about so many rows at the most, all rows of an owner in one."""
    owners: dict[str, list[Change]] = {}
    for change in changes:
        cells, _ = cells_of(change, steps[change.step], kind)
        owners.setdefault(owner_of(kind, cells), []).append(Change(change.op, change.kind, change.step))
    cut: list[Change] = []
    for rows in owners.values():
        if cut and len(cut) + len(rows) > most:
            yield cut
            cut = []
        cut += rows
    if cut:
        yield cut


def _would_go(held: Held, kind: ImportType, step: StepInfo, matched: Collection[int]) -> bool:
    """Whether a row of an owner is ours, and no row of the plan stands for it."""
    if held.number in matched:
        return False
    if kind.group in ("CI", SOURCE_ID):
        return held.cells.get(SOURCE) == step.data_source
    if "Integration" not in kind.columns:
        return False  # nobody can tell what was given by hand, and would not go
    return is_true(held.cells.get("Integration") or "1")


def _named(held: Held, kind: ImportType, step: StepInfo) -> str:
    """What a row of an owner is called, for people: its owner and what tells it apart."""
    told = [one for columns in IDENTITY.get(type_of(step), ()) for one in columns]
    names = [name for name in dict.fromkeys((*kind.owners, *told)) if held.cells.get(name) and name not in PAIR]
    if kind.group == SOURCE_ID:
        names = [SOURCE_ID, *(name for name in ("Weekday", "From", "Until") if held.cells.get(name))]
    return " ".join("***" if name in step.sensitive else str(held.cells[name]) for name in names)
