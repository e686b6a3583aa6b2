"""`4me`: records of an import type."""

from __future__ import annotations

from typing import Any, cast

from msgspec.structs import replace

from syncengine.errors import Position
from syncengine.mapping.model import Const, FieldRule, FindIn, Recipe, RecordRef, Shaped
from syncengine.spec.fields import FieldsShape
from syncengine.spec.import_types import (
    ID,
    KEY_ITSELF,
    SOURCE,
    SOURCE_ID,
    SOURCE_ITSELF,
    ImportColumn,
    ImportType,
    import_types,
)
from syncengine.spec.import_values import BadValueError, written
from syncengine.spec.items import EACH_INSIDE
from syncengine.spec.keys import Fields, Key
from syncengine.spec.kinds.common import (
    ACCEPT,
    COMMON,
    CONNECTION,
    DATA_SOURCE,
    DISTINCT,
    KEY,
    ON_ERROR,
    STEP_IF_EMPTY,
    VANISHED,
    StepContext,
    data_source_of,
    field_references,
)
from syncengine.spec.model import FieldInfo, Step, Vanished
from syncengine.spec.nodes import Node, Scalar
from syncengine.spec.reader import Reader
from syncengine.spec.report import Report, Wrong
from syncengine.spec.shapes import Schema, Shape, Text
from syncengine.spec.values import WHEN
from syncengine.spec.wording import near

MAX_SOURCE = 30
"""Characters of a Source in 4me."""


class Headers(FieldsShape):
    """Fields of a 4me import: the headers of its CSV, as documented."""

    pattern = r"[A-Za-z][A-Za-z0-9 ._-]{0,79}"

    def _name(self, node: Node, report: Report) -> str:
        return Text("a header such as Primary Email", self.pattern, must="letters, digits and spaces").read(
            node, report
        )


class TypeName(Shape[str]):
    """The name of an import type of 4me."""

    says = "an import type such as people"

    def read(self, node: Node, report: Report) -> str:
        if not isinstance(node, Scalar) or node.kind == "null":
            raise self.expected(node, report)
        known = tuple(import_types())
        if node.text not in known:
            fix = near(node.text, known) or "Such as organizations, sites, people, teams, products, cis, ci_relations."
            raise report.stop(
                "unknown-type", f'4me has no import type "{node.text[:60]}"', node.position, fix, node.text
            )
        return node.text

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {"enum": sorted(import_types())}


FOURME = Key(
    "4me",
    TypeName(),
    "An import type of 4me.",
    example="4me: people",
)
HEADERS = Key(
    "fields",
    Headers(),
    "The headers of the import, and where their values come from.",
    required=True,
    example="fields: {Name: COLUMN}",
)


FOURME_KEYS = (*COMMON, DISTINCT, KEY, STEP_IF_EMPTY, DATA_SOURCE, VANISHED, ACCEPT, FOURME, HEADERS)


