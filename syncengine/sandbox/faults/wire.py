"""Answers that do not arrive as they were given: refused, broken, endless, no HTTP."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime

import orjson

from syncengine.sandbox.faults.content import cut_off
from syncengine.sandbox.faults.exchange import Answer, Exchange, Headers, answer_of, made
from syncengine.sandbox.faults.rules import Rule, calls_a_window
from syncengine.sandbox.servicenow.errors import ApiError, unauthenticated

PAGE = b"<!DOCTYPE html><html><head><title>%s</title></head><body><h1>%s</h1></body></html>"
Broken = Callable[[Exchange, Rule, Answer], Awaitable[None]]


def page(title: str) -> bytes:
    """A web page where data were due."""
    return PAGE % (title.encode(), title.encode())


def refusal(rule: Rule, now: float, api: str) -> Answer:
    """`status(code, body=…)` with `retry_after=…`, in the form of the service that was called."""
    code = int(rule.argument(0, "500"))
    kind = next((a.partition("=")[2] for a in rule.arguments if a.startswith("body=")), "json")
    headers: Headers = []
    wait = rule.options.get("retry_after")
    if wait and wait != "none":
        headers.append((b"retry-after", _retry_after(wait, now).encode()))
    if kind == "html":
        return made(code, page(f"Error {code}"), headers=headers)
    if kind == "empty":
        return made(code, b"", "", headers)
    text = "x" * 5_000_000 if kind == "huge" else f"status {code} by a fault rule"
    form = b'{"message":"%s"}' if _fourme(api) else b'{"error":{"message":"%s","detail":null},"status":"failure"}'
    body = form % text.encode()
    return made(code, body, "application/json;charset=UTF-8", headers)


def _fourme(api: str) -> bool:
    return api.startswith("me_")


def _retry_after(wait: str, now: float) -> str:
    match wait:
        case "date":
            return format_datetime(datetime.fromtimestamp(now + 5, UTC), usegmt=True)
        case "past":
            return format_datetime(datetime.fromtimestamp(now - 3600, UTC), usegmt=True)
        case "garbage":
            return "0x10 soon"
        case "huge":
            return str(10 * 365 * 86400)
    return wait


def instead(rule: Rule, now: float, api: str) -> Answer | None:
    """Answers that take the place of the real one; nothing is done then."""
    match rule.action:
        case "status":
            return refusal(rule, now, api)
        case "html200":
            return made(200, page("Log in | ServiceNow"))
        case "hibernate":
            return made(200, page("Instance Hibernating page"))
        case "maintenance":
            return made(503, page("Maintenance"), headers=[(b"retry-after", b"30")])
        case "drop202":
            return made(202, b"", "")
        case "unauthorized" if _fourme(api):
            return made(401, b'{"message":"Unauthorized"}', "application/json; charset=utf-8")
        case "unauthorized":
            return answer_of(unauthenticated().response())
        case "rate_limit":
            return _over_limit(rule, now, api)
        case "login302":
            return made(302, b"", "", [(b"location", b"/login_redirect.do")])
        case "redirect":
            return made(302, b"", "", [(b"location", rule.argument(0, "http://elsewhere.invalid/").encode())])
    return None


def _over_limit(rule: Rule, now: float, api: str) -> Answer:
    limit, seconds = calls_a_window(rule.argument(0))
    reset = rule.window[0] + seconds
    headers = {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Reset": str(int(reset)),
        "X-RateLimit-Rule": "f" * 32,
        "Retry-After": str(max(1, int(reset - now))),
    }
    if _fourme(api):
        plain = [(name.lower().encode(), text.encode()) for name, text in headers.items() if "Rule" not in name]
        return made(429, b'{"message":"Too Many Requests"}', "application/json; charset=utf-8", plain)
    detail = f"Rate limit of {limit} requests per {seconds:.0f} seconds for a fault rule exceeded"
    return answer_of(ApiError(429, "Rate limit exceeded", detail, headers).response())


def abort(exchange: Exchange, hard: bool) -> None:
    """End the connection: reset it, or close it without a word."""
    transport = exchange.transport
    if transport is None:
        return
    if hard:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            # a linger time of zero makes the kernel send RST instead of FIN
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _truncate(exchange: Exchange, rule: Rule, answer: Answer) -> None:
    cut = int(rule.number(0, max(0, len(answer.body) // 2)))
    await exchange.send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await exchange.send({"type": "http.response.body", "body": answer.body[:cut], "more_body": True})
    await _flushed(exchange)
    transport = exchange.transport
    if transport is not None:
        transport.close()


async def _flushed(exchange: Exchange) -> None:
    transport = exchange.transport
    for _ in range(200):
        if transport is None or transport.get_write_buffer_size() == 0:
            return
        await asyncio.sleep(0.005)


def _head(answer: Answer, headers: Headers) -> bytes:
    lines = [b"HTTP/1.1 %d Answer" % answer.status, *(key + b": " + value for key, value in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


async def _raw(exchange: Exchange, data: bytes) -> None:
    transport = exchange.transport
    if transport is not None:
        transport.write(data)
        await _flushed(exchange)
        transport.close()


async def _short_length(exchange: Exchange, _rule: Rule, answer: Answer) -> None:
    half = str(len(answer.body) // 2).encode()
    headers = [*answer.without(b"content-length"), (b"content-length", half)]
    await _raw(exchange, _head(answer, headers) + answer.body)


async def _bad_chunk(exchange: Exchange, _rule: Rule, answer: Answer) -> None:
    headers = [*answer.without(b"content-length"), (b"transfer-encoding", b"chunked")]
    half = answer.body[: len(answer.body) // 2]
    await _raw(exchange, _head(answer, headers) + b"%x\r\n" % len(half) + half + b"\r\nnot-a-size\r\n")


async def _garbage(exchange: Exchange, _rule: Rule, _answer: Answer) -> None:
    await _raw(exchange, b"\x00\x16SMTP ready 220\r\n\r\nwhat?\r\n")


async def _flood(exchange: Exchange, rule: Rule, answer: Answer) -> None:
    extra = [(b"x-flood-%d" % n, b"y" * 600) for n in range(int(rule.number(0, 300)))]
    await Answer(answer.status, [*answer.headers, *extra], answer.body).send(exchange.send)


async def _drip(exchange: Exchange, rule: Rule, answer: Answer) -> None:
    rate = float(rule.argument(0, "20").removesuffix("B/s"))
    await exchange.send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    step = max(1, int(rate / 50))  # a sleep is no shorter than a millisecond
    for start in range(0, len(answer.body), step):
        body = answer.body[start : start + step]
        await exchange.send({"type": "http.response.body", "body": body, "more_body": True})
        await asyncio.sleep(step / rate)
    await exchange.send({"type": "http.response.body", "body": b""})


async def _coded(exchange: Exchange, answer: Answer, body: bytes, coding: bytes = b"") -> None:
    headers = [*answer.without(b"content-length"), (b"content-length", str(len(body)).encode())]
    if coding:
        headers.append((b"content-encoding", coding))
    await Answer(answer.status, headers, body).send(exchange.send)


async def _gzip_bad(exchange: Exchange, _rule: Rule, answer: Answer) -> None:
    await _coded(exchange, answer, b"\x1f\x8b\x08\x00not gzip at all", b"gzip")


async def _gzip_bomb(exchange: Exchange, _rule: Rule, answer: Answer) -> None:
    part = gzip.compress(b"0" * (1 << 26), 9)
    # members after each other are one stream: sixteen of 64 MiB
    await _coded(exchange, answer, part * 16, b"gzip")


async def _deep(exchange: Exchange, _rule: Rule, answer: Answer) -> None:
    await _coded(exchange, answer, b'{"result":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


async def _big_int(exchange: Exchange, _rule: Rule, answer: Answer) -> None:
    await _coded(exchange, answer, b'{"result":[{"n":' + b"7" * 5_000 + b"}]}")


async def _nan(exchange: Exchange, _rule: Rule, answer: Answer) -> None:
    await _coded(exchange, answer, b'{"result":[{"n":NaN}]}')


async def _type(exchange: Exchange, rule: Rule, answer: Answer) -> None:
    headers = [*answer.without(b"content-type"), (b"content-type", rule.argument(0, "text/plain").encode())]
    await Answer(answer.status, headers, answer.body).send(exchange.send)


async def _charset(exchange: Exchange, rule: Rule, answer: Answer) -> None:
    name = rule.argument(0, "latin-1")
    body = answer.body.decode("utf-8", "replace").encode(name, "replace")
    said = "utf-8" if rule.argument(1) == "silent" else name
    headers: Headers = [
        *answer.without(b"content-type", b"content-length"),
        (b"content-length", str(len(body)).encode()),
        (b"content-type", f"application/json;charset={said}".encode()),
    ]
    await Answer(answer.status, headers, body).send(exchange.send)


async def _link(exchange: Exchange, rule: Rule, answer: Answer) -> None:
    link = f'<{rule.argument(0, "http://elsewhere.invalid/")}>;rel="next"'
    await Answer(answer.status, [*answer.without(b"link"), (b"link", link.encode())], answer.body).send(exchange.send)


async def _cut(exchange: Exchange, rule: Rule, answer: Answer) -> None:
    try:
        document = orjson.loads(answer.body)
    except ValueError:
        document = None
    await _coded(exchange, answer, cut_off(document, int(rule.number(0, 1))))


BROKEN: dict[str, Broken] = {
    "truncate": _truncate,
    "short_length": _short_length,
    "bad_chunk": _bad_chunk,
    "garbage_head": _garbage,
    "header_flood": _flood,
    "drip": _drip,
    "gzip_bad": _gzip_bad,
    "gzip_bomb": _gzip_bomb,
    "deep_json": _deep,
    "big_int": _big_int,
    "nan": _nan,
    "type": _type,
    "charset": _charset,
    "link": _link,
    "cut": _cut,
}
