"""The two doors to a server: `Reader`, which cannot write, and `Writer`, which can."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import IO, Literal, overload

import msgspec

from syncengine.errors import NOTHING_WRITTEN, AuthError, Problem, RemoteError, SyncError
from syncengine.transport.answer import Answer, Decode, Ending, Expect, Kind, Request
from syncengine.transport.client import Client
from syncengine.transport.clock import Clock
from syncengine.transport.foreign import Foreign
from syncengine.transport.retry import Patience, Purse, Repeater

ASKS = frozenset(
    {
        "/api/now/identifyreconcile/query",
        "/api/now/identifyreconcile/queryEnhanced",
        "/oauth_token.do",
        "/v1/export",
        "/oauth/token",
    }
)
"""The POST paths that write nothing; the whole list, compared letter by letter."""


class Reader:
    """Reads and asks; repeats by itself; raises when it must give up. Nothing it can do changes the server.

    One per client: what is learnt about an outage is shared by all who use it. `on_wait` is told the answer that
    made it wait and for how many seconds, before each wait, in the thread that waits.
    """

    def __init__(
        self,
        client: Client,
        *,
        purse: Purse | None = None,
        patience: Patience | None = None,
        on_wait: Callable[[Answer, float], None] | None = None,
        foreign: Foreign | None = None,
    ) -> None:
        self._client = client
        self._foreign = foreign
        self._repeater = Repeater(client, purse, patience, on_wait)

    @property
    def host(self) -> str:
        return self._client.host

    @property
    def base_url(self) -> str:
        return self._client.base_url

    @property
    def retries(self) -> int:
        return self._repeater.retries

    @property
    def clock(self) -> Clock:
        return self._client.clock

    def save(self, url: str, stream: IO[bytes]) -> None:
        """Write a file that the server keeps elsewhere into `stream`; RemoteError where that may not or cannot be."""
        if self._foreign is None:
            raise Foreign(()).refused(url)
        self._foreign.save(url, stream)

    @overload
    def get(
        self,
        path: str,
        params: Mapping[str, str] | None = ...,
        *,
        allow_missing: Literal[False] = ...,
        expect: Expect = ...,
        headers: Mapping[str, str] | None = ...,
    ) -> Answer: ...
    @overload
    def get(
        self,
        path: str,
        params: Mapping[str, str] | None = ...,
        *,
        allow_missing: bool,
        expect: Expect = ...,
        headers: Mapping[str, str] | None = ...,
    ) -> Answer | None: ...
    def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        allow_missing: bool = False,
        expect: Expect = "json",
        headers: Mapping[str, str] | None = None,
    ) -> Answer | None:
        """A complete answer; with `allow_missing` None for a 404. AuthError or RemoteError when none is to be had."""
        answer = self._repeater.call(Request("GET", path, params or {}, expect=expect, headers=headers or {}))
        if allow_missing and answer.ending is Ending.REFUSED and answer.status == 404:
            return None
        return self._checked(answer)

    def ask(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        body: object = None,
        *,
        decode: Decode | None = None,
        expect: Expect = "json",
    ) -> Answer:
        """The answer to a POST that writes nothing."""
        if path not in ASKS:
            raise ValueError(f"{path} is not known to write nothing")
        return self._checked(
            self._repeater.call(Request("POST", path, params or {}, body, kind=Kind.DRY, expect=expect, decode=decode))
        )

    def _checked(self, answer: Answer) -> Answer:
        if answer.ending is not Ending.DONE:
            raise error_of(answer)
        return answer


class Sent(msgspec.Struct, frozen=True):
    """What is known about a write."""

    outcome: Ending
    answer: Answer
    problem: Problem | None = None
    stop: SyncError | None = None
    """To be raised once the outcome is recorded: nothing more can be sent there."""

    @property
    def why(self) -> str:
        """What went wrong, on one line; empty when nothing did."""
        if self.problem is None:
            return ""
        return self.problem.message + (f": {self.problem.found}" if self.problem.found else "")


class Writer(Reader):
    """A reader that can also write. An UNKNOWN write is never repeated here: whoever knows the target settles it."""

    def send(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        body: object = None,
        *,
        kind: Kind = Kind.BARE,
        method: str = "POST",
        content_type: str = "application/json",
        expect: Expect = "json",
        length: int | None = None,
        headers: Mapping[str, str] | None = None,
        deadline: float | None = None,
        decode: Decode | None = None,
    ) -> Sent:
        """Write once. NOT_SENT and THROTTLED are repeated inside; what is returned is the last word on it."""
        if not kind.is_write:
            raise ValueError(f"{kind} is not a write")
        how = (kind, expect, content_type, headers or {}, deadline, length, decode)
        request = Request(method, path, params or {}, body, *how)
        answer = self._repeater.call(request)
        stop: SyncError | None = None
        if answer.ending in (Ending.NOT_SENT, Ending.THROTTLED) or answer.status == 401:
            stop = error_of(answer)
        return Sent(answer.ending, answer, answer.problem, stop)


def error_of(answer: Answer) -> SyncError:
    """The error to stop with."""
    assert answer.problem is not None  # noqa: S101  # only a DONE answer has none
    is_login = answer.status in (401, 403) or answer.problem.code == "login-refused"
    return (AuthError if is_login else RemoteError)(answer.problem, effect=NOTHING_WRITTEN)
