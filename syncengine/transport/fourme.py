"""4me's (Xurrent's) manners: how it says no, where its hosts are, and its two kinds of background jobs.

Facts are of developer.4me.com / developer.xurrent.com (copies to August 2026) and public clients; what is inferred
says so where it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit

from urllib3.filepost import encode_multipart_formdata

from syncengine.errors import NOTHING_WRITTEN, Problem, RemoteError
from syncengine.transport.answer import Answer, Ending, Kind, Request
from syncengine.transport.auth import Ask, OAuth
from syncengine.transport.client import Client
from syncengine.transport.clock import Clock
from syncengine.transport.reader import Reader, Sent, Writer
from syncengine.transport.redaction import FOUND, cut, escape

IMPORT = "/v1/import"
EXPORT = "/v1/export"
BURST = (19, 2.0)
"""Requests and seconds: 20 in 2 s are refused, by the documentation of a public client, which sends 19 itself."""
STORAGE = "amazonaws.com"
"""Where logs and exports lie (documented example: itrp.amazonaws.com)."""
_TOKEN = re.compile(r"[0-9A-Za-z]{8,128}", re.ASCII)
"""Documented example: 30 or so lower-case hex digits; it goes into a path, so nothing else is let in."""
_API = re.compile(r"api\.", re.IGNORECASE)
_LONGEST_POLL = 30.0


class FourmeError(NamedTuple):
    """The error of an answer."""

    message: str
    detail: str


class Fourme:
    """How 4me answers when it does not. Texts come in the user's language, so none is ever matched."""

    probe = Request("GET", "/v1/me")

    def __init__(self, account: str) -> None:
        self._account = account

    def error_in(self, data: object) -> FourmeError | None:
        """`message`, with the pairs of field and text of a 422; a job's own message is no error of the request."""
        if not isinstance(data, dict) or "state" in data or "token" in data:
            return None
        message = data.get("message") or data.get("error")
        if not isinstance(message, str) or not message:
            return None
        pairs = data.get("errors")
        words = [str(pair[-1]) for pair in pairs if pair] if isinstance(pairs, list) else []
        return FourmeError(message, "; ".join(words) or str(data.get("error_description") or ""))

    def is_dropped(self, status: int, body: bytes) -> bool:
        """4me drops nothing without a word."""
        del status, body
        return False

    def is_cancelled(self, words: str) -> bool:
        """4me knows no limit on the time of a request."""
        del words
        return False

    def refusal(self, status: int, path: str) -> tuple[str, str]:
        """Names the account and the role that an import or an export needs (documented)."""
        if status == 403 and path.startswith((IMPORT, EXPORT)):
            said = f"the API user needs the role Account Administrator in the account {self._account}"
            return said, "check the account of the connection, and give the person behind the token that role there"
        if status == 403:
            said = f"this user may not read {path} of the account {self._account}"
            return said, "check the account of the connection, and what the person behind the token may see there"
        if status == 401:
            said = f"the token is refused for the account {self._account}"
            return said, "make a token in My Profile of the API user, or check client_id and client_secret"
        return "", ""

    def page_advice(self, title: str) -> tuple[str, bool]:
        """What to do about a web page in place of data."""
        del title
        return "check that url is the API host, such as https://api.xurrent.com, and not that of the web pages", True


def headers(account: str) -> dict[str, str]:
    """Names the account in both families: the old one is still read, the new one is documented since the rename."""
    return {"X-Xurrent-Account": account, "X-4me-Account": account}


def token_url(url: str) -> str:
    """Root of the token endpoint: `api.` of the host replaced by `oauth.`, in every region and both spellings.

    Seen in public clients; documented for oauth.xurrent.com. A host of another name is its own token host.
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{_API.sub('oauth.', parts.netloc, count=1)}" if _API.match(parts.netloc) else url


def file_hosts(url: str) -> tuple[str, ...]:
    """The hosts whose files are fetched: the storage, and the API's own domain (installations of one's own)."""
    host = urlsplit(url).hostname or ""
    return (STORAGE, _API.sub("", host, count=1))


class ElsewhereOAuth(OAuth):
    """Client credentials against a host of their own; the grant goes there and nowhere else."""

    def __init__(self, client: Client, form: Mapping[str, str], *, who: str, path: str, clock: Clock) -> None:
        super().__init__(lambda: form, who=who, path=path, clock=clock)
        self._client = client

    def headers(self, ask: Ask) -> Mapping[str, str]:
        """The bearer token; `ask` belongs to the API's host and is not used."""
        del ask
        return super().headers(lambda request, _login: self._client.call(request))


