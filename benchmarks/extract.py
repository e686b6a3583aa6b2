"""Incidents taken out of an instance: extract beside a plain dlt pipeline, the same columns from the same server.

Both run with this Python and these versions of dlt and DuckDB. Requests are those that the server saw. The third run is
killed half way and finished by a fourth.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from benchmarks.measure import MAIN, Row, Took, run
from benchmarks.network import PEERS
from syncengine.extract.presets import PRESETS
from syncengine.sandbox.process import Running, attach

BLOCK = 20_000
WATCH = "api=table_read, at=1000000000, do=delay(0)"
"""A rule that never strikes, and counts."""
PROJECT = "syncengine: 1\nkind: project\n"
ENVIRONMENT = (
    "syncengine: 1\nkind: environment\nconnections:\n  sn: {{kind: servicenow, url: '{url}',"
    " auth: {{user: {user}, password: {{env: SN_PASSWORD}}}}}}\n"
)


def measured(rows: int) -> list[Row]:
    """The lines for a number of incidents."""
    head = f"{rows:,} incidents"
    with tempfile.TemporaryDirectory(prefix="syncengine-bench-") as place, attach(Path(place) / "instance") as running:
        _fill(running, rows)
        secrets = {"SN_PASSWORD": running.password}
        folder = _project(Path(place) / "ours", running)
        command = (*MAIN, "extract", "incidents", "--env", "dev")
        ours, asked = _counted(running, command, folder, secrets)
        _complete(folder / ".syncengine/extract/dev.duckdb", "servicenow", rows)
        again, asked_again = _counted(running, command, folder, secrets)
        beside = Path(place) / "peer"
        beside.mkdir()
        fields = ",".join(("sys_id", *PRESETS["incidents"].fields))
        script = (sys.executable, PEERS / "dlt_rest_api.py", running.url, running.user, running.password, fields)
        peer, peer_asked = _counted(running, script, beside, {})
        _complete(beside / "incidents.duckdb", "peer", rows)
        killed = _killed(_project(Path(place) / "killed", running), ours.wall, secrets)
        _complete(Path(place) / "killed" / ".syncengine/extract/dev.duckdb", "servicenow", rows)
    return [
        Row(f"{head}: extract", _said(ours, rows, asked)),
        Row(f"{head}: extract again, nothing changed", _said(again, rows, asked_again)),
        Row(f"{head}: plain dlt", _said(peer, rows, peer_asked)),
        Row(
            f"{head}: extract beside plain dlt",
            f"{peer.wall / ours.wall:.1f} × as fast, {ours.cpu / peer.cpu:.2f} × CPU",
        ),
        Row(f"{head}: killed half way and finished", killed),
    ]


def _fill(running: Running, rows: int) -> None:
    for start in range(0, rows, BLOCK):
        made = [
            {
                "sys_id": f"{n * 2654435761 % 2**128:032x}",
                "number": f"INC{n:07}",
                "short_description": f"Mail is slow in building {n % 40}",
                "state": str(n % 7 + 1),
                "priority": str(n % 5 + 1),
                "active": "true",
                "opened_at": f"2026-0{n % 9 + 1}-1{n % 10} 08:{n % 60:02}:00",
                "category": "inquiry",
                "sys_updated_on": f"2026-1{n % 2}-0{n % 9 + 1} 0{n % 10}:{n % 60:02}:00",
            }
            for n in range(start + 1, min(start + BLOCK, rows) + 1)
        ]
        running.control("POST", "seed?force=true", {"records": {"incident": made}}, timeout=300)


def _project(folder: Path, running: Running) -> Path:
    (folder / "environments").mkdir(parents=True)
    (folder / "syncengine.yaml").write_text(PROJECT)
    text = ENVIRONMENT.format(url=running.url, user=running.user)
    (folder / "environments" / "dev.yaml").write_text(text)
    return folder


def _counted(running: Running, command: tuple[str | Path, ...], folder: Path, env: dict[str, str]) -> tuple[Took, int]:
    running.clear_faults()
    running.faults(WATCH)
    took = run(command, folder, env).must()
    return took, int(running.faults()[0]["seen"])


def _killed(folder: Path, wall: float, env: dict[str, str]) -> str:
    command = (*MAIN, "extract", "incidents", "--env", "dev")
    first = subprocess.Popen(command, cwd=folder, env={**_environment(), **env}, stdout=subprocess.DEVNULL)
    time.sleep(wall * 0.6)
    first.send_signal(signal.SIGKILL)
    first.wait()
    took = run(command, folder, env).must()
    said = took.said.splitlines()[0].split(",")[0:2]
    return f"{took.wall:.1f} s for the rest: {','.join(said).strip()}"


def _environment() -> dict[str, str]:
    import os

    from benchmarks.measure import ROOT

    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _complete(file: Path, dataset: str, rows: int) -> None:
    with duckdb.connect(str(file), read_only=True) as made:
        query = f"SELECT count(*), count(DISTINCT sys_id), count(DISTINCT number) FROM {dataset}.incidents"
        found = made.execute(query).fetchone()
    if found != (rows, rows, rows):
        raise SystemExit(f"{file.name}: {found} instead of {rows:,} rows")


def _said(took: Took, rows: int, requests: int) -> str:
    speed = rows / took.wall
    return f"{took.wall:.1f} s ({speed:,.0f} rows/s), {took.cpu:.1f} s CPU, {took.peak:.0f} MiB, {requests:,} requests"
