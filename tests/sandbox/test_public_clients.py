"""Public client libraries, unchanged, over the sandbox's HTTPS: a check that does not come from our own reading."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from syncengine.sandbox import tls
from syncengine.sandbox.process import Running, attach
from tests.sandbox.conftest import Http, server


@pytest.fixture(scope="module")
def one_https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A sandbox that speaks HTTPS."""
    with attach(tmp_path_factory.mktemp("https"), tls=True) as one:
        yield one


@pytest.fixture
def https(one_https: Running) -> Running:
    """The same, empty."""
    one_https.reset()
    return one_https


def library(name: str) -> Any:
    """The library, whose own deprecation warnings are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name} is not installed: pip install 'syncengine-itsm[test]'")


@pytest.mark.filterwarnings("ignore")
def test_pysnc_works_unchanged(https: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Query, order, limit, paging, or-conditions, join, related lists, insert, update, delete, and a batch."""
    # requests prefers this variable to the session's own CA, so a machine that sets it would refuse ours
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(https.ca))
    pysnc = library("pysnc")
    client = pysnc.ServiceNowClient(https.url, (https.user, https.password), verify=str(https.ca))
    types = client.GlideRecord("cmdb_rel_type", batch_size=10)
    types.order_by("name")
    types.query()
    names = [str(record.name) for record in types]
    assert len(names) == len(types) == len(set(names)) > 50
    either = client.GlideRecord("sys_dictionary")
    either.add_query("name", "cmdb_ci")
    either.add_query("element", "name").add_or_condition("element", "asset_tag")
    either.query()
    assert sorted(str(record.element) for record in either) == ["asset_tag", "name"]
    Http(https).engine("/enhanced", server("a"), server("b"))
    record = client.GlideRecord("incident")
    record.initialize()
    record.short_description = "made by pysnc"
    sys_id = record.insert()
    found = client.GlideRecord("incident")
    assert found.get(sys_id)
    found.urgency = "2"
    found.update()
    assert client.GlideRecord("incident").get(sys_id)
    related = client.GlideRecord("cmdb_rel_type")
    related.add_rl_query("cmdb_rel_ci", "type", ">0", True)
    related.query()
    assert len(related) == 0
    joined = client.GlideRecord("sys_object_source")
    joined.add_join_query("cmdb_ci", "target_sys_id", "sys_id").add_query("name", "b")
    joined.query()
    assert [str(row.id) for row in joined] == ["host/b"]
    every = client.GlideRecord("incident")
    every.query()
    assert every.delete_multiple()
    empty = client.GlideRecord("incident")
    empty.query()
    assert len(empty) == 0
    with pytest.raises(pysnc.exceptions.AuthenticationException):
        pysnc.ServiceNowClient(https.url, (https.user, "wrong"), verify=str(https.ca)).GlideRecord("incident").query()


