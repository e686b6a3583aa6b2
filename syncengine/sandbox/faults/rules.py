"""Fault rules: for which calls, when, and what then.

api=insert_multiple, at=3, times=1, do=commit_then_reset
api=*, every=7, do=status(503), retry_after=date
api=ire, rate=0.05, seed=42, do=delay(0.1..0.5)
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

APIS = (
    "import_one", "insert_multiple", "staging_read", "ire", "ire_query", "table_read", "table_write", "meta", "stats",
    "batch", "attach_upload", "attach_list", "attach_file", "attach_write", "oauth",
    "me_upload", "me_poll", "me_log", "me_read", "me_export", "me_file", "worker",
    "other", "*",
)  # fmt: skip
ACTIONS: dict[str, str] = {
    "status": "status(code[, body=json|html|empty|huge]): no effect; retry_after=5|date|past|none|garbage|huge",
    "reset": "the connection is reset before the request is handled",
    "close": "the connection is closed before the request is handled",
    "hang": "no answer, no effect",
    "delay": "delay(s) or delay(a..b): the answer comes later",
    "commit_then_reset": "the write takes effect, then the connection is reset",
    "commit_then_close": "the write takes effect, then the connection is closed",
    "commit_then_hang": "the write takes effect, no answer",
    "commit_then_status": "commit_then_status(code): the write takes effect, the answer is an error",
    "commit_part": "commit_part(k)_then_reset, …_then_close, …_then_hang, …_then_status(code): only the first k "
    "items of an identification payload, rows of insertMultiple, requests of a batch, or bytes of an upload, take "
    "effect; a write of one record only if k > 0",
    "takes": "takes(s): the transaction takes s seconds by the sandbox's clock, nobody waits; in a batch, each request",
    "expire_token": "expire_token(n): at the n-th call every access token given out so far expires",
    "revoke": "from this call on no login is accepted, until the rules are cleared",
    "rate_limit": "rate_limit(n/seconds): 429 with the rate-limit headers for what is over n calls in a window",
    "commit_late": "commit_late(s): the connection breaks now, the write comes s seconds later by the sandbox's clock",
    "reorder": "items in another order, and answers after a random time so that parallel ones overtake each other",
    "html200": "200 with a web page",
    "hibernate": "200 with the page of a sleeping instance",
    "maintenance": "503 with Retry-After and a web page",
    "unauthorized": "401 although the login is good",
    "drop202": "202, empty: the request was dropped",
    "login302": "redirect to a login page",
    "redirect": "redirect(url)",
    "type": "type(text/plain): another content type",
    "charset": "charset(latin-1): the body in another character set, and named so; charset(latin-1, silent): not named",
    "link": "link(url): the Link header names this address as the next page",
    "truncate": "truncate(n): the first n bytes of the body, then the connection closes",
    "short_length": "a Content-Length smaller than the body",
    "bad_chunk": "chunked, with a chunk that is none",
    "garbage_head": "no HTTP at all",
    "header_flood": "header_flood(n): n extra headers",
    "drip": "drip(bytes a second)",
    "gzip_bad": "Content-Encoding gzip over bytes that are not",
    "gzip_bomb": "a small gzip body of 1 GiB",
    "deep_json": "JSON nested 100,000 deep",
    "big_int": "JSON with a number of 5,000 digits",
    "nan": "JSON with NaN",
    "nulls": "every value of the result is null",
    "item_errors": "item_errors(p): items fail with probability p, their siblings are written",
    "job": "job(stuck): the import set that insertMultiple makes is never transformed; of 4me imports (me_upload) and "
    "exports: job(stuck), job(error) or job(error(k)) after k rows, job(failures(n)) of the first n rows, job(forget), "
    "job(back_to_queued), job(unknown_state) or job(unknown_state(n)) for n polls",
    "log": "log(404|403|html|binary|truncated|huge|other_host): the log of a 4me import, for the import (me_upload), "
    "for one request (me_log), the link to another host (me_poll)",
    "op": "op(NAME): every item has this operation, every row this state",
    "code": "code(NAME): every item has this error, or, for cancelled, the answer holds result and error",
    "count": "count(+k) or count(-k): items too many or too few",
    "swap_ids": "the sys_ids of two items change places",
    "empty_rows": "empty_rows(p): rows of a list are an empty text with probability p",
    "cut": "cut(n): the list ends after n rows with an error object, and the JSON is not closed",
    "extra_fields": "keys nobody knows",
    "missing": "missing(key): this key is left out everywhere",
}  # fmt: skip
JOBS = ("stuck", "error", "failures", "forget", "back_to_queued", "unknown_state")
LOGS = ("404", "403", "html", "binary", "truncated", "huge", "other_host")
WORDS = ("api", "at", "from", "every", "rate", "seed", "key", "path", "times", "do", "retry_after")
_ACTION = re.compile(r"(?P<name>\w+)(?:\((?P<args>.*)\))?", re.DOTALL)
_PART = re.compile(
    r"commit_part\((?P<first>\d+)\)_then_(?P<then>reset|close|hang|status)(?:\((?P<args>.*)\))?", re.DOTALL
)


class RuleError(ValueError):
    """A rule that cannot be read."""


@dataclass(slots=True)
class Rule:
    """One rule and how often it was asked and met."""

    text: str
    api: str
    action: str
    arguments: tuple[str, ...]
    options: dict[str, str]
    random: random.Random
    then: str = ""
    """How a commit_part ends: reset, close, hang, status."""
    seen: int = 0
    met: int = 0
    window: list[float] = field(default_factory=list)
    """Of a rate limit: when the window began, and how many calls it had."""

    def meets(self, api: str, path: str, body: bytes, now: float = 0.0) -> bool:
        """Whether this call is one of the rule's; counts it."""
        if self.api not in ("*", api) or self.options.get("path", "") not in path:
            return False
        key = self.options.get("key")
        if key is not None and key.encode() not in body:
            return False
        self.seen += 1
        if "times" in self.options and self.met >= int(self.options["times"]):
            return False
        if not self._now() or (self.action == "rate_limit" and not self._over(now)):
            return False
        self.met += 1
        return True

    def _over(self, now: float) -> bool:
        limit, seconds = calls_a_window(self.argument(0))
        if not self.window or now - self.window[0] >= seconds:
            self.window = [now, 0.0]
        self.window[1] += 1
        return self.window[1] > limit

    def _now(self) -> bool:
        options = self.options
        if "at" in options and self.seen != int(options["at"]):
            return False
        if self.action == "expire_token" and self.seen != self.number(0, 1):
            return False
        if "from" in options and self.seen < int(options["from"]):
            return False
        if "every" in options and self.seen % int(options["every"]):
            return False
        return "rate" not in options or self.random.random() < float(options["rate"])

    @property
    def first(self) -> int:
        """Of a commit_part: how many rows take effect."""
        said = next((a.partition("=")[2] for a in self.arguments if a.startswith("first=")), "1")
        return int(said)

    def number(self, index: int, default: float) -> float:
        """An argument of the action as a number."""
        return float(self.arguments[index]) if index < len(self.arguments) else default

    def argument(self, index: int, default: str = "") -> str:
        """An argument of the action."""
        return self.arguments[index] if index < len(self.arguments) else default


