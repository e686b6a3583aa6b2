"""The request of the identification calls, read into objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from syncengine.sandbox.rulebook import Rule
from syncengine.sandbox.store import Record

UNKNOWN = "Unknown"


class BadRequest(Exception):
    """The request cannot be worked on at all; answered with status 500 (documented for a bad `options` chunk)."""


@dataclass(slots=True)
class Options:
    """The four options of the enhanced calls; all off in the plain ones (observed: a published log line)."""

    partial_payloads: bool = False
    partial_commits: bool = False
    deduplicate_payloads: bool = False
    generate_summary: bool = False
    enhanced: bool = False


def options(text: str, enhanced: bool) -> Options:
    """Read `name:value,name:value`."""
    if not enhanced:
        return Options()
    found = Options(True, True, True, False, True)
    for chunk in filter(None, (part.strip() for part in text.split(","))):
        name, colon, value = chunk.partition(":")
        if not colon or value.strip().lower() not in ("true", "false"):
            raise BadRequest(f"Chunk [{chunk}] is not a valid entry")
        if name.strip() in ("partial_payloads", "partial_commits", "deduplicate_payloads", "generate_summary"):
            setattr(found, name.strip(), value.strip().lower() == "true")
    if found.partial_payloads:
        found.partial_commits = found.deduplicate_payloads = True
    return found


@dataclass(slots=True)
class Fault:
    """What is wrong with one item, in the service's code and words."""

    error: str
    message: str


@dataclass(slots=True)
class Part:
    """A lookup or related row of an item."""

    cls: str
    values: dict[str, str]
    lookup: bool
    internal_id: str
    sub: int
    column: str = ""
    """The column that names the item."""
    sys_id: str = ""
    operation: str = ""
    record: Record | None = None
    changes: dict[str, str] = field(default_factory=dict)
    errors: list[Fault] = field(default_factory=list)
    hidden: int = -1
    """Index of the earlier part that this one repeats."""


@dataclass(slots=True)
class Item:
    """One item of the payload, and what is found out about it."""

    index: int
    cls: str
    values: dict[str, str]
    raw: Mapping[str, Any]
    sent_id: str
    internal_id: str
    source: tuple[str, str] | None
    feed: str
    seen_at: str
    flags: frozenset[str]
    parts: list[Part]
    rule: Rule | None = None
    indices: list[int] = field(default_factory=list)
    merged_into: Item | None = None
    # identification
    host: Item | None = None
    host_type: str = ""
    host_is_child: bool = True
    level: int = 0
    record: Record | None = None
    entry: str = UNKNOWN
    attempts: list[dict[str, object]] = field(default_factory=list)
    usable: bool = False
    """Some entry had its values."""
    duplicates: list[Record] = field(default_factory=list)
    """Records that will be marked as duplicates of the one that was chosen."""
    clashing: list[Record] = field(default_factory=list)
    """Records among which none was chosen."""
    # decision
    sys_id: str = ""
    operation: str = ""
    new_class: str = ""
    changes: dict[str, str] = field(default_factory=dict)
    masked: list[str] = field(default_factory=list)
    errors: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    info: list[dict[str, str]] = field(default_factory=list)
    partial_ids: list[str] = field(default_factory=list)
    incomplete_ids: list[str] = field(default_factory=list)
    merged_payloads: list[str] = field(default_factory=list)

    @property
    def self(self) -> Item:
        """The item that stands for it, after duplicates were merged."""
        return self if self.merged_into is None else self.merged_into.self

    @property
    def parked(self) -> bool:
        """Kept for later instead of committed."""
        return self.operation in ("INSERT_AS_PARTIAL", "INSERT_AS_INCOMPLETE")

    @property
    def failed(self) -> bool:
        """Not to be committed."""
        return bool(self.errors) or self.parked


@dataclass(slots=True)
class Relation:
    """One relation of the payload; its ends are items or their rows."""

    index: int
    type_name: str
    ends: tuple[Item | Part | None, Item | Part | None]
    error: Fault | None = None
    type: str = ""
    operation: str = ""
    sys_id: str = ""
    indices: list[int] = field(default_factory=list)
    merged: bool = False
    errors: list[Fault] = field(default_factory=list)
    source: str = ""
    """Of sys_rel_source_info; the data source of the call without it."""
    feed: str = "UNKNOWN"


