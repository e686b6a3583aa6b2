"""How one value is made: cleaning what a source gave, types, value maps.

Every function takes and gives None for "no value" and raises `Wrong` for what cannot be made.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from syncengine.mapping.model import Style, TypeName, Unmapped, ValueMap
from syncengine.mapping.operators import Wrong, text

CACHE = 20_000
"""How many different texts a converter remembers."""

_TRUE = frozenset({"true", "yes", "y", "1", "on"})
_FALSE = frozenset({"false", "no", "n", "0", "off"})
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATETIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?( ?(Z|[+-]\d{2}:?\d{2}))?")
_SLASHED = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(.*)")


def cleaner(no_value: frozenset[str]) -> Callable[[Any], Any]:
    """A function that trims texts and turns the texts that mean "no value" into None."""

    def clean(value: Any) -> Any:
        if value.__class__ is str:
            value = value.strip()
            return None if value in no_value else value
        return value

    return clean


def walk(holder: Any, whole: str, parts: tuple[str | int, ...]) -> Any:
    """What a path leads to; a key that contains the dots is matched whole first."""
    if holder.__class__ is dict and whole in holder:
        return holder[whole]
    return descend(holder, parts)


def descend(holder: Any, parts: tuple[str | int, ...]) -> Any:
    """What the parts of a path lead to, one by one; None where one is absent."""
    for part in parts:
        if part.__class__ is str:
            if not isinstance(holder, dict):
                return None
            holder = holder.get(part)
        else:
            if not isinstance(holder, list) or not -len(holder) <= part < len(holder):  # type: ignore[operator]
                return None
            holder = holder[part]  # type: ignore[index]
    return holder


def listed(value: Any) -> list[Any]:
    """What `each` runs over."""
    if value is None or value == "":
        return []
    if isinstance(value, list):
        return value
    raise Wrong("not-a-list", "each needs a list", value)


def remembered(convert: Callable[[str], str | None]) -> Callable[[Any], Any]:
    """The conversion for single values and lists, with a memory for texts that come again."""
    memory: dict[str, str | None] = {}

    def run(value: Any) -> Any:
        if value is None:
            return None
        if value.__class__ is list:
            return [done for one in value if (done := run(one)) is not None]
        if value.__class__ is not str:
            value = text(value)
        try:
            return memory[value]
        except KeyError:
            if len(memory) >= CACHE:
                memory.clear()
            done = memory[value] = convert(value)
            return done

    return run


def mapped(rule: ValueMap, unmapped: Unmapped) -> Callable[[Any], Any]:
    """A value map as a function; without case, without outer spaces."""
    entries = {fold(word): value for word, value in rule.entries.items()}

    def convert(value: str) -> str | None:
        found = entries.get(fold(value))
        if found is not None:
            return found
        if unmapped == "keep":
            return value
        if unmapped == "empty":
            return None
        raise Wrong(
            "unmapped-value",
            f'"{value[:60]}" is not in the map',
            value,
            "Add it to the map, or say  unmapped: keep  or  unmapped: empty.",
        )

    return remembered(convert)


def fold(word: str) -> str:
    """A word as maps and conditions compare it."""
    return word.strip().casefold()


@lru_cache(maxsize=256)
def zone(name: str) -> tzinfo | None:
    """A time zone of the IANA list; None where there is no such zone."""
    if name.upper() in {"UTC", "Z"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


class Target(Protocol):
    """What a conversion must know of where values come from and go to."""

    @property
    def style(self) -> Style: ...
    @property
    def decimal(self) -> str: ...


def typed(name: TypeName, target: Target, form: str | None, zone_name: str | None) -> Callable[[Any], Any]:
    """The conversion to a type, as the target wants it written."""
    match name:
        case "text":
            return remembered(lambda value: value)
        case "integer":
            return remembered(_integer)
        case "decimal":
            sign = target.decimal
            return remembered(lambda value: _decimal(value.replace(sign, ".") if sign != "." else value))
        case "boolean":
            yes, no = ("1", "0") if target.style == "4me" else ("true", "false")
            return remembered(lambda value: _boolean(value, yes, no))
        case "date":
            return remembered(lambda value: _date(value, form))
        case "datetime":
            local = zone(zone_name) if zone_name else None
            return remembered(lambda value: _datetime(value, target.style, form, local))


def _integer(value: str) -> str:
    if not re.fullmatch(r"[-+]?[0-9]+", value):
        raise Wrong("not-an-integer", "This is not a whole number", value)
    sign = "-" if value.startswith("-") else ""
    digits = value.lstrip("+-").lstrip("0") or "0"
    return digits if digits == "0" else sign + digits


def _decimal(value: str) -> str:
    if not re.fullmatch(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?", value):
        raise Wrong("not-a-decimal", "This is not a decimal number", value, "decimal: in the source sets another sign.")
    try:
        return format(Decimal(value), "f")
    except InvalidOperation:
        raise Wrong("not-a-decimal", "This is not a decimal number", value) from None


def _boolean(value: str, yes: str, no: str) -> str:
    word = value.casefold()
    if word in _TRUE:
        return yes
    if word in _FALSE:
        return no
    raise Wrong("not-a-boolean", "This is neither yes nor no", value, "Write a map, such as  map: {aktiv: true}.")


def _ambiguous(value: str, kind: str) -> Wrong:
    found = _SLASHED.fullmatch(value)
    if not found:
        return Wrong(
            f"not-a-{kind}",
            f"This is not a {kind} as ISO 8601 writes it",
            value,
            f'format: "%d.%m.%Y"  says how your {kind}s are written.',
        )
    shown, sign = value[:40], found[0][len(found[1])]
    clock = {0: "", 1: " %H:%M"}.get(found[4].count(":"), " %H:%M:%S")
    ways = {form: _read_as(value[: found.start(4)], form.format(sign)) for form in ("%d{0}%m{0}%Y", "%m{0}%d{0}%Y")}
    readings = {form: when for form, when in ways.items() if when}
    form = next(iter(readings), "%d{0}%m{0}%Y").format(sign) + clock
    fix = f'{{type: {kind}, format: "{form}"' + (", timezone: Europe/Paris}" if kind == "datetime" else "}")
    could = list(dict.fromkeys(readings.values()))
    if len(could) > 1:
        return Wrong(f"ambiguous-{kind}", f'"{shown}" could be {" or ".join(could)}', value, fix)
    said = f'"{shown}" is not a {kind} as ISO 8601 writes it' + "".join(f"; it reads as {one}" for one in could)
    return Wrong(f"not-a-{kind}", said, value, fix)


def _read_as(value: str, form: str) -> str:
    """A day in words, or empty where there is no such day."""
    try:
        return datetime.strptime(value, form).strftime("%-d %B %Y")  # noqa: DTZ007
    except ValueError:
        return ""


NEITHER = "Correct the value, or what  format:  says of how dates are written."


def _date(value: str, form: str | None) -> str:
    try:
        if form is not None:
            return datetime.strptime(value, form).date().isoformat()  # noqa: DTZ007
        if _DATE.fullmatch(value[:10]) and (len(value) == 10 or _DATETIME.fullmatch(value)):
            return date.fromisoformat(value[:10]).isoformat()
    except ValueError:
        said = "There is no such date" if form is None else f"This is no date written as {form}"
        raise Wrong("not-a-date", said, value, "" if form is None else NEITHER) from None
    raise _ambiguous(value, "date")


def _datetime(value: str, style: Style, form: str | None, local: tzinfo | None) -> str:
    try:
        if form is not None:
            when = datetime.strptime(value, form)  # noqa: DTZ007
        elif _DATETIME.fullmatch(value):
            when = datetime.fromisoformat(value.replace(" Z", "Z").replace(" +", "+").replace(" -", "-"))
        elif _DATE.fullmatch(value):
            when = datetime.fromisoformat(value)
        else:
            raise _ambiguous(value, "datetime")
    except ValueError:
        said = "There is no such date and time" if form is None else f"This is no date and time written as {form}"
        raise Wrong("not-a-datetime", said, value, "" if form is None else NEITHER) from None
    if when.tzinfo is None:
        if local is None:
            raise Wrong("no-timezone", "This time has no time zone", value, "{type: datetime, timezone: Europe/Paris}")
        when = _localised(when, local, value)
    try:
        moment = when.astimezone(UTC)
    except OverflowError:
        raise Wrong("not-a-datetime", "This time is outside the years that can be sent", value) from None
    if style == "4me":
        return moment.strftime("%Y-%m-%dT%H:%M:%S+00:00")
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _localised(when: datetime, local: tzinfo, value: str) -> datetime:
    """The local time with its zone; a time that a clock change skips does not exist."""
    placed = when.replace(tzinfo=local)
    try:
        back = placed.astimezone(UTC).astimezone(local).replace(tzinfo=None)
    except OverflowError:
        raise Wrong("not-a-datetime", "This time is outside the years that can be sent", value) from None
    if back != when:
        raise Wrong("no-such-time", "The clocks were put forward over this time: it does not exist", value)
    return placed


def utc(value: str) -> str:
    """A moment as `seen_at` wants it: ISO with offset, to UTC `YYYY-MM-DD hh:mm:ss`."""
    return _datetime(value, "servicenow", None, None)
