"""Whether the server is there: name, proxy, encryption, and an answer that is data."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from syncengine.doctor.finding import Finding
from syncengine.doctor.visit import Visit
from syncengine.errors import Exit, Problem
from syncengine.transport.answer import Ending

_LOGIN = (401, 403)


def look(visit: Visit) -> Iterator[Finding]:
    """Name, proxy, then one request; everything else needs its answer."""
    parts = urlsplit(visit.client.base_url)
    if visit.proxy:
        proxy = urlsplit(visit.proxy)
        yield Finding("proxy", "ok", f"requests go through {proxy.hostname}:{proxy.port or 80} (HTTPS_PROXY)")
    else:
        yield from _name(visit, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    answer = visit.first
    problem = answer.problem
    if answer.ending is Ending.DONE or answer.status in _LOGIN or (problem and problem.code == "login-refused"):
        encrypted = "https, certificate trusted" if parts.scheme == "https" else "plain http, on this machine only"
        yield Finding("reach", "ok", f"{parts.netloc} answers ({encrypted})")
        if visit.is_sandbox:
            yield Finding("reach", "ok", "it is the sandbox: what it lacks can be written into sandbox/seed.yaml")
        return
    visit.closed["reach"] = visit.closed["login"] = "the server cannot be reached or used"
    said = problem or Problem("unexpected-answer", f"{parts.netloc} answered with status {answer.status}")
    found = f" ({said.found})" if said.found else ""
    yield Finding("reach", "problem", said.message + found, said.fix, str(said.place), Exit.REMOTE)


def _name(visit: Visit, host: str, port: int) -> Iterator[Finding]:
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError as error:
        fix = f"correct url: in {visit.place}, or set HTTPS_PROXY where names are known to the proxy only"
        yield Finding(
            "name", "problem", f"{host} is not a known name ({error.strerror})", fix, visit.place, Exit.REMOTE
        )
    else:
        yield Finding("name", "ok", f"{host} is {', '.join(sorted(map(str, found)))}")
