"""How one operation is written: a glyph, what it is about, where it comes from, before → after."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator

from syncengine.changes import SECOND_PASS, Change, End
from syncengine.errors import Place
from syncengine.execution.rejects import advice
from syncengine.reports import TOUCHED
from syncengine.reports.human.lines import WIDTH, shown, wrapped

GLYPHS = {
    "create": "+",
    "update": "~",
    "reclassify": "±",
    "retire": "-",
    "relate": "→",
    "attach": "@",
    "touched": "·",
    "unchanged": "=",
    "rejected": "!",
    "unknown": "?",
}
KEY_WIDTH = 120
"""A key tells one record from another: it is cut later than a value."""


def left(change: Change, result: str, code: str, message: str) -> Iterator[str]:
    """An operation that was not applied."""
    if change.kind == "relation":
        what = f"{_named(change.parent)} {change.type.partition('::')[0]} {_named(change.child)}"
    else:
        what = _titled(change)
    yield from _headed(f"  ! {what}", change, f": {result.replace('_', ' ')}")
    if code or message:
        yield from wrapped("      ", f"{code}: {shown(message, 400)}")
    if help_ := change.fix or advice(code):
        yield from wrapped("      fix: ", shown(help_, 400))


def _titled(change: Change) -> str:
    """Class and key of a record; what is only looked for is named with its table."""
    was = f" (was {change.was_class})" if change.was_class else ""
    name = "" if change.kind == "end" and change.key.startswith(f"{change.class_name} where ") else change.class_name
    return " ".join(one for one in (f"{name}{was}", shown(change.key, KEY_WIDTH)) if one) or "no record"


def _source(change: Change) -> str:
    return f"  ({_at(change.place)})" if change.place and change.place.row else ""


def _headed(what: str, change: Change, end: str = "") -> Iterator[str]:
    """The first line of an operation, its place in the source on a line of its own where both have no room in one."""
    at = _source(change)
    if len(what) + len(at) + len(end) <= WIDTH:
        yield f"{what}{at}{end}"
        return
    yield from textwrap.wrap(
        f"{what}{end}", WIDTH, subsequent_indent="      ", break_long_words=False, break_on_hyphens=False
    )
    if at:
        yield f"      {at.strip()}"


def operation(change: Change, *, show: bool) -> Iterator[str]:
    glyph = GLYPHS[change.action]
    if change.kind == "relation":
        parent, child = (_named(end) for end in (change.parent, change.child))
        verb, _, back = change.type.partition("::")
        forth = f"  {glyph} {parent} {verb} {child}"
        both = f"{forth}; {child} {back} {parent}{_source(change)}"
        if len(both) <= WIDTH:
            yield both
        else:
            yield from _headed(forth, change)
            yield from wrapped("      ", f"{child} {back} {parent}")
    else:
        yield from _headed(f"  {glyph} {_titled(change)}", change)
    if change.action in ("update", "reclassify", "retire"):
        yield from _updated(change, show=show)
    elif change.action == "attach":
        to, values = change.refs["to"], change.values
        yield f"      {shown(values['name'])}, {int(values['size']):,} bytes, for {shown(to.key or to.sys_id)}"
    elif change.action == "create":
        yield from _created(change, show=show)
    elif change.action == "touched" and change.kind == "end":
        yield f"      only touched as an end; its discovery source is {change.owner or 'not set'}"
    elif change.action == "touched":
        yield f"      {TOUCHED.get(change.reason, TOUCHED['adopted'])}"
    elif change.action == "unknown" and not change.code:
        yield from _unknown(change, show=show)
    elif change.action in ("rejected", "unknown"):
        yield from wrapped("      ", f"{change.code}: {shown(change.message, 400)}")
        if help_ := change.fix or advice(change.code):
            yield from wrapped("      fix: ", shown(help_, 400))
    if change.masked and change.action in ("update", "create"):
        yield f"      refused by reconciliation rules: {', '.join(change.masked)}"


def _unknown(change: Change, *, show: bool) -> Iterator[str]:
    """Why nobody can say what would become of it, and what is sent all the same."""
    why = change.reason.replace("_", " ") or "the target does not tell what would become of it"
    yield from textwrap.wrap(shown(why, 400), 74, initial_indent="      ", subsequent_indent="      ")
    yield from _created(change, show=show)


def _updated(change: Change, *, show: bool) -> Iterator[str]:
    """What would change in a record."""
    if change.reason == SECOND_PASS and not change.before:
        yield from _created(change, show=show)
    for name, before in change.before.items():
        end = change.refs.get(name)
        after = end.key or end.sys_id if end is not None else change.names.get(name) or change.values.get(name, "")
        if not show:
            yield f"      {name}"
            continue
        yield from wrapped(f"      {name}: ", f"{shown(before) or '(empty)'} → {shown(after) or '(empty)'}")
    if change.reason == "parts":
        yield f"      lookup and related items: {', '.join(part for part in change.parts if part)}"
    elif change.reason in ("unexplained", "unreadable") and not change.was_class:
        yield "      the target announces an update that no readable field explains"
    elif change.basis in ("predicted", "compared") and change.reason:
        yield from textwrap.wrap(change.reason, 74, initial_indent="      ", subsequent_indent="      ")


def _created(change: Change, *, show: bool) -> Iterator[str]:
    """What a new record would hold."""
    values = [(name, change.names.get(name, value)) for name, value in change.values.items()]
    values += [(name, end.key or end.sys_id) for name, end in change.refs.items()]
    yield from wrapped("      ", ", ".join(f"{name}={shown(value, 24)}" if show else name for name, value in values))
    for word, parts in (("lookup", change.lookup), ("related", change.related)):
        counted = Counter(part.class_name for part in parts)
        if counted:
            yield f"      {word}: {', '.join(f'{number} {name}' for name, number in counted.items())}"
    if change.basis == "predicted" and change.reason:
        yield from textwrap.wrap(shown(change.reason, 400), 74, initial_indent="      ", subsequent_indent="      ")


def _at(place: Place) -> str:
    """A place in short: the file's own name, the row and the line."""
    return str(place._replace(file=place.file.rpartition("/")[2]))


def _named(end: End | None) -> str:
    return shown(end.key or end.sys_id, KEY_WIDTH) if end is not None else "?"