@pytest.mark.filterwarnings("ignore")
def test_pysnc_attaches_lists_reads_and_deletes_files(
    https: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Through a record and by itself, from memory and from disk, with and without a content type."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(https.ca))
    pysnc = library("pysnc")
    client = pysnc.ServiceNowClient(https.url, (https.user, https.password), verify=str(https.ca))
    record = client.GlideRecord("incident")
    record.initialize()
    record.short_description = "with files"
    sys_id = record.insert()
    assert "/api/now/attachment/" in record.add_attachment("one.txt", "first\nsecond")
    content = bytes(range(256)) * 5000
    (tmp_path / "two.bin").write_bytes(content)
    with (tmp_path / "two.bin").open("rb") as file:
        client.Attachment("incident").add_attachment(sys_id, "two.bin", file, "application/x-thing")
    found = record.get_attachments()
    assert len(found) == 2
    by_name = {}
    for name in ("one.txt", "two.bin"):
        one = client.Attachment("incident")
        one.add_query("table_sys_id", sys_id)
        one.add_query("file_name", name)
        one.query()
        assert one.next()
        by_name[name] = one
    text, binary = by_name.values()
    assert (text.content_type, text.size_bytes) == ("application/octet-stream", "12")
    assert text.readlines() == ["first", "second"]
    assert binary.content_type == "application/x-thing"
    assert binary.read() == content
    assert binary.as_temp_file().read() == content
    (tmp_path / "out").mkdir()
    assert binary.write_to(str(tmp_path / "out")).read_bytes() == content
    assert not binary.next()
    single = client.Attachment("incident")
    assert single.get(text.sys_id)
    single.delete()
    assert not client.Attachment("incident").get(text.sys_id)
    left = client.Attachment("incident")
    left.add_query("table_sys_id", sys_id)
    left.query()
    assert [file.file_name for file in left] == ["two.bin"]


CLIENT = {"sync": {"secret": "s3cret", "user": "reader"}}
READER = {"reader": {"password": "secret", "roles": ["itil"]}}


@pytest.mark.filterwarnings("ignore")
def test_pysnc_logs_in_by_oauth_and_by_certificate(
    https: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Password grant with its refresh, client credentials, a client certificate mapped to a user."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(https.ca))
    pysnc = library("pysnc")
    https.seed({"users": READER, "clients": CLIENT, "certificates": {"reader": "reader"}}, force=True)
    flows = [
        {"auth": pysnc.ServiceNowPasswordGrantFlow("reader", "secret", "sync", "s3cret")},
        {"auth": pysnc.ServiceNowClientCredentialsFlow("sync", "s3cret")},
        {"cert": tuple(str(path) for path in tls.client(https.ca.parent if https.ca else tmp_path, "reader"))},
    ]
    for flow in flows:
        client = pysnc.ServiceNowClient(https.url, verify=str(https.ca), **flow)
        record = client.GlideRecord("incident")
        record.initialize()
        record.short_description = "by token"
        assert record.insert()
        assert str(record.sys_created_by) == "reader"
    with pytest.raises(Exception, match=r"access_denied|401"):
        pysnc.ServiceNowClient(
            https.url, pysnc.ServiceNowPasswordGrantFlow("reader", "wrong", "sync", "s3cret"), verify=str(https.ca)
        )


@pytest.mark.filterwarnings("ignore")
def test_pysnc_reads_every_page_of_a_long_list(https: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, each row once; counted by the header; and a limit is a limit."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(https.ca))
    pysnc = library("pysnc")
    https.seed({"records": {"cmdb_ci_service": [{"name": f"service {n:03d}"} for n in range(75)]}}, force=True)
    client = pysnc.ServiceNowClient(https.url, (https.user, https.password), verify=str(https.ca))
    services = client.GlideRecord("cmdb_ci_service", batch_size=7)
    services.add_query("name", "STARTSWITH", "service")
    services.order_by("name")
    services.fields = ["name", "sys_id"]
    services.query()
    assert len(services) == 75
    assert [str(row.name) for row in services] == [f"service {n:03d}" for n in range(75)]
    few = client.GlideRecord("cmdb_ci_service", batch_size=4)
    few.limit = 10
    few.query()
    assert len(list(few)) == 10


@pytest.mark.filterwarnings("ignore")
def test_pysnow_logs_in_by_oauth_and_reads_pages(https: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token by user and password, used and renewed by the library itself; pages by limit and offset."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(https.ca))
    pysnow = library("pysnow")
    https.seed({"users": READER, "clients": CLIENT}, force=True)
    kept: list[Any] = []
    client = pysnow.OAuthClient(
        client_id="sync", client_secret="s3cret", token_updater=kept.append, host=https.url.removeprefix("https://")
    )  # fmt: skip
    token = client.generate_token("reader", "secret")
    client.set_token({**token, "expires_at": 1, "expires_in": -1})
    types = client.resource(api_path="/table/cmdb_rel_type")
    pages = [
        [row["sys_id"] for row in types.get(query="ORDERBYsys_id", limit=10, offset=offset).all()]
        for offset in range(0, 60, 10)
    ]
    flat = [sys_id for page in pages for sys_id in page]
    assert flat == sorted(set(flat))
    assert len(flat) > 50
    assert kept
    assert kept[0]["access_token"] != token["access_token"]
    made = client.resource(api_path="/table/incident").create(payload={"short_description": "x"}).one()
    assert made["sys_created_by"] == "reader"


@pytest.mark.filterwarnings("ignore")
def test_pysnow_works_unchanged(https: Running) -> None:
    """Create, update, query by builder, stream, delete."""
    pysnow = library("pysnow")
    session = requests.Session()
    session.auth, session.verify, session.trust_env = (https.user, https.password), str(https.ca), False
    client = pysnow.Client(host=https.url.removeprefix("https://"), session=session)
    incidents = client.resource(api_path="/table/incident")
    assert incidents.create(payload={"short_description": "x"}).one()["short_description"] == "x"
    assert incidents.update(query={"short_description": "x"}, payload={"urgency": "1"}).one()["urgency"] == "1"
    assert incidents.delete(query={"short_description": "x"})["status"] == "record deleted"
    query = pysnow.QueryBuilder().field("name").starts_with("C").AND().field("name").order_descending()
    names = [
        row["name"] for row in client.resource(api_path="/table/cmdb_rel_type").get(query=query, stream=True).all()
    ]
    assert names == sorted(names, key=str.lower, reverse=True)
    assert names
    session.close()
