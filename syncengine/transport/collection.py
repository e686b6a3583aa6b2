"""Records of 4me over REST: pages of a collection, how many there are, one record by its path; and what that costs.

Documented: pages of 100 with a cursor in the `link` header, totals in `x-pagination-total-entries`, 3,600 requests an
hour with what is left of them in `x-ratelimit-remaining`, filters that take a comma for a set.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from requests.utils import parse_header_links

from syncengine.transport.fourme import BURST
from syncengine.transport.reader import Reader

PAGE = 100
"""Documented: the most records of a page."""
HOURLY = 3600
"""Documented: requests of a user in an hour."""


class Collections:
    """Reads of one user, counted."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.requests = 0
        self.left: int | None = None
        """What is left of an hour's requests, as the last answer said."""

    def get(self, path: str, params: Mapping[str, str]) -> Any:
        """What is there, or None."""
        self.requests += 1
        answer = self._reader.get(path, params, allow_missing=True)
        if answer is None:
            return None
        self._note(answer.headers)
        return answer.body

    def count(self, path: str, params: Mapping[str, str]) -> int:
        """How many records a collection has."""
        self.requests += 1
        answer = self._reader.get(path, {**params, "per_page": "1", "fields": "id"})
        self._note(answer.headers)
        total = answer.headers.get("x-pagination-total-entries", "")
        return int(total) if total.isdigit() else len(answer.body or ())

    def pages(
        self, path: str, params: Mapping[str, str], missing: Callable[[], None] = lambda: None
    ) -> Iterator[list[dict[str, Any]]]:
        """All pages of a collection; `missing` is called where there is no such collection."""
        following: Mapping[str, str] = {}
        while True:
            self.requests += 1
            answer = self._reader.get(path, {**params, "per_page": str(PAGE), **following}, allow_missing=True)
            if answer is None:
                missing()
                return
            self._note(answer.headers)
            yield [one for one in answer.body if isinstance(one, dict)] if isinstance(answer.body, list) else []
            following = _following(answer.headers.get("link", ""))
            if not following:
                return

    def _note(self, headers: Mapping[str, str]) -> None:
        left = headers.get("x-ratelimit-remaining", "")
        self.left = int(left) if left.isdigit() else None


def cost(requests: int, left: int | None) -> str:
    """What so many requests take of an hour's, in words; `left` is what is left of them."""
    most, seconds = BURST
    over = max(0, requests - (HOURLY if left is None else left))
    time = math.ceil(over / HOURLY) * 3600.0 if over else requests / most * seconds
    words = f"{math.ceil(time / 3600)} h" if time > 5400 else f"{math.ceil(time / 60)} min"
    return f"{requests:,} requests of {HOURLY:,} an hour, {words} at least"


def pages_of(records: int) -> int:
    """The requests that so many records take; an empty collection is asked once."""
    return max(1, math.ceil(records / PAGE))


def is_plain(text: str) -> bool:
    """Whether a filter takes it as it is: no operator at its head, no comma, which makes a set."""
    return bool(text) and "," not in text and text[0] not in "!<>="


def is_id(value: object) -> bool:
    """Whether it is the ID of a record."""
    return isinstance(value, int) and not isinstance(value, bool)


def _following(link: str) -> dict[str, str]:
    """The cursor of the next page; its address is never followed as it stands."""
    for one in parse_header_links(link) if link else []:
        if one.get("rel") == "next":
            said = parse_qs(urlsplit(one.get("url", "")).query)
            return {name: said[name][0] for name in ("search_after", "page") if name in said}
    return {}
