"""JSON values as the source wrote them: numbers keep their digits, keys are there once, NaN is no number."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from json import JSONDecodeError
from json.scanner import make_scanner
from typing import Any, cast

import orjson

MAX_DIGITS = 4_000


class Number(Decimal):
    """A number that remembers how it was written: `9.10`, `1E5`."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Number:
        made = super().__new__(cls, text)
        made.text = text
        return made

    def __str__(self) -> str:
        return self.text

    def __format__(self, _spec: str, *_: Any) -> str:
        return self.text

    def __reduce__(self) -> Any:
        return Number, (self.text,)


class Refused(ValueError):
    """A value that JSON's grammar or our limits do not allow."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


def _whole(text: str) -> Any:
    if len(text) > MAX_DIGITS:
        raise Refused("number-too-long", f"A number has more than {MAX_DIGITS} digits")
    return int(text) if len(text) < 19 and text != "-0" else Number(text)


def _number(text: str) -> Any:
    if len(text) > MAX_DIGITS:
        raise Refused("number-too-long", f"A number has more than {MAX_DIGITS} digits")
    return Number(text)


def _constant(text: str) -> Any:
    raise Refused("not-a-number", f"{text} is not a JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise Refused("duplicate-key", f'The key "{name[:60]}" is twice in one object')
            seen.add(name)
    return made


class _Context:
    """What the C scanner of the json module asks for."""

    strict = True
    parse_float = staticmethod(_number)
    parse_int = staticmethod(_whole)
    parse_constant = staticmethod(_constant)
    object_hook = None
    object_pairs_hook = staticmethod(_object)
    memo: dict[str, str]

    def __init__(self) -> None:
        self.memo = {}


scan: Callable[[str, int], tuple[Any, int]] = make_scanner(cast(Any, _Context()))
"""`scan(text, at)` gives a value and where it ends; raises StopIteration, JSONDecodeError or Refused."""

_ESCAPED = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")


def refuse_escapes(text: str, value: Any) -> None:
    """Refuses lone surrogates and NUL, which only an escape can bring."""
    if _ESCAPED.search(text):
        written = repr(value) if "\\x00" in repr(value) else ""
        if "\\u0000" in text and written:
            raise Refused("nul", "A text contains the character NUL")
        try:
            orjson.dumps(value, default=str)
        except (TypeError, ValueError):
            raise Refused("surrogate", "A text contains half a character (a lone surrogate)") from None


def exact(text: str) -> Any:
    """The one value of a text, with all its digits."""
    start = len(text) - len(text.lstrip(" \t\r\n"))
    try:
        value, end = scan(text, start)
    except StopIteration as stopped:
        raise JSONDecodeError("a value is missing", text, stopped.value) from None
    except RecursionError:
        raise Refused("too-deep", "The value is nested too deeply") from None
    if text[end:].strip(" \t\r\n"):
        raise JSONDecodeError("there is more after the value", text, end)
    refuse_escapes(text, value)
    return value
