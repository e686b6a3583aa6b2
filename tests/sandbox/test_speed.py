"""How fast engine and transforms are over HTTP: the sandbox must not be what tests and benchmarks wait for."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.sandbox.conftest import Http, server

PAYLOAD = 500


def a_second(http: Http, call: str, number: int) -> float:
    """CIs a second through one of the calls, in payloads of 500."""
    payloads = [
        [server(f"s{n}", ram="8192", serial_number=f"SN{n}") for n in range(first, first + PAYLOAD)]
        for first in range(0, number, PAYLOAD)
    ]
    start = time.perf_counter()
    for payload in payloads:
        assert http.engine(call, *payload).status_code == 200
    return number / (time.perf_counter() - start)


@pytest.mark.long
def test_two_thousand_cis_a_second_pass_through_each_call(http: Http) -> None:
    """New ones, and again when they exist; printed with -s."""
    for state in ("new", "known"):
        for call in ("/queryEnhanced", "/enhanced"):
            rate = a_second(http, call, 10_000)
            print(f"{call}, {state}: {rate:,.0f} CIs a second")
            assert rate >= 2_000


def test_a_payload_of_five_hundred_is_quick(http: Http) -> None:
    """A sample of it with much room for a busy machine: nothing grows with the square."""
    assert a_second(http, "/queryEnhanced", 2 * PAYLOAD) > 1_000


def spent(http: Http) -> float:
    """Seconds of a processor that the server has used."""
    fields = Path(f"/proc/{http.running.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rows_a_second(http: Http, number: int, title: str) -> float:
    """Rows through insertMultiple, stored and transformed, in requests of 1000: a second of one processor."""
    rows = [{"First name": f"T{n}", "Email": f"e{n}@x", "User id": f"u{n}", "Title": title} for n in range(number)]
    before = spent(http)
    for first in range(0, number, 1000):
        answer = http.post("/import/imp_user/insertMultiple", {"records": rows[first : first + 1000]})
        assert answer.status_code == 201
    http.running.run_imports()
    return number / (spent(http) - before)


@pytest.mark.long
def test_three_thousand_rows_are_stored_and_transformed_in_a_second_of_one_processor(http: Http) -> None:
    """Inserted, updated, and left as they are; printed with -s."""
    for title, state in [("one", "inserted"), ("two", "updated"), ("two", "ignored")]:
        rate = rows_a_second(http, 20_000, title)
        print(f"insertMultiple, {state}: {rate:,.0f} rows a second of one processor")
        assert rate >= 3_000
    assert http.running.counts() == {
        "insert": {"sys_user": 20_000},
        "stage": {"imp_user": 60_000},
        "update": {"sys_user": 20_000},
    }
