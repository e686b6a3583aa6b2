"""Plan and apply of the generated data centre on the sandbox, which runs in a process of its own and is not counted."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import MAIN, ROOT, Row, Took, run

EXAMPLE = ROOT / "examples" / "datacentre"
PEAK = 150.0
CHANGES = 2


@contextlib.contextmanager
def datacentre(size: int) -> Iterator[tuple[Path, int]]:
    """A project that holds a data centre of about a size; gives its folder and the number of its CIs."""
    with tempfile.TemporaryDirectory(prefix="syncengine-bench-") as place:
        folder = Path(place)
        for name in ("infrastructure.yaml", "services.yaml"):
            shutil.copy(EXAMPLE / name, folder / name)
        shutil.copytree(EXAMPLE / "sandbox", folder / "sandbox")
        said = run((sys.executable, EXAMPLE / "generate.py", "--size", str(size), "--out", "data"), folder).must().said
        yield folder, int(said.split()[-1].replace(",", ""))


@contextlib.contextmanager
def sandbox(folder: Path) -> Iterator[None]:
    """A sandbox that serves a project until the block ends."""
    process = subprocess.Popen(
        [*MAIN, "sandbox", "serve"], cwd=folder, stdout=subprocess.PIPE, env={"PYTHONPATH": str(ROOT)}
    )
    assert process.stdout is not None
    try:
        if not process.stdout.readline():
            raise SystemExit("the sandbox did not start")
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)
        process.stdout.close()


def measured(size: int) -> list[Row]:
    """The lines of one size."""
    rows = []
    with datacentre(size) as (folder, cis), sandbox(folder):
        specs = ("infrastructure.yaml", "services.yaml")
        plan = run((*MAIN, "plan", *specs, "-o", "first.plan", "--detailed-exitcode"), folder).must(CHANGES)
        rows += _lines(f"plan, {cis:,} new CIs", plan, cis)
        file = (folder / "first.plan").stat().st_size / 1024 / 1024
        rows.append(Row(f"plan file, {cis:,} new CIs", f"{file:.1f} MiB"))
        apply = run((*MAIN, "apply", "first.plan", "--yes"), folder).must()
        rows += _lines(f"apply, {cis:,} new CIs", apply, cis)
        again = run((*MAIN, "plan", *specs, "--detailed-exitcode"), folder).must()
        rows += _lines(f"plan, {cis:,} unchanged CIs", again, cis)
    return rows


def _lines(what: str, took: Took, cis: int) -> list[Row]:
    return [
        Row(f"{what}: peak memory", f"{took.peak:.0f} MiB", f"≤ {PEAK:.0f} MiB", took.peak <= PEAK),
        Row(f"{what}: wall", f"{took.wall:.1f} s"),
        Row(f"{what}: CPU", f"{took.cpu:.1f} s, {took.cpu / cis * 1e6:.0f} µs a CI"),
    ]
