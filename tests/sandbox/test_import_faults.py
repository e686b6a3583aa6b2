"""Every fault on every call of import sets and attachments: what took effect, and that the server goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import requests

from syncengine.sandbox.faults.rules import ACTIONS
from syncengine.sandbox.faults.serve import BEFORE
from tests.sandbox.conftest import Http
from tests.sandbox.test_import_sets import rows, staging

TARGET = "7" * 32
SLOW = {"hang", "commit_then_hang", "drip", "delay", "commit_late", "gzip_bomb", "header_flood"}
GIVEN = {
    "count": "count(-1)",
    "takes": "takes(1)",
    "commit_part": "commit_part(1)_then_reset",
    "expire_token": "expire_token(1)",
    "rate_limit": "rate_limit(0/60)",
    "op": "op(frozen)",
    "job": "job(stuck)",
}
NONE = BEFORE | {"revoke"}
Call = Callable[[Http, int], object]


def upload(http: Http, number: int) -> requests.Response:
    """Attach a file."""
    parameters = {"table_name": "incident", "table_sys_id": TARGET, "file_name": f"f{number}"}
    headers = {"Content-Type": "text/plain"}
    url = f"{http.running.url}/api/now/attachment/file"
    return http.session.post(url, params=parameters, data=b"abc" * 999, headers=headers, timeout=20)


def last_file(http: Http) -> str:
    """The path of the file that came last."""
    return f"{http.running.url}/api/now/attachment/{http.running.ledger(kind='attach')[-1]['sys_id']}"


CALLS: dict[str, tuple[Call, dict[str, int]]] = {
    "import_one": (lambda http, n: http.post("/import/u_asset", rows(1, n)[0]), {"stage": 1, "insert": 1}),
    "insert_multiple": (
        lambda http, n: http.post("/import/u_asset/insertMultiple", {"records": rows(1, n)}),
        {"stage": 1, "insert": 1},
    ),
    "staging_read": (lambda http, _: http.get("/table/u_asset"), {}),
    "attach_upload": (upload, {"attach": 1}),
    "attach_list": (lambda http, _: http.get("/attachment", sysparm_limit=5), {}),
    "attach_file": (lambda http, _: http.session.get(f"{last_file(http)}/file", timeout=2), {}),
    "attach_write": (lambda http, _: http.session.delete(last_file(http), timeout=2), {"delete": 1}),
}


def effects(http: Http, after: int) -> Counter[str]:
    """How many writes of each kind took effect."""
    http.running.run_imports()
    return Counter(str(entry["kind"]) for entry in http.running.ledger(start=after + 1))


@pytest.mark.parametrize("api", CALLS)
def test_a_fault_has_the_effect_that_its_name_says(http: Http, api: str) -> None:
    """None where it comes before the work, one where it comes after; and the next call is answered."""
    call, usual = CALLS[api]
    http.running.seed({"records": {"incident": [{"sys_id": TARGET, "number": "INC1"}]}}, force=True)
    staging(http)
    for number, action in enumerate(sorted(set(ACTIONS) - SLOW)):
        if api in ("attach_file", "attach_write"):
            upload(http, number)
        before, met = http.running.control("GET", "ledger/counts")["last"], len(http.running.met())
        http.running.faults(f"api={api}, times=1, do={GIVEN.get(action, action)}")
        with suppress(requests.RequestException):  # the client may see anything
            call(http, number)
        assert len(http.running.met()) == met + 1
        http.running.clear_faults()
        happened = effects(http, before)
        expected = {} if action in NONE else dict(usual)
        if (action, api) == ("job", "insert_multiple"):
            del expected["insert"]
        if action in ("item_errors", "code"):
            # whether the row fails is chance
            expected.pop("insert", None)
            happened.pop("insert", None)
        assert (action, happened) == (action, expected)
        assert http.get("/attachment", sysparm_limit=1).status_code == 200


def test_what_many_send_at_once_is_there_once(http: Http) -> None:
    """Single inserts, many rows and files side by side, while sets are transformed."""
    http.running.seed({"records": {"incident": [{"sys_id": TARGET, "number": "INC1"}]}}, force=True)
    staging(http)

    def work(number: int) -> list[int]:
        own = Http(http.running)
        try:
            first = 100 * number
            many = own.post("/import/u_asset/insertMultiple", {"records": rows(60, first)})
            singles = [own.post("/import/u_asset", row) for row in rows(10, first + 60)]
            same = own.post("/import/u_asset", rows(1)[0])
            file = upload(own, number)
            return [one.status_code for one in (many, *singles, same, file)]
        finally:
            own.session.close()

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(work, range(12)))
    assert {status for one in answers for status in one} == {201}
    http.running.run_imports()
    inserted = Counter(str(entry["key"]) for entry in http.running.ledger(kind="insert", table="alm_asset"))
    assert set(inserted.values()) == {1}
    assert len(inserted) == 12 * 70
    assert {row["sys_import_state"] for row in http.rows("u_asset")} == {"inserted", "ignored"}
    assert len({entry["key"] for entry in http.running.ledger(kind="attach")}) == 12
