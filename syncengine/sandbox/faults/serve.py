"""Which rules meet a request, and in which order they act."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from syncengine.sandbox.body import Body
from syncengine.sandbox.clock import Clock
from syncengine.sandbox.faults import content, wire
from syncengine.sandbox.faults.exchange import Answer, Exchange, made
from syncengine.sandbox.faults.rules import Rule, RuleError, parse
from syncengine.sandbox.injected import first_bytes, injector, job, log, seconds_each, stuck

BEFORE = frozenset({
    "status", "html200", "hibernate", "maintenance", "unauthorized", "drop202", "login302", "redirect", "rate_limit",
    "reset", "close", "hang", "commit_late",
})  # fmt: skip
"""Actions that take the place of any work."""


class Faults:
    """The rules in force."""

    def __init__(self, clock: Clock, expire: Callable[[], None]) -> None:
        self._clock = clock
        self._expire = expire
        self._late: set[asyncio.Task[None]] = set()
        self.rules: list[Rule] = []
        self.met: list[dict[str, str]] = []
        """Every fault that took place, in order."""
        self.revoked = False
        """No login is accepted any more."""

    def add(self, text: str) -> None:
        """Put a rule in force."""
        self.rules.append(parse(text))

    def clear(self) -> None:
        """Take all rules away; what they have done stays on record."""
        self.rules.clear()
        self.revoked = False

    def forget(self) -> None:
        """Nothing has taken place yet: what a reset means, as for the ledger."""
        self.met.clear()

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
        now = self._clock.time()
        rules = [rule for rule in self.rules if rule.meets(exchange.api, exchange.path, exchange.told, now)]
        for rule in rules:
            self.met.append({"action": rule.action, "api": exchange.api, "path": exchange.path, "rule": rule.text})
        instead = next((rule for rule in rules if rule.action in BEFORE), None)
        answer: Answer | None = None
        # a place is given back before anything is sent: what happens on the wire is no part of the transaction
        async with exchange.place() as refusal:
            if refusal is None:
                late = await self._spend(exchange, rules)
                if instead is None:
                    answer = self._work(exchange, rules, late)
        if refusal is not None:
            await refusal.send(exchange.send)
        elif instead is not None:
            await self._before(exchange, instead)
        elif answer is not None:
            await self._tell(exchange, rules, answer)

    async def _spend(self, exchange: Exchange, rules: list[Rule]) -> bool:
        """Let the transaction take its time; True when it passed its quota."""
        spent = sum(rule.number(0, 0) for rule in rules if rule.action == "takes" and exchange.api != "batch")
        for rule in rules:
            if rule.action == "delay":
                seconds = _delay(rule)
                await self._clock.sleep(min(seconds, max(0.0, exchange.quota - spent)))
                spent += seconds
        return spent > exchange.quota

    async def _tell(self, exchange: Exchange, rules: list[Rule], answer: Answer) -> None:
        if rules:
            answer = answer.whole()
        for rule in rules:
            if rule.action.startswith("commit_then_") or rule.action == "commit_part":
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

    def _work(self, exchange: Exchange, rules: list[Rule], late: bool) -> Answer:
        chosen = next((rule for rule in rules if _by_engine(exchange, rule)), None)
        part = next((rule for rule in rules if rule.action == "commit_part"), None)
        body: Body | None = exchange.body
        if part is not None:
            # of an upload, the API itself keeps only the first bytes of the file
            body = content.first(body, part.first) if isinstance(body, bytes) else body if part.first else None
        if any(rule.action == "expire_token" for rule in rules):
            self._expire()
        self.revoked = self.revoked or any(rule.action == "revoke" for rule in rules)
        if body is None:
            return made(200, b"")  # nothing takes effect, and nobody will see this
        told = {rule.action: rule.argument(0) for rule in reversed(rules) if rule.action in ("job", "log")}
        wanted: list[tuple[ContextVar[Any], Any]] = [
            (injector, (lambda: _error(chosen)) if chosen is not None else None),
            (seconds_each, sum(rule.number(0, 0) for rule in rules if rule.action == "takes")),
            (stuck, told.get("job") == "stuck"),
            (job, told.get("job", "")),
            (log, told.get("log", "")),
            (first_bytes, part.first if part is not None else None),
        ]
        marks = [(variable, variable.set(value)) for variable, value in wanted]
        try:
            if late:
                return exchange.cancelled(lambda: exchange.answer(body))
            return exchange.answer(body)
        finally:
            for variable, mark in marks:
                variable.reset(mark)

    async def _before(self, exchange: Exchange, rule: Rule) -> None:
        """Actions that come before any work."""
        answer = wire.instead(rule, self._clock.time(), exchange.api)
        if answer is not None:
            await answer.send(exchange.send)
            return
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

    async def _later(self, exchange: Exchange, seconds: float) -> None:
        await self._clock.sleep(seconds)
        exchange.answer(exchange.body)

    async def _after(self, exchange: Exchange, rule: Rule) -> None:
        match rule.then or rule.action.removeprefix("commit_then_"):
            case "hang":
                await exchange.gone()
            case "status":
                await wire.refusal(rule, self._clock.time(), exchange.api).send(exchange.send)
            case ending:
                wire.abort(exchange, ending == "reset")


def _by_engine(exchange: Exchange, rule: Rule) -> bool:
    """Item errors are found by the engine or the transform: the failed items are not written, their siblings are."""
    return exchange.api in ("ire", "ire_query", "import_one", "insert_multiple") and (
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
