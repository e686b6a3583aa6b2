"""Rate limits, semaphores, sessions and quotas: what an instance does by itself when it is asked too much."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.sandbox.conftest import Http, server
from tests.waiting import wait_for

Later = Callable[..., Future[requests.Response]]


@pytest.fixture
def later(http: Http) -> Iterator[Later]:
    """Sends requests on threads, each with a session of its own unless one is given."""
    with ThreadPoolExecutor(20) as pool:

        def send(client: Http | None = None) -> Future[requests.Response]:
            return pool.submit((client or Http(http.running)).get, "/table/cmdb_rel_type", sysparm_limit=1)

        yield send


def struck(http: Http) -> int:
    """How many requests the rules in force have met."""
    return sum(rule["met"] for rule in http.running.faults())


def let_pass(http: Http, sent: list[Future[requests.Response]], seconds: float) -> list[int]:
    """Move the clock until all are answered."""
    wait_for(lambda: http.running.advance(seconds) and all(one.done() for one in sent))
    return sorted(one.result().status_code for one in sent)


def test_the_defaults_do_not_get_in_the_way(http: Http) -> None:
    """They are in force, and far from what tests and benchmarks ask for."""
    told = http.running.settings()
    assert told["limits.requests_per_hour"]["value"] == 1_000_000
    assert (told["limits.semaphores"]["value"], told["limits.queue"]["value"]) == (4, 50)
    assert (told["quota.seconds"]["value"], told["quota.batch_seconds"]["value"]) == (60, 30)


def test_a_limit_of_an_hour_holds_without_any_rule(http: Http) -> None:
    """Setting limits.requests_per_hour; the headers of the refusal can be left out."""
    http.running.advance(3600)
    http.running.settings(limits__requests_per_hour=2)
    codes = [http.get("/table/cmdb_ci").status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    refused = http.get("/table/cmdb_ci")
    assert all(f"X-RateLimit-{name}" in refused.headers for name in ("Limit", "Reset", "Rule"))
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    http.running.settings(limits__headers="never")
    bare = http.get("/table/cmdb_ci")
    assert bare.status_code == 429
    assert "X-RateLimit-Limit" not in bare.headers
    assert "Retry-After" not in bare.headers
    http.running.settings(limits__headers="always", limits__requests_per_hour=50)
    assert http.get("/table/cmdb_ci").headers["X-RateLimit-Limit"] == "50"


def test_the_lowest_rule_of_user_role_or_all_wins(http: Http) -> None:
    """A rule of another user or role does not count."""
    http.running.advance(3600)
    rules = [
        {"name": "all", "resource": "table/", "limit": "9"},
        {"name": "itil", "resource": "table/", "limit": "1", "role": "itil"},
        {"name": "other role", "resource": "table/", "limit": "0", "role": "asset"},
        {"name": "other user", "resource": "table/", "limit": "0", "user": "nobody"},
    ]
    http.running.seed({"records": {"sys_rate_limit_rules": rules}}, force=True)
    assert http.get("/table/cmdb_ci").status_code == 200
    assert "for itil exceeded" in http.get("/table/cmdb_ci").json()["error"]["detail"]


def test_counts_may_arrive_late_so_that_a_burst_exceeds_the_limit(http: Http) -> None:
    """Setting limits.flush_seconds: what the node knows is up to 30 seconds old."""
    http.running.advance(7200)
    http.running.settings(limits__requests_per_hour=3, limits__flush_seconds=30)
    assert [http.get("/table/cmdb_ci").status_code for _ in range(6)] == [200] * 6
    http.running.advance(31)
    assert http.get("/table/cmdb_ci").status_code == 429


def test_four_transactions_run_at_once_and_the_queue_is_finite(http: Http, later: Later) -> None:
    """Beyond it 429 without a word on how long to wait; who waits is served in the end."""
    http.running.settings(limits__queue=2)
    http.running.faults("api=table_read, do=delay(20)")
    sent = [later() for _ in range(6)]
    wait_for(lambda: struck(http) == 6)
    over = http.get("/table/cmdb_rel_type", sysparm_limit=1)
    assert over.status_code == 429
    assert "Retry-After" not in over.headers
    assert "X-RateLimit-Limit" not in over.headers
    assert not any(one.done() for one in sent)
    assert let_pass(http, sent, 21) == [200] * 6


def test_requests_of_one_session_run_one_after_the_other_and_the_eleventh_is_dropped(http: Http, later: Later) -> None:
    """202 without a body, because the client sent its cookie back; another session is not concerned."""
    one = Http(http.running)
    assert one.get("/table/cmdb_rel_type", sysparm_limit=1).status_code == 200
    assert {"JSESSIONID", "glide_user_route", "BIGipServerpool_sandbox"} == set(one.session.cookies.keys())
    http.running.faults("api=table_read, from=1, times=11, do=delay(2)")
    sent = [later(one) for _ in range(11)]
    wait_for(lambda: struck(http) == 11)
    dropped = one.get("/table/cmdb_rel_type", sysparm_limit=1)
    assert (dropped.status_code, dropped.content) == (202, b"")
    assert Http(http.running).get("/table/cmdb_rel_type", sysparm_limit=1).status_code == 200
    assert let_pass(http, sent, 3) == [200] * 11


def test_a_request_behind_an_old_one_of_its_session_is_dropped(http: Http, later: Later) -> None:
    """Older than 30 seconds by the sandbox's clock."""
    one = Http(http.running)
    one.get("/table/cmdb_rel_type", sysparm_limit=1)
    http.running.faults("api=table_read, at=1, do=delay(50)")
    sent = [later(one)]
    wait_for(lambda: struck(http) == 1)
    http.running.advance(31)
    assert one.get("/table/cmdb_rel_type", sysparm_limit=1).status_code == 202
    http.running.settings(session__cookies=False)
    assert "Set-Cookie" not in Http(http.running).get("/table/cmdb_rel_type").headers
    assert let_pass(http, sent, 20) == [200]


