"""The service behind HTTP: who may call what, and which call it is."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from hashlib import md5
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import orjson
from starlette.responses import Response

from syncengine.sandbox import injected
from syncengine.sandbox.body import Body, spooled
from syncengine.sandbox.fourme import hosts
from syncengine.sandbox.fourme.errors import ApiError, invalid, json_response
from syncengine.sandbox.fourme.exporting import MONTHS, Exports, since
from syncengine.sandbox.fourme.files import Files
from syncengine.sandbox.fourme.importing import Fault
from syncengine.sandbox.fourme.jobs import Jobs
from syncengine.sandbox.fourme.limits import Limits
from syncengine.sandbox.fourme.links import Links
from syncengine.sandbox.fourme.logins import ADMINISTRATOR, FINANCIAL, HOUR, USER, Login, Logins
from syncengine.sandbox.fourme.records import Record, Records
from syncengine.sandbox.fourme.rest import Reads
from syncengine.sandbox.fourme.types import EMAIL, PEOPLE, by_export, by_path, types
from syncengine.sandbox.ledger import Caller, caller
from syncengine.sandbox.servicenow import multipart
from syncengine.sandbox.servicenow.errors import ApiError as MultipartError
from syncengine.sandbox.world import World

log = logging.getLogger("syncengine.sandbox")
ACCOUNTS = ("x-xurrent-account", "x-4me-account")
_TOKEN = re.compile(r"/v1/(import|export)/([0-9a-f]{8,64})")


class Asked(NamedTuple):
    """One request, read completely."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Body
    base: str
    """`scheme://host:port`."""

    @property
    def host(self) -> str:
        """The host without its port."""
        return urlsplit(self.base).hostname or ""

    @property
    def parameters(self) -> dict[str, str]:
        """Query parameters, the last of several."""
        return dict(parse_qsl(self.query, keep_blank_values=True))


