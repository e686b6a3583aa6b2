"""What an instance knows of its tables beside their columns: rows that it has removed."""

from __future__ import annotations

from syncengine.errors import AuthError, RemoteError
from syncengine.transport.dictionary import ancestors, is_not_readable
from syncengine.transport.reader import Reader
from syncengine.transport.servicenow import table_rows


def deleted_ids(reader: Reader, table: str, since: str) -> list[str] | None:
    """The sys_ids of rows of a table, and of those that extend it, that were removed since then.

    None where sys_audit_delete is not for this user. Only tables that are audited are in it (documented).
    """
    below: dict[str, bool] = {table: True}
    found: list[str] = []
    try:
        rows = table_rows(reader, "sys_audit_delete", f"sys_created_on>={since}", ("tablename", "documentkey"))
        for row in rows:
            name = row.get("tablename", "")
            if name not in below:
                below[name] = bool(name) and table in ancestors(reader, name)
            if below[name] and row.get("documentkey"):
                found.append(row["documentkey"])
    except (AuthError, RemoteError) as error:
        if is_not_readable(error):
            return None
        raise
    return found
