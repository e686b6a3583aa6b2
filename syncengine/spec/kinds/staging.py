"""`staging`: rows into a staging table, which the instance transforms."""

from __future__ import annotations

from typing import Any, cast

from syncengine.mapping.model import Recipe
from syncengine.spec.atoms import FIELD, NAME, TABLE, TABLE_MUST
from syncengine.spec.items import EACH_INSIDE, FIELDS
from syncengine.spec.keys import Fields, Key, Mapped
from syncengine.spec.kinds.common import (
    COMMON,
    CONNECTION,
    DISTINCT,
    KEY,
    ON_ERROR,
    STEP_IF_EMPTY,
    StepContext,
    field_references,
)
from syncengine.spec.model import FieldInfo, Step
from syncengine.spec.nodes import Scalar
from syncengine.spec.reader import Reader, StepNote
from syncengine.spec.report import Report, Wrong
from syncengine.spec.shapes import Choice, Either, MapOf, Shape, Text
from syncengine.spec.values import WHEN
from syncengine.spec.wording import near


def kept(fields: Fields, report: Report) -> Fields:
    """The keys as they are; what is made of them needs the whole step."""
    del report
    if fields.failed:
        raise Wrong
    return fields


_TABLE_NAME: Shape[str] = Text("the name of a table", TABLE, must=TABLE_MUST)
TABLE_KEY = Key("table", _TABLE_NAME, "The staging table.", required=True, example="table: imp_user")
SEND = Key(
    "send",
    Choice(("single", "multiple")),
    "single: one call and one answer per row; multiple: insertMultiple. Otherwise as defaults say.",
    default="single",
)
LABELS = Key(
    "labels",
    MapOf(Text("a label"), "field", FIELD, "letters, digits and _ only", least=1),
    "Column labels by field: insertMultiple takes labels, not names.",
    example="labels: {user_id: User ID}",
)
MARKER = Key(
    "marker",
    Text("the name of a column", FIELD, must="letters, digits and _ only"),
    "A staging column for the name of run and row: how rows are found again when an answer is lost.",
)
REPEAT_SAFE = Key(
    "repeat_safe", Choice(("coalesce",)), "coalesce: the transform map coalesces on a key, so a row may be sent twice."
)
RUN_AFTER = Key(
    "run_after",
    Text("the name of a step", NAME),
    "Another staging step whose import set is transformed first.",
)
STAGING_OPTIONS = Mapped("staging", "staging", (TABLE_KEY, SEND, LABELS, MARKER, REPEAT_SAFE, RUN_AFTER), kept)

STAGING = Key(
    "staging",
    Either(_TABLE_NAME, STAGING_OPTIONS),
    "A staging table, or the table and how its rows are sent.",
    example="staging: imp_user",
)
STAGING_KEYS = (*COMMON, DISTINCT, KEY, STEP_IF_EMPTY, STAGING, FIELDS)


def build(name: Scalar, fields: Fields, source: str, context: StepContext, note: Reader) -> Step:
    """A step that fills a staging table; problems are noted, and `Wrong` raised where no step can be made.

    Its options: table, send, labels, marker, repeat_safe.
    """
    said = fields.get(STAGING)
    if isinstance(said, Fields) and said.has(LABELS) and (said.get(SEND) or context.defaults.send) != "multiple":
        note.add("bad-staging", "labels goes with  send: multiple  only", said.position(LABELS), "send: multiple")
    if fields.failed or not source:
        raise Wrong
    full = f"{note.name}.{name.text}"
    options: dict[str, object] = {"table": said, "send": context.defaults.send}
    run_after = None
    if isinstance(said, Fields):
        options = {"table": said.need(TABLE_KEY), "send": said.need(SEND) if said.has(SEND) else context.defaults.send}
        for key in (LABELS, MARKER, REPEAT_SAFE):
            if said.has(key):
                options[key.name] = said.need(key)
        run_after = said.get(RUN_AFTER)
        if run_after:
            at = said.position(RUN_AFTER)
            note.steps.append(StepNote(None, run_after, -1, at, at, None, name.text))
    rules = fields.need(FIELDS)
    if isinstance(said, Fields):
        _check_columns(said, tuple(one.name for one in rules), note)
    named = fields.get(KEY) or ()
    recipe = Recipe(
        full,
        name.position,
        source,
        context.sources[source],
        key=named,
        class_rule=str(options["table"]),
        each=fields.get(EACH_INSIDE),
        when=fields.get(WHEN),
        distinct=fields.get(DISTINCT) or (),
        fields=rules,
        if_empty=cast(Any, fields.get(STEP_IF_EMPTY) or context.defaults.if_empty),
        timezone=context.defaults.timezone,
        vars=context.vars,
    )
    return Step(
        name.text,
        full,
        "staging",
        source,
        name.position,
        recipe,
        feed=full,
        classes=(str(options["table"]),),
        on_error=cast(Any, fields.get(ON_ERROR) or context.defaults.on_error),
        connection=fields.get(CONNECTION),
        fields=tuple(FieldInfo(one.name, one.position, one.sensitive, one.compare) for one in rules),
        references=field_references(rules),
        key_parts=len(named),
        options=options,
        run_after=(f"{note.name}.{run_after}",) if run_after else (),
    )


def _check_columns(said: Fields, names: tuple[str, ...], note: Reader) -> None:
    """Labels for all that is sent, or for none of it; the marker is a column of its own."""
    marker = said.get(MARKER)
    if marker in names:
        text = (
            f'The marker "{marker}" is a field, too; it holds the name of run and row, so it needs a column of its own'
        )
        note.add("bad-staging", text, said.position(MARKER), "marker: u_marker")
    if not said.has(LABELS):
        return
    labels, wanted = said.need(LABELS), [*names, *([marker] if marker else [])]
    missing = [name for name in wanted if name not in labels]
    if missing:
        text = f"labels has no label for {', '.join(missing)}; without one the column would stay empty"
        note.add("missing-labels", text, said.position(LABELS), f"labels: {{.., {missing[0]}: {_guess(missing[0])}}}")
    for name in labels:
        if name not in wanted:
            text = f'labels has "{name}", which the step does not fill'
            note.add("unknown-field", text, said.position(LABELS), near(name, wanted) or "Remove it.", name)


def _guess(name: str) -> str:
    return name.removeprefix("u_").replace("_", " ").capitalize()
