"""Logins, each a short conversation: what to add to a request, and what to do when the server says 401.

Secrets come in as callables and are asked for when a header is made, so that no object here shows one when printed.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol
from urllib.parse import urlencode

from syncengine.errors import Problem
from syncengine.transport.answer import Answer, Ending, Kind, Request
from syncengine.transport.clock import Clock

Ask = Callable[[Request, Mapping[str, str]], Answer]
"""Sends one request with these login headers."""

_EARLY = 0.8
_LIFE = 1800.0
_LONGEST_LIFE = 30 * 86400.0


class NoLoginError(Exception):
    """There is no login to send a request with, so the request was not sent."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__("no login")


class Auth(Protocol):
    """A login; used by many threads."""

    @property
    def who(self) -> str:
        """Whose login it is, for messages; never a secret."""
        ...

    def headers(self, ask: Ask) -> Mapping[str, str]:
        """What to add to a request; NoLoginError when the server gives no login."""
        ...

    def renew(self, used: Mapping[str, str]) -> None:
        """The server said 401 to these headers; the next ones are to be fresh."""
        ...

    def secrets(self) -> Iterator[str]:
        """What must never be shown, as far as it is known by now."""
        ...


class NoAuth:
    """No login at all."""

    who = "no login"

    def headers(self, ask: Ask) -> Mapping[str, str]:  # noqa: ARG002  # nothing to ask for
        return {}

    def renew(self, used: Mapping[str, str]) -> None:
        """Nothing to renew."""

    def secrets(self) -> Iterator[str]:
        return iter(())


class BasicAuth:
    """User and password with every request."""

    def __init__(self, user: str, password: Callable[[], str]) -> None:
        if ":" in user:
            raise ValueError("a user name with a colon cannot be used with basic authentication")
        self._user = user
        self._password = password

    @property
    def who(self) -> str:
        return f"user {self._user}"

    def headers(self, ask: Ask) -> Mapping[str, str]:  # noqa: ARG002  # nothing to ask for
        return {"Authorization": "Basic " + self._pair()}

    def renew(self, used: Mapping[str, str]) -> None:
        """Nothing to renew: servers refuse a right password now and then, so the same one is tried again."""

    def secrets(self) -> Iterator[str]:
        yield self._password()
        yield self._pair()

    def _pair(self) -> str:
        return base64.b64encode(f"{self._user}:{self._password()}".encode()).decode()


class KeyAuth:
    """A key in a header of its own, or as a bearer token; never in the query, where logs would keep it."""

    def __init__(self, key: Callable[[], str], *, header: str = "x-sn-apikey", prefix: str = "") -> None:
        self._key = key
        self._header = header
        self._prefix = prefix

    @property
    def who(self) -> str:
        return f"key in header {self._header}"

    def headers(self, ask: Ask) -> Mapping[str, str]:  # noqa: ARG002  # nothing to ask for
        return {self._header: self._prefix + self._key()}

    def renew(self, used: Mapping[str, str]) -> None:
        """Nothing to renew."""

    def secrets(self) -> Iterator[str]:
        yield self._key()


class OAuth:
    """A token from the server's token endpoint, kept in memory only, renewed at 80 % of its life or after a 401.

    `form` gives the fields of the grant (`grant_type=client_credentials`, or `password` with user and password);
    a refresh token that the server hands out is used before them.
    """

    def __init__(
        self,
        form: Callable[[], Mapping[str, str]],
        *,
        who: str,
        path: str = "/oauth_token.do",
        clock: Clock | None = None,
    ) -> None:
        self._form = form
        self._who = who
        self._path = path
        self._clock = clock or Clock()
        self._lock = threading.Lock()
        self._token = ""
        self._refresh = ""
        self._renew_at = float("-inf")
        self._refused: Answer | None = None

    @property
    def who(self) -> str:
        return self._who

    def headers(self, ask: Ask) -> Mapping[str, str]:
        with self._lock:  # whoever comes first fetches; the others wait and share, the refusal, too
            if self._refused is not None:
                raise NoLoginError(self._refused)
            if self._clock.now() >= self._renew_at:
                self._fetch(ask)
            return self._header()

    def renew(self, used: Mapping[str, str]) -> None:
        with self._lock:
            if used == self._header():  # else another worker has renewed it in the meantime
                self._renew_at = float("-inf")

    def secrets(self) -> Iterator[str]:
        yield self._token
        yield self._refresh
        for name, value in self._form().items():
            if name not in ("grant_type", "client_id", "username", "scope"):
                yield value

    def _header(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def _fetch(self, ask: Ask) -> None:
        if self._refresh:
            form = {**self._form(), "grant_type": "refresh_token", "refresh_token": self._refresh}
            for name in ("username", "password", "scope"):
                form.pop(name, None)
            self._refresh = ""
            answer = self._ask(ask, form)
            if answer.ending is Ending.DONE and self._took(answer.body):
                return
        answer = self._ask(ask, self._form())
        if answer.ending is Ending.DONE and self._took(answer.body):
            return
        self._renew_at = float("-inf")
        raise NoLoginError(self._refusal(answer))

    def _ask(self, ask: Ask, form: Mapping[str, str]) -> Answer:
        request = Request(
            "POST",
            self._path,
            body=urlencode(form).encode(),
            kind=Kind.TOKEN,
            content_type="application/x-www-form-urlencoded",
        )
        answer = ask(request, {})
        return ask(request, {}) if answer.ending is Ending.UNKNOWN and not answer.is_final else answer

    def _took(self, data: object) -> bool:
        token = data.get("access_token") if isinstance(data, dict) else None
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            return False
        assert isinstance(data, dict)  # noqa: S101
        refresh = data.get("refresh_token")
        self._token = token
        self._refresh = refresh if isinstance(refresh, str) else ""
        self._renew_at = self._clock.now() + _EARLY * _life(data.get("expires_in"))
        return True

    def _refusal(self, answer: Answer) -> Answer:
        """The request that needed the token was not sent; whether to try again follows from the token's answer."""
        place = answer.problem.place if answer.problem else f"POST {self._path} → {answer.status}"
        found = (answer.problem.found or answer.problem.message) if answer.problem else "no access_token in the answer"
        can_pass = answer.ending in (Ending.NOT_SENT, Ending.THROTTLED) and not answer.is_final
        if can_pass and answer.problem is not None:
            return Answer(answer.ending, problem=answer.problem, is_late=answer.is_late, wait=answer.wait)
        problem = Problem(
            "login-refused",
            f"the server gave no token ({self._who})",
            place,
            found,
            "check client id, client secret, grant and scope",
        )
        self._refused = Answer(Ending.NOT_SENT, status=0, problem=problem, is_final=True)
        return self._refused


def _life(expires_in: object) -> float:
    """Seconds a token lives; the usual half hour where the server says nothing sensible."""
    if isinstance(expires_in, str) and expires_in.isascii() and expires_in.isdigit() and len(expires_in) < 10:
        expires_in = int(expires_in)
    if isinstance(expires_in, bool) or not isinstance(expires_in, (int, float)) or not expires_in > 0:
        return _LIFE
    return min(float(expires_in), _LONGEST_LIFE)
