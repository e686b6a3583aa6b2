"""Which APIs and tables this login may use, as far as that can be tried without writing."""

from __future__ import annotations

from collections.abc import Iterator

from syncengine.doctor.finding import Finding
from syncengine.doctor.visit import Visit
from syncengine.errors import Exit
from syncengine.sources import servicenow
from syncengine.transport.answer import Answer, Ending, Request

REFUSED = (401, 403)
CLASSES = "the role to read the CMDB (itil)"


def look(visit: Visit) -> Iterator[Finding]:
    """The Table API, for CIs the CMDB Meta API, then each table that the specs read."""
    yield from _api(visit, "table", "Table API", "/api/now/table/cmdb_ci")
    if visit.makes_cis:
        yield from _api(visit, "meta", "CMDB Meta API", "/api/now/cmdb/meta/cmdb_ci")
    if "table" not in visit.closed:
        for table, place in _tables(visit).items():
            yield from _table(visit, table, place)


def _api(visit: Visit, name: str, title: str, path: str) -> Iterator[Finding]:
    params = {"sysparm_limit": "1", "sysparm_fields": "sys_id"} if name == "table" else {}
    answer = visit.call(Request("GET", path, params), visit.fresh())
    if answer.status in REFUSED:
        visit.closed[name] = f"{title} (GET) is refused"
        fix = visit.ask_for(CLASSES, f"{title}, method GET")
        yield Finding("rights", "problem", f"{title}, GET: {said(answer)}", fix, f"GET {path}", Exit.AUTH)
    elif answer.ending is not Ending.DONE:
        visit.closed[name] = f"{title} (GET) does not answer"
        problem = answer.problem
        fix = problem.fix if problem else ""
        yield Finding("rights", "problem", f"{title}, GET: {said(answer)}", fix, f"GET {path}", Exit.REMOTE)
    elif name == "table" and not answer.body.get("result") and not visit.is_sandbox:
        fix = visit.ask_for(CLASSES)
        yield Finding("rights", "warning", "no CI can be seen: hidden by access rules, or the CMDB is empty", fix)
    else:
        yield Finding("rights", "ok", f"{title}, GET")


def _tables(visit: Visit) -> dict[str, str]:
    """Tables that the specs read, with a place that says so."""
    found: dict[str, str] = {}
    for step in visit.steps:
        for name in step.classes if step.kind == "cmdb" else ():  # other kinds have a look of their own
            found.setdefault(name, str(step.position))
        for reference in step.references:
            if reference.table:
                found.setdefault(reference.table, str(reference.position))
    for source in (one for spec in visit.specs for one in spec.sources.values()):
        if isinstance(source.options, servicenow.Options):
            found.setdefault(source.options.table, str(source.position))
    return found


def _table(visit: Visit, table: str, place: str) -> Iterator[Finding]:
    path = f"/api/now/table/{table}"
    answer = visit.call(Request("GET", path, {"sysparm_limit": "1", "sysparm_fields": "sys_id"}), visit.fresh())
    if answer.status in REFUSED:
        fix = visit.ask_for(f"read access to table {table}")
        yield Finding("rights", "problem", f"table {table} cannot be read: {said(answer)}", fix, place, Exit.AUTH)
    elif answer.status in (400, 404) and table in _classes(visit) and "meta" not in visit.closed:
        return  # told with the classes
    elif answer.status in (400, 404):
        fix = "correct the name, or ask the admin for the table or for read access to it"
        message = f"table {table} does not exist or is not visible to this user"
        yield Finding("rights", "problem", message, fix, place, Exit.SPEC)
    elif answer.ending is not Ending.DONE:
        yield Finding("rights", "problem", f"table {table}: {said(answer)}", "", place, Exit.REMOTE)
    else:
        yield Finding("rights", "ok", f"table {table} can be read")


def _classes(visit: Visit) -> set[str]:
    return {name for step in visit.steps for name in step.classes}


def said(answer: Answer) -> str:
    """What the server said, with its status."""
    if answer.problem is None:
        return f"status {answer.status}"
    words = answer.problem.found or answer.problem.message
    return f"{answer.status} {words}" if answer.status else words
