"""One request, one outcome: what the network and the server can do to it."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import random
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncengine.errors import SpecError
from syncengine.transport import outcome, wire
from syncengine.transport.answer import Answer, Ending, Kind, Request
from syncengine.transport.auth import KeyAuth
from syncengine.transport.content import read_body
from syncengine.transport.outcome import Raw
from syncengine.transport.servicenow import ServiceNow
from syncengine.transport.wire import is_loopback
from tests.transport.wire_server import (
    SECRET,
    Authority,
    Got,
    Hours,
    Silence,
    client_of,
    error,
    hang_up,
    reply,
    serving,
)
from tests.waiting import wait_for

READ = Request("GET", "/api/now/table/cmdb_ci")
WRITE = Request("POST", "/api/now/import/u_x", body={"a": 1}, kind=Kind.BARE)
PAGE = "<!DOCTYPE html><html><head><title>Instance  Hibernating\n page</title></head><body>zzz</body></html>"


def once(script: object, request: Request = WRITE, **options: object) -> Answer:
    """Call a server with this script once."""
    with serving(script) as server, client_of(server.url, **options) as client:  # type: ignore[arg-type]
        return client.call(request)


def code(answer: Answer) -> str:
    return answer.problem.code if answer.problem else ""


def test_a_good_answer_is_done_and_parsed() -> None:
    with serving(reply(body='{"result": {"é": "1.10"}}')) as server, client_of(server.url) as client:
        answer = client.call(Request("POST", "/x", {"q": "a^b=c,d&e"}, {"n": 1}, Kind.BARE))
        assert (answer.ending, answer.body, answer.problem) == (Ending.DONE, {"result": {"é": "1.10"}}, None)
        got = server.got[0]
        assert (got.method, got.target, got.body) == ("POST", "/x?q=a%5Eb%3Dc,d%26e", b'{"n":1}')
        assert got.headers["content-type"] == got.headers["accept"] == "application/json"
        assert got.headers["x-request-id"]


def test_connections_are_kept() -> None:
    with serving(reply()) as server, client_of(server.url) as client:
        for _ in range(5):
            assert client.call(READ).ending is Ending.DONE
        assert server.connections == 1


def test_large_bodies_are_packed_only_when_it_pays() -> None:
    with serving(reply()) as server, client_of(server.url, gzip_from=100) as client:
        client.call(Request("POST", "/x", body=b"a" * 1000, kind=Kind.BARE))
        client.call(Request("POST", "/x", body=b"a" * 10, kind=Kind.BARE))
        assert gzip.decompress(server.got[0].body) == b"a" * 1000
        assert server.got[0].headers["content-encoding"] == "gzip"
        assert server.got[1].body == b"a" * 10
        noise = random.Random(1).randbytes(1000)
        client.call(Request("POST", "/x", body=noise, kind=Kind.BARE))
        assert (server.got[2].body, server.got[2].headers.get("content-encoding")) == (noise, None)


@pytest.mark.covers("NET-01")
def test_an_unknown_name_was_not_sent() -> None:
    with client_of("https://no-such-host.invalid") as client:
        answer = client.call(WRITE)
    assert (answer.ending, code(answer)) == (Ending.NOT_SENT, "name-not-resolved")
    assert answer.problem is not None
    assert "no-such-host.invalid" in answer.problem.message
    assert "HTTPS_PROXY" in answer.problem.fix


@pytest.mark.covers("NET-02")
def test_a_refused_connection_was_not_sent() -> None:
    with serving(reply()) as server:
        url = server.url
    with client_of(url) as client:
        answer = client.call(WRITE)
    assert (answer.ending, code(answer), answer.is_final) == (Ending.NOT_SENT, "not-reachable", False)


@pytest.mark.covers("NET-03")
def test_a_connection_that_hangs_was_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        filler = [socket.socket() for _ in range(4)]
        for one in filler:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        with client_of(f"http://127.0.0.1:{full.getsockname()[1]}", connect=0.3) as client:
            answer = client.call(WRITE)
        for one in filler:
            one.close()
    assert (answer.ending, code(answer)) == (Ending.NOT_SENT, "connect-timeout")


HANGING = ("127.0.0.2", "127.0.0.3")


@pytest.mark.covers("NET-50")
@pytest.mark.parametrize("dead", ["::1", "2001:db8::1", "127.0.0.2", "hanging"])
def test_a_dead_address_of_a_name_leaves_time_for_the_next(dead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, unreachable or silent: they share what a connection may take, and only the live one is written to."""
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *more: Any) -> list[Any]:
        if host != "twins.test":
            return real(host, port, *more)
        before = HANGING if dead == "hanging" else (dead,)
        found = [(socket.AF_INET6 if ":" in one else socket.AF_INET, (one, port)) for one in (*before, "127.0.0.1")]
        return [(family, socket.SOCK_STREAM, 6, "", address) for family, address in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with serving(reply()) as server, contextlib.ExitStack() as stack:
        for one in HANGING if dead == "hanging" else ():
            full = stack.enter_context(socket.create_server((one, server.port), backlog=0))
            for _ in range(4):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
        # Addresses that took all of the time for themselves would leave none until the deadline.
        with client_of(f"http://twins.test:{server.port}", connect=1.5, total=1.5) as client:
            answer = client.call(WRITE)
    assert answer.ending is Ending.DONE, answer.problem
    assert len(server.got) == 1


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


def test_an_own_authority_is_trusted_when_named(authority: Authority) -> None:
    with (
        serving(reply(), authority.context()) as server,
        client_of(server.url, ca_bundle=authority.bundle) as client,
    ):
        assert client.call(READ).ending is Ending.DONE
        assert client.call(READ).ending is Ending.DONE
        assert server.connections == 1


@pytest.mark.covers("SEC-13")
def test_variables_that_weaken_tls_are_ignored(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
    monkeypatch.setenv("CURL_CA_BUNDLE", "")
    with serving(reply(), authority.context()) as server:
        with client_of(server.url) as client:
            assert code(client.call(READ)) == "tls-refused"
        with client_of(server.url, ca_bundle=authority.bundle) as client:
            assert client.call(READ).ending is Ending.DONE
    assert not keys.exists()


def test_a_bundle_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("x")
    for path, reason in ((tmp_path / "none.pem", "No such file"), (tmp_path / "empty.pem", "not a PEM file")):
        with pytest.raises(SpecError, match=reason), client_of("https://a.example", ca_bundle=path):
            pass


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1")
@pytest.mark.covers("NET-04", "SEC-14")
@pytest.mark.parametrize("fault", ["expired", "host", "unknown", "cut", "old"])
def test_a_doubtful_server_is_told_nothing(authority: Authority, fault: str, tmp_path: Path) -> None:
    context = authority.context("example.org" if fault == "host" else "127.0.0.1", is_expired=fault == "expired")
    if fault == "old":
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    bundle = Authority(tmp_path).bundle if fault == "unknown" else authority.bundle
    with serving(reply(), None if fault == "cut" else context) as server:
        url = server.url.replace("http://", "https://")
        with client_of(url, ca_bundle=bundle) as client:
            answer = client.call(WRITE)
        assert server.got == []
        assert b"Authorization" not in server.received
    assert (answer.ending, answer.is_final, code(answer)) == (Ending.NOT_SENT, True, "tls-refused")
    assert answer.problem is not None
    assert "ca_bundle" in answer.problem.fix
    assert "verif" not in answer.problem.fix


@pytest.mark.covers("NET-05")
@pytest.mark.parametrize("said", [reply(407, "x"), reply(502, PAGE, content_type="text/html")])
def test_a_proxy_that_refuses_is_named(said: bytes) -> None:
    with serving(said) as proxy, client_of("https://instance.example", proxy=proxy.url) as client:
        answer = client.call(WRITE)
        assert proxy.got[0].method == "CONNECT"
        assert b"authorization" not in bytes(proxy.received).lower()
    assert (answer.ending, code(answer)) == (Ending.NOT_SENT, "proxy-refused")


@pytest.mark.covers("SEC-15")
def test_a_proxy_sees_no_credentials(authority: Authority) -> None:
    """The tunnel carries TLS only; and a proxy that dies after the tunnel stood leaves a write unknown."""
    seen = bytearray()
    with serving([reply(), reply()], authority.context()) as server:

        def tunnel(got: Got, sock: socket.socket) -> None:
            with socket.create_connection(("127.0.0.1", server.port)) as onward:
                sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=pump, args=(onward, sock))
                back.start()
                pump(sock, onward)
                back.join()

        def pump(source: socket.socket, sink: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    seen.extend(data)
                    sink.sendall(data)
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

        with serving(tunnel) as proxy:
            with client_of(server.url, proxy=proxy.url, ca_bundle=authority.bundle) as client:
                assert client.call(WRITE).ending is Ending.DONE
                assert client.call(WRITE).ending is Ending.DONE
            assert [got.method for got in proxy.got] == ["CONNECT"]
        assert server.got[0].headers["authorization"]
    assert b"uthorization" not in seen
    assert b"uthorization" not in proxy.received


def test_plain_http_takes_no_proxy() -> None:
    with serving(reply()) as proxy, serving(reply()) as server, client_of(server.url, proxy=proxy.url) as client:
        assert client.call(READ).ending is Ending.DONE
        assert proxy.connections == 0


@pytest.mark.covers("NET-06")
def test_a_reset_leaves_a_write_unknown() -> None:
    def reset(got: Got, sock: socket.socket) -> None:
        hang_up(sock)

    answer = once(reset)
    assert (answer.ending, code(answer)) == (Ending.UNKNOWN, "connection-lost")


@pytest.mark.covers("NET-07")
def test_a_kept_connection_that_dies_leaves_a_write_unknown() -> None:
    calls = []

    def second_dies(got: Got, sock: socket.socket) -> bytes | None:
        calls.append(got)
        return reply() if len(calls) == 1 else None

    with serving(second_dies) as server, client_of(server.url) as client:
        assert client.call(READ).ending is Ending.DONE
        assert client.call(WRITE).ending is Ending.UNKNOWN
        assert len(server.got) == 2


@pytest.mark.covers("NET-08", "NET-14")
def test_a_server_that_hangs_meets_the_deadline() -> None:
    with Silence() as silence:
        answer = once(lambda got, sock: silence.keep(), total=0.4)
    assert (answer.ending, code(answer), answer.is_late) == (Ending.UNKNOWN, "no-answer-in-time", True)


@pytest.mark.covers("NET-13")
@pytest.mark.parametrize("part", ["head", "body", "chunks", "gzip"])
@pytest.mark.parametrize("is_tls", [False, True])
def test_a_slow_drip_meets_the_deadline(authority: Authority, part: str, is_tls: bool) -> None:
    if part == "chunks":
        sent = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"1\r\n \r\n" * 50
        )
    elif part == "gzip":
        sent = reply(
            body=gzip.compress(b'{"result": "' + SECRET.encode().hex().encode() * 9 + b'"}'), content_encoding="gzip"
        )
    else:
        sent = reply(body='{"result": "' + "x" * 100 + '"}')
    start = 0 if part == "head" else sent.index(b"\r\n\r\n") + 4

    def drip(got: Got, sock: socket.socket) -> None:
        sock.sendall(sent[:start])
        for byte in sent[start : start + 40]:
            sock.sendall(bytes([byte]))
            time.sleep(0.02)
        silence.keep()

    with (
        Silence() as silence,
        serving(drip, authority.context() if is_tls else None) as server,
        client_of(server.url, total=0.4, ca_bundle=authority.bundle) as client,
    ):
        answer = client.call(WRITE)
    assert (answer.ending, code(answer), answer.is_late) == (Ending.UNKNOWN, "no-answer-in-time", True)


@pytest.mark.covers("NET-13")
def test_a_handshake_that_never_ends_was_not_sent(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with client_of(url, total=0.4, ca_bundle=authority.bundle) as client:
            answer = client.call(WRITE)
    assert (answer.ending, code(answer)) == (Ending.NOT_SENT, "connect-timeout")


@pytest.mark.covers("NET-13")
def test_what_is_late_before_it_is_sent_is_not_sent_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that takes as long as the whole call may: there was no connection yet that could be cut."""
    real = socket.getaddrinfo

    def slow(*asked: Any) -> Any:
        flight = wire._flight.get()
        assert flight is not None
        wait_for(lambda: flight.is_late)
        return real(*asked)

    with serving(reply()) as server, client_of(server.url, total=0.05) as client:
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        answer = client.call(WRITE)
        assert (answer.ending, code(answer), answer.is_late) == (Ending.NOT_SENT, "connect-timeout", True)
        assert server.got == []


def test_a_connection_that_was_cut_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer was complete when the deadline came: it counts, and what it came over is gone."""

    def lingering(response: Any, most: int) -> bytes:
        body = read_body(response, most)
        (flight,) = client._watchdog._flights
        flight.deadline = 0.0
        wait_for(lambda: flight.is_late)
        return body

    with serving(reply()) as server, client_of(server.url) as client:
        with monkeypatch.context() as patch:
            patch.setattr("syncengine.transport.client.read_body", lingering)
            assert client.call(READ).ending is Ending.DONE
        assert client.call(WRITE).ending is Ending.DONE
        assert server.connections == 2


@settings(max_examples=8, deadline=None)
@given(total=st.floats(0.05, 0.4), pause=st.floats(0.01, 0.3))
def test_no_call_outlives_its_deadline(total: float, pause: float) -> None:
    """Property: whatever rhythm the server answers in, the call ends while there is more to come."""

    def drip(got: Got, sock: socket.socket) -> None:
        for byte in reply()[:40]:
            sock.sendall(bytes([byte]))
            if server.stopped.wait(pause):
                return
        silence.keep()

    with Silence() as silence, serving(drip) as server, client_of(server.url, total=total) as client:
        answer = client.call(WRITE)
    assert (answer.ending, answer.is_late) == (Ending.UNKNOWN, True)


@pytest.mark.covers("NET-12", "NET-36")
@pytest.mark.parametrize("is_reset", [False, True])
def test_an_answer_cut_anywhere_leaves_a_write_unknown(is_reset: bool) -> None:
    whole = reply(body='{"result": [1, 2, 3]}')
    lengths = iter(range(len(whole)))

    def cut(got: Got, sock: socket.socket) -> None:
        sock.sendall(whole[: next(lengths)])
        if is_reset:
            hang_up(sock)

    with serving(cut) as server, client_of(server.url) as client:
        assert {client.call(WRITE).ending for _ in whole} == {Ending.UNKNOWN}


@pytest.mark.covers("NET-36")
def test_a_file_whose_answer_is_cut_anywhere_is_no_file() -> None:
    """Also where the head is cut between two lines, or within it: nothing is no file."""
    whole = reply(body="rows", content_type="text/csv")
    lengths = iter(range(len(whole)))

    def cut(got: Got, sock: socket.socket) -> None:
        sock.sendall(whole[: next(lengths)])

    with serving(cut) as server, client_of(server.url) as client:
        wanted = Request("GET", "/file", expect="bytes")
        assert {client.call(wanted).ending for _ in whole} == {Ending.UNKNOWN}


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
OPEN_END = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


@pytest.mark.covers("NET-36")
@pytest.mark.parametrize(
    "sent",
    [
        CHUNKED + b'e\r\n{"result": []}\r\n',
        CHUNKED + b'zz\r\n{"result": []}\r\n0\r\n\r\n',
        CHUNKED + b'-5\r\n{"result": []}\r\n0\r\n\r\n',
        CHUNKED + b'e\r\n{"result": [',
        OPEN_END + b'{"result": [1, 2',
        reply(body='{"result": []}', content_length="5"),
        reply(body='{"result": [1,'),
    ],
)
def test_a_damaged_body_leaves_a_write_unknown(sent: bytes) -> None:
    def send(got: Got, sock: socket.socket) -> None:
        sock.sendall(sent)

    assert once(send).ending is Ending.UNKNOWN


def test_a_chunked_answer_and_one_up_to_the_close_are_read() -> None:
    with serving(CHUNKED + b'e\r\n{"result": []}\r\n0\r\n\r\n') as server, client_of(server.url) as client:
        for _ in range(3):
            assert client.call(READ).body == {"result": []}
        assert server.connections == 1

    def close(got: Got, sock: socket.socket) -> None:
        sock.sendall(OPEN_END + b'{"result": []}')

    assert once(close, READ).ending is Ending.DONE


@pytest.mark.covers("NET-22", "NET-25")
@pytest.mark.parametrize("status", [400, 403, 404, 405, 406, 409, 410, 413, 414, 415, 422])
def test_a_refusal_in_the_servers_words_is_refused(status: int) -> None:
    answer = once(error(status, "Operation Failed", "ACL \\u001b[31m denies", x_transaction_id="abc123"))
    assert (answer.ending, answer.is_final) == (Ending.REFUSED, True)
    assert answer.problem is not None
    assert answer.problem.found == "Operation Failed: ACL \\x1b[31m denies"
    assert answer.problem.place == f"POST /api/now/import/u_x → {status} (request abc123)"


@pytest.mark.parametrize("status", [400, 404, 413])
def test_a_refusal_in_foreign_words_proves_nothing(status: int) -> None:
    answer = once(reply(status, PAGE, content_type="text/html"))
    assert (answer.ending, answer.is_final) == (Ending.UNKNOWN, True)


@pytest.mark.covers("NET-30", "NET-32")
@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 520, 524, 529])
@pytest.mark.parametrize("body", ["json", "empty", "html"])
def test_a_failing_server_leaves_a_write_unknown(status: int, body: str) -> None:
    page = PAGE.replace("Hibernating", "<b>\x1b]0;x\x07" + "y" * 500)
    said = {"json": error(status), "empty": reply(status, ""), "html": reply(status, page, content_type="text/html")}
    answer = once(said[body])
    assert (answer.ending, answer.is_final) == (Ending.UNKNOWN, False)
    assert answer.problem is not None
    assert "zzz" not in answer.problem.found
    assert len(answer.problem.found) <= 80
    assert "\x1b" not in answer.problem.found


