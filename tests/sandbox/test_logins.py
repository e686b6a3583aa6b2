"""Logins beyond passwords: JWT bearer assertions and client certificates."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from syncengine.sandbox import tls
from syncengine.sandbox.process import Running, attach
from tests.sandbox.conftest import Http

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
DIGESTS: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP384R1())
Claims = dict[str, Any]


def pem(key: Any) -> str:
    """The public half, as a seed holds it."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    text: bytes = key.public_key().public_bytes(serialization.Encoding.PEM, form)
    return text.decode()


KEYS = {"RS": pem(RSA_KEY), "ES": pem(EC_KEY), "HS": "a shared secret of some length"}


def encoded(content: bytes) -> str:
    """Base64 as tokens have it."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def sign(algorithm: str, claims: Claims, secret: str = KEYS["HS"]) -> str:
    """A token, made by hand: the sandbox is not to be checked by its own code."""
    message = f"{encoded(orjson.dumps({'alg': algorithm, 'typ': 'JWT'}))}.{encoded(orjson.dumps(claims))}".encode()
    digest = DIGESTS.get(algorithm[2:], hashes.SHA256())
    if algorithm.startswith("RS"):
        signature = RSA_KEY.sign(message, padding.PKCS1v15(), digest)
    elif algorithm.startswith("ES"):
        r, s = decode_dss_signature(EC_KEY.sign(message, ec.ECDSA(digest)))
        signature = r.to_bytes(48) + s.to_bytes(48)
    else:
        signature = hmac.digest(secret.encode(), message, f"sha{algorithm[2:]}") if algorithm != "none" else b""
    return f"{message.decode()}.{encoded(signature)}"


class Asker:
    """Asks for tokens with assertions."""

    def __init__(self, http: Http) -> None:
        self.http = http
        clients = {kind: {"secret": "s3cret", "user": "reader", "jwt_key": key} for kind, key in KEYS.items()}
        users = {"reader": {"password": "secret", "roles": ["itil"]}}
        http.running.seed({"users": users, "clients": clients}, force=True)
        http.session.auth = None

    def claims(self, client: str, **changes: Any) -> Claims:
        """A good set, changed."""
        good = {"iss": client, "sub": "reader", "aud": client, "exp": 1e11, "jti": uuid4().hex}
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def __call__(self, client: str, assertion: str, **form: str) -> requests.Response:
        given = {"grant_type": GRANT, "client_id": client, "client_secret": "s3cret", "assertion": assertion, **form}
        return self.http.session.post(f"{self.http.running.url}/oauth_token.do", data=given, timeout=10)


@pytest.fixture
def ask(http: Http) -> Asker:
    """Clients for each kind of signature."""
    return Asker(http)


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "HS256", "HS384", "HS512"])
def test_an_assertion_that_the_client_signed_gives_a_token(ask: Asker, algorithm: str) -> None:
    """For the user that it names; without a refresh token."""
    client = algorithm[:2]
    answer = ask(client, sign(algorithm, ask.claims(client))).json()
    assert "refresh_token" not in answer
    ask.http.session.headers["Authorization"] = f"Bearer {answer['access_token']}"
    assert ask.http.post("/table/incident", {}).json()["result"]["sys_created_by"] == "reader"


def test_the_assertion_may_stand_in_a_header(ask: Asker) -> None:
    """As a public client sends it."""
    ask.http.session.headers["Authentication"] = f"Bearer {sign('RS256', ask.claims('RS'))}"
    assert ask("RS", "").status_code == 200


BAD: dict[str, Callable[[Asker], str]] = {
    "another issuer": lambda ask: sign("RS256", ask.claims("RS", iss="ES")),
    "another audience": lambda ask: sign("RS256", ask.claims("RS", aud="elsewhere")),
    "an unknown user": lambda ask: sign("RS256", ask.claims("RS", sub="nobody")),
    "too late": lambda ask: sign("RS256", ask.claims("RS", exp=1000)),
    "no end": lambda ask: sign("RS256", ask.claims("RS", exp=None)),
    "no jti": lambda ask: sign("RS256", ask.claims("RS", jti=None)),
    "another key": lambda ask: sign("ES384", ask.claims("RS")),
    "a secret where a key is due": lambda ask: sign("HS256", ask.claims("RS"), KEYS["RS"]),
    "no signature": lambda ask: sign("none", ask.claims("RS")),
    "changed after signing": lambda ask: sign("RS256", ask.claims("RS"))[:-8] + "AAAAAAAA",
    "no token at all": lambda _ask: "hello",
}


@pytest.mark.parametrize("case", BAD)
def test_an_assertion_that_proves_nothing_gives_no_token(ask: Asker, case: str) -> None:
    """invalid_grant, whatever is wrong with it."""
    answer = ask("RS", BAD[case](ask))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_grant")


def test_an_assertion_is_taken_once(ask: Asker) -> None:
    """jti is checked; whether it must be there is a setting."""
    token = sign("ES384", ask.claims("ES"))
    assert [ask("ES", token).status_code, ask("ES", token).status_code] == [200, 401]
    ask.http.running.settings(oauth__jti="if_present")
    assert ask("ES", sign("ES384", ask.claims("ES", jti=None))).status_code == 200


def test_the_secret_of_the_client_can_be_spared(ask: Asker) -> None:
    """Setting oauth.jwt_client; a wrong one is refused either way."""
    assert ask("RS", sign("RS256", ask.claims("RS")), client_secret="").status_code == 401
    ask.http.running.settings(oauth__jwt_client="secret_if_present")
    assert ask("RS", sign("RS256", ask.claims("RS")), client_secret="").status_code == 200
    assert ask("RS", sign("RS256", ask.claims("RS")), client_secret="wrong").status_code == 401


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    """A sandbox that speaks HTTPS, and where its certificates lie."""
    directory = tmp_path_factory.mktemp("mtls")
    with attach(directory, tls=True) as running:
        yield running, directory


def test_a_certificate_is_a_login_of_the_user_it_is_mapped_to(secure: tuple[Running, Path]) -> None:
    """By its common name; an unmapped one is no login, and a password still is one."""
    running, directory = secure
    users = {"reader": {"password": "secret", "roles": ["itil"]}}
    running.seed({"users": users, "certificates": {"laptop": "reader"}}, force=True)
    client = Http(running)
    assert client.post("/table/incident", {}).json()["result"]["sys_created_by"] == running.user
    for name, status in (("laptop", 201), ("stranger", 401)):
        made, key = tls.client(directory, name)
        client = Http(running)
        client.session.auth, client.session.cert = None, (str(made), str(key))
        answer = client.post("/table/incident", {})
        assert answer.status_code == status
    made, key = tls.client(directory, "laptop")
    client.session.cert = (str(made), str(key))
    client.session.close()
    assert client.post("/table/incident", {}).json()["result"]["sys_created_by"] == "reader"


def test_a_certificate_of_another_authority_does_not_get_through(secure: tuple[Running, Path], tmp_path: Path) -> None:
    """The handshake fails."""
    running, _directory = secure
    made, key = tls.client(tmp_path, "laptop")
    client = Http(running)
    client.session.cert = (str(made), str(key))
    with pytest.raises(requests.ConnectionError):
        client.get("/table/incident")
