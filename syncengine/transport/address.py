"""Where a server is, and which proxy leads there, from an environment that is passed in."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from requests.utils import should_bypass_proxies

from syncengine.errors import Problem, SpecError
from syncengine.transport.redaction import Redactor


def checked_base_url(url: str) -> str:
    """The URL without a slash at its end; SpecError for what is no plain `https://host[:port][/path]`."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    reason = ""
    if parts.scheme not in ("https", "http") or not parts.hostname:
        reason = "a server's url is https://HOST"
    elif parts.username is not None or "@" in parts.netloc:
        reason = "a server's url holds no user and no password"
    elif parts.query or parts.fragment or "?" in url or "#" in url:
        reason = "a server's url has no query: keys and tokens belong into `auth:`"
    elif "\\" in url or not url.isascii() or not url.isprintable() or " " in url or "%" in parts.netloc:
        reason = "a server's url has only plain characters"
    if reason:
        raise SpecError(Problem("bad-url", reason, found=_shown(url), fix="write url: https://HOST in the connection"))
    return url.rstrip("/")


def _shown(url: str) -> str:
    """Without what may be a user, a password or a key."""
    host = url.partition("?")[0].partition("#")[0].rpartition("@")[2]
    return Redactor().show(url if host == url else f"…{host}")


def proxy_for(url: str, environ: Mapping[str, str]) -> str:
    """The proxy of HTTPS_PROXY for an https URL, unless NO_PROXY names its host; empty for none.

    ALL_PROXY is left alone, since it may name kinds of proxy that carry no TLS tunnel; HTTPS_PROXY that names one is a
    SpecError.
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
