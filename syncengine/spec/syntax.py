"""What is wrong with a text that is no YAML, in words of people, and what to write instead."""

from __future__ import annotations

import re
from typing import Any

import yaml

from syncengine.errors import Position, Problem

_BRACES = re.compile(r"^(?P<before>.*?[:\-,\[{]\s+)(?P<value>\{\{.*)$")


def syntax_problem(error: yaml.MarkedYAMLError, text: str, shown: str) -> Problem:
    """What the parser complains of, at its place."""
    mark: Any = error.problem_mark or error.context_mark
    if "unexpected end of stream" in (error.problem or "") and error.context_mark is not None:
        mark = error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    lines = text.split("\n")
    found = lines[line - 1] if line <= len(lines) else ""
    if braces := unquoted_braces(lines, line, shown):
        return braces
    indent = found[: len(found) - len(found.lstrip())]
    if "\t" in indent:
        at = Position(shown, line, indent.index("\t") + 1)
        return Problem("tab-in-indentation", "There is a tab in the indentation; use spaces", at)
    caret = f"{found[:100]}\n{' ' * (column - 1)}^" if found.strip() and column <= 100 else ""
    said = _explain(f"{error.context or ''} {error.problem or ''}")
    return Problem("yaml-syntax", said, Position(shown, line, column), found=found.strip(), fix=caret)


def unquoted_braces(lines: list[str], line: int, shown: str) -> Problem | None:
    """An unquoted `{{` at or just before a line, with the line as it should be."""
    for number in range(line, max(0, line - 3), -1):
        if number > len(lines):
            continue
        found = _BRACES.match(lines[number - 1])
        if found and found["before"].count('"') % 2 == 0 and found["before"].count("'") % 2 == 0:
            value = found["value"].rstrip()
            quote = "'" if '"' in value else '"'
            return Problem(
                "unquoted-braces",
                "A value that starts with {{ needs quotes: YAML reads braces as a mapping",
                Position(shown, number, len(found["before"]) + 1),
                fix=f"{found['before'].strip()} {quote}{value}{quote}",
            )
    return None


_WORDS = (
    ("found unexpected end of stream", "A quote that is opened here or above is never closed"),
    ("mapping values are not allowed", "A colon followed by a space stands where none may be; quote the value"),
    ("could not find expected ':'", "A colon is missing after this key, or the line is indented wrongly"),
    ("did not find expected key", "The indentation does not fit the lines above"),
    ("did not find expected '-' indicator", "The indentation does not fit the list above"),
    ("expected ',' or '}'", "A comma or a closing } is missing"),
    ("expected ',' or ']'", "A comma or a closing ] is missing"),
    ("cannot start any token", "This character cannot start a value; quote the value"),
    ("undefined tag", "Tags are not allowed"),
    ("unknown escape", "This escape does not exist in double quotes; use single quotes"),
    ("directive", "Lines that start with % are not allowed"),
    ("anchor", "A name is missing after & or *; quote the value if it is meant as text"),
    ("alias", "A name is missing after *; quote the value if it is meant as text"),
    ("duplicate", "This anchor is here twice"),
    ("block scalar", "The text after | or > is not indented as it should be"),
    ("nesting", "Nested too deep"),
    ("exceeded", "Nested too deep"),
)


def _explain(said: str) -> str:
    return next((ours for theirs, ours in _WORDS if theirs in said), "This line is not YAML")