def test_a_transaction_over_its_quota_is_cancelled(http: Http) -> None:
    """60 seconds of the sandbox's clock; a write was not begun."""
    http.running.faults("api=table_read, at=1, do=takes(61)", "api=table_write, do=takes(61)", "api=ire, do=takes(61)")
    refused = http.get("/table/cmdb_rel_type")
    assert refused.status_code == 500
    assert refused.json()["error"]["message"] == "Transaction cancelled: maximum execution time exceeded"
    assert http.get("/table/cmdb_rel_type").status_code == 200
    assert http.post("/table/incident", {"short_description": "x"}).status_code == 500
    assert http.running.counts() == {}
    assert http.engine("/enhanced", server("a")).status_code == 200


def test_a_quota_ends_a_slow_answer_when_the_time_has_come(http: Http, later: Later) -> None:
    """A delay longer than the quota is not waited for to its end."""
    http.running.faults("api=table_read, do=delay(500)")
    sent = [later()]
    wait_for(lambda: struck(http) == 1)
    assert let_pass(http, sent, 61) == [500]


@pytest.mark.parametrize("way", ["in_body", "cut"])
def test_a_quota_can_strike_inside_a_200_body(http: Http, way: str) -> None:
    """An error beside the rows that were read by then, or a list that is not closed."""
    http.running.settings(quota__answer=way)
    http.running.faults("api=table_read, do=takes(61)")
    answer = http.get("/table/cmdb_rel_type", sysparm_limit=4)
    assert answer.status_code == 200
    assert b"maximum execution time exceeded" in answer.content
    if way == "cut":
        with pytest.raises(requests.exceptions.JSONDecodeError):
            answer.json()
    else:
        assert len(answer.json()["result"]) == 2


def test_a_batch_has_thirty_seconds_for_all_its_requests(http: Http) -> None:
    """What it did not reach is unserviced, and was not done."""
    body = base64.b64encode(b'{"short_description": "x"}').decode()
    headers = [{"name": n, "value": "application/json"} for n in ("Content-Type", "Accept")]
    ask: list[dict[str, Any]] = [
        {"id": str(n), "method": "POST", "url": "/api/now/table/incident", "headers": headers, "body": body}
        for n in range(5)
    ]
    http.running.faults("api=batch, at=1, do=takes(12)")
    answer = http.post("/v1/batch", {"batch_request_id": "1", "rest_requests": ask}).json()
    assert [one["id"] for one in answer["serviced_requests"]] == ["0", "1"]
    assert answer["unserviced_requests"] == ["2", "3", "4"]
    assert http.running.counts() == {"insert": {"incident": 2}}
    http.running.settings(batch__answer_bytes=10, batch__request_bytes=5)
    limited = http.post("/v1/batch", {"batch_request_id": "2", "rest_requests": ask}).json()
    assert [one["status_code"] for one in limited["serviced_requests"]] == [413]
    assert len(limited["unserviced_requests"]) == 4