def build(name: Scalar, fields: Fields, source: str, context: StepContext, note: Reader) -> Step:
    """A step that imports records; problems are noted, and `Wrong` raised where no step can be made.

    Its option is the type.
    """
    chosen = fields.get(FOURME)
    kind = import_types().get(str(chosen))
    if kind is not None:
        _check_identity(name, str(chosen), kind, fields, note)
    why = "4me keeps it as the Source of each record"
    data_source = data_source_of(name, fields, context, note, why, "data_source: DC Inventory")
    if len(data_source) > MAX_SOURCE:
        position = fields.position(DATA_SOURCE) if fields.has(DATA_SOURCE) else name.position
        note.add("too-long", f"4me takes at most {MAX_SOURCE} characters as a data source", position)
    if kind is not None:
        _known_header(str(chosen), kind, fields, note)
    if fields.failed or not source:
        raise Wrong
    full = f"{note.name}.{name.text}"
    rules = fields.need(HEADERS)
    if kind is not None:
        rules = _checked(str(chosen), kind, rules, note)
    retired = fields.get(VANISHED) or context.defaults.vanished or Vanished()
    said = fields.node.get("vanished")
    if kind is not None and said is not None:
        _check_retired(str(chosen), kind, retired, said, note)
    key = fields.get(KEY) or ()
    recipe = Recipe(
        full,
        name.position,
        source,
        context.sources[source],
        key=key,
        class_rule=str(chosen),
        each=fields.get(EACH_INSIDE),
        when=fields.get(WHEN),
        distinct=fields.get(DISTINCT) or (),
        fields=rules,
        if_empty=cast(Any, fields.get(STEP_IF_EMPTY) or context.defaults.if_empty),
        timezone=context.defaults.timezone,
        style="4me",
        lists=True,
        vars=context.vars,
    )
    columns = kind.columns if kind is not None else {}
    return Step(
        name.text,
        full,
        "4me",
        source,
        name.position,
        recipe,
        data_source=data_source,
        feed=full,
        classes=(str(chosen),),
        on_error=cast(Any, fields.get(ON_ERROR) or context.defaults.on_error),
        vanished=retired,
        accept_inferred=bool(fields.get(ACCEPT)),
        connection=fields.get(CONNECTION),
        fields=tuple(FieldInfo(one.name, one.position, one.sensitive, one.compare) for one in rules),
        references=field_references(rules),
        key_parts=len(key),
        options={"type": str(chosen)},
        defers=kind is not None and not kind.group,
        must_defer=frozenset(one for one, column in columns.items() if column.defer or column.self),
        never_defer=frozenset(kind.required if kind is not None else ()),
    )


def _check_identity(name: Scalar, chosen: str, kind: ImportType, fields: Fields, note: Reader) -> None:
    """What a type does not keep of a record's identity can be neither left out nor asked after."""
    if kind.has_pair and fields.node.get("key") is None:
        said = f'The step "{name.text}" has no key: records of {chosen} need the identifier of the source'
        note.add("missing-key", said, name.position, "key: employee_id")
    vanished = fields.node.get("vanished")
    if vanished is None:
        return
    if not kind.has_pair:
        said = f"Records of {chosen} carry no Source ID, so nobody can tell which have vanished"
        note.add("bad-vanished", said, vanished.position, "Remove it.")
    elif kind.many:
        said = f"Several rows make one record of {chosen}, so nobody can tell which have vanished"
        note.add("bad-vanished", said, vanished.position, "Remove it; a row that is gone goes with the next import.")


def _known_header(chosen: str, kind: ImportType, fields: Fields, note: Reader) -> None:
    """Refuse types whose columns nobody has published; those that are guessed need the word of the spec."""
    position = fields.position(FOURME)
    if kind.header == "unknown":
        said = f"No public page has the columns of {chosen}, so nothing can be imported into it"
        note.add(
            "unknown-header", said, position, f"Import {chosen} by hand, with an export of the account as its form."
        )
        fields.failed = True
    elif kind.header == "inferred" and not fields.get(ACCEPT):
        said = f"The columns of {chosen} are inferred from other pages, not documented"
        note.add(
            "inferred-header", said, position, "Compare them with an export of the account, then: accept_inferred: true"
        )
        fields.failed = True


def _checked(chosen: str, kind: ImportType, rules: tuple[FieldRule, ...], note: Reader) -> tuple[FieldRule, ...]:
    """The fields with what their columns add: text to take of other records, ends of relations in their columns."""
    found: list[FieldRule] = []
    for rule in rules:
        if chosen == "ci_relations" and rule.name in ("CI", "Related CI"):
            found += _end(rule)
            continue
        column = kind.columns.get(rule.name)
        if column is None:
            note.add("unknown-header", *_unknown(chosen, kind, rule))
        elif column.kind == "helper":
            said = f"{rule.name} stands in exports of {chosen} only; imports ignore it"
            note.add("unknown-header", said, rule.position, "Remove it.")
        elif rule.name == SOURCE and chosen != "ci_relations":
            note.add("set-by-product", "Source is the data source of the step", rule.position, "data_source: ...")
        elif rule.name == SOURCE_ID and not kind.many:
            note.add("set-by-product", "Source ID is the key of the step", rule.position, "key: ...")
        else:
            _check_literals(column, rule, note)
            found.append(_taking(chosen, column, rule, note))
    return tuple(found)


