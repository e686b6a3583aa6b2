"""Fault rules, the ledger and the clock, seen from outside."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from syncengine.sandbox.faults.rules import ACTIONS, RuleError, parse
from syncengine.sandbox.process import SandboxError
from tests.sandbox.conftest import Http, server
from tests.waiting import wait_for

BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


def written(http: Http) -> dict[str, dict[str, int]]:
    """What took effect."""
    return http.running.counts()


@pytest.mark.parametrize("action", ["reset", "close"])
def test_a_connection_that_breaks_before_has_no_effect(http: Http, action: str) -> None:
    """The client sees a broken connection; nothing is written."""
    http.running.faults(f"api=ire, at=1, do={action}")
    with pytest.raises(BROKEN):
        http.engine("/enhanced", server("a"))
    assert written(http) == {}
    assert http.engine("/enhanced", server("a")).status_code == 200


@pytest.mark.parametrize("action", ["commit_then_reset", "commit_then_close"])
def test_a_connection_that_breaks_after_has_its_effect(http: Http, action: str) -> None:
    """The write took effect although the answer is lost; the same again changes nothing."""
    http.running.faults(f"api=ire, at=1, do={action}")
    with pytest.raises(BROKEN):
        http.engine("/enhanced", server("a"))
    assert written(http) == {"insert": {"cmdb_ci_linux_server": 1}}
    assert http.engine("/enhanced", server("a")).json()["result"]["items"][0]["operation"] == "NO_CHANGE"


@pytest.mark.parametrize(
    ("action", "effect"), [("hang", {}), ("commit_then_hang", {"insert": {"cmdb_ci_linux_server": 1}})]
)
def test_a_request_can_hang_without_or_with_effect(http: Http, action: str, effect: dict[str, dict[str, int]]) -> None:
    """The client gives up."""
    http.running.faults(f"api=ire, at=1, do={action}")
    with pytest.raises(requests.Timeout):
        http.engine("/enhanced", server("a"), timeout=0.3)
    wait_for(lambda: not effect or written(http))  # a busy machine takes longer than the client waits
    assert written(http) == effect


def test_a_write_can_come_after_the_client_gave_up(http: Http) -> None:
    """The sandbox's clock decides when; no test has to wait for it."""
    http.running.faults("api=ire, at=1, do=commit_late(120)")
    with pytest.raises(BROKEN):
        http.engine("/enhanced", server("a"))
    http.running.advance(119)
    assert written(http) == {}
    http.running.advance(2)
    wait_for(lambda: written(http))
    assert written(http) == {"insert": {"cmdb_ci_linux_server": 1}}


def test_a_status_has_no_effect_unless_it_comes_after_the_commit(http: Http) -> None:
    """status(503) with Retry-After; commit_then_status(500)."""
    http.running.faults("api=ire, at=1, do=status(503), retry_after=7", "api=ire, at=2, do=commit_then_status(500)")
    refused = http.engine("/enhanced", server("a"))
    assert (refused.status_code, refused.headers["Retry-After"], refused.json()["status"]) == (503, "7", "failure")
    assert written(http) == {}
    assert http.engine("/enhanced", server("a")).status_code == 500
    assert written(http) == {"insert": {"cmdb_ci_linux_server": 1}}


