"""The sandbox itself: CIs through its engine and rows through its import sets, in a second of the processor it used."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import requests

from benchmarks.measure import Row
from syncengine.sandbox.process import Running, attach

CIS, ROWS = 10_000, 20_000
OPTIONS = "partial_payloads:false,partial_commits:true,deduplicate_payloads:false"
ENGINE = {"sysparm_data_source": "ImportSet", "options": OPTIONS}


def measured() -> list[Row]:
    """Each call with new records and with known ones; rows inserted, updated and left as they are."""
    found: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="syncengine-bench-") as place, attach(Path(place)) as running:
        session = requests.Session()
        session.auth = (running.user, running.password)

        def post(path: str, body: object, params: dict[str, str] | None = None) -> None:
            answer = session.post(f"{running.url}/api/now{path}", json=body, params=params, timeout=60)
            answer.raise_for_status()

        for state in ("new", "known"):
            for call in ("queryEnhanced", "enhanced"):
                rate = CIS / _spent(running, partial(_through, post, f"/identifyreconcile/{call}"))
                found.append(Row(f"sandbox: {call}, {state} CIs", f"{rate:,.0f} a second of one processor"))
        for title, state in (("one", "inserted"), ("two", "updated"), ("two", "left as they are")):
            rate = ROWS / _spent(running, partial(_staged, running, post, title))
            found.append(Row(f"sandbox: insertMultiple, rows {state}", f"{rate:,.0f} a second of one processor"))
    return found


def _spent(running: Running, work: Callable[[], None]) -> float:
    before = _processor(running)
    work()
    return _processor(running) - before


def _processor(running: Running) -> float:
    fields = Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _blocks(number: int, size: int) -> Iterable[range]:
    return (range(first, first + size) for first in range(0, number, size))


def _through(post: Callable[..., None], path: str) -> None:
    for block in _blocks(CIS, 500):
        items = [
            {
                "className": "cmdb_ci_linux_server",
                "internal_id": f"server-{n}",
                "values": {"name": f"s{n}", "ram": "8192", "serial_number": f"SN{n}"},
                "sys_object_source_info": {"source_name": "ImportSet", "source_native_key": f"host/{n}"},
            }
            for n in block
        ]
        post(path, {"items": items}, ENGINE)


def _staged(running: Running, post: Callable[..., None], title: str) -> None:
    for block in _blocks(ROWS, 1000):
        rows = [{"First name": f"T{n}", "Email": f"e{n}@x", "User id": f"u{n}", "Title": title} for n in block]
        post("/import/imp_user/insertMultiple", {"records": rows})
    running.run_imports()
