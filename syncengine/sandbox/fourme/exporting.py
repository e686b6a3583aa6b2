"""Exports: every record of some types, in the columns of the import.

Documented: the columns are those of the import, in an order that may change, with new ones at any time; a tab before
values that begin with = + - @; several types in one ZIP; one full export a day of a type with more than 10,000
records; records new or changed since `from`, which may lie two months back. Open: what is a setting here.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from syncengine.sandbox.fourme.files import Files
from syncengine.sandbox.fourme.kinds import Forms, stamp
from syncengine.sandbox.fourme.records import Record, Records
from syncengine.sandbox.fourme.types import ID, PAIR, TIMES, Column, Type, types
from syncengine.sandbox.settings import Settings
from syncengine.sandbox.world import World

DAY = 86_400
ROWS = 1000
"""Records in one step."""
MONTHS = timedelta(days=62)
_ALWAYS = frozenset({"boolean", "integer", "helper", "timestamp"})
"""Kinds that may have a text without a value."""
_SHIELDED = frozenset("=+-@")
NEW = "Sandbox Note"
"""The column that appears by setting."""
_FROM = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:T(\d\d):?(\d\d)(?::?(\d\d))?(Z|[+-]\d\d:?\d\d)?)?")


class Names:
    """How exports write references: by the column that imports use, with the account where it is another one."""

    def __init__(self, records: Records, account: str) -> None:
        self._records = records
        self._account = account
        self._known: dict[tuple[int, str], str] = {}

    def cell(self, column: Column, value: Any) -> str:
        """One reference, or several, one a line."""
        if not column.several:
            return self.name(value, column.by)
        lines = []
        for one in value:
            record_id, word = one if isinstance(one, list) else (one, "")
            name = self.name(record_id, column.by)
            lines.append(f"{name} / {word}" if word else name)
        return "\n".join(lines)

    def name(self, record_id: int, by: str) -> str:
        """One reference; empty where its record is gone."""
        key = (record_id, by)
        if key not in self._known:
            record = self._records.get(record_id)
            text = "" if record is None else str(record.id if by == ID else self._text(record, by))
            self._known[key] = f"{text} @{record.account}" if record and record.account != self._account else text
        return self._known[key]

    def _text(self, record: Record, by: str) -> Any:
        # documented: software versions have no label and go by their name
        return record.values.get(by) or (record.values.get("Name", "") if record.type == "cis" else "")


class Export:
    """An export that is being made; `step` takes it further, in a transaction of the caller."""

    def __init__(
        self, world: World, records: Records, files: Files, account: str, token: str, body: Mapping[str, Any]
    ) -> None:
        self._records = records
        self._files = files
        self._account = account
        self._name = f"export:{token}"
        self._names = Names(records, account)
        settings = world.settings
        self._forms = Forms(
            str(settings["fourme.export_boolean"]),
            str(settings["fourme.export_duration"]),
            str(settings["fourme.export_zone"]),
        )
        self._settings = settings
        self._tab = bool(settings["fourme.export_tab"])
        self._since: float | None = body["since"]
        self._end = "\r\n" if body["line_separator"] == "crlf" else "\n"
        self._types: list[str] = list(body["types"])
        day = datetime.fromtimestamp(world.clock.time(), UTC).strftime("%Y%m%d")
        self.file_name = (
            f"{day}-{self._types[0]}-{token[:8]}.csv" if len(self._types) == 1 else f"{day}-{token[:8]}.zip"
        )
        self.content_type = "text/csv" if len(self._types) == 1 else "application/zip"
        self.refused = str(body.get("refused", ""))
        """The type whose quota is used up."""
        self.now = self._types[0]
        self.line = 0
        self._at, self._after = 0, 0

    def step(self) -> bool:
        """Write some records; False at the end."""
        if self._at >= len(self._types):
            return False
        kind = types()[self._types[self._at]]
        self.now = kind.export
        text = io.StringIO()
        writer = csv.writer(text, lineterminator=self._end)
        columns = self._columns(kind)
        if not self._after:
            self.line = 1
            extra = [NEW] if self._settings["fourme.export_new_column"] else []
            writer.writerow([*(column.name for column in columns), *extra])
        found = self._records.all(kind.name, self._account, self._since, self._after, ROWS)
        for record in found:
            for row in self.rows(kind, record, columns):
                writer.writerow(row)
                self.line += 1
        self._files.append(f"{self._name}:{kind.export}", text.getvalue())
        if len(found) == ROWS:
            self._after = found[-1].id
            return True
        self._at, self._after = self._at + 1, 0
        if self._at < len(self._types):
            return True
        self._finish()
        return False

    def _finish(self) -> None:
        names = [types()[name].export for name in self._types]
        if len(names) == 1:
            self._files.rename(f"{self._name}:{names[0]}", self._name)
            return
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for number, name in enumerate(names, 1):
                content = b"".join(self._files.parts(f"{self._name}:{name}"))
                archive.writestr(f"{number}-{name}.csv", content)
                self._files.remove(f"{self._name}:{name}")
        self._files.append(self._name, packed.getvalue())

    def _columns(self, kind: Type) -> list[Column]:
        columns = list(kind.exported)
        if self._settings["fourme.export_columns"] == "shuffled":
            return columns[::-1]
        return columns

    def rows(self, kind: Type, record: Record, columns: Sequence[Column]) -> list[list[str]]:
        """The lines of one record: one, or for calendars one an interval."""
        extra = ["x"] if self._settings["fourme.export_new_column"] else []
        hours = record.values.get("Hours") if kind.name == "calendars" else None
        found = []
        for day, start, until in hours or [(None, None, None)]:
            more = {"Weekday": day, "From": start, "Until": until} if hours else {}
            shown = self._shown(kind, record, more)
            found.append([*(self._cell(column, shown, record) for column in columns), *extra])
        return found

    def _shown(self, kind: Type, record: Record, more: dict[str, Any]) -> Mapping[str, Any]:
        if kind.name == "ci_relations":
            for side in ("CI", "Related CI"):
                ci = self._records.get(record.values[f"{side} Label"])
                if ci is not None:
                    more |= {f"{side} {column}": ci.values.get(column, "") for column in PAIR}
        return {**record.values, **more} if more else record.values

    def _cell(self, column: Column, values: Mapping[str, Any], record: Record) -> str:
        name = column.name
        value = values.get(name)
        if value is None and column.kind not in _ALWAYS:
            return ""
        if name == ID:
            return str(record.id)
        if value is None and name in TIMES:
            return self._forms.time(stamp(record.created if name == TIMES[0] else record.updated))
        if column.kind == "helper":
            return self._helper(column, record)
        if column.to:
            text = self._names.cell(column, value)
        elif column.kind == "boolean":
            text = self._forms.cell(column, bool(value))
        else:
            text = self._forms.cell(column, value)
        return f"\t{text}" if text[:1] in _SHIELDED and self._tab else text

    def _helper(self, column: Column, record: Record) -> str:
        """Columns that only exports have."""
        if column.name == "Active CIs":
            gone = ("removed", "archived", "to_be_removed", "lost_or_stolen")
            where = "type='cis' AND account=? AND json_extract(body, '$.Product')=?"
            cis = self._records.select(where, (record.account, record.id))
            return str(sum(ci.values.get("Status") not in gone for ci in cis))
        if column.name == "Has CI Relations":
            kind = types()["ci_relations"]
            return str(bool(self._records.find(kind, record.account, ("CI Label",), (record.id,), exact=True))).upper()
        return f"https://{record.account}.4me.com/requests/{record.id}" if column.name == "Permalink" else ""


class Exports:
    """What is asked for, and whether the quota allows it."""

    def __init__(self, world: World, records: Records, files: Files) -> None:
        self._world = world
        self._records = records
        self._files = files

    def open(self, account: str, token: str, body: Mapping[str, Any]) -> Export:
        """Begin an export."""
        return Export(self._world, self._records, self._files, account, token, body)

    def changed(self, account: str, names: Sequence[str], since: float) -> bool:
        """Whether there is anything to export since then (documented: 204 when not)."""
        return any(self._records.count(name, account, since) for name in names)

    def refused(self, account: str, names: Sequence[str]) -> str:
        """The export name of the first type whose quota of full exports is used up; counts this one if none is."""
        settings, now = self._world.settings, self._world.clock.time()
        taken: dict[str, list[float]] = orjson.loads(self._world.store.meta(f"me:exports:{account}") or "{}")
        for name in names:
            big = self._records.count(name, account) > settings.number("fourme.big_type")
            limit = 1 if big else settings.number("fourme.small_exports")
            if limit and sum(_same_day(settings, one, now) for one in taken.get(name, [])) >= limit:
                return types()[name].export
        for name in names:
            taken[name] = [*(one for one in taken.get(name, []) if now - one < 2 * DAY), now]
        self._world.store.set_meta(f"me:exports:{account}", orjson.dumps(taken).decode())
        return ""


def _same_day(settings: Settings, then: float, now: float) -> bool:
    return int(then // DAY) == int(now // DAY) if settings["fourme.export_day"] == "calendar" else now - then < DAY


def since(text: str) -> float | None:
    """The parameter `from` as epoch seconds; None for what is no time (documented forms; without a zone: UTC here)."""
    match = _FROM.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second, zone = match.groups()
    zone = "+00:00" if zone in (None, "Z") else zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
    try:
        given = f"{year}-{month}-{day}T{hour or '00'}:{minute or '00'}:{second or '00'}{zone}"
        return datetime.fromisoformat(given).timestamp()
    except ValueError:
        return None
