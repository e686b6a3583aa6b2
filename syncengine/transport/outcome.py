"""The one place that decides how a request ended.

Before the first byte left it was not sent, whatever the exception was called. After that, only what the server said
in a complete and well-formed answer is believed; all the rest is UNKNOWN.
"""

from __future__ import annotations

import html
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import orjson

from syncengine.transport.answer import Decode, Ending, Manners, Request
from syncengine.transport.redaction import cut
from syncengine.transport.wire import PlainHttpError

_REFUSALS = frozenset({400, 401, 403, 404, 405, 406, 409, 410, 413, 414, 415, 422})
_MESSAGE_WIDTH = 400
_TITLE = re.compile(r"<title[^>]*>(.{0,500}?)</title", re.IGNORECASE | re.DOTALL)
_LOGIN = re.compile(r"log[-_ ]?in|sign[-_ ]?in|sso|saml|auth", re.IGNORECASE)


class Verdict(msgspec.Struct, frozen=True):
    """An ending, and what to say about it; texts are not yet masked."""

    ending: Ending
    code: str = ""
    message: str = ""
    """One sentence; the host is put in front of it."""
    found: str = ""
    fix: str = ""
    is_final: bool = False
    is_late: bool = False
    data: Any = None


class Raw(NamedTuple):
    """An answer as it came: decoded from its transfer, not yet understood. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class TooLargeError(Exception):
    """The decoded answer passed the limit."""


class EncodingError(Exception):
    """The answer's content encoding is damaged or not one that was asked for."""


def of_failure(error: BaseException, *, is_sent: bool, is_late: bool, is_proxied: bool = False) -> Verdict:
    """How a request ended that raised."""
    if is_sent:
        return _after_sending(error, is_late=is_late)
    return _before_sending(error, is_late=is_late, is_proxied=is_proxied)


def _after_sending(error: BaseException, *, is_late: bool) -> Verdict:
    chain = tuple(_chain(error))
    names = {type(one).__name__ for one in chain}
    if is_late or any(isinstance(one, TimeoutError) for one in chain) or "ReadTimeoutError" in names:
        code, message, is_late = "no-answer-in-time", "no complete answer within the deadline", True
    elif any(isinstance(one, TooLargeError) for one in chain):
        code, message = "answer-too-large", str(error)
    elif any(isinstance(one, EncodingError) for one in chain):
        code, message = "answer-damaged", str(error)
    elif names & {"IncompleteRead", "InvalidChunkLength", "BadStatusLine", "LineTooLong", "InvalidHeader"}:
        code, message = "answer-damaged", "the answer is damaged or cut off"
    else:
        code, message = "connection-lost", "the connection ended before the answer was complete"
    return Verdict(Ending.UNKNOWN, code, message, found=_words(chain), is_late=is_late)


def _before_sending(error: BaseException, *, is_late: bool, is_proxied: bool) -> Verdict:
    chain = tuple(_chain(error))
    names = {type(one).__name__ for one in chain}
    found = _words(chain)
    if any(isinstance(one, PlainHttpError) for one in chain):
        return Verdict(
            Ending.NOT_SENT,
            "plain-http",
            "plain http to this host would expose the password",
            fix="write https:// in the connection's url",
            is_final=True,
        )
    is_nameless = any(isinstance(one, socket.gaierror) for one in chain) or "NameResolutionError" in names
    timeout = Verdict(
        Ending.NOT_SENT,
        "connect-timeout",
        "no connection in time",
        found,
        "check the connection's url, the firewall, and the proxy",
        is_late=is_late,
    )
    if is_late and not is_nameless:
        return timeout  # whatever else it says, it was cut: a handshake then looks like one that was refused
    if is_proxied and names & {"ProxyError", "ProxySchemeUnknown", "InvalidProxyURL"}:
        return Verdict(
            Ending.NOT_SENT,
            "proxy-refused",
            "the proxy refused, not the server",
            found,
            "check HTTPS_PROXY, the proxy's login, and NO_PROXY",
        )
    tls = next((one for one in chain if isinstance(one, ssl.SSLError)), None)
    if tls is not None:
        return Verdict(
            Ending.NOT_SENT,
            "tls-refused",
            "no trusted encrypted connection",
            found=getattr(tls, "verify_message", "") or getattr(tls, "reason", "") or str(tls),
            fix="check the host name and the server's certificate; for an own certificate authority set `ca_bundle:` "
            "in the connection",
            is_final=True,
        )
    if is_nameless:
        message, fix = "the host name is not known", "check the connection's url, and HTTPS_PROXY if there is a proxy"
        return Verdict(Ending.NOT_SENT, "name-not-resolved", message, found, fix)
    if any(isinstance(one, TimeoutError) for one in chain) or "ConnectTimeoutError" in names:
        return timeout
    if any(isinstance(one, OSError) for one in chain):
        message, fix = "no connection", "check the connection's url, and that the server is running"
        return Verdict(Ending.NOT_SENT, "not-reachable", message, found, fix)
    return Verdict(Ending.NOT_SENT, "request-unusable", "the request could not be built", found, is_final=True)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and all that it wraps; the libraries use arguments, attributes and causes in turn."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting and len(seen) < 20:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
        waiting.extend(each for each in inner if isinstance(each, BaseException))


