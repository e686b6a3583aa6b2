"""Whether attachments can be listed, and what the instance takes as one."""

from __future__ import annotations

from collections.abc import Iterator

from syncengine.doctor.finding import Finding
from syncengine.doctor.rights import REFUSED, said
from syncengine.doctor.visit import Visit
from syncengine.errors import Exit
from syncengine.targets.attach.limits import EXTENSIONS, SIZE, read_limits
from syncengine.transport.answer import Ending, Request
from syncengine.transport.attachments import PATH


def look(visit: Visit) -> Iterator[Finding]:
    """Only where a spec attaches files."""
    steps = [step for step in visit.steps if step.kind == "attach"]
    if not steps:
        return
    place = f"GET {PATH}"
    answer = visit.call(Request("GET", PATH, {"sysparm_limit": "1"}), visit.fresh())
    if answer.status in REFUSED:
        fix = visit.ask_for("access to the Attachment API", "Attachment API")
        yield Finding("attachments", "problem", f"Attachment API, GET: {said(answer)}", fix, place, Exit.AUTH)
        return
    if answer.ending is not Ending.DONE:
        yield Finding("attachments", "problem", f"Attachment API, GET: {said(answer)}", "", place, Exit.REMOTE)
        return
    limits = read_limits(visit.reader())
    if limits.most_bytes is None or limits.extensions is None:
        fix = visit.ask_for(f"read access to the properties {SIZE} and {EXTENSIONS}")
        said_so = "what the instance takes cannot be read: a file that is too large is refused only when it is sent"
        yield Finding("attachments", "warning", said_so, fix)
        return
    which = f"with the extensions {', '.join(sorted(limits.extensions))}" if limits.extensions else "of every extension"
    yield Finding("attachments", "ok", f"files of up to {limits.most_bytes >> 20} MB {which}")
