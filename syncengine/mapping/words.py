"""What filters, operators and tests of templates do: one implementation for both ways of running them.

None means "no value" and propagates, as in SQL: an operation on no value has no value. A fault raises `Wrong`.
Nothing here looks at an attribute of a value, and no result grows past a limit.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import regex

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


def text(value: Any) -> str | None:
    """A value as the text that is sent."""
    if value is None or value.__class__ is str:
        return value  # type: ignore[no-any-return]
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, (list, tuple, dict)):
        kind = "an object" if isinstance(value, dict) else "a list"
        raise Wrong("nested-value", f"The value is {kind}; a field takes one text", value)
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
    texts = [text(part) for part in parts]
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


def _t(value: Any) -> str:
    return text(value) or ""


def _int(value: Any, default: int | None = None) -> int:
    """Whole number of a text; cuts decimals. What is no number is a fault unless a default is given."""
    try:
        if isinstance(value, str):
            cleaned = value.strip()
            if not re.fullmatch(r"[-+]?[0-9]{1,400}(\.[0-9]*)?", cleaned):
                raise ValueError
            return int(cleaned.partition(".")[0])
        return int(number(value) if not isinstance(value, bool) else value)
    except (ValueError, OverflowError):
        if default is not None:
            return default
        raise Wrong("not-a-number", "This is not a whole number", value) from None


def _float(value: Any, default: float | None = None) -> float:
    try:
        if isinstance(value, str):
            if not re.fullmatch(r"[-+]?([0-9]{1,300}(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,2})?", value.strip()):
                raise ValueError
            return float(value.strip())
        return float(number(value))
    except (ValueError, OverflowError):
        if default is not None:
            return default
        raise Wrong("not-a-number", "This is not a number", value) from None


def _replace(value: Any, old: Any, new: Any, count: int = -1) -> str:
    source, old, new = _t(value), _t(old), _t(new)
    if len(source) * max(1, len(new)) > MAX_TEXT * 16:
        raise Wrong("result-too-long", f"The result is longer than {MAX_TEXT // 1024} KiB")
    return bounded(source.replace(old, new, count))


def _join(value: Any, separator: Any = "") -> str:
    glue = _t(separator)
    parts = [_t(one) for one in elements(value) if one is not None]
    if sum(map(len, parts)) + len(glue) * len(parts) > MAX_TEXT:
        raise Wrong("result-too-long", f"The result is longer than {MAX_TEXT // 1024} KiB")
    return glue.join(parts)


def _length(value: Any) -> int:
    if isinstance(value, (str, list, tuple, dict)):
        return len(value)
    return len(_t(value))


def _round(value: Any, precision: int = 0) -> Any:
    if not isinstance(precision, int) or not -20 <= precision <= 20:
        raise Wrong("not-a-number", "round takes a precision from -20 to 20", precision)
    result = round(number(value), precision)
    return int(result) if precision <= 0 else result


def _split(value: Any, separator: Any = None) -> list[str]:
    glue = None if separator is None else _t(separator)
    if glue == "":
        raise Wrong("empty-separator", "split needs a separator of at least one character")
    return limited([one.strip() for one in _t(value).split(glue)])


def _attribute(value: Any, attribute: Any) -> list[Any]:
    found: list[Any] = []
    for one in elements(value):
        for name in _t(attribute).split("."):
            one = item(one, name)  # noqa: PLW2901
        found.append(one)
    return found


def _sum(value: Any, attribute: Any = None) -> Any:
    values = _attribute(value, attribute) if attribute is not None else elements(value)
    total: Any = 0
    for one in values:
        if one is not None:
            total = add(total, one)
    return total


def _extreme(choose: Callable[[list[Any]], Any]) -> Callable[[Any], Any]:
    def pick(value: Any) -> Any:
        values = [one for one in elements(value) if one is not None]
        try:
            return choose(values) if values else None
        except TypeError:
            raise Wrong("not-comparable", "The elements of the list cannot be compared with each other") from None

    return pick


def _unique(value: Any) -> list[Any]:
    seen: list[Any] = []
    known: set[str] = set()
    for one in elements(value):
        mark = repr(one)
        if mark not in known:
            known.add(mark)
            seen.append(one)
    return seen


def _title(value: Any) -> str:
    return re.sub(r"[^\W\d_]+(?:['’][^\W\d_]+)?", lambda found: found.group().capitalize(), _t(value))


def _truncate(value: Any, length: int = 255) -> str:
    if not isinstance(length, int) or not 0 <= length <= MAX_TEXT:
        raise Wrong("not-a-number", "truncate takes a whole length", length)
    return _t(value)[:length]


def _slug(value: Any) -> str:
    plain = unicodedata.normalize("NFKD", _t(value)).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def _mac(value: Any) -> str:
    digits = re.sub(r"[^0-9a-fA-F]", "", _t(value))
    if len(digits) != 12 or re.search(r"[^0-9a-fA-F:.\-\s]", _t(value)):
        raise Wrong("not-a-mac", "This is not a MAC address", value)
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2)).lower()


def _ip(value: Any) -> str:
    try:
        return str(ipaddress.ip_interface(_t(value).strip()).ip)
    except ValueError:
        raise Wrong("not-an-ip", "This is not an IP address", value) from None


def _fqdn(value: Any, domain: Any = "") -> str:
    name = _t(value).strip().rstrip(".").lower()
    suffix = _t(domain).strip().strip(".").lower()
    return name if "." in name or not suffix else f"{name}.{suffix}"


def _short_host(value: Any) -> str:
    name = _t(value).strip().rstrip(".")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.partition(".")[0].lower()
    return name


def pattern(source: Any) -> regex.Pattern[str]:
    """A compiled pattern of a spec, or a fault."""
    try:
        return regex.compile(_t(source))
    except (regex.error, RecursionError, OverflowError) as error:
        raise Wrong("bad-pattern", f"This is not a regular expression: {error}"[:160], source) from None


def _regex(value: Any, source: Any, group: Any = 0) -> str | None:
    try:
        found = pattern(source).search(_t(value), timeout=PATTERN_SECONDS)
        return None if found is None else found.group(group)
    except TimeoutError:
        raise Wrong("slow-pattern", "The regular expression takes too long on this value", source) from None
    except (IndexError, TypeError):
        raise Wrong("bad-group", f"The regular expression has no group {group}", source) from None


def matches(value: str, compiled: regex.Pattern[str]) -> bool:
    """Whether the whole value fits, within the time limit."""
    try:
        return compiled.fullmatch(value, timeout=PATTERN_SECONDS) is not None
    except TimeoutError:
        raise Wrong("slow-pattern", "The regular expression takes too long on this value", compiled.pattern) from None


def default(value: Any, other: Any = "", blank: Any = False) -> Any:
    """`| default(x)`: x where there is no value."""
    return other if value is None or (blank and not value) else value


def default_if_blank(value: Any, other: Any = "") -> Any:
    """`| default_if_blank(x)`: x where there is no value or only space."""
    return other if value is None or (isinstance(value, str) and not value.strip()) else value


def _first(value: Any) -> Any:
    return item(value if isinstance(value, (str, list, tuple)) else elements(value), 0)


def _last(value: Any) -> Any:
    return item(value if isinstance(value, (str, list, tuple)) else elements(value), -1)


def _without_none(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(value: Any, *args: Any) -> Any:
        return None if value is None else function(value, *args)

    return run


_STRICT: dict[str, tuple[Callable[..., Any], Sequence[str]]] = {
    "lower": (lambda v: _t(v).lower(), ()),
    "upper": (lambda v: _t(v).upper(), ()),
    "trim": (lambda v: _t(v).strip(), ()),
    "title": (_title, ()),
    "capitalize": (lambda v: _t(v).capitalize(), ()),
    "string": (_t, ()),
    "replace": (_replace, ("old", "new", "count")),
    "int": (_int, ("default",)),
    "float": (_float, ("default",)),
    "round": (_round, ("precision",)),
    "abs": (lambda v: abs(number(v)), ()),
    "length": (_length, ()),
    "count": (_length, ()),
    "first": (_first, ()),
    "last": (_last, ()),
    "join": (_join, ("d",)),
    "list": (elements, ()),
    "split": (_split, ("separator",)),
    "map": (_attribute, ("attribute",)),
    "sum": (_sum, ("attribute",)),
    "min": (_extreme(min), ()),
    "max": (_extreme(max), ()),
    "sort": (_extreme(sorted), ()),
    "unique": (_unique, ()),
    "truncate": (_truncate, ("length",)),
    "slug": (_slug, ()),
    "mac": (_mac, ()),
    "ip": (_ip, ()),
    "fqdn": (_fqdn, ("domain",)),
    "short_host": (_short_host, ()),
    "regex": (_regex, ("pattern", "group")),
}

FILTERS: dict[str, Callable[..., Any]] = {name: _without_none(entry[0]) for name, entry in _STRICT.items()}
FILTERS["default"] = FILTERS["d"] = default
FILTERS["default_if_blank"] = default_if_blank

PARAMETERS: dict[str, Sequence[str]] = {name: entry[1] for name, entry in _STRICT.items()}
PARAMETERS["default"] = PARAMETERS["d"] = ("default_value", "boolean")
PARAMETERS["default_if_blank"] = ("default_value",)

REQUIRED = {"replace": 2, "map": 1, "regex": 1}
"""How many arguments a filter cannot do without."""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _even(value: Any) -> Any:
    return None if value is None else mod(value, 2) == 0


def _odd(value: Any) -> Any:
    return None if value is None else mod(value, 2) == 1


TESTS: dict[str, Callable[..., Any]] = {
    "defined": lambda v: v is not None,
    "undefined": lambda v: v is None,
    "none": lambda v: v is None,
    "string": lambda v: isinstance(v, str),
    "number": _is_number,
    "boolean": lambda v: isinstance(v, bool),
    "mapping": lambda v: isinstance(v, dict),
    "sequence": lambda v: isinstance(v, (list, tuple, str)),
    "even": _even,
    "odd": _odd,
    "divisibleby": lambda v, by: None if v is None else mod(v, by) == 0,
    "in": contains,
    "eq": eq,
    "ne": ne,
}

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

__all__ = [
    "FILTERS",
    "OPERATORS",
    "PARAMETERS",
    "TESTS",
    "InvalidOperation",
    "Wrong",
    "bounded",
    "concat",
    "default",
    "elements",
    "item",
    "matches",
    "part",
    "pattern",
    "text",
]
