"""The ASGI application: who may come in, which API answers, and what a fault rule makes of the answer."""

from __future__ import annotations

import logging
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
from syncengine.sandbox.servicenow.requests import Call
from syncengine.sandbox.world import World

log = logging.getLogger("syncengine.sandbox")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


class App:
    """One sandbox behind HTTP."""

    def __init__(self, world: World, token: str, transport_of: TransportOf | None = None) -> None:
        self.world = world
        self.accounts = Accounts(world.store)
        self.faults = Faults(world.clock)
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
        api = found.route.api if found else "other"

        def answer() -> Answer:
            response = self._answer(scope, headers, body, method, found)
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

    def _answer(
        self, scope: Scope, headers: dict[str, str], body: bytes, method: str, found: routes.Found | None
    ) -> Response:
        request_id = uuid4().hex
        try:
            response = self._work(scope, headers, body, method, found, request_id)
        except ApiError as fault:
            response = fault.response()
        except Exception as fault:
            log.exception("%s %s failed", method, scope["path"])
            response = ApiError(500, "Internal server error", f"{type(fault).__name__}: {fault}").response()
        response.headers["X-Request-Id"] = request_id
        if "x-sandbox-hint" in response.headers:
            log.warning("%s", response.headers["x-sandbox-hint"])
        return response

    def _work(
        self,
        scope: Scope,
        headers: dict[str, str],
        body: bytes,
        method: str,
        found: routes.Found | None,
        request_id: str,
    ) -> Response:
        world = self.world
        if len(scope["path"]) + len(scope["query_string"]) > world.settings.number("table.max_url"):
            raise ApiError(414, "URI Too Long")
        limit = world.settings.number("limits.body_bytes")
        if len(body) > limit:
            raise ApiError(
                400,
                "Exception while reading request",
                f"Rejected large REST payload with content-length = {len(body)} bytes. Max allowed: {limit} bytes.",
            )
        user = self._login(headers)
        if found is None:
            allowed = routes.methods(scope["path"])
            if allowed:
                raise ApiError(405, "Method not supported", None, {"Allow": ", ".join(allowed)})
            raise no_resource()
        base = f"{scope['scheme']}://{headers['host']}"
        call = Call(
            world,
            method,
            scope["path"],
            scope["query_string"].decode(),
            headers,
            body,
            base,
            user.name,
            user.roles,
            found.version,
        )
        call.read_parameters()
        mark = caller.set(Caller(found.route.api, request_id, user.name))
        try:
            return found.route.handler(call, **found.arguments)
        finally:
            caller.reset(mark)
            world.refresh()

    def _login(self, headers: dict[str, str]) -> User:
        user = self.accounts.basic(headers.get("authorization", ""))
        if user is None:
            raise unauthenticated()
        return user


async def _send(send: Send, response: Response) -> None:
    answer = Answer(response.status_code, list(response.raw_headers), bytes(response.body))
    await answer.send(send)