@pytest.mark.covers("NET-33", "NET-26")
def test_a_server_that_says_later_has_not_done_it() -> None:
    assert once(error(503, "maintenance", retry_after="7")).ending is Ending.THROTTLED
    assert once(error(429)).ending is Ending.THROTTLED
    assert once(reply(429, PAGE, content_type="text/html", retry_after="7")).wait == 7
    assert once(reply(503, PAGE, content_type="text/html", retry_after="7")).ending is Ending.UNKNOWN


@pytest.mark.covers("NET-34")
def test_a_web_page_is_no_answer() -> None:
    answer = once(reply(200, PAGE, content_type="text/html"))
    assert (answer.ending, code(answer), answer.is_final) == (Ending.UNKNOWN, "web-page", True)
    assert answer.problem is not None
    assert 'answered with a web page, not data (title: "Instance Hibernating page")' in answer.problem.message
    assert "wake the instance" in answer.problem.fix
    assert code(once(reply(200, PAGE))) == "web-page"


@pytest.mark.covers("NET-35", "NET-43")
@pytest.mark.parametrize(
    "said", [reply(200, ""), b"HTTP/1.1 204 X\r\n\r\n", reply(206), b"HTTP/1.1 103 Early\r\n\r\n" + reply()]
)
def test_an_answer_without_an_answer_is_unknown(said: bytes) -> None:
    assert once(said).ending is Ending.UNKNOWN


