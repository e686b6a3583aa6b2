"""Rules that every row of a source must keep: columns and checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from syncengine.changes import Row
from syncengine.errors import Problem
from syncengine.mapping.compiler import Body
from syncengine.mapping.keys import SeenKeys
from syncengine.mapping.model import Check, ColumnRule, Level, RowRules
from syncengine.mapping.operators import Wrong, text
from syncengine.mapping.paths import split
from syncengine.mapping.scope import Setting
from syncengine.mapping.values import cleaner, walk
from syncengine.mapping.words import matches, pattern

Fault = tuple[Level, Problem]


class RowChecker:
    """The rules of a source, compiled."""

    def __init__(self, rules: RowRules, setting: Setting) -> None:
        self._columns = [_Column(rule, rules.bad_rows, setting.no_value) for rule in rules.columns]
        self._checks = [_Check(check, setting) for check in rules.checks]
        self.active = bool(self._columns or self._checks)

    def run(self, rows: Sequence[Row]) -> Iterator[tuple[Row, list[Fault]]]:
        """Every row with what is wrong with it."""
        checked = [check.run(rows) for check in self._checks]
        for number, row in enumerate(rows):
            faults = [fault for column in self._columns for fault in column.run(row)]
            faults += [fault for one in checked if (fault := one[number]) is not None]
            yield row, faults


class _Column:
    def __init__(self, rule: ColumnRule, level: Level, no_value: frozenset[str]) -> None:
        self._rule = rule
        self._level = level
        self._parts = split(rule.column)
        self._clean = cleaner(no_value)
        self._seen = SeenKeys() if rule.unique else None
        self._pattern = pattern(rule.matches) if rule.matches is not None else None
        self._words = frozenset(rule.one_of) if rule.one_of is not None else None

    def run(self, row: Row) -> Iterator[Fault]:
        rule = self._rule
        try:
            value = text(self._clean(walk(row.values, rule.column, self._parts)))
        except Wrong as wrong:
            yield self._fault(wrong.code, wrong.message, wrong.found)
            return
        if value is None:
            if rule.required:
                yield self._fault("required", f'The column "{rule.column}" is empty', "")
            return
        if self._seen is not None:
            before = self._seen.add(value, row.place.row, 0)
            if before is not None:
                said = f'"{value[:40]}" is in the column "{rule.column}" twice; the first is row {before[0]}'
                yield self._fault("not-unique", said, value)
        if rule.max_length is not None and len(value) > rule.max_length:
            said = f'The column "{rule.column}" has {len(value)} characters; at most {rule.max_length} are allowed'
            yield self._fault("too-long", said, value)
        if self._words is not None and value not in self._words:
            yield self._fault("not-one-of", f'"{value[:40]}" is none of the values of "{rule.column}"', value)
        if self._pattern is not None:
            try:
                if not matches(value, self._pattern):
                    said = f'The column "{rule.column}" does not match {rule.matches}'
                    yield self._fault("no-match", said, value)
            except Wrong as wrong:
                yield self._fault(wrong.code, wrong.message, value)

    def _fault(self, code: str, message: str, found: str) -> Fault:
        return self._level, Problem(code, message[:160], self._rule.position, found)


class _Check:
    def __init__(self, check: Check, setting: Setting) -> None:
        self._check = check
        body = Body(setting, 0)
        code = body.template(check.that)
        body.finish()
        self._cells = body.cells
        loads = "\n".join("        " + line for line in body.loads) or "        pass"
        names = "".join(f"{name}, " for name in body.slots.values())
        source = (
            "def extract(rows, add):\n    for row in rows:\n        r0 = row[0]\n"
            f"{loads}\n        add(({names}))\n"
            f"def test(inputs, cells, add):\n    for n, ({names or '_'}{'' if names else ','}) in enumerate(inputs):\n"
            if names
            else "def extract(rows, add):\n    for row in rows:\n        add(())\n"
            "def test(inputs, cells, add):\n    for n, _ in enumerate(inputs):\n"
        )
        source += "        try:\n"
        if body.pending:
            source += f"            ({', '.join(name for name, _ in body.pending)},) = cells[n]\n"
        source += "".join(f"            {line}\n" for line in body.out.lines)
        source += f"            answer = {code.source}\n            add(answer is None or bool(answer))\n"
        source += "        except Wrong as wrong:\n            add(wrong)\n"
        self._extract: Callable[..., None] = body.compiled(source, "extract", "check")
        self._test: Callable[..., None] = body.compiled(source, "test", "check")

    def run(self, rows: Sequence[Row]) -> list[Fault | None]:
        inputs: list[tuple[Any, ...]] = []
        self._extract(rows, inputs.append)
        cells = self._cells.run(inputs) if self._cells is not None else ()
        answers: list[bool | Wrong] = []
        self._test(inputs, cells, answers.append)
        return [self._fault(answer) for answer in answers]

    def _fault(self, answer: bool | Wrong) -> Fault | None:
        if answer is True:
            return None
        check = self._check
        if isinstance(answer, Wrong):
            return check.level, Problem(answer.code, answer.message, check.position, answer.found)
        return check.level, Problem("check", check.say[:160], check.position)
