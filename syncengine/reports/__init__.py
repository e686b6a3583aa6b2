"""A plan or a run → text: one file per format. The folder is the registry."""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator

from syncengine.execution.account import Account
from syncengine.execution.summary import Summary
from syncengine.planning.plan_file import PlanFile

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
