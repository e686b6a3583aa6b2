"""Words compared with words: what was probably meant, and which letters are not what they seem."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Sequence
from difflib import get_close_matches


def close_to(word: str, known: Sequence[str]) -> list[str]:
    """At most three known words that are near."""
    folded = {one.casefold(): one for one in known}
    found = get_close_matches(_latin(word).casefold(), list(folded), 3, 0.72)
    return [folded[one] for one in found]


def near(word: str, known: Sequence[str]) -> str:
    """`Did you mean "source"?`, where something is near."""
    close = close_to(word, known)
    return f"Did you mean {' or '.join(chr(34) + one + chr(34) for one in close)}?" if close else ""


def near_class(word: str, known: Sequence[str]) -> str:
    """As `near`, for names of classes: what they all begin with says nothing."""
    shorts = {re.sub("^cmdb_(ci_)?", "", one): one for one in known}
    close = get_close_matches(re.sub("^cmdb_(ci_)?", "", word.lower()), list(shorts), 3, 0.72)
    return f"Did you mean {' or '.join(chr(34) + shorts[one] + chr(34) for one in close)}?" if close else ""


_LOOK_ALIKE = str.maketrans("аеорсухіјѕԁոᴀΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aeopcyxijsdnaABEZHIKMNOPTYX")


def _latin(word: str) -> str:
    return word.translate(_LOOK_ALIKE)


def odd_letter(word: str) -> str:
    """`contains the non-Latin letter U+0430`, where letters of two alphabets are mixed."""
    if not any(one.isascii() and one.isalpha() for one in word):
        return ""
    for one in word:
        if not one.isascii() and one.isalpha() and "LATIN" not in unicodedata.name(one, "LATIN"):
            return f"contains the non-Latin letter U+{ord(one):04X}"
    return ""


def suggestion(name: str) -> str:
    """A name that would be allowed."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    return f"Such as {plain}" if plain and plain[0].isalpha() else ""


WIDTH = 73
"""Characters of a line of a fix: with what stands before it on a terminal, it stays within eighty."""


def wrapped(fix: str) -> str:
    """A fix in lines that fit a terminal; YAML to paste stays YAML, since what follows is indented."""
    return "\n".join(part for line in fix.split("\n") for part in _parts(line))


def _parts(line: str) -> list[str]:
    """A line, cut after commas where that is enough, else between words."""
    if len(line) <= WIDTH:
        return [line]
    made = [""]
    for piece in re.findall(r".+?(?:, |  or  |$)", line):
        if made[-1] and len(made[-1] + piece.rstrip()) > WIDTH:
            made.append("  ")
        made[-1] += piece
    cut = (
        textwrap.wrap(one.rstrip(), WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        if len(one.rstrip()) > WIDTH
        else [one.rstrip()]
        for one in made
    )
    return [one for several in cut for one in several]
