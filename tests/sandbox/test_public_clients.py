"""Public client libraries, unchanged, over the sandbox's HTTPS: a check that does not come from our own reading."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from syncengine.sandbox.process import Running, attach
from tests.sandbox.conftest import Http, server


@pytest.fixture(scope="module")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A sandbox that speaks HTTPS."""
    with attach(tmp_path_factory.mktemp("https"), tls=True) as one:
        yield one


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
