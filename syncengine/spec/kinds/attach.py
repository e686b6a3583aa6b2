"""`attach`: files for records."""

from __future__ import annotations

from typing import Any, cast

from syncengine.mapping.model import Const, FieldRule, FindIn, Recipe, RecordRef, Value
from syncengine.spec.atoms import is_template, reader
from syncengine.spec.items import EACH_INSIDE
from syncengine.spec.keys import Fields, Key, Mapped
from syncengine.spec.kinds.common import COMMON, CONNECTION, ON_ERROR, StepContext, field_references
from syncengine.spec.kinds.staging import kept
from syncengine.spec.model import FieldInfo, Step
from syncengine.spec.nodes import Node, Scalar
from syncengine.spec.reader import Reader
from syncengine.spec.references import REFERENCE, VALUE
from syncengine.spec.report import Report, Wrong
from syncengine.spec.shapes import Choice, Either, Schema, Shape, Text
from syncengine.spec.values import WHEN


class FileTemplate(Shape[Value]):
    """A path or glob beside the spec; templates see the row."""

    says = 'a path such as "contracts/{{ serial }}.pdf"'

    def read(self, node: Node, report: Report) -> Value:
        text = Text(self.says).read(node, report)
        if text.startswith(("/", "~")) or ".." in text.split("/") or "\\" in text:
            said = f'"{text[:60]}" cannot be attached: a path starts at the folder of the spec and stays below it'
            raise report.stop("bad-path", said, node.position)
        if is_template(text) and isinstance(node, Scalar):
            return reader(report).template(node)
        return Const(text, node.position)

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {"type": "string", "minLength": 1, "pattern": r"^(?![/~])(?!(?:.*/)?\.\.(?:/|$))[^\\]*$"}


PATH = Key(
    "file",
    FileTemplate(),
    "A path or glob, from the folder of the spec; templates see the row.",
    required=True,
    example='file: "contracts/{{ serial }}.pdf"',
)
FILE_NAME = Key("name", VALUE, "What the attachment is called; otherwise as the file.")
CONTENT_TYPE = Key(
    "content_type",
    Text("a type such as application/pdf", r"[a-z]+/[A-Za-z0-9.+-]{1,100}", must="such as application/pdf"),
    "The type of the content; otherwise by the suffix.",
)
FILE_MISSING = Key("if_missing", Choice(("error", "skip")), "What a file that is not there does.", default="error")
FILE_EXISTS = Key(
    "if_exists",
    Choice(("skip", "replace", "add")),
    "What another file of the same name on the record does; the same content is never attached twice.",
    default="skip",
)
ATTACH_OPTIONS = Mapped("attach", "attach", (PATH, FILE_NAME, CONTENT_TYPE, FILE_MISSING, FILE_EXISTS), kept)

ATTACH = Key(
    "attach",
    Either(FileTemplate(), ATTACH_OPTIONS),
    "A file for a record.",
    example='attach: "contracts/{{ serial }}.pdf"',
)
TO = Key("to", REFERENCE, "The record that gets the file.", required=True, example="to: {step: servers, key: serial}")
ATTACH_KEYS = (*COMMON, ATTACH, TO)


def build(name: Scalar, fields: Fields, source: str, context: StepContext, note: Reader) -> Step:
    """A step that attaches files; problems are noted, and `Wrong` raised where no step can be made.

    The values of its records are `file`, `name` and `content_type`, the field `to` refers to the record. The key is
    that of the other record and the file. Its options: if_missing, if_exists, and the step that it attaches to.
    """
    if fields.failed or not source:
        raise Wrong
    said, to = fields.need(ATTACH), fields.need(TO)
    at = name.position
    options: dict[str, object] = {"if_missing": "error", "if_exists": "skip"}
    if isinstance(said, Fields):
        file = said.need(PATH)
        rules = [FieldRule("file", file, at)]
        if said.has(FILE_NAME):
            rules.append(FieldRule("name", said.need(FILE_NAME), said.position(FILE_NAME)))
        if said.has(CONTENT_TYPE):
            rules.append(FieldRule("content_type", Const(said.need(CONTENT_TYPE), at), said.position(CONTENT_TYPE)))
        options = {"if_missing": said.get(FILE_MISSING) or "error", "if_exists": said.get(FILE_EXISTS) or "skip"}
    else:
        file = said
        rules = [FieldRule("file", file, at)]
    rules.append(FieldRule("to", to, to.position))
    if isinstance(to, RecordRef):
        options["to"] = to.step
    full = f"{note.name}.{name.text}"
    recipe = Recipe(
        full,
        at,
        source,
        context.sources[source],
        key=(*_named(to), file),
        class_rule="attachment",
        each=fields.get(EACH_INSIDE),
        when=fields.get(WHEN),
        fields=tuple(rules),
        timezone=context.defaults.timezone,
        vars=context.vars,
    )
    return Step(
        name.text,
        full,
        "attach",
        source,
        at,
        recipe,
        feed=full,
        on_error=cast(Any, fields.get(ON_ERROR) or context.defaults.on_error),
        connection=fields.get(CONNECTION),
        fields=tuple(FieldInfo(one.name, one.position) for one in rules),
        references=field_references(tuple(rules)),
        options=options,
    )


def _named(to: RecordRef | FindIn) -> tuple[Value, ...]:
    return to.key if isinstance(to, RecordRef) else tuple(value for _, value in to.where)
