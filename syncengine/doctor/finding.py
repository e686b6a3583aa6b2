"""One line of what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from syncengine.errors import Exit

Level = Literal["ok", "warning", "problem", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look saw, and what to do about it."""

    check: str
    level: Level
    message: str
    fix: str = ""
    """What to change, or what to ask the instance's admin for, in words that can be sent to them."""
    place: str = ""
    """Where in a file or on the server."""
    exit: Exit = Exit.OK
    """For a problem: the class of it."""
