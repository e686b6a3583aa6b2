"""Values of 4me imports by the kind of their column: what may be written, and how.

Documented on the Import page unless said otherwise: booleans true for `1 T Y TRUE YES ON` in any case, ISO dates and
times, durations in minutes or `h:mm`, a dot in decimals, enumerations by id, at most 64 KB of text. Seen in examples
only: currencies in lower case, custom fields as a JSON array of `{id, value}`.
"""

from __future__ import annotations

import re
from datetime import date, datetime

import orjson

from syncengine.spec.import_types import ImportColumn
from syncengine.spec.wording import near

MOST_TEXT = 64 * 1024
TRUE = frozenset({"1", "t", "y", "true", "yes", "on"})
FALSE = frozenset({"0", "f", "n", "false", "no", "off"})
_TEXTS = frozenset({"string", "text", "special", "uri"})
_TIME = re.compile(r"([01]?\d|2[0-3]):[0-5]\d|24:00")
_DURATION = re.compile(r"\d{1,7}|\d{1,5}:[0-5]\d")
_TIMESTAMP_WORDS = frozenset({"best_effort", "no_target", "clock_stopped"})


class BadValueError(ValueError):
    """A value that a column does not take; the words say why, `fix` what it does take."""

    def __init__(self, said: str, fix: str = "") -> None:
        self.fix = fix
        super().__init__(said)


def written(column: ImportColumn, text: str) -> str:
    """The cell for a value; raises BadValueError for what the column does not take. An empty value stays empty."""
    if not text:
        return ""
    if column.kind in _TEXTS and len(text) <= (column.max or 1000) and "\x00" not in text:
        return text  # most cells
    found = _WRITERS.get(column.kind, _plain)(column, text)
    if column.max and len(found) > column.max:
        raise BadValueError(
            f"it has {len(found)} characters, and 4me takes {column.max}", "max_length: ..  too_long: cut"
        )
    return found


def _plain(column: ImportColumn, text: str) -> str:
    del column
    if len(text) > MOST_TEXT and len(text.encode()) > MOST_TEXT:
        raise BadValueError("4me takes at most 64 KB of text")
    if "\x00" in text:
        raise BadValueError("it has a character that no text has (U+0000)")
    return text


def _boolean(column: ImportColumn, text: str) -> str:
    del column
    word = text.strip().lower()
    if word in TRUE:
        return "1"
    if word in FALSE:
        return "0"
    raise BadValueError("it is neither true nor false", "type: boolean, or a map to 1 and 0")


def _integer(column: ImportColumn, text: str) -> str:
    del column
    if not re.fullmatch(r"[-+]?\d{1,19}", text.strip()):
        raise BadValueError("it is not a whole number", "type: integer")
    return str(int(text))


def _decimal(column: ImportColumn, text: str) -> str:
    del column
    if not re.fullmatch(r"[-+]?(\d+(\.\d*)?|\.\d+)", text.strip()):
        raise BadValueError("it is not a decimal number with a dot", "type: decimal")
    return text.strip()


def _date(column: ImportColumn, text: str) -> str:
    del column
    try:
        return date.fromisoformat(text.strip()).isoformat()
    except ValueError:
        raise BadValueError("it is not a date such as 2024-02-03", "type: date, with format: ..") from None


def _datetime(column: ImportColumn, text: str) -> str:
    del column
    said = text.strip().replace(" ", "T", 1)
    try:
        when = datetime.fromisoformat(said.replace("T24:00", "T00:00"))
    except ValueError:
        raise BadValueError("it is not a time such as 2024-02-03T14:30") from None
    return said if "T24:00" in said else when.replace(tzinfo=None).isoformat(timespec="minutes")


def _timestamp(column: ImportColumn, text: str) -> str:
    del column
    said = text.strip()
    if said in _TIMESTAMP_WORDS:
        return said
    try:
        when = datetime.fromisoformat(said)
    except ValueError:
        raise BadValueError("it is not a time such as 2024-02-03T14:30:00+01:00", "type: datetime") from None
    if when.tzinfo is None:
        raise BadValueError("it has no time zone", "{type: datetime, timezone: Europe/Paris}")
    return said


def _time_of_day(column: ImportColumn, text: str) -> str:
    del column
    if not _TIME.fullmatch(text.strip()):
        raise BadValueError("it is not a time of the day such as 08:30")
    return text.strip().zfill(5)


def _duration(column: ImportColumn, text: str) -> str:
    del column
    if not _DURATION.fullmatch(text.strip()):
        raise BadValueError("it is not a duration: whole minutes, or h:mm")
    return text.strip()


def _currency(column: ImportColumn, text: str) -> str:
    del column
    if not re.fullmatch(r"[A-Za-z]{3}", text.strip()):
        raise BadValueError("it is not a currency such as usd")
    return text.strip().lower()


def _enum(column: ImportColumn, text: str) -> str:
    said = text.strip()
    if column.values and said not in column.values:
        close = near(said.lower().replace(" ", "_"), column.values)
        raise BadValueError("4me does not have this word here", close or f"one of {', '.join(column.values[:12])}")
    return said


def _reference(column: ImportColumn, text: str) -> str:
    del column
    if "\n" in text.strip():
        raise BadValueError("the column takes one record, and there are several")
    return text.strip()


def _references(column: ImportColumn, text: str) -> str:
    del column
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


def _custom_fields(column: ImportColumn, text: str) -> str:
    del column
    custom_fields(text)
    return text


def custom_fields(text: str) -> dict[str, object]:
    """The fields of a `Custom Fields` cell by id; raises BadValueError."""
    form = '[{"id": "..", "value": ..}]'
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise BadValueError("it is not JSON", form) from None
    if not isinstance(found, list) or not all(
        isinstance(one, dict) and isinstance(one.get("id"), str) for one in found
    ):
        raise BadValueError("it is no list of custom fields", form)
    return {one["id"]: one.get("value") for one in found}


_WRITERS = {
    "boolean": _boolean,
    "integer": _integer,
    "decimal": _decimal,
    "date": _date,
    "datetime": _datetime,
    "timestamp": _timestamp,
    "time_of_day": _time_of_day,
    "duration": _duration,
    "currency": _currency,
    "enum": _enum,
    "ref": _reference,
    "refs": _references,
    "custom_fields": _custom_fields,
}
