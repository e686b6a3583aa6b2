"""Logs and exports behind links that need no login (documented: pre-signed, good for two days).

Inferred: a request for a log that also logs in is refused, as the storage behind such links does. Seen: a public
client fetches exports with its login.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode, urlsplit, urlunsplit

from starlette.responses import Response

from syncengine.sandbox import injected
from syncengine.sandbox.body import Download
from syncengine.sandbox.fourme.jobs import IMPORT, KEPT, LOG_HEAD, Job, Jobs
from syncengine.sandbox.world import World

_PATH = re.compile(r"/(?:logs/imports|exports)/\d{8}/[^/]+/(?P<number>\d+)[.-][^/]+")
_OTHER = {"127.0.0.1": "localhost", "localhost": "127.0.0.1", "api.localhost": "127.0.0.1"}
_HUGE = 500 << 20


class Links:
    """Makes links, and answers them."""

    def __init__(self, world: World, jobs: Jobs) -> None:
        self._world = world
        self._jobs = jobs

    def of(self, job: Job, base: str, *, other_host: bool) -> str:
        """The link to a job's log or file."""
        day = datetime.fromtimestamp(job.ended or job.queued, UTC).strftime("%Y%m%d")
        if job.kind == IMPORT:
            path = f"/logs/imports/{day}/{job.account}/{job.number}.{job.body['type']}.log"
        else:
            path = f"/exports/{day}/{job.account}/{job.number}-{job.body.get('name', '')}"
        if other_host or self._world.settings["fourme.log_host"] == "other":
            parts = urlsplit(base)
            host = _OTHER.get(parts.hostname or "", "127.0.0.1")
            base = urlunsplit((parts.scheme, f"{host}:{parts.port}" if parts.port else host, "", "", ""))
        query = {"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Expires": KEPT, "X-Amz-Signature": self._sign(job)}
        return f"{base}{path}?{urlencode(query)}"

    def _sign(self, job: Job) -> str:
        return hmac.new(self._world.identity.encode(), job.token.encode(), hashlib.sha256).hexdigest()

    def get(self, path: str, parameters: Mapping[str, str], headers: Mapping[str, str], *, is_log: bool) -> Response:
        """The file behind a link."""
        match = _PATH.fullmatch(path)
        job = self._jobs.by_number(int(match["number"])) if match else None
        if job is None:
            return _error(404, "NoSuchKey", "The specified key does not exist.")
        setting = "fourme.log_with_login" if is_log else "fourme.export_with_login"
        if headers.get("authorization") and self._world.settings[setting] == "refused":
            return _error(400, "InvalidArgument", "Only one auth mechanism allowed")
        right = hmac.compare_digest(parameters.get("X-Amz-Signature", ""), self._sign(job))
        expired = self._world.clock.time() - (job.ended or 0) > KEPT
        if not right or expired or job.ended is None:
            return _error(403, "AccessDenied", "Request has expired" if expired else "Access Denied")
        if is_log:
            return self._log(job, injected.log.get() or str(job.body.get("log_fault", "")))
        name = f"export:{job.token}"
        told = {"content-disposition": f'attachment; filename="{job.body.get("name", "")}"'}
        return _sent(self._jobs.files.parts(name), str(job.body.get("content_type", "text/csv")), told)

    def _log(self, job: Job, fault: str) -> Response:
        match fault:
            case "404":
                return _error(404, "NoSuchKey", "The specified key does not exist.")
            case "403":
                return _error(403, "AccessDenied", "Access Denied")
            case "html":
                return Response("<html><title>Sign in</title><body>Sign in</body></html>", 200, media_type="text/html")
            case "binary":
                return Response(bytes(range(256)) * 8, 200, media_type="application/octet-stream")
            case "truncated":
                text = b"".join(self._lines(job))
                return Response(text[: len(text) // 2], 200, media_type="text/plain")
            case "huge":
                return _sent(self._endless(job), "text/plain")
        return _sent(self._lines(job), "text/plain; charset=utf-8")

    def _lines(self, job: Job) -> Iterator[bytes]:
        yield f"{LOG_HEAD}\n{job.body['type']} {job.state}\n".encode()
        yield from self._jobs.files.parts(f"log:{job.token}")

    def _endless(self, job: Job) -> Iterator[bytes]:
        yield from self._lines(job)
        part = b"line 0: made by a fault rule\n" * 4096
        for _number in range(_HUGE // len(part)):
            yield part


def _sent(parts: Iterator[bytes], kind: str, headers: Mapping[str, str] | None = None) -> Response:
    """A file whose length is not known before it is sent."""
    found = Download(parts, headers or {}, kind)
    del found.headers["content-length"]
    return found


def _error(status: int, code: str, message: str) -> Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Response(body, status, media_type="application/xml")