def _unknown(chosen: str, kind: ImportType, rule: FieldRule) -> tuple[str, Any, str]:
    names = (*kind.columns, *(("CI", "Related CI") if chosen == "ci_relations" else ()))
    fix = near(rule.name, [one for one in names if kind.columns.get(one) is None or kind.columns[one].kind != "helper"])
    shown = ", ".join(one for one in names if one not in (SOURCE, SOURCE_ID))
    return f'{chosen} has no column "{rule.name}"', rule.position, fix or f"Columns: {shown}"


def _end(rule: FieldRule) -> tuple[FieldRule, ...]:
    """An end of a relation of CIs: a record of ours goes by its pair, anything else by its label."""
    if not isinstance(rule.value, RecordRef) or rule.value.take:
        return (replace(rule, name=f"{rule.name} Label"),)
    return (
        replace(rule, name=f"{rule.name} Source", value=replace(rule.value, take=SOURCE_ITSELF)),
        replace(rule, name=f"{rule.name} Source ID", value=replace(rule.value, take=KEY_ITSELF)),
    )


def _taking(chosen: str, column: ImportColumn, rule: FieldRule, note: Reader) -> FieldRule:
    """A reference takes the text by which 4me knows the record: Name, Primary Email, Label, …; ids stay ids."""
    value = rule.value.origin if isinstance(rule.value, Shaped) else rule.value
    if isinstance(value, FindIn):
        said = "find_in looks on a ServiceNow instance; 4me takes the text itself"
        note.add("bad-reference", said, rule.position, f"{rule.name}: COLUMN" if column.by else "Remove it.")
        return rule
    if not isinstance(value, RecordRef):
        return rule
    if not column.to:
        said = f"{rule.name} of {chosen} names no record"
        note.add("bad-reference", said, rule.position, f"{rule.name}: COLUMN")
        return rule
    taken = replace(value, take=value.take or ("" if column.by == ID else column.by))
    return replace(rule, value=replace(rule.value, origin=taken) if isinstance(rule.value, Shaped) else taken)


def _check_literals(column: ImportColumn, rule: FieldRule, note: Reader) -> None:
    """Constants, defaults and map entries are checked now: no row is needed to know that they are wrong."""
    origin = rule.value.origin if isinstance(rule.value, Shaped) else rule.value
    words: list[str] = [origin.text] if isinstance(origin, Const) else []
    if isinstance(rule.value, Shaped):
        shaped = rule.value
        if shaped.map is not None and shaped.type is None:
            words += shaped.map.entries.values()
        words += [shaped.default] if shaped.default else []
        if isinstance(origin, Const) and (shaped.type or shaped.format or shaped.split or shaped.map):
            words.remove(origin.text)
    for word in words:
        _check_word(column, rule.name, word, origin.position, note)


def _check_word(column: ImportColumn, name: str, word: str, position: Position, note: Reader) -> None:
    try:
        written(column, word)
    except BadValueError as wrong:
        note.add("bad-value", f'{name}: "{word[:60]}" cannot be written: {wrong}', position, wrong.fix)


def _check_retired(chosen: str, kind: ImportType, rule: Vanished, node: Node, note: Reader) -> None:
    for name, value in rule.set.items():
        column = kind.columns.get(name)
        if column is None:
            fix = near(name, tuple(kind.columns)) or "set: {Disabled: true}"
            note.add("unknown-header", f'{chosen} has no column "{name}"', node.position, fix)
        else:
            _check_word(column, name, value, node.position, note)
