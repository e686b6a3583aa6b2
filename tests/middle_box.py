"""A box between client and sandbox, below HTTP: it can deliver a request twice, and swallow an answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from syncengine.sandbox.process import Running


@dataclass
class MiddleBox:
    """What stands between; `repeats` and `swallows` are parts of the first line of the requests it does that to."""

    running: Running
    """The sandbox, reached through the box."""
    repeats: str = ""
    swallows: bool = False
    repeated: int = 0


@contextmanager
def between(running: Running, repeats: str = "", *, swallows: bool = False) -> Iterator[MiddleBox]:
    """A sandbox behind a box that delivers every POST to a path that contains `repeats` twice."""
    listener = socket.create_server(("127.0.0.1", 0))
    box = MiddleBox(replace(running, url=f"http://127.0.0.1:{listener.getsockname()[1]}"), repeats, swallows)
    upstream = urlsplit(running.url)

    def pass_on(request: bytes) -> bytes:
        with socket.create_connection((upstream.hostname or "", upstream.port or 0)) as server:
            server.sendall(request)
            return b"".join(_message(server))

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError, ValueError):
            while request := b"".join(_message(client)):
                line = request.split(b"\r\n", 1)[0].decode()
                answer = pass_on(request)
                if box.repeats and line.startswith("POST") and box.repeats in line:
                    box.repeated += 1
                    answer = pass_on(request)
                    if box.swallows:
                        return
                client.sendall(answer)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield box
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _message(sock: socket.socket) -> Iterator[bytes]:
    """One HTTP message: its head, and as much body as the head says (length or chunks); nothing at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        some = sock.recv(65536)
        if not some:
            return
        data += some
    head, _, rest = data.partition(b"\r\n\r\n")
    yield head + b"\r\n\r\n"
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        while not rest.endswith(b"0\r\n\r\n"):
            rest += sock.recv(65536)
    missing = int(fields.get(b"content-length", b"0")) - len(rest)
    while missing > 0:
        some = sock.recv(min(65536, missing))
        if not some:
            return
        rest, missing = rest + some, missing - len(some)
    yield rest
