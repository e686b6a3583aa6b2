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
        columns = opened.columns() or ()
        seen = {name: _Column() for name in columns}
        count = unreadable = 0
        for row in islice(opened.rows(), MOST_ROWS):
            if isinstance(row, Row):
                count += 1
                _learn(seen, row)
            else:
                unreadable += 1
    except SourceError as error:
        raise SpecError([replace(one, fix=one.fix or "Export it again.") for one in error.problems]) from None
    if not columns:
        raise SpecError(Problem("empty-file", f"{file} has no columns", str(file)))
    without = {name: count - len(one.values) + unreadable for name, one in seen.items()}
    whole = tuple(name for name, missing in without.items() if count and not missing)
    return Survey(guess, columns, whole, without)


def _said(guess: Guess) -> dict[str, str]:
    written = {"format": guess.format, "delimiter": guess.delimiter, "encoding": guess.encoding, "rows": guess.rows}
    return {name: value for name, value in written.items() if value is not None}


def _learn(seen: dict[str, _Column], row: Row) -> None:
    for name, one in seen.items():
        value = row.values.get(name)
        if value is None or isinstance(value, (dict, list)):
            continue
        text = str(value).strip()
        if text not in NO_VALUE:
            one.values.add(text)


def first_spec(found: Survey, name: str, path: str, of: ClassFacts, schema: str = "") -> str:
    """A spec that sends every column that it can place, and lists the others."""
    by_word: dict[str, str] = {}
    for column in found.columns:
        by_word.setdefault(_plain(column), column)
    key = _key(found, by_word)
    placed = _placed(by_word, of)
    if not any(set(entry) <= placed.keys() for entry in of.identified_by) and "name" not in placed:
        placed = {"name": key, **placed}
    lines = [f"# yaml-language-server: $schema={schema}"] if schema else []
    lines += ["syncengine: 1", *_source(found, key, path)]
    if key not in found.complete:
        lines += ["guards:", f"  max_bad_rows: {found.without[key]}               # as many as there are now"]
    lines += ["", "steps:", f"  {name}:", f"    cmdb: {of.name}"]
    lines += [f"    key: {as_column(key, key=True)}", "    fields:"]
    lines += [f"      {target}: {as_column(column)}" for target, column in placed.items()]
    left = [one for one in found.columns if one not in {*placed.values(), key} and one.isprintable()]
    if left:
        lines += [
            f"      # Columns that have no field yet; syncengine schema --class {of.name} --fields lists what there is:"
        ]
        lines += [f"      # FIELD: {as_column(column)}" for column in left]
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
    given = {name: value for name, value in row.values.items() if str(value).strip() in kept}
    lines = [
        "",
        "tests:                          # syncengine test",
        "  a row becomes a CI:",
        "    given:",
        "      source:",
    ]
    for at, (name, value) in enumerate(given.items()):
        lines.append(f"        {'  ' if at else '- '}{written(name)}: {written(str(value).strip())}")
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
