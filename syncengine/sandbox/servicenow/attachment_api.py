"""Attachment API (documented: c_AttachmentAPI). Bodies of refusals were not found; their statuses are settings."""

from __future__ import annotations

import json  # not orjson: a header holds ASCII only
from collections.abc import Mapping
from urllib.parse import quote

from starlette.responses import Response

from syncengine.sandbox import attachments
from syncengine.sandbox.body import Download, Spool, spooled
from syncengine.sandbox.encoded_query import parse
from syncengine.sandbox.injected import first_bytes
from syncengine.sandbox.servicenow import multipart
from syncengine.sandbox.servicenow.errors import ApiError, json_response, no_record
from syncengine.sandbox.servicenow.requests import Call
from syncengine.sandbox.servicenow.table_api import Scope, page_links
from syncengine.sandbox.store import ATTACHMENTS, Record

FIELDS = (
    "sys_id", "file_name", "content_type", "size_bytes", "size_compressed", "compressed", "table_name", "table_sys_id",
    "image_width", "image_height", "average_image_color", "sys_created_by", "sys_created_on", "sys_updated_by",
    "sys_updated_on", "sys_mod_count", "sys_tags",
)  # fmt: skip


def get_list(call: Call) -> Response:
    """Attachments that a query names, of records that the user may read."""
    world = call.world
    limit = call.number("sysparm_limit", world.settings.number("attachment.limit"))
    offset = max(0, call.number("sysparm_offset", 0))
    if limit <= 0:
        raise ApiError(400, "Invalid value given for sysparm_limit", "sysparm_limit value must be a positive integer")
    scope = Scope(call, world.tables[ATTACHMENTS], parse(call.parameters.get("sysparm_query", "")))
    total = scope.count(call)
    headers = {"X-Total-Count": str(total)}
    if link := page_links(call, limit, offset, total):
        headers["Link"] = link
    shown = [_shown(call, record) for record in scope.page(call, limit, offset) if _visible(call, record)]
    return json_response({"result": shown}, headers=headers)


def get_one(call: Call, sys_id: str) -> Response:
    """What is known of one attachment."""
    return json_response({"result": _shown(call, _find(call, sys_id))})


def get_file(call: Call, sys_id: str) -> Response:
    """The content of one attachment."""
    record = _find(call, sys_id)
    headers = {
        "Content-Length": record.values.get("size_bytes", "0"),
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(record.values.get('file_name', ''), safe='')}",
        "X-Attachment-Metadata": json.dumps(_shown(call, record)),
    }
    kind = record.values.get("content_type", "application/octet-stream")
    return Download(attachments.read(call.world, record), headers, kind)


def post_file(call: Call) -> Response:
    """Attach the body itself; the file is named by parameters."""
    kind = call.headers.get("content-type", "")
    if not kind:
        raise ApiError(400, "Missing required header: Content-Type")
    return _attach(call, call.parameters, call.parameters.get("file_name", ""), kind, spooled(call.body))


def post_upload(call: Call) -> Response:
    """Attach the file part of a form, which stands behind the fields that name the record."""
    kind = call.headers.get("content-type", "")
    if not kind.startswith("multipart/"):
        raise ApiError(415, "Unsupported content type")
    form = multipart.read(spooled(call.body), kind)
    if form.file is None:
        raise ApiError(400, "Missing required parameter", "no part of the request is a file")
    if not form.file_is_last and call.world.settings["attachment.file_first"] != 201:
        raise ApiError(400, "Exception while reading request", "the file is not the last part of the request")
    return _attach(call, form.fields, form.file.file_name, form.file.content_type, form.file.content)


def patch(call: Call, sys_id: str) -> Response:
    """Give an attachment another file name."""
    world, record, body = call.world, _find(call, sys_id), call.document()
    name = str(body.get("file_name", "")) if isinstance(body, Mapping) else ""
    if name and name != record.values.get("file_name"):
        before = dict(record.values)
        record.values |= {"file_name": name, "sys_updated_on": world.clock.now(), "sys_updated_by": call.user}
        record.values["sys_mod_count"] = str(int(before.get("sys_mod_count", "0")) + 1)
        attachments.rename(world, record, before)
    return Response(status_code=204)