@pytest.mark.covers("NET-43")
def test_an_interim_continue_is_passed_over() -> None:
    assert once(b"HTTP/1.1 100 Continue\r\n\r\n" + reply()).ending is Ending.DONE


def test_an_empty_202_was_dropped() -> None:
    assert once(reply(202, "")).ending is Ending.THROTTLED


@pytest.mark.covers("NET-37")
@pytest.mark.parametrize(
    ("message", "expected"),
    [("Transaction cancelled: maximum execution time exceeded", "took-too-long"), ("Something broke", "error-inside")],
)
def test_an_error_beside_a_result_wins(message: str, expected: str) -> None:
    answer = once(reply(body=f'{{"result": [{{"a": 1}}], "error": {{"message": "{message}"}}}}'))
    assert (answer.ending, code(answer)) == (Ending.UNKNOWN, expected)


@pytest.mark.covers("NET-38")
@pytest.mark.parametrize(
    ("content_type", "is_taken"),
    [
        ("application/json", True),
        ("application/json;charset=UTF-8", True),
        ("text/json", True),
        ("application/problem+json", True),
        ("application/json; charset=iso-8859-1", False),
        ("text/plain", False),
        ("-", False),
    ],
)
def test_only_json_is_taken_for_json(content_type: str, is_taken: bool) -> None:
    ending = once(reply(content_type=content_type)).ending
    assert ending is (Ending.DONE if is_taken else Ending.UNKNOWN)


