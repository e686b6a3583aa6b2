"""ServiceNow's manners: how it says no, and how a table is read completely."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from syncengine.errors import NOTHING_WRITTEN, Problem, RemoteError, SourceError
from syncengine.transport.answer import Answer, Request
from syncengine.transport.reader import Reader
from syncengine.transport.redaction import FOUND, cut, escape

PAGE = 1000
Display = Literal["false", "true", "all"]
_URL_MOST = 2000
_URL_REST = 150
"""Parameter names and the limit."""
_FIELDS_MOST = 900
_IDS_AT_ONCE = 50
_ASK_LESS = ("took-too-long", "not-json", "answer-too-large", "error-inside")
"""What a page that is too large for one transaction looks like."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,79}", re.ASCII)
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,79}(\.[a-z][a-z0-9_]{0,79}){0,5}", re.ASCII)
_SYS_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_ID = re.compile(r"[0-9A-Za-z_.\-]{1,64}", re.ASCII)
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

    def is_cancelled(self, words: str) -> bool:
        """The quota of one transaction ran out: as an error, beside a result, or behind a list that was cut off."""
        return "maximum execution time" in words or "ransaction cancelled" in words

    def refusal(self, status: int, path: str) -> tuple[str, str]:
        """Names the table that is meant."""
        table = path.removeprefix("/api/now/table/").partition("/")[0] if path.startswith("/api/now/table/") else ""
        if table and status == 404 and path.count("/") == 4:
            return f"table {table} does not exist or is not visible to this user", ""
        if table and status == 403:
            return f"this user may not do this with table {table}", ""
        return "", ""

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
    """A value for an encoded query; SourceError where that language has no way to write it.

    There is no escape: `^` starts the next condition, and what begins with `javascript:` is run by the server.
    """
    if _OPERATORS.search(value) or value.lstrip().lower().startswith("javascript:"):
        raise _unsearchable(value, "a value with ^, a line break or javascript: cannot be searched for")
    return value


def list_value(values: Iterable[str]) -> str:
    """Values for `IN`; SourceError also for a comma, which would make two values of one."""
    checked = [query_value(value) for value in values]
    for value in checked:
        if "," in value:
            raise _unsearchable(value, "a value with a comma cannot be searched for in a list")
    return ",".join(checked)


def _unsearchable(value: str, message: str) -> SourceError:
    fix = "look the record up by another column, or change the value in the source"
    return SourceError(Problem("unsearchable-value", message, found=cut(escape(value), FOUND), fix=fix))


def is_sys_id(text: str) -> bool:
    """Whether a text has the form of a sys_id: 32 digits and letters a to f."""
    return bool(_SYS_ID.fullmatch(text))


def table_rows(
    reader: Reader,
    table: str,
    query: str = "",
    fields: Sequence[str] = (),
    *,
    page: int = PAGE,
    on_hidden: Callable[[int], None] | None = None,
    display: Display = "false",
    after: str = "",
) -> Iterator[dict[str, Any]]:
    """Every row that the query gives, in order of sys_id; with `after`, those behind that one.

    Pages follow the sys_id, so rows that come and go meanwhile shift nothing. Access rules are applied after the
    limit, so a short page is not the end; `X-Total-Count` says how much there is to go through. What was counted at
    the start and not seen in the end is told to `on_hidden`. With `display` "true" values are as people see them, with
    "all" each is an object of both.
    """
    if "ORDERBY" in query or "^NQ" in query:
        raise ValueError(f"a query with ORDERBY or ^NQ cannot be read in pages: {query!r}")
    path = table_path(table)
    last, size, offset, seen = after, page, 0, 0
    counted: int | None = None
    while True:
        clauses = [clause for clause in (query, f"sys_id>{last}" if last else "") if clause]
        params = _params("^".join([*clauses, "ORDERBYsys_id"]), fields, size)
        if display != "false":
            params["sysparm_display_value"] = display
        if offset:
            params["sysparm_offset"] = str(offset)
        try:
            answer = reader.get(path, params)
        except RemoteError as error:
            if size == 1 or error.problems[0].code not in _ASK_LESS:
                raise
            size //= 2
            continue
        rows, total = _rows(answer, path), total_count(answer)
        counted = total if counted is None else counted
        for row in rows:
            here = row.get("sys_id", "")
            if isinstance(here, dict):
                here = here.get("value", "")
            # A few records that ship with an instance have ids that are no hex; their order is the database's.
            if not _ID.fullmatch(here) or (here <= last and is_sys_id(here) and is_sys_id(last)):
                raise _damaged(answer, path, f"rows out of order after sys_id {last or '(start)'}")
            last = here
            seen += 1
            yield row
        if rows:
            offset = 0
            if total is not None and len(rows) >= total:
                break
        elif total is None or offset + size >= total:
            break
        else:
            offset += size  # a whole page hidden by access rules: the next one begins at an id that cannot be seen
    if on_hidden is not None and counted is not None and seen < counted:
        on_hidden(counted - seen)


