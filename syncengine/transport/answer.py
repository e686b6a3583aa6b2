"""One request, one answer, and the five ways in which a request can end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Literal, Protocol

import msgspec

from syncengine.errors import Problem

Expect = Literal["json", "json or nothing", "bytes", "nothing"]
Decode = Callable[[bytes], Any]
"""Reads the JSON of an answer of one kind, in less time than any JSON takes; raises ValueError for another kind."""


class Kind(StrEnum):
    """What a request does there; decides what may be repeated."""

    READ = "read"
    DRY = "dry"
    """Asks what would happen; writes nothing."""
    KEYED = "keyed write"
    """Writing it twice leaves one record: identification, or a natural key."""
    BARE = "bare write"
    """Writing it twice leaves two records."""
    TOKEN = "token"  # noqa: S105  # the word, not a secret

    @property
    def is_write(self) -> bool:
        return self in (Kind.KEYED, Kind.BARE)


class Ending(StrEnum):
    """How a request ended; for a write, what is known about its effect."""

    NOT_SENT = "NOT_SENT"
    """No byte of it left: surely not done."""
    REFUSED = "REFUSED"
    """The server said no in its own words: not done, and repeating does not help."""
    THROTTLED = "THROTTLED"
    """Not now: not done, wait and repeat."""
    DONE = "DONE"
    """A complete, well-formed answer."""
    UNKNOWN = "UNKNOWN"
    """Done, partly done, not done, or still running."""


class Request(msgspec.Struct, frozen=True):
    """What is asked of a server. The path starts with `/` and holds no query."""

    method: str
    path: str
    params: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: object = None
    """`bytes` and open binary files (from their beginning) go as they are, anything else as JSON."""
    kind: Kind = Kind.READ
    expect: Expect = "json"
    content_type: str = "application/json"
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    deadline: float | None = None
    """Seconds for all of it, instead of the client's."""
    length: int | None = None
    """Bytes of a body that is an open file."""
    decode: Decode | None = None
    """Tried first on the body of a success; what it cannot read is read as any JSON."""


class Answer(msgspec.Struct, frozen=True):
    """What came of a request; it is always complete enough to say so in a message."""

    ending: Ending
    status: int = 0
    """HTTP status; 0 when no answer came."""
    body: Any = None
    """The parsed JSON, where there is some."""
    content: bytes = b""
    """The body as it came, decoded from gzip."""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Names in lower case."""
    problem: Problem | None = None
    """Says what went wrong; nothing when the ending is DONE."""
    is_final: bool = False
    """Repeating cannot help: a wrong certificate, a refused login."""
    is_late: bool = False
    """Time ran out, so the server may still be working on it."""
    wait: float | None = None
    """Seconds that the server asked to wait."""


class ServerError(Protocol):
    """The error inside an answer, in the server's words."""

    @property
    def message(self) -> str: ...
    @property
    def detail(self) -> str: ...


class Manners(Protocol):
    """How one service says no."""

    def error_in(self, data: object) -> ServerError | None:
        """The error envelope in this JSON, also beside a result."""
        ...

    def is_dropped(self, status: int, body: bytes) -> bool:
        """Whether this answer says that the request was thrown away."""
        ...

    def is_cancelled(self, words: str) -> bool:
        """Whether these words say that the request took longer than the service allows; less has to be asked."""
        ...

    def refusal(self, status: int, path: str) -> tuple[str, str]:
        """A better sentence for a refused request to this path, and a better advice; either may be empty."""
        ...

    def page_advice(self, title: str) -> tuple[str, bool]:
        """What to do about a web page in place of data, and whether repeating is pointless."""
        ...

    @property
    def probe(self) -> Request:
        """A cheap read that shows whether the service is there."""
        ...