@pytest.mark.covers("NET-38", "NET-39")
@pytest.mark.parametrize(
    "body",
    [
        b'{"result": "\xe9"}',
        b'{"result": NaN}',
        b'{"result": Infinity}',
        b'{"result": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"result": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"null",
        b'"text"',
        b"7",
    ],
)
def test_unusable_json_is_told(body: bytes) -> None:
    answer = once(reply(body=body))
    assert (answer.ending, code(answer)) == (Ending.UNKNOWN, "not-json")


@pytest.mark.covers("NET-40", "SEC-34")
@pytest.mark.parametrize("fault", ["damaged", "cut", "behind", "foreign", "bomb", "large", "endless"])
def test_bombs_and_damage_end_at_the_limit(fault: str) -> None:
    good = gzip.compress(b'{"result": []}')
    bombs = {
        "damaged": reply(body=good[:15] + b"\xff\xff" + good[17:], content_encoding="gzip"),
        "cut": reply(body=good[:-5], content_encoding="gzip"),
        "behind": reply(body=good + b"more", content_encoding="gzip"),
        "foreign": reply(body=good, content_encoding="br"),
        "bomb": reply(body=gzip.compress(b" " * 50_000_000), content_encoding="gzip"),
        "large": reply(body=b" " * 3_000_000),
    }

    def endless(got: Got, sock: socket.socket) -> None:
        sock.sendall(OPEN_END)
        while True:
            sock.sendall(b" " * 65536)

    answer = once(endless if fault == "endless" else bombs[fault], answer=1 << 20)
    assert answer.ending is Ending.UNKNOWN
    assert code(answer) == ("answer-too-large" if fault in ("bomb", "large", "endless") else "answer-damaged")


