"""Files for records (Attachment API), compared with what is there by name, size and, where it is told, hash."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from syncengine.changes import TWICE, Change, Outcome, Parcel, Seen, StepInfo
from syncengine.errors import Problem
from syncengine.targets import Answered, FlatTarget, Manner, Refused, Unclear
from syncengine.targets.attach.limits import Limits, read_limits
from syncengine.transport import upload
from syncengine.transport.answer import Ending, Kind
from syncengine.transport.attachments import PATH, Attachment, attachments_of, hashes_of, read_attachment
from syncengine.transport.import_set import ROLE, can_read_rows
from syncengine.transport.reader import Reader, Sent, Writer

ROW_REFUSALS = frozenset({400, 403, 404, 406, 409, 413, 415, 422})
"""Refusals that concern this file or this record; the next one may fare better."""
SLOWEST = 250_000
"""Bytes a second below which an upload counts as stuck."""
LONG = 300
"""Seconds that any request may take; larger files get more."""


class AttachTarget(FlatTarget):
    """Attachments of records."""

    kinds = ("attach",)
    batch_limit = 1
    ask_size = 400

    def __init__(self, steps: Sequence[StepInfo], manner: Manner | None = None) -> None:
        super().__init__(steps, manner)
        self._lock = threading.Lock()
        self._limits: Limits | None = None
        self._tells_hash = True

    def _know(self, reader: Reader) -> Limits:
        with self._lock:
            if self._limits is None:
                self._limits = read_limits(reader)
            return self._limits

    # ── planning ────────────────────────────────────────────────────────────────────────────────

    def prepare(self, steps: Sequence[StepInfo], reader: Reader) -> list[Problem]:
        """Read the limits of the instance; refuse records whose id nobody will ever know."""
        self._know(reader)
        made = {step.name: step for step in self.steps}
        said = []
        for step in steps:
            to = made.get(str(step.options.get("to") or ""))
            if to is None or to.kind != "staging" or to.options.get("send") != "multiple":
                continue
            if not can_read_rows(reader, str(to.options["table"])):
                said.append(_needs_id(step, to))
        return said

    def preview(self, parcel: Parcel, reader: Reader) -> list[Seen]:
        """Compare with the attachments that are there; records that this plan makes have none."""
        limits = self._know(reader)
        ends = [one.refs["to"] for one in parcel.items if "to" in one.refs]
        there, hidden = attachments_of(reader, {end.sys_id for end in ends if end.sys_id})
        self._add_hashes(parcel, there, reader)
        return [self._seen(one, there, hidden, limits) for one in parcel.items]

    def _add_hashes(self, parcel: Parcel, there: dict[str, list[Attachment]], reader: Reader) -> None:
        """Ask the table for hashes that lists do not show, of files that look alike; not again where it has none."""
        wanted = {
            one.sys_id
            for change in parcel.items
            if "to" in change.refs
            for one in there.get(change.refs["to"].sys_id, ())
            if not one.hash and is_equal(change, one)
        }
        if not wanted or not self._tells_hash:
            return
        found = hashes_of(reader, wanted)
        self._tells_hash = bool(found)
        for record, listed in there.items():
            there[record] = [one._replace(hash=found.get(one.sys_id, one.hash)) for one in listed]

    def _seen(self, change: Change, there: dict[str, list[Attachment]], hidden: set[str], limits: Limits) -> Seen:
        if why := limits.refusal(change.values["name"], int(change.values["size"])):
            return Seen(
                change.op, action="rejected", basis="compared", class_name="attachment", code=why[0], message=why[1]
            )
        if "to" not in change.refs:
            said = "the record that it is for is not there, and may be missing"
            return Seen(change.op, action="unchanged", basis="compared", class_name="attachment", reason=said)
        record = change.refs["to"].sys_id
        if not record:
            return Seen(change.op, action="attach", basis="implied", class_name="attachment")
        same = [one for one in there[record] if one.name == change.values["name"]]
        equal = [one for one in same if is_equal(change, one)]
        others = [one for one in same if one not in equal]
        how = self.steps[change.step].options["if_exists"]
        seen = Seen(change.op, "", "attach", "compared", class_name="attachment")
        if equal and (how != "replace" or not others):
            seen.action, seen.sys_id = "unchanged", equal[0].sys_id
            seen.reason = "same name, size and hash" if equal[0].hash else "same name and size"
        elif record in hidden:
            seen.action, seen.basis = "unknown", "unknown"
            seen.reason = "not all attachments of its record may be seen, so whether it is there cannot be told"
        elif others and how == "skip":
            seen.action, seen.code = "rejected", "other-content"
            seen.message = f"its record has another file of this name ({_said(others[0])})"
        elif others and how == "replace":
            if len(others) > 1:
                seen.action, seen.code = "rejected", "several-of-one-name"
                seen.message = f"its record has {len(others)} files of this name; which one is replaced cannot be told"
            else:
                seen.action, seen.sys_id = "update", others[0].sys_id
                seen.before = {"size": str(others[0].size)} | ({"sha256": others[0].hash} if others[0].hash else {})
        return seen

    def cuts(self, step: StepInfo, changes: Iterator[Change]) -> Iterator[list[Change]]:
        """One file a request."""
        del step
        for change in changes:
            yield [change]

    # ── writing ─────────────────────────────────────────────────────────────────────────────────

    def send(self, parcel: Parcel, writer: Writer) -> Answered | Refused | Unclear:
        """Upload a file, streamed from disk, after it was seen to be the one that was planned."""
        change = parcel.items[0]
        root = (self.manner.root or Path()).resolve()
        path = (root / change.values["file"]).resolve()
        if not path.is_relative_to(root):  # a plan is only data: it does not choose what of this machine is sent
            return _rejected(change, "bad-path", f"{change.values['file']} leads out of the project")
        try:
            digest, size = upload.sha256_of(path)
        except OSError as error:
            return _rejected(change, "no-file", f"{change.values['file']} cannot be read: {error.strerror or error}")
        if digest != change.values["sha256"]:
            return _rejected(change, "file-changed", f"{change.values['file']} is not the file that was planned")
        end = change.refs["to"]
        if change.action == "update":
            there, _ = attachments_of(writer, [end.sys_id])
            made = next((one for one in there[end.sys_id] if is_equal(change, one)), None)
            if made is not None:
                return self._remove(change, made.sys_id, writer)
        with path.open("rb") as stream:
            sent, body = _upload(writer, change, stream, size)
            if (ended := _ended(change, sent)) is not None:
                return ended
            if body.sha256 != digest:
                made = read_attachment(sent.answer.body["result"])
                said = f"the file changed while it was sent; the record has what was sent as attachment {made.sys_id}"
                return _rejected(change, "file-changed", said)
        return self._told(change, sent, size, writer)

    def _told(self, change: Change, sent: Sent, size: int, writer: Writer) -> Answered | Unclear | Refused:
        result = sent.answer.body.get("result") if isinstance(sent.answer.body, dict) else None
        if not isinstance(result, dict) or not result.get("sys_id"):
            return Unclear("the answer names no attachment")
        made = read_attachment(result)
        if made.name != change.values["name"] or made.record not in ("", change.refs["to"].sys_id):
            return Unclear("the answer is for another file or record")
        if made.size not in (-1, size):
            return _rejected(change, "short-file", _short(made, size))
        if change.action == "update":
            return self._remove(change, made.sys_id, writer)
        return Answered((Outcome(change.op, "applied", made.sys_id, "attached"),))

    def _remove(self, change: Change, made: str, writer: Writer) -> Answered | Unclear | Refused:
        """Take the replaced attachment away, now that the new one is there."""
        sent = writer.send(f"{PATH}/{change.sys_id}", method="DELETE", expect="nothing", kind=Kind.KEYED)
        if sent.outcome is Ending.DONE or sent.answer.status == 404:
            return Answered((Outcome(change.op, "applied", made, "replaced"),))
        ended = _ended(change, sent)
        return ended if ended is not None else Unclear("the answer of the removal cannot be used")

    def settle(self, parcel: Parcel, reader: Reader) -> dict[int, Seen]:
        """Look at the record's attachments; a shorter copy of what was sent is told, and not doubled."""
        there, _ = attachments_of(reader, {one.refs["to"].sys_id for one in parcel.items})
        seen = {one.op: one for one in self.preview(parcel, reader)}
        for change in parcel.items:
            found = seen[change.op]
            short = [
                one
                for one in there[change.refs["to"].sys_id]
                if one.name == change.values["name"] and one.size < int(change.values["size"])
                and one.sys_id != change.sys_id
            ]  # fmt: skip
            if found.action != "unchanged" and change.action == "attach" and short and _was_free(change):
                said = _short(short[0], int(change.values["size"]))
                found.outcome = Outcome(change.op, "rejected", code="short-file", message=said)
            copies = sum(is_equal(change, one) for one in there[change.refs["to"].sys_id])
            if copies > 1 and found.action == "unchanged" and _was_free(change):
                warnings = ("settled by looking", TWICE)
                found.outcome = Outcome(change.op, "applied", found.sys_id, "attached", warnings=warnings)
        return seen