def _words(chain: tuple[BaseException, ...]) -> str:
    """What the operating system or the protocol said, without the libraries' wrapping."""
    for one in chain:
        if isinstance(one, OSError) and one.strerror:
            return one.strerror
    return next((str(one) for one in reversed(chain) if str(one) and "object at 0x" not in str(one)), "")


def of_answer(request: Request, raw: Raw, manners: Manners) -> Verdict:
    """How a request ended that was answered to the last byte."""
    status = raw.status
    if 200 <= status < 300:
        return _success(request, raw, manners)
    if 300 <= status < 400:
        return _redirect(raw)
    if status < 200:
        return Verdict(Ending.UNKNOWN, "unexpected-status", f"unexpected status {status}")
    try:
        data: Any = parse(raw)
    except ValueError:
        data = None
    error = manners.error_in(data)
    is_well_formed = error is not None or (isinstance(data, dict) and "result" in data)
    words = _join(error.message, error.detail) if error else _shown_body(raw)
    code, message, fix = _refusal(status)
    better, advice = manners.refusal(status, request.path)
    message, fix = better or message, advice or fix
    if status in (401, 403) and "securely scoped" in words:
        fix = f"the OAuth client needs an auth scope for this API and {request.method}, whatever its user may do"
    if status == 429 or (status == 503 and "retry-after" in raw.headers and is_well_formed):
        return Verdict(Ending.THROTTLED, code, message, words, fix, data=data)
    if status in _REFUSALS and is_well_formed:
        return Verdict(Ending.REFUSED, code, message, words, fix, is_final=True, data=data)
    if manners.is_cancelled(words):
        return _cancelled(words, data)
    # A refusal in a strange form proves nothing about a write, but asking again gives the same.
    is_final = 400 <= status < 500 and status != 408
    return Verdict(Ending.UNKNOWN, code, message, words, fix, is_final=is_final, data=data)


def _success(request: Request, raw: Raw, manners: Manners) -> Verdict:
    if manners.is_dropped(raw.status, raw.body):
        return Verdict(Ending.THROTTLED, "dropped", "the server dropped the request: too many at once")
    if raw.status == 206:
        return Verdict(Ending.UNKNOWN, "unexpected-status", "only a part of the answer came (206)")
    if request.expect == "bytes":
        return Verdict(Ending.DONE)
    if not raw.body:
        if request.expect != "json":
            return Verdict(Ending.DONE)
        return Verdict(Ending.UNKNOWN, "empty-answer", f"the answer is empty (status {raw.status})")
    if _is_html(raw):
        title = title_of(raw.body)
        advice, is_final = manners.page_advice(title)
        message = f'answered with a web page, not data (title: "{cut(title, 60)}")'
        return Verdict(Ending.UNKNOWN, "web-page", message, fix=advice, is_final=is_final)
    try:
        data = parse(raw, request.decode)
    except ValueError as damage:
        words = raw.body[-_MESSAGE_WIDTH:].decode("utf-8", "backslashreplace")
        if manners.is_cancelled(words):
            return _cancelled(words)
        return Verdict(Ending.UNKNOWN, "not-json", f"the answer is not usable JSON: {damage}", _shown_body(raw))
    if request.decode is not None and not isinstance(data, (dict, list)):
        return Verdict(Ending.DONE, data=data)
    if not isinstance(data, (dict, list)):
        return Verdict(Ending.UNKNOWN, "not-json", "the answer is neither an object nor a list", _shown_body(raw))
    error = manners.error_in(data)
    if error is not None:
        words = _join(error.message, error.detail)
        if manners.is_cancelled(words):
            return _cancelled(words, data)
        return Verdict(Ending.UNKNOWN, "error-inside", "the answer holds an error beside its result", words, data=data)
    return Verdict(Ending.DONE, data=data)


