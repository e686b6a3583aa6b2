"""Environment files: connections, variables, tighter guards; the only files that name secrets."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from msgspec.structs import replace

from syncengine.spec.atoms import NAME, NAME_MUST
from syncengine.spec.extracts import WHERE
from syncengine.spec.files import DESCRIPTION, GUARDS, VARS, VERSION, kind_key
from syncengine.spec.keys import AnyKey, Fields, Key, Mapped, read_keys
from syncengine.spec.model import (
    Auth,
    BasicAuth,
    CertificateAuth,
    ClientAuth,
    Connection,
    Destination,
    Environment,
    Guards,
    TokenAuth,
)
from syncengine.spec.nodes import MapNode, Node, Scalar
from syncengine.spec.report import Report, Wrong
from syncengine.spec.secrets import SecretShape
from syncengine.spec.shapes import Choice, Duration, Flag, MapOf, Schema, Shape, Text, Whole

_USER = Key("user", SecretShape("user", plain=True), "User name.", example="user: {env: SN_USER}")
_PASSWORD = Key("password", SecretShape("password"), "Password.", example="password: {env: SN_PASSWORD}")
_TOKEN = Key("token", SecretShape("token"), "Token or API key.", example="token: {env: XURRENT_TOKEN}")
_HEADER = Key(
    "header",
    Text("the name of a header", r"[A-Za-z0-9-]{1,60}"),
    "The header that carries the token.",
    default="Authorization",
)
_CLIENT_ID = Key(
    "client_id", SecretShape("client_id", plain=True), "OAuth client.", example="client_id: {env: SN_CLIENT}"
)
_CLIENT_SECRET = Key(
    "client_secret",
    SecretShape("client_secret"),
    "OAuth client secret.",
    example="client_secret: {env: SN_CLIENT_SECRET}",
)
_CERTIFICATE = Key("certificate", Text("a path"), "Client certificate (PEM).")
_CERTIFICATE_KEY = Key("key", Text("a path"), "Its key, where it is in a file of its own.")
AUTH_KEYS: tuple[AnyKey, ...] = (
    _USER,
    _PASSWORD,
    _TOKEN,
    _HEADER,
    _CLIENT_ID,
    _CLIENT_SECRET,
    _CERTIFICATE,
    _CERTIFICATE_KEY,
)


def _auth(fields: Fields, report: Report) -> Auth:
    if fields.failed:
        raise Wrong
    has = fields.has
    if has(_CERTIFICATE):
        key = fields.get(_CERTIFICATE_KEY)
        return CertificateAuth(Path(fields.need(_CERTIFICATE)), Path(key) if key else None)
    if has(_TOKEN):
        return TokenAuth(fields.need(_TOKEN), fields.get(_HEADER) or "Authorization")
    if has(_CLIENT_ID) and has(_CLIENT_SECRET):
        return ClientAuth(
            fields.need(_CLIENT_ID), fields.need(_CLIENT_SECRET), fields.get(_USER), fields.get(_PASSWORD)
        )
    if has(_USER) and has(_PASSWORD):
        return BasicAuth(fields.need(_USER), fields.need(_PASSWORD))
    said = "auth needs user and password, or token, or client_id and client_secret, or certificate"
    raise report.stop(
        "bad-auth", said, fields.node.position, "auth: {user: {env: SN_USER}, password: {env: SN_PASSWORD}}"
    )


class UrlShape(Shape[str]):
    """The root of a service: scheme, host, port."""

    says = "a URL such as https://acme.service-now.com"

    def read(self, node: Node, report: Report) -> str:
        if not isinstance(node, Scalar) or node.kind == "null":
            raise self.expected(node, report)
        text = node.text.strip()
        if "://" not in text:
            raise report.stop("bad-url", "A URL starts with https://", node.position, f"url: https://{text[:60]}")
        try:
            parts = urlsplit(text)
            port = parts.port
            host = (
                (parts.hostname or "").rstrip(".").encode("idna").decode()
                if ":" not in (parts.hostname or "")
                else parts.hostname
            )
        except (ValueError, UnicodeError):
            raise report.stop(
                "bad-url", "This is not a URL", node.position, "url: https://acme.service-now.com"
            ) from None
        if parts.username is not None or parts.password is not None:
            raise report.stop(
                "secret-in-file", "A URL holds no user and no password; they go under auth", node.position
            )
        if not host or port == 0 or not re.fullmatch(r"[A-Za-z0-9.:_-]+", host):
            raise report.stop("bad-url", "This URL has no host", node.position, "url: https://acme.service-now.com")
        scheme = parts.scheme.lower()
        shown = f"[{host}]" if ":" in host else host
        root = f"{scheme}://{shown}" + (f":{port}" if port else "")
        if scheme not in {"https", "http"}:
            raise report.stop("bad-url", f"{scheme} is not https", node.position, f"url: https://{shown}")
        if scheme == "http" and not is_loopback(host):
            said = f"Plain http to {host} would expose the password"
            raise report.stop("plain-http", said[:160], node.position, f"url: https://{shown}")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise report.stop(
                "bad-url", "The URL is the root of the instance, without a path", node.position, f"url: {root}"
            )
        return root

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {"type": "string", "pattern": r"^\s*[Hh][Tt][Tt][Pp][Ss]?://[^/@?#\s]+/*\s*$"}


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_KIND = Key("kind", Choice(("servicenow", "4me")), "Which service it is.", required=True, example="kind: servicenow")
_URL = Key("url", UrlShape(), "Root of the instance.", required=True, example="url: https://acme.service-now.com")
_AUTH = Key(
    "auth",
    Mapped("auth", "auth", AUTH_KEYS, _auth),
    "How to log in.",
    required=True,
    example="auth: {user: {env: SN_USER}, password: {env: SN_PASSWORD}}",
)
_DIALECT = Key("dialect", Choice(("enhanced", "classic")), "Which identification API is called.", default="enhanced")
_PERMITS = Key("permits", Whole(1, 64), "Calls at a time.", default=4)
_SETTLE = Key("settle", Duration(), "After this, a call without answer has ended on the server.", default="330s")
_PIN = Key("pin", Flag(), "Whether matched CIs carry the sys_id that the plan saw.", default=True)
_SOURCE_INFO = Key("source_info", Flag(), "Whether sys_object_source_info is sent.", default=True)
_MULTIPLE = Key(
    "insert_multiple", Choice(("labels", "names")), "How the platform maps keys of insertMultiple.", default="labels"
)
_JOBS = Key("import_jobs", Whole(1, 8), "Import jobs at a time.", default=1)
_REST = Key(
    "rest_requests",
    Whole(1, 1_000_000),
    "The most that comparing rows of owners over REST may take, where 4me gives no export of them any more today.",
    default=3600,
)
_ACCOUNT = Key("account", Text("an account"), "The 4me account.", example="account: acme")
_CA = Key("ca_bundle", Text("a path"), "Certificates to trust instead of the usual ones.")
CONNECTION_KEYS: tuple[AnyKey, ...] = (
    _KIND,
    _URL,
    _AUTH,
    _DIALECT,
    _PERMITS,
    _SETTLE,
    _PIN,
    _SOURCE_INFO,
    _MULTIPLE,
    _JOBS,
    _REST,
    _ACCOUNT,
    _CA,
)


def _connection(fields: Fields, report: Report) -> Connection:
    if fields.get(_KIND) == "4me" and not fields.has(_ACCOUNT):
        report.add("missing-key", "A 4me connection needs the key account", fields.node.position, "account: acme")
        fields.failed = True
    if fields.failed:
        raise Wrong
    settle, pin, info = fields.get(_SETTLE), fields.get(_PIN), fields.get(_SOURCE_INFO)
    ca = fields.get(_CA)
    return Connection(
        "",
        cast(Any, fields.need(_KIND)),
        fields.need(_URL),
        fields.need(_AUTH),
        fields.node.position,
        dialect=cast(Any, fields.get(_DIALECT) or "enhanced"),
        permits=fields.get(_PERMITS) or 4,
        settle=330.0 if settle is None else settle,
        pin=pin is not False,
        source_info=info is not False,
        insert_multiple=cast(Any, fields.get(_MULTIPLE) or "labels"),
        import_jobs=fields.get(_JOBS) or 1,
        rest_requests=fields.get(_REST) or 3600,
        account=fields.get(_ACCOUNT),
        ca_bundle=Path(ca) if ca else None,
    )


CONNECTION: Mapped[Connection] = Mapped("connection", "a connection", CONNECTION_KEYS, _connection)
_CONNECTIONS = Key(
    "connections",
    MapOf(CONNECTION, "connection", NAME, NAME_MUST, least=1),
    "The systems of this environment.",
    required=True,
    example="connections: {servicenow: {kind: servicenow, ...}}",
)
_NEEDS_PLAN = Key("apply_needs_plan", Flag(), "Apply takes only a saved plan.", default=False)


def _protect(fields: Fields, report: Report) -> bool:
    del report
    return bool(fields.get(_NEEDS_PLAN))


_PROTECT = Key("protect", Mapped("protect", "protect", (_NEEDS_PLAN,), _protect), "What may not be done here.")
_STATE = Key("state", Text("a URL or path"), "Where runs and journals are kept; otherwise .syncengine/state.db.")
_SHOW = Key("show_values", Flag(), "false: reports print names of changed fields, not values.", default=True)
ENVIRONMENT_KEYS: tuple[AnyKey, ...] = (
    VERSION,
    kind_key("environment"),
    DESCRIPTION,
    _CONNECTIONS,
    VARS,
    _PROTECT,
    GUARDS,
    _STATE,
    _SHOW,
    WHERE,
)


def read_environment(node: MapNode, name: str, file: Path, report: Report) -> Environment:
    """`environments/<name>.yaml`"""
    fields = read_keys(node, ENVIRONMENT_KEYS, report, "an environment", extra="x-")
    connections = {key: replace(one, name=key) for key, one in (fields.get(_CONNECTIONS) or {}).items()}
    return Environment(
        name,
        file,
        connections,
        fields.get(VARS) or {},
        bool(fields.get(_PROTECT)),
        fields.get(GUARDS) or Guards(),
        fields.get(_STATE),
        fields.get(_SHOW) is not False,
        fields.get(WHERE) or Destination(),
    )