def test_a_packed_answer_is_unpacked() -> None:
    with serving(reply(body=gzip.compress(b'{"result": []}'), content_encoding="gzip")) as server:
        with client_of(server.url) as client:
            for _ in range(2):
                assert client.call(READ).body == {"result": []}
        assert server.connections == 1


@pytest.mark.covers("NET-41", "SEC-34")
@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\xff garbage\r\n\r\n",
        b'{"result": []}',
        b"HTTP/1.1 abc X\r\n\r\n",
        b"HTTP/1.1 99999 X\r\n\r\n",
        reply().replace(b"\r\n\r\n", b"\r\n" + b"A: b\r\n" * 300 + b"\r\n", 1),
        reply(x_big="x" * 200_000),
    ],
)
def test_a_garbled_head_leaves_a_write_unknown(sent: bytes) -> None:
    def send(got: Got, sock: socket.socket) -> None:
        sock.sendall(sent)

    assert once(send).ending is Ending.UNKNOWN


@pytest.mark.covers("NET-42", "SEC-30")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "target", ["/elsewhere", "FOREIGN/x", "http://[bad", "", "https://sso.example/login.do", "file:///etc/passwd"]
)
def test_no_redirect_is_followed(status: int, target: str) -> None:
    with serving(reply()) as foreign:
        answer = once(reply(status, "x" * 100, location=target.replace("FOREIGN", foreign.url)))
        assert foreign.connections == 0
    assert (answer.ending, code(answer), answer.is_final) == (Ending.UNKNOWN, "redirected", True)
    assert answer.problem is not None
    if "login" in target:
        assert "sso.example" in answer.problem.message
        assert "login page" in answer.problem.fix


