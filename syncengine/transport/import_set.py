"""How the Import Set API answers, read strictly (c_ImportSetAPI, Australia).

A single insert says what each transform map made of the row; many rows at once only say which import set took them. A
transform that failed answers 200 or 201 all the same (observed): only `status` tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from syncengine.errors import AuthError, RemoteError
from syncengine.transport.reader import Reader
from syncengine.transport.servicenow import is_sys_id

STATUSES = frozenset({"inserted", "updated", "ignored", "skipped", "error"})
UNCHANGED = "No field values changed"
"""The words for a row that is as it was (documented)."""


ROLE = "import_transformer"
"""What is needed to read transform maps and staging rows (c_SOAPWebService, r_BaseSystemRoles)."""


class Strange(ValueError):
    """The answer is not what this call answers: nobody knows what was done."""


@dataclass(frozen=True, slots=True)
class MapResult:
    """What one transform map made of a row."""

    status: str
    """A word of STATUSES, or one that is not known."""
    map: str = ""
    table: str = ""
    """The target's table; empty where there is no target."""
    sys_id: str = ""
    message: str = ""


def read_single(body: Any, table: str) -> tuple[MapResult, ...]:
    """What each map made of a row that was inserted into `table`; raises Strange.

    Rows without a target name the staging row itself: that id is not taken for the target's.
    """
    rows = body.get("result") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise Strange("the answer has no list of results")
    said = body.get("staging_table")
    if said not in (None, "", table):
        raise Strange(f"the answer is for another table: {said}")
    if not rows:
        raise Strange("the answer tells nothing of the row")
    return tuple(_result(row, table) for row in rows)


def _result(row: Any, table: str) -> MapResult:
    if not isinstance(row, dict) or not isinstance(row.get("status"), str):
        raise Strange("a result of the answer has no status")
    target = _text(row, "table")
    sys_id = _text(row, "sys_id")
    has_target = target not in ("", table) and bool(sys_id)
    words = [text for name in ("error_message", "status_message") if (text := _text(row, name))]
    return MapResult(
        row["status"],
        _text(row, "transform_map"),
        target if has_target else "",
        sys_id if has_target else "",
        ": ".join(dict.fromkeys(words)),
    )


def read_multiple(body: Any) -> tuple[str, str]:
    """The import set that took the rows, and its multi import set; raises Strange."""
    inner = body.get("result", body) if isinstance(body, dict) else {}
    inner = inner if isinstance(inner, dict) else {}
    found = inner.get("import_set_id")
    if not isinstance(found, str) or not is_sys_id(found):
        raise Strange("the answer names no import set")
    multi = inner.get("multi_import_set_id")
    return found, multi if isinstance(multi, str) and is_sys_id(multi) else ""


def row_of(location: str, table: str) -> str:
    """The staging row that a `Location` header names; empty where it names none."""
    path, _, sys_id = location.partition("?")[0].rpartition("/")
    return sys_id if is_sys_id(sys_id) and path.endswith(f"/{table}") else ""


def read_row(row: Mapping[str, Any]) -> MapResult:
    """What a staging row says became of it; `pending` while its transform has not run.

    One row keeps one state and one target: with several maps the last one shows (inferred).
    """
    table, sys_id = _text(row, "sys_target_table"), _text(row, "sys_target_sys_id")
    status = _text(row, "sys_import_state").lower() or "pending"
    return MapResult(
        status, _text(row, "sys_transform_map"), table if sys_id else "", sys_id if table else "",
        _text(row, "sys_import_state_comment"),
    )  # fmt: skip


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if isinstance(value, dict):
        value = value.get("value")
    return value if isinstance(value, str) else ""


def is_seen(reader: Reader, table: str, query: str = "") -> bool:
    """Whether any row of a table can be seen; a login that is refused raises AuthError."""
    params = {"sysparm_limit": "1", "sysparm_fields": "sys_id", "sysparm_query": query}
    try:
        answer = reader.get(f"/api/now/table/{table}", params, allow_missing=True)
    except AuthError as error:
        if error.problems[0].code == "login-refused":
            raise
        return False
    except RemoteError as error:
        if error.problems[0].code not in ("not-found", "bad-request"):
            raise
        return False
    return answer is not None and bool(answer.body.get("result"))


def can_read_rows(reader: Reader, table: str) -> bool:
    """Whether staging rows can be read back: without the role lists are empty, not refused, so any row will do."""
    return any(is_seen(reader, one) for one in ("sys_transform_map", table, "sys_import_set_row"))