def parse(text: str) -> Rule:
    """Read one rule."""
    words: dict[str, str] = {}
    for piece in _split(text):
        name, equals, value = piece.partition("=")
        if not equals:
            raise RuleError(f"{piece!r} in {text!r} is not name=value")
        words[name.strip()] = value.strip()
    unknown = sorted(set(words) - set(WORDS))
    if unknown:
        raise RuleError(f"{unknown[0]!r} in {text!r}: a rule has {', '.join(WORDS)}")
    api = words.get("api", "*")
    if api not in APIS:
        raise RuleError(f"api={api}: there are {', '.join(APIS)}")
    do = words.get("do", "")
    part = _PART.fullmatch(do)
    match = _ACTION.fullmatch(do)
    if part is None and (match is None or match["name"] not in ACTIONS):
        raise RuleError(f"do={do}: there are {', '.join(ACTIONS)}")
    for name in ("at", "from", "every", "times"):
        if name in words and not (words[name].isdigit() and int(words[name]) > 0):
            raise RuleError(f"{name}={words[name]} is not a whole number above 0")
    try:
        rate = float(words.get("rate", "1"))
    except ValueError:
        rate = -1
    if not 0 <= rate <= 1:
        raise RuleError(f"rate={words['rate']} is not a number from 0 to 1")
    # random numbers of a rule depend on nothing but its seed, so a run can be repeated
    chance = random.Random(words.get("seed", "0"))  # noqa: S311
    if part is not None:
        # the number of rows comes last, so that the first argument is the status, as for commit_then_status
        arguments = (*_arguments(part["args"] or "500"), f"first={part['first']}")
        return Rule(text, api, "commit_part", arguments, words, chance, part["then"])
    name, arguments = (match["name"], _arguments(match["args"])) if match is not None else ("", ())
    if name == "rate_limit":
        try:
            limit, seconds = calls_a_window(arguments[0] if arguments else "100/3600")
        except ValueError as fault:
            raise RuleError(f"{text}: rate_limit(calls/seconds)") from fault
        arguments = (f"{limit}/{seconds}",)
    _check_words(text, name, arguments)
    then = "reset" if name == "commit_part" else ""
    return Rule(text, api, name, arguments, words, chance, then)


def _check_words(text: str, name: str, arguments: tuple[str, ...]) -> None:
    words = {"job": JOBS, "log": LOGS}.get(name)
    if words and arguments and arguments[0].partition("(")[0] not in words:
        raise RuleError(f"{text}: {name}({'|'.join(words)})")


def _arguments(text: str | None) -> tuple[str, ...]:
    return tuple(a.strip() for a in (text or "").split(",") if a.strip())


def calls_a_window(text: str) -> tuple[int, float]:
    """`100/3600` as calls and seconds."""
    calls, _, seconds = text.partition("/")
    return int(calls), float(seconds or 3600)


def _split(text: str) -> list[str]:
    """Parts between commas that are not inside parentheses."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]
