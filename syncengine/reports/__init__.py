"""A plan or a run → text: one file per format. The folder is the registry."""

from __future__ import annotations

import importlib
import pkgutil
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from msgspec import structs

from syncengine.changes import Change, Outcome
from syncengine.errors import many
from syncengine.execution.summary import Summary
from syncengine.planning.lines import Head
from syncengine.planning.plan import GuardResult
from syncengine.planning.plan_file import PlanFile
from syncengine.planning.sealing import HIDDEN

if TYPE_CHECKING:
    from syncengine.execution.account import Account

ALL = 1_000_000_000


class Report(ABC):
    """One format; yields lines without their ends, so a plan of any size is never held."""

    @abstractmethod
    def of_plan(self, plan: PlanFile, *, details: int) -> Iterator[str]:
        """A plan; at most `details` operations of each kind and step are written out."""

    @abstractmethod
    def of_run(self, summary: Summary) -> Iterator[str]:
        """What became of a run, in numbers."""

    @abstractmethod
    def of_account(self, account: Account, *, details: int) -> Iterator[str]:
        """What a run did, operation by operation; at most `details` of each step and result are written out."""


def kinds() -> list[str]:
    """The formats: the modules of this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(kind: str) -> Report:
    """The report of a format; raises LookupError for one that is not in this folder."""
    if kind not in kinds():
        raise LookupError(kind)
    for value in vars(importlib.import_module(f"{__name__}.{kind}")).values():
        if isinstance(value, type) and issubclass(value, Report) and value is not Report:
            return value()
    raise LookupError(kind)


TOUCHED = {
    "adopted": "as wanted, and sent once so that it becomes ours",
    "touch": "as wanted, and sent so that it counts as seen",
    "along": "as wanted, and sent with the rows of its owner, which replace each other",
}
"""Why a record that stays as it is is sent."""


def guard_sentence(guard: GuardResult) -> str:
    """A guard that was broken or waived."""
    said = "waived" if guard.state == "waived" else "REFUSED"
    told = f"; --allow {guard.given} names another number" if guard.given else ""
    return f"{said}: {guard.step} {guard.guard} {guard.count:,}, the limit is {guard.limit}{told}"


def plan_sentence(plan: PlanFile) -> str:
    """A plan in short."""
    manifest = plan.manifest
    actions = ("create", "update", "reclassify", "retire", "relate", "attach")
    wanted = [f"{manifest.total(action):,} to {action}" for action in actions if manifest.total(action)]
    if manifest.total("unknown"):
        wanted.append(f"{manifest.total('unknown'):,} unknown")
    adopted = sum(counts.adopted for counts in manifest.counts.values())
    if adopted:
        wanted.append(f"{adopted:,} to adopt")
    along = sum(counts.along for counts in manifest.counts.values())
    if along:
        wanted.append(f"{along:,} to send along")
    rejected = manifest.total("rejected")
    nothing = (
        "nothing to do" if rejected or manifest.is_refused else "nothing to do; the target is as the specs want it"
    )
    text = "Plan: " + (", ".join(wanted) if wanted else nothing)
    if rejected:
        text += f". {many(rejected, 'operation')} rejected, which will not be sent"
    if manifest.is_refused:
        text += ". A guard refuses it, so nothing of it will be sent"
    return text + "."


def run_sentence(summary: Summary) -> str:
    """A run in short."""
    done = f"{summary.total('applied'):,} of {many(summary.operations, 'operation')}"
    took = f" in {summary.seconds:.1f} s" if summary.seconds else ""  # a run that is still open has not said
    return f"Applied {done} to {summary.environment}{took}."


# ── what may be shown ───────────────────────────────────────────────────────────────────────────

_PAYLOAD = re.compile(r"\{.*\}", re.DOTALL)
"""What a target repeats of a request in its messages."""
_WAS = re.compile(r"""\b(was|is) ('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
"""How a stale record is told."""


def changes_of(plan: PlanFile, wanted: Callable[[Head], bool] = lambda _head: True) -> Iterator[Change]:
    """The operations of a plan, without their values where the environment keeps these out of reports."""
    for change in plan.changes(wanted):
        yield change if plan.header.show_values else _discreet(change)


def left_of(account: Account) -> Iterator[tuple[Change, str, str, str]]:
    """What a run did not apply, in the same manner."""
    is_shown = account.plan.header.show_values
    for change, result, code, message in account.left():
        yield (
            (change, result, code, message) if is_shown else (_discreet(change), result, code, without_values(message))
        )


def wanted_of(account: Account) -> Iterator[tuple[Change, Outcome]]:
    """What a run was to do, with what became of it, in the same manner."""
    is_shown = account.plan.header.show_values
    for change, outcome in account.wanted():
        if is_shown:
            yield change, outcome
        else:
            yield _discreet(change), structs.replace(outcome, message=without_values(outcome.message))


def without_values(message: str) -> str:
    """A message of a target, or about a stale record, without what it repeats of a request or a record."""
    return _WAS.sub(r"\1 …", _PAYLOAD.sub("{…}", message))


def _discreet(change: Change) -> Change:
    change.values, change.before, change.names = (
        dict.fromkeys(values, HIDDEN) for values in (change.values, change.before, change.names)
    )
    change.lookup, change.related = (
        tuple(part._replace(values=dict.fromkeys(part.values, HIDDEN)) for part in parts)
        for parts in (change.lookup, change.related)
    )
    change.message = without_values(change.message)
    return change