class Fourme:
    """One service with its accounts."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.records = Records(world)
        self.logins = Logins(world)
        self.files = Files(world)
        self.exports = Exports(world, self.records, self.files)
        self.jobs = Jobs(world, self.records, self.logins, self.files, self.exports)
        self._limits = Limits(world)
        self._reads = Reads(self.records, self.logins)
        self._links = Links(world, self.jobs)
        self._ready = False

    def ready(self) -> None:
        """Give the API user its person, which every account has."""
        if self._ready:
            return
        with self.world.store.transaction():
            main = self.logins.main
            if not self.records.find(types()[PEOPLE], main, (EMAIL,), (USER[1],), exact=False):
                now = self.world.clock.time()
                values = {"Name": USER[0], EMAIL: USER[1]}
                self.records.quiet = True
                self.records.insert([Record(self.records.new_id(), main, PEOPLE, now, now, values)])
                self.records.quiet = False
        self._ready = True

    def recall(self) -> None:
        """Go by what is stored, after a change that was taken back."""
        self._ready = False
        self.logins.recall()

    def reset(self) -> None:
        """Empty it; account, token and client of run.json stay."""
        with self.world.store.transaction():
            self.records.clear()
            self.jobs.clear()
            self.files.clear()
            self.logins.clear()
            self.world.store.db.execute("DELETE FROM meta WHERE name LIKE 'me:exports:%' OR name='me:custom_fields'")
            self.logins.own()
        self._limits = Limits(self.world)
        self._ready = False

    # -- which call it is ----------------------------------------------------------------------------------------

    @staticmethod
    def api(method: str, path: str, host: str) -> str:
        """What fault rules call a request; nothing for one that is not for this service."""
        if path == "/oauth/token" or (path == "/token" and hosts.part(host) == "oauth"):
            return "oauth"
        if path.startswith("/logs/imports/"):
            return "me_log"
        if path.startswith("/exports/"):
            return "me_file"
        if path != "/v1" and not path.startswith("/v1/"):
            return "other" if hosts.part(host) else ""
        if path in ("/v1/import", "/v1/export") and method == "POST":
            return "me_upload" if path == "/v1/import" else "me_export"
        return "me_poll" if _TOKEN.fullmatch(path) else "me_read"

    def respond(self, asked: Asked, api: str, *, revoked: bool) -> Response:
        """Answer one request."""
        request_id = uuid4().hex
        mark = caller.set(Caller(api, request_id))
        try:
            self.ready()
            response = self._work(asked, api, revoked)
        except ApiError as fault:
            response = fault.response()
        except Exception:
            log.exception("%s %s failed", asked.method, asked.path)
            response = ApiError(500).response()
        finally:
            caller.reset(mark)
        response.headers["x-request-id"] = request_id
        return response

    def _work(self, asked: Asked, api: str, revoked: bool) -> Response:
        secure = asked.base.startswith("https:")
        if not secure and self.world.settings["fourme.plain_http"] == "rejected":
            raise ApiError(403, "HTTPS is required")
        if api == "oauth":
            return self._token(asked, revoked)
        if api in ("me_log", "me_file"):
            return self._links.get(asked.path, asked.parameters, asked.headers, is_log=api == "me_log")
        if api == "other":
            raise ApiError(404)
        if asked.path.rstrip("/") == "/v1" and asked.method == "GET":
            return json_response({})  # documented: needs no token
        login = None if revoked else self.logins.bearer(asked.headers.get("authorization", ""))
        if login is None:
            raise ApiError(401)
        if asked.path == "/v1/rate_limit":
            return json_response({"resources": {"core": self._limits.told(login.key)}})
        told = self._limits.count(login.key)
        try:
            response = self._call(asked, api, login)
        except ApiError as fault:
            response = fault.response()
        response.headers.update(told)
        return response

    def _call(self, asked: Asked, api: str, login: Login) -> Response:
        account = self._account(asked, login)
        if api == "me_upload":
            return self._upload(asked, login, account)
        if api == "me_export":
            return self._export(asked, login, account)
        if api == "me_poll" and asked.method == "GET":
            return self._poll(asked, account)
        if asked.method not in ("GET", "HEAD"):
            raise ApiError(405, "Method Not Allowed: the sandbox reads over REST and writes by imports")
        return _tagged(self._read(asked, login, account), asked.headers)

    def _account(self, asked: Asked, login: Login) -> str:
        """The account of a call: that of a header, in either spelling, else the person's own (documented)."""
        account = next((asked.headers[name] for name in ACCOUNTS if asked.headers.get(name)), login.home)
        if account not in self.logins.accounts or (account != login.home and account not in login.roles):
            raise ApiError(self.world.settings.number("fourme.unknown_account_status"))
        return account

    def _need(self, login: Login, account: str, *roles: str) -> None:
        if login.reads_only or not set(roles) <= login.roles.get(account, frozenset()):
            raise ApiError(403)

    # -- OAuth -----------------------------------------------------------------------------------------------------

    def _token(self, asked: Asked, revoked: bool) -> Response:
        """Client credentials (documented: form body, RFC 6749 errors with status 400)."""
        form = dict(parse_qsl(_bytes(asked.body).decode("utf-8", "replace")))

        def refuse(error: str, text: str) -> Response:
            return json_response({"error": error, "error_description": text}, 400)

        if asked.method != "POST":
            raise ApiError(404)
        if not form.get("grant_type"):
            return refuse("invalid_request", "grant_type is missing; parameters belong in the body")
        if form["grant_type"] != "client_credentials":
            return refuse("unsupported_grant_type", "the grant type is not supported")
        token = None if revoked else self.logins.grant(form.get("client_id", ""), form.get("client_secret", ""))
        if token is None:
            return refuse("invalid_client", "client authentication failed")
        return json_response({"access_token": token, "token_type": "Bearer", "expires_in": HOUR})

    # -- imports -----------------------------------------------------------------------------------------------------

    def _upload(self, asked: Asked, login: Login, account: str) -> Response:
        self._need(login, account, ADMINISTRATOR)
        try:
            form = multipart.read(spooled(asked.body), asked.headers.get("content-type", ""))
        except MultipartError as refused:
            raise ApiError(400, str(refused.detail or refused.message)) from refused
        kind = types().get(form.fields.get("type", ""))
        status = self.world.settings.number("fourme.unknown_type_status")
        if kind is None:
            said = "is not included in the list" if form.fields.get("type") else "can't be blank"
            raise invalid(status, ("type", f"Type {said}"))
        if kind.header == "unknown":
            raise invalid(status, ("type", "The sandbox knows no columns of this type; no public page has them"))
        if kind.financial:
            self._need(login, account, FINANCIAL)
        content = b"".join(form.file.content.parts()) if form.file is not None else form.fields.get("file", "").encode()
        if not content.strip():
            raise invalid(self.world.settings.number("fourme.bad_file_status"), ("file", "File can't be blank"))
        rows = injected.first_bytes.get()
        fault = Fault("cut", rows) if rows is not None else Fault.parse(injected.job.get())
        token = self.jobs.add_import(kind.name, account, login.home, content, fault, injected.log.get())
        return json_response({"token": token})

    def _poll(self, asked: Asked, account: str) -> Response:
        match = _TOKEN.fullmatch(asked.path)
        kind, token = (match[1], match[2]) if match else ("", "")
        job = self.jobs.get(kind, token)
        if job is None or job.account != account:
            raise ApiError(404)
        other = injected.log.get() == "other_host" or job.body.get("log_fault") == "other_host"
        return json_response(self.jobs.told(job, self._links.of(job, asked.base, other_host=other)))

    # -- exports -----------------------------------------------------------------------------------------------------

    def _export(self, asked: Asked, login: Login, account: str) -> Response:
        self._need(login, account, ADMINISTRATOR)
        form = _form(asked)
        named = [name.strip() for name in str(form.get("type", "")).split(",") if name.strip()]
        unknown = [name for name in named if name not in by_export()]
        status = self.world.settings.number("fourme.unknown_type_status")
        if unknown or not named:
            raise invalid(status, ("type", f"Type is not included in the list: {', '.join(unknown)}"))
        if form.get("export_format", "csv") != "csv":
            raise invalid(status, ("export_format", "The sandbox writes csv only"))
        names = [by_export()[name].name for name in named]
        body: dict[str, Any] = {"types": names, "since": None, "line_separator": form.get("line_separator", "lf")}
        if form.get("from"):
            start = since(str(form["from"]))
            now = self.world.clock.time()
            if start is None or start < now - MONTHS.total_seconds():
                text = "is invalid" if start is None else "cannot be more than 2 months ago"
                raise invalid(status, ("from", f"From {text}"))
            if not self.exports.changed(account, names, start):
                return Response(b"", 204)
            body["since"] = start
        else:
            body["refused"] = self.exports.refused(account, names)
        return json_response({"token": self.jobs.add_export(account, body, Fault.parse(injected.job.get()))})

    # -- reads -------------------------------------------------------------------------------------------------------

    def _read(self, asked: Asked, login: Login, account: str) -> Response:
        parts = asked.path.removeprefix("/v1/").rstrip("/").split("/")
        match parts:
            case ["me"] | ["people", "me"]:
                return json_response(self._reads.me(login.email, login.home, account))
            case ["account"]:
                return json_response(self._reads.account(account))
            case ["enums"]:
                return json_response(self._reads.enums())
        kind = by_path().get(parts[0])
        if kind is None or len(parts) > 3:
            raise ApiError(404)
        url, parameters = f"{asked.base}{asked.path}", asked.parameters
        match parts[1:]:
            case []:
                return self._reads.collection(kind, account, parameters, url)
            case [word] if not word.isdigit():
                return self._reads.collection(kind, account, parameters, url, word)
            case [record_id]:
                return json_response(self._reads.one(kind, account, record_id, parameters))
            case [record_id, below]:
                return self._reads.below(kind, account, record_id, below, parameters, url)
        raise ApiError(404)


def _form(asked: Asked) -> dict[str, Any]:
    """The parameters of an export: a form, a multipart form, or JSON (seen in public clients)."""
    kind = asked.headers.get("content-type", "")
    content = _bytes(asked.body)
    if "json" in kind:
        try:
            given = orjson.loads(content)
        except ValueError as fault:
            raise ApiError(400, str(fault)) from fault
        return given if isinstance(given, dict) else {}
    if "multipart" in kind:
        try:
            return dict(multipart.read(spooled(asked.body), kind).fields)
        except MultipartError as fault:
            raise ApiError(400, str(fault.detail or fault.message)) from fault
    return dict(parse_qsl(content.decode("utf-8", "replace")))


def _bytes(body: Body) -> bytes:
    return body if isinstance(body, bytes) else b"".join(body.parts())


def _tagged(response: Response, headers: Mapping[str, str]) -> Response:
    """With a weak tag; 304 where the client has it (documented)."""
    tag = f'W/"{md5(response.body, usedforsecurity=False).hexdigest()}"'
    if headers.get("if-none-match") == tag:
        return Response(b"", 304, {"etag": tag})
    response.headers["etag"] = tag
    return response
