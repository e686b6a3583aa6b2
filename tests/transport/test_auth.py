"""Logins: one fresh attempt, one refresh for all, never a lock-out, never a secret shown."""

from __future__ import annotations

import base64
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

import pytest

from syncengine.errors import AuthError
from syncengine.transport.answer import Ending, Kind, Request
from syncengine.transport.auth import BasicAuth, KeyAuth, OAuth
from syncengine.transport.reader import Reader, Writer
from tests.transport.wire_server import SECRET, Got, Hours, client_of, error, reply, serving

READ = Request("GET", "/api/now/table/cmdb_ci")


def oauth(hours: Hours, **form: str) -> OAuth:
    fields = {"grant_type": "client_credentials", "client_id": "app", "client_secret": SECRET, **form}
    return OAuth(lambda: fields, who="client app", clock=hours.clock)


class Tokens:
    """A token endpoint and an API that wants its newest token."""

    def __init__(self, life: str = "1800", refresh: str = "") -> None:
        self.life, self.refresh = life, refresh
        self.made = 0
        self.forms: list[dict[str, list[str]]] = []
        self.is_revoked = False
        self.seen: Counter[str] = Counter()
        self.lock = threading.Lock()

    def __call__(self, got: Got, sock: socket.socket) -> bytes:
        with self.lock:
            if got.target == "/oauth_token.do":
                self.forms.append(parse_qs(got.body.decode()))
                assert "authorization" not in got.headers
                if self.is_revoked:
                    return reply(401, '{"error": "invalid_client", "error_description": "access_denied"}')
                self.made += 1
                refresh = f', "refresh_token": "{self.refresh}{self.made}"' if self.refresh else ""
                return reply(body=f'{{"access_token": "T{self.made}", "expires_in": {self.life}{refresh}}}')
            login = got.headers.get("authorization", "")
            self.seen[login] += 1
            return reply() if login == f"Bearer T{self.made}" else error(401, "User Not Authenticated")


def test_basic_and_key_logins_stand_in_headers() -> None:
    with serving(reply()) as server:
        with client_of(server.url, BasicAuth("ada", lambda: "pä:ss")) as client:
            client.call(READ)
        with client_of(server.url, KeyAuth(lambda: "k1")) as client:
            client.call(READ)
        basic, key = (got.headers for got in server.got)
    assert base64.b64decode(basic["authorization"].removeprefix("Basic ")).decode() == "ada:pä:ss"
    assert key["x-sn-apikey"] == "k1"


@pytest.mark.covers("NET-15", "NET-17")
@pytest.mark.parametrize("workers", [1, 8])
def test_a_wrong_password_is_tried_once_more_and_no_further(workers: int) -> None:
    with serving(error(401, "User Not Authenticated")) as server, client_of(server.url, permits=workers) as client:
        reader = Reader(client)

        def read(_: int) -> AuthError:
            with pytest.raises(AuthError) as caught:
                reader.get("/api/now/table/cmdb_ci")
            return caught.value

        with ThreadPoolExecutor(workers) as pool:
            errors = list(pool.map(read, range(30)))
        assert len(server.got) <= workers + 1
    for one in errors:
        assert "user ada" in one.problems[0].message
        assert "CANARY" not in repr(one.problems)


@pytest.mark.covers("NET-15")
def test_a_sporadic_401_is_outlived() -> None:
    with serving([error(401), reply()]) as server, client_of(server.url) as client:
        assert client.call(READ).ending is Ending.DONE
        assert client.call(READ).ending is Ending.DONE
        assert len(server.got) == 3


@pytest.mark.covers("NET-17")
def test_a_401_on_a_write_is_told_for_the_record_and_then_stops() -> None:
    with serving(error(401)) as server, client_of(server.url) as client:
        sent = Writer(client).send("/api/now/import/u_x", body={})
        assert sent.outcome is Ending.REFUSED
        assert isinstance(sent.stop, AuthError)


def test_a_strange_401_does_not_repeat_a_write() -> None:
    with serving(reply(401, "<html>", content_type="text/html")) as server, client_of(server.url) as client:
        assert client.call(Request("POST", "/x", body={}, kind=Kind.BARE)).ending is Ending.UNKNOWN
        assert [got.method for got in server.got] == ["POST", "GET"]


