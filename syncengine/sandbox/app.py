"""The ASGI application: who may come in, which API answers, and what a fault rule makes of the answer."""

from __future__ import annotations

import logging
from functools import partial
from typing import NamedTuple
from uuid import uuid4

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from syncengine.sandbox import routes
from syncengine.sandbox.accounts import Accounts, User
from syncengine.sandbox.control import Control
from syncengine.sandbox.faults import Answer, Exchange, Faults
from syncengine.sandbox.faults.exchange import TransportOf
from syncengine.sandbox.ledger import Caller, caller
from syncengine.sandbox.servicenow.errors import ApiError, json_response, no_resource, unauthenticated
from syncengine.sandbox.servicenow.limits import Limits
from syncengine.sandbox.servicenow.oauth import OAuth
from syncengine.sandbox.servicenow.requests import Call
from syncengine.sandbox.world import World

log = logging.getLogger("syncengine.sandbox")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


OAUTH = "/oauth_token.do"


class Inbound(NamedTuple):
    """One request, read completely."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    scheme: str


class App:
    """One sandbox behind HTTP."""

    def __init__(self, world: World, token: str, transport_of: TransportOf | None = None) -> None:
        self.world = world
        self.accounts = Accounts(world.store)
        self.faults = Faults(world.clock)
        self.oauth = OAuth(self.accounts, world.clock)
        self.limits = Limits(world)
        self.control = Control(world, self.accounts, self.faults, token)
        self._transport_of = transport_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = (
            headers.get("host", "").rsplit(":", 1)[0] if not headers.get("host", "").endswith("]") else headers["host"]
        )
        if host not in LOOPBACK:
            # a page in a browser must not reach the sandbox under a name of its own
            await _send(send, json_response({"error": {"message": "Host not allowed", "detail": host}}, 421))
            return
        body = await self._read(receive)
        if body is None:
            return
        path = scope["path"]
        if path.startswith("/__sandbox/"):
            await _send(send, self.control.handle(scope["method"], path, scope["query_string"].decode(), headers, body))
            return
        method = scope["method"]
        override = headers.get("x-http-method-override", "").upper()
        if method == "POST" and override:
            method = override  # documented
        found = routes.find(method, path)
        api = "oauth" if path == OAUTH else found.route.api if found else "other"
        inbound = Inbound(method, path, scope["query_string"].decode(), headers, body, scope["scheme"])

        def answer() -> Answer:
            response = self.respond(inbound)
            return Answer(response.status_code, list(response.raw_headers), bytes(response.body))

        await self.faults.serve(Exchange(api, path, body, scope, receive, send, answer, self._transport_of, headers))

    async def _read(self, receive: Receive) -> bytes | None:
        chunks = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunks.append(message.get("body", b""))
            if not message.get("more_body"):
                return b"".join(chunks)

    def respond(self, inbound: Inbound, batched: bool = False) -> Response:
        """Answer one request; requests of a batch come through here too."""
        request_id = uuid4().hex
        try:
            response = self._work(inbound, request_id, batched)
        except ApiError as fault:
            response = fault.response()
        except Exception as fault:
            log.exception("%s %s failed", inbound.method, inbound.path)
            response = ApiError(500, "Internal server error", f"{type(fault).__name__}: {fault}").response()
        response.headers["X-Request-Id"] = request_id
        if "x-sandbox-hint" in response.headers:
            log.warning("%s", response.headers["x-sandbox-hint"])
        return response

    def _work(self, inbound: Inbound, request_id: str, batched: bool) -> Response:
        self._check_size(inbound)
        if inbound.path == OAUTH and inbound.method == "POST":
            return self.oauth.token(inbound.body)
        user = self._login(inbound)
        self.limits.check(inbound.path, user.name)
        found = routes.find(inbound.method, inbound.path)
        if found is None:
            allowed = routes.methods(inbound.path)
            if allowed:
                raise ApiError(405, "Method not supported", None, {"Allow": ", ".join(allowed)})
            raise no_resource()
        call = Call(
            self.world,
            inbound.method,
            inbound.path,
            inbound.query,
            inbound.headers,
            inbound.body,
            f"{inbound.scheme}://{inbound.headers.get('host', '')}",
            user.name,
            user.roles,
            found.version,
            None if batched else partial(self._inside, inbound.scheme),
        )
        call.read_parameters()
        mark = caller.set(Caller(found.route.api, request_id, user.name))
        try:
            return found.route.handler(call, **found.arguments)
        finally:
            caller.reset(mark)
            self.world.refresh()

    def _inside(
        self, scheme: str, method: str, path: str, query: str, headers: dict[str, str], body: bytes
    ) -> Response:
        return self.respond(Inbound(method, path, query, headers, body, scheme), batched=True)

    def _check_size(self, inbound: Inbound) -> None:
        settings = self.world.settings
        if len(inbound.path) + len(inbound.query) > settings.number("table.max_url"):
            raise ApiError(414, "URI Too Long")
        size, limit = len(inbound.body), settings.number("limits.body_bytes")
        if size > limit:
            raise ApiError(
                400,
                "Exception while reading request",
                f"Rejected large REST payload with content-length = {size} bytes. Max allowed: {limit} bytes.",
            )

    def _login(self, inbound: Inbound) -> User:
        header = inbound.headers.get("authorization", "")
        user = (
            self.accounts.basic(header)
            or self.oauth.bearer(header)
            or self.accounts.api_key(inbound.headers.get("x-sn-apikey", ""))
        )
        if user is None:
            raise unauthenticated()
        return user


async def _send(send: Send, response: Response) -> None:
    answer = Answer(response.status_code, list(response.raw_headers), bytes(response.body))
    await answer.send(send)
