"""What filters and tests of templates do: one implementation for both ways of running them."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from syncengine.mapping.operators import (
    MAX_TEXT,
    PATTERN_SECONDS,
    Wrong,
    add,
    bounded,
    contains,
    elements,
    eq,
    item,
    limited,
    mod,
    ne,
    number,
    text,
)

if TYPE_CHECKING:
    import regex


def _t(value: Any) -> str:
    return text(value) or ""


def _int(value: Any, default: int | None = None) -> int:
    """Whole number of a text; cuts decimals. What is no number is a fault unless a default is given."""
    try:
        if isinstance(value, str):
            cleaned = value.strip()
            if re.fullmatch(r"[-+]?[0-9]{1,400}(\.[0-9]*)?", cleaned):
                return int(cleaned.partition(".")[0])
            return int("no number")
        return int(number(value))
    except (ValueError, OverflowError):
        if default is not None:
            return default
        raise Wrong("not-a-number", "This is not a whole number", value) from None


def _float(value: Any, default: float | None = None) -> float:
    try:
        if isinstance(value, str):
            plain = re.fullmatch(r"[-+]?([0-9]{1,300}(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,2})?", value.strip())
            return float(value.strip() if plain else "no number")
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
    result: Any = round(number(value), precision)
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
            one = item(one, name)
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
    import regex  # only specs with patterns pay for it

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
FILTERS["lower"] = lambda v: v.lower() if v.__class__ is str else None if v is None else _t(v).lower()
FILTERS["upper"] = lambda v: v.upper() if v.__class__ is str else None if v is None else _t(v).upper()
FILTERS["trim"] = lambda v: v.strip() if v.__class__ is str else None if v is None else _t(v).strip()
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
