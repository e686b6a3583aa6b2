"""Rows to records, in batches, in source order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any
from unicodedata import normalize

import msgspec

from syncengine.changes import BadRow, Pair, Record, Row
from syncengine.errors import Place, Position, Problem
from syncengine.mapping.bodies import RecordBody
from syncengine.mapping.keys import SeenKeys
from syncengine.mapping.lookups import Tables
from syncengine.mapping.model import RESERVED_WORDS, Column, Level, Recipe, Shaped, Value
from syncengine.mapping.operators import Skip, Wrong
from syncengine.mapping.rules import RowChecker
from syncengine.mapping.scope import Setting

BATCH = 500
Made = Record | Pair | BadRow


class Unmapped(msgspec.Struct):
    """Values that a map does not have, with how many rows hold each."""

    field: str
    position: Position
    values: dict[str, tuple[int, Place]] = msgspec.field(default_factory=dict)


class Counts(msgspec.Struct):
    """What became of the rows; complete when the iteration has ended."""

    rows: int = 0
    """Rows read (not elements of `each`)."""
    records: int = 0
    filtered: int = 0
    """Rows or elements that `when` left out."""
    bad: int = 0
    """Rows that could not become a record; warnings are not counted."""
    warned: int = 0
    collapsed: int = 0
    """Rows equal to one before them, or the same value of `distinct`."""
    unmapped: dict[str, Unmapped] = msgspec.field(default_factory=dict)


HUSHED = "***"
MOST_FOLDED = 50_000
"""Keys of a step that are compared without case, too; beyond, it would cost memory for little."""


class Mapper:
    """One step, compiled; `records` may run once per mapper, then `counts` is complete."""

    def __init__(
        self,
        recipe: Recipe,
        *,
        run_date: str,
        vars: Mapping[str, str] | None = None,  # noqa: A002 (the language's own word)
        tables: Tables | None = None,
        python: bool = True,
    ) -> None:
        self.recipe = recipe
        self.counts = Counts()
        setting = Setting(
            recipe.rules.no_value | {RESERVED_WORDS[1]},
            recipe.rules.text_only,
            recipe.style,
            recipe.timezone,
            recipe.if_empty,
            recipe.lists,
            recipe.rules.decimal,
            {**recipe.vars, **(vars or {})},
            run_date,
            tables or Tables(),
            python,
        )
        self._body = RecordBody(recipe, setting)
        self._checker = RowChecker(recipe.rules, setting)
        self._seen = SeenKeys()
        self._folded: dict[int, tuple[int, int]] = {}
        self._is_sensitive = any(field.sensitive for field in recipe.fields)
        self._level: Level = "skip" if recipe.rules.bad_rows == "skip" else "fail"

    def records(self, rows: Iterable[Row | BadRow]) -> Iterator[Made]:
        """What the step makes of the rows, in their order; rows that could not be read pass through as bad."""
        source = iter(rows)
        while batch := list(islice(source, BATCH)):
            self.counts.rows += len(batch)
            yield from self._batch(batch)

    def _batch(self, batch: list[Row | BadRow]) -> Iterator[Made]:
        body, counts = self._body, self.counts
        found: list[tuple[Row | BadRow, Made]] = []
        rows = [row for row in batch if isinstance(row, Row)]
        if len(rows) < len(batch):
            for row in batch:
                if isinstance(row, BadRow):
                    counts.bad += 1
                    problem = self._told(row.problem)
                    found.append((row, row._replace(step=self.recipe.step, level=self._level, problem=problem)))
        if self._checker.active:
            rows = self._checked(rows, found)

        def bad(row: Row, key: str, wrong: Wrong, at: int) -> None:
            found.append((row, self._bad(row.place, key, wrong, at)))

        def fault(row: Row, wrong: Wrong) -> None:
            bad(row, "", wrong, -1)

        done: list[tuple[Row, Record | Pair, object]] = []
        if body.fused is not None:
            counts.filtered += body.fused(rows, done.append, bad, fault)
        else:
            inputs: list[tuple[Any, ...]] = []
            counts.filtered += body.extract(rows, inputs.append, fault)
            cells = body.cells(inputs) if body.cells is not None else ()
            parts = [part.run(inputs) for part in body.parts]
            counts.filtered += body.build(inputs, cells, parts, done.append, bad)
        again = self._repeated(done)
        found += self._alike(done, again)
        if not found and not again:
            counts.records += len(done)
            for _, record, _ in done:
                yield record
            return
        for number, (row, record, _) in enumerate(done):
            one = again.get(number, record)
            if one is record:
                counts.records += 1
            if one is not None:
                found.append((row, one))
        order = {id(row): number for number, row in enumerate(batch)}
        found.sort(key=lambda pair: order[id(pair[0])])
        for _, made_one in found:
            yield made_one

    def _repeated(self, done: list[tuple[Row, Record | Pair, object]]) -> dict[int, BadRow | None]:
        """The numbers of records that were there before, with what is to become of them; None drops one."""
        again: dict[int, BadRow | None] = {}
        add = self._seen.add
        for number, (row, record, distinct) in enumerate(done):
            if isinstance(record, Pair):
                if add((record.parent, record.child), row.place.row, 0) is not None:
                    self.counts.collapsed += 1
                    again[number] = None
                continue
            key = distinct or record.key
            if not key:
                continue
            before = add(key, row[1][1], hash((record.key, record.class_name, *record.values.values(), record.refs)))
            if before is not None:
                again[number] = self._again(record, *before)
        return again

    def _alike(
        self, done: list[tuple[Row, Record | Pair, object]], again: Mapping[int, object]
    ) -> list[tuple[Row | BadRow, Made]]:
        """Warnings of keys that only case or composition tells from earlier ones: a target may take them for one."""
        if len(self._folded) >= MOST_FOLDED or self.recipe.distinct or self.recipe.relation_type:
            return []
        pairs = [(row, one) for n, (row, one, _) in enumerate(done) if n not in again and isinstance(one, Record)]
        keys = [one.key for _, one in pairs]
        words = [*map(str.lower, keys)] if "".join(keys).isascii() else [normalize("NFC", k).casefold() for k in keys]
        marks = [*map(hash, words)]
        fresh = dict(zip(marks, zip([row.place.row for row, _ in pairs], map(hash, keys), strict=True), strict=True))
        if len(fresh) == len(marks) and self._folded.keys().isdisjoint(fresh):
            self._folded.update(fresh)
            return []
        found: list[tuple[Row | BadRow, Made]] = []
        for (row, _), mark, key in zip(pairs, marks, keys, strict=True):
            first, same = self._folded.setdefault(mark, (row.place.row, hash(key)))
            if same != hash(key):
                said = f'The key "{key[:60]}" differs from that of row {first} in case or composition only'
                problem = Problem(
                    "similar-key", said, self._body.positions[0][1], key, "Write it the same way in both."
                )
                self.counts.warned += 1
                found.append((row, BadRow(self.recipe.step, key, problem, row.place, "warn")))
        return found

    def _checked(self, rows: list[Row], found: list[tuple[Row | BadRow, Made]]) -> list[Row]:
        kept: list[Row] = []
        for row, faults in self._checker.run(rows):
            stopped = False
            for level, problem in faults:
                found.append((row, BadRow(self.recipe.step, "", self._told(problem), row.place, level)))
                if level == "warn":
                    self.counts.warned += 1
                else:
                    stopped = True
            if stopped:
                self.counts.bad += 1
            else:
                kept.append(row)
        return kept

    def _again(self, record: Record, first: int, same: bool) -> BadRow | None:
        if same:
            self.counts.collapsed += 1
            return None
        distinct = bool(self.recipe.distinct)
        message = (
            f'Rows with the same "{self._distinct_text()}" disagree on a used column; the first is row {first}'
            if distinct
            else f'The key "{record.key[:60]}" is in two rows with different content; the first is row {first}'
        )
        wrong = Wrong("duplicate-key", message, record.key, "The key must name one record of the source.")
        return self._bad(record.place, record.key, wrong, -1)

    def _distinct_text(self) -> str:
        return ", ".join(column.text for column in self.recipe.distinct)

    def _bad(self, place: Place, key: str, wrong: Wrong, at: int) -> BadRow:
        self.counts.bad += 1
        what, position = self._body.positions[at + 1]
        if wrong.code == "unmapped-value":
            self._note_unmapped(what, position, wrong.found, place)
        where = f" ({what})" if what and what != "key" else ""
        level: Level = "skip" if isinstance(wrong, Skip) else self._level
        message = f"{wrong.message}{where}"
        if wrong.code == "no-key":
            message = f"The row has no key ({key_text(self.recipe)})"
        problem = Problem(wrong.code, message[:160], position, wrong.found, wrong.fix)
        if wrong.code not in ("duplicate-key", "bad-key"):  # which say the key
            problem = self._told(problem)
        return BadRow(self.recipe.step, key, problem, place, level)

    def _told(self, problem: Problem) -> Problem:
        """A problem as it may be told: of a row some of which is sensitive no value is, since any may be that one."""
        if not self._is_sensitive or not problem.found:
            return problem
        message = problem.message
        for part in dict.fromkeys((problem.found, problem.found[:60])):
            message = message.replace(part, HUSHED)
        return replace(problem, message=message, found=HUSHED)

    def _note_unmapped(self, what: str, position: Position, value: str, place: Place) -> None:
        value = HUSHED if self._is_sensitive else value
        entry = self.counts.unmapped.setdefault(str(position), Unmapped(what, position))
        count, first = entry.values.get(value, (0, place))
        if count or len(entry.values) < 100:
            entry.values[value] = (count + 1, first)

    def unmapped_problems(self) -> list[Problem]:
        """One problem per map that lacks values, with all of them and their counts."""
        problems = []
        for entry in self.counts.unmapped.values():
            ranked = sorted(entry.values.items(), key=lambda pair: (-pair[1][0], pair[0]))
            shown = ",  ".join(
                f"{value} ({count} rows)" if count > 1 else f"{value} (1; {first})"
                for value, (count, first) in ranked[:10]
            )
            more = f" and {len(ranked) - 10} more" if len(ranked) > 10 else ""
            number = len(ranked)
            text = "1 value is" if number == 1 else f"{number} values are"
            fix = "Add them to the map, or say  unmapped: keep  or  unmapped: empty."
            problems.append(
                Problem(
                    "unmapped-value", f'{text} not in the map of "{entry.field}"', entry.position, shown + more, fix
                )
            )
        return problems


def key_text(recipe: Recipe) -> str:
    """The key as the spec writes it."""
    return ", ".join(_written(value) for value in recipe.key)


def _written(value: Value) -> str:
    if isinstance(value, Column):
        return value.text
    if isinstance(value, Shaped):
        return _written(value.origin)
    return str(getattr(value, "text", "a value"))


Open = Callable[[str], Iterable[Row]]
