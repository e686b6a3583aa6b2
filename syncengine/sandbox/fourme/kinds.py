"""Values by kind: read from a cell, written into an export, shown by REST.

Documented: what is true, dates, the special words of timestamps, hours up to 24:00, decimals, enumeration ids, time
zones by the product's name. Inferred: the texts of refusals, which are those of the framework the service is built on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from syncengine.sandbox.catalog import data
from syncengine.sandbox.fourme.types import Column

Value = Any
"""What is kept: text, a whole number, true or false, a list; references are ids."""

TRUE = frozenset({"1", "T", "Y", "TRUE", "YES", "ON"})
WORDS = frozenset({"best_effort", "no_target", "clock_stopped"})
_TEXT = frozenset({"string", "text", "uri", "notes"})
_HOURS = re.compile(r"(\d{1,4}):([0-5]\d)")
_OF_DAY = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00")
_DATETIME = re.compile(r"(\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):([0-5]\d)(?::\d\d)?|(\d{4}-\d\d-\d\d)T24:00(?::00)?")


class Bad(ValueError):
    """A cell that its column does not take; the text follows the column's name."""


def read(column: Column, cell: str) -> Value:
    """A cell that is not blank as it is kept; raises Bad. References are not read here."""
    if column.kind in _TEXT:
        return _text(column, cell)
    return _READERS[column.kind](column, cell.strip())


def _text(column: Column, cell: str) -> str:
    found = cell.replace("\r\n", "\n")
    if column.longest and len(found) > column.longest:
        raise Bad(f"is too long (maximum is {column.longest} characters)")
    if len(found) > 65_536 and len(found.encode()) > 65_536:
        raise Bad("is too long (maximum is 65536 bytes)")
    return found


def _boolean(_column: Column, cell: str) -> bool:
    return cell.upper() in TRUE


def _integer(_column: Column, cell: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,18}", cell):
        raise Bad("is not a number")
    return int(cell)


def _decimal(_column: Column, cell: str) -> str:
    try:
        number = Decimal(cell)
    except InvalidOperation:
        raise Bad("is not a number") from None
    if not number.is_finite():
        raise Bad("is not a number")
    text = f"{number:f}"
    whole, dot, part = text.partition(".")
    return f"{whole}.{part.rstrip('0') or '0'}" if dot else f"{whole}.0"


def _date(_column: Column, cell: str) -> str:
    try:
        return date.fromisoformat(cell).isoformat() if re.fullmatch(r"\d{4}-\d\d-\d\d", cell) else _no_date()
    except ValueError:
        return _no_date()


def _no_date() -> str:
    raise Bad("is not a valid date")


def _datetime(_column: Column, cell: str) -> str:
    match = _DATETIME.fullmatch(cell)
    if match is None:
        raise Bad("is not a valid date and time")
    day = _date(_column, match[1] or match[4])
    return f"{day}T{match[2]}:{match[3]}" if match[1] else f"{day}T24:00"


def _timestamp(_column: Column, cell: str) -> str:
    if cell in WORDS:
        return cell
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)", cell):
        raise Bad("is not a valid timestamp")
    try:
        return stamp(datetime.fromisoformat(cell).timestamp())
    except ValueError:
        raise Bad("is not a valid timestamp") from None


def stamp(seconds: float) -> str:
    """Epoch seconds as the service writes them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time_of_day(_column: Column, cell: str) -> str:
    if not _OF_DAY.fullmatch(cell):
        raise Bad("is not a valid time")
    return cell


def _duration(_column: Column, cell: str) -> int:
    if cell.isdigit() and cell.isascii():
        return int(cell)
    match = _HOURS.fullmatch(cell)
    if match is None:
        raise Bad("is not a valid duration")
    return int(match[1]) * 60 + int(match[2])


def _currency(_column: Column, cell: str) -> str:
    if not re.fullmatch(r"[a-z]{3}", cell):
        raise Bad("is not included in the list")
    return cell


def _country(_column: Column, cell: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2}", cell):
        raise Bad("is not included in the list")
    return cell.upper()


def _enum(column: Column, cell: str) -> str:
    if cell not in column.values and cell not in column.examples:
        raise Bad("is not included in the list")
    return cell


def _custom_fields(_column: Column, cell: str) -> list[dict[str, Any]]:
    try:
        given = orjson.loads(cell)
    except ValueError:
        raise Bad("is not a valid JSON array") from None
    if not isinstance(given, list) or not all(isinstance(one, dict) and one.get("id") for one in given):
        raise Bad("is not a valid JSON array of objects with id and value")
    return [{"id": str(one["id"]), "value": one.get("value")} for one in given]


def _time_zone(_column: Column, cell: str) -> str:
    zones = _zones()
    if cell in zones:
        return cell
    named: dict[str, str] = {}
    for name, zone in zones.items():
        named.setdefault(zone, name)
    if cell in named:
        return named[cell]
    offset = _offset(cell)
    found = None if offset is None else _by_offset().get(offset)
    if found is None:
        raise Bad("is not included in the list")
    return found


@cache
def _zones() -> Mapping[str, str]:
    found: Mapping[str, str] = data("fourme_zones")
    return found


@cache
def _by_offset() -> Mapping[timedelta, str]:
    found: dict[timedelta, str] = {}
    for name, zone in _zones().items():
        offset = _offset(zone)
        if offset is not None:
            found.setdefault(offset, name)
    return found


def _offset(zone: str) -> timedelta | None:
    # in January, so that the mapping does not depend on the day
    try:
        return datetime(2026, 1, 15, tzinfo=ZoneInfo(zone)).utcoffset()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


_READERS = {
    "boolean": _boolean,
    "integer": _integer,
    "decimal": _decimal,
    "date": _date,
    "datetime": _datetime,
    "timestamp": _timestamp,
    "time_of_day": _time_of_day,
    "duration": _duration,
    "currency": _currency,
    "country": _country,
    "enum": _enum,
    "custom_fields": _custom_fields,
    "time_zone": _time_zone,
}


class Forms:
    """How an export writes what more than one form is known of (settings `fourme.export_…`)."""

    def __init__(self, true: str, duration: str, zone: str) -> None:
        self._words = {"1": ("1", "0"), "true": ("true", "false"), "TRUE": ("TRUE", "FALSE")}[true]
        self._hours = duration == "h:mm"
        sign = -1 if zone.startswith("-") else 1
        self._zone = None if zone == "Z" else timezone(sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6])))

    def cell(self, column: Column, value: Value) -> str:
        """A value as an export's cell; references are not written here."""
        if value is None:
            return ""
        match column.kind:
            case "boolean":
                return self._words[0] if value else self._words[1]
            case "duration" if self._hours:
                return f"{value // 60}:{value % 60:02}"
            case "timestamp":
                return self.time(value)
            case "custom_fields":
                return orjson.dumps(value).decode()
        return str(value)

    def time(self, text: str) -> str:
        """A timestamp in the zone of the export."""
        if self._zone is None or text in WORDS:
            return text
        return datetime.fromisoformat(text).astimezone(self._zone).isoformat()