def _cancelled(words: str, data: Any = None) -> Verdict:
    """The server stopped half way: a write may be half done, a read has to ask for less."""
    message = "the server cancelled the request because it took too long"
    return Verdict(Ending.UNKNOWN, "took-too-long", message, words, "ask for less at once", is_final=True, data=data)


def _redirect(raw: Raw) -> Verdict:
    target = raw.headers.get("location", "")
    try:
        host = urlsplit(target).hostname or "the same host"
    except ValueError:
        host = "an unreadable address"
    fix = f"redirects are not followed; if {host} is the right server, set it as the connection's url"
    if _LOGIN.search(target):
        fix = "this leads to a login page: check user, password and the permission to use the API"
    return Verdict(Ending.UNKNOWN, "redirected", f"redirects to {cut(host, 80)}", target, fix, is_final=True)


def parse(raw: Raw, decode: Decode | None = None) -> Any:
    """The JSON of an answer; ValueError for another content type, bytes that are not UTF-8, NaN, absurd depth."""
    kind, _, parameters = raw.headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    if kind not in ("application/json", "text/json") and not kind.endswith("+json"):
        raise ValueError(f"content type is {kind!r}" if kind else "no content type")
    charset = re.search(r"charset\s*=\s*\"?([^\s\";]+)", parameters, re.IGNORECASE)
    if charset and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise ValueError(f"charset is {charset[1]!r}, not utf-8")
    if decode is not None:
        try:
            return decode(raw.body)
        except ValueError:  # another kind of answer, or a damaged one: the general reader tells which
            pass
    try:
        return orjson.loads(raw.body)
    except ValueError as damage:
        if "Not enough memory" in str(damage):
            raise MemoryError from damage  # the server is not to blame
        raise


def _is_html(raw: Raw) -> bool:
    return "html" in raw.headers.get("content-type", "").lower() or raw.body[:200].lstrip()[:1] == b"<"


def title_of(body: bytes) -> str:
    """The title of a web page, on one line."""
    match = _TITLE.search(body[: 64 * 1024].decode("utf-8", "replace"))
    return " ".join(html.unescape(match[1]).split()) if match else "no title"


def _shown_body(raw: Raw) -> str:
    if _is_html(raw):
        return f'a web page (title: "{title_of(raw.body)}")'
    return raw.body[:_MESSAGE_WIDTH].decode("utf-8", "backslashreplace")


def _join(message: str, detail: str) -> str:
    return f"{message}: {detail}" if detail and detail != message else message


def _refusal(status: int) -> tuple[str, str, str]:
    """Code, sentence and fix for a status that is not success."""
    known = {
        400: ("bad-request", "the server does not accept the request", ""),
        401: ("login-refused", "the login was refused", "check user and secret, and that the user may use the API"),
        403: ("not-allowed", "the user may not do this", "give the user a role for this table or API"),
        404: ("not-found", "there is no such table, record or API, or it is not visible to this user", ""),
        409: ("conflict", "the server reports a conflict", ""),
        413: ("request-too-large", "the request is too large for the server", "send less in one request"),
        414: ("request-too-large", "the address is too long for the server", "ask for less in one request"),
        407: ("proxy-refused", "the proxy demands a login", "check HTTPS_PROXY"),
        408: ("no-answer-in-time", "the server gave up waiting for the request", ""),
        429: ("too-many-requests", "the server is asked too often", "raise the limit, or run when less is going on"),
    }
    if status in known:
        return known[status]
    if status >= 500:
        return "server-error", f"the server failed (status {status})", "try again later; look at the server's log"
    return "refused", f"the server refused the request (status {status})", ""
