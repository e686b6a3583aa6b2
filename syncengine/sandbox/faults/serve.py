"""Which rules meet a request, and in which order they act."""

from __future__ import annotations

import asyncio
from typing import Any

from syncengine.sandbox.clock import Clock
from syncengine.sandbox.faults import content, wire
from syncengine.sandbox.faults.exchange import Answer, Exchange
from syncengine.sandbox.faults.rules import Rule, RuleError, parse
from syncengine.sandbox.injected import injector


class Faults:
    """The rules in force."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._late: set[asyncio.Task[None]] = set()
        self.rules: list[Rule] = []
        self.met: list[dict[str, str]] = []
        """Every fault that took place, in order."""

    def add(self, text: str) -> None:
        """Put a rule in force."""
        self.rules.append(parse(text))

    def clear(self) -> None:
        """Take all rules away; what they have done stays on record."""
        self.rules.clear()

    def describe(self) -> list[dict[str, Any]]:
        """The rules, and how often each was asked and met."""
        return [{"rule": rule.text, "seen": rule.seen, "met": rule.met} for rule in self.rules]

    def counts(self) -> dict[str, int]:
        """How often each action took place."""
        found: dict[str, int] = {}
        for one in self.met:
            found[one["action"]] = found.get(one["action"], 0) + 1
        return found

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request, through the rules that meet it."""
        rules = [rule for rule in self.rules if rule.meets(exchange.api, exchange.body)]
        for rule in rules:
            self.met.append({"action": rule.action, "api": exchange.api, "path": exchange.path, "rule": rule.text})
        for rule in rules:
            if rule.action == "delay":
                await asyncio.sleep(_delay(rule))
        for rule in rules:
            if await self._before(exchange, rule):
                return
        answer = self._work(exchange, rules)
        for rule in rules:
            if rule.action.startswith("commit_then_"):
                await self._after(exchange, rule)
                return
        for rule in rules:
            if rule.action in content.CHANGES and not _by_engine(exchange, rule):
                answer = content.change(answer, rule)
            if rule.action == "reorder":
                await asyncio.sleep(rule.random.uniform(0, 0.03))
        broken = next((rule for rule in rules if rule.action in wire.BROKEN), None)
        if broken is None:
            await answer.send(exchange.send)
        else:
            await wire.BROKEN[broken.action](exchange, broken, answer)

    def _work(self, exchange: Exchange, rules: list[Rule]) -> Answer:
        chosen = next((rule for rule in rules if _by_engine(exchange, rule)), None)
        if chosen is None:
            return exchange.answer()
        mark = injector.set(lambda: _error(chosen))
        try:
            return exchange.answer()
        finally:
            injector.reset(mark)

    async def _before(self, exchange: Exchange, rule: Rule) -> bool:
        """Actions that come before any work; True when the request is over."""
        answer = wire.instead(rule, self._clock.time())
        if answer is not None:
            await answer.send(exchange.send)
            return True
        match rule.action:
            case "reset" | "close":
                wire.abort(exchange, rule.action == "reset")
            case "hang":
                await exchange.gone()
            case "commit_late":
                task = asyncio.create_task(self._later(exchange, rule.number(0, 1)))
                self._late.add(task)
                task.add_done_callback(self._late.discard)
                wire.abort(exchange, True)
            case _:
                return False
        return True

    async def _later(self, exchange: Exchange, seconds: float) -> None:
        await self._clock.sleep(seconds)
        exchange.answer()

    async def _after(self, exchange: Exchange, rule: Rule) -> None:
        match rule.action:
            case "commit_then_hang":
                await exchange.gone()
            case "commit_then_status":
                await wire.refusal(rule, self._clock.time()).send(exchange.send)
            case _:
                wire.abort(exchange, rule.action == "commit_then_reset")


def _by_engine(exchange: Exchange, rule: Rule) -> bool:
    """Item errors of the engine are found by the engine: the failed items are not written, their siblings are."""
    return exchange.api in ("ire", "ire_query") and (
        rule.action == "item_errors" or (rule.action == "code" and rule.argument(0) != "cancelled")
    )


def _error(rule: Rule) -> str:
    if rule.action == "code":
        return rule.argument(0, "LOCK_TIMEOUT")
    return rule.argument(1, "INSERT_FAILED") if rule.random.random() < rule.number(0, 0.5) else ""


def _delay(rule: Rule) -> float:
    low, dots, high = rule.argument(0, "0.1").partition("..")
    try:
        return rule.random.uniform(float(low), float(high)) if dots else float(low)
    except ValueError as fault:
        raise RuleError(f"{rule.text}: delay(seconds) or delay(from..to)") from fault
