"""Files attached to records: kept in parts, packed, with their SHA-256.

Documented: columns, limits as properties. Inferred: that size_compressed is about what packing gives (the sandbox packs
with Zstandard), that two files of one name stand side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from uuid import uuid4

import zstandard

from syncengine.sandbox.ledger import Entry, content_hash
from syncengine.sandbox.store import ATTACHMENTS, Record
from syncengine.sandbox.world import World

DOCUMENTS = "sys_attachment_doc"
MEBIBYTE = 1 << 20


class TooLarge(Exception):
    """The file is larger than the instance takes; nothing was kept."""


class SameContent(Exception):
    """The record has this content already."""


def max_bytes(world: World) -> int:
    """The largest file (documented property, in MB); 0: any."""
    text = world.properties.get("com.glide.attachment.max_size", "").strip()
    return int(text) * MEBIBYTE if text.isdigit() else 0


def allowed(world: World, file_name: str) -> bool:
    """Whether a file of this name may be attached (documented property: a list of extensions, empty for all)."""
    listed = world.properties.get("glide.attachment.extensions", "")
    extensions = {part.strip().lower().lstrip(".") for part in listed.split(",") if part.strip()}
    return not extensions or file_name.rpartition(".")[2].lower() in extensions


def add(world: World, values: dict[str, str], parts: Iterable[bytes], user: str) -> Record:
    """Attach a file: values name file, type, table and record; raises TooLarge, SameContent."""
    limit = max_bytes(world)
    packer = zstandard.ZstdCompressor(level=1)
    now, sys_id = world.clock.now(), uuid4().hex
    size = packed_size = position = 0
    digest = sha256()
    made = {"sys_created_on": now, "sys_updated_on": now, "sys_created_by": user, "sys_updated_by": user}
    with world.store.transaction():
        documents = []
        for part in parts:
            size += len(part)
            if limit and size > limit:
                raise TooLarge
            digest.update(part)
            packed = packer.compress(part)
            packed_size += len(packed)
            world.store.add_content(sys_id, position, packed)
            document = {"sys_attachment": sys_id, "position": str(position), "length": str(len(part)), **made}
            documents.append(
                Record(world.store.new_rid(), DOCUMENTS, DOCUMENTS, uuid4().hex, {**document, "sys_mod_count": "0"})
            )
            position += 1
        found = digest.hexdigest()
        if world.settings["attachment.same_content"] == "refused" and _has(world, values["table_sys_id"], found):
            raise SameContent
        full = {
            **values,
            "size_bytes": str(size),
            "size_compressed": str(packed_size),
            "compressed": "true",
            "hash": "" if world.settings["attachment.hash"] == "none" else found,
            "state": "available",
            "sys_mod_count": "0",
            **made,
        }
        record = Record(world.store.new_rid(), ATTACHMENTS, ATTACHMENTS, sys_id, {k: v for k, v in full.items() if v})
        world.store.insert_many([record, *documents])
        key = f"{values['table_name']}|{values['table_sys_id']}|{values['file_name']}|{found}"
        world.ledger.write(now, [Entry("attach", ATTACHMENTS, sys_id, key, found)])
    return record


def read(world: World, record: Record) -> Iterator[bytes]:
    """The content, in parts."""
    unpacker = zstandard.ZstdDecompressor()
    for packed in world.store.content(record.sys_id):
        yield unpacker.decompress(packed)


def rename(world: World, record: Record, before: Mapping[str, str]) -> None:
    """Write a record whose file name is new."""
    with world.store.transaction():
        world.store.update_many([(record, record.table, before)])
        name = record.values.get("file_name", "")
        entry = Entry("update", ATTACHMENTS, record.sys_id, record.sys_id, content_hash({"file_name": name}))
        world.ledger.write(world.clock.now(), [entry])


def remove(world: World, record: Record) -> None:
    """Delete a file with its content."""
    with world.store.transaction():
        for document in list(world.store.all(DOCUMENTS)):
            if document.values.get("sys_attachment") == record.sys_id:
                world.store.delete(document)
        world.store.drop_content(record.sys_id)
        world.store.delete(record)
        entry = Entry("delete", ATTACHMENTS, record.sys_id, record.sys_id, "")
        world.ledger.write(world.clock.now(), [entry])


def of_record(world: World, sys_id: str) -> list[Record]:
    """The files of one record, oldest first."""
    rows = world.store.db.execute("SELECT rid FROM attached WHERE target=? ORDER BY rid", (sys_id,)).fetchall()
    return list(world.store.by_rid(row[0] for row in rows).values())


def _has(world: World, sys_id: str, digest: str) -> bool:
    return any(one.values.get("hash") == digest for one in of_record(world, sys_id))
