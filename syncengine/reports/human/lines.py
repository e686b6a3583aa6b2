"""Text and tables in lines of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from syncengine.errors import visible
from syncengine.planning import sealing

VALUE_WIDTH = 44
WIDTH = 80


def shown(value: str, width: int = VALUE_WIDTH) -> str:
    """A value on one line: control characters spelled out, cut at a width."""
    text = visible(sealing.shown(value))
    return text if len(text) <= width else text[: width - 1] + "…"


def wrapped(begin: str, text: str) -> Iterator[str]:
    """Text behind its beginning, in lines that fit; further ones are indented, at most by five more."""
    deep = " " * min(len(begin), len(begin) - len(begin.lstrip()) + 5)
    yield from textwrap.wrap(
        begin + text, WIDTH, subsequent_indent=deep, break_long_words=False, break_on_hyphens=False
    )


def table(heads: Sequence[str], rows: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """Numbers by step, steps under their spec, columns only as wide as they must be.

    Where that is too wide, the heads go on two lines, or are no more than their glyphs.
    """
    names = {name: name.rpartition(".") for name in rows}
    width = max((len(step) for _, _, step in names.values()), default=0) + 2
    sizes = [max((len(f"{row[at]:,}") for row in rows.values()), default=0) for at in range(len(heads))]
    for lines in _heads(heads):
        widths = [max(size, *map(len, head)) for size, *head in zip(sizes, *lines, strict=True)]
        if width + 2 + sum(widths) + 2 * len(widths) <= WIDTH:
            break
    *upper, titles = ["  ".join(f"{one:>{size}}" for one, size in zip(line, widths, strict=True)) for line in lines]
    for line in upper:
        yield f"  {'':<{width}}  {line}".rstrip()
    spec = ""
    for name, row in rows.items():
        above, _, step = names[name]
        if above != spec:
            titles = "" if spec else titles
            spec = above
            yield f"  {spec:<{width}}  {titles}".rstrip()
        cells = "  ".join(
            f"{number:>{size},}" if number else " " * size for number, size in zip(row, widths, strict=True)
        )
        yield f"    {step:<{width - 2}}  {cells}".rstrip()


def _heads(heads: Sequence[str]) -> Iterator[list[list[str]]]:
    """The lines of the heads of a table, ever narrower."""
    yield [list(heads)]
    parts = [head.split(" ", 1) for head in heads]
    yield [[part[0] if len(part) > 1 else "" for part in parts], [part[-1] for part in parts]]
    yield [[part[0] for part in parts]]
