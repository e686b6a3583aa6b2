"""Whether a cell of an export says the same as a value that would be imported, by the kind of its column.

An export writes a value in another form than it was sent: a tab before `= + - @` (documented), booleans as words, zones
of its own, ` @account` behind references, lines in another order. So texts are never compared as they are.
"""

from __future__ import annotations

import functools
import zoneinfo
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from syncengine.spec.import_types import ImportColumn
from syncengine.spec.import_values import TRUE, BadValueError, custom_fields

# fmt: off
_ZONES = {
    "eastern time (us & canada)": "America/New_York", "central time (us & canada)": "America/Chicago",
    "mountain time (us & canada)": "America/Denver", "pacific time (us & canada)": "America/Los_Angeles",
    "atlantic time (canada)": "America/Halifax", "indiana (east)": "America/Indiana/Indianapolis",
    "arizona": "America/Phoenix", "alaska": "America/Juneau", "hawaii": "Pacific/Honolulu", "utc": "Etc/UTC",
    "edinburgh": "Europe/London", "bern": "Europe/Zurich", "west central africa": "Africa/Algiers",
    "pretoria": "Africa/Johannesburg", "harare": "Africa/Harare",
    "kyiv": "Europe/Kiev", "st. petersburg": "Europe/Moscow",
    "abu dhabi": "Asia/Muscat", "islamabad": "Asia/Karachi", "chennai": "Asia/Kolkata", "mumbai": "Asia/Kolkata",
    "new delhi": "Asia/Kolkata", "sri jayawardenepura": "Asia/Colombo", "astana": "Asia/Dhaka",
    "hanoi": "Asia/Bangkok", "beijing": "Asia/Shanghai", "osaka": "Asia/Tokyo", "sapporo": "Asia/Tokyo",
    "canberra": "Australia/Melbourne", "wellington": "Pacific/Auckland", "marshall is.": "Pacific/Majuro",
    "new caledonia": "Pacific/Noumea", "solomon is.": "Pacific/Guadalcanal", "samoa": "Pacific/Apia",
    "nuku'alofa": "Pacific/Tongatapu", "chatham is.": "Pacific/Chatham", "tokelau is.": "Pacific/Fakaofo",
    "midway island": "Pacific/Midway", "american samoa": "Pacific/Pago_Pago", "mid-atlantic": "Atlantic/South_Georgia",
    "cape verde is.": "Atlantic/Cape_Verde", "greenland": "America/Godthab", "newfoundland": "America/St_Johns",
    "saskatchewan": "America/Regina", "guadalajara": "America/Mexico_City", "quito": "America/Lima",
}
# fmt: on
"""The product's own names (those of Rails) that are no city of the zone database."""


def shown(cell: str) -> str:
    """A cell of an export without the tab that keeps spreadsheets from computing it."""
    return cell[1:] if cell[:1] == "\t" and cell[1:2] in ("=", "+", "-", "@") else cell


def is_same(column: ImportColumn, sent: str, cell: str, account: str) -> bool:
    """Whether an import of `sent` would leave the field as `cell`, as an export writes it, says it is."""
    if sent == cell:
        return True
    if column.kind in ("ref", "refs"):
        return _references(sent, account) == _references(cell, account)
    if column.kind == "custom_fields":
        return _custom(sent, cell)
    if column.kind == "time_zone":
        return _same_zone(sent, cell)
    return canonical(column, sent) == canonical(column, cell)


def canonical(column: ImportColumn, text: str) -> str:
    """One form for all ways to write a value."""
    match column.kind:
        case "boolean":
            return "1" if text.strip().lower() in TRUE else "0"
        case "integer" | "decimal":
            return _number(text)
        case "timestamp":
            return _moment(text)
        case "datetime":
            return text.strip().replace(" ", "T", 1)[:16]
        case "time_of_day":
            return text.strip().zfill(5) if text.strip() else ""
        case "duration":
            return _minutes(text)
        case "enum" | "currency":
            return text.strip().lower()
        case "text" | "string" | "uri":
            return text.replace("\r\n", "\n").strip()
        case "special":
            said = text.replace("\r\n", "\n").strip()
            return said.upper() if len(said) == 2 else said  # a country
        case _:
            return text.strip()


def _references(text: str, account: str) -> frozenset[str]:
    """The names in a cell, in no order, those of the account itself without its name.

    Inferred: case does not count, since a name that differs in case only finds the same record or none.
    """
    own = f" @{account}"
    return frozenset(line.strip().removesuffix(own).casefold() for line in text.splitlines() if line.strip())


def _number(text: str) -> str:
    said = text.strip()
    try:
        exact = f"{Decimal(said):f}"  # `normalize` would round
    except InvalidOperation:
        return said
    return (exact.rstrip("0").rstrip(".") if "." in exact else exact) or "0"


def _moment(text: str) -> str:
    said = text.strip()
    try:
        when = datetime.fromisoformat(said)
    except ValueError:
        return said
    return str(when.astimezone(UTC).replace(microsecond=0)) if when.tzinfo else said


def _minutes(text: str) -> str:
    hours, colon, minutes = text.strip().partition(":")
    if colon and hours.isdigit() and minutes.isdigit():
        return str(int(hours) * 60 + int(minutes))
    return str(int(hours)) if hours.isdigit() else hours


@functools.cache
def _cities() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in sorted(zoneinfo.available_timezones()):
        if "/" in name and not name.startswith(("Etc/", "posix/", "right/", "US/", "SystemV/")):
            found.setdefault(name.rpartition("/")[2].replace("_", " ").lower(), name)
    return found


def _same_zone(sent: str, cell: str) -> bool:
    """Two names of the product are two zones; a name of IANA is whatever the product has of its offset (documented)."""
    if "/" not in sent and "/" not in cell:
        return sent.strip().casefold() == cell.strip().casefold()
    return _zone(sent) == _zone(cell)


@functools.lru_cache(512)
def _zone(text: str) -> str:
    """The offset in winter and in summer: zones of one offset are one zone to the product (documented)."""
    said = text.strip()
    name = said if "/" in said else _ZONES.get(said.lower()) or _cities().get(said.lower(), "")
    try:
        zone = zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return said.lower()
    return " ".join(str(datetime(2026, month, 1, tzinfo=zone).utcoffset()) for month in (1, 7))


def _custom(sent: str, cell: str) -> bool:
    """The fields that are sent are as they are sent; others do not count (inferred: a part is merged)."""
    try:
        wanted, present = custom_fields(sent) if sent else {}, custom_fields(cell) if cell.strip() else {}
    except BadValueError:
        return False
    if not sent:
        return not any(value not in (None, "") for value in present.values())
    return all(_plain(present.get(name)) == _plain(value) for name, value in wanted.items())


def _plain(value: object) -> object:
    return "" if value is None else value if isinstance(value, (bool, list, dict)) else str(value)
