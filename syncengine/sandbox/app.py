"""The ASGI application: who may come in, which API answers, and what a fault rule makes of the answer."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from email.utils import formatdate
from functools import partial
from typing import NamedTuple
from uuid import uuid4

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from syncengine.sandbox import routes
from syncengine.sandbox.accounts import Accounts
from syncengine.sandbox.body import Body, Spool, beginning
from syncengine.sandbox.control import Control
from syncengine.sandbox.faults import Answer, Exchange, Faults
from syncengine.sandbox.faults.exchange import TransportOf, answer_of
from syncengine.sandbox.faults.wire import page
from syncengine.sandbox.fourme import hosts
from syncengine.sandbox.fourme.service import Asked, Fourme
from syncengine.sandbox.jobs import Jobs
from syncengine.sandbox.ledger import Caller, caller
from syncengine.sandbox.login import below_api, check_accept, check_api, log_in
from syncengine.sandbox.servicenow.errors import ApiError, json_response, no_resource, unauthenticated
from syncengine.sandbox.servicenow.limits import Limits
from syncengine.sandbox.servicenow.oauth import OAuth
from syncengine.sandbox.servicenow.requests import Call
from syncengine.sandbox.servicenow.xml import as_xml, wants_xml
from syncengine.sandbox.staging.results import ERRORS
from syncengine.sandbox.staging.sets import RUNS, SETS, ImportSets
from syncengine.sandbox.store import STAGING
from syncengine.sandbox.traffic import Traffic
from syncengine.sandbox.world import World

log = logging.getLogger("syncengine.sandbox")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


OAUTH = "/oauth_token.do"
IMPORT_TABLES = frozenset({SETS, RUNS, ERRORS})


class TooLong(Exception):
    """The URL is longer than the gateway takes."""


class Inbound(NamedTuple):
    """One request, read completely."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Body
    scheme: str
    certificate: bytes = b""
    """The client's, as DER; nothing without one."""