@dataclass(slots=True)
class Reference:
    """A column of one item that takes the id of another one."""

    column: str
    target: Item | Part
    owner: Item | Part


@dataclass(slots=True)
class Payload:
    """Everything of one request."""

    items: list[Item]
    relations: list[Relation]
    references: list[Reference]
    removed: list[Record] = field(default_factory=list)
    """Stored records that the commit takes away: qualifier chains that were replaced."""


def shown(item: Item) -> str:
    """The item as JSON, as messages repeat it."""
    return orjson.dumps(item.raw).decode()


FLAGS = {
    "updateWithoutUpgrade", "updateWithoutDowngrade", "updateWithoutSwitch", "skipReclassificationRestrictionRules",
    "classUpgrade", "classDowngrade", "classSwitch",
}  # fmt: skip


def read(body: Any) -> Payload:
    """Read the request body; unknown keys are ignored, as the service does (inferred)."""
    if not isinstance(body, Mapping):
        raise BadRequest("Error occurred during parsing input json payload: not an object")
    items = [_item(number, raw) for number, raw in enumerate(_list(body, "items"))]
    named: dict[str, Item | Part] = {}
    for item in items:
        things: list[Item | Part] = [item, *item.parts]
        for thing in things:
            if thing.internal_id:
                named.setdefault(thing.internal_id, thing)
    relations = [_relation(number, raw, items, named) for number, raw in enumerate(_list(body, "relations"))]
    references = []
    for raw in _list(body, "referenceItems"):
        target, owner = named.get(text(raw.get("referenced"))), named.get(text(raw.get("referencedBy")))
        if target is not None and owner is not None:
            references.append(Reference(text(raw.get("referenceField")), target, owner))
    return Payload(items, relations, references)


def text(value: object) -> str:
    """A value as the service stores it."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _list(body: Mapping[str, Any], name: str) -> list[Any]:
    found = body.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise BadRequest(f"Error occurred during parsing input json payload: {name} is not a list of objects")
    return found


def _values(raw: Mapping[str, Any]) -> dict[str, str]:
    values = raw.get("values")
    return {name: text(value) for name, value in values.items()} if isinstance(values, Mapping) else {}


def _item(number: int, raw: Mapping[str, Any]) -> Item:
    values = _values(raw)
    source = raw.get("sys_object_source_info")
    source = source if isinstance(source, Mapping) else {}
    name, key = text(source.get("source_name")), text(source.get("source_native_key"))
    settings = raw.get("settings")
    given = {**(settings if isinstance(settings, Mapping) else {}), **raw}
    flags = frozenset(flag for flag in FLAGS if flag in given and text(given[flag]).lower() == "true")
    parts: list[Part] = []
    for kind in ("lookup", "related"):
        for row in _list(raw, kind):
            parts.append(
                Part(
                    text(row.get("className")), _values(row), kind == "lookup", text(row.get("internal_id")), len(parts)
                )
            )
    return Item(
        number,
        text(raw.get("className")),
        values,
        raw,
        values.pop("sys_id", ""),
        text(raw.get("internal_id")),
        (name, key) if name and key else None,
        text(source.get("source_feed")),
        text(source.get("source_recency_timestamp")),
        flags,
        parts,
        indices=[number],
    )


def _relation(number: int, raw: Mapping[str, Any], items: list[Item], named: Mapping[str, Item | Part]) -> Relation:
    ends: list[Item | Part | None] = []
    error = None
    for role in ("parent", "child"):
        end: Item | Part | None = None
        if text(raw.get(f"{role}_id")):
            end = named.get(text(raw[f"{role}_id"]))
            shown = text(raw[f"{role}_id"])
        else:
            shown = text(raw.get(role))
            end = items[int(shown)] if shown.isdigit() and int(shown) < len(items) else None
        if end is None and error is None:
            error = Fault(
                "INVALID_INPUT_DATA", f"Payload relations '{number}' has invalid {role} record index: [{shown}]"
            )
        ends.append(end)
    told = raw.get("sys_rel_source_info")
    told = told if isinstance(told, Mapping) else {}
    return Relation(
        number,
        text(raw.get("type")),
        (ends[0], ends[1]),
        error,
        indices=[number],
        source=text(told.get("source_name")),
        feed=text(told.get("source_feed")) or "UNKNOWN",
    )
