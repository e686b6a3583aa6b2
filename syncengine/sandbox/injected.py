"""What a fault rule wants from the APIs themselves, so that what is told and what is written still agree."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

Injector = Callable[[], str]
"""Asked once per item: an error code, or nothing."""

injector: ContextVar[Injector | None] = ContextVar("injector", default=None)

seconds_each: ContextVar[float] = ContextVar("seconds_each", default=0.0)
"""How long each request of a batch takes, by the sandbox's clock; nobody waits."""

stuck: ContextVar[bool] = ContextVar("stuck", default=False)
"""The import set that this request makes is never transformed."""

job: ContextVar[str] = ContextVar("job", default="")
"""What becomes of the job that this upload makes: `error(5)`, `failures(3)`, `forget`, …"""

log: ContextVar[str] = ContextVar("log", default="")
"""What becomes of the log of an import: `404`, `html`, `other_host`, …"""

first_bytes: ContextVar[int | None] = ContextVar("first_bytes", default=None)
"""How many bytes of an upload, or rows of an import, are kept; None: all."""