@pytest.mark.covers("SEC-33")
def test_cookies_are_not_kept() -> None:
    with serving(reply(set_cookie="JSESSIONID=1; Path=/")) as server, client_of(server.url) as client:
        client.call(READ)
        client.call(READ)
        assert all("cookie" not in got.headers for got in server.got)


@pytest.mark.covers("SEC-16", "SEC-15")
def test_nothing_comes_from_netrc_or_proxy_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login surprise password surprise\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with serving(reply()) as server, client_of(server.url, KeyAuth(lambda: "k")) as client:
        assert client.call(READ).ending is Ending.DONE
        assert "authorization" not in server.got[0].headers


@pytest.mark.covers("SEC-04", "NET-15")
def test_an_echoed_password_is_masked() -> None:
    def echo(got: Got, sock: socket.socket) -> bytes:
        login = got.headers["authorization"]
        return error(401, "User Not Authenticated", f"you sent {login} in {got.target}")

    answer = once(echo)
    assert answer.problem is not None
    shown = repr(answer.problem)
    assert "ada" in shown
    assert "***" in shown
    assert "CANARY" not in shown
    assert "Q0FOQVJZ" not in shown


@pytest.mark.covers("SEC-05")
def test_a_key_in_the_address_is_refused() -> None:
    with serving(reply()) as server, client_of(server.url) as client:
        answer = client.call(Request("GET", "/x", {"X-SN-ApiKey": "k"}))
        assert (answer.ending, code(answer)) == (Ending.NOT_SENT, "request-unusable")
        assert server.connections == 0


