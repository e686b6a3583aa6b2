"""Outcomes counted, and the exit they lead to."""

from __future__ import annotations

from dataclasses import dataclass, field

from syncengine.errors import Exit, Problem, worst

RESULTS = ("applied", "rejected", "stale", "not_sent", "unknown")


@dataclass(slots=True)
class StepSummary:
    """What became of one step's operations: result → action → number."""

    results: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, result: str, action: str, number: int = 1) -> None:
        """Count operations."""
        actions = self.results.setdefault(result, {})
        actions[action] = actions.get(action, 0) + number

    def total(self, result: str) -> int:
        """All operations with a result."""
        return sum(self.results.get(result, {}).values())


@dataclass(slots=True)
class Summary:
    """What became of a run."""

    run: str
    plan_hash: str
    environment: str
    steps: dict[str, StepSummary] = field(default_factory=dict)
    unchanged: int = 0
    touched: int = 0
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0
    notes: dict[str, int] = field(default_factory=dict)
    rejects: str = ""
    """Path of the file with the rows that were not applied."""
    problem: Problem | None = None
    """Why the run stopped before its end."""
    stopped: Exit = Exit.OK
    again: str = ""
    """The run whose rows it did again."""

    def total(self, result: str) -> int:
        """All operations with a result, over all steps."""
        return sum(step.total(result) for step in self.steps.values())

    @property
    def operations(self) -> int:
        """Everything the plan wanted to do."""
        return sum(self.total(result) for result in RESULTS)

    @property
    def exit(self) -> Exit:
        """The exit class: the worst of what happened."""
        exits = [self.stopped]
        if self.total("unknown"):
            exits.append(Exit.UNKNOWN)
        if self.total("stale"):
            exits.append(Exit.STALE)
        if self.total("rejected") or self.total("not_sent"):
            exits.append(Exit.PARTIAL)
        return worst(exits)
