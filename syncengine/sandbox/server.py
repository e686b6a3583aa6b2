"""The server process: sockets, run.json, and the end when nobody needs it any more."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import secrets
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from syncengine.sandbox import seeds, tls
from syncengine.sandbox.app import App
from syncengine.sandbox.process import WRONG_SEED
from syncengine.sandbox.seed_sections import SeedError
from syncengine.sandbox.world import World

GRACE = 2.0
"""Seconds without any attached command after which the server ends."""
_ROLES = ("admin", "itil", "import_transformer")


@dataclass(frozen=True, slots=True)
class Options:
    """How to serve."""

    directory: Path
    port: int = 0
    tls: bool = False
    user: str = "admin"
    password: str = ""
    """Empty: the one of the last start, else a new one."""
    seeds: tuple[Path, ...] = ()
    faults: tuple[str, ...] = ()
    attached: bool = False
    """End with the last attached command."""


class Protocol(H11Protocol):
    """uvicorn's protocol, whose connections fault rules can find and break."""

    connected: dict[tuple[str, int], asyncio.Transport] = {}  # noqa: RUF012 - one per process, as the server is

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the connection by its client."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        if peer:
            self.connected[peer[0], peer[1]] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        peer = self.transport.get_extra_info("peername")
        if peer:
            self.connected.pop((peer[0], peer[1]), None)
        super().connection_lost(exc)


def transport_of(scope: Scope) -> asyncio.Transport | None:
    """The connection below a request."""
    client = scope.get("client")
    return Protocol.connected.get((client[0], client[1])) if client else None


Ready = Callable[[str, Path | None], None]
"""Told the URL and the CA when the server answers."""


class WrongSeedError(ValueError):
    """A seed of the project cannot be applied."""

    def __init__(self, path: Path, said: str) -> None:
        super().__init__(f"{path}: {said}")
        self.path = path
        self.said = said


def run(options: Options, ready: Ready | None = None) -> None:
    """Serve until told to end, or until nobody is attached."""
    directory = options.directory
    directory.mkdir(parents=True, exist_ok=True)
    sock = _listen(options.port)
    world = World(directory / "data.db")
    token = secrets.token_urlsafe(24)
    app = App(world, token, transport_of)
    password = options.password or world.store.meta("password") or secrets.token_urlsafe(12)
    world.store.set_meta("password", password)
    app.accounts.set(options.user, password, _ROLES)
    for path in options.seeds:
        try:
            seeds.apply(world, app.accounts, seeds.read(path.read_text("utf-8")), fourme=app.fourme)
        except SeedError as fault:
            raise WrongSeedError(path, str(fault)) from fault
    for rule in options.faults:
        app.faults.add(rule)
    certificates = tls.files(directory) if options.tls else None
    port = sock.getsockname()[1]
    information = {
        "url": f"{'https' if certificates else 'http'}://127.0.0.1:{port}",
        "token": token,
        "user": options.user,
        "password": password,
        "pid": os.getpid(),
        "identity": world.identity,
        "ca": str(certificates.ca) if certificates else None,
        "fourme": app.fourme.logins.own(),
    }
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,  # the application tells the time of its own clock
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
        ssl_certfile=certificates.certificate if certificates else None,
        ssl_keyfile=certificates.key if certificates else None,
        # a client may show a certificate; only those of the sandbox's own client authority get through
        ssl_ca_certs=str(certificates.clients) if certificates else None,
        ssl_cert_reqs=ssl.CERT_OPTIONAL if certificates else ssl.CERT_NONE,
    )
    try:
        asyncio.run(_serve(uvicorn.Server(config), sock, information, options, ready))
    finally:
        _leave(directory)
        world.store.close()


async def _serve(
    server: uvicorn.Server, sock: socket.socket, information: dict[str, Any], options: Options, ready: Ready | None
) -> None:
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.002)
    if serving.done():
        await serving
        return
    # written last: who finds it may send at once
    write_private(options.directory / "run.json", orjson.dumps(information))
    if ready is not None:
        ready(information["url"], Path(information["ca"]) if information["ca"] else None)
    watching = asyncio.create_task(_watch(server, options.directory)) if options.attached else None
    await serving
    if watching is not None:
        watching.cancel()


async def _watch(server: uvicorn.Server, directory: Path) -> None:
    """End the server when no command has held the attachment lock for a while.

    Every attached command holds it shared; the kernel lets go when the command ends, however it ends.
    """
    handle = os.open(directory / "attached.lock", os.O_RDWR | os.O_CREAT, 0o600)
    alone = 0.0
    while True:
        await asyncio.sleep(0.25)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            alone = 0.0
            continue
        alone += 0.25
        if alone >= GRACE:
            # the lock is kept until the process is gone, so that a newcomer waits and then finds no run.json
            (directory / "run.json").unlink(missing_ok=True)
            server.should_exit = True
            return
        fcntl.flock(handle, fcntl.LOCK_UN)


def _leave(directory: Path) -> None:
    """Take run.json away, unless another server has written its own."""
    path = directory / "run.json"
    try:
        if orjson.loads(path.read_bytes()).get("pid") == os.getpid():
            path.unlink()
    except (OSError, ValueError):
        return


def _listen(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen(512)
    sock.set_inheritable(False)
    return sock


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, in one step."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    temporary.replace(path)


def main(arguments: Sequence[str]) -> None:
    """Entry of the child process: options as one JSON object."""
    given = orjson.loads(arguments[0])
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command; the server ends after it
    options = Options(
        Path(given["directory"]),
        tls=given["tls"],
        seeds=tuple(Path(path) for path in given["seeds"]),
        faults=tuple(given["faults"]),
        attached=True,
    )
    try:
        run(options)
    except WrongSeedError as fault:
        sys.stderr.write(orjson.dumps({"seed": str(fault.path), "said": fault.said}).decode() + "\n")
        sys.exit(WRONG_SEED)
