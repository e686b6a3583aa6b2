"""What is wrong with an account of 4me: login, account, the role that imports need, limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from syncengine.doctor.finding import Finding
from syncengine.errors import Exit
from syncengine.spec.import_types import import_types
from syncengine.spec.model import Step
from syncengine.transport.answer import Answer, Ending, Kind, Request
from syncengine.transport.client import Client
from syncengine.transport.fourme import EXPORT

FEW = 300
"""Requests; a plan of a dozen types with its apply takes about a hundred."""


def look(client: Client, account: str, steps: Sequence[Step], place: str) -> Iterator[Finding]:
    """All of it; nothing is written: the role is tried with an export of what changed in the last minute."""
    me = client.call(Request("GET", "/v1/me"))
    if me.ending is not Ending.DONE:
        yield _shut(me, account, place)
        return
    who = me.body.get("name") or me.body.get("primary_email") if isinstance(me.body, dict) else ""
    yield Finding("4me login", "ok", f"the token acts as {who or 'somebody who is not named'}")
    answer = client.call(Request("GET", "/v1/account"))
    found = answer.body.get("id") if answer.ending is Ending.DONE and isinstance(answer.body, dict) else None
    if found is not None and str(found) != account:
        fix = f"account: {found}   (or ask for access to {account})"
        yield Finding("4me account", "problem", f"4me answers for {found}, not {account}", fix, place, Exit.SPEC)
    elif found is None:
        yield Finding("4me account", "warning", f"the account {account} cannot be read", "check account:", place)
    else:
        yield Finding("4me account", "ok", f"{account} is the account that answers")
    yield from _role(client, account, steps, place)
    yield from _limits(answer)


def _shut(answer: Answer, account: str, place: str) -> Finding:
    problem = answer.problem
    said = problem.message if problem else f"status {answer.status}"
    if answer.status in (401, 403) or (problem is not None and problem.code == "login-refused"):
        fix = f"make a token in My Profile of a person of {account}, or check client_id and client_secret"
        return Finding("4me login", "problem", said, fix, place, Exit.AUTH)
    fix = (problem.fix if problem else "") or "check url: https://api.xurrent.com, or that of your region"
    return Finding("4me reach", "problem", said, fix, place, Exit.REMOTE)


def _role(client: Client, account: str, steps: Sequence[Step], place: str) -> Iterator[Finding]:
    """Documented: imports and exports need the Account Administrator, rates the Financial Manager as well."""
    since = (datetime.now(UTC) - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {"type": "sites", "from": since}
    answer = client.call(Request("POST", EXPORT, body=body, kind=Kind.DRY, expect="json or nothing"))
    if answer.status == 403:
        fix = f"ask an administrator of {account} for the role Account Administrator for this person"
        yield Finding("4me role", "problem", "this person may not import or export", fix, place, Exit.AUTH)
    elif answer.ending is Ending.DONE:
        yield Finding("4me role", "ok", "exports are given, and imports need the same role")
    elif answer.problem is not None:
        yield Finding("4me role", "warning", f"it cannot be told: {answer.problem.message}", answer.problem.fix, place)
    financial = sorted({one for step in steps for one in step.classes if import_types()[one].financial})
    if financial:
        fix = "ask for the role Financial Manager, too"
        yield Finding("4me role", "warning", f"{', '.join(financial)} also need the Financial Manager", fix, place)


def _limits(answer: Answer) -> Iterator[Finding]:
    limit, left = answer.headers.get("x-ratelimit-limit", ""), answer.headers.get("x-ratelimit-remaining", "")
    if left.isdigit() and int(left) < FEW:
        fix = "wait for the next hour, or use another person's token for this"
        yield Finding("4me limits", "warning", f"{left} of {limit} requests are left this hour", fix)
    elif limit:
        yield Finding("4me limits", "ok", f"{limit} requests an hour, {left or '?'} left")