def is_equal(change: Change, one: Attachment) -> bool:
    """Whether an attachment is the planned file, as far as the instance tells."""
    if one.name != change.values["name"] or one.size != int(change.values["size"]):
        return False
    return not one.hash or one.hash == change.values["sha256"]


def _was_free(change: Change) -> bool:
    """Whether no file of this name was there when it was planned."""
    return not change.before


def _upload(writer: Writer, change: Change, stream: object, size: int) -> tuple[Sent, upload.Upload]:
    values, end = change.values, change.refs["to"]
    record = {"table_name": end.class_name, "table_sys_id": end.sys_id}
    deadline = size / SLOWEST if size > LONG * SLOWEST else None
    if upload.is_plain(values["name"]):
        body = upload.form(stream, size, values["name"], values["content_type"], record)  # type: ignore[arg-type]
        path, params = f"{PATH}/upload", {}
    else:
        body = upload.raw(stream, size, values["content_type"])  # type: ignore[arg-type]
        path, params = f"{PATH}/file", {**record, "file_name": values["name"]}
    sent = writer.send(path, params, body, content_type=body.content_type, length=body.length, deadline=deadline)
    return sent, body


def _ended(change: Change, sent: Sent) -> Answered | Unclear | Refused | None:
    """What a write came to that was not answered as it should be; None where it was."""
    if sent.outcome is Ending.UNKNOWN:
        return Unclear(sent.why or "no clear answer", is_late=sent.answer.is_late)
    if sent.outcome is Ending.DONE:
        return None
    problem = sent.problem or Problem("not-sent", "the server did not take the request")
    if sent.outcome is Ending.REFUSED and sent.answer.status in ROW_REFUSALS:
        code = "too-large" if sent.answer.status == 413 else "not-attached"
        return _rejected(change, code, sent.why)
    return Refused(problem, sent.stop, sent.answer.status)


def _rejected(change: Change, code: str, message: str) -> Answered:
    return Answered((Outcome(change.op, "rejected", code=code, message=message),))


def _short(made: Attachment, size: int) -> str:
    return f"the instance kept {made.size} of {size} bytes as attachment {made.sys_id}; delete it and plan anew"


def _said(one: Attachment) -> str:
    return f"{one.size} bytes, {one.sys_id}"


def _needs_id(step: StepInfo, to: StepInfo) -> Problem:
    name = to.name.rpartition(".")[2]
    said = (
        f'{step.name} attaches to "{name}", which sends with insertMultiple and whose staging rows cannot be read here'
    )
    fix = (
        f'send: single  in "{name}", or the role {ROLE} for this user, or attach with'
        "  to: {find_in: TABLE, where: {FIELD: COLUMN}}"
    )
    return Problem("attach-needs-record-id", said, step.position, fix=fix)
