"""Below HTTP: which address was reached, whether a byte left, and an end to what takes too long.

A socket timeout only limits the wait for the next byte, so a server that drips never meets it; and an exception's
class does not tell whether the request had left. Both are known here, where the socket is.

`requests` is used from its adapter down: a `Session` would follow redirects, keep cookies, and read `.netrc` and
proxy variables.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager, ProxyManager
from urllib3.util import connection

from syncengine.errors import Problem, SpecError

_TICK = 0.1
_IDLE_TICKS = 50
_LEAST = 0.2
"""Seconds that each address of a name gets at least."""


class PlainHttpError(OSError):
    """The connection would not be encrypted and leads to another machine."""


class ForbiddenAddressError(OSError):
    """The name leads to an address that may not be reached."""


class Flight:
    """One request on its way."""

    __slots__ = ("deadline", "is_late", "is_sent", "may_reach", "socket")

    def __init__(self, deadline: float, may_reach: Callable[[str], bool] | None = None) -> None:
        self.deadline = deadline
        self.may_reach = may_reach
        self.is_sent = False
        self.is_late = False
        self.socket: socket.socket | None = None


_flight: ContextVar[Flight | None] = ContextVar("flight", default=None)


class Watchdog:
    """Cuts the connections of flights that are past their deadline, whatever they are waiting for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: set[Flight] = set()
        self._thread: threading.Thread | None = None

    def watch(self, flight: Flight) -> None:
        with self._lock:
            self._flights.add(flight)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                thread.start()
                self._thread = thread

    def leave(self, flight: Flight) -> None:
        with self._lock:
            self._flights.discard(flight)

    def _run(self) -> None:
        idle = 0
        while True:
            # Looking ten times a second costs less than being woken by every request.
            time.sleep(_TICK)
            with self._lock:
                idle = 0 if self._flights else idle + 1
                if idle > _IDLE_TICKS:
                    self._thread = None
                    return
                now = time.monotonic()
                for flight in self._flights:
                    if now >= flight.deadline:
                        _cut(flight)


def _cut(flight: Flight) -> None:
    flight.is_late = True
    if flight.socket is not None:
        # An OSError here: it ended by itself, or is not connected yet and has its own timeout.
        with contextlib.suppress(OSError):
            # Not SSLSocket.shutdown: that one takes the TLS state away from under the reading thread.
            socket.socket.shutdown(flight.socket, socket.SHUT_RDWR)


def is_loopback(address: str) -> bool:
    """Whether this literal address leads to this machine; `::ffff:127.0.0.1` does, too."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def is_public(address: str) -> bool:
    """Whether this literal address lies on the open network: no private range, no link-local metadata service."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_global and not ip.is_multicast


class _PlainConnection(HTTPConnection):
    _is_opening = False

    def _new_conn(self) -> socket.socket:
        opened = self._first_that_answers()
        flight = _flight.get()
        reached = opened.getpeername()[0]
        # The address that was reached decides: names and odd spellings of addresses prove nothing.
        if self.default_port == HTTPConnection.default_port and not is_loopback(reached):
            opened.close()
            raise PlainHttpError(f"plain http to {self.host}")
        if flight is not None:
            flight.socket = opened
            if flight.is_late:  # nothing was there to be cut while addresses were tried
                opened.close()
                raise TimeoutError(f"no connection to {self.host} in time")
            if flight.may_reach is not None and not flight.may_reach(reached):
                opened.close()
                raise ForbiddenAddressError(f"{self.host} leads to {reached}")
        return opened

    def _first_that_answers(self) -> socket.socket:
        """A dead address must not use up the time of the next one: they share what a connection may take.

        urllib3 gives each address the whole of it.
        """
        family = connection.allowed_gai_family()
        try:
            addresses = socket.getaddrinfo(self._dns_host, self.port, family, socket.SOCK_STREAM)
        except OSError:
            addresses = []  # said below, in the words of the library
        if len(addresses) < 2 or not isinstance(self.timeout, int | float):
            return super()._new_conn()
        ends = time.monotonic() + self.timeout
        failed: OSError | None = None
        for number, (_, _, _, _, address) in enumerate(addresses):
            share = max(_LEAST, (ends - time.monotonic()) / (len(addresses) - number))
            try:
                return connection.create_connection(
                    (str(address[0]), self.port), share, self.source_address, self.socket_options
                )
            except OSError as error:
                failed = failed or error
        assert failed is not None  # noqa: S101
        raise failed

    def connect(self) -> None:
        self._is_opening = True
        try:
            super().connect()
        finally:
            self._is_opening = False

    def send(self, data: Any) -> None:
        if self.sock is None and self.auto_open:
            self.connect()
        flight = _flight.get()
        if flight is not None and not self._is_opening:  # a CONNECT to a proxy is not the request
            flight.socket = self.sock
            flight.is_sent = True
        super().send(data)


class _TlsConnection(_PlainConnection, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _PlainPool, "https": _TlsPool}


class Wire(HTTPAdapter):
    """A kept-alive connection to one server; used by one thread at a time, holds no cookie and no credential."""

    def __init__(self, context: ssl.SSLContext | None, proxy: str = "") -> None:
        self._context = context
        self._proxies = {"https": proxy} if proxy else {}
        self._pool: Any = None
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        self.poolmanager = PoolManager(num_pools=connections, maxsize=maxsize, block=block, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> ProxyManager:
        manager: ProxyManager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._context} if self._context else {}

    def get_connection_with_tls_context(
        self, request: PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """The one pool there is; looking it up anew costs a tenth of a call."""
        if self._pool is None:
            self._pool = super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
        return self._pool

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:  # noqa: ARG002
        """Path and query: a proxy is only ever tunnelled through."""
        return request.path_url

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:  # noqa: ARG002
        """Only what is needed: no cookies are taken out of it, no reason, no history."""
        response = Response()
        response.status_code, response.headers, response.raw = resp.status, resp.headers, resp
        return response

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing to do per request: the context checks, and it was made once."""

    def exchange(
        self, flight: Flight, method: str, url: str, headers: dict[str, str], body: Any, timeout: tuple[float, float]
    ) -> Response:
        """Send and return as soon as the head of the answer is there."""
        prepared = PreparedRequest()
        prepared.method, prepared.url, prepared.body = method, url, body
        prepared.headers = CaseInsensitiveDict(headers)
        token = _flight.set(flight)
        try:
            return self.send(prepared, stream=True, timeout=timeout, verify=True, proxies=self._proxies)
        finally:
            _flight.reset(token)


def tls_context(ca_bundle: Path | None = None, client_cert: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """Certificates and host names are always checked, from TLS 1.2 on; there is no way to switch it off.

    SpecError for files that cannot be used.

    Made from `SSLContext` itself: `create_default_context` obeys SSLKEYLOGFILE, which gives the traffic away.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load("ca_bundle", ca_bundle or DEFAULT_CA_BUNDLE_PATH, lambda path: context.load_verify_locations(cafile=path))
    if client_cert:
        certificate, key = client_cert
        _load("certificate", certificate, lambda path: context.load_cert_chain(path, key))
    return context


def _load(name: str, path: Path | str, load: Callable[[str], None]) -> None:
    try:
        load(str(path))
    except OSError as error:  # an unreadable file; ssl.SSLError is one, too
        reason = error.strerror if error.strerror and not isinstance(error, ssl.SSLError) else "not a PEM file"
        problem = Problem("bad-certificate", f"{name} cannot be used: {reason}", str(path), fix=f"correct {name}:")
        raise SpecError(problem) from error
