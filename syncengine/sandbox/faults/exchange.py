"""One request, its answer, and the connection below them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import NamedTuple

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from syncengine.sandbox.body import Body, Download

MARKER = (b"x-sandbox", b"syncengine")
Headers = list[tuple[bytes, bytes]]
TransportOf = Callable[[Scope], "asyncio.Transport | None"]


class Answer(NamedTuple):
    """An answer, complete."""

    status: int
    headers: Headers
    body: bytes
    parts: Iterator[bytes] | None = None
    """What is sent instead of the body, in parts."""

    async def send(self, send: Send) -> None:
        """Answer as usual; every answer carries the marker."""
        await send({"type": "http.response.start", "status": self.status, "headers": [*self.headers, MARKER]})
        for part in self.parts or ():
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": self.body})

    def whole(self) -> Answer:
        """The same with its body in one piece."""
        return self if self.parts is None else self._replace(body=b"".join(self.parts), parts=None)

    def header(self, name: bytes) -> bytes:
        """One header, or nothing."""
        return next((value for key, value in self.headers if key.lower() == name), b"")

    def without(self, *names: bytes) -> Headers:
        """The headers except these."""
        return [(key, value) for key, value in self.headers if key.lower() not in names]


def made(
    status: int, body: bytes = b"", kind: str = "text/html; charset=utf-8", headers: Headers | None = None
) -> Answer:
    """An answer that no API gave."""
    base: Headers = [(b"content-length", str(len(body)).encode())]
    if kind:
        base.append((b"content-type", kind.encode()))
    return Answer(status, [*base, *(headers or [])], body)


def answer_of(response: Response) -> Answer:
    """What an API gave."""
    parts = response.parts if isinstance(response, Download) else None
    return Answer(response.status_code, list(response.raw_headers), bytes(response.body), parts)


@dataclass(slots=True)
class Exchange:
    """One request on its way through."""

    api: str
    path: str
    body: Body
    told: bytes
    """Where rules look for a key: the body, of an upload its beginning and its parameters."""
    scope: Scope
    receive: Receive
    send: Send
    answer: Callable[[Body], Answer]
    """Does the work that a body asks for, whatever becomes of the answer."""
    transport_of: TransportOf | None
    place: Callable[[], AbstractAsyncContextManager[Answer | None]]
    """The right to run a transaction; gives the answer that stands instead where there is none to be had."""
    quota: float
    """Seconds that the transaction may take by the sandbox's clock."""
    cancelled: Callable[[Callable[[], Answer]], Answer]
    """The answer of a transaction that took longer."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """The connection; None where the application runs without a socket."""
        return self.transport_of(self.scope) if self.transport_of else None

    async def gone(self) -> None:
        """Wait until the client has hung up."""
        while (await self.receive())["type"] != "http.disconnect":
            pass
