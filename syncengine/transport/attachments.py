"""The Attachment API's lists, read completely (c_AttachmentAPI, Australia)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from syncengine.errors import NOTHING_WRITTEN, AuthError, Problem, RemoteError
from syncengine.transport.reader import Reader
from syncengine.transport.servicenow import is_sys_id, rows_by_ids

PATH = "/api/now/attachment"
_PAGE = 1000
_IDS_AT_ONCE = 40
_FIELD_IMAGES = "ZZ_YY"
"""Stands before the table's name where the attachment is the image of a field."""


class Attachment(NamedTuple):
    """One attachment of a record."""

    sys_id: str
    record: str
    name: str
    size: int
    hash: str = ""
    """SHA-256 of its content; empty where the instance does not tell (a column that the API page does not name)."""


def attachments_of(reader: Reader, records: Iterable[str]) -> tuple[dict[str, list[Attachment]], set[str]]:
    """The attachments of records, by sys_id of the record; and the records of which not all may be seen.

    The count of the header includes what access rules hide, so a shorter list is known to be one.
    """
    wanted = sorted(set(records))
    found: dict[str, list[Attachment]] = {record: [] for record in wanted}
    hidden: set[str] = set()
    for start in range(0, len(wanted), _IDS_AT_ONCE):
        some = wanted[start : start + _IDS_AT_ONCE]
        rows, is_whole = _listed(reader, some)
        if not is_whole and len(some) > 1:
            rows = []
            for one in some:
                alone, is_whole = _listed(reader, [one])
                rows += alone
                if not is_whole:
                    hidden.add(one)
        elif not is_whole:
            hidden.update(some)
        for row in rows:
            if row.record in found:
                found[row.record].append(row)
    return found, hidden


def _listed(reader: Reader, records: list[str]) -> tuple[list[Attachment], bool]:
    query = f"table_sys_idIN{','.join(records)}^ORDERBYsys_id"
    found: list[Attachment] = []
    seen, offset = 0, 0
    while True:
        params = {"sysparm_query": query, "sysparm_limit": str(_PAGE), "sysparm_offset": str(offset)}
        answer = reader.get(PATH, params)
        rows = answer.body.get("result") if isinstance(answer.body, dict) else None
        if not isinstance(rows, list) or not all(
            isinstance(row, dict) and is_sys_id(row.get("sys_id", "")) for row in rows
        ):
            problem = Problem("unexpected-answer", "the list of attachments cannot be used", f"GET {PATH}")
            raise RemoteError(problem, effect=NOTHING_WRITTEN)
        seen += len(rows)
        own = [row for row in rows if not str(row.get("table_name", "")).startswith(_FIELD_IMAGES)]
        found += map(read_attachment, own)
        text = answer.headers.get("x-total-count", "")
        total = int(text) if text.isascii() and text.isdigit() else None
        offset += _PAGE
        if (total is None and len(rows) < _PAGE) or (total is not None and offset >= total):
            return list({one.sys_id: one for one in found}.values()), total is None or seen >= total


def hashes_of(reader: Reader, ids: Collection[str]) -> dict[str, str]:
    """SHA-256 by sys_id, from the table behind the API, where it has them and may be read."""
    try:
        rows = list(rows_by_ids(reader, "sys_attachment", ids, ("sys_id", "hash")))
    except AuthError as error:
        if error.problems[0].code == "login-refused":
            raise
        return {}
    except RemoteError as error:
        if error.problems[0].code not in ("not-found", "bad-request"):
            raise
        return {}
    return {str(row["sys_id"]): str(row["hash"]).lower() for row in rows if row.get("hash")}


def read_attachment(row: dict[str, object]) -> Attachment:
    """An attachment as the API shows it: everything is text."""
    size = str(row.get("size_bytes") or "")
    return Attachment(
        str(row.get("sys_id") or ""),
        str(row.get("table_sys_id") or ""),
        str(row.get("file_name") or ""),
        int(size) if size.isascii() and size.isdigit() else -1,
        str(row.get("hash") or "").lower(),
    )
