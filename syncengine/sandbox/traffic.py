"""How many transactions run at once, how many wait, and how long one may take.

Observed: API requests run in a semaphore set, e.g. 4 at a time with a queue of 50, beyond which 429 comes; requests of
one session (cookie JSESSIONID) run one after the other, and with 10 waiting or one older than 30 s a new one is
answered 202 without a body and dropped. Documented: transaction quotas of 60 s, for a batch 30 s. All times are the
sandbox's.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

import orjson

from syncengine.sandbox.faults.content import CANCELLED, cut_off
from syncengine.sandbox.faults.exchange import Answer, Headers, answer_of, made
from syncengine.sandbox.servicenow.errors import ApiError
from syncengine.sandbox.world import World

COOKIE = "JSESSIONID"
_BY_API = {
    "table_read", "table_write", "stats", "import_one", "insert_multiple", "staging_read",
    "attach_upload", "attach_list", "attach_file", "attach_write",
}  # fmt: skip


@dataclass(slots=True)
class _Line:
    """Whoever runs, and who waits for it."""

    running: int = 0
    started: float = 0.0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    async def take(self, places: int) -> None:
        if self.running < places:
            self.running += 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(mine)
        await mine  # the place is handed over, so `running` stays

    def give(self) -> None:
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.running -= 1


class Traffic:
    """The transactions of one sandbox."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._node = _Line()
        self._sessions: dict[str, _Line] = {}

    @asynccontextmanager
    async def transaction(self, api: str, headers: dict[str, str]) -> AsyncIterator[Answer | None]:
        """Wait for a place; gives the answer that stands instead, where there is none to wait for."""
        session = _session(headers.get("cookie", ""))
        line = self._sessions.setdefault(session, _Line()) if session else None
        if line is not None:
            if self._dropped(line):
                yield made(202, b"", "")
                return
            await line.take(1)
            line.started = self._world.clock.time()
        try:
            async with self._place(api) as refusal:
                yield refusal
        finally:
            if line is not None:
                line.give()
                if not line.running:
                    self._sessions.pop(session, None)

    @asynccontextmanager
    async def _place(self, api: str) -> AsyncIterator[Answer | None]:
        settings = self._world.settings
        places = settings.number("limits.semaphores")
        if not places or api == "oauth":
            yield None
            return
        node = self._node
        if node.running >= places and len(node.waiting) >= settings.number("limits.queue"):
            # the body of this refusal was not found; it has no headers that say how long to wait
            yield answer_of(ApiError(429, "Too many requests", "The queue of semaphore set API_INT is full").response())
            return
        await node.take(places)
        try:
            yield None
        finally:
            node.give()

    def _dropped(self, line: _Line) -> bool:
        settings = self._world.settings
        old = self._world.clock.time() - line.started > settings.number("session.seconds")
        return bool(line.running) and (old or len(line.waiting) >= settings.number("session.queue"))

    def new_session(self, headers: dict[str, str]) -> Headers:
        """The cookies of an answer to a client that sent none."""
        if not self._world.settings["session.cookies"] or _session(headers.get("cookie", "")):
            return []
        mine = f"{COOKIE}={secrets.token_hex(16).upper()}; Path=/; HttpOnly"
        return [
            (b"set-cookie", mine.encode()),
            (b"set-cookie", b"glide_user_route=glide.sandbox; Path=/; HttpOnly"),
            (b"set-cookie", b"BIGipServerpool_sandbox=sandbox; Path=/; HttpOnly"),
        ]

    def quota(self, api: str) -> float:
        """How long a transaction of this API may take; nothing: for ever."""
        name = "quota.batch_seconds" if api == "batch" else "quota.seconds"
        if api not in _BY_API and api != "batch":
            name = "quota.other_seconds"
        return self._world.settings.number(name) or float("inf")

    def cancelled(self, api: str, work: Callable[[], Answer]) -> Answer:
        """What a transaction over its quota is answered with; a write was not begun (inferred)."""
        way = self._world.settings["quota.answer"]
        if way == "500" or api not in ("table_read", "staging_read"):
            return answer_of(ApiError(500, CANCELLED["message"], CANCELLED["detail"]).response())
        answer = work()
        document = orjson.loads(answer.body)
        rows = document.get("result")
        half = len(rows) // 2 if isinstance(rows, list) else 0
        if way == "cut":
            body = cut_off(document, half)
        else:
            body = orjson.dumps({"result": rows[:half] if half else [], "error": CANCELLED, "status": "failure"})
        length = (b"content-length", str(len(body)).encode())
        return Answer(answer.status, [*answer.without(b"content-length"), length], body)


def _session(cookie: str) -> str:
    if COOKIE not in cookie:
        return ""
    try:
        found = SimpleCookie(cookie).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""
