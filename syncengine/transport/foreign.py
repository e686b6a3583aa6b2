"""Fetches what a server keeps elsewhere: a log in object storage, behind an address that the server itself supplied.

Such an address is not trusted: its host has to be on a list, it has to be https, it gets no credential and no cookie,
no redirect is followed, and the address that is reached has to be a public one, decided when it is reached.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from syncengine.errors import NOTHING_WRITTEN, Problem, RemoteError
from syncengine.transport.content import save_body
from syncengine.transport.redaction import SENTENCE, Redactor
from syncengine.transport.wire import Flight, Watchdog, Wire, is_public, tls_context


class Foreign:
    """A way to hosts that are not ours."""

    def __init__(
        self,
        suffixes: Sequence[str],
        *,
        ca_bundle: Path | None = None,
        proxy: str = "",
        seconds: float = 120.0,
        most: int = 64 * 1024 * 1024,
        redactor: Redactor | None = None,
        ports: Sequence[int] = (443,),
        may_reach: Callable[[str], bool] = is_public,
        plain: bool = False,
    ) -> None:
        self._schemes = ("https", "http") if plain else ("https",)  # the wire takes plain http to loopback only
        self._ports = frozenset(ports)
        self._suffixes = tuple(suffix.lower().lstrip(".") for suffix in suffixes)
        self._context = tls_context(ca_bundle)
        self._proxy = proxy
        self._seconds = seconds
        self._most = most
        self._redactor = redactor or Redactor()
        # A proxy resolves names itself, so behind one the list of hosts is all there is.
        self._may_reach = None if proxy else may_reach
        self._watchdog = Watchdog()

    def fetch(self, url: str) -> bytes:
        """The content behind an address, once; RemoteError when it may not or cannot be had."""
        content = io.BytesIO()
        self.save(url, content)
        return content.getvalue()

    def save(self, url: str, stream: IO[bytes]) -> None:
        """Write the content behind an address into a file, once; RemoteError when it may not or cannot be had."""
        host = self._checked(url)
        flight = Flight(time.monotonic() + self._seconds, self._may_reach)
        wire = Wire(self._context if url.startswith("https:") else None, self._proxy)
        self._watchdog.watch(flight)
        try:
            headers = {"Accept": "*/*", "Accept-Encoding": "gzip", "User-Agent": "syncengine"}
            response = wire.exchange(flight, "GET", url, headers, None, (min(10.0, self._seconds), self._seconds))
            status = response.status_code
            if status == 200:
                save_body(response, self._most, stream)
        except Exception as error:  # a dozen unrelated classes, see outcome.py
            raise self._problem(host, "it could not be fetched", str(error)) from error
        finally:
            self._watchdog.leave(flight)
            wire.close()
        if status != 200:
            raise self._problem(host, f"it answered with status {status}", "")

    def refused(self, url: str) -> RemoteError:
        """The error for an address that is not fetched."""
        return self._problem("", "its host is not one that files are fetched from", url)

    def _checked(self, url: str) -> str:
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            raise self._problem("", "its address is not readable", url) from None
        if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
            raise self._problem(host, "its address has odd characters", url)
        if parts.scheme not in self._schemes or port not in self._ports or "@" in parts.netloc:
            raise self._problem(host, "its address is not plain https", url)
        if not any(host == suffix or host.endswith(f".{suffix}") for suffix in self._suffixes):
            raise self._problem(host, "its host is not one that files are fetched from", url)
        return host

    def _problem(self, host: str, message: str, found: str) -> RemoteError:
        show = self._redactor.show
        place = show(f"GET https://{host}/…") if host else ""
        # The query of such an address is a signature that opens it to anyone: it is not shown.
        message = show(f"the server keeps a file elsewhere, but {message}", SENTENCE)
        problem = Problem("file-not-fetched", message, place, show(found.partition("?")[0]))
        return RemoteError(problem, effect=NOTHING_WRITTEN)
