"""Which pair of identification calls the instance has, and whether this login may use it."""

from __future__ import annotations

from collections.abc import Iterator

from syncengine.doctor.finding import Finding
from syncengine.doctor.rights import REFUSED, said
from syncengine.doctor.visit import Visit
from syncengine.errors import Exit
from syncengine.targets.cmdb.dialects import DIALECTS
from syncengine.transport.answer import Answer, Ending, Kind, Request

EMPTY: dict[str, list[object]] = {"items": [], "relations": []}


def look(visit: Visit) -> Iterator[Finding]:
    """Asks both dry runs with an empty payload; the calls that write are not tried."""
    if not visit.makes_cis:
        return
    answers = {name: _ask(visit, name) for name in DIALECTS}
    shut = [name for name, answer in answers.items() if answer.status in REFUSED]
    there = [name for name, answer in answers.items() if _is_there(answer)]
    wanted = visit.dialect
    if wanted in shut:
        fix = visit.ask_for("role itil or asset", "IdentifyReconcile API, method POST")
        call = DIALECTS[wanted].query
        message = f"IdentifyReconcile, POST: {said(answers[wanted])}"
        yield Finding("rights", "problem", message, fix, f"POST {call}", Exit.AUTH)
    elif wanted in there:
        yield Finding("dialect", "ok", f"{wanted}: its dry run answers; its call that writes is not tried here")
        if wanted == "classic" and "enhanced" in there:
            fix = f"dialect: enhanced   in {visit.place}"
            message = "the enhanced calls are there, too: they take the good records of a request beside a bad one"
            yield Finding("dialect", "warning", message, fix)
    elif there:
        fix = f"dialect: {there[0]}   in {visit.place}"
        message = f"the instance does not have the calls of dialect {wanted}: {said(answers[wanted])}"
        yield Finding("dialect", "problem", message, fix, f"POST {DIALECTS[wanted].query}", Exit.SPEC)
    else:
        message = f"IdentifyReconcile does not answer: {said(answers[wanted])}"
        fix = "ask the admin whether the CMDB's IdentifyReconcile API is active on this instance"
        yield Finding("dialect", "problem", message, fix, f"POST {DIALECTS[wanted].query}", Exit.REMOTE)


def _ask(visit: Visit, name: str) -> Answer:
    source = next((step.data_source for step in visit.steps if step.data_source), "ImportSet")
    calls = DIALECTS[name]
    return visit.call(Request("POST", calls.query, calls.params(source), EMPTY, kind=Kind.DRY), visit.fresh())


def _is_there(answer: Answer) -> bool:
    """An empty payload may be refused in words; a path that no API serves is refused as such."""
    if answer.ending is Ending.DONE:
        return True
    words = f"{answer.problem.message} {answer.problem.found}" if answer.problem else ""
    return answer.status in (400, 500) and "does not represent any resource" not in words