def polls() -> Iterator[float]:
    """Seconds before each question after a job: at once, then ever longer; a result is kept for five minutes only."""
    wait = 0.0
    while True:
        yield wait
        wait = min(_LONGEST_POLL, wait * 1.6 + 0.25)


def checked_token(data: object) -> str:
    """The token of an answer, or empty for what cannot be one: it goes into a path."""
    token = data.get("token") if isinstance(data, dict) else None
    return token if isinstance(token, str) and _TOKEN.fullmatch(token) else ""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the service tells it."""

    state: str
    """queued, processing, done, error, failed; other words have been seen."""
    line: int | None = None
    """How far it is; may be missing."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """created, updated, deleted, unchanged, failures, errors."""
    message: str = ""
    link: str = ""
    """The address of its log, or of its file."""
    quota: str = ""
    """The type whose quota is used up."""

    @property
    def is_over(self) -> bool:
        return self.state in ("done", "error", "failed")


def job(reader: Reader, path: str, token: str) -> Job | None:
    """How a job is; None when it is no longer known, which it is for five minutes after its end (documented).

    RemoteError for an answer that says nothing, ValueError for what is no token.
    """
    if not _TOKEN.fullmatch(token):
        raise ValueError("not a token of a job")
    answer = reader.get(f"{path}/{token}", allow_missing=True)
    if answer is None:
        return None
    data = answer.body if isinstance(answer.body, dict) else {}
    state = data.get("state")
    if not isinstance(state, str):
        problem = Problem("unexpected-answer", "the answer about a job has no state", f"GET {path}/… → {answer.status}")
        raise RemoteError(problem, effect=NOTHING_WRITTEN)
    results = data.get("results")
    told = results.items() if isinstance(results, dict) else ()
    counts = {str(name): number for name, value in told if (number := _whole(value)) is not None}
    link = data.get("logfile") or data.get("url") or ""
    message, quota = data.get("message") or "", data.get("rate_limit_exceeded") or ""
    return Job(state, _whole(data.get("line")), counts, str(message), str(link), str(quota))


def _whole(value: Any) -> int | None:
    text = str(value).strip()
    return int(text) if not isinstance(value, bool) and text.isascii() and text.isdigit() and len(text) < 12 else None


def upload(writer: Writer, kind: str, content: bytes) -> Sent:
    """Queue a file; the answer is 200 with a token (documented: `type`, then `file`, as multipart form)."""
    body, content_type = encode_multipart_formdata([("type", kind), ("file", (f"{kind}.csv", content, "text/csv"))])
    return writer.send(IMPORT, body=body, kind=Kind.BARE, content_type=content_type)


class QuotaError(Exception):
    """A full export of a big type is given once a day, and was taken."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export brought."""

    is_empty: bool
    """Nothing is new or changed."""
    date: str
    """When the server took the request, by its own clock: the `Date` of its answer."""


def export(reader: Reader, kind: str, since: str, stream: IO[bytes]) -> Exported:
    """Write an export into a file; with `since` only what is new or changed.

    Raises QuotaError when the quota of full exports is used up, RemoteError when it cannot be had.
    """
    asked = {"type": kind, "export_format": "csv", "line_separator": "lf"}
    answer = reader.ask(EXPORT, body={**asked, "from": since} if since else asked, expect="json or nothing")
    date = answer.headers.get("date", "")
    if answer.status == 204:
        return Exported(True, date)
    token = checked_token(answer.body)
    if not token:
        raise _no_export(kind, "no token in the answer", answer)
    waited = 0.0
    for wait in polls():
        reader.clock.sleep(wait)
        waited += wait
        now = job(reader, EXPORT, token)
        if now is None:
            raise _no_export(kind, "4me no longer knows the job", answer)
        if now.state == "done":
            reader.save(now.link, stream)
            return Exported(False, date)
        if now.is_over:
            if now.quota:
                raise QuotaError(now.quota)
            raise _no_export(kind, now.message or f"the job ended in state {now.state}", answer)
        if waited > 3600:
            raise _no_export(kind, f"it is {now.state} for an hour", answer)
    raise AssertionError


def _no_export(kind: str, why: str, answer: Answer) -> RemoteError:
    message = f"{kind} cannot be exported: {cut(escape(why), FOUND)}"
    return RemoteError(Problem("no-export", message, f"POST {EXPORT} → {answer.status}"), effect=NOTHING_WRITTEN)


def is_refused(sent: Sent) -> bool:
    """Whether the file was surely not taken."""
    return sent.outcome in (Ending.REFUSED, Ending.NOT_SENT, Ending.THROTTLED)