class App:
    """One sandbox behind HTTP."""

    def __init__(self, world: World, token: str, transport_of: TransportOf | None = None) -> None:
        self.world = world
        self.accounts = Accounts(world.store)
        self.oauth = OAuth(world, self.accounts)
        self.fourme = Fourme(world)
        self.faults = Faults(world.clock, self._expire)
        self.limits = Limits(world)
        self.traffic = Traffic(world)
        self.imports = ImportSets(world)
        self.jobs = Jobs(self.imports, world.clock)
        self.fourme_jobs = Jobs(self.fourme.jobs, world.clock)
        self.control = Control(world, self.accounts, self.faults, self.imports, self.fourme, token)
        self._transport_of = transport_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http":
            await self._serve(scope, receive, self._dated(send))

    def _dated(self, send: Send) -> Send:
        """Answers tell the time of the sandbox's own clock, as those of an instance do."""

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = formatdate(self.world.clock.time(), usegmt=True).encode()
                message = {**message, "headers": [*message.get("headers", ()), (b"date", date)]}
            await send(message)

        return told

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = (
            headers.get("host", "").rsplit(":", 1)[0] if not headers.get("host", "").endswith("]") else headers["host"]
        )
        if host not in LOOPBACK and not hosts.part(host):
            # a page in a browser must not reach the sandbox under a name of its own
            await _send(send, json_response({"error": {"message": "Host not allowed", "detail": host}}, 421))
            return
        path, method = scope["path"], scope["method"]
        mine = Fourme.api(method, path, host)
        if mine:
            await self._serve_fourme(mine, scope, receive, send, headers)
            return
        override = headers.get("x-http-method-override", "").upper()
        if method == "POST" and override:
            method = override  # documented
        found = routes.find(method, path)
        api = "oauth" if path == OAUTH else self._api(found) if found else "other"
        body = await self._read(receive, api == "attach_upload")
        if body is None:
            return
        if path.startswith("/__sandbox/"):
            query = scope["query_string"].decode()
            await _send(send, self.control.handle(scope["method"], path, query, headers, bytes(beginning(body))))
            self.jobs.look()
            self.fourme_jobs.look()
            return
        inbound = Inbound(
            method, path, scope["query_string"].decode(), headers, body, scope["scheme"], self._certificate(scope)
        )
        cookies = self.traffic.new_session(headers)

        def answer(given: Body) -> Answer:
            found = answer_of(self.respond(inbound._replace(body=given)))
            self.jobs.look()
            return found._replace(headers=[*found.headers, *cookies])

        await self.faults.serve(
            Exchange(
                api,
                path,
                body,
                beginning(body) + (scope["query_string"] if isinstance(body, Spool) else b""),
                scope,
                receive,
                send,
                answer,
                self._transport_of,
                partial(self.traffic.transaction, api, headers),
                self.traffic.quota(api),
                partial(self.traffic.cancelled, api),
            )
        )

    async def _serve_fourme(
        self, api: str, scope: Scope, receive: Receive, send: Send, headers: dict[str, str]
    ) -> None:
        """A request for 4me: no sessions, no places, no transaction quota."""
        path, query = scope["path"], scope["query_string"]
        body = await self._read(receive, api == "me_upload")
        if body is None:
            return
        base = f"{scope['scheme']}://{headers.get('host', '')}"

        def answer(given: Body) -> Answer:
            asked = Asked(scope["method"], path, query.decode(), headers, given, base)
            found = answer_of(self.fourme.respond(asked, api, revoked=self.faults.revoked))
            self.fourme_jobs.look()
            return found

        await self.faults.serve(
            Exchange(
                api,
                path,
                body,
                beginning(body) + query,
                scope,
                receive,
                send,
                answer,
                self._transport_of,
                partial(nullcontext, None),
                float("inf"),
                lambda work: work(),
            )
        )

    def _expire(self) -> None:
        self.oauth.expire()
        self.fourme.logins.expire()

    def _certificate(self, scope: Scope) -> bytes:
        transport = self._transport_of(scope) if self._transport_of and scope["scheme"] == "https" else None
        layer = transport.get_extra_info("ssl_object") if transport is not None else None
        return (layer.getpeercert(binary_form=True) or b"") if layer is not None else b""

    async def _read(self, receive: Receive, upload: bool) -> Body | None:
        chunks: list[bytes] = []
        spool = Spool() if upload else None
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            (chunks.append if spool is None else spool.write)(message.get("body", b""))
            if not message.get("more_body"):
                return b"".join(chunks) if spool is None else spool

    def _api(self, found: routes.Found) -> str:
        """What fault rules call it: reads of import sets and their rows are no other than those of any table."""
        name = found.arguments.get("name", "")
        if found.route.api == "table_read" and (name in IMPORT_TABLES or self.world.tables.isa(name, STAGING)):
            return "staging_read"
        return found.route.api

    def respond(self, inbound: Inbound, batched: bool = False) -> Response:
        """Answer one request; requests of a batch come through here too."""
        request_id = uuid4().hex
        try:
            response = self._work(inbound, request_id, batched)
        except TooLong:
            response = _too_long(str(self.world.settings["table.long_url"]))
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
            if self.faults.revoked:
                raise unauthenticated()
            return self.oauth.token(beginning(inbound.body), inbound.headers)
        if self.faults.revoked:
            raise unauthenticated()
        user = log_in(self.world, self.accounts, self.oauth, inbound.headers, inbound.query, inbound.certificate)
        told = self.limits.check(below_api(inbound.path), user.name, user.roles)
        found = routes.find(inbound.method, inbound.path)
        if found is None:
            allowed = routes.methods(inbound.path)
            if allowed:
                raise ApiError(405, "Method not supported", None, {"Allow": ", ".join(allowed)})
            raise no_resource()
        call = Call(
            self.world,
            self.imports,
            inbound.method,
            inbound.path,
            inbound.query,
            inbound.headers,
            inbound.body,
            f"{inbound.scheme}://{inbound.headers.get('host', '')}",
            user.name,
            user.roles,
            found.version,
            None if batched else partial(self._inside, inbound),
        )
        accept = inbound.headers.get("accept", "")
        check_accept(accept, found.route.xml)
        check_api(self.world, user, inbound.method, inbound.path)
        call.read_parameters()
        mark = caller.set(Caller(found.route.api, request_id, user.name))
        try:
            response = found.route.handler(call, **found.arguments)
            if found.route.xml and wants_xml(accept):
                response = as_xml(response, str(self.world.settings["answer.xml_root"]))
            response.headers.update(told)
            return response
        finally:
            caller.reset(mark)
            self.world.refresh()

    def _inside(
        self, outer: Inbound, method: str, path: str, query: str, headers: dict[str, str], body: bytes
    ) -> Response:
        inner = Inbound(method, path, query, headers, body, outer.scheme, outer.certificate)
        return self.respond(inner, batched=True)

    def _check_size(self, inbound: Inbound) -> None:
        settings = self.world.settings
        if len(inbound.path) + len(inbound.query) > settings.number("table.max_url"):
            raise TooLong
        if isinstance(inbound.body, Spool):
            return  # the limit is that of attachments
        size, limit = len(inbound.body), settings.number("limits.body_bytes")
        if size > limit:
            raise ApiError(
                400,
                "Exception while reading request",
                f"Rejected large REST payload with content-length = {size} bytes. Max allowed: {limit} bytes.",
            )


def _too_long(way: str) -> Response:
    if way == "414":
        return ApiError(414, "URI Too Long").response()
    return Response(page("URI Too Long"), 414 if way == "414_html" else 200, media_type="text/html")


async def _send(send: Send, response: Response) -> None:
    await answer_of(response).send(send)
