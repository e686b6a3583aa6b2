"""Whether the login is taken, whose it is, and which roles can be seen."""

from __future__ import annotations

from collections.abc import Iterator

from syncengine.doctor.finding import Finding
from syncengine.doctor.visit import Visit
from syncengine.errors import AuthError, Exit, RemoteError
from syncengine.transport.answer import Ending, Request
from syncengine.transport.servicenow import find_rows

ENOUGH = frozenset({"itil", "asset", "admin"})
META = Request("GET", "/api/now/cmdb/meta/cmdb_ci")


def look(visit: Visit) -> Iterator[Finding]:
    """The answer to the first request, then the user's own record and roles as far as they can be read."""
    answer = visit.first
    who = visit.client.who
    problem = answer.problem
    no_token = problem is not None and problem.code == "login-refused" and not answer.status
    if no_token or (answer.status == 401 and not _opens_elsewhere(visit)):
        visit.closed["login"] = "the login is refused"
        fix = {
            "basic": "check user and password, that the user is not locked out, and that basic access is allowed to it",
            "oauth": "check client id, client secret and grant, and that the client is active",
            "token": "check the key, and that an inbound authentication profile and a REST API access policy take it",
        }.get(visit.login, "check that the certificate is mapped to a user")
        found = f" ({problem.found})" if problem and problem.found else ""
        yield Finding("login", "problem", f"{who} is refused{found}", fix, visit.place, Exit.AUTH)
        return
    yield Finding("login", "ok", f"{who} is let in")
    if answer.ending is Ending.DONE:
        yield from _roles(visit, who)


def _opens_elsewhere(visit: Visit) -> bool:
    """A scoped token is refused by one API and taken by another; a password is not tried again, lest it be locked."""
    return visit.login != "basic" and visit.call(META, visit.fresh()).status not in (0, 401)


def _roles(visit: Visit, who: str) -> Iterator[Finding]:
    kind, _, name = who.partition(" ")
    if kind != "user" and visit.login != "oauth":
        yield Finding("roles", "ok", "this kind of login does not say whose it is; see the rights below")
        return
    try:
        yield from _of_user(visit, name if kind == "user" else who)
    except (AuthError, RemoteError):
        yield Finding("roles", "ok", "roles cannot be seen; see the rights below")


def _of_user(visit: Visit, name: str) -> Iterator[Finding]:
    who = f"user {name}"
    reader = visit.reader()
    fields = ("sys_id", "active", "locked_out", "password_needs_reset")
    users = find_rows(reader, "sys_user", [("user_name", name)], fields)
    if not users:
        yield Finding("roles", "ok", "the user's own record cannot be seen; see the rights below")
        return
    if users[0].get("password_needs_reset") == "true":
        fix = f"ask the admin to clear password_needs_reset of {who}"
        yield Finding("login", "warning", f"the password of {who} is to be changed", fix)
    rows = find_rows(reader, "sys_user_has_role", [("user", users[0]["sys_id"])], ("role.name",))
    roles = sorted({str(row["role.name"]) for row in rows if row.get("role.name")})
    if not roles:
        yield Finding("roles", "ok", "roles cannot be seen; see the rights below")
    elif ENOUGH.isdisjoint(roles):
        fix = visit.ask_for("role itil")
        yield Finding("roles", "warning", f"{who} has {', '.join(roles)}, neither itil nor asset", fix)
    else:
        yield Finding("roles", "ok", f"{who} has {', '.join(roles)}")