def rows_by_ids(
    reader: Reader, table: str, ids: Collection[str], fields: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """The rows with these sys_ids, as far as they exist and can be seen; about fifty a request."""
    path = table_path(table)
    wanted = sorted(set(ids))
    for one in wanted:
        if not _ID.fullmatch(one):
            place = f"GET {path}"
            raise RemoteError(
                Problem("unexpected-answer", "not a sys_id", place, cut(escape(one), FOUND)), effect=NOTHING_WRITTEN
            )
    if len(",".join(fields)) > _FIELDS_MOST:
        fields = ()  # naming them leaves no room for ids; all columns are the smaller evil
    room = _URL_MOST - len(reader.base_url) - len(path) - len(",".join(fields)) - _URL_REST
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
    """The rows where all these columns have exactly these values, at most `most`.

    The instance ignores letter case, so what it finds is compared once more.
    """
    clauses, wanted = [], dict(where)
    for name, value in wanted.items():
        if not _FIELD.fullmatch(name):
            raise ValueError(f"not a column name: {name!r}")
        clauses.append(f"{name}={query_value(value)}" if value else f"{name}ISEMPTY")
    if not clauses:
        raise ValueError("a look-up needs at least one column")
    path = table_path(table)
    names = [*fields, *wanted] if fields else ()
    rows = _rows(reader.get(path, _params("^".join([*clauses, "ORDERBYsys_id"]), names, most)), path)
    return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]


def is_listable(value: str) -> bool:
    """Whether a value can be one of several that are looked for at once."""
    return bool(value) and len(value) <= 40 and value == value.strip() and "," not in value


def rows_in(
    reader: Reader, table: str, column: str, values: Sequence[str], fields: Sequence[str], *, most: int = 1000
) -> dict[str, list[dict[str, Any]]] | None:
    """The rows by which of these values a column has exactly; None where there are too many to see them all."""
    path = table_path(table)
    query = f"{column}IN{list_value(values)}^ORDERBYsys_id"
    answer = reader.get(path, _params(query, [*fields, column], most))
    rows = _rows(answer, path)
    if len(rows) >= most or (total_count(answer) or 0) > len(rows):
        return None
    found: dict[str, list[dict[str, Any]]] = {value: [] for value in values}
    for row in rows:
        if row.get(column) in found:
            found[row[column]].append(row)
    return found


def a_row(reader: Reader, table: str, fields: Sequence[str]) -> dict[str, Any] | None:
    """Any row of a table, with those columns of it that are shown; None where no row is."""
    path = table_path(table)
    rows = _rows(reader.get(path, _params("ORDERBYsys_id", fields, 1)), path)
    return rows[0] if rows else None


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


def total_count(answer: Answer) -> int | None:
    """How many rows a query has, by `X-Total-Count`; None where it is not told, or not as a number."""
    text = answer.headers.get("x-total-count", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None


def _damaged(answer: Answer, path: str, message: str) -> RemoteError:
    place = f"GET {path} → {answer.status}"
    return RemoteError(
        Problem("unexpected-answer", f"the server's answer cannot be used: {message}", place), effect=NOTHING_WRITTEN
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
