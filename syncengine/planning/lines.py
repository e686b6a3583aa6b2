"""Operations and batches as the lines of a plan, and back.

A line holds only what is said: empty parts are left out, ids not known yet are written `{"$later": [step, key]}`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from syncengine.changes import Action, Basis, Batch, Change, End, Kind, Part
from syncengine.errors import Place


class _End(msgspec.Struct, omit_defaults=True, rename={"class_name": "class", "later": "$later"}):
    op: int
    key: str = ""
    step: str = ""
    sys_id: str = ""
    class_name: str = ""
    later: tuple[str, str] | None = None


class _Line(msgspec.Struct, omit_defaults=True, gc=False, rename={"place": "at"}):
    """A change as it stands in a plan; the fields of Change, in its order, which is how one is made of the other."""

    op: int
    kind: Kind | Literal["end"]
    step: int
    action: Action = "unknown"
    basis: Basis = "unknown"
    key: str = ""
    native_key: str = ""
    class_name: str = ""
    sys_id: str = ""
    values: dict[str, str] = {}
    refs: dict[str, _End] = {}
    names: dict[str, str] = {}
    follows: tuple[int, ...] = ()
    lookup: tuple[Part, ...] = ()
    related: tuple[Part, ...] = ()
    before: dict[str, str] = {}
    was_class: str = ""
    parts: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    host: int | None = None
    type: str = ""
    parent: _End | None = None
    child: _End | None = None
    in_unit: bool = False
    reason: str = ""
    code: str = ""
    message: str = ""
    owner: str = ""
    seen_at: str = ""
    spec: str = ""
    place: Place | None = None
    fix: str = ""


class Head(msgspec.Struct, gc=False):
    """What is read of any line to know what it is: an operation, a batch, or (both None) the manifest."""

    op: int | None = None
    batch: int | None = None
    step: int = 0
    wave: int = 0
    action: str = "unknown"
    reason: str = ""
    code: str = ""
    message: str = ""
    sys_id: str = ""
    class_name: str = ""


_encode = msgspec.json.Encoder().encode
_line = msgspec.json.Decoder(_Line).decode
_batch = msgspec.json.Decoder(Batch).decode
head = msgspec.json.Decoder(Head).decode
"""Reads a line's head; raises msgspec.MsgspecError when it is none."""


def _to_end(end: End) -> _End:
    if end.sys_id:
        return _End(end.op, end.key, end.step, end.sys_id, end.class_name)
    return _End(end.op, class_name=end.class_name, later=(end.step, end.key))


def _from_end(end: _End) -> End:
    if end.later is not None:
        return End(end.op, end.later[0], end.later[1], "", end.class_name)
    return End(end.op, end.step, end.key, end.sys_id, end.class_name)


def change_to_line(change: Change) -> bytes:
    """One operation as a line of the plan; keys in a fixed order, so equal plans have equal bytes."""
    if not change.refs and change.parent is None and change.child is None:
        return _encode(change)
    line = _Line(*msgspec.structs.astuple(change))
    line.refs = {name: _to_end(end) for name, end in change.refs.items()}
    line.parent = None if change.parent is None else _to_end(change.parent)
    line.child = None if change.child is None else _to_end(change.child)
    return _encode(line)


def change_from_line(line: str | bytes) -> Change:
    """One operation of a plan; raises msgspec.MsgspecError when the line is not one."""
    read = _line(line)
    change = Change(*msgspec.structs.astuple(read))
    if read.refs:
        change.refs = {name: _from_end(end) for name, end in read.refs.items()}
    if read.parent is not None:
        change.parent = _from_end(read.parent)
    if read.child is not None:
        change.child = _from_end(read.child)
    return change


def change_to_json(change: Change) -> dict[str, Any]:
    """One operation as plain data, as it stands in the plan."""
    plain: dict[str, Any] = msgspec.json.decode(change_to_line(change))
    return plain


def batch_to_line(batch: Batch) -> bytes:
    """A batch as a line of the plan."""
    return _encode(batch)


def batch_from_line(line: str | bytes) -> Batch:
    """A batch of a plan; raises msgspec.MsgspecError when the line is not one."""
    return _batch(line)
