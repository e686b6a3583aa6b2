"""What the operators of templates do, and the limits of what they make.

None means "no value" and propagates, as in SQL; a fault raises `Wrong`. No attribute of a value is ever looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

MAX_TEXT = 64 * 1024
MAX_ITEMS = 10_000
PATTERN_SECONDS = 0.05
MAX_DIGITS = 400


class Wrong(Exception):
    """A value cannot be made; ends the row, not the run."""

    def __init__(self, code: str, message: str, found: object = "", fix: str = "") -> None:
        self.code = code
        self.message = message
        self.found = str(found)[:200]
        self.fix = fix
        super().__init__(message)


class Skip(Wrong):
    """The spec says that this row is to be left out."""


NESTED = 'join: ", "  makes one text of a list,  each:  a record of each element.'


def text(value: Any) -> str | None:
    """A value as the text that is sent."""
    if value is None or value.__class__ is str:
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, (list, tuple, dict)):
        kind = "an object" if isinstance(value, dict) else "a list"
        fix = "Name one of its keys, such as COLUMN.name." if isinstance(value, dict) else NESTED
        raise Wrong("nested-value", f"The value is {kind}; a field takes one text", value, fix)
    if isinstance(value, float):
        if value != value or value in {float("inf"), float("-inf")}:
            raise Wrong("not-a-number", "The result is not a finite number", value)
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if value.__class__ is Decimal and not -30 < value.adjusted() < 30:
        return str(value)
    return format(value, "f") if value.__class__ is Decimal else str(value)


def bounded(value: str) -> str:
    """The text itself, unless it is too long for a cell."""
    if len(value) > MAX_TEXT:
        raise Wrong("result-too-long", f"The result is longer than {MAX_TEXT // 1024} KiB")
    return value


def number(value: Any) -> int | float | Decimal:
    """An operand of arithmetic; text is never taken for a number by itself."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise Wrong("not-a-number", "Arithmetic needs numbers; write  | int  or  | float", value)
    if isinstance(value, Decimal):
        if not -MAX_DIGITS < value.adjusted() < MAX_DIGITS:
            raise Wrong("number-too-big", "The number is too big to calculate with", value)
    elif isinstance(value, int) and value.bit_length() > 4 * MAX_DIGITS:
        raise Wrong("number-too-big", "The number is too big to calculate with")
    return value


def _pair(a: Any, b: Any) -> tuple[Any, Any]:
    a, b = number(a), number(b)
    if isinstance(a, Decimal) and isinstance(b, float):
        return float(a), b
    if isinstance(a, float) and isinstance(b, Decimal):
        return a, float(b)
    return a, b


def concat(*parts: Any) -> str | None:
    """`~`: texts side by side."""
    texts = [part if part.__class__ is str else text(part) for part in parts]
    if None in texts:
        return None
    return bounded("".join(texts))  # type: ignore[arg-type]


def add(a: Any, b: Any) -> Any:
    """`+`: two texts side by side, or the sum of two numbers."""
    if a is None or b is None:
        return None
    if isinstance(a, str) and isinstance(b, str):
        return bounded(a + b)
    if isinstance(a, list) and isinstance(b, list):
        return limited([*a, *b])
    a, b = _pair(a, b)
    return a + b


def sub(a: Any, b: Any) -> Any:
    """`-`"""
    if a is None or b is None:
        return None
    a, b = _pair(a, b)
    return a - b


def mul(a: Any, b: Any) -> Any:
    """`*`"""
    if a is None or b is None:
        return None
    a, b = _pair(a, b)
    return a * b


def div(a: Any, b: Any) -> Any:
    """`/`"""
    if a is None or b is None:
        return None
    a, b = _pair(a, b)
    if b == 0:
        raise Wrong("division-by-zero", "Division by zero")
    return a / b


def floordiv(a: Any, b: Any) -> Any:
    """`//`"""
    if a is None or b is None:
        return None
    a, b = _pair(a, b)
    if b == 0:
        raise Wrong("division-by-zero", "Division by zero")
    return a // b


