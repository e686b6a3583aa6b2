# mypy: ignore-errors
# It runs in an environment of its own, whose packages are not in ours.
"""dlt with a custom destination: 500 rows a call, parallel load jobs, its own normalize and load steps.

python dlt_peer.py URL FILE
"""

from __future__ import annotations

import csv
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
os.environ.setdefault("DATA_WRITER__FILE_MAX_ITEMS", "12500")  # several files, so that several jobs load at once
os.environ.setdefault("LOAD__WORKERS", "8")

import dlt
import requests
from plain_loop import OPTIONS, item


def main() -> None:
    """Load a file."""
    url, path = sys.argv[1], Path(sys.argv[2])
    session = requests.Session()
    session.auth = ("user", "password")

    @dlt.resource(name="servers", write_disposition="append")
    def servers() -> Iterator[list[dict[str, Any]]]:
        with path.open(encoding="utf-8", newline="") as file:
            batch = []
            for row in csv.DictReader(file):
                batch.append(row)
                if len(batch) == 5000:
                    yield batch
                    batch = []
            yield batch

    @dlt.destination(batch_size=500, skip_dlt_columns_and_tables=True, max_table_nesting=0, max_parallel_load_jobs=8)
    def instance(items: list[dict[str, Any]], table: Any) -> None:
        del table
        answer = session.post(
            f"{url}/api/now/identifyreconcile/enhanced",
            params={"sysparm_data_source": "Other Automated", "options": OPTIONS},
            json={"items": [item(row) for row in items], "relations": []},
            timeout=60,
        )
        answer.raise_for_status()
        for one in answer.json()["result"]["items"]:
            if one["errorCount"]:
                raise ValueError(one["errors"])

    with tempfile.TemporaryDirectory() as place:
        pipeline = dlt.pipeline("bench", destination=instance, pipelines_dir=place)
        pipeline.run(servers()).raise_on_failed_jobs()


if __name__ == "__main__":
    main()