@pytest.mark.covers("NET-16")
def test_one_refresh_serves_all_workers() -> None:
    hours, tokens = Hours(), Tokens()
    with serving(tokens) as server, client_of(server.url, oauth(hours), hours=hours, permits=8) as client:
        with ThreadPoolExecutor(8) as pool:
            assert {a.ending for a in pool.map(lambda _: client.call(READ), range(25))} == {Ending.DONE}
            assert tokens.made == 1
            tokens.made = 41  # the server forgets all earlier tokens
            assert {a.ending for a in pool.map(lambda _: client.call(READ), range(25))} == {Ending.DONE}
        assert tokens.made == 42
    assert tokens.forms[0]["client_secret"] == [SECRET]


@pytest.mark.covers("NET-18")
@pytest.mark.parametrize(
    ("life", "good_until"), [("100", 80), ('"100"', 80), ("0", 1440), ("-5", 1440), ('"soon"', 1440), ("null", 1440)]
)
def test_a_token_is_renewed_early(life: str, good_until: float) -> None:
    hours, tokens = Hours(), Tokens(life)
    with serving(tokens) as server, client_of(server.url, oauth(hours), hours=hours) as client:
        client.call(READ)
        hours.time += good_until - 1
        client.call(READ)
        assert tokens.made == 1
        hours.time += 2
        assert client.call(READ).ending is Ending.DONE
        assert tokens.made == 2


@pytest.mark.covers("NET-18")
def test_a_refresh_token_is_used_and_its_refusal_outlived() -> None:
    hours, tokens = Hours(), Tokens("100", refresh="R")
    password = oauth(hours, grant_type="password", username="ada", password=SECRET)
    with serving(tokens) as server, client_of(server.url, password, hours=hours) as client:
        client.call(READ)
        hours.time += 90
        assert client.call(READ).ending is Ending.DONE
    assert tokens.forms[0]["username"] == ["ada"]
    assert tokens.forms[1]["refresh_token"] == ["R1"]
    assert "password" not in tokens.forms[1]


@pytest.mark.covers("NET-17", "NET-18")
def test_a_refused_token_request_stops_at_once() -> None:
    hours, tokens = Hours(), Tokens()
    tokens.is_revoked = True
    with serving(tokens) as server, client_of(server.url, oauth(hours), hours=hours) as client:
        reader = Reader(client)
        for _ in range(3):
            with pytest.raises(AuthError) as caught:
                reader.get("/api/now/table/cmdb_ci")
        with ThreadPoolExecutor(4) as pool:
            assert {a.ending for a in pool.map(lambda _: client.call(READ), range(8))} == {Ending.NOT_SENT}
        assert "client app" in caught.value.problems[0].message
        assert SECRET not in repr(caught.value.problems)
        assert len(server.got) == 1


@pytest.mark.covers("NET-18")
@pytest.mark.parametrize(
    "said", [reply(body="{}"), reply(body='{"access_token": 5}'), error(500), reply(200, "<html>")]
)
def test_a_token_endpoint_that_makes_no_sense_is_told(said: bytes) -> None:
    hours = Hours()
    with serving(said) as server, client_of(server.url, oauth(hours), hours=hours) as client:
        with pytest.raises(AuthError):
            Reader(client).get("/api/now/table/cmdb_ci")
        assert 1 <= len(server.got) <= 2


@pytest.mark.covers("NET-18", "SEC-04")
def test_a_token_endpoint_that_echoes_is_masked() -> None:
    def echo(got: Got, sock: socket.socket) -> bytes:
        return error(400, "bad request", got.body.decode())

    hours = Hours()
    with (
        serving(echo) as server,
        client_of(server.url, oauth(hours), hours=hours) as client,
        pytest.raises(AuthError) as caught,
    ):
        Reader(client).get("/api/now/table/cmdb_ci")
    assert "bad request" in repr(caught.value.problems)
    assert "CANARY" not in repr(caught.value.problems)


@pytest.mark.covers("NET-18")
def test_a_token_endpoint_that_is_busy_is_waited_for() -> None:
    hours, tokens = Hours(), Tokens()
    busy = [error(429, retry_after="9"), error(503, retry_after="3")]

    def script(got: Got, sock: socket.socket) -> bytes:
        return busy.pop(0) if busy else tokens(got, sock)

    with serving(script) as server, client_of(server.url, oauth(hours), hours=hours) as client:
        assert Writer(client).send("/api/now/import/u_x", body={}).outcome is Ending.DONE
    assert hours.naps == [9.0, 3.0]