def own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])


@pytest.mark.covers("SEC-11", "SEC-12", "SEC-32")
def test_plain_http_to_another_address_is_refused_before_any_byte() -> None:
    address = own_address()
    if not address or is_loopback(address):
        pytest.skip("this machine has no address but loopback")
    with socket.create_server((address, 0)) as foreign:
        with client_of(f"http://{address}:{foreign.getsockname()[1]}") as client:
            answer = client.call(WRITE)
        reached, _ = foreign.accept()
        reached.settimeout(2)
        assert reached.recv(100) == b""
        reached.close()
    assert (answer.ending, code(answer), answer.is_final) == (Ending.NOT_SENT, "plain-http", True)
    assert answer.problem is not None
    assert "would expose the password" in answer.problem.message


@pytest.mark.covers("SEC-12")
def test_loopback_is_a_matter_of_the_address() -> None:
    for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        assert is_loopback(address)
    for address in ("10.0.0.1", "::ffff:10.0.0.1", "localhost", "127.0.0.1.example", "2130706433", "", "fe80::1%lo"):
        assert not is_loopback(address)


@pytest.mark.parametrize("path", ["x", "//evil/x", "/a/../b", "/a?b=1", "/a b", "/a\nb", "/ä", "/a\\b"])
def test_a_path_is_a_path(path: str) -> None:
    with serving(reply()) as server, client_of(server.url) as client:
        assert client.call(Request("GET", path)).ending is Ending.NOT_SENT
        assert server.connections == 0


