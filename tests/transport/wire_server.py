"""Servers on loopback that answer byte by byte as a test wants, and a clock that jumps."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from syncengine.transport.auth import Auth, BasicAuth
from syncengine.transport.client import Client, Limits
from syncengine.transport.clock import Clock
from syncengine.transport.redaction import Redactor
from syncengine.transport.servicenow import ServiceNow

SECRET = 'CANARY-7f3a/p+ss"w rd'


class Got(NamedTuple):
    """A request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def reply(status: int = 200, body: bytes | str = b'{"result": []}', **headers: str) -> bytes:
    """An HTTP answer; header names are written with underscores."""
    raw = body.encode() if isinstance(body, str) else body
    head = {"Content-Type": "application/json", "Content-Length": str(len(raw))}
    head |= {name.replace("_", "-").title(): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in head.items() if value != "-")]
    return "\r\n".join([*lines, "", ""]).encode() + raw


def error(status: int, message: str = "no", detail: str = "", **headers: str) -> bytes:
    """An error in ServiceNow's envelope."""
    body = f'{{"error": {{"message": "{message}", "detail": "{detail}"}}, "status": "failure"}}'
    return reply(status, body, **headers)


def hang_up(sock: socket.socket) -> None:
    """End a connection with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


PATIENCE = 60.0
"""Seconds that a server or a client waits where nobody means to find out how long it waits."""
Script = Callable[[Got, socket.socket], bytes | None]
"""Gives the answer, or handles the socket itself and gives None; then the connection is closed."""


@dataclass
class RawServer:
    """Takes requests and answers them as the script says."""

    script: Script
    context: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    got: list[Got] = field(default_factory=list)
    received: bytearray = field(default_factory=bytearray)
    connections: int = 0

    def __post_init__(self) -> None:
        self._socket = socket.create_server((self.host, 0))
        self.port: int = self._socket.getsockname()[1]
        self.stopped = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.stopped.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with suppress(OSError, ValueError):
            if self.context:
                sock = self.context.wrap_socket(sock, server_side=True)
            with sock.makefile("rb") as stream:
                while not self.stopped.is_set():
                    got = self._request(stream)
                    if got is None:
                        break
                    self.got.append(got)
                    answer = self.script(got, sock)
                    if answer is None:
                        break
                    sock.sendall(answer)
        with suppress(OSError):
            sock.close()

    def _request(self, stream: Iterator[bytes]) -> Got | None:
        line = next(stream, b"")
        self.received += line
        if not line.strip():
            return None
        method, target, _ = line.decode().split(" ", 2)
        headers: dict[str, str] = {}
        for raw in stream:
            self.received += raw
            if not raw.strip():
                break
            name, _, value = raw.decode().partition(":")
            headers[name.strip().lower()] = value.strip()
        length = int(headers.get("content-length", "0"))
        body = stream.read(length) if length else b""  # type: ignore[attr-defined]
        self.received += body
        return Got(method, target, headers, body)


@contextmanager
def serving(script: Script | bytes | list[bytes], context: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    """A server with a script, with one answer for all, or with answers in turn (the last one stays)."""
    if isinstance(script, bytes):
        script = [script]
    if isinstance(script, list):
        answers = list(script)

        def in_turn(got: Got, sock: socket.socket) -> bytes:
            return answers.pop(0) if len(answers) > 1 else answers[0]

        script = in_turn
    server = RawServer(script, context)
    try:
        yield server
    finally:
        server.stop()


class Silence:
    """A server that answers only when its client has given up: whoever waits for it waits for good."""

    def __init__(self) -> None:
        self._is_over = threading.Event()

    def keep(self) -> None:
        """Say nothing."""
        self._is_over.wait(PATIENCE)

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()


class Hours:
    """A clock that jumps when someone sleeps, and remembers the naps."""

    def __init__(self, chance: Callable[[], float] = lambda: 0.5) -> None:
        self.time = 1000.0
        self.naps: list[float] = []
        self._chance = chance
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        assert 0 <= seconds < 1e6
        with self._lock:
            self.naps.append(seconds)
            self.time += seconds
        time.sleep(0)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.time, self.sleep, self._chance)


class Haste(Hours):
    """A clock that runs a thousand times too fast, for workers that sleep side by side."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.naps = []

    @property
    def clock(self) -> Clock:
        return Clock(self.now, lambda seconds: time.sleep(seconds / 1000), lambda: 0.5)

    def now(self) -> float:
        return 1000 + (time.monotonic() - self._began) * 1000


@contextmanager
def client_of(
    url: str,
    auth: Auth | None = None,
    *,
    hours: Hours | None = None,
    total: float = PATIENCE,
    connect: float = PATIENCE,
    answer: int = 64 * 1024 * 1024,
    permits: int = 4,
    ca_bundle: Path | None = None,
    proxy: str = "",
    gzip_from: int | None = None,
    gate: float = 900.0,
) -> Iterator[Client]:
    """A client with a canary for a password and a clock that jumps."""
    client = Client(
        url,
        auth or BasicAuth("ada", lambda: SECRET),
        ServiceNow(),
        permits=permits,
        ca_bundle=ca_bundle,
        proxy=proxy,
        limits=Limits(connect, total, gate, answer),
        clock=(hours or Hours()).clock,
        redactor=Redactor(),
        gzip_from=gzip_from,
    )
    try:
        yield client
    finally:
        client.close()


class Authority:
    """A certificate authority of its own, and certificates good and bad."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.certificate = self._sign(self._name, self._key.public_key(), timedelta(days=1), names=(), is_ca=True)
        self.bundle = folder / "ca.pem"
        self.bundle.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, host: str = "127.0.0.1", *, is_expired: bool = False) -> ssl.SSLContext:
        """What a server needs to speak as this host."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        life = timedelta(hours=-1) if is_expired else timedelta(days=1)
        certificate = self._sign(subject, key.public_key(), life, names=(host,))
        path = self._folder / f"{host}{is_expired}.pem"
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        life: timedelta,
        names: tuple[str, ...],
        *,
        is_ca: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + life)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if names:
            general = [x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
        if is_ca:
            usage = x509.KeyUsage(
                digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
                key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                decipher_only=False,
            )  # fmt: skip
            builder = builder.add_extension(usage, critical=True)
        return builder.sign(self._key, hashes.SHA256())
