"""An address that a server supplies is not trusted."""

from __future__ import annotations

import gzip
import socket
from pathlib import Path

import pytest

from syncengine.errors import RemoteError
from syncengine.transport.foreign import Foreign
from syncengine.transport.wire import is_public
from tests.transport.wire_server import PATIENCE, Authority, Got, Silence, reply, serving


@pytest.mark.covers("SEC-31")
@pytest.mark.parametrize(
    "url",
    [
        "http://logs.example/x",
        "https://evil.example.org/x",
        "https://evillogs.example/x",
        "https://logs.example.evil.org/x",
        "https://logs.example@evil.org/x",
        "https://user:pass@logs.example/x",
        "https://logs.example:8443/x",
        "https://169.254.169.254/latest",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "file:///etc/passwd",
        "ftp://logs.example/x",
        "gopher://logs.example/x",
        "//logs.example/x",
        "https://logs.example\\@evil.org/",
        "https://logs.example/\r\nX: y",
        "https://[broken",
        "",
    ],
)
def test_a_supplied_address_that_leads_astray_is_refused(url: str) -> None:
    with pytest.raises(RemoteError) as caught:
        Foreign(["logs.example"]).fetch(url)
    assert caught.value.problems[0].code == "file-not-fetched"


@pytest.mark.covers("SEC-31", "SEC-32")
def test_a_good_name_on_a_private_address_is_refused_before_any_byte() -> None:
    """`localhost` stands for a name on the list that resolves to this machine."""
    with serving(reply()) as server:
        foreign = Foreign(["localhost"], ports=[server.port])
        with pytest.raises(RemoteError, match="could not be fetched") as caught:
            foreign.fetch(f"https://localhost:{server.port}/x?signature=CANARY")
        assert server.received == b""
    assert "CANARY" not in repr(caught.value.problems)


@pytest.mark.covers("SEC-31", "SEC-30", "SEC-34")
@pytest.mark.parametrize("fault", ["none", "packed", "redirect", "large", "slow", "missing"])
def test_a_supplied_address_is_fetched_without_credentials_and_within_limits(tmp_path: Path, fault: str) -> None:
    authority = Authority(tmp_path)
    said = {
        "none": reply(body="log", content_type="text/plain"),
        "packed": reply(body=gzip.compress(b"log"), content_encoding="gzip"),
        "redirect": reply(302, "", location="https://elsewhere.example/"),
        "large": reply(body="x" * 2000),
        "slow": reply(body="log"),
        "missing": reply(404, ""),
    }

    def script(got: Got, sock: socket.socket) -> bytes:
        if fault == "slow":
            silence.keep()
        return said[fault]

    with Silence() as silence, serving(script, authority.context()) as server:
        foreign = Foreign(
            ["127.0.0.1"],
            ca_bundle=authority.bundle,
            seconds=0.5 if fault == "slow" else PATIENCE,
            most=1000,
            ports=[server.port],
            may_reach=lambda address: address == "127.0.0.1",
        )
        if fault in ("none", "packed"):
            assert foreign.fetch(f"{server.url}/x?signature=1") == b"log"
            assert server.got[0].target == "/x?signature=1"
            assert not {"authorization", "cookie"} & set(server.got[0].headers)
        else:
            with pytest.raises(RemoteError):
                foreign.fetch(f"{server.url}/x")


@pytest.mark.covers("SEC-31")
def test_public_is_a_matter_of_the_address() -> None:
    for address in ("8.8.8.8", "2606:4700::1"):
        assert is_public(address)
    for address in ("127.0.0.1", "10.1.2.3", "192.168.1.1", "169.254.169.254", "::1", "fe80::1", "fc00::1", "0.0.0.0"):
        assert not is_public(address)
    for address in ("::ffff:10.0.0.1", "::ffff:169.254.169.254", "224.0.0.1", "100.64.0.1", "name", ""):
        assert not is_public(address)
