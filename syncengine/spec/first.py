"""A first spec for a file that nobody has described yet: right at once, and short enough to go on from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from glob import escape
from itertools import islice
from pathlib import Path
from typing import Any, cast

import msgspec

from syncengine import sources
from syncengine.changes import Record, Row
from syncengine.errors import Problem, SourceError, SpecError
from syncengine.mapping.paths import split
from syncengine.sources.file import Options
from syncengine.sources.file.sniffing import Guess, sniff
from syncengine.sources.file.unpacking import inner
from syncengine.spec import Spec, mapper, open_source
from syncengine.spec.nodes import is_number
from syncengine.spec.rows import NO_VALUE
from syncengine.spec.wording import suggestion

MOST_ROWS = 100_000
"""Rows that are read to find a key."""
MOST_TRIED = 100
"""Rows among which one that becomes a CI is looked for."""

_KEYS = ("serialnumber", "serial", "id", "key", "assettag", "name", "hostname")
_WORDS = {
    "name": ("name", "hostname", "servername", "ciname", "devicename", "displayname", "computername"),
    "serial_number": ("serialnumber", "serial", "serialno", "sn"),
    "ip_address": ("ipaddress", "ip", "ipv4", "ipv4address", "ipaddr", "mgmtip", "managementip", "managementipaddress"),
    "os": ("os", "operatingsystem", "osname"),
    "os_version": ("osversion",),
    "mac_address": ("macaddress", "mac"),
    "asset_tag": ("assettag", "asset", "inventorynumber"),
    "short_description": ("description", "shortdescription"),
    "fqdn": ("fqdn", "dnsname"),
    "comments": ("comments", "comment", "remarks", "notes"),
}


DEEPEST = 3
"""How far objects in objects are followed."""
_PART = re.compile(r"[^\W\d]\w*")
"""A name that can stand in a path as it is."""


class ClassFacts(msgspec.Struct, frozen=True):
    """What is known of the class: its text columns, and which of them identify a record."""

    name: str
    columns: frozenset[str] = frozenset()
    identified_by: tuple[tuple[str, ...], ...] = ()


class _Column(msgspec.Struct):
    values: set[str] = msgspec.field(default_factory=set)


class Survey(msgspec.Struct, frozen=True):
    """What was seen in the file."""

    guess: Guess
    columns: tuple[str, ...]
    complete: tuple[str, ...]
    """Columns in which every row has a value of its own."""
    without: Mapping[str, int] = msgspec.field(default_factory=dict)
    """By column: rows that have no value of their own there; rows that cannot be read count everywhere."""
    lists: tuple[str, ...] = ()
    """Paths that lead to lists of objects."""
    nested: frozenset[str] = frozenset()
    """Columns that are paths into objects."""


def survey(file: Path) -> Survey:
    """Read a file once: its columns, and which of them could name its rows. Raises SourceError, SpecError."""
    guess = sniff(file)
    options = Options(
        escape(file.name),
        format=cast(Any, guess.format),
        rows=guess.rows,
        delimiter=guess.delimiter,
        encoding=guess.encoding,
    )
    try:
        opened = sources.open_source(options, file.resolve().parent)
        top = opened.columns() or ()
        seen = {name: _Column() for name in top}
        objects: set[str] = set()
        lists: dict[str, None] = {}
        count = unreadable = 0
        for row in islice(opened.rows(), MOST_ROWS):
            if isinstance(row, Row):
                count += 1
                _learn(seen, row.values, objects, lists)
            else:
                unreadable += 1
    except SourceError as error:
        raise SpecError([replace(one, fix=one.fix or "Export it again.") for one in error.problems]) from None
    if not top:
        raise SpecError(Problem("empty-file", f"{file} has no columns", str(file)))
    seen = {name: one for name, one in seen.items() if one.values or name not in {*objects, *lists}}
    without = {name: count - len(one.values) + unreadable for name, one in seen.items()}
    whole = tuple(name for name, missing in without.items() if count and not missing)
    return Survey(guess, tuple(seen), whole, without, tuple(lists), frozenset(seen.keys() - set(top)))


def _said(guess: Guess) -> dict[str, str]:
    written = {"format": guess.format, "delimiter": guess.delimiter, "encoding": guess.encoding, "rows": guess.rows}
    return {name: value for name, value in written.items() if value is not None}


def _learn(
    seen: dict[str, _Column], values: Mapping[str, Any], objects: set[str], lists: dict[str, None], within: str = ""
) -> None:
    """Note the values of a row by column; those of objects in it by their path."""
    for name, value in values.items():
        path = f"{within}{name}"
        if within and (not _PART.fullmatch(name) or not _PART.fullmatch(path.partition(".")[0])):
            continue  # no path leads there
        if isinstance(value, dict):
            objects.add(path)
            if path.count(".") < DEEPEST:
                _learn(seen, value, objects, lists, f"{path}.")
        elif isinstance(value, list):
            if any(isinstance(one, dict) for one in value):
                lists[path] = None
            elif path not in seen:
                seen[path] = _Column()
        else:
            one = seen.get(path)
            if one is None:
                one = seen[path] = _Column()
            text = "" if value is None else str(value).strip()
            if text not in NO_VALUE:
                one.values.add(text)


def first_spec(found: Survey, name: str, path: str, of: ClassFacts, schema: str = "", data_source: str = "") -> str:
    """A spec that sends every column that it can place, and lists the others.

    `data_source` is that of this spec, where the project has another one.
    """
    by_word: dict[str, str] = {}
    for column in found.columns:
        by_word.setdefault(_plain(column), column)
    for column in sorted(found.nested, key=found.columns.index):
        by_word.setdefault(_plain(column.rpartition(".")[2]), column)
    key = _key(found, by_word)
    placed = _placed(by_word, of)
    is_identified = any(set(entry) <= placed.keys() for entry in of.identified_by)
    if "name" not in placed and (not is_identified or _plain(key).endswith("name")):
        placed = {"name": key, **placed}
    lines = [f"# yaml-language-server: $schema={schema}"] if schema else []
    lines += ["syncengine: 1", *([f"data_source: {written(data_source)}"] if data_source else [])]
    lines += _source(found, key, path)
    if key not in found.complete:
        lines += ["guards:", f"  max_bad_rows: {found.without[key]}               # as many as there are now"]
    lines += ["", "steps:", f"  {name}:", f"    cmdb: {of.name}"]

    def said(column: str, *, key: bool = False) -> str:
        return column if column in found.nested else as_column(column, key=key)

    lines += [f"    key: {said(key, key=True)}", "    fields:"]
    lines += [f"      {target}: {said(column)}" for target, column in placed.items()]
    left = [one for one in found.columns if one not in {*placed.values(), key} and one.isprintable()]
    if left:
        lines += [
            f"      # Columns that have no field yet; syncengine schema --class {of.name} --fields lists what there is:"
        ]
        lines += [f"      # FIELD: {said(column)}" for column in left]
    for one in found.lists:
        lines.append(f"      # {one} is a list: a step of its own with  each: {one}  makes a record of each element.")
    return "\n".join(lines) + "\n"


def first_test(spec: Spec) -> str:
    """A test to put behind a first spec: its first good row given, what becomes of that expected; empty without one."""
    step = next(iter(spec.steps.values()))
    for row in islice(open_source(spec, step.source).rows(), MOST_TRIED):
        if not isinstance(row, Row):
            continue
        made = next(iter(mapper(spec, step, run_date="2000-01-01").records([row])), None)
        if isinstance(made, Record):
            return "\n".join(_test(step.name, row, made)) + "\n"
    return ""


def _test(step: str, row: Row, made: Record) -> list[str]:
    kept = {made.key, *made.values.values()}
    given = _kept(row.values, kept)
    lines = [
        "",
        "tests:                          # syncengine test",
        "  a row becomes a CI:",
        "    given:",
        "      source:",
    ]
    for at, (name, value) in enumerate(given.items()):
        lines.append(f"        {'  ' if at else '- '}{written(name)}: {_flow(value)}")
    lines += [
        "    expect:",
        f"      {step}:",
        f"        - class: {made.class_name}",
        f"          key: {written(made.key)}",
    ]
    if made.values:
        lines += [
            "          fields:",
            *(f"            {name}: {written(value)}" for name, value in made.values.items()),
        ]
    return lines


def _kept(values: Mapping[str, Any], kept: set[str]) -> dict[str, Any]:
    """What of a row became the record."""
    made: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            if inner_values := _kept(value, kept):
                made[name] = inner_values
        elif not isinstance(value, list) and str(value).strip() in kept:
            made[name] = str(value).strip()
    return made


def _flow(value: Any) -> str:
    if not isinstance(value, dict):
        return written(str(value))
    inside = (
        f"{_in_flow(name)}: {_flow(one) if isinstance(one, dict) else _in_flow(one)}" for name, one in value.items()
    )
    return "{" + ", ".join(inside) + "}"


def _in_flow(text: str) -> str:
    said = written(text)
    return _quoted(text) if said == text and set(text) & set(",[]{}") else said


def _source(found: Survey, key: str, path: str) -> list[str]:
    said = {name: written(value) for name, value in _said(found.guess).items()}
    if key in found.complete and not said:
        return [f"source: {written(path)}"]
    lines = ["source:", f"  file: {written(path)}", *(f"  {name}: {value}" for name, value in said.items())]
    if key not in found.complete:
        lines += [
            "  columns:",
            f"    {written(key)}: {{required: true, unique: true}}",
            "  bad_rows: skip                # rows without a key of their own are told, the others sent",
        ]
    return lines


def _key(found: Survey, by_word: Mapping[str, str]) -> str:
    wanted = [by_word[word] for word in _KEYS if word in by_word]
    for columns in (wanted, found.columns):
        for column in columns:
            if column in found.complete:
                return column
    return wanted[0] if wanted else found.columns[0]


def _placed(by_word: Mapping[str, str], of: ClassFacts) -> dict[str, str]:
    placed = {
        target: next(by_word[word] for word in words if word in by_word)
        for target, words in _WORDS.items()
        if any(word in by_word for word in words) and (not of.columns or target in of.columns)
    }
    for target in sorted(of.columns):
        column = by_word.get(_plain(target))
        if column is not None and target not in placed and column not in placed.values():
            placed[target] = column
    return placed


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())


def name_for(file: Path) -> str:
    """A name for the spec and its step, after the file."""
    return suggestion(inner(file).stem).removeprefix("Such as ") or "records"


def as_column(column: str, *, key: bool = False) -> str:
    """A column as a value: a word, or a template where the word would be something else."""
    odd = is_number(column) or column in {"true", "false", "null", "~"} or "{" in column
    if odd or len(split(column)) > 1 or (key and not column.isprintable()):
        quote = "'" if "'" not in column else '"'
        return _quoted(f"{{{{ row[{quote}{column}{quote}] }}}}")
    return written(column)


def written(text: str) -> str:
    """A text as YAML, quoted only where it must be."""
    if re.fullmatch(r"[A-Za-z0-9_./][A-Za-z0-9_ ./()-]*", text) and text == text.strip() and not is_number(text):
        return text
    if "\t" in text:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '"'
    return _quoted(text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'" if '"' in text or "\\" in text else f'"{text}"'