def test_a_body_that_is_no_json_was_not_sent() -> None:
    with serving(reply()) as server, client_of(server.url) as client:
        answer = client.call(Request("POST", "/x", body={"a": "\ud800"}, kind=Kind.BARE))
        assert (answer.ending, answer.is_final) == (Ending.NOT_SENT, True)
        assert server.connections == 0


@given(
    status=st.integers(100, 599),
    headers=st.dictionaries(
        st.sampled_from(["content-type", "retry-after", "location", "date", "x-ratelimit-reset"]),
        st.text(st.characters(max_codepoint=255), max_size=30) | st.sampled_from(["application/json", "text/html"]),
    ),
    body=st.binary(max_size=200) | st.sampled_from([b'{"result": []}', b'{"error": "x"}', b'{"error": {}}']),
)
def test_every_answer_has_one_outcome(status: int, headers: dict[str, str], body: bytes) -> None:
    """Property: nothing a server says raises, and nothing but a 2xx is DONE."""
    verdict = outcome.of_answer(WRITE, Raw(status, headers, body), ServiceNow())
    assert verdict.ending is not Ending.NOT_SENT
    assert (verdict.ending is not Ending.DONE) or 200 <= status < 300
    assert (verdict.ending is Ending.DONE) == (verdict.message == "")


EXCEPTIONS: list[BaseException] = [
    OSError(),
    ValueError("x"),
    KeyError(1),
    TimeoutError(),
    RecursionError(),
    MemoryError(),
    http.client.IncompleteRead(b""),
    http.client.BadStatusLine("x"),
    ssl.SSLError(1, "x"),
    socket.gaierror(1, "x"),
]


@given(
    error=st.sampled_from(EXCEPTIONS),
    is_sent=st.booleans(),
    is_late=st.booleans(),
)
def test_every_exception_has_one_outcome(error: BaseException, is_sent: bool, is_late: bool) -> None:
    """Property: what the exception is called does not matter, only whether a byte had left."""
    verdict = outcome.of_failure(error, is_sent=is_sent, is_late=is_late)
    assert verdict.ending is (Ending.UNKNOWN if is_sent else Ending.NOT_SENT)


@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("is_sent", [False, True])
def test_what_a_connection_says_that_was_cut_at_the_deadline_is_that_it_was_late(
    error: BaseException, is_sent: bool
) -> None:
    """A handshake that is cut looks like a server that refuses it. Only a name is looked up before anything is cut."""
    verdict = outcome.of_failure(error, is_sent=is_sent, is_late=True)
    if isinstance(error, socket.gaierror) and not is_sent:
        assert verdict.code == "name-not-resolved"
    else:
        assert (verdict.code, verdict.is_late) == ("no-answer-in-time" if is_sent else "connect-timeout", True)
    assert not verdict.is_final


def test_the_deadline_of_a_request_wins_over_the_clients() -> None:
    with Silence() as silence:
        answer = once(lambda got, sock: silence.keep(), Request("GET", "/x", deadline=0.2), hours=Hours())
    assert answer.is_late


@pytest.mark.covers("PROC-08")
@pytest.mark.parametrize("request_", [READ, WRITE])
def test_memory_that_is_used_up_is_no_fault_of_the_server(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not asked again and again for what there is no room for."""

    def full(*_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr("syncengine.transport.client.read_body", full)
    with serving(reply()) as server, client_of(server.url) as client:
        with pytest.raises(MemoryError):
            client.call(request_)
        assert len(server.got) == 1
