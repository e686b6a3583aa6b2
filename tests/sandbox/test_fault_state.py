"""Faults of accounts, of part of a write, and of what an answer is made of."""

from __future__ import annotations

import time
import zlib

import pytest
import requests

from syncengine.sandbox.faults.rules import RuleError, parse
from tests.sandbox.conftest import Http, server
from tests.sandbox.test_engine import on
from tests.waiting import wait_for

FIVE = [server(f"s{n}") for n in range(5)]
ASK = {"sysparm_data_source": "ImportSet"}


def written(http: Http) -> int:
    """How many servers there are."""
    return http.running.counts().get("insert", {}).get("cmdb_ci_linux_server", 0)


@pytest.mark.parametrize("ending", ["reset", "close"])
@pytest.mark.parametrize("part", [0, 1, 3, 5])
def test_a_part_of_a_write_takes_effect_before_the_connection_breaks(http: Http, part: int, ending: str) -> None:
    """The first k items, and the same again writes the rest."""
    http.running.faults(f"api=ire, at=1, do=commit_part({part})_then_{ending}")
    with pytest.raises(requests.ConnectionError):
        http.engine("/enhanced", *FIVE)
    assert written(http) == part
    operations = [item["operation"] for item in http.engine("/enhanced", *FIVE).json()["result"]["items"]]
    assert operations == ["NO_CHANGE"] * part + ["INSERT"] * (5 - part)


def test_a_part_of_a_write_can_end_in_a_status_or_in_silence(http: Http) -> None:
    """commit_part(2)_then_status(502), commit_part(4)_then_hang."""
    http.running.faults(
        "api=ire, at=1, do=commit_part(2)_then_status(502, body=html)", "api=ire, at=2, do=commit_part(4)_then_hang"
    )
    answer = http.engine("/enhanced", *FIVE)
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert written(http) == 2
    with pytest.raises(requests.Timeout):
        http.engine("/enhanced", *FIVE, timeout=0.3)
    wait_for(lambda: written(http) == 4)


def test_relations_of_what_is_left_out_are_left_out_too(http: Http) -> None:
    """Only those between items that take effect remain."""
    relations = [on("server-s0", "server-s1", "Connects to::Connected by"), {"parent": 1, "child": 2, "type": "x"}]
    http.running.faults("api=ire, at=1, do=commit_part(2)_then_status(500)")
    http.post("/identifyreconcile/enhanced", {"items": FIVE, "relations": relations}, **ASK)
    assert http.running.counts() == {"insert": {"cmdb_ci_linux_server": 2}, "relate": {"cmdb_rel_ci": 1}}


def test_a_batch_can_be_done_in_part(http: Http) -> None:
    """The first of its requests."""
    headers = [{"name": name, "value": "application/json"} for name in ("Content-Type", "Accept")]
    one = {"method": "POST", "url": "/api/now/table/incident", "headers": headers, "body": "e30="}
    http.running.faults("api=batch, do=commit_part(2)_then_status(500)")
    asked = [{**one, "id": str(n)} for n in range(4)]
    assert http.post("/v1/batch", {"rest_requests": asked}).status_code == 500
    assert http.running.counts() == {"insert": {"incident": 2}}


def bearer(http: Http) -> str:
    """A token of the sandbox's own user."""
    http.running.seed({"clients": {"sync": {"secret": "s3cret", "user": http.running.user}}}, force=True)
    form = {"grant_type": "client_credentials", "client_id": "sync", "client_secret": "s3cret"}
    answer = requests.post(f"{http.running.url}/oauth_token.do", data=form, timeout=10)
    return f"Bearer {answer.json()['access_token']}"


def test_tokens_expire_at_the_nth_call(http: Http) -> None:
    """All that were given out so far; a new one is good."""
    http.session.auth = None
    http.session.headers["Authorization"] = bearer(http)
    http.running.faults("api=table_read, do=expire_token(3)")
    assert [http.get("/table/cmdb_ci").status_code for _ in range(5)] == [200, 200, 401, 401, 401]
    http.session.headers["Authorization"] = bearer(http)
    assert http.get("/table/cmdb_ci").status_code == 200


def test_a_login_can_be_revoked(http: Http) -> None:
    """No password and no token is accepted, nor a new token given, until the rules are cleared."""
    token = bearer(http)
    http.running.faults("api=*, at=2, do=revoke")
    assert [http.get("/table/cmdb_ci").status_code for _ in range(3)] == [200, 401, 401]
    http.session.auth = None
    http.session.headers["Authorization"] = token
    assert http.get("/table/cmdb_ci").status_code == 401
    form = {"grant_type": "client_credentials", "client_id": "sync", "client_secret": "s3cret"}
    assert http.session.post(f"{http.running.url}/oauth_token.do", data=form, timeout=10).status_code == 401
    http.running.clear_faults()
    assert http.get("/table/cmdb_ci").status_code == 200


def test_a_rate_limit_can_be_of_any_window(http: Http) -> None:
    """rate_limit(2/10): until the window ends by the sandbox's clock."""
    http.running.faults("api=ire_query, do=rate_limit(2/10)")
    assert [http.engine("/query", server("a")).status_code for _ in range(4)] == [200, 200, 429, 429]
    assert http.get("/table/cmdb_ci").status_code == 200
    http.running.advance(11)
    assert http.engine("/query", server("a")).status_code == 200
    for bad in ("rate_limit(x/1)", "rate_limit(1/y)"):
        with pytest.raises(RuleError):
            parse(f"do={bad}")


@pytest.mark.parametrize(("rule", "said"), [("charset(latin-1)", "latin-1"), ("charset(latin-1, silent)", "utf-8")])
def test_an_answer_can_be_in_another_character_set(http: Http, rule: str, said: str) -> None:
    """Named, or not."""
    http.post("/table/incident", {"short_description": "Zürich"})
    http.running.faults(f"api=table_read, do={rule}")
    answer = http.get("/table/incident", sysparm_fields="short_description")
    assert answer.headers["Content-Type"] == f"application/json;charset={said}"
    assert "Zürich".encode("latin-1") in answer.content


def test_a_small_answer_can_unpack_to_a_gibibyte(http: Http) -> None:
    """gzip_bomb."""
    http.running.faults("api=table_read, do=gzip_bomb")
    answer = http.session.get(f"{http.running.url}/api/now/table/cmdb_ci", stream=True, timeout=10)
    assert answer.headers["Content-Encoding"] == "gzip"
    packed = answer.raw.read(decode_content=False)
    assert len(packed) < 2_000_000
    unpacked = zlib.decompressobj(wbits=31)
    assert len(unpacked.decompress(packed, 1 << 26)) == 1 << 26
    assert unpacked.unused_data or unpacked.unconsumed_tail


def test_an_answer_can_come_byte_by_byte(http: Http) -> None:
    """drip(bytes a second): whole in the end, and no pause longer than a socket's patience."""
    http.running.faults("api=table_read, do=drip(100)")
    start = time.monotonic()
    answer = http.get("/table/cmdb_rel_type", sysparm_limit=1, sysparm_fields="nosuch")
    assert answer.json() == {"result": [{}]}
    assert time.monotonic() - start >= 0.1
