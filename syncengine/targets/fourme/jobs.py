"""The job of an import, from its token to its last word.

States, counts and the log are documented; that `failures` are rows refused and `errors` exceptions is inferred. The
log's form is published nowhere, so no more than "a number of a line, then text" is read from it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from syncengine.errors import Problem, RemoteError, many
from syncengine.targets import Running, Unclear, Watch
from syncengine.targets.fourme.sheet import Sheet
from syncengine.transport.fourme import IMPORT, Job, job, polls
from syncengine.transport.reader import Reader
from syncengine.transport.redaction import FOUND, SENTENCE, cut, escape

DEADLINE = 3600.0
"""Seconds after which a job that does not end is left to `resume`."""
MOST_LOG = 16 * 1024 * 1024
_LINE = re.compile(r"\s*(?:\[[^\]]{0,60}\]\s*)?(?:[^\W\d]{1,20}\.?\s+)?(\d{1,9})\s*[:;)\-–—|]\s*(\S.*)")
"""`line 12: text`, `Zeile 12 - text`, `12: text`."""
_PARTS = ("created", "updated", "unchanged", "failures")


@dataclass(frozen=True, slots=True)
class Ended:
    """What a job that is over says of its rows."""

    failed: Mapping[int, str] = field(default_factory=dict)
    """The rows that were refused, by their place in the file, and why."""
    is_complete: bool = True
    """Every row that is not among them was taken."""
    is_cut_off: bool = False
    """It stopped before its end: what is not done was perhaps never reached."""
    why: str = ""
    """What is known of rows of which nothing is told."""
    notes: tuple[str, ...] = ()
    stop: Problem | None = None


class _Capped(io.BytesIO):
    """Takes no more than a log may have."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if self.tell() + len(data) > MOST_LOG:
            raise ValueError(f"it is larger than {MOST_LOG >> 20} MiB")
        return super().write(data)


def follow(name: str, token: str, sheet: Sheet, reader: Reader, watch: Watch) -> Ended | Unclear | Running:
    """Ask until it has ended, ever more slowly, but often enough not to lose the result, which is kept five minutes."""
    waited = 0.0
    word = ""
    for wait in polls():
        if wait and not _slept(watch, wait):
            return Running(f"the import of {name} is {word or 'queued'}; it was not waited for (job {token})")
        waited += wait
        now = job(reader, IMPORT, token)
        if now is None:
            return Unclear(f"4me no longer knows the import job {token} of {name} ({many(len(sheet.lines), 'row')})")
        if now.is_over:
            return _ended(name, now, sheet, reader)
        word = now.state
        at = f", line {now.line} of {sheet.lines[-1][1]}" if now.line is not None else ""
        watch.say(f"{name}: {escape(cut(word, 40))}{at}")
        if waited >= DEADLINE:
            return Running(f"the import of {name} is {word} for {waited / 60:.0f} minutes (job {token})")
    raise AssertionError


def _slept(watch: Watch, seconds: float) -> bool:
    """Wait in small pieces; False when the run is to stop."""
    left = seconds
    while left > 0:
        if watch.is_over():
            return False
        piece = min(left, 1.0)
        watch.clock.sleep(piece)
        left -= piece
    return not watch.is_over()


def _ended(name: str, last: Job, sheet: Sheet, reader: Reader) -> Ended:
    counts = last.counts
    failures, errors = counts.get("failures", 0), counts.get("errors", 0)
    rows = len(sheet.lines)
    said = ", ".join(f"{number} {word}" for word, number in counts.items() if number)
    counted = sum(counts.get(word, 0) for word in _PARTS)
    deleted = (f"rows of owners that an import of {name} removed",) if counts.get("deleted") else ()
    if last.state == "done" and not failures and not errors and counted == rows:
        return Ended(notes=deleted)
    if last.state == "done" and not failures and not errors:
        # Whether counters of grouped types count rows or owners is not documented.
        why = f"the job says {said or 'nothing'}, and {rows} rows were sent"
        return Ended(
            is_complete=False, why=why, notes=(*deleted, f"counts of an import of {name} that do not fit ({why})")
        )
    try:
        failed, other = _read(last.link, sheet, reader)
        missing = ""
    except RemoteError as error:
        failed, other, missing = {}, [], error.problems[0].message
    notes = list(deleted)
    if missing:
        notes.append(f"details unavailable of an import of {name} ({missing})".replace(":", ""))
    if last.state == "done":
        is_complete = bool(failed) and len(failed) == failures and not errors
        why = f"4me refused {failures} of {many(rows, 'row')} ({said})"
        why += f"; details unavailable: {missing}" if missing else "" if is_complete else "; its log does not say which"
        return Ended(failed, is_complete, why=cut(why, SENTENCE * 2), notes=tuple(notes))
    words = escape(cut(last.message or "; ".join(other[:2]) or "no message", FOUND * 2))
    why = f"the import stopped: {words} ({said or 'nothing done'})"
    stop = Problem(
        "import-stopped",
        f"the import of {name} stopped before its end; what it did until then stays",
        found=words,
        fix="mend the row that it names, and retry the run",
    )
    return Ended(failed, is_complete=False, is_cut_off=True, why=why, notes=tuple(notes), stop=stop)


def _read(link: str, sheet: Sheet, reader: Reader) -> tuple[dict[int, str], list[str]]:
    """The rows that a log names, and its other lines; raises RemoteError when it cannot be had."""
    if not link:
        raise RemoteError(Problem("no-log", "the job names no log"))
    stream = _Capped()
    reader.save(link, stream)
    content = stream.getvalue()
    if content[:200].lstrip()[:1] == b"<":
        raise RemoteError(Problem("no-log", "the log is a web page"))
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise RemoteError(Problem("no-log", "the log is no text")) from None
    failed: dict[int, str] = {}
    other = []
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        row = sheet.row_at(int(match[1])) if match else None
        if match is not None and row is not None:
            words = escape(cut(match[2].strip(), 400))
            failed[row] = f"{failed[row]}; {words}" if row in failed else words
        elif line.strip() and not line.startswith("#"):
            other.append(line.strip())
    return failed, other
