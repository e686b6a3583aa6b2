"""Bare words: a column, or a path in JSON such as `os.name` or `ips[0]`."""

from __future__ import annotations

import re

from syncengine.mapping.templates import Use, resolve

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(-?[0-9]{1,6})\]")


def split(text: str) -> tuple[str | int, ...]:
    """The parts of a path; a text that is no path is one part."""
    if "." not in text and "[" not in text:
        return (text,)
    parts: list[str | int] = []
    at = 0
    while at < len(text):
        found = _STEP.match(text, at)
        if not found or (found[1] is not None and at and not text.startswith(".", at)):
            return (text,)
        parts.append(found[1] if found[1] is not None else int(found[2]))
        at = found.end()
    if not isinstance(parts[0], str) or text.startswith("."):
        return (text,)
    return tuple(parts)


def column_use(text: str, each: int) -> Use:
    """What a bare word reads."""
    parts = split(text)
    root = parts[0]
    if each and root in {"parent", "item", "position"}:
        use = resolve(str(root), parts[1:], each)
        if isinstance(use, Use):
            return use
    return Use("column", 0, parts, text)
