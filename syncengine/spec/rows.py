"""Sources as a spec writes them, with the rules that their rows must keep."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from msgspec import structs

from syncengine.mapping.model import Check, ColumnRule, RowRules
from syncengine.sources import Options
from syncengine.sources.file import Options as FileOptions
from syncengine.sources.file import format_of
from syncengine.sources.inline import Options as InlineOptions
from syncengine.sources.servicenow import Options as TableOptions
from syncengine.sources.sql import Options as QueryOptions
from syncengine.spec.atoms import NAME, NAME_MUST, Pattern, is_template, reader
from syncengine.spec.keys import Fields, Key, Mapped, object_schema, read_keys
from syncengine.spec.model import Source
from syncengine.spec.nodes import ListNode, MapNode, Node, Scalar, describe
from syncengine.spec.reader import Reader
from syncengine.spec.report import Report, Wrong
from syncengine.spec.shapes import Choice, Duration, Flag, ListOf, MapOf, Schema, Shape, Text, Whole
from syncengine.spec.tables import SERVICENOW, SQL

NO_VALUE = ("", "NULL", "null", "N/A", "n/a")
LEVEL = Choice(("fail", "skip", "warn"))


_PATH = r"^(?!~|/dev/|/proc/|/sys/|[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]+://)[^\\]*$"


def _bad_path(text: str) -> str:
    """Why a text cannot be a path in a spec, or nothing."""
    if text.startswith("~"):
        return "a path may not start with ~"
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):
        return "a path is not a URL"
    if "\\" in text or re.match(r"[A-Za-z]:", text):
        return "a path has forward slashes and no drive"
    if text.startswith(("/dev/", "/proc/", "/sys/")):
        return "only regular files can be read"
    return ""


@dataclass(frozen=True)
class FilePath(Text):
    """A path or glob, relative to the file it is written in."""

    says: str = "a path such as servers.csv"

    def read(self, node: Node, report: Report) -> str:
        text = super().read(node, report)
        bad = _bad_path(text)
        if bad:
            raise report.stop("bad-path", f'"{text[:60]}" cannot be read: {bad}', node.position)
        if is_template(text) and not re.fullmatch(r"(?:[^{}]|\{\{ *vars\.[a-z_][a-z0-9_]* *\}\})*", text):
            said = "In a path only {{ vars.NAME }} can stand"
            raise report.stop("bad-path", said, node.position)
        for name in re.findall(r"\{\{ *vars\.([a-z_][a-z0-9_]*) *\}\}", text):
            reader(report).vars.append((name, node.position))
        return text

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {"type": "string", "minLength": 1, "pattern": _PATH}


@dataclass(frozen=True)
class Delimiter(Text):
    """One character."""

    says: str = "one character"

    def read(self, node: Node, report: Report) -> str:
        if isinstance(node, Scalar) and node.text in {"\\t", "tab"}:
            return "\t"
        if not isinstance(node, Scalar) or len(node.text) != 1 or node.text in '"\r\n' or node.text.isalnum():
            raise report.stop(
                "wrong-type", f"Expected one character such as ; or | or \\t, found {describe(node)}", node.position
            )
        return node.text

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {"type": "string", "pattern": r"^(?:[^A-Za-z0-9\"\r\n]|\\t|tab)$"}


@dataclass(frozen=True)
class Encoding(Text):
    """An encoding that Python knows."""

    says: str = "an encoding such as cp1252"

    def read(self, node: Node, report: Report) -> str:
        text = super().read(node, report)
        try:
            codecs.lookup(text).name.encode()
            "".encode(text)
        except (LookupError, ValueError):
            said = f'There is no encoding "{text[:40]}"'
            raise report.stop(
                "unknown-encoding", said, node.position, "utf-8, cp1252, latin-1, utf-16-le", text
            ) from None
        return text


_REQUIRED = Key("required", Flag(), "Empty values break the rule.", default=False)
_UNIQUE = Key("unique", Flag(), "A value that came before breaks the rule.", default=False)
_MATCHES = Key(
    "matches", Pattern(), "The whole value must fit this regular expression.", example='matches: "APP-[0-9]{4}"'
)
_ONE_OF = Key("one_of", ListOf(Text("a text"), least=1), "The values that are allowed.", example="one_of: [prod, test]")
_MAX_LENGTH = Key("max_length", Whole(1, 8_388_608), "Longer values break the rule.", example="max_length: 40")
_OPTIONAL = Key("optional", Flag(), "A JSON key that may be absent everywhere.", default=False)


def _column_rule(fields: Fields, report: Report) -> tuple[ColumnRule, bool]:
    del report
    if fields.failed:
        raise Wrong
    one_of = fields.get(_ONE_OF)
    rule = ColumnRule(
        "",
        fields.node.position,
        bool(fields.get(_REQUIRED)),
        bool(fields.get(_UNIQUE)),
        fields.get(_MATCHES),
        one_of,
        fields.get(_MAX_LENGTH),
    )
    return rule, bool(fields.get(_OPTIONAL))


RULE: Mapped[tuple[ColumnRule, bool]] = Mapped(
    "column_rule",
    "the rules of a column",
    (_REQUIRED, _UNIQUE, _MATCHES, _ONE_OF, _MAX_LENGTH, _OPTIONAL),
    _column_rule,
)


class TestTemplate(Shape[Any]):
    """A template that is true for good rows."""

    says = 'a template such as "{{ ram | int > 0 }}"'

    def read(self, node: Node, report: Report) -> Any:
        if not isinstance(node, Scalar) or not is_template(node.text):
            raise self.expected(node, report)
        return reader(report).template(node)

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {"type": "string", "pattern": r"\{[{%]"}


_THAT = Key("that", TestTemplate(), "True for good rows.", required=True, example='that: "{{ ram | int > 0 }}"')
_SAY = Key(
    "say",
    Text("a text", max_length=160),
    "What the report says about a bad row.",
    required=True,
    example="say: RAM must be positive",
)
_LEVEL = Key("level", LEVEL, "What a broken check does to the row.", default="fail")


def _check(fields: Fields, report: Report) -> Check:
    del report
    if fields.failed:
        raise Wrong
    return Check(fields.need(_THAT), fields.need(_SAY), cast(Any, fields.get(_LEVEL) or "fail"), fields.node.position)


CHECK: Mapped[Check] = Mapped("check", "a check", (_THAT, _SAY, _LEVEL), _check)


class InlineRows(Shape[tuple[Scalar | MapNode, ...]]):
    """Rows written in place."""

    says = "a list of rows"

    def read(self, node: Node, report: Report) -> Any:
        if not isinstance(node, ListNode) or not node.items:
            raise self.expected(node, report)
        rows: list[dict[str, str | None]] = []
        lines: list[int] = []
        failed = False
        for item in node.items:
            if not isinstance(item, MapNode):
                report.add("wrong-type", f"Expected a row such as {{name: x}}, found {describe(item)}", item.position)
                failed = True
                continue
            row: dict[str, str | None] = {}
            for key, value in item.pairs:
                if isinstance(value, Scalar):
                    row[key.text] = None if value.kind == "null" else value.text
                else:
                    report.add("wrong-type", f"Expected a text, found {describe(value)}", value.position)
                    failed = True
            rows.append(row)
            lines.append(item.position.line)
        if failed:
            raise Wrong
        return tuple(rows), tuple(lines)

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        cell = {"type": ["string", "number", "boolean", "null"]}
        return {"type": "array", "minItems": 1, "items": {"type": "object", "additionalProperties": cell}}


FILE = Key("file", FilePath(), "A path or glob, relative to this file.", example="file: servers.csv")
CONNECTION = Key(
    "connection",
    Text("the name of a connection", NAME, must=NAME_MUST),
    "For servicenow: needed where an environment has two.",
)
INLINE = Key("inline", InlineRows(), "Rows written in place.", example="inline: [{team: it, owner: ana}]")
FORMAT = Key(
    "format", Choice(("csv", "tsv", "json", "jsonl")), "What the file holds, where its suffix does not say it."
)
ROWS = Key("rows", Text("a dotted path"), "The list inside a JSON document.", example="rows: hosts")
DELIMITER = Key("delimiter", Delimiter(), "What stands between two values.", default=",", example='delimiter: ";"')
ENCODING = Key("encoding", Encoding(), "How the text is encoded; a BOM is accepted.", default="utf-8")
DECIMAL = Key("decimal", Choice((".", ",")), "The decimal sign of numbers in the file.", default=".")
NO_VALUE_KEY = Key("no_value", ListOf(Text("a text", empty=True)), "Texts that mean no value.", default=list(NO_VALUE))
COLUMNS = Key(
    "columns",
    MapOf(RULE, "column"),
    "Rules that the values of a column must keep.",
    example="columns: {serial: {required: true}}",
)
BAD_ROWS = Key("bad_rows", LEVEL, "What a broken rule does to the row.", default="fail")
CHECKS = Key("checks", ListOf(CHECK), "Tests of whole rows.", default=[])
MAX_AGE = Key("max_age", Duration(), "An older file is refused.", example="max_age: 2 days")
KEYS = (
    FILE,
    INLINE,
    SERVICENOW,
    SQL,
    CONNECTION,
    FORMAT,
    ROWS,
    DELIMITER,
    ENCODING,
    DECIMAL,
    NO_VALUE_KEY,
    COLUMNS,
    BAD_ROWS,
    CHECKS,
    MAX_AGE,
)


class SourceSchema:
    """The schema of a source; reading needs its name, see `read_source`."""

    says = "a source"

    def schema(self, named: dict[str, Schema]) -> Schema:
        if "source" not in named:
            named["source"] = {}
            made = object_schema(KEYS, named)
            files_only = ("file", "format", "rows", "delimiter", "encoding", "max_age")
            made["dependentSchemas"] = {
                "inline": {"properties": dict.fromkeys((*files_only, "servicenow", "sql"), False)},
                "servicenow": {"properties": dict.fromkeys((*files_only, "inline", "sql"), False)},
                "sql": {"properties": dict.fromkeys((*files_only, "inline", "servicenow"), False)},
            }
            made["dependentRequired"] = {"connection": ["servicenow"]}
            needs: Schema = {"required": ["file"]}
            for name in ("sql", "servicenow", "inline"):
                needs = {"if": {"not": {"required": [name]}}, "then": needs}
            made.update(needs)
            named["source"] = {
                "type": ["string", "object"],
                "minLength": 1,
                "pattern": _PATH,
                "if": {"type": "object"},
                "then": made,
            }
        return {"$ref": "#/$defs/source"}


def read_source(name: str, node: Node, note: Reader, allowed: tuple[Path, ...]) -> Source:
    """A source from its short or long form."""
    note.source = name
    folder = str(Path(note.file).parent)
    if isinstance(node, Scalar):
        path = FilePath().read(node, note)
        return _checked(FileOptions(path, folder, allowed=allowed), name, node, note, RowRules(), frozenset())
    fields = read_keys(node, KEYS, note, "a source")
    origins = [key.name for key in (FILE, INLINE, SERVICENOW, SQL) if fields.has(key)]
    if len(origins) != 1:
        said = "A source says file, inline, servicenow or sql" + (f", not {' and '.join(origins)}" if origins else "")
        raise note.stop("bad-source", said, node.position, "file: servers.csv")
    options = _options(fields, folder, note, allowed)
    columns: list[ColumnRule] = []
    optional: set[str] = set()
    for column, (rule, may_be_absent) in (fields.get(COLUMNS) or {}).items():
        if may_be_absent:
            optional.add(column)
        columns.append(structs.replace(rule, column=column))
    _note_columns(fields, note)
    no_value = fields.get(NO_VALUE_KEY)
    rules = RowRules(
        frozenset(no_value) if no_value is not None else frozenset(NO_VALUE),
        tuple(columns),
        fields.get(CHECKS) or (),
        cast(Any, fields.get(BAD_ROWS) or "fail"),
        decimal=fields.get(DECIMAL) or ".",
    )
    return _checked(options, name, node, note, rules, frozenset(optional))


def _note_columns(fields: Fields, note: Reader) -> None:
    node = fields.node.get("columns")
    if isinstance(node, MapNode):
        for key, value in node.pairs:
            optional = isinstance(value, MapNode) and value.get("optional") is not None
            if not optional:
                note.column(key)


def _options(fields: Fields, folder: str, note: Reader, allowed: tuple[Path, ...]) -> Options:
    if not fields.has(FILE):
        origin = next(key.name for key in (INLINE, SERVICENOW, SQL) if fields.has(key))
        for key in (FORMAT, ROWS, DELIMITER, ENCODING, MAX_AGE):
            if fields.has(key):
                note.add("bad-source", f"{key.name} goes with file, not with {origin}", fields.position(key))
                fields.failed = True
    if fields.has(CONNECTION) and not fields.has(SERVICENOW):
        note.add("bad-source", "connection goes with servicenow only", fields.position(CONNECTION))
        fields.failed = True
    if fields.has(SERVICENOW):
        return replace(fields.need(SERVICENOW), connection=fields.get(CONNECTION))
    if fields.has(SQL):
        return replace(fields.need(SQL), folder=folder, allowed=allowed)
    if fields.has(INLINE):
        rows, lines = cast(Any, fields.need(INLINE))
        return InlineOptions(rows, note.file, lines)
    return FileOptions(
        fields.need(FILE),
        folder,
        cast(Any, fields.get(FORMAT)),
        fields.get(ROWS),
        fields.get(DELIMITER),
        fields.get(ENCODING),
        fields.get(MAX_AGE),
        allowed,
    )


def _checked(
    options: Options, name: str, node: Node, note: Reader, rules: RowRules, optional: frozenset[str]
) -> Source:
    if isinstance(options, FileOptions):
        form = options.format or format_of(Path(options.file))
        if form is None and not is_template(options.file[-5:]):
            position = node.position if not isinstance(node, MapNode) else cast(Scalar, node.get("file")).position
            said = f'What "{options.file[:60]}" holds is not clear from its name'
            raise note.stop("unknown-format", said, position, "format: csv")
        if form is not None and form != "json" and options.rows:
            said = "rows goes with JSON documents only"
            raise note.stop("bad-source", said, cast(MapNode, node).get("rows").position)  # type: ignore[union-attr]
        rules = structs.replace(rules, text_only=form in {"csv", "tsv"})
    elif isinstance(options, InlineOptions | TableOptions | QueryOptions):
        rules = structs.replace(rules, text_only=True)
    return Source(name, options, rules, node.position, optional)
