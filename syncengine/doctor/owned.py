"""Whether the records that the specs have written before can be read: guards and adoption count from them."""

from __future__ import annotations

from collections.abc import Iterator

from syncengine.doctor.finding import Finding
from syncengine.doctor.rights import REFUSED, said
from syncengine.doctor.visit import Visit
from syncengine.errors import Exit
from syncengine.transport.answer import Ending, Request
from syncengine.transport.servicenow import query_value

TABLE = "sys_object_source"


def look(visit: Visit) -> Iterator[Finding]:
    """One line per data source and feed, until one is refused."""
    path = f"/api/now/table/{TABLE}"
    client = visit.fresh()
    for step in visit.steps:
        if step.kind != "cmdb":
            continue
        query = f"name={query_value(step.data_source)}^source_feed={query_value(step.feed)}"
        params = {"sysparm_query": query, "sysparm_limit": "1", "sysparm_fields": "sys_id"}
        answer = visit.call(Request("GET", path, params), client)
        if answer.ending is not Ending.DONE:
            fix = visit.ask_for(f"read access to {TABLE}")
            exit_class = Exit.AUTH if answer.status in REFUSED else Exit.REMOTE
            message = f"what was written before cannot be read: {said(answer)}"
            yield Finding("owned records", "problem", message, fix, f"GET {path}", exit_class)
            return
        rows, total = answer.body.get("result") or [], answer.headers.get("x-total-count", "")
        if rows or total in ("", "0"):
            many = f"{total:,} records" if rows and total else "records" if rows else "none yet"
            yield Finding("owned records", "ok", f"{step.feed}: {many}")
        else:
            fix = visit.ask_for(f"read access to {TABLE}")
            message = f"{step.feed}: {total:,} records are there and hidden by access rules"
            yield Finding("owned records", "problem", message, fix, f"GET {path}", Exit.AUTH)
