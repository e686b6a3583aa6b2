"""Against a server that answers after 20 ms: plan and apply with eight permits, beside a plain loop."""

from __future__ import annotations

import contextlib
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import MAIN, ROOT, Row, run
from examples.datacentre.generate import HEADERS, Centre, write

LATENCY = 20.0
PERMITS = 8
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


def measured(rows: int) -> list[Row]:
    """The lines for a number of rows."""
    with tempfile.TemporaryDirectory(prefix="syncengine-bench-") as place, server() as port:
        folder = Path(place)
        write(folder / "servers.csv", HEADERS["servers"], Centre(rows, 1).servers())
        shutil.copy(PEERS / "rows.yaml", folder / "rows.yaml")
        (folder / "environments").mkdir()
        (folder / "environments" / "bench.yaml").write_text(ENVIRONMENT.format(port=port, permits=PERMITS), "utf-8")
        secret = {"BENCH_PASSWORD": "bench"}
        loop = run((sys.executable, PEERS / "plain_loop.py", f"http://127.0.0.1:{port}", "servers.csv"), folder).must()
        asking = run(
            (sys.executable, PEERS / "plain_loop.py", f"http://127.0.0.1:{port}", "servers.csv", "--query"), folder
        ).must()
        plan = run((*MAIN, "plan", "rows.yaml", "--env", "bench", "-o", "first.plan"), folder, secret).must()
        apply = run((*MAIN, "apply", "first.plan", "--yes", "--no-stale-check"), folder, secret).must()
    both = plan.wall + apply.wall
    bound = math.ceil(rows / BATCH) * LATENCY / 1000 / PERMITS
    head = f"{rows:,} rows, {LATENCY:.0f} ms"
    table = [
        Row(f"{head}: plain loop", f"{rows / loop.wall:,.0f} rows/s, {loop.cpu / rows * 1e6:.0f} µs CPU a row"),
        Row(
            f"{head}: plan",
            f"{rows / plan.wall:,.0f} rows/s, {plan.cpu / rows * 1e6:.0f} µs CPU a row, {plan.peak:.0f} MiB",
        ),
        Row(
            f"{head}: apply",
            f"{rows / apply.wall:,.0f} rows/s, {apply.cpu / rows * 1e6:.0f} µs CPU a row, {apply.peak:.0f} MiB",
        ),
        Row(
            f"{head}: apply, against requests × latency ÷ permits",
            f"{apply.wall / bound:.1f} ×",
            "≤ 1.05 ×",
            apply.wall <= 1.05 * bound,
        ),
    ]
    large = rows >= 100_000
    if large:
        faster, pair = loop.wall / apply.wall, loop.wall / both
        table.append(Row(f"{head}: apply beside the plain loop", f"{faster:.1f} × as fast", "≥ 4 ×", faster >= 4))
        table.append(
            Row(f"{head}: plan and apply beside the plain loop", f"{pair:.1f} × as fast", "≥ 2.5 ×", pair >= 2.5)
        )
    else:
        slower = both / asking.wall
        table.append(
            Row(
                f"{head}: plan and apply beside a loop that also asks",
                f"{slower:.1f} × its time",
                "≤ 1.5 ×",
                slower <= 1.5,
            )
        )
    return table