@pytest.mark.parametrize(
    ("rule", "check"),
    [
        (
            "do=status(500, body=html)",
            lambda r: r.headers["Content-Type"].startswith("text/html") and b"<title>" in r.content,
        ),
        ("do=status(500, body=empty)", lambda r: r.content == b""),
        ("do=status(500, body=huge)", lambda r: len(r.content) > 4_000_000),
        ("do=status(429), retry_after=date", lambda r: r.headers["Retry-After"].endswith("GMT")),
        ("do=status(429), retry_after=huge", lambda r: int(r.headers["Retry-After"]) > 10**8),
        ("do=html200", lambda r: r.status_code == 200 and r.headers["Content-Type"].startswith("text/html")),
        ("do=hibernate", lambda r: r.status_code == 200 and b"Instance Hibernating page" in r.content),
        ("do=maintenance", lambda r: (r.status_code, r.headers["Retry-After"]) == (503, "30")),
        ("do=drop202", lambda r: (r.status_code, r.content) == (202, b"")),
        ("do=login302", lambda r: (r.status_code, r.headers["Location"]) == (302, "/login_redirect.do")),
        ("do=redirect(http://elsewhere.invalid/)", lambda r: r.headers["Location"] == "http://elsewhere.invalid/"),
        ("do=type(text/plain)", lambda r: r.headers["Content-Type"] == "text/plain"),
        ("do=header_flood(50)", lambda r: len(r.headers) > 50),
        ("do=nan", lambda r: b"NaN" in r.content),
        ("do=big_int", lambda r: len(r.content) > 5_000),
        ("do=deep_json", lambda r: r.content.count(b"[") == 100_000),
        ("do=nulls", lambda r: set(r.json()["result"][0].values()) == {None}),
        ("do=missing(result)", lambda r: "result" not in r.json()),
        ("do=extra_fields", lambda r: "x_unheard_of" in r.json()["result"][0]),
        ("do=count(-1)", lambda r: len(r.json()["result"]) == 2),
        ("do=count(+2)", lambda r: len(r.json()["result"]) == 5),
        ("do=code(cancelled)", lambda r: r.status_code == 200 and r.json()["error"] and len(r.json()["result"]) == 3),
    ],
)
def test_answers_can_be_wrong_in_many_ways(http: Http, rule: str, check: object) -> None:
    """Every one is still an answer; each carries the marker header."""
    assert callable(check)
    http.running.faults(f"api=table_read, {rule}")
    url = f"{http.running.url}/api/now/table/cmdb_rel_type?sysparm_limit=3&sysparm_fields=name,sys_id"
    answer = http.session.get(url, allow_redirects=False, timeout=10)
    assert check(answer)
    assert answer.headers["X-Sandbox"] == "syncengine"


@pytest.mark.parametrize("action", ["truncate(40)", "bad_chunk", "garbage_head", "gzip_bad", "short_length"])
def test_answers_can_be_broken_on_their_way(http: Http, action: str) -> None:
    """No client gets a document out of it."""
    http.running.faults(f"api=table_read, do={action}")
    with pytest.raises((*BROKEN, requests.exceptions.ContentDecodingError, ValueError)):
        http.get("/table/cmdb_rel_type", sysparm_limit=3).json()


def test_item_errors_are_not_written_and_their_siblings_are(http: Http) -> None:
    """The engine itself finds them, so dry run, answer and ledger agree."""
    http.running.faults("api=ire, seed=4, do=item_errors(0.5)")
    items = http.engine("/enhanced", *[server(f"s{n}") for n in range(20)]).json()["result"]["items"]
    failed = [item for item in items if item["errorCount"]]
    assert 0 < len(failed) < 20
    assert {fault["error"] for item in failed for fault in item["errors"]} == {"INSERT_FAILED"}
    assert written(http) == {"insert": {"cmdb_ci_linux_server": 20 - len(failed)}}


def test_any_error_code_and_operation_can_be_told(http: Http) -> None:
    """LOCK_TIMEOUT, FROBNICATE."""
    http.running.faults("api=ire, at=1, do=code(LOCK_TIMEOUT)", "api=ire_query, do=op(FROBNICATE)")
    assert http.engine("/enhanced", server("a")).json()["result"]["items"][0]["errors"][0]["error"] == "LOCK_TIMEOUT"
    assert written(http) == {}
    assert http.engine("/queryEnhanced", server("a")).json()["result"]["items"][0]["operation"] == "FROBNICATE"


def test_parallel_answers_overtake_each_other_and_items_change_places(http: Http) -> None:
    """reorder: neither the order of answers nor that of items means anything."""
    http.running.faults("api=ire_query, seed=1, do=reorder")
    order: list[int] = []

    def ask(number: int) -> list[int]:
        items = Http(http.running).engine("/queryEnhanced", *[server(f"{number}-{n}") for n in range(10)]).json()
        order.append(number)
        return [item["inputIndices"][0] for item in items["result"]["items"]]

    with ThreadPoolExecutor(8) as pool:
        indexes = list(pool.map(ask, range(16)))
    assert all(sorted(one) == list(range(10)) for one in indexes)
    assert any(one != list(range(10)) for one in indexes)
    assert order != sorted(order)


