"""Proxies are those that were declared, and no others."""

from __future__ import annotations

import pytest

from syncengine.errors import SpecError
from syncengine.transport.address import checked_base_url, proxy_for


@pytest.mark.covers("SEC-15", "NET-05")
@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("https://a.example", {}, ""),
        ("https://a.example", {"HTTPS_PROXY": "http://p:3128"}, "http://p:3128"),
        ("https://a.example", {"https_proxy": "p:3128"}, "http://p:3128"),
        ("http://127.0.0.1:80", {"HTTPS_PROXY": "http://p", "HTTP_PROXY": "http://q"}, ""),
        ("https://a.example", {"HTTPS_PROXY": "http://p", "NO_PROXY": "b.example,.example"}, ""),
        ("https://a.example", {"HTTPS_PROXY": "http://p", "NO_PROXY": "b.example"}, "http://p"),
        ("https://a.example", {"ALL_PROXY": "socks5://p", "HTTP_PROXY": "http://p"}, ""),
    ],
)
def test_the_declared_proxy_is_taken(url: str, environ: dict[str, str], expected: str) -> None:
    assert proxy_for(url, environ) == expected


@pytest.mark.parametrize("proxy", ["socks5://p", "file:///x", "http://"])
def test_what_is_no_proxy_is_refused(proxy: str) -> None:
    with pytest.raises(SpecError):
        proxy_for("https://a.example", {"HTTPS_PROXY": proxy})


def test_variables_that_were_not_passed_in_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    assert proxy_for("https://a.example", {"HTTPS_PROXY": "http://p"}) == "http://p"


@pytest.mark.covers("SEC-12", "SEC-05")
@pytest.mark.parametrize(
    "url",
    [
        "https://good.example@evil.example",
        "https://user:CANARY-7f3a@host",
        "https://@host",
        "ftp://host",
        "file:///etc/passwd",
        "https://",
        "host",
        "",
        "https://good\\@evil",
        "https://host/#x",
        "https://host?x=1",
        "https://host/?sysparm_apikey=CANARY-7f3a",
        "https://ho st",
        "https://ex%61mple.com",
        "https://ехample.com",
        "https://host:99999",
        "https://[::1",
        "https://host\x00",
    ],
)
def test_tricks_in_the_url_are_refused(url: str) -> None:
    with pytest.raises(SpecError) as caught:
        checked_base_url(url)
    assert "CANARY" not in str(caught.value.problems)


@pytest.mark.parametrize("url", ["https://dev1.example", "https://dev1.example/", "http://[::1]:8080/base/"])
def test_a_plain_url_is_taken(url: str) -> None:
    assert checked_base_url(url) == url.rstrip("/")