def mod(a: Any, b: Any) -> Any:
    """`%`"""
    if a is None or b is None:
        return None
    a, b = _pair(a, b)
    if b == 0:
        raise Wrong("division-by-zero", "Division by zero")
    return a % b


def neg(a: Any) -> Any:
    """`-x`"""
    return None if a is None else -number(a)


def pos(a: Any) -> Any:
    """`+x`"""
    return None if a is None else +number(a)


def _comparable(a: Any, b: Any) -> tuple[Any, Any]:
    if isinstance(a, str) and isinstance(b, str):
        return a, b
    return _pair(a, b)


def eq(a: Any, b: Any) -> Any:
    """`==`"""
    return None if a is None or b is None else bool(a == b)


def ne(a: Any, b: Any) -> Any:
    """`!=`; with no value on a side the answer is no value, as in SQL."""
    return None if a is None or b is None else bool(a != b)


def lt(a: Any, b: Any) -> Any:
    """`<`"""
    if a is None or b is None:
        return None
    a, b = _comparable(a, b)
    return bool(a < b)


def lteq(a: Any, b: Any) -> Any:
    """`<=`"""
    if a is None or b is None:
        return None
    a, b = _comparable(a, b)
    return bool(a <= b)


def gt(a: Any, b: Any) -> Any:
    """`>`"""
    if a is None or b is None:
        return None
    a, b = _comparable(a, b)
    return bool(a > b)


def gteq(a: Any, b: Any) -> Any:
    """`>=`"""
    if a is None or b is None:
        return None
    a, b = _comparable(a, b)
    return bool(a >= b)


def contains(a: Any, b: Any) -> Any:
    """`a in b`"""
    if a is None or b is None:
        return None
    if isinstance(b, str):
        return (text(a) or "") in b
    if isinstance(b, (list, tuple, dict)):
        return a in b
    raise Wrong("not-a-list", "`in` needs a text or a list on its right", b)


def contains_not(a: Any, b: Any) -> Any:
    """`a not in b`"""
    found = contains(a, b)
    return None if found is None else not found


def item(holder: Any, key: Any) -> Any:
    """`a.b` and `a[b]`: a key of an object or an element of a list, never a method."""
    if holder is None or key is None:
        return None
    if isinstance(holder, dict):
        return holder.get(key)
    if isinstance(holder, (list, tuple, str)) and isinstance(key, int) and not isinstance(key, bool):
        return holder[key] if -len(holder) <= key < len(holder) else None
    return None


def part(holder: Any, start: Any, stop: Any, step: Any) -> Any:
    """`a[1:3]`"""
    if holder is None:
        return None
    if not isinstance(holder, (list, tuple, str)):
        raise Wrong("not-a-list", "Only a text or a list can be cut", holder)
    if step == 0:
        raise Wrong("division-by-zero", "A step of 0 leads nowhere")
    for bound in (start, stop, step):
        if bound is not None and (not isinstance(bound, int) or isinstance(bound, bool)):
            raise Wrong("not-a-number", "Only whole numbers can stand between the brackets", bound)
    return holder[start:stop:step]


def limited(values: list[Any]) -> list[Any]:
    """The list itself, unless it is too long."""
    if len(values) > MAX_ITEMS:
        raise Wrong("list-too-long", f"The list has more than {MAX_ITEMS} elements")
    return values


def elements(value: Any) -> list[Any]:
    """What a `for` runs over."""
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return limited(list(value))
    if isinstance(value, dict):
        return limited(list(value))
    raise Wrong("not-a-list", "A loop needs a list", value)


OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": add,
    "Sub": sub,
    "Mul": mul,
    "Div": div,
    "FloorDiv": floordiv,
    "Mod": mod,
    "Neg": neg,
    "Pos": pos,
    "eq": eq,
    "ne": ne,
    "lt": lt,
    "lteq": lteq,
    "gt": gt,
    "gteq": gteq,
    "in": contains,
    "notin": contains_not,
}