def test_rules_strike_when_they_say(http: Http) -> None:
    """at, every, from, times, key; rate with a seed strikes alike in every run."""

    def struck(rule: str, calls: int = 12) -> list[int]:
        http.running.clear_faults()
        http.running.faults(f"api=ire_query, {rule}, do=status(500)")
        return [n + 1 for n in range(calls) if http.engine("/query", server(f"k{n}")).status_code == 500]

    assert struck("at=3") == [3]
    assert struck("every=5") == [5, 10]
    assert struck("from=9, times=2") == [9, 10]
    assert struck("key=k7") == [8]
    assert struck("rate=0.4, seed=7") == struck("rate=0.4, seed=7") != []


def test_delays_take_time(http: Http) -> None:
    """delay(0.2)."""
    http.running.faults("api=table_read, do=delay(0.2)")
    start = time.monotonic()
    http.get("/table/cmdb_rel_type", sysparm_limit=1)
    assert time.monotonic() - start >= 0.2


@pytest.mark.parametrize(
    "text",
    [
        "do=fly",
        "api=moon, do=reset",
        "at=0, do=reset",
        "at=x, do=reset",
        "rate=2, do=reset",
        "when=now, do=reset",
        "reset",
        "",
    ],
)
def test_rules_that_cannot_be_read_are_refused(http: Http, text: str) -> None:
    """With a sentence, on the command line as over HTTP."""
    with pytest.raises(RuleError):
        parse(text)
    with pytest.raises(SandboxError):
        http.running.faults(text)


def test_every_action_has_an_explanation() -> None:
    """The listing is what `faults --help` teaches."""
    for name, text in ACTIONS.items():
        assert parse(f"do={name}").action == name
        assert text


def test_the_ledger_can_be_filtered_and_read_on(http: Http) -> None:
    """By kind, by table, from a number; each line names the request that wrote it."""
    first = http.engine("/enhanced", server("a"), server("b"))
    http.engine("/enhanced", server("a", ram="1"), server("b"))
    lines = http.running.ledger()
    assert [(line["seq"], line["kind"], line["key"]) for line in lines] == [
        (1, "insert", "ImportSet|host/a"),
        (2, "insert", "ImportSet|host/b"),
        (3, "update", "ImportSet|host/a"),
        (4, "touch", "ImportSet|host/b"),
    ]
    assert lines[0]["request"] == first.headers["X-Request-Id"]
    assert {line["api"] for line in lines} == {"ire"}
    assert [line["seq"] for line in http.running.ledger(start=3)] == [3, 4]
    assert [line["seq"] for line in http.running.ledger(kind="touch,update")] == [3, 4]
    assert http.running.ledger(table="cmdb_ci_server") == []
    assert lines[0]["hash"] != lines[1]["hash"]


def test_controls_need_the_token_and_other_hosts_are_refused(http: Http) -> None:
    """The token is in run.json; a web page cannot reach the sandbox under its own name."""
    url = http.running.url
    assert http.session.get(f"{url}/__sandbox/ledger", timeout=10).status_code == 401
    assert (
        http.session.get(f"{url}/api/now/table/cmdb_ci", headers={"Host": "evil.example"}, timeout=10).status_code
        == 421
    )


def test_a_hint_says_which_seed_is_missing(http: Http) -> None:
    """The answer itself has the engine's own text only."""
    item = server("a")
    item["sys_object_source_info"]["source_name"] = "DC Inventory"
    answer = http.engine("/enhanced", item)
    assert "seed" not in answer.text
    assert answer.headers["X-Sandbox-Hint"] == 'seed this: {choices: {cmdb_ci.discovery_source: ["DC Inventory"]}}'
    assert http.running.seed("{choices: {cmdb_ci.discovery_source: [DC Inventory]}}")
    assert http.engine("/enhanced", item).json()["result"]["items"][0]["operation"] == "INSERT"
