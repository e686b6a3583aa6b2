# mypy: ignore-errors
# It runs in an environment of its own, whose packages are not in ours.
"""A target of the Singer SDK: a BatchSink of 500 records, fed with Singer messages that are made beforehand.

python singer_peer.py URL FILE
"""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any, ClassVar

import requests
from plain_loop import OPTIONS, item
from singer_sdk import BatchSink, Target
from singer_sdk import typing as th


class InstanceSink(BatchSink):
    """Posts 500 records at a time."""

    max_size = 500
    session = requests.Session()

    def process_batch(self, context: dict[str, Any]) -> None:
        """Send a batch."""
        self.session.auth = ("user", "password")
        answer = self.session.post(
            f"{self.config['url']}/api/now/identifyreconcile/enhanced",
            params={"sysparm_data_source": "Other Automated", "options": OPTIONS},
            json={"items": [item(row) for row in context["records"]], "relations": []},
            timeout=60,
        )
        answer.raise_for_status()
        for one in answer.json()["result"]["items"]:
            if one["errorCount"]:
                raise ValueError(one["errors"])


class InstanceTarget(Target):
    """The target."""

    name = "target-instance"
    default_sink_class = InstanceSink
    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList(th.Property("url", th.StringType)).to_dict()


def messages(path: Path) -> io.StringIO:
    """The file as Singer messages."""
    made = io.StringIO()
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        properties = {name: {"type": ["string", "null"]} for name in rows.fieldnames or ()}
        schema = {"type": "object", "properties": properties}
        made.write(json.dumps({"type": "SCHEMA", "stream": "servers", "schema": schema, "key_properties": ["serial"]}))
        for row in rows:
            made.write("\n" + json.dumps({"type": "RECORD", "stream": "servers", "record": row}))
    made.seek(0)
    return made


def main() -> None:
    """Send a file."""
    target = InstanceTarget(config={"url": sys.argv[1]})
    target.listen(messages(Path(sys.argv[2])))


if __name__ == "__main__":
    main()
