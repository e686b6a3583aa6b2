"""One request, one answer, before a deadline. `Client.call` does not raise for anything a network or server does."""

from __future__ import annotations

import gzip
import itertools
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec
import orjson
from requests import Response

from syncengine.errors import Problem
from syncengine.transport import outcome
from syncengine.transport.address import checked_base_url
from syncengine.transport.answer import Answer, Ending, Manners, Request
from syncengine.transport.auth import Auth, NoLoginError
from syncengine.transport.clock import Clock
from syncengine.transport.content import read_body
from syncengine.transport.outcome import Raw, Verdict
from syncengine.transport.rate_limit import Pace, Permits, asked_wait
from syncengine.transport.redaction import SENTENCE, Redactor
from syncengine.transport.wire import Flight, Watchdog, Wire, tls_context

_SECRET_PARAMS = frozenset({"x-sn-apikey", "sysparm_apikey", "api_key", "apikey", "access_token", "token", "password"})
_SERVER_IDS = ("x-transaction-id", "x-request-id", "x-correlation-id")


class Limits(msgspec.Struct, frozen=True):
    """What one request may take."""

    connect: float = 10.0
    """Seconds to reach the server."""
    total: float = 300.0
    """Seconds from start to the last byte; longer than the longest transaction that servers allow."""
    gate: float = 900.0
    """Seconds to wait for the next window of a rate limit; with more to wait nothing is sent."""
    answer: int = 64 * 1024 * 1024
    """Bytes of an answer after decoding."""


