"""What an instance takes as an attachment, where its properties can be read (c_AttachmentAPI, Australia)."""

from __future__ import annotations

from dataclasses import dataclass

from syncengine.errors import AuthError, RemoteError
from syncengine.transport.reader import Reader
from syncengine.transport.servicenow import table_rows

SIZE, EXTENSIONS = "com.glide.attachment.max_size", "glide.attachment.extensions"
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest file and the allowed extensions; None where the instance does not tell."""

    most_bytes: int | None = None
    extensions: frozenset[str] | None = None
    """Empty means all."""

    def refusal(self, name: str, size: int) -> tuple[str, str] | None:
        """Code and words where a file would not be taken."""
        if self.most_bytes is not None and size > self.most_bytes:
            return "too-large", f"{name} has {size} bytes; the instance takes {self.most_bytes // _MIB} MB ({SIZE})"
        extension = name.rpartition(".")[2].lower() if "." in name else ""
        if self.extensions and extension not in self.extensions:
            return "extension-not-allowed", f"{name}: the instance takes {', '.join(sorted(self.extensions))} only"
        return None


def read_limits(reader: Reader) -> Limits:
    """The limits of an instance, as far as this user may see them."""
    try:
        rows = list(table_rows(reader, "sys_properties", f"nameIN{SIZE},{EXTENSIONS}", ("sys_id", "name", "value")))
    except AuthError as error:
        if error.problems[0].code == "login-refused":
            raise
        return Limits()
    except RemoteError as error:
        if error.problems[0].code not in ("not-found", "bad-request"):
            raise
        return Limits()
    known = {str(row["name"]): str(row.get("value") or "").strip() for row in rows}
    size = known.get(SIZE, "")
    said = known.get(EXTENSIONS)
    extensions = (
        None if said is None else frozenset(one.strip().lower().lstrip(".") for one in said.split(",") if one.strip())
    )
    return Limits(int(size) * _MIB if size.isascii() and size.isdigit() and int(size) else None, extensions)
