"""For machines: one JSON object a line, each with its kind; `version` rises when a key changes its meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from syncengine.changes import Change
from syncengine.execution.rejects import advice
from syncengine.execution.summary import Summary
from syncengine.planning.lines import change_to_json
from syncengine.planning.plan_file import PlanFile
from syncengine.reports import Report, changes_of, wanted_of

if TYPE_CHECKING:
    from syncengine.execution.account import Account

VERSION = 1


def _line(data: dict[str, Any]) -> str:
    return orjson.dumps(data).decode()


def _planned(change: Change, step: str) -> dict[str, Any]:
    """An operation as in the plan, whose lines leave out what is unknown; a machine is told that, too."""
    return change_to_json(change) | {"step": step, "action": change.action, "basis": change.basis}


class JsonReport(Report):
    """The plan's own lines, numbers of steps spelled out."""

    def of_plan(self, plan: PlanFile, *, details: int) -> Iterator[str]:
        """A header line, every operation but the unchanged ones, a summary line; a machine is spared no details."""
        del details
        steps = plan.header.steps
        yield _line(
            {
                "kind": "plan",
                "version": VERSION,
                "plan_hash": plan.seal.plan_hash,
                "made_at": plan.seal.made_at,
                "header": asdict(plan.header),
            }
        )
        for change in changes_of(plan):
            if change.action != "unchanged":
                line = _planned(change, steps[change.step].name if change.kind != "end" else "")
                yield _line({"kind": "operation", "operation": line})
        manifest = plan.manifest
        yield _line(
            {
                "kind": "summary",
                "changes": manifest.changes,
                "refused": manifest.is_refused,
                **asdict(manifest),
            }
        )

    def of_account(self, account: Account, *, details: int) -> Iterator[str]:
        """The run, every operation that was wanted with what became of it, and what is left to do."""
        del details
        row, steps = account.row, account.plan.header.steps
        yield _line(
            {
                **self._run(account.summary),
                "exit": row.exit,
                "ending": account.ending,
                "specs": row.specs,
                "product": row.product,
                "started_at": row.started_at,
                "ended_at": row.ended_at,
                "next": account.next_step,
            }
        )
        for change, outcome in wanted_of(account):
            line = _planned(change, steps[change.step].name)
            said = {"result": outcome.result, "sys_id": outcome.sys_id, "operation": outcome.operation}
            why = {"code": outcome.code, "message": outcome.message, "fix": change.fix or advice(outcome.code)}
            yield _line({"kind": "outcome", "planned": line, **said, **why})

    def of_run(self, summary: Summary) -> Iterator[str]:
        """One object."""
        yield _line(self._run(summary))

    def _run(self, summary: Summary) -> dict[str, Any]:
        plain = asdict(summary)
        plain["exit"], plain["stopped"] = int(summary.exit), int(summary.stopped)
        if summary.problem is not None:
            plain["problem"]["place"] = str(summary.problem.place)
        return {"kind": "run", "version": VERSION, **plain}
