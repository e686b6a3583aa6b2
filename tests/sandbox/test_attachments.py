"""Attachments from outside: both uploads, lists, downloads, limits, and what faults do to them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from syncengine.sandbox.body import Spool
from syncengine.sandbox.servicenow import multipart
from tests.budget import examples
from tests.sandbox.conftest import Http

TARGET = "7" * 32
MEBIBYTE = 1 << 20


@pytest.fixture
def files(http: Http) -> Http:
    """A sandbox with one incident."""
    http.running.seed({"records": {"incident": [{"sys_id": TARGET, "number": "INC1"}]}}, force=True)
    return http


def raw(http: Http, name: str, content: Any, kind: str = "text/plain", **parameters: str) -> requests.Response:
    """Attach the body itself."""
    asked = {"table_name": "incident", "table_sys_id": TARGET, "file_name": name, **parameters}
    headers = {"Content-Type": kind} if kind else {}
    url = f"{http.running.url}/api/now/attachment/file"
    return http.session.post(url, params=asked, data=content, headers=headers, timeout=60)


def form(http: Http, *parts: tuple[str, Any]) -> requests.Response:
    """Attach by a form with these parts in this order."""
    url = f"{http.running.url}/api/now/attachment/upload"
    return http.session.post(url, files=list(parts), timeout=60)


FIELDS = [("table_name", (None, "incident")), ("table_sys_id", (None, TARGET))]


def listed(http: Http, query: str = f"table_sys_id={TARGET}", **more: Any) -> list[dict[str, Any]]:
    """The attachments that a query names."""
    found: list[dict[str, Any]] = http.get("/attachment", sysparm_query=query, **more).json()["result"]
    return found


@pytest.mark.parametrize("size", [0, 1, 262_144, 262_145, 3_000_000])
def test_what_is_uploaded_is_downloaded(files: Http, size: int) -> None:
    """Both ways, byte by byte; size and SHA-256 are those of the content."""
    content = random.Random(size).randbytes(size)
    one = raw(files, "a.bin", content, "application/x-thing")
    other = form(files, *FIELDS, ("file", ("b.bin", content, "application/x-thing")))
    for made, name in [(one, "a.bin"), (other, "b.bin")]:
        assert made.status_code == 201, made.text
        told = made.json()["result"]
        assert (told["file_name"], told["size_bytes"], told["content_type"]) == (name, str(size), "application/x-thing")
        assert "hash" not in told
        read = files.session.get(told["download_link"], timeout=60)
        assert (read.status_code, read.content == content) == (200, True)
        assert read.headers["Content-Type"] == "application/x-thing"
        assert orjson.loads(read.headers["X-Attachment-Metadata"])["sys_id"] == told["sys_id"]
        assert made.headers["Location"].endswith(told["sys_id"])
    assert {one["hash"] for one in listed(files)} == {sha256(content).hexdigest()}
    keys = [entry["key"] for entry in files.running.ledger(kind="attach")]
    assert keys == [f"incident|{TARGET}|{name}|{sha256(content).hexdigest()}" for name in ("a.bin", "b.bin")]


@pytest.mark.parametrize("name", ["Übersicht 2026.pdf", 'a;b"c.txt', "名前.txt", "x%20y+z&.txt"])
def test_any_file_name_goes_both_ways(files: Http, name: str) -> None:
    """In parameters, in a form, in lists, in the headers of a download."""
    made = [raw(files, name, b"x"), form(files, *FIELDS, ("file", (name, b"x", "text/plain")))]
    for answer in made:
        assert answer.status_code == 201, answer.text
        assert answer.json()["result"]["file_name"] == name
        read = files.session.get(answer.json()["result"]["download_link"], timeout=10)
        assert orjson.loads(read.headers["X-Attachment-Metadata"])["file_name"] == name
        assert read.headers["Content-Disposition"] == f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    assert [one["file_name"] for one in listed(files, f"table_sys_id={TARGET}^file_name={name}")] == [name] * 2


def test_a_list_is_queried_paged_and_counted(files: Http) -> None:
    """By table, record, name and size; links lead on."""
    for n in range(7):
        raw(files, f"f{n}.txt", b"x" * n)
    raw(files, "other", b"y", table_name="sys_user", table_sys_id=TARGET)
    assert len(listed(files, f"table_name=incident^table_sys_id={TARGET}")) == 7
    assert [one["size_bytes"] for one in listed(files, f"table_sys_id={TARGET}^file_name=f3.txt")] == ["3"]
    answer = files.get("/attachment", sysparm_query=f"table_sys_id={TARGET}^ORDERBYfile_name", sysparm_limit=3)
    assert answer.headers["X-Total-Count"] == "7"
    assert [one["file_name"] for one in answer.json()["result"]] == ["f0.txt", "f1.txt", "f2.txt"]
    follow = files.session.get(answer.links["next"]["url"], timeout=10).json()["result"]
    assert [one["file_name"] for one in follow] == ["f3.txt", "f4.txt", "f5.txt"]
    assert len(files.rows("sys_attachment", f"table_sys_id={TARGET}")) == 7
    assert files.get("/attachment", sysparm_limit=0).status_code == 400


@pytest.mark.parametrize(
    ("way", "in_list", "in_table"), [("listed", True, True), ("table", False, True), ("none", False, False)]
)
def test_the_hash_is_there_or_not(files: Http, way: str, in_list: bool, in_table: bool) -> None:
    """Setting attachment.hash: no page of the API names the column."""
    files.running.settings(attachment__hash=way)
    raw(files, "a", b"abc")
    assert ("hash" in listed(files)[0]) is in_list
    assert bool(files.rows("sys_attachment")[0]["hash"]) is in_table


def test_two_files_of_one_name_stand_side_by_side(files: Http) -> None:
    """Also of one content, unless the setting attachment.same_content refuses that."""
    assert [raw(files, "a", b"abc").status_code for _ in range(2)] == [201, 201]
    files.running.settings(attachment__same_content="refused")
    assert [raw(files, "a", content).status_code for content in (b"abc", b"abd")] == [400, 201]
    assert len(listed(files)) == 3


@pytest.mark.parametrize("missing", ["table_name", "table_sys_id", "file_name"])
def test_a_parameter_that_is_missing_is_named(files: Http, missing: str) -> None:
    """400 (documented)."""
    answer = raw(files, "a", b"abc", **{missing: ""})
    assert (answer.status_code, answer.json()["error"]["detail"]) == (400, missing)


def test_a_raw_upload_needs_its_content_type(files: Http) -> None:
    """Documented."""
    assert raw(files, "a", b"abc", kind="").status_code == 400


def test_a_form_needs_its_file_and_has_it_last(files: Http) -> None:
    """400 otherwise (documented order); taken all the same by the setting attachment.file_first."""
    file = ("file", ("a.txt", b"abc", "text/plain"))
    first = form(files, file, *FIELDS)
    assert (first.status_code, first.json()["error"]["detail"]) == (400, "the file is not the last part of the request")
    assert form(files, *FIELDS).status_code == 400
    assert form(files, FIELDS[0], file).json()["error"]["detail"] == "table_sys_id"
    url = f"{files.running.url}/api/now/attachment/upload"
    for headers, body in [({"Content-Type": "text/plain"}, b"x"), ({"Content-Type": "multipart/form-data"}, b"x"),
                          ({"Content-Type": "multipart/form-data; boundary=b"}, b"no such thing")]:  # fmt: skip
        assert files.session.post(url, data=body, headers=headers, timeout=10).status_code in (400, 415)
    assert listed(files) == []
    files.running.settings(attachment__file_first=201)
    assert form(files, file, *FIELDS).status_code == 201


def test_a_record_that_is_missing_or_not_visible_takes_no_file(files: Http) -> None:
    """404 (documented); its files are missing, too."""
    assert raw(files, "a", b"abc", table_sys_id="8" * 32).status_code == 404
    assert raw(files, "a", b"abc", table_name="u_none").status_code == 404
    made = raw(files, "a", b"abc").json()["result"]
    rule = {"table": "incident", "roles": ["boss"]}
    files.running.seed({"users": {"few": {"password": "x", "roles": ["itil"]}}, "access": [rule]}, force=True)
    files.session.auth = ("few", "x")
    assert raw(files, "a", b"abc").status_code == 404
    assert files.session.get(made["download_link"], timeout=10).status_code == 404
    answer = files.get("/attachment")
    assert (answer.json()["result"], answer.headers["X-Total-Count"]) == ([], "1")


def test_limits_are_properties_that_can_be_read(files: Http) -> None:
    """Largest size in MB, allowed extensions, role (documented); statuses of refusals are settings."""
    limits = {"com.glide.attachment.max_size": "1", "glide.attachment.extensions": "txt, PDF"}
    files.running.seed({"properties": limits}, force=True)
    read = {row["name"]: row["value"] for row in files.rows("sys_properties", "nameLIKEattachment")}
    assert read == {**limits, "glide.attachment.role": ""}
    assert raw(files, "a.txt", b"x" * MEBIBYTE).status_code == 201
    assert raw(files, "a.TXT", b"x" * (MEBIBYTE + 1)).status_code == 413
    assert form(files, *FIELDS, ("file", ("a.exe", b"x", "text/plain"))).status_code == 400
    files.running.settings(attachment__too_large_status=400, attachment__extension_status=415)
    assert [raw(files, "a.pdf", b"x" * 2 * MEBIBYTE).status_code, raw(files, "pdf.", b"x").status_code] == [400, 415]
    assert [one["file_name"] for one in listed(files)] == ["a.txt"]
    users = {"few": {"password": "x", "roles": ["itil"]}}
    files.running.seed({"properties": {"glide.attachment.role": "uploader"}, "users": users}, force=True)
    files.session.auth = ("few", "x")
    assert raw(files, "b.txt", b"x").status_code == 403


def test_a_file_is_renamed_and_deleted(files: Http) -> None:
    """204 (documented), also over the Table API; the content goes with it."""
    made = [raw(files, name, b"abc").json()["result"] for name in ("a", "b")]
    url = f"{files.running.url}/api/now/attachment/{made[0]['sys_id']}"
    assert files.session.patch(url, json={"file_name": "c"}, timeout=10).status_code == 204
    assert files.get(f"/attachment/{made[0]['sys_id']}").json()["result"]["file_name"] == "c"
    assert files.session.delete(url, timeout=10).status_code == 204
    assert files.session.get(f"{url}/file", timeout=10).status_code == 404
    other = f"{files.running.url}/api/now/table/sys_attachment/{made[1]['sys_id']}"
    assert files.session.delete(other, timeout=10).status_code == 204
    assert files.rows("sys_attachment") == files.rows("sys_attachment_doc") == []
    kinds = [entry["kind"] for entry in files.running.ledger(table="sys_attachment")]
    assert kinds == ["attach", "attach", "update", "delete", "delete"]


def test_files_go_with_their_record(files: Http) -> None:
    """Inferred: deleting a record cascades."""
    raw(files, "a", b"abc")
    url = f"{files.running.url}/api/now/table/incident/{TARGET}"
    assert files.session.delete(url, timeout=10).status_code == 204
    assert files.rows("sys_attachment") == []


def test_a_file_inside_json_meets_the_limit_of_the_body_and_an_upload_does_not(files: Http) -> None:
    """As on an instance: ten megabytes there, a gigabyte here."""
    files.running.settings(limits__body_bytes=100_000)
    assert raw(files, "a", b"x" * 200_000).status_code == 201


def test_an_upload_can_take_effect_although_its_answer_is_lost(files: Http) -> None:
    """So repeating it makes a second file; the ledger tells."""
    files.running.faults("api=attach_upload, at=1, do=commit_then_reset")
    with pytest.raises(requests.ConnectionError):
        raw(files, "a", b"abc")
    assert raw(files, "a", b"abc").status_code == 201
    entries = files.running.ledger(kind="attach")
    assert len(entries) == 2
    assert entries[0]["key"] == entries[1]["key"]


@pytest.mark.parametrize("multi", [False, True])
def test_a_short_file_can_be_kept(files: Http, multi: bool) -> None:
    """commit_part(k): the first k bytes of the file; nothing for none."""
    files.running.faults("api=attach_upload, at=1, do=commit_part(1000)_then_close",
                         "api=attach_upload, at=2, do=commit_part(0)_then_reset")  # fmt: skip
    content = random.Random(1).randbytes(700_000)
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            form(files, *FIELDS, ("file", ("a", content, "text/plain"))) if multi else raw(files, "a", content)
    (short,) = listed(files)
    assert short["size_bytes"] == "1000"
    assert files.session.get(short["download_link"], timeout=10).content == content[:1000]


def test_faults_on_lists_and_downloads(files: Http) -> None:
    """A list too short, a status, a download cut off, an upload chosen by its name, one that comes late."""
    for name in ("a", "b", "c"):
        raw(files, name, b"abc" * 1000)
    files.running.faults("api=attach_list, at=1, do=count(-1)", "api=attach_list, at=2, do=status(503)",
                         "api=attach_file, at=1, do=truncate(10)", "api=attach_upload, key=special, do=status(500)",
                         "api=attach_upload, key=tardy, do=commit_late(60)")  # fmt: skip
    short = files.get("/attachment", sysparm_query=f"table_sys_id={TARGET}")
    assert (len(short.json()["result"]), short.headers["X-Total-Count"]) == (2, "3")
    assert files.get("/attachment").status_code == 503
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        files.session.get(listed(files)[0]["download_link"], timeout=10)
    assert [raw(files, name, b"x").status_code for name in ("plain", "special")] == [201, 500]
    with pytest.raises(requests.ConnectionError):
        raw(files, "tardy", b"x" * 2 * MEBIBYTE)
    assert len(listed(files)) == 4
    files.running.advance(61)
    for _ in range(200):
        if len(listed(files)) == 5:
            break
    assert {one["size_bytes"] for one in listed(files, "file_name=tardy")} == {str(2 * MEBIBYTE)}


def blocks(number: int) -> Iterator[bytes]:
    """Content that does not pack well, made while it is sent."""
    chance = random.Random(7)
    for _ in range(number):
        yield chance.randbytes(MEBIBYTE)


@pytest.mark.parametrize("number", [40, pytest.param(200, marks=pytest.mark.long)])
def test_a_large_file_needs_little_memory(files: Http, number: int) -> None:
    """Coming in and going out; what the server keeps in memory is mostly the database's cache of 64 MiB."""
    before = peak(files)
    made = raw(files, "big", blocks(number), "application/octet-stream").json()["result"]
    digest, size = sha256(), 0
    with files.session.get(made["download_link"], stream=True, timeout=60) as answer:
        for part in answer.iter_content(MEBIBYTE):
            digest.update(part)
            size += len(part)
    assert size == number * MEBIBYTE
    assert listed(files)[0]["hash"] == digest.hexdigest()
    assert peak(files) - before < 100 * MEBIBYTE


