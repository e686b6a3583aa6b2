"""Staging tables of the specs: whether they are there, what their maps make of rows, and what may be read of it."""

from __future__ import annotations

from collections.abc import Iterator

from syncengine.changes import StepInfo
from syncengine.doctor.finding import Finding
from syncengine.doctor.visit import Visit
from syncengine.errors import Exit
from syncengine.spec.model import Step
from syncengine.targets import Manner
from syncengine.targets.staging.facts import Facts, Staging
from syncengine.targets.staging.preparing import problems
from syncengine.transport.import_set import ROLE


def look(visit: Visit) -> Iterator[Finding]:
    """One line per step, or one per thing that is wrong with it."""
    steps = [step for step in visit.steps if step.kind == "staging"]
    if not steps:
        return
    facts = Facts(visit.reader())
    manner = Manner(insert_multiple=visit.insert_multiple)
    for step in steps:
        staging = facts.staging(str(step.options["table"]))
        yield from _told(visit, step, staging, manner)


def _told(visit: Visit, step: Step, staging: Staging, manner: Manner) -> Iterator[Finding]:
    is_wrong = False
    for one in problems(_info(step), staging, manner):
        is_wrong = is_wrong or one.severity == "error"
        fix = one.fix.replace("ask the admin for the role", "have the role")
        if ROLE in one.fix and fix != one.fix:
            fix = visit.ask_for(f"the role {ROLE}")
        if one.severity == "error":
            yield Finding("staging", "problem", one.message, fix, str(one.place), Exit.SPEC)
        else:
            yield Finding("staging", "warning", one.message, fix, str(one.place))
    if not is_wrong and not staging.undecidable:
        yield Finding("staging", "ok", f"{staging.name}: {'; '.join(_said(staging))}")


def _said(staging: Staging) -> Iterator[str]:
    for one in staging.maps:
        by = "+".join(entry.target for entry in one.coalesce)
        yield f'map "{one.name}" onto {one.target.name}, ' + (f"found by {by}" if by else "a new record for every row")


def _info(step: Step) -> StepInfo:
    fields = {one.name: str(one.position) for one in step.fields}
    where = str(step.position)
    return StepInfo(step.full_name, step.kind, "", "", step.feed, fields=fields, position=where, options=step.options)
