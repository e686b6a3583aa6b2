"""ServiceNow's manners: how it says no, and how a table is read completely."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from syncengine.errors import NOTHING_WRITTEN, Problem, RemoteError
from syncengine.transport.answer import Answer, Request
from syncengine.transport.reader import Reader

PAGE = 1000
_URL_MOST = 2000
_IDS_AT_ONCE = 50
_NAME = re.compile(r"[a-z][a-z0-9_]{0,79}", re.ASCII)
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,79}(\.[a-z][a-z0-9_]{0,79}){0,5}", re.ASCII)
_SYS_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_OPERATORS = re.compile(r"[\^\n\r\x00]")


class TableError(NamedTuple):
    """The error envelope of an answer."""

    message: str
    detail: str


class ServiceNow:
    """How ServiceNow answers when it does not."""

    probe = Request("GET", "/api/now/table/sys_user", {"sysparm_limit": "1", "sysparm_fields": "sys_id"})

    def error_in(self, data: object) -> TableError | None:
        """The error envelope, also when it stands behind a result that a cancelled transaction left half written."""
        error = data.get("error") if isinstance(data, dict) else None
        if not error:
            return None
        if isinstance(error, dict):
            return TableError(_text(error.get("message")) or "error", _text(error.get("detail")))
        description = data.get("error_description") if isinstance(data, dict) else None
        return TableError(_text(error), _text(description))

    def is_dropped(self, status: int, body: bytes) -> bool:
        """202 without a body: more requests of one session than it takes, and this one was thrown away."""
        return status == 202 and not body.strip()

    def page_advice(self, title: str) -> tuple[str, bool]:
        """What to do about a web page in place of data."""
        if "hibernat" in title.lower():
            return "wake the instance: sign in to the developer site and open the instance", True
        if re.search(r"log ?in|sign ?in", title, re.IGNORECASE):
            return "this is a login page: check user, password and the permission to use the API", False
        return "open the instance in a browser: it may be starting or under maintenance", False


def table_path(table: str) -> str:
    """The path of a table; ValueError for what is no table name."""
    if not _NAME.fullmatch(table):
        raise ValueError(f"not a table name: {table!r}")
    return f"/api/now/table/{table}"


def query_value(value: str) -> str:
    """A value for an encoded query; ValueError where the language has no way to write it."""
    if _OPERATORS.search(value):
        raise ValueError(f"a value with ^ or a line break cannot be looked up: {value[:80]!r}")
    return value


def list_value(values: Iterable[str]) -> str:
    """Values for `IN`; ValueError for a value with a comma, which would count as two."""
    checked = [query_value(value) for value in values]
    for value in checked:
        if "," in value:
            raise ValueError(f"a value with a comma cannot stand in a list: {value[:80]!r}")
    return ",".join(checked)


def is_sys_id(text: str) -> bool:
    return bool(_SYS_ID.fullmatch(text))


def table_rows(
    reader: Reader, table: str, query: str = "", fields: Sequence[str] = (), *, page: int = PAGE
) -> Iterator[dict[str, Any]]:
    """Every row that the query gives, in order of sys_id.

    Pages follow the sys_id, so rows that come and go meanwhile shift nothing. Access rules are applied after the
    limit: a short page is not the end, and `X-Total-Count` says how many rows there were to go through.
    """
    if "ORDERBY" in query:
        raise ValueError("rows are read in the order of sys_id; the query has its own ORDERBY")
    if "^NQ" in query:
        raise ValueError("a query with ^NQ cannot be read in pages")
    path = table_path(table)
    last, size, seen_before = "", page, 0
    while True:
        clauses = [query] if query else []
        if last:
            clauses.append(f"sys_id>{last}")
        params = _params("^".join([*clauses, "ORDERBYsys_id"]), fields, size)
        try:
            answer = reader.get(path, params)
        except RemoteError as error:
            if size > 1 and error.problems[0].code in ("error-inside", "not-json"):
                size = max(1, size // 2)  # the quota for one transaction ran out: ask for less
                continue
            raise
        rows = _rows(answer, path)
        for row in rows:
            if not is_sys_id(row.get("sys_id", "")) or row["sys_id"] <= last:
                raise _damaged(answer, path, f"rows out of order after sys_id {last or '(start)'}")
            last = row["sys_id"]
            yield row
        total = _total(answer)
        if total is None:
            if len(rows) < size:
                return
        elif total <= size:
            return
        elif not rows:
            # A whole page was hidden by access rules; the next one begins at an id that cannot be seen.
            seen_before += 1
            yield from _by_offset(reader, path, clauses, fields, size, total)
            return


def _by_offset(
    reader: Reader, path: str, clauses: list[str], fields: Sequence[str], size: int, total: int
) -> Iterator[dict[str, Any]]:
    for offset in range(size, total, size):
        params = _params("^".join([*clauses, "ORDERBYsys_id"]), fields, size)
        yield from _rows(reader.get(path, {**params, "sysparm_offset": str(offset)}), path)


def rows_by_ids(
    reader: Reader, table: str, ids: Collection[str], fields: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """The rows with these sys_ids, as far as they exist and can be seen; about fifty a request."""
    path = table_path(table)
    wanted = sorted(set(ids))
    for one in wanted:
        if not is_sys_id(one):
            raise ValueError(f"not a sys_id: {one!r}")
    room = _URL_MOST - len(path) - len(",".join(fields)) - 250
    at_once = max(1, min(_IDS_AT_ONCE, room // 33))
    for start in range(0, len(wanted), at_once):
        some = wanted[start : start + at_once]
        answer = reader.get(path, _params("sys_idIN" + ",".join(some), fields, len(some)))
        asked = set(some)
        for row in _rows(answer, path):
            if row.get("sys_id") not in asked:
                raise _damaged(answer, path, "a row that was not asked for")
            yield row


def find_rows(
    reader: Reader, table: str, where: Iterable[tuple[str, str]], fields: Sequence[str] = (), *, most: int = 100
) -> list[dict[str, Any]]:
    """The rows where all these columns have exactly these values, at most `most`."""
    clauses = []
    for name, value in where:
        if not _FIELD.fullmatch(name):
            raise ValueError(f"not a column name: {name!r}")
        clauses.append(f"{name}={query_value(value)}" if value else f"{name}ISEMPTY")
    if not clauses:
        raise ValueError("a look-up needs at least one column")
    path = table_path(table)
    return _rows(reader.get(path, _params("^".join([*clauses, "ORDERBYsys_id"]), fields, most)), path)


def _params(query: str, fields: Sequence[str], limit: int) -> dict[str, str]:
    for field in fields:
        if not _FIELD.fullmatch(field):
            raise ValueError(f"not a column name: {field!r}")
    params = {"sysparm_query": query, "sysparm_limit": str(limit), "sysparm_exclude_reference_link": "true"}
    if fields:
        params["sysparm_fields"] = ",".join(dict.fromkeys(("sys_id", *fields)))
    return params


def _rows(answer: Answer, path: str) -> list[dict[str, Any]]:
    rows = answer.body.get("result") if isinstance(answer.body, dict) else None
    if not isinstance(rows, list):
        raise _damaged(answer, path, "no list of rows in the answer")
    # Instances have been seen to put an empty string in place of a row that may not be read.
    kept = [row for row in rows if isinstance(row, dict)]
    if len(kept) != len(rows) and any(row != "" for row in rows if not isinstance(row, dict)):
        raise _damaged(answer, path, "a row that is not an object")
    return kept


def _total(answer: Answer) -> int | None:
    text = answer.headers.get("x-total-count", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None


def _damaged(answer: Answer, path: str, message: str) -> RemoteError:
    place = f"GET {path} → {answer.status}"
    return RemoteError(
        Problem("unexpected-answer", f"the server's answer cannot be used: {message}", place), effect=NOTHING_WRITTEN
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
