"""What many teams have today: csv, a dict per row, one requests.Session, 500 rows a request, no plan, no journal.

    python plain_loop.py URL FILE [--query]     --query: ask the dry run of every batch before sending it

It maps the same ten fields as `rows.yaml` and looks at the error count of every item, nothing else.
"""

from __future__ import annotations

import csv
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import requests

OPTIONS = "partial_payloads:false,partial_commits:true,deduplicate_payloads:false"
STATES = {"live": "1", "repair": "3", "spare": "5"}


def item(row: dict[str, str]) -> dict[str, Any]:
    """One row as an item of the payload."""
    return {
        "className": "cmdb_ci_linux_server",
        "values": {
            "name": row["name"].lower(),
            "serial_number": row["serial"],
            "os": row["os"],
            "os_version": row["os_version"],
            "ip_address": row["ip"],
            "ram": str(int(row["ram_gb"]) * 1024),
            "cpu_count": row["cpus"],
            "environment": row["environment"],
            "operational_status": STATES[row["state"]],
            "virtual": "true" if row["virtual"] == "yes" else "false",
        },
        "sys_object_source_info": {
            "source_name": "Other Automated",
            "source_feed": "rows.servers",
            "source_native_key": row["serial"],
        },
    }


def main() -> None:
    """Send a file."""
    url, path = sys.argv[1], Path(sys.argv[2])
    calls = ("queryEnhanced", "enhanced") if "--query" in sys.argv else ("enhanced",)
    session = requests.Session()
    session.auth = ("user", "password")
    sent = 0
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        while batch := [item(row) for row in islice(rows, 500)]:
            for call in calls:
                answer = session.post(
                    f"{url}/api/now/identifyreconcile/{call}",
                    params={"sysparm_data_source": "Other Automated", "options": OPTIONS},
                    json={"items": batch, "relations": []},
                    timeout=60,
                )
                answer.raise_for_status()
                for one in answer.json()["result"]["items"]:
                    if one["errorCount"]:
                        raise SystemExit(f"refused: {one['errors']}")
            sent += len(batch)
    print(f"sent {sent}")


if __name__ == "__main__":
    main()
