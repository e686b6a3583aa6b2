"""A public client, unchanged, over the sandbox's HTTPS and under the service's own kind of host names."""

from __future__ import annotations

import csv
import io
import socket
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from syncengine.sandbox.process import Running, attach


@pytest.fixture(scope="module")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A sandbox that speaks HTTPS, with some records."""
    with attach(tmp_path_factory.mktemp("https"), tls=True) as running:
        people = [{"Name": f"P {n:03}", "Primary Email": f"p{n:03}@x.com", "Source": "HR"} for n in range(150)]
        records = {
            "people": people,
            "teams": [{"Name": "Help", "Members": ["api.user@sandbox.example", "p001@x.com"]}],
            "product_categories": [{"Name": "Server", "Rule Set": "server"}],
            "products": [{"Name": "R1", "Brand": "B", "Category": "server"}],
            "cis": [
                {"Product": "R1", "Label": "A", "Status": "in_production"},
                {"Product": "R1", "Label": "B", "Status": "removed"},
            ],
        }
        running.seed({"4me": {"records": records}})
        yield running


@pytest.fixture
def xurrent(https: Running, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library, with its names leading to this machine, as `api.localhost` does on most."""
    found = pytest.importorskip("xurrent", reason="xurrent is not installed: pip install 'syncengine-itsm[test]'")
    for module in ("configuration_items", "core", "people", "teams"):
        import_module(f"xurrent.{module}")
    real = socket.getaddrinfo

    def resolve(host: Any, *more: Any, **others: Any) -> Any:
        return real("127.0.0.1" if str(host).endswith(".localhost") else host, *more, **others)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(https.ca))
    monkeypatch.setenv("NO_PROXY", "*")
    return found


def base(https: Running) -> str:
    """The URL a client is given."""
    return https.url.replace("127.0.0.1", "api.localhost") + "/v1"


def test_xurrent_reads_filters_and_exports_unchanged(https: Running, xurrent: Any) -> None:
    """The API user and its teams, pages, predefined and other filters, sub-collections, an export to its end."""
    client = xurrent.core.XurrentApiHelper(
        base(https), https.fourme.token, https.fourme.account, logger=None, resolve_user=True
    )
    assert client.api_user.primary_email == "api.user@sandbox.example"
    assert [team.name for team in client.api_user_teams] == ["Help"]
    people = xurrent.people.Person.get_people(client, queryfilter={"source": "HR"})
    assert [person.name for person in people] == [f"P {n:03}" for n in range(150)]
    # its enumerations of these words do not survive formatting in recent Pythons, so the words themselves
    assert len(xurrent.people.Person.get_people(client, predefinedFilter="enabled")) == 151
    team = xurrent.teams.Team.get_teams(client)[0]
    assert {member.name for member in team.get_members()} == {"API User", "P 001"}
    cis = xurrent.configuration_items.ConfigurationItem
    assert [ci.label for ci in cis.get_configuration_items(client, predefinedFilter="active")] == ["A"]
    assert cis.get_by_id(client, active_id := cis.get_configuration_items(client)[0].id).id == active_id
    text = client.bulk_export("people", poll_timeout=1)
    text = text.decode() if isinstance(text, bytes) else text
    assert len(list(csv.DictReader(io.StringIO(text)))) == 151


def test_xurrent_logs_in_with_oauth_unchanged(https: Running, xurrent: Any) -> None:
    """It finds the token at /token of the host that begins with `oauth.`, and renews it when it is refused."""
    login = https.fourme
    client = xurrent.core.XurrentApiHelper(
        base(https), None, login.account, client_id=login.client, client_secret=login.secret
    )
    assert client.api_user.name == "API User"
    https.advance(3601)
    assert [team.name for team in client.api_user.get_teams()] == ["Help"]
