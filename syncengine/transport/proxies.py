"""Which proxy leads to a server, from an environment that is passed in."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from requests.utils import should_bypass_proxies

from syncengine.errors import Problem, SpecError


def proxy_for(url: str, environ: Mapping[str, str]) -> str:
    """The proxy of HTTPS_PROXY for an https URL, unless NO_PROXY names its host; empty for none.

    ALL_PROXY is left alone, since it may name kinds of proxy that carry no TLS tunnel.
    """
    proxy = environ.get("https_proxy") or environ.get("HTTPS_PROXY") or ""
    if not proxy or urlsplit(url).scheme != "https":
        return ""
    spared = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if should_bypass_proxies(url, no_proxy=spared or ","):
        return ""
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if urlsplit(proxy).scheme not in ("http", "https") or not urlsplit(proxy).hostname:
        raise SpecError(Problem("bad-url", "HTTPS_PROXY is no proxy", fix="write HTTPS_PROXY=http://HOST:PORT"))
    return proxy
