"""Errors that a fault rule wants the engine to find, so that what is told and what is written still agree."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

Injector = Callable[[], str]
"""Asked once per item: an error code, or nothing."""

injector: ContextVar[Injector | None] = ContextVar("injector", default=None)
