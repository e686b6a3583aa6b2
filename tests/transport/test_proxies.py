"""Proxies are those that were declared, and no others."""

from __future__ import annotations

import pytest

from syncengine.errors import SpecError
from syncengine.transport.proxies import proxy_for


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
