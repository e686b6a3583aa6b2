"""How often the server may be asked, as far as it says so, and whether its clock agrees with this one."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from syncengine.doctor.finding import Finding
from syncengine.doctor.visit import Visit
from syncengine.transport.answer import Ending, Request

SKEW = 120.0
"""Seconds; a token may be refused, and times in a source misread, when clocks differ by more."""
FEW = 1000
"""Requests an hour; 500,000 records with a dry run, a check before sending and a commit each."""
RULES = "/api/now/table/sys_rate_limit_rules"


def look(visit: Visit) -> Iterator[Finding]:
    """Headers of the answers so far; the rules themselves where they may be read."""
    yield from _clock(visit)
    yield from _headers(visit)
    if visit.first.ending is Ending.DONE:
        yield from _rules(visit)


def _clock(visit: Visit) -> Iterator[Finding]:
    at, headers = visit.headers[-1] if visit.headers else (0.0, {})
    try:
        skew = parsedate_to_datetime(headers["date"]).timestamp() - at
    except (KeyError, ValueError, TypeError):
        yield Finding("clock", "ok", "the server does not say what time it is")
        return
    if abs(skew) > SKEW:
        way = "ahead of" if skew > 0 else "behind"
        fix = "set this machine's clock by a time server (NTP); if it is right, tell the instance's admin"
        yield Finding("clock", "warning", f"the server's clock is {abs(skew):.0f} s {way} this machine's", fix)
    else:
        yield Finding("clock", "ok", "the server's clock and this machine's agree")


def _headers(visit: Visit) -> Iterator[Finding]:
    for _, headers in reversed(visit.headers):
        limit, left = headers.get("x-ratelimit-limit", ""), headers.get("x-ratelimit-remaining", "")
        if limit:
            rest = f", {left} left" if left else ""
            yield Finding("limits", "ok", f"{limit} requests a window{rest} (X-RateLimit-Limit)")
            return
    yield Finding("limits", "ok", "no rate limit headers seen")


def _rules(visit: Visit) -> Iterator[Finding]:
    answer = visit.call(Request("GET", RULES, {"sysparm_query": "active=true", "sysparm_limit": "100"}), visit.fresh())
    rows = answer.body.get("result") if answer.ending is Ending.DONE and isinstance(answer.body, dict) else None
    for row in rows or ():
        text = str(row.get("limit") or row.get("request_limit") or "")
        if text.isascii() and text.isdigit() and int(text) < FEW:
            rule, resource = row.get("name") or "unnamed", row.get("resource") or "every API"
            message = f'the rate limit rule "{rule}" allows {text} requests an hour to {resource}: a large apply waits'
            fix = f"ask the admin for a higher limit in sys_rate_limit_rules for {visit.client.who}"
            yield Finding("limits", "warning", message, fix, f"GET {RULES}")
