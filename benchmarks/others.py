"""Beside dlt and the Singer SDK, each in an environment of its own: the same rows into the same server."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Row
from benchmarks.network import LATENCY, PEERS, measured_once, ours, project, said

OTHERS = (("dlt", "dlt.txt", "dlt_peer.py"), ("Singer SDK", "singer.txt", "singer_peer.py"))
APPLY, PAIR = 10, 5


def measured(rows: int) -> list[Row]:
    """The lines for a number of rows."""
    head = f"{rows:,} rows, {LATENCY:.0f} ms"
    table = []
    with tempfile.TemporaryDirectory(prefix="syncengine-bench-") as place, project(rows, LATENCY) as (folder, url):
        plan, apply = ours(folder)
        both = plan.wall + apply.wall
        table += [Row(f"{head}: plan", said(plan, rows)), Row(f"{head}: apply", said(apply, rows))]
        for name, needs, script in OTHERS:
            python = environment(Path(place) / script, PEERS / needs)
            took = measured_once((python, PEERS / script, url, "servers.csv"), folder, url, rows)
            table.append(Row(f"{head}: {name}", said(took, rows)))
            for what, ours_took, target in (("apply", apply.wall, APPLY), ("plan and apply", both, PAIR)):
                ratio = took.wall / ours_took
                row = Row(f"{head}: {what} beside {name}", f"{ratio:.1f} × as fast", f"≥ {target} ×", ratio >= target)
                table.append(row)
    return table


def environment(folder: Path, needs: Path) -> Path:
    """A new virtual environment with the packages of a file; gives its Python."""
    subprocess.run((sys.executable, "-m", "venv", folder), check=True)
    python = folder / "bin" / "python"
    subprocess.run((python, "-m", "pip", "install", "-q", "-r", needs), check=True, stderr=subprocess.DEVNULL)
    return python