class Client:
    """The way to one server; shared by all threads that talk to it."""

    def __init__(
        self,
        base_url: str,
        auth: Auth,
        manners: Manners,
        *,
        permits: int = 4,
        ca_bundle: Path | None = None,
        client_cert: tuple[Path, Path] | None = None,
        proxy: str = "",
        limits: Limits | None = None,
        clock: Clock | None = None,
        redactor: Redactor | None = None,
        headers: Mapping[str, str] | None = None,
        gzip_from: int | None = None,
        burst: tuple[int, float] | None = None,
        told: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """`told` hears of waits for the next window of a rate limit, in seconds."""
        self.base_url = checked_base_url(base_url)
        self.host = urlsplit(self.base_url).netloc
        self.manners = manners
        self.clock = clock or Clock()
        self.redactor = redactor or Redactor()
        self.pace = Pace(self.clock, burst, told)
        self.permits = Permits(permits)
        self.has_answered = False
        """Whether any answer ever came: a host that never answered is misspelt rather than down."""
        self._auth = auth
        self._limits = limits or Limits()
        is_plain = self.base_url.startswith("http:")
        # Plain http never takes a proxy: the address that was reached could then not be checked.
        self._proxy = "" if is_plain else proxy
        if self._proxy:
            self.redactor.add(urlsplit(self._proxy).password or "")
        self._context = None if is_plain else tls_context(ca_bundle, client_cert)
        self._idle: deque[Wire] = deque()
        self._watchdog = Watchdog()
        self._gzip_from = gzip_from
        self._headers = {
            "Accept-Encoding": "gzip",
            "User-Agent": "syncengine",
            "Connection": "keep-alive",
            **(headers or {}),
        }
        self._run = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self._login = threading.Lock()
        self._refused: Answer | None = None
        self._shown_login: Mapping[str, str] = {}

    @property
    def who(self) -> str:
        """Whose login it uses; never a secret."""
        return self._auth.who

    def call(self, request: Request) -> Answer:
        """Send once, wait for the answer, and say how it ended. A refused login is tried once more, freshly."""
        if self._refused is not None:
            return self._still_refused(request)
        answer = self._in_turn(request)
        if answer.ending is Ending.THROTTLED:
            if answer.wait is None:
                self.permits.tighten()
        elif answer.ending is Ending.DONE:
            self.permits.ease()
        if answer.status:
            self.has_answered = True
            self.pace.learn(answer.status, answer.headers, self.permits.most)
            self.permits.one_by_one(self.pace.is_near_quota())
        return answer

    def _in_turn(self, request: Request) -> Answer:
        while True:
            closed = self.pace.wait(self._limits.gate)
            if closed:
                return self._not_now(request, closed)
            with self.permits.one():
                if not self.pace.enter():
                    continue  # somebody was told to wait while this worker waited for its permit
                used, answer = self._with_login(request)
                if answer.status == 401 and used is not None:
                    answer = self._once_more(request, used, answer)
                return answer

    def is_alive(self) -> bool:
        """One cheap read, past the gate: whether the server answers as itself."""
        if self._refused is not None:
            return False
        with self.permits.one():
            _, answer = self._with_login(self.manners.probe)
        return answer.ending in (Ending.DONE, Ending.REFUSED)

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._idle.pop().close()

    def _with_login(self, request: Request) -> tuple[Mapping[str, str] | None, Answer]:
        if not self._shown_login:
            self._learn_secrets()  # before the first byte: a token endpoint may echo what it was sent
        try:
            login = self._auth.headers(self._exchange)
        except NoLoginError as failed:
            return None, failed.answer
        if login != self._shown_login:
            self._learn_secrets()
            self._shown_login = login
        return login, self._exchange(request, login)

    def _learn_secrets(self) -> None:
        for secret in self._auth.secrets():
            self.redactor.add(secret)

    def _once_more(self, request: Request, used: Mapping[str, str], answer: Answer) -> Answer:
        # One worker at a time: were all to repeat a wrong password at once, the account would be locked.
        with self._login:
            if self._refused is not None:
                return answer
            self._auth.renew(used)
            # A write that a strange 401 leaves undecided is not repeated: a cheap read tries the login in its place.
            is_unsettled = answer.ending is Ending.UNKNOWN and request.kind.is_write
            _, again = self._with_login(self.manners.probe if is_unsettled else request)
            if again.status == 401 or (again.is_final and again.ending is Ending.NOT_SENT):
                self._refused = again
            return answer if is_unsettled else again

    def _not_now(self, request: Request, seconds: float) -> Answer:
        message = f"the rate limit is used up; the next window opens in {seconds / 60:.0f} min"
        fix = "run it again then, or raise the limit for this user"
        return self._answer(request, Verdict(Ending.THROTTLED, "too-many-requests", message, fix=fix, is_final=True))

    def _still_refused(self, request: Request) -> Answer:
        assert self._refused is not None  # noqa: S101
        return self._answer(
            request,
            Verdict(
                Ending.NOT_SENT,
                "login-refused",
                f"the login was refused before ({self._auth.who}); it is not tried again, so that no account is locked",
                fix="check user and secret, and that the user may use the API",
                is_final=True,
            ),
        )

    def _exchange(self, request: Request, login: Mapping[str, str]) -> Answer:
        number = f"{self._run}-{next(self._numbers)}"
        try:
            url, headers, body = self._written(request)
        except (TypeError, ValueError) as error:
            verdict = Verdict(
                Ending.NOT_SENT, "request-unusable", "the request cannot be written", str(error), is_final=True
            )
            return self._answer(request, verdict)
        headers["X-Request-Id"] = number
        headers.update(login)
        total = request.deadline or self._limits.total
        flight = Flight(time.monotonic() + total)
        wire = self._take_wire()
        is_reusable = False
        raw: Raw | None = None
        self._watchdog.watch(flight)
        try:
            timeout = (min(self._limits.connect, total), total)
            response = wire.exchange(flight, request.method, url, headers, body, timeout)
            raw = Raw(response.status_code, _lower(response), b"")
            raw = raw._replace(body=read_body(response, self._limits.answer))
            verdict = outcome.of_answer(request, raw, self.manners)
            is_reusable = verdict.ending is not Ending.UNKNOWN
        except MemoryError:
            raise  # says nothing of the server, and asking again needs as much; an open intent is settled by resume
        except Exception as error:  # noqa: BLE001  # the last net: nothing may leave a write undecided
            verdict = outcome.of_failure(
                error, is_sent=flight.is_sent, is_late=flight.is_late, is_proxied=bool(self._proxy)
            )
        finally:
            self._watchdog.leave(flight)
            if is_reusable and not flight.is_late:
                self._idle.append(wire)
            else:
                wire.close()
        return self._answer(request, verdict, raw, number)

    def _take_wire(self) -> Wire:
        try:
            return self._idle.pop()  # the one used last is the one most likely still open
        except IndexError:
            return Wire(self._context, self._proxy)

    def _written(self, request: Request) -> tuple[str, dict[str, str], Any]:
        if not request.path.startswith("/") or any(bad in request.path for bad in ("?", "#", "\\", "/../", "//")):
            raise ValueError(f"not a path: {request.path}")
        if not request.path.isascii() or not request.path.isprintable() or " " in request.path:
            raise ValueError("the path is not URL-encoded")
        if not _SECRET_PARAMS.isdisjoint(map(str.lower, request.params)):
            raise ValueError("a key or password in the address would stand in every log on the way")
        url = self.base_url + request.path
        if request.params:
            url += "?" + urlencode(request.params, quote_via=quote, safe=",")
        headers = dict(self._headers)
        headers["Accept"] = "*/*" if request.expect == "bytes" else "application/json"
        headers.update(request.headers)
        body: Any = request.body
        if body is None:
            if request.method not in ("GET", "HEAD", "DELETE"):
                headers["Content-Length"] = "0"
            return url, headers, None
        headers["Content-Type"] = request.content_type
        if hasattr(body, "read"):
            if request.length is None:
                raise ValueError("the length of the file is not given")
            body.seek(0)  # an attempt that was throttled has read it to its end
            headers["Content-Length"] = str(request.length)
            return url, headers, body
        if not isinstance(body, bytes):
            body = orjson.dumps(body)
        if self._gzip_from is not None and len(body) >= self._gzip_from:
            packed = gzip.compress(body, 1, mtime=0)
            if len(packed) < 0.7 * len(body):
                headers["Content-Encoding"] = "gzip"
                body = packed
        headers["Content-Length"] = str(len(body))
        return url, headers, body

    def _answer(self, request: Request, verdict: Verdict, raw: Raw | None = None, number: str = "") -> Answer:
        status, headers, body = raw or Raw(0, {}, b"")
        if verdict.ending is Ending.DONE:
            return Answer(verdict.ending, status, verdict.data, body, headers)
        show = self.redactor.show
        place = f"{request.method} {request.path}"
        if status:
            server_id = next((headers[name] for name in _SERVER_IDS if name in headers), number)
            place += f" → {status}" + (f" (request {server_id})" if server_id else "")
        message = f"{self.host}: {verdict.message}"
        if verdict.code == "login-refused":
            message += f" ({self._auth.who})" if self._auth.who not in message else ""
        problem = Problem(
            verdict.code,
            show(message, SENTENCE),
            show(place, 2 * SENTENCE),
            show(verdict.found),
            show(verdict.fix, 400),
        )
        return Answer(
            verdict.ending,
            status,
            verdict.data,
            body,
            headers,
            problem,
            verdict.is_final,
            verdict.is_late,
            asked_wait(headers) if headers else None,
        )


def _lower(response: Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}