def peak(http: Http) -> int:
    """The most memory that the server has had, in bytes."""
    lines = Path(f"/proc/{http.running.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@given(
    content=st.binary(max_size=400),
    fields=st.dictionaries(st.sampled_from(["table_name", "table_sys_id", "note"]), st.text(max_size=20), max_size=3),
    name=st.from_regex(r"[A-Za-z0-9 ._-]{1,20}", fullmatch=True),
    last=st.booleans(),
)
@settings(max_examples=examples(60), deadline=None)
def test_any_form_is_read_as_it_was_written(content: bytes, fields: dict[str, str], name: str, last: bool) -> None:
    """By a client library that writes it: the inverse of writing."""
    parts: list[Any] = [(key, (None, value.encode())) for key, value in fields.items()]
    parts.insert(len(parts) if last else 0, ("file", (name, content, "text/plain")))
    prepared = requests.Request("POST", "http://x", files=parts).prepare()
    spool = Spool()
    spool.write(prepared.body if isinstance(prepared.body, bytes) else b"")
    found = multipart.read(spool, prepared.headers["Content-Type"])
    assert found.fields == fields
    assert found.file is not None
    assert (found.file.file_name, b"".join(found.file.content.parts())) == (name, content)
    assert found.file_is_last == (last or not fields)