def delete(call: Call, sys_id: str) -> Response:
    """Delete an attachment; there is no trash."""
    attachments.remove(call.world, _find(call, sys_id))
    return Response(status_code=204)


def _attach(call: Call, given: Mapping[str, str], file_name: str, kind: str, content: Spool) -> Response:
    world, settings = call.world, call.world.settings
    values = {"table_name": given.get("table_name", ""), "table_sys_id": given.get("table_sys_id", "")}
    values |= {"file_name": file_name, "content_type": kind, "encryption_context": given.get("encryption_context", "")}
    for name in ("table_name", "table_sys_id", "file_name"):
        if not values[name]:
            raise ApiError(400, "Missing required parameter", name)
    role = world.properties.get("glide.attachment.role", "")
    if role:
        call.need_role(*(part.strip() for part in role.split(",")))
    _check_record(call, values["table_name"], values["table_sys_id"])
    if not attachments.allowed(world, file_name):
        raise ApiError(settings.number("attachment.extension_status"), "File extension is not allowed", file_name)
    try:
        record = attachments.add(world, values, content.parts(first_bytes.get()), call.user)
    except attachments.TooLarge:
        limit = f"Max allowed: {attachments.max_bytes(world)} bytes"
        raise ApiError(settings.number("attachment.too_large_status"), "File is too large", limit) from None
    except attachments.SameContent:
        raise ApiError(400, "The same file is attached already", file_name) from None
    headers = {"Location": f"{call.base}/api/now/attachment/{record.sys_id}"}
    return json_response({"result": _shown(call, record, written=True)}, 201, headers)


def _check_record(call: Call, table_name: str, sys_id: str) -> None:
    status = call.world.settings.number("attachment.unknown_record")
    table = call.world.tables.get(table_name)
    record = call.world.store.get(table.root, sys_id) if table is not None else None
    missing = table is None or record is None or record.table not in table.below or not call.sight("read").row(record)
    if missing and status != 201:
        raise no_record() if status == 404 else ApiError(status, "Invalid table or record", f"{table_name} {sys_id}")


def _find(call: Call, sys_id: str) -> Record:
    record = call.world.store.get(ATTACHMENTS, sys_id)
    if record is None or not _visible(call, record):
        raise no_record()
    return record


def _visible(call: Call, record: Record) -> bool:
    """Documented: an attachment of a record that is not visible is missing."""
    sight = call.sight("read")
    if sight.open:
        return True
    table = call.world.tables.get(record.values.get("table_name", ""))
    owner = call.world.store.get(table.root, record.values.get("table_sys_id", "")) if table is not None else None
    return sight.row(record) and (owner is None or sight.row(owner))


def _shown(call: Call, record: Record, *, written: bool = False) -> dict[str, str]:
    shown = {name: record.values.get(name, "") for name in FIELDS}
    shown["sys_id"] = record.sys_id
    shown["download_link"] = f"{call.base}/api/now/attachment/{record.sys_id}/file"
    settings = call.world.settings
    if not written or settings["attachment.by_name"] == "always":
        shown["created_by_name"] = _person(call, record.values.get("sys_created_by", ""))
        shown["updated_by_name"] = _person(call, record.values.get("sys_updated_by", ""))
    if not written and settings["attachment.hash"] == "listed":
        shown["hash"] = record.values.get("hash", "")
        shown["state"] = record.values.get("state", "")
    return shown


def _person(call: Call, user_name: str) -> str:
    table = call.world.tables["sys_user"]
    found = Scope(call, table, parse(f"user_name={user_name}")).page(call, 1, 0)
    return (found[0].values.get("name", "") if found else "") or user_name
