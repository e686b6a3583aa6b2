"""Encoded queries: the filter language of lists, read into a small tree and applied to records in Python.

`^` joins, `^OR` adds an alternative to the clause before it, `^NQ` starts another query whose result is added
(documented: operators available for filters). There is no escape for `^` and `,` inside values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

OPERATORS = (
    "NOT IN", "NOT LIKE", "NOTLIKE", "STARTSWITH", "ENDSWITH", "DOESNOTCONTAIN", "CONTAINS", "ISNOTEMPTY", "ISEMPTY",
    "EMPTYSTRING", "ANYTHING", "BETWEEN", "NSAMEAS", "SAMEAS", "GT_OR_EQUALS_FIELD", "LT_OR_EQUALS_FIELD", "GT_FIELD",
    "LT_FIELD", "INSTANCEOF", "LIKE", "IN", "!=", ">=", "<=", "=", ">", "<", "%", "*",
)  # fmt: skip
_CLAUSE = re.compile(
    r"(?P<field>[a-z_][A-Za-z0-9_.]*?)(?P<op>" + "|".join(re.escape(op) for op in OPERATORS) + r")(?P<value>.*)",
    re.DOTALL,
)
_ALIASES = {"NOTLIKE": "NOT LIKE", "DOESNOTCONTAIN": "NOT LIKE", "CONTAINS": "LIKE", "*": "LIKE", "%": "ENDSWITH"}


_RL = re.compile(
    r"RLQUERY(?P<table>\w+)\.(?P<field>\w+),(?P<op>>=|<=|!=|=|>|<)(?P<number>\d+)(?:,m2m)?(?:\^(?P<query>.*?))?\^ENDRLQUERY"
)
_JOIN = re.compile(r"JOIN\w+\.(?P<own>\w+)=(?P<table>\w+)\.(?P<field>\w+)(?:!(?P<query>[^^]*))?")


class Clause(NamedTuple):
    """One comparison."""

    field: str
    op: str
    value: str


class Related(NamedTuple):
    """A condition on other tables' rows: `JOIN` (at least one) or `RLQUERY` (so many)."""

    own: str
    table: str
    field: str
    op: str
    number: int
    query: str


class Query(NamedTuple):
    """Alternatives (`^NQ`) of conjunctions (`^`) of alternatives (`^OR`), and the order of the result."""

    alternatives: tuple[tuple[tuple[Clause, ...], ...], ...]
    order: tuple[tuple[str, bool], ...]
    """(column, descending)."""
    related: tuple[Related, ...]
    """Conditions that hold for the whole query (observed: clients build them; only lists evaluate them)."""
    invalid: tuple[str, ...]
    """Parts that could not be read; the service ignores them, or glide.invalid_query.returns_no_rows is true."""


def parse(text: str) -> Query:
    """Read an encoded query; what cannot be read is listed, not refused."""
    order: list[tuple[str, bool]] = []
    invalid: list[str] = []
    alternatives: list[tuple[tuple[Clause, ...], ...]] = []
    related: list[Related] = []
    text = _RL.sub(lambda m: _counted(m, related), text)
    text = _JOIN.sub(lambda m: _joined(m, related), text)
    for part in re.split(r"\^NQ", text):
        groups: list[list[Clause]] = []
        for piece in part.split("^"):
            if not piece or piece == "EQ":
                continue
            if piece.startswith("ORDERBY"):
                descending = piece.startswith("ORDERBYDESC")
                order.append((piece[11:] if descending else piece[7:], descending))
                continue
            alternative = piece.startswith("OR") and bool(groups)
            clause = _clause(piece[2:] if alternative else piece)
            if clause is None:
                invalid.append(piece)
            elif alternative:
                groups[-1].append(clause)
            else:
                groups.append([clause])
        alternatives.append(tuple(tuple(group) for group in groups))
    return Query(tuple(alternatives), tuple(order), tuple(related), tuple(invalid))


def _counted(match: re.Match[str], related: list[Related]) -> str:
    related.append(
        Related("sys_id", match["table"], match["field"], match["op"], int(match["number"]), match["query"] or "")
    )
    return ""


def _joined(match: re.Match[str], related: list[Related]) -> str:
    related.append(Related(match["own"], match["table"], match["field"], ">", 0, match["query"] or ""))
    return ""


def _clause(text: str) -> Clause | None:
    match = _CLAUSE.fullmatch(text)
    if match is None:
        return None
    op = match["op"]
    return Clause(match["field"], _ALIASES.get(op, op), match["value"])


def fold(text: str) -> str:
    """How text is compared: letters A-Z without regard to case, as SQLite's NOCASE does it."""
    return text.lower() if text.isascii() else "".join(c.lower() if c.isascii() else c for c in text)


Getter = Callable[[str], str]


def matches(query: Query, values: Mapping[str, str]) -> bool:
    """Whether a record fulfils the query; a field it does not have is empty."""
    return matches_with(query, lambda field: values.get(field, ""), frozenset())


def matches_with(query: Query, get: Getter, numeric: frozenset[str]) -> bool:
    """The same, for fields that are found by a function."""
    return any(all(any(_holds(c, get, numeric) for c in group) for group in groups) for groups in query.alternatives)


def number(text: str) -> float:
    """A number as SQLite casts it: the longest leading number, else 0."""
    match = re.match(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", text)
    return float(match.group()) if match else 0.0


def _holds(clause: Clause, get: Getter, numeric: frozenset[str]) -> bool:  # noqa: C901 - one line per operator
    value, wanted = get(clause.field), clause.value
    a, b = fold(value), fold(wanted)
    match clause.op:
        case "=" | "INSTANCEOF":
            return a == b
        case "!=":
            return a != b
        case "IN":
            return a in fold(wanted).split(",")
        case "NOT IN":
            return a not in fold(wanted).split(",")
        case "LIKE":
            return b in a
        case "NOT LIKE":
            return b not in a
        case "STARTSWITH":
            return a.startswith(b)
        case "ENDSWITH":
            return a.endswith(b)
        case "ISEMPTY" | "EMPTYSTRING":
            return not value
        case "ISNOTEMPTY":
            return bool(value)
        case "ANYTHING":
            return True
        case "BETWEEN":
            low, _, high = wanted.partition("@")
            return bool(value) and _rank(clause.field, numeric, low) <= _rank(clause.field, numeric, value) <= _rank(
                clause.field, numeric, high
            )
        case "SAMEAS":
            return a == fold(get(wanted))
        case "NSAMEAS":
            return a != fold(get(wanted))
    if clause.op.endswith("_FIELD"):
        op, wanted = {"GT": ">", "LT": "<", "GT_OR_EQUALS": ">=", "LT_OR_EQUALS": "<="}[clause.op[:-6]], get(wanted)
    else:
        op = clause.op
    if not value:
        return False
    x, y = _rank(clause.field, numeric, value), _rank(clause.field, numeric, wanted)
    return {">": x > y, "<": x < y, ">=": x >= y, "<=": x <= y}[op]


def _rank(field: str, numeric: frozenset[str], value: str) -> tuple[float, str]:
    return (number(value), "") if field in numeric else (0.0, fold(value))
