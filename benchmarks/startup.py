"""Commands that should be there at once: `--help`, and `validate` of fifty specs."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks.measure import MAIN, ROOT, Row, median, run

HELP, VALIDATE = 0.15, 1.0
SPECS = 50


def measured() -> list[Row]:
    """Medians of several runs."""
    shown = median([run((*MAIN, "--help"), ROOT).must().wall for _ in range(11)])
    rows = [Row("--help", f"{shown * 1000:.0f} ms", f"≤ {HELP * 1000:.0f} ms", shown <= HELP)]
    with tempfile.TemporaryDirectory(prefix="syncengine-bench-") as place:
        folder = Path(place) / "specs"
        shutil.copytree(ROOT / "specs" / "data", folder / "data")
        text = (ROOT / "specs" / "servers.yaml").read_text("utf-8")
        for number in range(SPECS):
            (folder / f"servers{number}.yaml").write_text(text, "utf-8")
        checked = median([run((*MAIN, "validate", "specs"), Path(place)).must().wall for _ in range(5)])
    rows.append(
        Row(
            f"validate of {SPECS} specs", f"{checked * 1000:.0f} ms", f"≤ {VALIDATE * 1000:.0f} ms", checked <= VALIDATE
        )
    )
    return rows
