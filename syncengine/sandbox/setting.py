"""What a setting is."""

from __future__ import annotations

from typing import NamedTuple

Value = str | int | float | bool


class Setting(NamedTuple):
    """One open question, answered."""

    default: Value
    choices: tuple[Value, ...]
    why: str
