"""Against a server that answers after 20 ms: plan and apply with eight permits, beside a plain loop."""

from __future__ import annotations

import contextlib
import math
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.measure import MAIN, ROOT, Row, Took, run
from examples.datacentre.generate import HEADERS, Centre, write

LATENCY = 20.0
SLOW, SLOW_ROWS = 1000.0, 80_000
"""A server so slow that it is the limit: eight permits, 160 requests, 20 seconds at best."""
PERMITS = 8
LARGE = 100_000
BATCH = 500
PEERS = Path(__file__).parent / "peers"
ENVIRONMENT = """\
syncengine: 1
kind: environment
connections:
  servicenow:
    kind: servicenow
    url: http://127.0.0.1:{port}
    auth: {{user: bench, password: {{env: BENCH_PASSWORD}}}}
    permits: {permits}
"""


@contextlib.contextmanager
def server(latency: float = LATENCY) -> Iterator[int]:
    """The server, in a process of its own; gives its port."""
    command = [sys.executable, "-m", "benchmarks.server", "--latency", str(latency)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()


@contextlib.contextmanager
def project(rows: int, latency: float) -> Iterator[tuple[Path, str]]:
    """A project with a number of rows, and a server for it; gives the folder and the server's URL."""
    with tempfile.TemporaryDirectory(prefix="syncengine-bench-") as place, server(latency) as port:
        folder = Path(place)
        write(folder / "servers.csv", HEADERS["servers"], Centre(rows, 1).servers())
        shutil.copy(PEERS / "rows.yaml", folder / "rows.yaml")
        (folder / "environments").mkdir()
        (folder / "environments" / "bench.yaml").write_text(ENVIRONMENT.format(port=port, permits=PERMITS), "utf-8")
        yield folder, f"http://127.0.0.1:{port}"


def ours(folder: Path) -> tuple[Took, Took]:
    """Plan, then apply without the stale check, in a project."""
    secret = {"BENCH_PASSWORD": "bench"}
    plan = run((*MAIN, "plan", "rows.yaml", "--env", "bench", "-o", "first.plan"), folder, secret).must()
    return plan, run((*MAIN, "apply", "first.plan", "--yes", "--no-stale-check"), folder, secret).must()


def measured_once(command: Sequence[str | Path], folder: Path, url: str, rows: int) -> Took:
    """Run a client; the server must have taken every row once."""
    before = count(url)
    took = run(command, folder).must()
    if count(url) - before != rows:
        raise SystemExit(f"{command} sent {count(url) - before} of {rows} rows\n{took.said}")
    return took


def count(url: str) -> int:
    """How many items the server has taken."""
    with urllib.request.urlopen(f"{url}/count") as answer:
        return int(answer.read())


def measured(rows: int) -> list[Row]:
    """The lines for a number of rows; 0 rows: how near the apply comes to a slow server's limit."""
    if not rows:
        return [limit()]
    with project(rows, LATENCY) as (folder, url):
        script = (sys.executable, PEERS / "plain_loop.py", url, "servers.csv")
        loop = measured_once(script, folder, url, rows)
        asking = measured_once((*script, "--query"), folder, url, rows)
        plan, apply = ours(folder)
    both = plan.wall + apply.wall
    head = f"{rows:,} rows, {LATENCY:.0f} ms"
    table = [
        Row(f"{head}: {name}", said(took, rows))
        for name, took in (("plain loop", loop), ("plan", plan), ("apply", apply))
    ]
    if rows >= LARGE:
        faster, pair = loop.wall / apply.wall, loop.wall / both
        table.append(Row(f"{head}: apply beside the plain loop", f"{faster:.1f} × as fast", "≥ 4 ×", faster >= 4))
        table.append(Row(f"{head}: plan and apply beside it", f"{pair:.1f} × as fast", "≥ 2.5 ×", pair >= 2.5))
    else:
        slower = both / asking.wall
        what = f"{head}: plan and apply beside a loop that also asks"
        table.append(Row(what, f"{slower:.1f} × its time", "≤ 1.5 ×", slower <= 1.5))
    return table


def said(took: Took, rows: int) -> str:
    """Rate, CPU and memory of a command."""
    return f"{rows / took.wall:,.0f} rows/s, {took.cpu / rows * 1e6:.0f} µs CPU a row, {took.peak:.0f} MiB"


def limit() -> Row:
    """Wall time of an apply beside requests × latency ÷ permits, where the server is the limit."""
    with project(SLOW_ROWS, SLOW) as (folder, _):
        _, apply = ours(folder)
    bound = math.ceil(SLOW_ROWS / BATCH) * SLOW / 1000 / PERMITS
    ratio = apply.wall / bound
    what = f"{SLOW_ROWS:,} rows, {SLOW:.0f} ms: apply beside requests × latency ÷ permits"
    return Row(what, f"{ratio:.2f} ×", "≤ 1.05 ×", ratio <= 1.05)
