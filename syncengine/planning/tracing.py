"""One record followed from its row: which row makes it, and what of the step's rules becomes of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import msgspec
from msgspec.structs import replace

from syncengine.changes import BadRow, Pair, Record, Row, StepRef
from syncengine.errors import Position
from syncengine.mapping import Mapper
from syncengine.mapping.mapper import BATCH
from syncengine.planning.opening import Opening
from syncengine.planning.vanished import keys_only
from syncengine.spec import mapper
from syncengine.spec.model import Environment, Spec, Step

MOST_MADE = 20
"""Of a relation step a key may mean many."""
MOST_KEYS = 5_000


class Found(msgspec.Struct, frozen=True):
    """What a row became, with the row."""

    row: Row | None
    made: Record | Pair | BadRow


class Trace(msgspec.Struct):
    """What is known of a record before anybody is asked."""

    step: Step
    key: str
    found: list[Found] = []
    left_out: Row | None = None
    """The row that would make it, where `when` leaves it out."""
    near: list[str] = []
    """Keys that look like it, where no row makes it."""

    @property
    def is_keyless(self) -> bool:
        """Whether records of this step have no key, so that they are named by the number of their row."""
        return not self.step.recipe.key and self.step.kind != "relation"

    @property
    def rules(self) -> dict[str, Position]:
        """Where the spec says each field, the class among them."""
        return {one.name: one.position for one in (*self.step.class_said, *self.step.fields)}


def trace(spec: Spec, step: Step, key: str, opening: Opening, environment: Environment, run_date: str) -> Trace:
    """Follow a key from the rows of its step; raises SourceError where they cannot be read."""

    def made_by(of: Step) -> Mapper:
        return mapper(spec, of, run_date=run_date, variables=environment.vars, opening=opening.whole)

    told = Trace(step, key)
    known: list[str] = []
    for one in _followed(made_by(step), opening.whole(spec, step.source).rows(), told):
        if _is(one.made, told):
            told.found.append(one)
            if isinstance(one.made, Record) or len(told.found) == MOST_MADE:
                break
        elif isinstance(one.made, Record) and len(known) < MOST_KEYS:
            known.append(str(one.made.place.row) if told.is_keyless else one.made.key)
    if told.found:
        return told
    if step.recipe.when is not None and step.kind != "relation":
        bare = replace(step, recipe=keys_only(step.recipe))
        rows = _followed(made_by(bare), opening.whole(spec, step.source).rows(), told)
        told.left_out = next((one.row for one in rows if _is(one.made, told)), None)
    import difflib  # only on this path

    told.near = difflib.get_close_matches(key, known, 3) or known[:3]
    return told


def _is(made: Record | Pair | BadRow, told: Trace) -> bool:
    if isinstance(made, Pair):
        return told.key in [end.key for end in (made.parent, made.child) if isinstance(end, StepRef)]
    return (str(made.place.row) if told.is_keyless else made.key) == told.key


def _followed(by: Mapper, rows: Iterable[Row | BadRow], told: Trace) -> Iterator[Found]:
    """What a mapper makes, what is asked for with its row: a mapper reads ahead by one batch, not more."""
    ahead: deque[Row] = deque(maxlen=2 * BATCH)

    def noted() -> Iterator[Row | BadRow]:
        for row in rows:
            if isinstance(row, Row):
                ahead.append(row)
            yield row

    for made in by.records(noted()):
        row = next((row for row in ahead if row.place == made.place), None) if _is(made, told) else None
        yield Found(row, made)
